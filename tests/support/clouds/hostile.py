"""A cloud that answers whatever it likes, in bytes, behind the whole client and in virtual time."""

import dataclasses
import gzip
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, cast

import httpx

from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.cloud.http.error_body import MESSAGE_CHARS
from fleetos.errors import CloudError, FleetosError
from fleetos.limits import ID_CHARS
from fleetos.model.inventory import Undelivered
from fleetos.model.plan import ApiLimits
from fleetos.names import shown
from tests.support.chance import FixedChance
from tests.support.clocks import VIRTUAL_START, VirtualClock, run
from tests.support.clouds.scripted import CREDENTIALS, PROJECT, catalog
from tests.support.hostile_values import NASTY_TEXTS, json_bytes, mangled, spoiled

# As the transport over sockets hands them on.
CHUNK_BYTES = 16 * 1024
# An error names what was asked for, quotes a bounded message of the cloud, and may list a few names.
ERROR_CHARS = MESSAGE_CHARS + 16 * ID_CHARS
SINCE = VIRTUAL_START - timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Raw:
    """An answer as it comes off the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes = dataclasses.field(repr=False)


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), CHUNK_BYTES):
            yield self._body[at : at + CHUNK_BYTES]


class HostileCloud(httpx.AsyncBaseTransport):
    """Answers logins as it should, unless `grants` has something else, and everything else by its list.

    When that is used up, a client that still asks gets a plain refusal.
    """

    def __init__(self, answers: Sequence[Raw] = (), grants: Sequence[Raw] = ()) -> None:
        self.answers = list(answers)
        self._grants = list(grants)
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the next answer."""
        self.requests += 1
        listed = self._grants if request.url.path.endswith("/auth/tokens") else self.answers
        if listed:
            given = listed.pop(0)
        elif listed is self._grants:
            given = good_grant()
        else:
            given = Raw(400, {}, b"{}")
        return httpx.Response(given.status, headers=encodable(given.headers), stream=_Chunks(given.body))


def encodable(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers as bytes; what no encoding has becomes a question mark."""
    return [(name.encode(), value.encode("utf-8", "replace")) for name, value in headers.items()]


def good_grant() -> Raw:
    """A login that is granted."""
    token = {
        "issued_at": VIRTUAL_START.isoformat(),
        "expires_at": (VIRTUAL_START + timedelta(days=1)).isoformat(),
        "project": {"id": PROJECT, "name": "eu-de_project"},
        "user": {"id": "user-1", "name": "al"},
        "catalog": catalog(),
    }
    return Raw(201, {"x-subject-token": "t1"}, json_bytes({"token": token}))


def with_client(cloud: HostileCloud, then: Callable[[CloudClient], Awaitable[None]]) -> None:
    """Runs `then` with a client of that cloud, in virtual time. Raises what the login raises."""

    async def main() -> None:
        opening = open_cloud(
            CREDENTIALS, clock=VirtualClock(), chance=FixedChance(0.5), limits=ApiLimits(), env={}, inner=cloud
        )
        async with opening as client:
            await then(client)

    run(main)


def texts_in(value: object) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from texts_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, one in cast("Mapping[object, object]", value).items():
            yield from texts_in(key)
            yield from texts_in(one)
    elif isinstance(value, tuple | list | set | frozenset):
        for one in cast("Sequence[object]", value):
            yield from texts_in(one)


def check_value(value: object) -> None:
    """Fails on a text that is too long to be kept, that no database takes, or that shows as what a terminal obeys."""
    # Why a request did not go out is an error in words.
    bound = ERROR_CHARS if isinstance(value, Undelivered) else 2 * ID_CHARS + 2
    for text in texts_in(value):
        assert len(text) <= bound, f"{len(text)} characters: {text[:80]!r}"
        # Names are kept with the letters that nobody sees, and spelled out where they are shown.
        assert not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text), ascii(text)
        assert shown(text).isprintable(), ascii(text)


def check_error(error: FleetosError) -> None:
    """Fails on an error that is too long, or that a terminal would obey."""
    told = [error.message, error.hint]
    if isinstance(error, CloudError):
        told += [error.code, error.request_id]
    for text in told:
        assert text is None or len(text) <= ERROR_CHARS, f"{len(text)} characters: {text[:80]!r}"
        assert text is None or text.isprintable(), ascii(text)


async def judge_all(cloud: HostileCloud, *reads: Callable[[], Awaitable[object]]) -> None:
    """Asks in turns until the cloud has no answer left, and judges each time."""
    turns = len(cloud.answers) + 1
    while cloud.answers and turns > 0:
        turns -= 1
        for read in reads:
            await judge(read())


async def judge(call: Awaitable[object]) -> None:
    """Fails on anything but a bounded value or a bounded error of the cloud."""
    try:
        value = await call
    except CloudError as error:
        check_error(error)
    else:
        check_value(value)


_STATUSES = [200] * 24 + [201, 202, 204, 206, 301, 400, 401, 403, 404, 404, 408, 409, 413, 429, 500, 503, 599]
_HEADERS = ("content-type", "x-request-id", "retry-after", "content-length", "date", "set-cookie", "location")
_HEADER_VALUES = ("application/json", "text/html", "5", "Fri, 02 Jan 2026 03:05:05 +9999", "-1", "1" * 5000, "x=y")
_CODINGS = ("gzip", "deflate", "br", "gzip, gzip", "x", "\x7f", "identity")
_ERRORS: tuple[Any, ...] = (
    {"error": {"code": "Ecs.0114", "message": "gone"}, "request_id": "r-1"},
    {"error_code": "APIGW.0308", "error_msg": "limit:200,time:5 minute"},
    {"itemNotFound": {"code": 404, "message": "no such thing"}},
    {"code": "Common.0011", "message": '{"badRequest": {"message": "x", "code": 400}}'},
    {"errorCode": "Ecs.0100", "errorMsg": "conflict"},
)


def raw(random: Random, right: Any) -> Raw:
    """An answer that was meant to be `right`, or an error, before something happened to it."""
    status = random.choice(_STATUSES)
    tree = right if status < 300 else random.choice(_ERRORS)
    body = mangled(random, json_bytes(spoiled(random, tree)))
    headers = {
        name: random.choice((*_HEADER_VALUES, *NASTY_TEXTS))
        for name in random.sample(_HEADERS, random.choice([0, 0, 1, 2]))
    }
    if random.random() < 0.1:
        headers["content-encoding"] = random.choice(_CODINGS)
        body = gzip.compress(body, 1) if random.random() < 0.7 else body
    return Raw(status, headers, body)


def raws(random: Random, right: Any, count: int) -> list[Raw]:
    """So many of them."""
    return [raw(random, right) for _ in range(count)]
