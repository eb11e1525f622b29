"""Token bucket that limits stops ahead of a slot. Pure."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class StopRate:
    """How many may be stopped, so that none stays off for long where changes are sent slower than slots are free.

    It grows by `per_s`, the pace of writes, None for any. `most`: what can be sent in twice the time that a stop takes.
    """

    refill_per_s: float | None = None
    capacity: float = 0.0
    tokens: float = 0.0
    updated_s: float = 0.0

    def refilled(self, now_s: float, writes_per_s: float | None, stop_s: float) -> "StopRate":
        """The allowance at a later moment, full at the first one; `stop_s` is what a stop takes until it is seen."""
        if writes_per_s is None:
            return StopRate()
        most = max(2.0, 2 * writes_per_s * stop_s)
        left = most if self.refill_per_s is None else self.tokens + (now_s - self.updated_s) * writes_per_s
        return StopRate(writes_per_s, most, min(left, most), now_s)

    def take(self, stopped: int) -> "StopRate":
        """What is left of it when so many are stopped."""
        return replace(self, tokens=self.tokens - stopped)

    def available(self, ready: int) -> int | None:
        """How many may be stopped together while so many lie ready, None for any number; none if too few for a call."""
        if self.refill_per_s is None:
            return None
        return int(self.tokens) if self._bears(ready) and self.tokens >= self.capacity / 2 else 0

    def retry_in_s(self, now_s: float, ready: int) -> float:
        """In how many seconds some more may be stopped, endless while too many lie ready."""
        if self.refill_per_s is None:
            return 0.0
        if not self._bears(ready):
            return math.inf
        return max(0.0, self.updated_s + (self.capacity / 2 - self.tokens) / self.refill_per_s - now_s)

    def _bears(self, ready: int) -> bool:
        return ready <= max(1.0, self.capacity / 2)
