"""Authenticate a request by an `X-Auth-Token` header or an AK/SK signature.

Applied last: a signature covers the finished request.
"""

from collections.abc import Callable, Generator
from datetime import datetime

import httpx

from fleetos.clock import Clock
from fleetos.cloud.auth.credentials import AccessKey
from fleetos.cloud.auth.signature import Signable, authorization, format_date
from fleetos.cloud.http.transport import HttpResponse

# From this difference between the clocks on, it counts as the cause of a refused signature: 15 minutes are allowed (API
# Request Signing Guide), and the clock of an answer's Date is not quite the one that judges.
CLOCK_DIFFERENCE_S = 300.0
# Headers that are signed if present; not those that a library or a proxy may add or rewrite.
_SIGNED = frozenset({"host", "content-type", "x-project-id", "x-sdk-date", "x-security-token"})


class RequestAuth(httpx.Auth):
    """Authentication of requests. Its repr shows no secret."""

    secrets: tuple[str, ...] = ()
    """Secrets that are redacted from every response."""
    renewable = True
    """IAM issues a new one at any time."""
    dated = False
    """The cloud refuses it if the clock of this machine is wrong."""
    called = ""
    """Its name in errors."""
    hint = ""
    """Advice for the user if the cloud does not accept it."""


class TokenAuth(RequestAuth):
    """Token of IAM (header X-Auth-Token)."""

    called = "the token that it gave"
    hint = "is the region right, and does the endpoint belong to the same cloud?"

    def __init__(self, text: str, *, renewable: bool = True) -> None:
        self.secrets = (text,)
        self.renewable = renewable
        if not renewable:
            self.called = "the token that was given to fleetos"
            self.hint = f"it has ended or was taken back, or is of another region: give a new one. {TokenAuth.hint}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the request with the token."""
        # As the first header: a response that quotes the end of a request is then less likely to contain a part of the
        # token, of which up to five letters would escape redaction.
        request.headers = httpx.Headers([(b"X-Auth-Token", self.secrets[0].encode()), *request.headers.raw])
        yield request


class SignatureAuth(RequestAuth):
    """Signature of each request by an access key (IAM API Reference, "AK/SK-based authentication").

    `project_id` is None for requests to IAM, which belong to no project. A security token is sent and signed too.
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
        """Yield the request with its date and signature."""
        request.headers["X-Sdk-Date"] = format_date(self._now())
        if self._project_id is not None:
            request.headers["X-Project-Id"] = self._project_id
        if self._key.security_token is not None:
            request.headers["X-Security-Token"] = self._key.security_token
        signed_headers = {name: value for name, value in request.headers.items() if name in _SIGNED}
        signable = Signable(request.method, request.url.raw_path.decode("ascii"), signed_headers, request.content)
        request.headers["Authorization"] = authorization(self._key.access, self._key.secret, signable)
        yield request


def refusal_hint(auth: RequestAuth, response: HttpResponse, clock: Clock) -> str:
    """Return the hint for a refused token or signature: to set the clock, if that is why a signature was refused."""
    if not auth.dated or response.cloud_time is None:
        return auth.hint
    ahead_s = (clock.now() - response.cloud_time).total_seconds()
    if abs(ahead_s) < CLOCK_DIFFERENCE_S:
        return auth.hint
    direction = "ahead of" if ahead_s > 0 else "behind"
    return (
        f"the clock of this machine is {abs(ahead_s) / 60:.0f} minutes {direction} the cloud's: set it; 15 are too many"
    )
