"""Explanation of one target: how it stands, the one reason why it does not move, what ends that, and who may end it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fleetos.model.progress import Progress
from fleetos.model.run import Outcome, Run, Target
from fleetos.model.states import AHEAD, IN_FLIGHT, QUEUED, RETRIABLE, RUN_ENDS, TargetState
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.admission.wait_reasons import ENDED_BY_TIME_OR_PEOPLE, Waiting, WaitReason
from fleetos.rules.admission.why_not import find_wait
from fleetos.rules.requests.server_requests import why_not_retried
from fleetos.views.text.format import printable, short_duration
from fleetos.views.text.reasons import REASONS, run_todo_of, todo_of
from fleetos.views.text.run_condition import Driver, driven, resume_command
from fleetos.views.text.target_notes import own_words
from fleetos.views.text.wait_words import waits_for

_COMMAND = re.compile(r"fleetos .+$")


class Stands(StrEnum):
    """Standing of a target. The values are part of `explain -o json`."""

    WAITS = "waits"
    MOVES = "moves"
    ENDED = "ended"


class EndedBy(StrEnum):
    """People, process or time that end what a target waits for. The values are part of `explain -o json`."""

    TIME = "time"
    DRIVER = "driver"  # the process that drives the run, by what it does anyway
    CLOUD = "cloud"
    PEOPLE = "people"
    NOBODY = "nobody"


class DiskFate(StrEnum):
    """Fate of the system disk. The values are part of `explain -o json`."""

    KEPT = "kept"
    TO_BE_WIPED = "to-be-wiped"
    BEING_WIPED = "being-wiped"
    WIPED = "wiped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explanation of one target."""

    stands: Stands
    words: str
    """Why it does not move, or what is done to it, or how it ended."""
    waiting: Waiting | None
    """Its wait; None if it moves or has ended."""
    ended_by: EndedBy
    end: str
    """What ends it, or what to do next."""
    ends_at: datetime | None
    """When that is, or, of a step, by when at the latest. None: not known, or never."""
    commands: tuple[str, ...]
    """Commands that end it, or lead on."""
    usual_s: float | None
    """Time that a change of this kind usually takes, where its change is under way."""
    disk: str | None
    fate: DiskFate


def explain(
    progress: Progress, standing: Standing, target: Target, lease: Driver | None, usual_s: float | None = None
) -> Explanation:
    """Return the explanation of a target. `usual_s`: time that a change of its kind usually takes; None: not known."""
    disk, fate = _disk_of(target)
    waiting = waits_for(standing, target, lease)
    usual_s = usual_s if target.state is TargetState.CHANGING and not target.change_failed else None
    if target.ended:
        words, commands = _end_words(target), _commands_after(standing, target)
        end = _todo_words(standing, target)
        by = EndedBy.PEOPLE if end else EndedBy.NOBODY
        return Explanation(Stands.ENDED, words, None, by, end, None, commands, usual_s, disk, fate)
    if waiting is None:
        by = EndedBy.CLOUD if target.state is TargetState.CHANGING else EndedBy.DRIVER
        limit = _limit_of(standing, target)
        return Explanation(Stands.MOVES, _step_words(target), None, by, "", limit, (), usual_s, disk, fate)
    broken = _broken(progress, standing, target) if waiting.reason is WaitReason.UNAVAILABLE else []
    by, end = _end_of(waiting, standing.run)
    if broken and not progress.flight:
        by = EndedBy.PEOPLE
    # The last driver left because only time or people help: neither drives the run.
    left = not driven(standing.run, lease) and waiting.reason in ENDED_BY_TIME_OR_PEOPLE
    if left:
        end = f"{end}, and a timer or somebody drives the run"
    words = _wait_words(standing, target, waiting)
    commands = _commands_for(standing, target, waiting, broken, [resume_command(standing.run)] if left else [])
    return Explanation(Stands.WAITS, words, waiting, by, end, waiting.ends_at, commands, usual_s, disk, fate)


def _wait_words(standing: Standing, target: Target, waiting: Waiting) -> str:
    """Return the wait in words: with the cause of a pause, and with what follows where no process drives the run."""
    if target.state not in QUEUED:
        return f"{_step_words(target)}; {waiting.words}"
    if waiting.reason is WaitReason.PAUSED and standing.run.detail:
        return f"{waiting.words}: {standing.run.detail}"
    then = find_wait(target, standing) if waiting.reason is WaitReason.NOT_DRIVEN else None
    return f"{waiting.words}; then {then.words}" if then and then.reason in ENDED_BY_TIME_OR_PEOPLE else waiting.words


_ENDS: Mapping[WaitReason, tuple[EndedBy, str]] = {
    WaitReason.PAUSED: (EndedBy.PEOPLE, "somebody resumes the run"),
    WaitReason.ABORTED: (EndedBy.NOBODY, "the run starts no more servers"),
    WaitReason.SCHEDULED: (EndedBy.TIME, "the run starts"),
    WaitReason.CLOCK: (EndedBy.PEOPLE, "the clocks of the cloud and of the driver agree within five minutes"),
    WaitReason.CALENDAR: (EndedBy.PEOPLE, "the calendar file can be read"),
    WaitReason.BLACKOUT: (EndedBy.TIME, "the denied time is over"),
    WaitReason.WINDOW: (EndedBy.TIME, "its window opens"),
    WaitReason.FIT: (EndedBy.TIME, "a window opens that is long enough"),
    WaitReason.BACKOFF: (EndedBy.TIME, "its next attempt is due"),
    WaitReason.UNAVAILABLE: (EndedBy.DRIVER, "a server of the group serves again, or is skipped"),
    WaitReason.UNSEEN: (EndedBy.DRIVER, "the driver has seen all servers of the group"),
    WaitReason.CONCURRENCY: (EndedBy.DRIVER, "a change in flight ends"),
    WaitReason.PACE: (EndedBy.DRIVER, "the driver may stop or change one more"),
    WaitReason.NOT_DRIVEN: (EndedBy.PEOPLE, "a process drives the run"),
    WaitReason.OUTCOME: (EndedBy.TIME, "the server shows what became of the request, or the watch is over"),
}


def _end_of(waiting: Waiting, run: Run) -> tuple[EndedBy, str]:
    if waiting.reason is WaitReason.PAUSED and run.reason is not None:
        return EndedBy.PEOPLE, f"somebody resumes the run. {run_todo_of(run)}"
    if waiting.reason is not WaitReason.WAVE:
        return _ENDS[waiting.reason]
    approval = _COMMAND.search(waiting.words)
    if waiting.ends_at is not None and approval:
        return EndedBy.PEOPLE, "the wave is approved, and the one before was watched for long enough"
    if waiting.ends_at is not None:
        return EndedBy.TIME, "the wave before was watched for long enough"
    if approval:
        return EndedBy.PEOPLE, "the wave is approved"
    return EndedBy.DRIVER, "all servers of the wave before have ended"


def _commands_for(
    standing: Standing, target: Target, waiting: Waiting, broken: Sequence[str], drives: Sequence[str]
) -> tuple[str, ...]:
    """Return the commands that end a wait, those that drive the run, and the one that holds the server back."""
    run = standing.run
    commands: list[str] = []
    match waiting.reason:
        case WaitReason.PAUSED | WaitReason.NOT_DRIVEN:
            commands.append(resume_command(run))
        case WaitReason.WAVE:
            commands += [f'{command} --reason "..."' for command in _wave_commands(run, waiting)]
        case WaitReason.CONCURRENCY:
            commands.append(f'fleetos set {run.id} concurrency=N --reason "..."')
        case WaitReason.UNAVAILABLE:
            commands += [_request("skip", standing, server_id) for server_id in broken[:1]]
        case _:
            pass
    commands += drives
    if target.state in QUEUED | AHEAD and run.state not in RUN_ENDS:
        commands.append(_request("hold", standing, target.server_id))
    return tuple(commands)


def _wave_commands(run: Run, waiting: Waiting) -> list[str]:
    """Return the approval that is missing, or else the command that ends the bake."""
    approvals = _COMMAND.findall(waiting.words)
    return approvals or ([f"fleetos wave promote {printable(run.id)}"] if waiting.ends_at is not None else [])


def _request(verb: str, standing: Standing, server_id: str) -> str:
    return f'fleetos {verb} {printable(standing.run.id)} {printable(server_id)} --reason "..."'


def _broken(progress: Progress, standing: Standing, target: Target) -> list[str]:
    """Return the servers that are out in the first full group of the target, and in no change."""
    for group in standing.groups.of_server(target.server_id):
        if not group.has_room(target.server_id):
            return [server_id for server_id in group.out if progress.targets[server_id].state not in IN_FLIGHT]
    return []


def _todo_words(standing: Standing, target: Target) -> str:
    """Return what to do about a server that was not changed; empty for one that is done or was skipped."""
    if target.reason is None or target.state not in RETRIABLE | {TargetState.CANCELLED}:
        return ""
    return todo_of(target.reason, standing.run, [target])


def _end_words(target: Target) -> str:
    if target.state is TargetState.DONE:
        name = f" ({target.order.image_name})" if target.order.image_name else ""
        return f"runs image {target.image_after or target.order.image_id}{name}"
    if target.reason is None:
        return str(target.state)
    return f"{REASONS[target.reason].what} {own_words(target)}".strip()


def _commands_after(standing: Standing, target: Target) -> tuple[str, ...]:
    run_id = printable(standing.run.id)
    if target.retriable and standing.run.state in RUN_ENDS:
        return (f"fleetos retry {run_id}",)
    if target.state not in RETRIABLE or standing.run.state in RUN_ENDS or target.unsettled:
        return ()
    verbs = (
        ("release", "skip") if target.held_by_operator else ("skip",) if why_not_retried(target) else ("retry", "skip")
    )
    return tuple(_request(verb, standing, target.server_id) for verb in verbs)


def _step_words(target: Target) -> str:
    match target.state:
        case TargetState.CHECKING:
            return "the driver looks at it before its first step"
        case TargetState.STOPPING:
            return "it is being stopped"
        case TargetState.READY:
            return "it is ready for its change"
        case TargetState.SUBMITTING:
            return "the request for its change is on its way"
        case TargetState.CHANGING if target.change_failed:
            return "its change has failed, and the driver looks at what that left"
        case TargetState.CHANGING:
            attempt = target.attempt
            return f"the cloud changes its OS, job {attempt.job_id if attempt and attempt.job_id else 'not known'}"
        case TargetState.VERIFYING:
            return "the change succeeded, and its new OS is being proven"
        case TargetState.STARTING:
            return "it is being started after its change"
        case TargetState.RESTORING:
            return f"its power is put back as it was; then {target.then.state if target.then else 'it waits again'}"
        case TargetState.INSPECTING:
            return "the driver looks at what became of its last attempt"
        case _:
            return "it is next"


def _limit_of(standing: Standing, target: Target) -> datetime | None:
    """Return by when the present step must have ended; None if it has no limit, or only the driver knows it."""
    settings, attempt = standing.run.settings, target.attempt
    if target.state is TargetState.CHANGING and attempt is not None:
        return None if target.change_failed else attempt.deadline
    if target.state is TargetState.STOPPING and target.calls:
        return target.calls[-1].intended_at + timedelta(seconds=settings.stop_timeout_s)
    if target.state is TargetState.STARTING and target.since is not None:
        return target.since + timedelta(seconds=settings.start_timeout_s)
    return None


_CHANGES = frozenset({TargetState.SUBMITTING, TargetState.CHANGING, TargetState.VERIFYING, TargetState.STARTING})


def _disk_of(target: Target) -> tuple[str | None, DiskFate]:
    """Return the system disk of the server before its change, and what becomes of it."""
    before = target.baseline.disk
    if target.state is TargetState.DONE or any(attempt.outcome is Outcome.SUCCEEDED for attempt in target.attempts):
        return before, DiskFate.WIPED
    if target.state in _CHANGES:
        return target.disk or before, DiskFate.BEING_WIPED
    if target.unsettled or (target.ended and any(attempt.accepted for attempt in target.attempts)):
        return target.disk_after or target.disk or before, DiskFate.UNKNOWN
    if target.ended or (target.then is not None and target.then.state is not TargetState.WAITING):
        return target.disk or before, DiskFate.KEPT
    return target.disk or before, DiskFate.TO_BE_WIPED


FATE_WORDS: Mapping[DiskFate, str] = {
    DiskFate.KEPT: "is kept",
    DiskFate.TO_BE_WIPED: "WILL BE WIPED when its change is sent",
    DiskFate.BEING_WIPED: "is being wiped by the change",
    DiskFate.WIPED: "was wiped",
    DiskFate.UNKNOWN: "may have been wiped: an attempt was sent and did not succeed",
}


def moment_words(moment: datetime, now: datetime, zone_time: datetime | None) -> str:
    """Return a time in UTC, in the zone of the plan if it has one, and relative to now."""
    ahead_s = (moment - now).total_seconds()
    relative = f"in {short_duration(ahead_s)}" if ahead_s > 0 else f"{short_duration(-ahead_s)} ago"
    local = f"{zone_time:%a %Y-%m-%d %H:%M %Z}, " if zone_time is not None else ""
    return f"{local}{moment:%Y-%m-%d %H:%M:%SZ}, {relative}"
