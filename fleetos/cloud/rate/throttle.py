"""Rate limit of a project: rate, connections, priorities, pause after a 429.

A 429 pauses all requests to the project. After the pause writes go first: they are few, and a read that comes a moment
later shows more.
"""

import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import anyio

from fleetos.clock import Clock
from fleetos.cloud.http.error_body import ErrorBody, retry_after_s, stated_limit
from fleetos.cloud.http.transport import HttpResponse
from fleetos.cloud.rate.adaptive_rate import AdaptiveRate, LearnedRate
from fleetos.cloud.rate.priority_queue import Priority, PriorityQueue, Waiter
from fleetos.cloud.rate.token_bucket import TICK_S, TokenBucket
from fleetos.ids import Chance
from fleetos.limits import CLOSURE_STATED_MAX_S, LIMIT_FORGOTTEN_LOOPBACK_S, LIMIT_FORGOTTEN_S
from fleetos.model.codes import AnswerClass, known_code
from fleetos.model.experience import Limit
from fleetos.model.permit import Permit
from fleetos.model.plan import ApiLimits

# Rates while nothing better is known: no ECS figures are published; users report that 200 requests in 5 minutes are
# refused and that these rates are accepted.
AUTO_READS_PER_S = 5.0
AUTO_WRITES_PER_S = 1.0
AUTO_BURST = 10.0
# After a 429 nothing is sent for CLOSURE_S, doubling up to CLOSURE_MAX_S (as the terraform providers of both clouds).
CLOSURE_S = 60.0
CLOSURE_MAX_S = 960.0
# The simulated cloud on this machine recovers from a burst at once; a minute would only make a rehearsal slow.
CLOSURE_LOOPBACK_S = 1.0
# The turn of a write that got no permit is kept for this much longer than its wait: the engine asks after a commit.
WRITE_TURN_GRACE_S = 1.0
# After a pause, reads start later than writes by this share of the shortest pause.
_READS_LATER_PART = 0.02
# A pause is lengthened by up to this share, so that several processes do not resume at once.
_JITTER_PART = 0.25
# Retry a permit after this time while a more urgent read takes the next token.
_READ_FIRST_S = 0.1


class RequestClass(Enum):
    """Class of requests with a common rate. Logins go to another service, and have no rate of their own."""

    READ = "read"
    WRITE = "write"
    LOGIN = "login"


# Rates for a cloud of which nothing better is known.
_USUAL_PER_S = {RequestClass.READ: AUTO_READS_PER_S, RequestClass.WRITE: AUTO_WRITES_PER_S}


class WritePermit:
    """Token and connection for one write. It is used once, or given back."""

    def __init__(self, give_back: Callable[["WritePermit"], None]) -> None:
        self._give_back = give_back

    def give_back(self) -> None:
        """Return token and connection; do nothing if the permit was used or given back."""
        self._give_back(self)


@dataclass(frozen=True, slots=True)
class Throttled:
    """429 response: when its request left (on the throttle's clock), and the limit and wait that the cloud stated."""

    kind: RequestClass
    left_s: float
    retry_after_s: float | None = None
    limit: tuple[int, float] | None = None


def parse_throttled(
    response: HttpResponse, error_body: ErrorBody, request_class: RequestClass, left_s: float, clock: Clock
) -> Throttled | None:
    """Return the refusal if the response is a 429, or its older form, Common.1503 with 503; else None."""
    known = known_code(error_body.code)
    by_code = known is not None and known.write is AnswerClass.THROTTLED and response.status in known.statuses
    if response.status != 429 and not by_code:
        return None
    return Throttled(request_class, left_s, retry_after_s(response.headers, clock), stated_limit(error_body.message))


class Throttle:
    """Rate limit of one project. `elapsed` returns the seconds of a clock that never goes back.

    `loopback`: the cloud says that it is a simulated one; it gets no default rate, and short pauses.
    """

    def __init__(
        self, limits: ApiLimits, elapsed: Callable[[], float], chance: Chance, *, loopback: bool = False
    ) -> None:
        self._elapsed = elapsed
        self._chance = chance
        self._limits = limits
        self.loopback = loopback
        self._rates: dict[RequestClass, AdaptiveRate] = {}
        self.set_rates(loopback=loopback)
        # Half the connections each: the holder of a permit reads before it writes, and that read needs a connection.
        self._write_places = max(1, limits.connections // 2)
        self._read_places = max(1, limits.connections - self._write_places)
        self._queue = PriorityQueue()
        self._reading = self._writing = 0
        self._permits_out: set[Permit] = set()
        self._wanted_until_s = self._open_at_s = self._closed_at_s = elapsed()
        self._closure_s = 0.0
        self._strikes = 0

    def set_rates(self, *, loopback: bool) -> None:
        """Start again with the rates of a real or of a simulated cloud."""
        now_s, rate_per_s, burst = self._elapsed(), self._limits.rate_per_s, self._limits.burst
        self.loopback = loopback
        if rate_per_s is not None:
            # The rate in a plan is for all requests together.
            stated = TokenBucket(rate_per_s, max(1.0, rate_per_s) if burst is None else burst, now_s, spared=1)
            budgets = dict.fromkeys(_USUAL_PER_S, stated)
        else:
            rates = dict.fromkeys(_USUAL_PER_S, None) if loopback else _USUAL_PER_S
            budgets = {request_class: TokenBucket(rate, AUTO_BURST, now_s) for request_class, rate in rates.items()}
        self._rates = {
            request_class: AdaptiveRate(budgets[request_class], usual_per_s, loopback=loopback)
            for request_class, usual_per_s in _USUAL_PER_S.items()
        }

    def recall(self, limits: Mapping[str, Limit], now: datetime) -> None:
        """Start with the limits that earlier runs learned, if they are lower and not too old. `now` is UTC."""
        kept_s = LIMIT_FORGOTTEN_LOOPBACK_S if self.loopback else LIMIT_FORGOTTEN_S
        for request_class, rate in self._rates.items():
            limit = limits.get(request_class.value)
            # The clock may have been set back since: an age is never negative.
            age_s = max(0.0, (now - limit.learned_at).total_seconds()) if limit is not None else kept_s
            if limit is not None and age_s < kept_s:
                at_s = self._elapsed() - age_s
                rate.recall(LearnedRate(limit.rate_per_s, limit.burst, limit.told, at_s), self._elapsed())

    def learned(self, now: datetime) -> Mapping[str, Limit]:
        """Return the learned limits by class of requests. `now` is UTC."""
        learned_rates = {request_class.value: rate.learned_rate for request_class, rate in self._rates.items()}
        ages_s = {
            request_class: self._elapsed() - rate.at_s
            for request_class, rate in learned_rates.items()
            if rate is not None
        }
        return {
            request_class: Limit(
                rate.rate_per_s, rate.burst, now - timedelta(seconds=ages_s[request_class]), rate.stated
            )
            for request_class, rate in learned_rates.items()
            if rate is not None
        }

    def read_rate_per_s(self) -> float | None:
        """Return the allowed reads per second, None for unlimited."""
        return self._rates[RequestClass.READ].rate_per_s

    def write_rate_per_s(self) -> float | None:
        """Return the allowed writes per second, None for unlimited."""
        return self._rates[RequestClass.WRITE].rate_per_s

    def closed_for_s(self) -> float:
        """Return the seconds until the pause after a 429 ends, 0 without a pause."""
        return max(0.0, self._open_at_s - self._elapsed())

    def permit(self) -> WritePermit | None:
        """Return a permit for one write, None during a pause, without a token, or without a free connection."""
        now_s = self._elapsed()
        if (wait_s := self.permit_in_s()) > 0:
            if self.closed_for_s() == 0 and self._has_write_place():
                self._wanted_until_s = now_s + wait_s + WRITE_TURN_GRACE_S
            return None
        self._record_served(Priority.WRITE)
        self._wanted_until_s = now_s
        self._rates[RequestClass.WRITE].take(now_s)
        self._queue.wake()
        permit = WritePermit(self._give_back)
        self._permits_out.add(permit)
        return permit

    def permit_in_s(self) -> float:
        """Return the seconds until `permit` is worth calling, 0 if now, infinity if a write must end first."""
        if (closed_s := self.closed_for_s()) > 0:
            return max(closed_s, TICK_S)
        if not self._has_write_place():
            return math.inf
        wait_s = self._rates[RequestClass.WRITE].wait_s(self._elapsed())
        return max(wait_s, _READ_FIRST_S) if self._shared and self._read_comes_first() else wait_s

    @asynccontextmanager
    async def writing(self, permit: Permit) -> AsyncGenerator[None]:
        """Use up a permit and hold its connection. Raise ValueError for an unknown or used one: a caller's defect."""
        if permit not in self._permits_out:
            raise ValueError("a write needs a permit of this cloud that was not used before")
        self._permits_out.discard(permit)
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1

    @asynccontextmanager
    async def reading(self, priority: Priority = Priority.POLL) -> AsyncGenerator[None]:
        """Wait for the turn, a token and the end of any pause; then hold a connection for one read."""
        with self._queue.enqueued(priority) as waiter:
            while (wait_s := self._read_wait_s(waiter)) > 0:
                await waiter.wait(wait_s)
            self._record_served(priority)
            self._rates[RequestClass.READ].take(self._elapsed())
            self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1
            self._queue.wake()

    async def wait_until_open(self) -> None:
        """Wait until the pause ends, for requests that all others wait for, such as a login."""
        while True:
            wait_s = self.closed_for_s()
            if wait_s <= 0:
                return
            await anyio.sleep(max(wait_s, TICK_S))

    def pause(self, refusal: Throttled) -> None:
        """Pause after a 429: for the longest of Retry-After, the window of the stated limit, and our doubling wait."""
        now_s, rate = self._elapsed(), self._rates.get(refusal.kind)
        kept_stated = rate is not None and refusal.limit is not None and rate.keep_stated_limit(*refusal.limit, now_s)
        stated_s = max(refusal.retry_after_s or 0.0, refusal.limit[1] if refusal.limit else 0.0)
        wait_s = min(stated_s, CLOSURE_STATED_MAX_S)
        # A 429 to a request that left before the pause began belongs to that pause, and is not a new strike.
        if self._strikes == 0 or refusal.left_s > self._closed_at_s:
            quiet = refusal.left_s > self._open_at_s + self._closure_s
            self._strikes = 1 if quiet else self._strikes + 1
            self._closed_at_s = now_s
            self._closure_s = min(self._base_s * 2.0 ** min(self._strikes - 1, 30), CLOSURE_MAX_S)
            wait_s = max(wait_s, self._closure_s)
            if rate is not None and not kept_stated:
                rate.slow_down(refusal.left_s, now_s)
        wait_s *= 1 + _JITTER_PART * self._chance.fraction()
        self._open_at_s = max(self._open_at_s, now_s + wait_s)
        for other in self._rates.values():
            other.drain(self._open_at_s)

    def _reads_closed_for_s(self) -> float:
        later_s = self._base_s * _READS_LATER_PART if self._strikes else 0.0
        return self._open_at_s + later_s - self._elapsed()

    @property
    def _base_s(self) -> float:
        return CLOSURE_LOOPBACK_S if self.loopback else CLOSURE_S

    @property
    def _shared(self) -> bool:
        """True if reads and writes share one token bucket."""
        return self._rates[RequestClass.READ].budget is self._rates[RequestClass.WRITE].budget

    def _has_write_place(self) -> bool:
        return len(self._permits_out) + self._writing < self._write_places

    def _waiting_priorities(self) -> list[Priority]:
        """Return the priorities that wait for the next token of reads."""
        wanted = self._shared and self._wanted_until_s > self._elapsed()
        return [*self._queue.priorities(), *([Priority.WRITE] if wanted else [])]

    def _read_comes_first(self) -> bool:
        """Return whether a read needs only the next token, and has its turn before any write."""
        if self._reading >= self._read_places or self._reads_closed_for_s() > 0:
            return False
        return self._queue.choose([*self._queue.priorities(), Priority.WRITE]) is not Priority.WRITE

    def _record_served(self, priority: Priority) -> None:
        if priority is not Priority.WRITE or self._shared:
            self._queue.record_served(priority, self._waiting_priorities())

    def _read_wait_s(self, waiter: Waiter) -> float:
        """Return the seconds until the read should check again, infinity if it will be woken."""
        if waiter is not self._queue.first() or self._reading >= self._read_places:
            return math.inf
        now_s = self._elapsed()
        if (closed_s := self._reads_closed_for_s()) > 0:
            return max(closed_s, TICK_S)
        if self._queue.choose(self._waiting_priorities()) is Priority.WRITE:
            return max(self._wanted_until_s - now_s, TICK_S)
        return self._rates[RequestClass.READ].wait_s(now_s, sparing=True)

    def _give_back(self, permit: Permit) -> None:
        if permit in self._permits_out:
            self._permits_out.discard(permit)
            self._rates[RequestClass.WRITE].put_back()
            self._queue.wake()
