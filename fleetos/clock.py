"""Wall clock and elapsed clock; the only place that reads them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on three clocks, which can disagree about it."""

    wall: datetime
    """UTC."""
    elapsed_s: float
    """Counts from an arbitrary point, also while the machine is suspended (CLOCK_BOOTTIME)."""
    awake_s: float
    """Counts from an arbitrary point, but not while the machine is suspended (CLOCK_MONOTONIC)."""

    def since_s(self, earlier: "Moment") -> float:
        """Return the time since `earlier`, suspends included."""
        return self.elapsed_s - earlier.elapsed_s

    def age_s(self, earlier: "Moment") -> float:
        """Return the age of `earlier`, in doubt too high: the higher one of both clocks.

        It is infinite if the wall clock went back.
        """
        wall_s = (self.wall - earlier.wall).total_seconds()
        if wall_s < 0:
            return float("inf")
        return max(wall_s, self.since_s(earlier))

    def suspended_s(self, earlier: "Moment") -> float:
        """Return the time since `earlier` in which the machine was suspended."""
        return self.since_s(earlier) - (self.awake_s - earlier.awake_s)


class Clock(Protocol):
    """Source of the time. Tests and the simulation set their own."""

    def now(self) -> datetime: ...

    def moment(self) -> Moment: ...


class SystemClock:
    """Clocks of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def moment(self) -> Moment:
        return Moment(self.now(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())
