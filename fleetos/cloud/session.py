"""Requests of one scope: the pace before, the badge on, the transport below, and a verdict on each answer.

A read repeats what is worth repeating: after a 429 without end, else a bounded number of times. A write leaves at most
once, whatever comes of it.
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
from fleetos.cloud.http.classification import failed_read, reply_of, unreachable, words
from fleetos.cloud.http.error_body import ErrorBody, parse_error_body
from fleetos.cloud.http.transport import HttpRequest, HttpResponse, LastCheck, Transport
from fleetos.cloud.operations import Operation
from fleetos.cloud.rate.priority_queue import Priority
from fleetos.cloud.rate.throttle import Permit, RequestClass, Throttle, throttled
from fleetos.errors import AnswerLost, AuthenticationFailed, CloudError, CloudUnreachable, NotSent
from fleetos.ids import Chance
from fleetos.limits import (
    ANSWER_BYTES,
    PASSWORDS_HIDDEN,
    READ_TIMEOUT_S,
    READ_TRIES,
    READ_WAIT_MAX_S,
    READ_WAIT_S,
    SMALL_ANSWER_BYTES,
    WRITE_DEPARTS_WITHIN_S,
    WRITE_TIMEOUT_S,
)
from fleetos.model.inventory import Reply, Unanswered, Undelivered
from fleetos.model.run import Secrets

T = TypeVar("T")
_JSON: Mapping[str, str] = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One read: what it is counted as, where it goes, what it is about, in words for errors, and how urgent it is.

    With a `body` it is sent as a POST, for an API that asks so and changes nothing.
    """

    operation: Operation
    origin: Origin
    path: str
    about: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    rank: Priority = Priority.POLL
    body: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One write. `body` may hold secrets; those in `secrets` are blotted out of what the cloud is quoted with."""

    operation: Operation
    origin: Origin
    path: str
    body: Mapping[str, object] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


class _Again(Exception):
    """A read is worth repeating; `end` is what it comes to when the tries are used up."""

    def __init__(self, end: CloudError) -> None:
        super().__init__(end.message)
        self.end = end


class _Throttled(Exception):
    """A read met a 429; it is repeated when the scope is open again, and did not fail."""


class Session:
    """The way to one cloud and project. Its clock's elapsed seconds are the throttle's too."""

    def __init__(self, login: Login, transport: Transport, throttle: Throttle, clock: Clock, chance: Chance) -> None:
        self._transport = transport
        self._chance = chance
        self._login = login
        self._auth = TokenCache(login.ask, self._elapsed)
        # In the order of their last use; a dict for that order's sake.
        self._heldwords: dict[Secrets, None] = {}
        self.throttle = throttle
        self.clock = clock

    @property
    def left(self) -> Mapping[str, int]:
        """How many requests left this machine so far, by operation."""
        return self._transport.left

    @property
    def simulated(self) -> bool:
        """Whether all that has answered so far is a simulated cloud."""
        return self._transport.simulated

    def hide(self, password: str) -> None:
        """Keep a password out of all that the cloud is quoted with from now on: it may tell it long after."""
        hidden = Secrets(adminpass=password)
        self._heldwords.pop(hidden, None)
        self._heldwords[hidden] = None
        if len(self._heldwords) > PASSWORDS_HIDDEN:
            del self._heldwords[next(iter(self._heldwords))]

    async def login(self) -> Grant:
        """Return what the scope is granted. Raises AuthenticationFailed or CloudUnreachable."""

        async def once() -> Grant:
            await self._current()
            if self._auth.grant is None:
                raise CloudUnreachable("the login granted nothing")
            return self._auth.grant

        return await self._patiently(once)

    async def owner(self) -> str | None:
        """Return the user whose access key signs the requests, None where nobody says or another badge is shown."""
        return await self._login.owner()

    async def probe_endpoint(self, origin: Origin) -> HttpResponse:
        """Return what a service answers to somebody who shows nothing, whatever that is. Raises CloudUnreachable."""
        outgoing = HttpRequest(
            operation="versions",
            method="GET",
            url=_url(origin, "/"),
            headers={},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
        )
        await self.throttle.opened()
        left = self.clock.moment()
        try:
            return replace(await self._transport.send(outgoing), left=left)
        except (NotSent, AnswerLost) as error:
            raise unreachable(str(origin), error) from None

    async def read(self, read: ReadRequest) -> HttpResponse:
        """Return the answer, a 2xx. Raises AuthenticationFailed, PermissionDenied, CloudUnreachable or ReadRefused."""
        return await self._patiently(lambda: self._read_once(read))

    async def write(self, write: WriteRequest, permit: Permit, last_check: LastCheck) -> Reply:
        """Return what came of the one request. Raises ValueError for a permit that is not out, and nothing else."""
        begun_s = self._elapsed()

        def may_leave() -> str | None:
            if self.throttle.closed_for_s() > 0:
                return "the cloud has asked for a pause (429)"
            if self._elapsed() - begun_s > WRITE_DEPARTS_WITHIN_S:
                return "the connection took too long, and what the request was decided by may have changed"
            return last_check()

        async with self.throttle.writing(permit):
            try:
                with anyio.fail_after(WRITE_DEPARTS_WITHIN_S):
                    held = await self._auth.current()
            except TimeoutError:
                return Undelivered("no token could be had in time")
            except CloudError as error:
                return Undelivered(f"no token: {error.message}")
            outgoing = HttpRequest(
                operation=write.operation,
                method="POST",
                url=_url(write.origin, write.path),
                headers=_JSON,
                auth=held.auth,
                timeout_s=WRITE_TIMEOUT_S,
                answer_bytes=SMALL_ANSWER_BYTES,
                content=json.dumps(write.body).encode(),
                effect=True,
                last_check=may_leave,
                secrets=(*write.secrets, *self._secrets(held)),
            )
            left_s = self._elapsed()
            try:
                answer = await self._transport.send(outgoing)
            except NotSent as error:
                return Undelivered(error.message)
            except AnswerLost as error:
                return Unanswered(error.message)
            complaint = parse_error_body(answer.headers, answer.body, answer.secrets)
            self._heed(answer, complaint, RequestClass.WRITE, left_s)
            self._judge(held, answer, complaint, write.operation)
            return reply_of(answer, complaint, self.clock)

    async def _patiently(self, once: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await once()
            except _Throttled:
                continue
            except _Again as again:
                failures += 1
                if failures >= READ_TRIES:
                    raise again.end from None
            wait_s = min(READ_WAIT_S * 2.0 ** (failures - 1), READ_WAIT_MAX_S)
            await anyio.sleep(wait_s * (0.5 + self._chance.fraction()))

    async def _current(self) -> CachedToken:
        try:
            return await self._auth.current()
        except (NotSent, AnswerLost, CloudUnreachable) as error:
            failure = unreachable("the login", error)
        raise _Again(failure)

    async def _read_once(self, read: ReadRequest) -> HttpResponse:
        answer, refused = await self._ask(read)
        if refused is not None:
            # The token may have ended early: it is renewed, and the read repeated once.
            answer, refused = await self._ask(read)
        if refused is not None:
            raise _Again(refused)
        return answer

    async def _ask(self, read: ReadRequest) -> tuple[HttpResponse, AuthenticationFailed | None]:
        """One request, in its turn: what `_sent` returns, and raises."""
        async with self.throttle.reading(read.rank):
            if self._auth.at_hand is not None:
                return await self._sent(read)
            await self._current()
        # Whoever has waited for a login waits for another turn: all that did would leave at once else.
        async with self.throttle.reading(read.rank):
            return await self._sent(read)

    async def _sent(self, read: ReadRequest) -> tuple[HttpResponse, AuthenticationFailed | None]:
        """Its 2xx answer, or the failure of a badge that may be renewed. Raises all else."""
        held = await self._current()
        if self.throttle.closed_for_s() > 0:
            # The token was long in coming, and meanwhile the cloud has asked everybody to wait.
            raise _Throttled
        outgoing = HttpRequest(
            operation=read.operation,
            method="GET" if read.body is None else "POST",
            url=_url(read.origin, read.path, read.params),
            headers={} if read.body is None else _JSON,
            auth=held.auth,
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=ANSWER_BYTES,
            content=None if read.body is None else json.dumps(read.body).encode(),
            secrets=self._secrets(held),
        )
        # Its turn may have been long in coming: what the answer shows is as old as the request, not as the wish.
        left = self.clock.moment()
        try:
            answer = replace(await self._transport.send(outgoing), left=left)
        except (NotSent, AnswerLost) as error:
            raise _Again(unreachable(read.about, error)) from None
        # A 202 to a read is flow control with a body that says so (Common.0024).
        if 200 <= answer.status < 300 and answer.status != 202:
            self._auth.worked(held)
            return answer, None
        complaint = parse_error_body(answer.headers, answer.body, answer.secrets)
        if self._heed(answer, complaint, RequestClass.READ, left.elapsed_s):
            raise _Throttled
        if (refused := self._judge(held, answer, complaint, read.about)) is not None:
            if self._auth.ended:
                raise refused
            return answer, refused
        failure, again = failed_read(read.about, answer, complaint)
        raise _Again(failure) if again else failure

    def _heed(self, answer: HttpResponse, complaint: ErrorBody, kind: RequestClass, left_s: float) -> bool:
        """Closes the scope after a 429, and tells whether it was one."""
        told = throttled(answer, complaint, kind, left_s, self.clock)
        if told is not None:
            self.throttle.refused(told)
        return told is not None

    def _judge(
        self, held: CachedToken, answer: HttpResponse, complaint: ErrorBody, about: str
    ) -> AuthenticationFailed | None:
        """Notes what a service thinks of the badge, and returns the failure when it was refused."""
        if answer.status != 401:
            # A gateway in trouble, or in a hurry, may not have looked at it.
            if answer.status < 500 and answer.status != 429:
                self._auth.worked(held)
            return None
        failure = AuthenticationFailed(
            f"{about}: the cloud does not accept {held.auth.called}: {words(answer, complaint)}",
            refusal_hint(held.auth, answer, self.clock),
            code=complaint.code,
            status=401,
            request_id=complaint.request_id,
        )
        self._auth.rejected(held, failure)
        return failure

    def _secrets(self, held: CachedToken) -> tuple[str, ...]:
        """What an answer may quote whatever was asked."""
        return (*held.auth.secrets, *(one.adminpass for one in self._heldwords if one.adminpass is not None))

    def _elapsed(self) -> float:
        return self.clock.moment().elapsed_s


def _url(origin: Origin, path: str, params: Mapping[str, str] | None = None) -> str:
    # A space as %20 means the same to everybody; a plus is one to some, and then a signature is wrong.
    return f"{origin}{path}?{urlencode(params, quote_via=quote)}" if params else f"{origin}{path}"
