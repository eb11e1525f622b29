"""What a rule can answer: events to write, or needs that the ring serves when they are due."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fleetos.clock import Moment
from fleetos.limits import EVIDENCE_MAX_GAP_S, POWER_CALL_SERVERS
from fleetos.model.journal.events import RunMoved, TargetEvent
from fleetos.model.run import Settings
from fleetos.model.traces import Traces
from fleetos.rules.forecast import NOTHING_KNOWN, Forecast
from fleetos.rules.observation import LOOK_AGAIN_SHARE, SELDOM_LOOK_S, ObservationSeries


@dataclass(frozen=True, slots=True)
class WriteEvents:
    """These events are due; the target is asked again after them."""

    events: tuple[TargetEvent | RunMoved, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `due_s` (elapsed clock)."""

    due_s: float


@dataclass(frozen=True, slots=True)
class ReadServerNeed:
    """The server is to be read at `due_s`; `single`: by a read of its own, as evidence demands."""

    due_s: float
    single: bool = False


@dataclass(frozen=True, slots=True)
class Follow:
    """The server is to be seen with every sweep, and at the beat of the sweep."""


@dataclass(frozen=True, slots=True)
class AskJob:
    """The job is to be read at `due_s`."""

    job_id: str
    due_s: float


@dataclass(frozen=True, slots=True)
class AskTraces:
    """The action log and the volumes are to be read at `due_s` for what happened since."""

    since: datetime
    due_s: float


@dataclass(frozen=True, slots=True)
class PowerNeed:
    """A stop or start is to be sent, in a call that names at most `at_most` servers."""

    verb: Literal["stop", "start"]
    hard: bool = False
    at_most: int = POWER_CALL_SERVERS


@dataclass(frozen=True, slots=True)
class Submit:
    """The changeos is to be sent, as soon as a permit is won."""


Need = Wait | ReadServerNeed | Follow | AskJob | AskTraces | PowerNeed | Submit
Decision = WriteEvents | tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know besides the target.

    `entered` is when this process saw the target come to its state (or found it there). `watch` holds the looks
    since then. `traces` is the answer to AskTraces, None when not asked; `traced` is when it came.
    `misses` counts reads in a row that said nothing of the server. `poll_s` is the present polling interval; `settle_s`
    the settle time of this cloud. `fraction` is chance. `forecast` says how long changes take here, `shows_change`
    whether this cloud shows them at all (None: not known yet). `by_sweep`: changes are watched by sweeps, else each by
    its job; `job_asked` is the last read of the target's job that was answered, `job_ran` the last that showed it going
    on, `job_over` the first since then that did not. `stop_s`: by when most stops have ended.
    """

    now: Moment
    entered: Moment
    settings: Settings
    settle_s: float
    poll_s: float
    fraction: float
    running: bool
    finishing: bool
    watch: ObservationSeries | None = None
    traces: Traces | None = None
    traced: Moment | None = None
    misses: int = 0
    forecast: Forecast = NOTHING_KNOWN
    shows_change: bool | None = None
    by_sweep: bool = False
    job_asked: Moment | None = None
    job_ran: Moment | None = None
    job_over: Moment | None = None
    stop_s: float | None = None

    @property
    def here_s(self) -> float:
        """Seconds since the target came to its state, as far as this process knows."""
        return self.now.since_s(self.entered)

    def due(self, at: datetime) -> float:
        """The wall-clock time on the elapsed clock."""
        return self.now.elapsed_s + max(0.0, (at - self.now.wall).total_seconds())

    def short(self, seconds: float) -> float:
        """The wait of the protocol; on a loopback cloud no longer than its settle time."""
        return min(seconds, self.settle_s) if self.settings.loopback else seconds

    def evidence_s(self, until_s: float = math.inf) -> float:
        """When to look again for evidence: later and later, and when a settle or `until_s` is over.

        Half of the allowed gap at most, so that a slow answer does not break the series; only where the last picture
        has been there for a whole settle, and some time must pass before it says more, looks come seldom.
        """
        watch, most_s, due_s = self.watch, min(self.settings.poll_max_s, EVIDENCE_MAX_GAP_S / 2), until_s
        if watch is not None:
            counting = [m for m in (watch.begun, watch.same_since) if watch.last.requested.since_s(m) < self.settle_s]
            due_s = min(due_s, *(since.elapsed_s + self.settle_s for since in counting), math.inf)
            most_s = most_s if counting or math.isinf(until_s) else SELDOM_LOOK_S
        return max(self.now.elapsed_s, min(due_s, self.patient_s(most_s)))

    def patient_s(self, most_s: float) -> float:
        """When to look again for what takes its time: the longer it has lasted the later, after `most_s` at most."""
        return self._after_last_look_s(min(max(self.poll_s, self.here_s * LOOK_AGAIN_SHARE), most_s))

    def again_s(self) -> float:
        """When to look again at the polling beat."""
        return self.now.elapsed_s + self.poll_s

    def _after_last_look_s(self, pause_s: float) -> float:
        """Counted from the last look: answers about a job, which may come more often, must not put it off."""
        last_s = self.now.elapsed_s if self.watch is None else self.watch.last.received.elapsed_s
        return max(self.now.elapsed_s, last_s + pause_s)
