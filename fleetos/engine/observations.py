"""What this process has seen of each target since its last move. In memory only: evidence does not survive a crash."""

import math
from dataclasses import dataclass, replace

from fleetos.clock import Moment
from fleetos.model.journal.events import ChangeAdopted, Event, JobEnded, PowerAnswered, PowerIntended
from fleetos.model.run import PowerOutcome, Target
from fleetos.model.states import TargetState
from fleetos.model.traces import Traces
from fleetos.rules.observation import Observation, ObservationSeries

_S = TargetState

# Moves after which the look that caused them still counts.
_CARRIES = frozenset(
    {
        (_S.WAITING, _S.CHECKING),
        (_S.BACKOFF, _S.CHECKING),
        (_S.CHECKING, _S.READY),
        (_S.CHECKING, _S.STOPPING),
        (_S.STOPPING, _S.READY),
        (_S.INSPECTING, _S.READY),
        (_S.INSPECTING, _S.VERIFYING),
        (_S.CHANGING, _S.VERIFYING),
        (_S.STARTING, _S.VERIFYING),
    }
)


@dataclass(frozen=True, slots=True)
class TargetObservations:
    """`entered`: when this process saw the target come to its state. Looks requested before `since` do not count.

    `misses` counts reads in a row that said nothing of the server. `job_asked`: when its job was last read. `job_ran`:
    when it was last seen to go on; `job_over`: the first answer since then that said otherwise, or knew no such job.
    `traced`: when the traces were read.
    """

    entered: Moment
    since: Moment
    watch: ObservationSeries | None = None
    traces: Traces | None = None
    traced: Moment | None = None
    misses: int = 0
    job_asked: Moment | None = None
    job_ran: Moment | None = None
    job_over: Moment | None = None

    def after_event(self, before: Target, after: Target, event: Event, now: Moment) -> "TargetObservations":
        """What still counts after the event."""
        if before.state is not after.state:
            by_job = isinstance(event, JobEnded)
            if (before.state, after.state) in _CARRIES and not by_job:
                return replace(self, entered=now, traces=None, traced=None)
            return TargetObservations(now, now)
        if isinstance(event, JobEnded | ChangeAdopted):
            return TargetObservations(now, now)
        if isinstance(event, PowerIntended):
            # What was seen before a stop or start says nothing of what it does.
            return TargetObservations(self.entered, now)
        if isinstance(event, PowerAnswered) and event.outcome not in (PowerOutcome.PENDING, PowerOutcome.ACCEPTED):
            return TargetObservations(self.entered, now)
        return self

    def with_sight(self, state: TargetState, sight: Observation, settle_s: float = math.inf) -> "TargetObservations":
        """The sighting with one more look, if it counts: evidence for an unknown outcome is single reads only."""
        if sight.requested.elapsed_s < self.since.elapsed_s:
            return self
        if state is TargetState.INSPECTING and not sight.single:
            return self
        watch = ObservationSeries.start(sight) if self.watch is None else self.watch.add(sight, settle_s)
        # What the cloud's log said counts only together with the series of looks that asked for it.
        goes_on = self.watch is not None and self.watch.begun is watch.begun
        after = replace(self, watch=watch, misses=0)
        return after if goes_on else replace(after, traces=None, traced=None)
