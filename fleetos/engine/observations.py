"""Observations of each target since its last state change. In memory only: evidence does not survive a crash."""

import math
from dataclasses import dataclass, replace

from fleetos.clock import Moment
from fleetos.model.journal.events import ChangeAdopted, Event, JobEnded, PowerAnswered, PowerIntended
from fleetos.model.run import PowerOutcome, Target
from fleetos.model.states import TargetState
from fleetos.model.traces import Traces
from fleetos.rules.observation import Observation, ObservationSeries

_S = TargetState

# Moves after which the observation that caused them still counts.
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
    """Observations of one target since its last state change."""

    entered_at: Moment
    """When this process saw the target enter its state."""
    since: Moment
    """Observations requested before this do not count."""
    series: ObservationSeries | None = None
    traces: Traces | None = None
    traces_read_at: Moment | None = None
    """When the traces were read."""
    missed_reads: int = 0
    """Reads in a row that said nothing of the server."""
    job_read_at: Moment | None = None
    """Last read of its job that was answered."""
    job_running_at: Moment | None = None
    """Last read that showed the job running."""
    job_not_running_at: Moment | None = None
    """First answer since then that did not show it running, or knew no such job."""

    def after_event(self, before: Target, after: Target, event: Event, now: Moment) -> "TargetObservations":
        """Return the observations that still count after the event."""
        if before.state is not after.state:
            by_job = isinstance(event, JobEnded)
            if (before.state, after.state) in _CARRIES and not by_job:
                return replace(self, entered_at=now, traces=None, traces_read_at=None)
            return TargetObservations(now, now)
        if isinstance(event, JobEnded | ChangeAdopted):
            return TargetObservations(now, now)
        if isinstance(event, PowerIntended):
            # An observation from before a stop or start says nothing of what it does.
            return TargetObservations(self.entered_at, now)
        if isinstance(event, PowerAnswered) and event.outcome not in (PowerOutcome.PENDING, PowerOutcome.ACCEPTED):
            return TargetObservations(self.entered_at, now)
        return self

    def with_observation(
        self, state: TargetState, observation: Observation, settle_s: float = math.inf
    ) -> "TargetObservations":
        """Return these with one more observation, if it counts: only single reads do for an unknown outcome."""
        if observation.requested.elapsed_s < self.since.elapsed_s:
            return self
        if state is TargetState.INSPECTING and not observation.single:
            return self
        series = ObservationSeries.start(observation) if self.series is None else self.series.add(observation, settle_s)
        # The cloud's log counts only together with the series of observations that asked for it.
        same_series = self.series is not None and self.series.begun_at is series.begun_at
        after = replace(self, series=series, missed_reads=0)
        return after if same_series else replace(after, traces=None, traces_read_at=None)
