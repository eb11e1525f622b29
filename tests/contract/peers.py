"""Loopback peers that behave as badly as a test asks, over real sockets."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Exchange:
    """One connection as the peer has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int

    async def read_request(self) -> bytes:
        """Return one whole request, head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return head + await self.reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"{}", headers: str = "") -> None:
        """Send a whole answer."""
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        await self.send(head.encode() + body)

    def reset(self) -> None:
        """Cut the connection with an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class Peer:
    """A listening peer: its port, how many connections it took, and the requests that its script read."""

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list[bytes])
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/x", scheme: str = "http") -> str:
        """Return the address of a path of it."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"


@asynccontextmanager
async def peer(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Peer]:
    """Yield a peer that runs the script on each connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listening.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(Exchange(reader, writer, listening.connections))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            listening.ended.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    listening = Peer(server.sockets[0].getsockname()[1])
    try:
        yield listening
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def always(*, status: int = 200, body: bytes = b"{}", headers: str = "", into: list[bytes] | None = None) -> Script:
    """Return a script that answers every request of a connection alike."""

    async def script(exchange: Exchange) -> None:
        while True:
            request = await exchange.read_request()
            if into is not None:
                into.append(request)
            await exchange.answer(status, body, headers)

    return script


async def silence(exchange: Exchange) -> None:
    """Read nothing and say nothing until the other side gives up."""
    await asyncio.sleep(3600)
    del exchange
