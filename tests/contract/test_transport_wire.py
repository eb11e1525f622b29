"""What the transport puts on the wire and takes off it, over real sockets."""

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleetos.cloud.http.addresses import Proxies, proxies_from
from fleetos.cloud.http.transport import HttpRequest, HttpResponse, Transport, open_transport, tls_context
from fleetos.errors import AnswerLost, NotSent
from fleetos.limits import HEADER_BYTES
from fleetos.model.permit import LastCheck
from tests.contract.loopback_tls import serving, trusted
from tests.contract.peers import Exchange, always, peer

# Whatever takes longer than this never comes.
HANGS_S = 20.0


def outgoing(
    url: str, *, effect: bool = False, last_check: LastCheck | None = None, token: str = "t", answer_bytes: int = 65536
) -> HttpRequest:
    return HttpRequest(
        operation="stop" if effect else "list",
        method="POST" if effect else "GET",
        url=url,
        headers={"X-Auth-Token": token},
        timeout_s=5.0,
        answer_bytes=answer_bytes,
        content=b"{}" if effect else None,
        effect=effect,
        last_check=last_check,
    )


@asynccontextmanager
async def transport(proxies: Proxies | None = None, authorities: Path | None = None) -> AsyncGenerator[Transport]:
    context = tls_context(str(authorities)) if authorities is not None else None
    async with open_transport(proxies=proxies or Proxies(), context=context) as opened:
        yield opened


async def test_an_answer_comes_in_whole() -> None:
    seen: list[bytes] = []
    headers = "X-Request-Id: r-1\r\nX-Subject-Token: abc\r\n"
    async with peer(always(status=404, body=b'{"a": 1}', headers=headers, into=seen)) as other, transport() as out:
        answer = await out.send(outgoing(other.url("/v1/p%2Fq?limit=1&name=a%20b")))
    assert answer.status == 404
    assert answer.body == b'{"a": 1}'
    assert answer.headers["x-request-id"] == "r-1"
    assert seen[0].startswith(b"GET /v1/p%2Fq?limit=1&name=a%20b HTTP/1.1\r\n")
    assert b"x-auth-token: t\r\n" in seen[0].lower()
    assert out.sent_counts == {"list": 1}


async def test_the_answer_shows_nothing_in_its_repr() -> None:
    answer = HttpResponse(201, {"x-subject-token": "secret"}, b"secret")
    assert "secret" not in repr(answer)
    assert "secret" not in repr(outgoing("http://127.0.0.1/", token="secret", effect=True))


async def test_a_long_token_travels_both_ways() -> None:
    token = "A" * 32_000
    seen: list[bytes] = []
    long = "B" * (HEADER_BYTES - 1000)
    async with peer(always(headers=f"X-Subject-Token: {long}\r\n", into=seen)) as other, transport() as out:
        answer = await out.send(outgoing(other.url(), token=token))
    assert answer.headers["x-subject-token"] == long
    assert token.encode() in seen[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with peer(always()) as elsewhere:
        async with peer(always(status=status, headers=f"Location: {elsewhere.url()}\r\n")) as other, transport() as out:
            answer = await out.send(outgoing(other.url(), effect=True))
            assert answer.status == status
        assert elsewhere.connections == 0


async def test_no_cookie_comes_back() -> None:
    seen: list[bytes] = []
    cookie = "Set-Cookie: session=1; Path=/\r\n"
    async with peer(always(headers=cookie, into=seen)) as other, transport() as out:
        await out.send(outgoing(other.url()))
        await out.send(outgoing(other.url()))
    assert all(b"cookie" not in request.lower() for request in seen)


async def test_reads_share_a_connection_and_effects_have_their_own() -> None:
    seen: list[bytes] = []
    async with peer(always(into=seen)) as other, transport() as out:
        for _ in range(3):
            await out.send(outgoing(other.url()))
        assert other.connections == 1
        for _ in range(3):
            await out.send(outgoing(other.url(), effect=True))
        assert other.connections == 4
    assert out.sent_counts == {"list": 3, "stop": 3}
    assert [b"connection: close\r\n" in request.lower() for request in seen] == [False] * 3 + [True] * 3


async def test_a_read_that_the_library_repeats_is_counted_twice() -> None:
    async def once(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.answer()
        # The connection stays, and is cut when it is used again.
        await exchange.read_request()
        exchange.reset()

    async with peer(once) as other, transport() as out:
        await out.send(outgoing(other.url()))
        await out.send(outgoing(other.url()))
        assert other.connections == 2
    assert out.sent_counts == {"list": 3}


async def test_compressed_answers_are_bounded_by_what_they_become() -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    async with peer(always(body=bomb, headers="Content-Encoding: gzip\r\n")) as other, transport() as out:
        with pytest.raises(AnswerLost, match="longer than"):
            await out.send(outgoing(other.url()))
    small = gzip.compress(b'{"servers": []}')
    async with peer(always(body=small, headers="Content-Encoding: gzip\r\n")) as other, transport() as out:
        assert (await out.send(outgoing(other.url()))).body == b'{"servers": []}'


async def test_an_answer_of_just_the_limit_is_taken() -> None:
    async with peer(always(body=b"x" * 100)) as other, transport() as out:
        assert len((await out.send(outgoing(other.url(), answer_bytes=100))).body) == 100
        with pytest.raises(AnswerLost):
            await out.send(outgoing(other.url(), answer_bytes=99))


async def test_the_last_look_comes_with_the_connection_at_hand_and_before_any_byte() -> None:
    heard: list[bytes] = []
    looks: list[int] = []

    async def listen(exchange: Exchange) -> None:
        # The first bytes, or the end: whoever sends in spite of the look is cut off instead of waited for.
        heard.append(await exchange.reader.read(1))

    async with peer(listen) as other, transport() as out:

        def look() -> str | None:
            looks.append(1)
            return "the lease is gone"

        with pytest.raises(NotSent, match="the lease is gone"):
            await out.send(outgoing(other.url(), effect=True, last_check=look))
        async with asyncio.timeout(HANGS_S):
            await other.ended.wait()
    assert heard == [b""]
    assert looks == [1]
    assert out.sent_counts == {}


async def test_a_last_look_that_allows_is_asked_once() -> None:
    looks: list[int] = []
    async with peer(always()) as other, transport() as out:
        answer = await out.send(outgoing(other.url(), effect=True, last_check=lambda: looks.append(1)))
    assert answer.status == 200
    assert looks == [1]


async def test_a_private_authority_is_trusted_when_it_is_named(tmp_path: Path) -> None:
    async with peer(always(), tls=serving(tmp_path)) as other, transport(authorities=trusted(tmp_path)) as out:
        assert (await out.send(outgoing(other.url(scheme="https")))).status == 200


async def test_verification_can_be_switched_off_for_the_whole_entry(tmp_path: Path) -> None:
    lax = tls_context(verify=False)
    async with peer(always(), tls=serving(tmp_path)) as other, open_transport(proxies=Proxies(), context=lax) as out:
        assert (await out.send(outgoing(other.url(scheme="https")))).status == 200


async def test_a_proxy_stands_before_other_machines_only() -> None:
    seen: list[bytes] = []
    async with peer(always(status=418, into=seen)) as proxy, peer(always()) as direct:
        env = {"HTTPS_PROXY": f"http://al:p%40ss@127.0.0.1:{proxy.port}", "NO_PROXY": "other.invalid"}
        async with transport(proxies_from(env)) as out:
            assert (await out.send(outgoing(direct.url()))).status == 200
            assert seen == []
            answer = await out.send(outgoing("http://ecs.cloud.invalid/v1/x"))
    assert answer.status == 418
    assert seen[0].startswith(b"GET http://ecs.cloud.invalid/v1/x HTTP/1.1\r\n")


async def test_a_proxy_is_asked_for_a_tunnel_and_told_who_asks() -> None:
    seen: list[bytes] = []

    async def refuse(exchange: Exchange) -> None:
        seen.append(await exchange.reader.readuntil(b"\r\n\r\n"))
        await exchange.answer(407)

    async with peer(refuse) as proxy:
        env = {"https_proxy": f"http://al:p%40ss@127.0.0.1:{proxy.port}"}
        async with transport(proxies_from(env)) as out:
            with pytest.raises(AnswerLost) as caught:
                await out.send(outgoing("https://ecs.cloud.invalid/v1/x", effect=True, token="secret-token"))
    assert seen[0].startswith(b"CONNECT ecs.cloud.invalid:443 HTTP/1.1\r\n")
    assert b"proxy-authorization: Basic YWw6cEBzcw==\r\n" in seen[0]
    assert b"secret-token" not in seen[0]
    assert "p@ss" not in repr(caught.value) + caught.value.message
    assert caught.value.message.startswith("the proxy refuses the way to ecs.cloud.invalid: 407")
    assert out.sent_counts == {}
