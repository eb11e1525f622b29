"""Virtual time for the tests of the client: a clock that shows the time of the simulated cloud's virtual loop."""

from datetime import UTC, datetime, timedelta

from fleetos.clock import Moment
from fleetos.sim.virtual_time import now_s, run

__all__ = ["START", "FixedChance", "VirtualClock", "now_s", "run"]

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class VirtualClock:
    """The clocks of the running loop."""

    def now(self) -> datetime:
        return START + timedelta(seconds=now_s())

    def moment(self) -> Moment:
        return Moment(self.now(), now_s(), now_s())


class FixedChance:
    """Chance that always draws the same."""

    def __init__(self, fraction: float = 0.0) -> None:
        self._fraction = fraction

    def fraction(self) -> float:
        return self._fraction
