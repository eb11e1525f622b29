"""The only place that reads the machine's clocks."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on the three clocks that can disagree about it.

    `wall` is UTC, `elapsed_s` counts from an arbitrary point and goes on while the machine is suspended
    (CLOCK_BOOTTIME), `awake_s` stands still in a suspend (CLOCK_MONOTONIC).
    """

    wall: datetime
    elapsed_s: float
    awake_s: float

    def since_s(self, earlier: "Moment") -> float:
        """Seconds that really passed since `earlier`, a suspend included."""
        return self.elapsed_s - earlier.elapsed_s

    def age_s(self, earlier: "Moment") -> float:
        """The age of `earlier`, in doubt too old: the larger of both clocks, infinite if the wall clock went back."""
        wall_s = (self.wall - earlier.wall).total_seconds()
        if wall_s < 0:
            return float("inf")
        return max(wall_s, self.since_s(earlier))

    def suspended_s(self, earlier: "Moment") -> float:
        """Seconds between `earlier` and this moment in which the machine slept."""
        return self.since_s(earlier) - (self.awake_s - earlier.awake_s)


class Clock(Protocol):
    def now(self) -> datetime: ...

    def moment(self) -> Moment: ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def moment(self) -> Moment:
        return Moment(self.now(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())
