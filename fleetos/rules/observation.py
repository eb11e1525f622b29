"""Looks at a server: what this process has seen of it, and for how long without a gap. In memory only.

Evidence does not survive a crash: a process that was away may have missed anything, so it looks anew.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from fleetos.clock import Moment
from fleetos.limits import EVIDENCE_MAX_GAP_S, SUSPEND_NOTICED_S
from fleetos.model.inventory import ServerSnapshot

# While an outcome is unknown, the next look comes after this share of the time that it has been watched for.
LOOK_AGAIN_SHARE = 0.25
# A server that has shown one picture for a whole settle time, and of which only time can tell more, is looked at this
# often; twice as much is a gap then.
SELDOM_LOOK_S = 300.0
# Distinct pictures kept of one watch: more than these is "anything may have happened" and proves nothing.
MAX_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Observation:
    """One look: the picture, or None for the 404 of a single read. `single`: by a read of this server alone.

    `told_at`: the time of day by the cloud's clock when it answered, None if it did not say.
    """

    picture: ServerSnapshot | None
    requested: Moment
    received: Moment
    single: bool
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ObservationSeries:
    """The looks at one server since its last move.

    `begun` is when the present series without a gap began; `pictures` are all that it saw. `same_since` is the
    first look that was equal to the last one.
    """

    begun: Moment
    last: Observation
    pictures: frozenset[ServerSnapshot]
    same_since: Moment

    @staticmethod
    def start(sight: Observation) -> "ObservationSeries":
        """A watch that begins with this look."""
        return ObservationSeries(
            begun=sight.received,
            last=sight,
            pictures=frozenset() if sight.picture is None else frozenset({sight.picture}),
            same_since=sight.received,
        )

    def add(self, sight: Observation, settle_s: float = math.inf) -> "ObservationSeries":
        """The watch after one more look. A gap or a suspend before it starts the series anew.

        Looks may come seldom once the last picture has been there for a whole settle: nothing is counted by them.
        """
        same = sight.picture == self.last.picture
        after = replace(self, last=sight, same_since=self.same_since if same else sight.received)
        gap_s = sight.requested.since_s(self.last.received)
        slept_s = sight.received.suspended_s(self.last.received)
        gap_max_s = EVIDENCE_MAX_GAP_S if self.still_s() < settle_s else 2 * SELDOM_LOOK_S
        if gap_s > gap_max_s or slept_s > SUSPEND_NOTICED_S:
            begun = ObservationSeries.start(sight)
            return replace(after, begun=begun.begun, pictures=begun.pictures)
        if sight.picture is None:
            return after
        return replace(after, pictures=self.pictures | {sight.picture})

    @property
    def picture(self) -> ServerSnapshot | None:
        """The last picture, None where the last look found no server."""
        return self.last.picture

    def lasted_s(self) -> float:
        """Seconds of the series, from the end of its first look to the start of its last."""
        return self.last.requested.since_s(self.begun)

    def same_s(self) -> float:
        """Seconds for which the last picture has been the same, counted like `lasted_s`."""
        return self.last.requested.since_s(self.same_since)

    def still_s(self) -> float:
        """Seconds of the series for which the last picture has been the same: what a settle counts."""
        return min(self.same_s(), self.lasted_s())

    def throughout(self, test: Callable[[ServerSnapshot], bool]) -> bool:
        """Whether every look of the series passes the test."""
        return 0 < len(self.pictures) <= MAX_PICTURES and all(test(picture) for picture in self.pictures)
