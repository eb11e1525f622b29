"""Check that the clocks of the cloud and of this machine agree about when a window opens and closes."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from fleetos.rules.observation import Observation
from fleetos.rules.polling import DueRead, ReadServer

# Clocks that differ by more than this do not agree.
CLOCK_OFF_MAX = timedelta(minutes=5)
# While everybody waits for the clocks to agree, one server is read so often: each reply names the cloud's time.
CLOCK_LOOK_EVERY = timedelta(minutes=1)


class ClockCheck:
    """Difference of the clocks at the last reply that named the cloud's time."""

    def __init__(self) -> None:
        self.off: str | None = None
        """How far the clocks differ, in words; None while they agree, or nobody has told."""
        self._read_at: datetime | None = None
        self._reads = 0

    def add(self, observation: Observation) -> None:
        """Take over the time that the cloud named with a read."""
        if observation.cloud_time is not None:
            off = abs(observation.cloud_time - observation.received.wall)
            self.off = f"{off / timedelta(minutes=1):.0f} minutes" if off > CLOCK_OFF_MAX else None

    def plan_reads(self, now: datetime, server_ids: Iterable[str]) -> Iterator[DueRead]:
        """Yield the read that tells whether the clocks agree again, if it is due: each time of another server."""
        # The clock may have been set back since the last one.
        if self._read_at is not None and abs(now - self._read_at) < CLOCK_LOOK_EVERY:
            return
        self._read_at, ids = now, list(server_ids)
        self._reads += 1
        yield ReadServer(ids[self._reads % len(ids)])
