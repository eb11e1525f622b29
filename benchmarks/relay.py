"""A relay between a client and the simulated cloud, which notes when each request leaves the client."""

import asyncio
import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(GET|POST) (\S+) HTTP/1\.1\r\n")
_CHUNK_BYTES = 64 * 1024


class Relay:
    """What came by: the time (monotonic) and the path of each request."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[float, str]] = []

    def seen(self, part: str, since_s: float = 0.0) -> int:
        """How many requests had that in their path, since then."""
        return sum(part in path for at_s, path in list(self.requests) if at_s >= since_s)

    def first_s(self, since_s: float, but: str | None = None) -> float | None:
        """When the first request came since then, leaving out those with `but` in their path; None: not yet."""
        found = (at_s for at_s, path in list(self.requests) if at_s >= since_s and (but is None or but not in path))
        return next(found, None)

    async def serve(self, host: str, port: int, ready: threading.Event, over: asyncio.Event) -> None:
        """Nothing, once it is over. Sets `ready` when it listens."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.CancelledError):
                answers, requests = await asyncio.open_connection(host, port)
                await asyncio.gather(self._pass(reader, requests, note=True), self._pass(answers, writer, note=False))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        async with server:
            await over.wait()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, note: bool) -> None:
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                if note and (match := _REQUEST.match(chunk)) is not None:
                    self.requests.append((time.monotonic(), match[2].decode()))
                writer.write(chunk)
                await writer.drain()
        finally:
            writer.close()


@contextmanager
def relay(url: str) -> Generator[Relay]:
    """A relay to the cloud at that address, in a thread of its own."""
    made, ready, target = Relay(), threading.Event(), urlsplit(url)
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    serving = made.serve(target.hostname or "", target.port or 0, ready, over)

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serving)

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
