"""What a request shows of who asks: a token, or the signature of an access key. It is put on as the last thing."""

from collections.abc import Callable, Generator
from datetime import datetime

import httpx

from fleetos.clock import Clock
from fleetos.cloud.auth.credentials import AccessKey
from fleetos.cloud.auth.signature import Signable, authorization, stamp
from fleetos.cloud.http.transport import HttpResponse
from fleetos.limits import CLOCK_DIFFERENCE_S

# Signed when the request has them. Those that a library or a proxy adds or rewrites on the way are not.
_SIGNED = frozenset({"host", "content-type", "x-project-id", "x-sdk-date", "x-security-token"})


class RequestAuth(httpx.Auth):
    """What requests show. Its repr shows nothing.

    `secrets`: what no answer may be quoted with. `renewable`: whether IAM gives another one for the asking. `dated`:
    whether a wrong clock makes it worthless. `called` and `hint` are what is said when it is not accepted.
    """

    secrets: tuple[str, ...] = ()
    renewable = True
    dated = False
    called = ""
    hint = ""


class TokenAuth(RequestAuth):
    """A token of IAM (header X-Auth-Token)."""

    called = "the token that it gave"
    hint = "is the region right, and does the endpoint belong to the same cloud?"

    def __init__(self, text: str, *, renewable: bool = True) -> None:
        self.secrets = (text,)
        self.renewable = renewable
        if not renewable:
            self.called = "the token that was given to fleetos"
            self.hint = f"it has ended or was taken back, or is of another region: give a new one. {TokenAuth.hint}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the request with the token on it."""
        # In front: who quotes the end of a request, cut off anywhere, is less likely to tear the token apart, and of a
        # torn one five letters may stay.
        request.headers = httpx.Headers([(b"X-Auth-Token", self.secrets[0].encode()), *request.headers.raw])
        yield request


class SignatureAuth(RequestAuth):
    """The signature of an access key over each request, as it leaves (IAM API Reference, "AK/SK-based authentication").

    `project_id` None: for requests to IAM, which are about no project. A security token is sent, and signed too.
    """

    requires_request_body = True
    renewable = False
    dated = True
    called = "the signature of the access key"
    hint = (
        "check the access key, its secret key, and for temporary keys the security token and its end. It is not tried "
        "again: after five refusals in a row the cloud locks an access key for five minutes"
    )

    def __init__(self, key: AccessKey, project_id: str | None, now: Callable[[], datetime]) -> None:
        self._key = key
        self._project_id = project_id
        self._now = now
        self.secrets = (key.secret, *([key.security_token] if key.security_token is not None else []))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the request with its signature."""
        request.headers["X-Sdk-Date"] = stamp(self._now())
        if self._project_id is not None:
            request.headers["X-Project-Id"] = self._project_id
        if self._key.security_token is not None:
            request.headers["X-Security-Token"] = self._key.security_token
        signed = {name: value for name, value in request.headers.items() if name in _SIGNED}
        what = Signable(request.method, request.url.raw_path.decode("ascii"), signed, request.content)
        request.headers["Authorization"] = authorization(self._key.access, self._key.secret, what)
        yield request


def refusal_hint(badge: RequestAuth, answer: HttpResponse, clock: Clock) -> str:
    """Return what to do about a badge that was refused: set the clock, where that is what is wrong with a signature."""
    if not badge.dated or answer.told_at is None:
        return badge.hint
    ahead_s = (clock.now() - answer.told_at).total_seconds()
    if abs(ahead_s) < CLOCK_DIFFERENCE_S:
        return badge.hint
    way = "ahead of" if ahead_s > 0 else "behind"
    return f"the clock of this machine is {abs(ahead_s) / 60:.0f} minutes {way} the cloud's: set it; 15 are too many"
