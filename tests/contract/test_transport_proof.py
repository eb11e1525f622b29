"""Which failures prove that a request never left, shown over real sockets."""

import asyncio
import socket
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from fleetos.cloud.http import transport as module
from fleetos.cloud.http.addresses import Proxies
from fleetos.cloud.http.transport import HttpRequest, Transport, open_transport
from fleetos.errors import AnswerLost, NotSent
from tests.contract.loopback_tls import serving
from tests.contract.peers import Exchange, Script, always, peer, silence

TOKEN = "secret-token-4711"
BODY = b'{"os-change": {"adminpass": "secret-password"}}'


def outgoing(url: str, *, effect: bool = True, timeout_s: float = 5.0, answer_bytes: int = 65536) -> HttpRequest:
    return HttpRequest(
        operation="changeos" if effect else "server",
        method="POST" if effect else "GET",
        url=url,
        headers={"X-Auth-Token": TOKEN},
        timeout_s=timeout_s,
        answer_bytes=answer_bytes,
        content=BODY if effect else None,
        effect=effect,
    )


@asynccontextmanager
async def transport(resolver: AbstractResolver | None = None) -> AsyncGenerator[Transport]:
    async with open_transport(proxies=Proxies(), resolver=resolver) as opened:
        yield opened


class NoNames(AbstractResolver):
    """A resolver that knows no name, at once or never."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.sleep(self.wait_s)
        raise OSError(None, "Name or service not known")

    async def close(self) -> None:
        pass


async def no_answer(exchange: Exchange) -> None:
    await exchange.read_request()
    await asyncio.sleep(3600)


async def reset_before_reading(exchange: Exchange) -> None:
    exchange.reset()


async def reset_after_reading(exchange: Exchange) -> None:
    await exchange.read_request()
    exchange.reset()


async def close_before_reading(exchange: Exchange) -> None:
    exchange.writer.close()


async def close_after_reading(exchange: Exchange) -> None:
    await exchange.read_request()


async def half_a_header(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Le")


async def half_a_body(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{"job_id": "ff')


async def reset_in_the_body(exchange: Exchange) -> None:
    await half_a_body(exchange)
    exchange.reset()


async def half_a_chunk(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}")


async def garbage(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.send(b"\x00\xff\x16\x03 nonsense\r\n\r\n")


async def greeting(exchange: Exchange) -> None:
    await exchange.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    await exchange.reader.read()


async def endless_header(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n")


async def long_body(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.answer(200, b"x" * 70_000)


async def endless_body(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await exchange.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")


async def wrong_encoding(exchange: Exchange) -> None:
    await exchange.read_request()
    await exchange.answer(200, b"this is no gzip", "Content-Encoding: gzip\r\n")


LOST: dict[str, Script] = {
    script.__name__: script
    for script in (
        reset_before_reading,
        reset_after_reading,
        close_before_reading,
        close_after_reading,
        half_a_header,
        half_a_body,
        reset_in_the_body,
        half_a_chunk,
        garbage,
        greeting,
        endless_header,
        long_body,
        endless_body,
        wrong_encoding,
    )
}


@pytest.mark.parametrize("name", sorted(LOST))
@pytest.mark.parametrize("effect", [True, False])
async def test_once_connected_every_failure_is_an_answer_lost(name: str, effect: bool) -> None:
    async with peer(LOST[name]) as other, transport() as out:
        with pytest.raises(AnswerLost) as caught:
            await out.send(outgoing(other.url(), effect=effect))
    assert_nothing_secret(caught.value)
    # The library repeats a read on a lost connection by itself, once; an effect it leaves alone.
    assert other.connections == 1 if effect else other.connections <= 2
    assert sum(out.sent_counts.values()) == other.connections


async def test_an_effect_leaves_once_whatever_happens() -> None:
    async with peer(reset_after_reading) as other, transport() as out:
        for _ in range(3):
            with pytest.raises(AnswerLost):
                await out.send(outgoing(other.url()))
    assert other.connections == 3
    assert out.sent_counts == {"changeos": 3}


@pytest.mark.parametrize("effect", [True, False])
async def test_a_hang_ends_with_the_whole_time_out(effect: bool) -> None:
    async with peer(no_answer) as other, transport() as out:
        with pytest.raises(AnswerLost, match=r"no answer within 0\.5 s"):
            await out.send(outgoing(other.url(), effect=effect, timeout_s=0.5))


async def test_a_trickle_ends_with_the_whole_time_out() -> None:
    async def trickle(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await exchange.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    async with peer(trickle) as other, transport() as out:
        with pytest.raises(AnswerLost, match="no answer within"):
            await out.send(outgoing(other.url(), timeout_s=0.5))


async def test_a_peer_that_never_reads_ends_with_the_whole_time_out() -> None:
    async with peer(silence) as other, transport() as out:
        big = HttpRequest("changeos", "POST", other.url(), {}, 0.5, 65536, b"x" * 1_000_000, effect=True)
        with pytest.raises(AnswerLost, match="no answer within"):
            await out.send(big)


async def test_a_refused_port_proves_not_sent() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with transport() as out:
            with pytest.raises(NotSent) as caught:
                await out.send(outgoing(f"http://127.0.0.1:{bound.getsockname()[1]}/x"))
    assert_nothing_secret(caught.value)
    assert caught.value.message.startswith("Connect call failed")
    assert out.sent_counts == {}


async def test_an_unknown_name_proves_not_sent() -> None:
    async with transport(NoNames()) as out:
        with pytest.raises(NotSent) as caught:
            await out.send(outgoing("http://ecs.nowhere.invalid/x"))
    assert_nothing_secret(caught.value)
    assert out.sent_counts == {}


async def test_a_name_server_that_hangs_proves_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.1)
    async with transport(NoNames(3600)) as out:
        with pytest.raises(NotSent, match="ConnectionTimeoutError"):
            await out.send(outgoing("http://ecs.nowhere.invalid/x"))
    assert out.sent_counts == {}


async def test_a_host_that_takes_no_connection_proves_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.2)
    fillers: list[socket.socket] = []
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # Connections that nobody accepts fill the queue; the kernel then drops what asks for one more.
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        try:
            async with transport() as out:
                with pytest.raises(NotSent, match="ConnectionTimeoutError"):
                    await out.send(outgoing(f"http://127.0.0.1:{full.getsockname()[1]}/x"))
            assert out.sent_counts == {}
        finally:
            for filler in fillers:
                filler.close()


async def test_a_certificate_that_nobody_vouches_for_proves_not_sent(tmp_path: Path) -> None:
    async with peer(always(), tls=serving(tmp_path)) as other, transport() as out:
        with pytest.raises(NotSent, match=r"certificate of 127\.0\.0\.1 is refused: self") as caught:
            await out.send(outgoing(other.url(scheme="https")))
    assert_nothing_secret(caught.value)
    assert out.sent_counts == {}


@pytest.mark.parametrize("script", [garbage, greeting, reset_before_reading, close_before_reading])
async def test_a_failed_handshake_proves_not_sent(script: Script) -> None:
    async def unread(exchange: Exchange) -> None:
        # Whatever the client says is its half of a handshake, never a request.
        await exchange.reader.read(1)
        await (greeting(exchange) if script is garbage else script(exchange))

    async with peer(unread) as other, transport() as out:
        with pytest.raises(NotSent):
            await out.send(outgoing(other.url(scheme="https")))
    assert out.sent_counts == {}


async def test_a_handshake_that_hangs_proves_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.15)
    async with peer(silence) as other, transport() as out:
        with pytest.raises(NotSent, match="ConnectionTimeoutError"):
            await out.send(outgoing(other.url(scheme="https")))
    assert out.sent_counts == {}


async def test_a_class_that_nobody_has_seen_is_an_answer_lost() -> None:
    class Strange(Exception):
        pass

    class StrangeNames(NoNames):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            raise Strange(f"no idea about {host}")

    async with transport(StrangeNames()) as out:
        with pytest.raises(AnswerLost, match="no idea about") as caught:
            await out.send(outgoing("http://ecs.nowhere.invalid/x"))
    assert_nothing_secret(caught.value)


async def test_the_client_is_usable_after_a_time_out_and_after_a_cancel() -> None:
    arrived = asyncio.Event()

    async def slow_first(exchange: Exchange) -> None:
        if exchange.number == 2:
            arrived.set()
        if exchange.number <= 2:
            await no_answer(exchange)
        await always()(exchange)

    async with peer(slow_first) as other, transport() as out:
        with pytest.raises(AnswerLost):
            await out.send(outgoing(other.url(), effect=False, timeout_s=0.5))
        task = asyncio.create_task(out.send(outgoing(other.url(), effect=False)))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await out.send(outgoing(other.url(), effect=False))).status == 200
        assert (await out.send(outgoing(other.url()))).status == 200


def assert_nothing_secret(error: BaseException) -> None:
    """No part of an error, nor of what it was raised from or in, holds what the request held."""
    seen: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        one = queue.pop()
        if one is not None and one not in seen:
            seen.append(one)
            queue += [one.__cause__, one.__context__]
    shown = "".join(traceback.format_exception(error)) + "".join(repr(one) + repr(one.args) for one in seen)
    assert TOKEN not in shown
    assert "secret-password" not in shown
