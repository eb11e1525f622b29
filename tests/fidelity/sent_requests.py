"""Requests as they left on the wire, without what one client sends and another need not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from fleetos.cloud.auth.credentials import AccessKey
from fleetos.sim.api.access import ACCESS_KEY, SECRET_KEY
from tests.fidelity.relay import Exchange

KEY = AccessKey(ACCESS_KEY, SECRET_KEY)
# What the SDK sends and fleetos does not, with the reason.
SDK_ALONE: Mapping[str, str] = {
    "user-agent": "each has its own",
    "accept": "the SDK takes anything, and knows what to do with JSON alone",
    "accept-encoding": "fleetos takes gzip alone, whose size it bounds",
    "connection": "fleetos gives each write a connection of its own",
    "host": "of HTTP itself",
    "content-length": "of HTTP itself",
}


@dataclass(frozen=True)
class SentRequest:
    """A request, as far as the cloud looks at it, and what it came to."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    status: int


def sent(exchange: Exchange) -> SentRequest:
    """What the cloud was sent. Whoever asks has got past the gateway: what is refused is refused for what it asks."""
    assert exchange.status not in (401, 403), exchange.answer
    headers = {name: value for name, value in exchange.headers.items() if name not in SDK_ALONE}
    if exchange.method == "GET":
        # The SDK names the kind of a body that is not there.
        headers.pop("content-type", None)
    elif "content-type" in headers:
        kind, _, charset = headers["content-type"].replace(" ", "").partition(";")
        # JSON is UTF-8 whether it is said or not (RFC 8259).
        assert charset.lower() in ("", "charset=utf-8", "charset=utf8")
        headers["content-type"] = kind
    # Each has a token of its own, from the same login.
    for name in {"x-auth-token", "x-subject-token"} & headers.keys():
        headers[name] = "a token"
    # The signature is over the time and over headers in which they differ. The cloud has found each to be right.
    if "authorization" in headers:
        headers["authorization"] = headers["authorization"].partition(", ")[0]
        headers["x-sdk-date"] = "a time"
    # A path may have its colons and stars encoded or not (RFC 3986, 3.3): the SDK does, fleetos' library does not.
    return SentRequest(exchange.method, unquote(exchange.path), exchange.query, exchange.sent, headers, exchange.status)


def without(request: SentRequest, *names: str) -> SentRequest:
    """A request without some headers."""
    return replace(request, headers={name: value for name, value in request.headers.items() if name not in names})
