"""Condition of a run, in one word and in a line: its driver, or why it has none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from fleetos.model.progress import Progress
from fleetos.model.run import Left, LeftBy, Run, Scope, Target
from fleetos.model.states import COMES_TO_REST, RUN_ENDS, RunState, TargetState
from fleetos.views.text.format import clip, clock_time, printable, short_duration
from fleetos.views.text.reasons import REASONS

_ID_SHOWN = 8
_SHORT = {
    TargetState.FAILED: "failed",
    TargetState.HELD: "held",
    TargetState.CANCELLED: "never changed",
}


@dataclass(frozen=True, slots=True)
class Driver:
    """Process that has the lease of a run, when it last renewed it, and whether it seems to live."""

    holder: str
    pid: int
    renewed_at: datetime
    life: Literal["alive", "stopped", "gone"]

    @property
    def present(self) -> str | None:
        """Name of the process; None if it is gone."""
        return None if self.life == "gone" else self.holder


class Condition(StrEnum):
    """Condition of a run. Its values are part of `status -o json`."""

    RUNNING = "running"
    ABORTING = "aborting"
    STOPPED = "driver-stopped"  # a signal stopped the driver, as Ctrl-Z does
    PAUSED = "paused"
    INTERRUPTED = "interrupted"  # the driver left, and recorded why
    ABANDONED = "abandoned"  # the driver vanished
    RESTING = "waiting"  # the driver left, as only time or people help
    WAITING = "not-driven"  # no process has driven it yet
    DONE = "done"
    ENDED = "ended"  # it has ended, with servers that were not changed
    FAILED = "failed"
    ABORTED = "aborted"


def condition(run: Run, counts: Mapping[TargetState, int], lease: Driver | None) -> Condition:
    """Return the condition of the run. `lease` None: no process has it."""
    match run.state:
        case RunState.DONE:
            return Condition.ENDED if any(counts.get(state) for state in _SHORT) else Condition.DONE
        case RunState.ABORTED:
            return Condition.ABORTED
        case RunState.FAILED:
            return Condition.FAILED
        case _:
            pass
    if lease is not None and lease.life != "gone":
        driven = Condition.ABORTING if run.state is RunState.FINISHING else Condition.RUNNING
        return Condition.STOPPED if lease.life == "stopped" else driven
    if run.state is RunState.PAUSED:
        return Condition.PAUSED
    if run.left is not None:
        return Condition.RESTING if run.left.why is LeftBy.WAIT else Condition.INTERRUPTED
    return Condition.WAITING if lease is None else Condition.ABANDONED


def driven(run: Run, lease: Driver | None) -> bool:
    """Return whether a process drives the run, or would if a signal had not stopped it."""
    return run.state not in RUN_ENDS and lease is not None and lease.life != "gone"


def condition_words(run: Run, counts: Mapping[TargetState, int], lease: Driver | None, now: datetime) -> str:
    """Return the condition of the run in one line: since when, by whom, and why."""
    current = condition(run, counts, lease)
    match current:
        case Condition.RUNNING | Condition.ABORTING:
            return f"{current}, driven by {_holder(lease)}"
        case Condition.STOPPED:
            return (
                f"its driver is stopped by a signal: {_holder(lease)}, last renewed {_ago(_renewed(lease, now), now)}"
            )
        case Condition.PAUSED:
            by = f" by {printable(run.by)}" if run.by else ""
            return f"paused{by} {_when(run.since or run.created_at, now)}{_why(run)}"
        case Condition.INTERRUPTED if run.left is not None:
            aborting = "while aborting, " if run.state is RunState.FINISHING else ""
            return f"interrupted ({aborting}{left_words(run.left)}, {_when(run.left.at, now)})"
        case Condition.RESTING if run.left is not None:
            return f"waiting without a driver since {_when(run.left.at, now)}: {left_words(run.left)}"
        case Condition.ABANDONED:
            return f"abandoned, last sign of life {_when(_renewed(lease, now), now)}, {_holder(lease)}"
        case Condition.WAITING:
            return f"not driven by any process, created {_when(run.created_at, now)}"
        case _:
            return _ended_words(run, counts, current)


def resume_command(run: Run) -> str:
    """Return the command that carries on with the run; a pause by a budget or an operator ends only for a reason."""
    for_reason = run.state is RunState.PAUSED and run.reason in COMES_TO_REST
    return f"fleetos resume {printable(run.id)}" + (' --reason "..."' if for_reason else "")


def short_words(run: Run, counts: Mapping[TargetState, int], lease: Driver | None) -> str:
    """Return the condition of the run in a few words, for a list of runs."""
    current = condition(run, counts, lease)
    match current:
        case Condition.PAUSED:
            return f"{current}{_why(run)}"
        case Condition.STOPPED:
            return "driver stopped"
        case Condition.WAITING:
            return "not driven"
        case Condition.ENDED:
            return f"{current}: {short_counts(counts)}"
        case _:
            return str(current)


def left_words(left: Left) -> str:
    """Return why the driver left, and which process it was: `SIGTERM to process 8514 of root on vm`."""
    match left.why:
        case LeftBy.SIGNAL:
            return f"{printable(left.detail)} to {printable(left.driver)}"
        case LeftBy.PAUSE:
            return f"{printable(left.driver)} left"
        case LeftBy.ERROR:
            return f"{printable(left.driver)} failed: {clip(left.detail, 160)}"
        case LeftBy.WAIT:
            return clip(left.detail, 160)


def short_counts(counts: Mapping[TargetState, int]) -> str:
    """Return how many servers were not changed: `3 failed, 12 held, 20 never changed`."""
    return ", ".join(f"{counts[state]:,} {_SHORT[state]}" for state in _SHORT if counts.get(state))


def where_words(scope: Scope) -> str:
    """Return cloud, region and project, and the user or access key that was logged in. Printable."""
    cloud = f"cloud {printable(scope.cloud)}" if scope.cloud else "cloud of the OS_* variables"
    region = f", region {printable(scope.region)}" if scope.region else ""
    project_id = printable(scope.project_id)
    project = f"{printable(scope.project)} ({clip(project_id, _ID_SHOWN)})" if scope.project else project_id
    user = f", user {printable(scope.user)}" if scope.user else ""
    if scope.access_key:
        user = f"{user}, access key {printable(scope.access_key)}"
    domain = f" of domain {printable(scope.domain)}" if scope.domain and user else ""
    return f"{cloud}{region}, project {project}{user}{domain}"


def _ended_words(run: Run, counts: Mapping[TargetState, int], current: Condition) -> str:
    took = ""
    if run.ended_at is not None:
        took = f" after {short_duration((run.ended_at - (run.started_at or run.created_at)).total_seconds())}"
    by = f" by {printable(run.by)}" if run.by else ""
    short = short_counts(counts)
    if current is Condition.FAILED:
        return f"stopped by the failure budget{took}" + (f": {short}" if short else "")
    return f"{current}{by}{took}" + (f" with {short}" if short else "")


def _why(run: Run) -> str:
    if run.reason in COMES_TO_REST and run.detail:
        return f": {printable(run.detail)}"
    return f": {REASONS[run.reason].short}" if run.reason is not None else ""


def _holder(lease: Driver | None) -> str:
    return printable(lease.holder) if lease is not None else "nobody"


def _renewed(lease: Driver | None, now: datetime) -> datetime:
    return lease.renewed_at if lease is not None else now


def _when(at: datetime, now: datetime) -> str:
    return f"{clock_time(at, now)} ({_ago(at, now)})"


def _ago(at: datetime, now: datetime) -> str:
    return f"{short_duration((now - at).total_seconds())} ago"


def powered_off(progress: Progress) -> list[Target]:
    """Return the targets whose servers may be powered off by this run now, in plan order."""
    return [target for target in progress.targets.values() if target.stopped_at is not None]
