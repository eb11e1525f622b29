"""Send requests for one project: wait, authenticate, send, classify.

A read is repeated after every 429, and up to READ_TRIES tries after other failures that may pass. A write leaves this
machine at most once, whatever happens to it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import quote, urlencode

import anyio

from fleetos.clock import Clock
from fleetos.cloud.auth.grant import Grant
from fleetos.cloud.auth.login import Login
from fleetos.cloud.auth.request_auth import refusal_hint
from fleetos.cloud.auth.token_cache import CachedToken, TokenCache
from fleetos.cloud.http.addresses import Origin
from fleetos.cloud.http.classification import classify_read_failure, describe_response, parse_reply, unreachable_error
from fleetos.cloud.http.error_body import ErrorBody, parse_error_body
from fleetos.cloud.http.transport import HttpRequest, HttpResponse, Transport
from fleetos.cloud.operations import Operation
from fleetos.cloud.rate.priority_queue import Priority
from fleetos.cloud.rate.throttle import RequestClass, Throttle, parse_throttled
from fleetos.errors import AnswerLost, AuthenticationFailed, CloudError, CloudUnreachable, NotSent
from fleetos.ids import Chance
from fleetos.limits import PASSWORDS_HIDDEN, READ_TIMEOUT_S, SMALL_ANSWER_BYTES, WRITE_DEPARTS_WITHIN_S
from fleetos.model.inventory import Reply, Unanswered, Undelivered
from fleetos.model.permit import LastCheck, Permit
from fleetos.model.run import Secrets

# Time-out of a whole write: gateways give up on their backend after about a minute, and their answer is worth having.
WRITE_TIMEOUT_S = 75.0
# A page of 1000 servers with all their fields is about 5 MB; no answer of the cloud may fill the memory.
ANSWER_BYTES = 32 * 2**20
# Tries of a read. The wait between tries begins with READ_WAIT_S and doubles up to READ_WAIT_MAX_S.
READ_TRIES = 4
READ_WAIT_S = 0.5
READ_WAIT_MAX_S = 8.0
T = TypeVar("T")
_JSON: Mapping[str, str] = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One read."""

    operation: Operation
    """The kind of request, as it is counted."""
    origin: Origin
    path: str
    about: str
    """The thing that is read, in words for errors."""
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    priority: Priority = Priority.POLL
    body: Mapping[str, object] | None = None
    """Send the read as a POST with this body, for an API that reads by POST."""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One write."""

    operation: Operation
    """The kind of request, as it is counted."""
    origin: Origin
    path: str
    body: Mapping[str, object] = field(repr=False)
    """The content; it may hold secrets."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets in `body`, redacted from everything that the cloud returns."""


class _Retry(Exception):
    """Signal that a read is worth repeating; `error` is its failure once the tries are used up."""

    def __init__(self, error: CloudError) -> None:
        super().__init__(error.message)
        self.error = error


class _Throttled(Exception):
    """Signal that a read met a 429: it did not fail, and is repeated after the pause."""


class Session:
    """Authenticated, rate-limited requests to one project. The throttle must use the same elapsed clock."""

    def __init__(self, login: Login, transport: Transport, throttle: Throttle, clock: Clock, chance: Chance) -> None:
        self._transport = transport
        self._chance = chance
        self._login = login
        self._tokens = TokenCache(login.request_grant, self._elapsed)
        # A dict keeps the order of last use.
        self._hidden: dict[Secrets, None] = {}
        self.throttle = throttle
        self.clock = clock

    @property
    def sent_counts(self) -> Mapping[str, int]:
        """Number of requests that left this machine so far, by operation."""
        return self._transport.sent_counts

    @property
    def simulated(self) -> bool:
        """True if every response so far, and at least one, came from a simulated cloud."""
        return self._transport.simulated

    def hide(self, password: str) -> None:
        """Redact a password from every response from now on: the cloud may quote it long after it was sent."""
        hidden = Secrets(adminpass=password)
        self._hidden.pop(hidden, None)
        self._hidden[hidden] = None
        if len(self._hidden) > PASSWORDS_HIDDEN:
            del self._hidden[next(iter(self._hidden))]

    async def login(self) -> Grant:
        """Log in and return the grant. Raise AuthenticationFailed or CloudUnreachable."""

        async def attempt() -> Grant:
            await self._current_token()
            if self._tokens.grant is None:
                raise CloudUnreachable("the login granted nothing")
            return self._tokens.grant

        return await self._retry(attempt)

    async def access_key_user(self) -> str | None:
        """Return the user of the access key, None if IAM does not show it or there is no access key."""
        return await self._login.access_key_user()

    async def probe_endpoint(self, origin: Origin) -> HttpResponse:
        """Return the response of a service to an unauthenticated GET, whatever its status. Raise CloudUnreachable."""
        request = HttpRequest(
            operation="versions",
            method="GET",
            url=_url(origin, "/"),
            headers={},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
        )
        await self.throttle.wait_until_open()
        sent_at = self.clock.moment()
        try:
            return replace(await self._transport.send(request), sent_at=sent_at)
        except (NotSent, AnswerLost) as error:
            raise unreachable_error(str(origin), error) from None

    async def read(self, read: ReadRequest) -> HttpResponse:
        """Return the 2xx response. Raise AuthenticationFailed, PermissionDenied, CloudUnreachable or ReadRefused."""
        return await self._retry(lambda: self._read_once(read))

    async def write(self, write: WriteRequest, permit: Permit, last_check: LastCheck) -> Reply:
        """Send one request and return its reply. Raise ValueError for an unknown or used permit, and nothing else."""
        began_s = self._elapsed()

        def may_leave() -> str | None:
            if self.throttle.closed_for_s() > 0:
                return "the cloud has asked for a pause (429)"
            if self._elapsed() - began_s > WRITE_DEPARTS_WITHIN_S:
                return "the connection took too long, and what the request was decided by may have changed"
            return last_check()

        async with self.throttle.writing(permit):
            try:
                with anyio.fail_after(WRITE_DEPARTS_WITHIN_S):
                    token = await self._tokens.current()
            except TimeoutError:
                return Undelivered("no token could be had in time")
            except CloudError as error:
                return Undelivered(f"no token: {error.message}")
            request = HttpRequest(
                operation=write.operation,
                method="POST",
                url=_url(write.origin, write.path),
                headers=_JSON,
                auth=token.auth,
                timeout_s=WRITE_TIMEOUT_S,
                answer_bytes=SMALL_ANSWER_BYTES,
                content=json.dumps(write.body).encode(),
                effect=True,
                last_check=may_leave,
                secrets=(*write.secrets, *self._secrets(token)),
                priority=Priority.WRITE.name.lower(),
            )
            left_s = self._elapsed()
            try:
                response = await self._transport.send(request)
            except NotSent as error:
                return Undelivered(error.message)
            except AnswerLost as error:
                return Unanswered(error.message)
            error_body = parse_error_body(response.headers, response.body, response.secrets)
            self._pause_if_throttled(response, error_body, RequestClass.WRITE, left_s)
            self._record_acceptance(token, response, error_body, write.operation)
            return parse_reply(response, error_body, self.clock)

    async def _retry(self, attempt: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await attempt()
            except _Throttled:
                continue
            except _Retry as retry:
                failures += 1
                if failures >= READ_TRIES:
                    raise retry.error from None
            wait_s = min(READ_WAIT_S * 2.0 ** (failures - 1), READ_WAIT_MAX_S)
            await anyio.sleep(wait_s * (0.5 + self._chance.fraction()))

    async def _current_token(self) -> CachedToken:
        try:
            return await self._tokens.current()
        except (NotSent, AnswerLost, CloudUnreachable) as error:
            failure = unreachable_error("the login", error)
        raise _Retry(failure)

    async def _read_once(self, read: ReadRequest) -> HttpResponse:
        response, failure = await self._send_in_turn(read)
        if failure is not None:
            # The token may have ended early: the cache renews it, and the read is repeated once.
            response, failure = await self._send_in_turn(read)
        if failure is not None:
            raise _Retry(failure)
        return response

    async def _send_in_turn(self, read: ReadRequest) -> tuple[HttpResponse, AuthenticationFailed | None]:
        """Wait for the turn of one request, then send it; return and raise as `_send` does."""
        async with self.throttle.reading(read.priority):
            if self._tokens.usable is not None:
                return await self._send(read)
            await self._current_token()
        # A read that waited for the login waits for a new turn; otherwise all of them would leave at once.
        async with self.throttle.reading(read.priority):
            return await self._send(read)

    async def _send(self, read: ReadRequest) -> tuple[HttpResponse, AuthenticationFailed | None]:
        """Return the response with None if it is a 2xx, or with the failure of a token that may be renewed.

        Raise every other failure.
        """
        token = await self._current_token()
        if self.throttle.closed_for_s() > 0:
            # The cloud asked for a pause while the login took its time.
            raise _Throttled
        request = HttpRequest(
            operation=read.operation,
            method="GET" if read.body is None else "POST",
            url=_url(read.origin, read.path, read.params),
            headers={} if read.body is None else _JSON,
            auth=token.auth,
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=ANSWER_BYTES,
            content=None if read.body is None else json.dumps(read.body).encode(),
            secrets=self._secrets(token),
            priority=read.priority.name.lower(),
        )
        # Taken after the wait for a turn: the response shows the state of the cloud from here on, not from before.
        sent_at = self.clock.moment()
        try:
            response = replace(await self._transport.send(request), sent_at=sent_at)
        except (NotSent, AnswerLost) as error:
            raise _Retry(unreachable_error(read.about, error)) from None
        # A 202 to a read is flow control with a body that says so (Common.0024).
        if 200 <= response.status < 300 and response.status != 202:
            self._tokens.mark_accepted(token)
            return response, None
        error_body = parse_error_body(response.headers, response.body, response.secrets)
        if self._pause_if_throttled(response, error_body, RequestClass.READ, sent_at.elapsed_s):
            raise _Throttled
        if (rejection := self._record_acceptance(token, response, error_body, read.about)) is not None:
            if self._tokens.given_up:
                raise rejection
            return response, rejection
        failure, worth_repeating = classify_read_failure(read.about, response, error_body)
        raise _Retry(failure) if worth_repeating else failure

    def _pause_if_throttled(
        self, response: HttpResponse, error_body: ErrorBody, request_class: RequestClass, left_s: float
    ) -> bool:
        """Pause all requests after a 429; return whether it was one."""
        refusal = parse_throttled(response, error_body, request_class, left_s, self.clock)
        if refusal is not None:
            self.throttle.pause(refusal)
        return refusal is not None

    def _record_acceptance(
        self, token: CachedToken, response: HttpResponse, error_body: ErrorBody, about: str
    ) -> AuthenticationFailed | None:
        """Record whether the service accepted the token or key; return the failure if it did not."""
        if response.status != 401:
            # A gateway that fails or throttles may not have checked the token.
            if response.status < 500 and response.status != 429:
                self._tokens.mark_accepted(token)
            return None
        failure = AuthenticationFailed(
            f"{about}: the cloud does not accept {token.auth.called}: {describe_response(response, error_body)}",
            refusal_hint(token.auth, response, self.clock),
            code=error_body.code,
            status=401,
            request_id=error_body.request_id,
        )
        self._tokens.mark_refused(token, failure)
        return failure

    def _secrets(self, token: CachedToken) -> tuple[str, ...]:
        """Return the secrets that any response may quote."""
        return (*token.auth.secrets, *(secret.adminpass for secret in self._hidden if secret.adminpass is not None))

    def _elapsed(self) -> float:
        return self.clock.moment().elapsed_s


def _url(origin: Origin, path: str, params: Mapping[str, str] | None = None) -> str:
    # Every server decodes %20 as a space; some keep a plus as it is, and then the signature does not match.
    return f"{origin}{path}?{urlencode(params, quote_via=quote)}" if params else f"{origin}{path}"
