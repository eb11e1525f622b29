"""Clocks that tests set: by hand, by the virtual loop, or so far ahead of this machine's."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from fleetos.clock import Moment, SystemClock
from fleetos.sim.virtual_time import now_s, run
from tests.support.builders import START

__all__ = ["VIRTUAL_START", "ManualClock", "SetClock", "ShiftedClock", "VirtualClock", "now_s", "run"]

VIRTUAL_START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class ManualClock:
    """Clock that stands still until it is moved."""

    wall: datetime = START
    elapsed_s: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def moment(self) -> Moment:
        return Moment(self.wall, self.elapsed_s, self.elapsed_s)

    def move(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.elapsed_s += seconds

    async def sleep(self, seconds: float) -> None:
        self.move(seconds)


@dataclass
class VirtualClock:
    """Clocks of the running virtual loop. Its machine was suspended for `suspended_s`, which the time of day omits."""

    suspended_s: float = 0.0

    def now(self) -> datetime:
        return VIRTUAL_START + timedelta(seconds=now_s())

    def moment(self) -> Moment:
        return Moment(self.now(), now_s() + self.suspended_s, now_s())


@dataclass
class ShiftedClock(SystemClock):
    """Clocks of this machine, so far ahead: for tests with real sockets, which wait for real."""

    ahead_s: float = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)

    def moment(self) -> Moment:
        moment = super().moment()
        return replace(moment, elapsed_s=moment.elapsed_s + self.ahead_s)


@dataclass
class SetClock(ShiftedClock):
    """Clocks of this machine, of which the time of day was set ahead by so much more."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    def moment(self) -> Moment:
        moment = super().moment()
        return replace(moment, wall=moment.wall + self.ahead)
