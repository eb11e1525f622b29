"""Bytes on a real socket that are no HTTP, or not quite: an answer, or the error that it was lost, and nothing else."""

from random import Random

import pytest

from fleetos.cloud.http.addresses import Proxies
from fleetos.cloud.http.transport import HttpRequest, Transport, open_transport
from fleetos.errors import AnswerLost
from tests.contract.peers import Exchange, Script, peer
from tests.support.clouds.hostile import check_error
from tests.support.seeded_examples import SEED

BOUND_BYTES = 64 * 1024
GOOD = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\nX-Request-Id: r-1\r\n\r\n{"a": 12}'
LINES = (
    *(b"Content-Length: 4", b"Content-Length: 99999999999", b"Content-Length: -1", b"Content-Length: 9, 4"),
    *(
        b"Content-Length: \xd9\xa3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Connection: close",
    ),
    *(b"Content-Encoding: gzip", b"Content-Encoding: gzip, gzip", b"X-Nul: a\0b", b"X-Esc: \x1b[31m", b": nameless"),
    *(b" folded", b"no colon", b"X-Long: " + b"a" * 20_000, b"Set-Cookie: a=b", b"Location: http://169.254.169.254/"),
    *(b"HTTP/1.1 200 OK", b"Upgrade: websocket", b"X-\xff: \xff", b"Trailer: X"),
)
STATUS_LINES = (
    *(b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/9.9 200 OK", b"HTTP/1.1 1000 X", b"HTTP/1.1 -1 X", b"HTTP/1.1 99 X"),
    *(b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Same", b"ICY 200 OK"),
    *(b"", b"\0", b"SSH-2.0-OpenSSH_9.6", b"\x16\x03\x01\x02", b"HTTP/1.1 \xd9\xa3 X", b"HTTP/1.1 200 \x1b[31m"),
)
BODIES = (
    b'{"a": 12}',
    b"",
    b"4\r\n{} {\r\n0\r\n\r\n",
    b"zz\r\n{}\r\n",
    b"ffffffffffffffffff\r\n{}",
    b"\x1f\x8b\x08",
    b"x" * 100_000,
)


def response(random: Random) -> bytes:
    """What a peer may say in place of an answer."""
    head = [random.choice(STATUS_LINES) if random.random() < 0.3 else STATUS_LINES[0]]
    head += random.sample(LINES, random.choice([0, 1, 1, 2, 4]))
    if random.random() < 0.5:
        head.append(b"Content-Length: 9")
    whole = b"\r\n".join(head) + b"\r\n\r\n" + random.choice(BODIES)
    cut = random.randrange(len(whole) + 1) if random.random() < 0.2 else len(whole)
    return whole[:cut]


def saying(answers: list[bytes], *, close: bool = True) -> Script:
    """A peer that says one of them on each request."""

    async def script(exchange: Exchange) -> None:
        while answers:
            await exchange.read_request()
            await exchange.send(answers.pop(0))
            if close:
                return

    return script


async def ask(transport: Transport, url: str) -> bytes | None:
    """The body of an answer; None where it was lost."""
    outgoing = HttpRequest("list", "GET", url, {"X-Auth-Token": "secret-token"}, 5.0, BOUND_BYTES)
    try:
        answer = await transport.send(outgoing)
    except AnswerLost as error:
        check_error(error)
        return None
    assert len(answer.body) <= BOUND_BYTES
    assert 100 <= answer.status <= 999
    return answer.body


async def say(answers: list[bytes], *, close: bool = True) -> list[bytes | None]:
    """What is made of each."""
    count = len(answers)
    async with peer(saying(answers, close=close)) as other, open_transport(proxies=Proxies()) as transport:
        return [await ask(transport, other.url()) for _ in range(count)]


async def test_a_good_answer_is_read() -> None:
    assert await say([GOOD, GOOD]) == [b'{"a": 12}'] * 2


@pytest.mark.parametrize("number", range(5))
async def test_whatever_is_on_the_wire(number: int) -> None:
    random = Random(f"{SEED}-{number}")
    await say([response(random) for _ in range(40)])


async def test_what_follows_an_answer_is_not_taken_for_the_next_one() -> None:
    poison = GOOD.replace(b"12", b"66")
    heard = await say([GOOD + poison, GOOD, GOOD], close=False)
    assert b'{"a": 66}' not in heard
