"""What may be sent to one (cloud, project), and when: pace, places on the wire, turns, and the shared closure.

A 429 closes the whole scope for everybody. When it opens again, writes go first: they are few, and a read that comes
a moment later tells more.
"""

import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

import anyio

from fleetos.clock import Clock
from fleetos.cloud.http.error_body import ErrorBody, retry_after_s, stated_limit
from fleetos.cloud.http.transport import HttpResponse
from fleetos.cloud.rate.adaptive_rate import AdaptiveRate, LearnedRate
from fleetos.cloud.rate.priority_queue import Priority, PriorityQueue, Waiter
from fleetos.cloud.rate.token_bucket import TICK_S, TokenBucket
from fleetos.ids import Chance
from fleetos.limits import (
    AUTO_BURST,
    AUTO_READS_PER_S,
    AUTO_WRITES_PER_S,
    CLOSURE_LOOPBACK_S,
    CLOSURE_MAX_S,
    CLOSURE_S,
    CLOSURE_TOLD_MAX_S,
    LIMIT_FORGOTTEN_LOOPBACK_S,
    LIMIT_FORGOTTEN_S,
    WISH_GRACE_S,
)
from fleetos.model.codes import AnswerClass, known_code
from fleetos.model.experience import Limit
from fleetos.model.plan import ApiLimits

# So much later than writes do reads start after a closure, as a part of the base of closures.
_READS_LATER_PART = 0.02
# A closure is stretched by up to this part of it, so that several processes do not come back at once.
_JITTER_PART = 0.25
# A write for which a read comes first is asked for again after this.
_READ_FIRST_S = 0.1


class RequestClass(Enum):
    """What a request is counted as. Logins are counted by another service, and have no pace of their own."""

    READ = "read"
    WRITE = "write"
    LOGIN = "login"


# What is asked of a cloud of which nothing better is known.
_USUAL_PER_S = {RequestClass.READ: AUTO_READS_PER_S, RequestClass.WRITE: AUTO_WRITES_PER_S}


class Permit(Protocol):
    """The right to send one write."""

    def give_back(self) -> None:
        """Returns a permit that was not used."""
        ...


class WritePermit:
    """A token and a place for one write. It is used once, or given back."""

    def __init__(self, give_back: Callable[["WritePermit"], None]) -> None:
        self._give_back = give_back

    def give_back(self) -> None:
        """Return token and place; a permit that was used already is left alone."""
        self._give_back(self)


@dataclass(frozen=True, slots=True)
class Throttled:
    """A 429: when its request left (on the throttle's clock), and what the cloud said about coming back."""

    kind: RequestClass
    left_s: float
    retry_after_s: float | None = None
    limit: tuple[int, float] | None = None


class Throttle:
    """The pace of one scope. `elapsed` gives seconds on a clock that never goes back.

    `loopback`: the cloud is a simulated one, by its own word: no rate of its own, and short closures.
    """

    def __init__(
        self, limits: ApiLimits, elapsed: Callable[[], float], chance: Chance, *, loopback: bool = False
    ) -> None:
        self._elapsed = elapsed
        self._chance = chance
        self._limits = limits
        self.loopback = loopback
        self._paces: dict[RequestClass, AdaptiveRate] = {}
        self.set_pace(loopback=loopback)
        # Half the places each: whoever holds a place for a write reads before it sends, and must find one for that.
        self._write_places = max(1, limits.connections // 2)
        self._read_places = max(1, limits.connections - self._write_places)
        self._line = PriorityQueue()
        self._reading = self._writing = 0
        self._out: set[Permit] = set()
        self._wanted_until_s = self._open_at_s = self._closed_at_s = elapsed()
        self._closure_s = 0.0
        self._strikes = 0

    def set_pace(self, *, loopback: bool) -> None:
        """Begin anew with the pace of a real cloud, or of a simulated one."""
        now_s, rate_per_s, burst = self._elapsed(), self._limits.rate_per_s, self._limits.burst
        self.loopback = loopback
        if rate_per_s is not None:
            # A stated rate is for all requests together.
            stated = TokenBucket(rate_per_s, max(1.0, rate_per_s) if burst is None else burst, now_s, spared=1)
            budgets = dict.fromkeys(_USUAL_PER_S, stated)
        else:
            rates = dict.fromkeys(_USUAL_PER_S, None) if loopback else _USUAL_PER_S
            budgets = {kind: TokenBucket(rate, AUTO_BURST, now_s) for kind, rate in rates.items()}
        self._paces = {
            kind: AdaptiveRate(budgets[kind], usual, loopback=loopback) for kind, usual in _USUAL_PER_S.items()
        }

    def recall(self, limits: Mapping[str, Limit], now: datetime) -> None:
        """Begin with what earlier runs have learned, where that is slower and not too old. `now` is UTC."""
        kept_s = LIMIT_FORGOTTEN_LOOPBACK_S if self.loopback else LIMIT_FORGOTTEN_S
        for kind, pace in self._paces.items():
            limit = limits.get(kind.value)
            # A clock that was set back makes a limit no younger than it can be.
            age_s = max(0.0, (now - limit.learned_at).total_seconds()) if limit is not None else kept_s
            if limit is not None and age_s < kept_s:
                at_s = self._elapsed() - age_s
                pace.recall(LearnedRate(limit.rate_per_s, limit.burst, limit.told, at_s), self._elapsed())

    def learned(self, now: datetime) -> Mapping[str, Limit]:
        """Return what is worth remembering, by kind. `now` is UTC."""
        found = {kind.value: pace.found for kind, pace in self._paces.items()}
        ages_s = {kind: self._elapsed() - one.at_s for kind, one in found.items() if one is not None}
        return {
            kind: Limit(one.rate_per_s, one.burst, now - timedelta(seconds=ages_s[kind]), one.told)
            for kind, one in found.items()
            if one is not None
        }

    def read_rate_per_s(self) -> float | None:
        """Return how many reads a second are allowed, None for unlimited."""
        return self._paces[RequestClass.READ].rate_per_s

    def write_rate_per_s(self) -> float | None:
        """Return how many writes a second are allowed, None for unlimited."""
        return self._paces[RequestClass.WRITE].rate_per_s

    def closed_for_s(self) -> float:
        """Return how long the scope stays closed, 0 if it is open."""
        return max(0.0, self._open_at_s - self._elapsed())

    def permit(self) -> WritePermit | None:
        """Return the right to send one write, None while there is no token, no place, or the scope is closed."""
        now_s = self._elapsed()
        if (wait_s := self.permit_in_s()) > 0:
            if self.closed_for_s() == 0 and self._has_write_place():
                self._wanted_until_s = now_s + wait_s + WISH_GRACE_S
            return None
        self._served(Priority.WRITE)
        self._wanted_until_s = now_s
        self._paces[RequestClass.WRITE].take(now_s)
        self._line.wake()
        permit = WritePermit(self._give_back)
        self._out.add(permit)
        return permit

    def permit_in_s(self) -> float:
        """Return in how many seconds `permit` is worth asking, 0 if now, endless if only when a write has ended."""
        if (closed_s := self.closed_for_s()) > 0:
            return max(closed_s, TICK_S)
        if not self._has_write_place():
            return math.inf
        wait_s = self._paces[RequestClass.WRITE].wait_s(self._elapsed())
        return max(wait_s, _READ_FIRST_S) if self._shared and self._read_comes_first() else wait_s

    @asynccontextmanager
    async def writing(self, permit: Permit) -> AsyncGenerator[None]:
        """Use up a permit and hold its place. Raises ValueError for one that is not out: a defect of the caller."""
        if permit not in self._out:
            raise ValueError("a write needs a permit of this cloud that was not used before")
        self._out.discard(permit)
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1

    @asynccontextmanager
    async def reading(self, rank: Priority = Priority.POLL) -> AsyncGenerator[None]:
        """Hold a place for one read, once its turn, a token and an open scope have come."""
        with self._line.enqueued(rank) as waiter:
            while (wait_s := self._read_in_s(waiter)) > 0:
                await waiter.wait(wait_s)
            self._served(rank)
            self._paces[RequestClass.READ].take(self._elapsed())
            self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1
            self._line.wake()

    async def opened(self) -> None:
        """Return once the scope is open; for the requests that all others wait for."""
        while True:
            wait_s = self.closed_for_s()
            if wait_s <= 0:
                return
            await anyio.sleep(max(wait_s, TICK_S))

    def refused(self, refusal: Throttled) -> None:
        """Close the scope after a 429: for the longest of Retry-After, the limit's window, and our doubling wait."""
        now_s, pace = self._elapsed(), self._paces.get(refusal.kind)
        told = pace is not None and refusal.limit is not None and pace.told(*refusal.limit, now_s)
        told_s = max(refusal.retry_after_s or 0.0, refusal.limit[1] if refusal.limit else 0.0)
        wait_s = min(told_s, CLOSURE_TOLD_MAX_S)
        # Answers to requests that left before the scope was closed are the echo of that closure, and no new strike.
        if self._strikes == 0 or refusal.left_s > self._closed_at_s:
            quiet = refusal.left_s > self._open_at_s + self._closure_s
            self._strikes = 1 if quiet else self._strikes + 1
            self._closed_at_s = now_s
            self._closure_s = min(self._base_s * 2.0 ** min(self._strikes - 1, 30), CLOSURE_MAX_S)
            wait_s = max(wait_s, self._closure_s)
            if pace is not None and not told:
                pace.refused(refusal.left_s, now_s)
        wait_s *= 1 + _JITTER_PART * self._chance.fraction()
        self._open_at_s = max(self._open_at_s, now_s + wait_s)
        for one in self._paces.values():
            one.drain(self._open_at_s)

    def _reads_closed_for_s(self) -> float:
        later_s = self._base_s * _READS_LATER_PART if self._strikes else 0.0
        return self._open_at_s + later_s - self._elapsed()

    @property
    def _base_s(self) -> float:
        return CLOSURE_LOOPBACK_S if self.loopback else CLOSURE_S

    @property
    def _shared(self) -> bool:
        """Whether reads and writes draw from the same bucket."""
        return self._paces[RequestClass.READ].budget is self._paces[RequestClass.WRITE].budget

    def _has_write_place(self) -> bool:
        return len(self._out) + self._writing < self._write_places

    def _ranks(self) -> list[Priority]:
        """Whoever waits for the next token of reads."""
        wanted = self._shared and self._wanted_until_s > self._elapsed()
        return [*self._line.ranks(), *([Priority.WRITE] if wanted else [])]

    def _read_comes_first(self) -> bool:
        """Whether a read waits for nothing but the next token, and is more urgent than any write."""
        if self._reading >= self._read_places or self._reads_closed_for_s() > 0:
            return False
        return self._line.next([*self._line.ranks(), Priority.WRITE]) is not Priority.WRITE

    def _served(self, rank: Priority) -> None:
        if rank is not Priority.WRITE or self._shared:
            self._line.record_served(rank, self._ranks())

    def _read_in_s(self, waiter: Waiter) -> float:
        """In how many seconds the read is worth another look; endless where it will be woken."""
        if waiter is not self._line.first() or self._reading >= self._read_places:
            return math.inf
        now_s = self._elapsed()
        if (closed_s := self._reads_closed_for_s()) > 0:
            return max(closed_s, TICK_S)
        if self._line.next(self._ranks()) is Priority.WRITE:
            return max(self._wanted_until_s - now_s, TICK_S)
        return self._paces[RequestClass.READ].wait_s(now_s, sparing=True)

    def _give_back(self, permit: Permit) -> None:
        if permit in self._out:
            self._out.discard(permit)
            self._paces[RequestClass.WRITE].put_back()
            self._line.wake()


def throttled(
    answer: HttpResponse, complaint: ErrorBody, kind: RequestClass, left_s: float, clock: Clock
) -> Throttled | None:
    """Return what a 429 (or its older form, Common.1503 with 503) tells about coming back; None for other answers."""
    known = known_code(complaint.code)
    by_code = known is not None and known.write is AnswerClass.THROTTLED and answer.status in known.statuses
    if answer.status != 429 and not by_code:
        return None
    return Throttled(kind, left_s, retry_after_s(answer.headers, clock), stated_limit(complaint.message))
