"""The pace of one (cloud, project): token buckets for reads and writes, places on the wire, and the shared closure.

A 429 closes the whole scope for everybody. When it opens again, writes go first: they are few, and a read that comes
a moment later tells more.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import anyio

from fleetos.ids import Chance
from fleetos.limits import (
    AUTO_BURST,
    AUTO_READS_PER_S,
    AUTO_WRITES_PER_S,
    CLOSURE_LOOPBACK_S,
    CLOSURE_MAX_S,
    CLOSURE_S,
    CLOSURE_TOLD_MAX_S,
)
from fleetos.model.plan import ApiLimits

# So much later than writes do reads start after a closure, as a part of the base of closures.
_READS_LATER_PART = 0.02
# A closure is stretched by up to this part of it, so that several processes do not come back at once.
_JITTER_PART = 0.25
# When all places for writes are taken, nobody knows when one is given back: ask again after this.
_PLACE_WAIT_S = 0.1
# The shortest wait that is worth a sleep; below it, rounding decides.
_TICK_S = 0.001


class Kind(Enum):
    """Which bucket a request draws from."""

    READ = "read"
    WRITE = "write"


class Permit(Protocol):
    """The right to send one write."""

    def give_back(self) -> None:
        """Returns a permit that was not used."""
        ...


class Bucket:
    """A token bucket over a clock of the caller. `rate_per_s` None: unlimited.

    `spared`: tokens that reads leave to writes, where both draw from one bucket. A write is decided by a look of the
    last minute: if reads took every token of a slow bucket, each look would be too old when the write has its own.
    """

    def __init__(self, rate_per_s: float | None, burst: float, now_s: float, spared: int = 0) -> None:
        self.rate_per_s = rate_per_s
        self.spared = spared
        self._burst = max(1.0 + spared, burst)
        self._tokens = self._burst
        self._at_s = now_s

    def wait_s(self, now_s: float, needed: float = 1.0) -> float:
        """Return how long until so many tokens are there; 0 if they are."""
        if self.rate_per_s is None:
            return 0.0
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self.rate_per_s)
        self._at_s = max(self._at_s, now_s)
        if self._tokens >= needed - 1e-9:
            return 0.0
        return max(_TICK_S, (needed - self._tokens) / self.rate_per_s)

    def take(self, now_s: float) -> None:
        """Take a token; the caller has seen that one is there."""
        self.wait_s(now_s)
        self._tokens -= 1.0

    def put_back(self) -> None:
        """Return a token that was not used."""
        self._tokens = min(self._burst, self._tokens + 1.0)

    def drain(self, until_s: float) -> None:
        """Leave one token, and save up no more before `until_s`: the savings would be the next burst to be refused."""
        self._tokens = min(self._tokens, 1.0)
        self._at_s = max(self._at_s, until_s)

    def slow_down(self, rate_per_s: float, burst: float) -> None:
        """Keep to a limit that the cloud has named, if it is lower than the rate so far."""
        if self.rate_per_s is None or rate_per_s < self.rate_per_s:
            self.rate_per_s = rate_per_s
            self._burst = max(1.0 + self.spared, min(self._burst, burst))
            self._tokens = min(self._tokens, self._burst)


class WritePermit:
    """A token and a place for one write. It is used once, or given back."""

    def __init__(self, give_back: Callable[["WritePermit"], None]) -> None:
        self._give_back = give_back

    def give_back(self) -> None:
        """Return token and place; a permit that was used already is left alone."""
        self._give_back(self)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 429: when its request left (on the throttle's clock), and what the cloud said about coming back."""

    kind: Kind
    left_s: float
    retry_after_s: float | None = None
    limit: tuple[int, float] | None = None


class Throttle:
    """The pace of one scope. `elapsed` gives seconds on a clock that never goes back.

    `loopback`: the cloud is a simulated one on this machine: no rate of its own, and short closures.
    """

    def __init__(
        self, limits: ApiLimits, elapsed: Callable[[], float], chance: Chance, *, loopback: bool = False
    ) -> None:
        self._elapsed = elapsed
        self._chance = chance
        self._limits = limits
        self._buckets: dict[Kind, Bucket] = {}
        self._base_s = CLOSURE_S
        self.set_pace(loopback=loopback)
        # Half the places each: whoever holds a place for a write reads before it sends, and must find one for that.
        self._write_places = max(1, limits.connections // 2)
        read_places = max(1, limits.connections - self._write_places)
        self._read_places = anyio.Semaphore(read_places, fast_acquire=True)
        self._read_turn = anyio.Lock(fast_acquire=True)
        self._out: set[Permit] = set()
        self._writing = 0
        self._open_at_s = self._closed_at_s = elapsed()
        self._closure_s = 0.0
        self._strikes = 0

    def set_pace(self, *, loopback: bool) -> None:
        """Fill the buckets anew for the cloud that the login has led to."""
        now_s, rate_per_s, burst = self._elapsed(), self._limits.rate_per_s, self._limits.burst
        self._base_s = CLOSURE_LOOPBACK_S if loopback else CLOSURE_S
        if rate_per_s is not None:
            # A stated rate is for all requests together.
            stated = Bucket(rate_per_s, max(1.0, rate_per_s) if burst is None else burst, now_s, spared=1)
            self._buckets = {Kind.READ: stated, Kind.WRITE: stated}
        else:
            self._buckets = {
                Kind.READ: Bucket(None if loopback else AUTO_READS_PER_S, AUTO_BURST, now_s),
                Kind.WRITE: Bucket(None if loopback else AUTO_WRITES_PER_S, AUTO_BURST, now_s),
            }

    def read_rate_per_s(self) -> float | None:
        """Return how many reads a second are allowed, None for unlimited."""
        return self._buckets[Kind.READ].rate_per_s

    def closed_for_s(self) -> float:
        """Return how long the scope stays closed, 0 if it is open."""
        return max(0.0, self._open_at_s - self._elapsed())

    def permit(self) -> WritePermit | None:
        """Return the right to send one write, None while there is no token, no place, or the scope is closed."""
        if self.permit_in_s() > 0:
            return None
        self._buckets[Kind.WRITE].take(self._elapsed())
        permit = WritePermit(self._give_back)
        self._out.add(permit)
        return permit

    def permit_in_s(self) -> float:
        """Return in how many seconds `permit` is worth asking, 0 if now."""
        if (closed_s := self.closed_for_s()) > 0:
            return max(closed_s, _TICK_S)
        if len(self._out) + self._writing >= self._write_places:
            return _PLACE_WAIT_S
        return self._buckets[Kind.WRITE].wait_s(self._elapsed())

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
    async def reading(self) -> AsyncGenerator[None]:
        """Hold a place for one read, once its turn, a token and an open scope have come."""
        async with self._read_places:
            async with self._read_turn:
                await self._sleep_out(self._read_in_s)
                self._buckets[Kind.READ].take(self._elapsed())
            yield

    async def opened(self) -> None:
        """Return once the scope is open; for the requests that all others wait for."""
        await self._sleep_out(self.closed_for_s)

    def refused(self, refusal: Refusal) -> None:
        """Close the scope after a 429: for the longest of Retry-After, the limit's window, and our doubling wait."""
        now_s = self._elapsed()
        if refusal.limit is not None:
            requests, window_s = refusal.limit
            # Burst and rate together stay within the limit in every window, except for limits of a few.
            burst = max(1.0, requests / 10)
            rate_per_s = max(max(requests - burst, requests / 2) / window_s, 1 / CLOSURE_TOLD_MAX_S)
            self._buckets[refusal.kind].slow_down(rate_per_s, burst)
        told_s = max(refusal.retry_after_s or 0.0, refusal.limit[1] if refusal.limit else 0.0)
        wait_s = min(told_s, CLOSURE_TOLD_MAX_S)
        # Answers to requests that left before the scope was closed are the echo of that closure, and no new strike.
        if self._strikes == 0 or refusal.left_s > self._closed_at_s:
            quiet = refusal.left_s > self._open_at_s + self._closure_s
            self._strikes = 1 if quiet else self._strikes + 1
            self._closed_at_s = now_s
            self._closure_s = min(self._base_s * 2.0 ** min(self._strikes - 1, 30), CLOSURE_MAX_S)
            wait_s = max(wait_s, self._closure_s)
        wait_s *= 1 + _JITTER_PART * self._chance.fraction()
        self._open_at_s = max(self._open_at_s, now_s + wait_s)
        for bucket in self._buckets.values():
            bucket.drain(self._open_at_s)

    async def _sleep_out(self, left_s: Callable[[], float]) -> None:
        while True:
            wait_s = left_s()
            if wait_s <= 0:
                return
            await anyio.sleep(max(wait_s, _TICK_S))

    def _read_in_s(self) -> float:
        now_s = self._elapsed()
        later_s = self._base_s * _READS_LATER_PART if self._strikes else 0.0
        if (closed_s := self._open_at_s + later_s - now_s) > 0:
            return max(closed_s, _TICK_S)
        bucket = self._buckets[Kind.READ]
        return bucket.wait_s(now_s, 1.0 + bucket.spared)

    def _give_back(self, permit: WritePermit) -> None:
        if permit in self._out:
            self._out.discard(permit)
            self._buckets[Kind.WRITE].put_back()
