"""Token bucket that limits stops ahead of a slot. Pure."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class StopRate:
    """Token bucket that limits stops ahead of a slot.

    Without it, servers are stopped faster than changes can be sent, and stay stopped for long.
    """

    refill_per_s: float | None = None
    """The rate of writes; None: unlimited."""
    capacity: float = 0.0
    """Number of writes in twice the time that a stop takes, but at least 2."""
    tokens: float = 0.0
    updated_s: float = 0.0
    """When `tokens` was computed, on the elapsed clock."""

    def refill(self, now_s: float, writes_per_s: float | None, stop_s: float) -> "StopRate":
        """Return the bucket at `now_s`; the first one is full.

        `stop_s` is the time from a stop until the server is known to be ready.
        """
        if writes_per_s is None:
            return StopRate()
        capacity = max(2.0, 2 * writes_per_s * stop_s)
        tokens = capacity if self.refill_per_s is None else self.tokens + (now_s - self.updated_s) * writes_per_s
        return StopRate(writes_per_s, capacity, min(tokens, capacity), now_s)

    def take(self, stopped: int) -> "StopRate":
        """Return the bucket after `stopped` servers were stopped."""
        return replace(self, tokens=self.tokens - stopped)

    def available(self, ready: int) -> int | None:
        """Return how many servers may be stopped together while `ready` targets wait to be sent; None: any number.

        Half of the capacity is the least: fewer stops are not worth a call.
        """
        if self.refill_per_s is None:
            return None
        return int(self.tokens) if self._has_few_ready(ready) and self.tokens >= self.capacity / 2 else 0

    def retry_in_s(self, now_s: float, ready: int) -> float:
        """Return the seconds until some more may be stopped; infinite while too many targets are ready."""
        if self.refill_per_s is None:
            return 0.0
        if not self._has_few_ready(ready):
            return math.inf
        return max(0.0, self.updated_s + (self.capacity / 2 - self.tokens) / self.refill_per_s - now_s)

    def _has_few_ready(self, ready: int) -> bool:
        return ready <= max(1.0, self.capacity / 2)
