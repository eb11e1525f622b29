"""Observations of one server by this process, and how long they go on without a gap. In memory only. Pure.

Evidence does not survive a crash: a process that was away may have missed anything, so it observes anew.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from fleetos.clock import Moment
from fleetos.limits import EVIDENCE_MAX_GAP_S, SUSPEND_NOTICED_S
from fleetos.model.inventory import ServerSnapshot

# While an outcome is unknown, the next read comes after this share of the time that it has been watched for.
READ_AGAIN_SHARE = 0.25
# A server that has shown one snapshot for a whole settle time, and of which only time can tell more, is read this
# often; twice as much is a gap then.
SELDOM_READ_S = 300.0
# More distinct snapshots than these in one series mean "anything may have happened" and prove nothing.
MAX_SNAPSHOTS = 8


@dataclass(frozen=True, slots=True)
class Observation:
    """One read of a server."""

    snapshot: ServerSnapshot | None
    """None for the 404 of a single read."""
    requested: Moment
    received: Moment
    single: bool
    """True for a read of this server alone."""
    cloud_time: datetime | None = None
    """Time of day by the cloud's clock when it answered; None if it did not say."""


@dataclass(frozen=True, slots=True)
class ObservationSeries:
    """Observations of one server since its last move."""

    begun_at: Moment
    """Start of the present series without a gap."""
    last: Observation
    snapshots: frozenset[ServerSnapshot]
    """All distinct snapshots of that series."""
    unchanged_since: Moment
    """First observation of the last snapshot, if all since then were equal to it. A gap does not reset it."""

    @staticmethod
    def start(observation: Observation) -> "ObservationSeries":
        """Return a series that begins with this observation."""
        return ObservationSeries(
            begun_at=observation.received,
            last=observation,
            snapshots=frozenset() if observation.snapshot is None else frozenset({observation.snapshot}),
            unchanged_since=observation.received,
        )

    def add(self, observation: Observation, settle_s: float = math.inf) -> "ObservationSeries":
        """Return the series with one more observation. A gap or a suspend before it starts the series anew.

        Observations may come seldom once the last snapshot has been there for a whole settle: nothing is counted by
        them.
        """
        same = observation.snapshot == self.last.snapshot
        after = replace(self, last=observation, unchanged_since=self.unchanged_since if same else observation.received)
        gap_s = observation.requested.since_s(self.last.received)
        slept_s = observation.received.suspended_s(self.last.received)
        gap_max_s = EVIDENCE_MAX_GAP_S if self.unchanged_in_series_s() < settle_s else 2 * SELDOM_READ_S
        if gap_s > gap_max_s or slept_s > SUSPEND_NOTICED_S:
            restarted = ObservationSeries.start(observation)
            return replace(after, begun_at=restarted.begun_at, snapshots=restarted.snapshots)
        if observation.snapshot is None:
            return after
        return replace(after, snapshots=self.snapshots | {observation.snapshot})

    @property
    def snapshot(self) -> ServerSnapshot | None:
        """Last snapshot; None where the last read found no server."""
        return self.last.snapshot

    def duration_s(self) -> float:
        """Return the seconds from the end of the series' first read to the start of its last."""
        return self.last.requested.since_s(self.begun_at)

    def unchanged_s(self) -> float:
        """Return the seconds for which the last snapshot has been the same, counted like `duration_s`."""
        return self.last.requested.since_s(self.unchanged_since)

    def unchanged_in_series_s(self) -> float:
        """Return the seconds of the series for which the last snapshot has been the same: what a settle counts."""
        return min(self.unchanged_s(), self.duration_s())

    def all_match(self, test: Callable[[ServerSnapshot], bool]) -> bool:
        """Return True if every observation of the series passes the test; more than MAX_SNAPSHOTS never do."""
        return 0 < len(self.snapshots) <= MAX_SNAPSHOTS and all(test(snapshot) for snapshot in self.snapshots)
