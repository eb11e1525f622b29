"""Results of a rule: events to write, or needs that the engine serves when they are due."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from fleetos.clock import Moment
from fleetos.limits import EVIDENCE_MAX_GAP_S, POWER_CALL_SERVERS
from fleetos.model.journal.events import RunMoved, TargetEvent
from fleetos.model.run import Settings
from fleetos.model.traces import Traces
from fleetos.rules.forecast import NOTHING_KNOWN, Forecast
from fleetos.rules.observation import READ_AGAIN_SHARE, SELDOM_READ_S, ObservationSeries


@dataclass(frozen=True, slots=True)
class WriteEvents:
    """Events that are due. The target is evaluated again after them."""

    events: tuple[TargetEvent | RunMoved, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until `due_s` on the elapsed clock."""

    due_s: float


@dataclass(frozen=True, slots=True)
class ReadServerNeed:
    """Read of the server at `due_s`; `single`: by a read of its own, as evidence demands."""

    due_s: float
    single: bool = False


@dataclass(frozen=True, slots=True)
class SweepNeed:
    """Observation of the server by every sweep, and by a sweep whenever the sweep interval is over."""


@dataclass(frozen=True, slots=True)
class ReadJobNeed:
    """Read of the job at `due_s`."""

    job_id: str
    due_s: float


@dataclass(frozen=True, slots=True)
class ReadTracesNeed:
    """Read of the action log and the volumes at `due_s`, for what happened since `since`."""

    since: datetime
    due_s: float


@dataclass(frozen=True, slots=True)
class PowerNeed:
    """Stop or start to send, in a call that names at most `max_servers` servers."""

    verb: Literal["stop", "start"]
    hard: bool = False
    max_servers: int = POWER_CALL_SERVERS


@dataclass(frozen=True, slots=True)
class SubmitNeed:
    """OS change to send, as soon as there is a permit."""


Need = Wait | ReadServerNeed | SweepNeed | ReadJobNeed | ReadTracesNeed | PowerNeed | SubmitNeed
Decision = WriteEvents | tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """Facts that a rule may know besides the target."""

    now: Moment
    """Time of the present turn."""
    entered_at: Moment
    """When this process saw the target enter its state, or found it there."""
    settings: Settings
    settle_s: float
    """Settle time of this cloud."""
    poll_s: float
    """Present polling interval."""
    fraction: float
    """Random number from 0 to 1, for jitter."""
    run_running: bool
    """True while the run is running."""
    run_finishing: bool
    """True while an aborted run is brought to its end."""
    run_resting: bool = field(default=False, kw_only=True)
    """True in a pause that recalls those who were made ready for their change."""
    recalled: bool = field(default=False, kw_only=True)
    """True if the turn of the target is taken back, unless a change was sent to it: it may not go on now."""
    series: ObservationSeries | None = None
    """Observations of the server that count in this state; None before the first."""
    traces: Traces | None = None
    """Answer to ReadTracesNeed; None when there is none."""
    traces_read_at: Moment | None = None
    """When that answer came."""
    missed_reads: int = 0
    """Reads in a row that said nothing of the server."""
    forecast: Forecast = NOTHING_KNOWN
    """Forecast of how long changes like this one take on this cloud."""
    shows_change: bool | None = None
    """True if this cloud shows a change on its server; None: not known yet."""
    by_sweep: bool = False
    """True if sweeps watch the changes, False if each is watched by its job."""
    job_read_at: Moment | None = None
    """Last read of the target's job that was answered."""
    job_running_at: Moment | None = None
    """Last read that showed the job running."""
    job_not_running_at: Moment | None = None
    """First answered read since then that did not show it running."""
    stop_duration_s: float | None = None
    """Time within which most stops have ended; None while none has."""

    @property
    def in_state_s(self) -> float:
        """Seconds since the target entered its state, as far as this process knows."""
        return self.now.since_s(self.entered_at)

    def to_elapsed_s(self, at: datetime) -> float:
        """Return the wall-clock time on the elapsed clock; now if it has passed."""
        return self.now.elapsed_s + max(0.0, (at - self.now.wall).total_seconds())

    def cap_on_loopback_s(self, seconds: float) -> float:
        """Return the wait of the protocol; on a loopback cloud no longer than its settle time."""
        return min(seconds, self.settle_s) if self.settings.loopback else seconds

    def next_evidence_read_s(self, until_s: float = math.inf) -> float:
        """Return when to read again for evidence: later and later, and when a settle or `until_s` is over.

        Half of the allowed gap at most, so that a slow answer does not break the series; only where the last snapshot
        has been there for a whole settle, and some time must pass before it says more, reads come seldom.
        """
        series, most_s, due_s = self.series, min(self.settings.poll_max_s, EVIDENCE_MAX_GAP_S / 2), until_s
        if series is not None:
            counting = [
                m for m in (series.begun_at, series.unchanged_since) if series.last.requested.since_s(m) < self.settle_s
            ]
            due_s = min(due_s, *(since.elapsed_s + self.settle_s for since in counting), math.inf)
            most_s = most_s if counting or math.isinf(until_s) else SELDOM_READ_S
        return max(self.now.elapsed_s, min(due_s, self.next_backoff_read_s(most_s)))

    def next_backoff_read_s(self, most_s: float) -> float:
        """Return when to read again what takes its time: the longer it has lasted the later, after `most_s` at most."""
        return self._after_last_read_s(min(max(self.poll_s, self.in_state_s * READ_AGAIN_SHARE), most_s))

    def next_poll_s(self) -> float:
        """Return when to read again at the polling interval."""
        return self.now.elapsed_s + self.poll_s

    def _after_last_read_s(self, pause_s: float) -> float:
        """Count from the last observation: answers about a job, which may come more often, must not put it off."""
        last_s = self.now.elapsed_s if self.series is None else self.series.last.received.elapsed_s
        return max(self.now.elapsed_s, last_s + pause_s)
