"""Token bucket that limits stops ahead of a slot. Pure."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many may be stopped, so that none stays off for long where changes are sent slower than slots are free.

    It grows by `per_s`, the pace of writes, None for any. `most`: what can be sent in twice the time that a stop takes.
    """

    per_s: float | None = None
    most: float = 0.0
    left: float = 0.0
    at_s: float = 0.0

    def at(self, now_s: float, writes_per_s: float | None, stop_s: float) -> "Allowance":
        """The allowance at a later moment, full at the first one; `stop_s` is what a stop takes until it is seen."""
        if writes_per_s is None:
            return Allowance()
        most = max(2.0, 2 * writes_per_s * stop_s)
        left = most if self.per_s is None else self.left + (now_s - self.at_s) * writes_per_s
        return Allowance(writes_per_s, most, min(left, most), now_s)

    def less(self, stopped: int) -> "Allowance":
        """What is left of it when so many are stopped."""
        return replace(self, left=self.left - stopped)

    def places(self, ready: int) -> int | None:
        """How many may be stopped together while so many lie ready, None for any number; none if too few for a call."""
        if self.per_s is None:
            return None
        return int(self.left) if self._bears(ready) and self.left >= self.most / 2 else 0

    def again_in_s(self, now_s: float, ready: int) -> float:
        """In how many seconds some more may be stopped, endless while too many lie ready."""
        if self.per_s is None:
            return 0.0
        if not self._bears(ready):
            return math.inf
        return max(0.0, self.at_s + (self.most / 2 - self.left) / self.per_s - now_s)

    def _bears(self, ready: int) -> bool:
        return ready <= max(1.0, self.most / 2)
