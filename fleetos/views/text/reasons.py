"""Every reason in plain words: its meaning, and what the operator can do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleetos.model.journal.events import RequestAnswered, RunPassStarted
from fleetos.model.plan import StopMode
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, Reason, RunState
from fleetos.rules.requests.server_requests import why_not_retried
from fleetos.views.text.format import printable


@dataclass(frozen=True, slots=True)
class Words:
    """A reason in a few words, in one sentence, and what to do next.

    `{run}` stands for the run's id, `{retry}` for the command that gives one more attempt.
    """

    short: str
    what: str
    todo: str


_R = Reason

REASONS: Mapping[Reason, Words] = {
    _R.ALREADY_ON_IMAGE: Words(
        "already on the image",
        "The server runs the image already, so nothing was done.",
        "Nothing; `force: true` in the plan changes it all the same.",
    ),
    _R.GONE: Words(
        "gone",
        "The cloud says that the server does not exist any more.",
        "Take it out of the plan.",
    ),
    _R.REFUSED: Words(
        "refused",
        "The cloud refused the request for good.",
        "Fix the cause named by the code; then {retry}, or apply a corrected plan if the plan was wrong.",
    ),
    _R.UNHEALTHY: Words(
        "unhealthy",
        "The new OS is on the disk, but the server did not prove healthy.",
        "Look at the server itself; changing it again would wipe what there is to see.",
    ),
    _R.OUTCOME_UNKNOWN: Words(
        "outcome unknown",
        "The result of the change is unknown, and inspecting the server did not tell.",
        "Look at it in the cloud's console; {retry} looks again before it sends anything.",
    ),
    _R.STILL_CHANGING: Words(
        "still changing",
        "The change was still going on when its time was over.",
        "Wait, or ask the support desk about the job; {retry} looks again before it sends anything.",
    ),
    _R.FOREIGN_CHANGE: Words(
        "changed by somebody else",
        "The server has a system disk or an image that this run did not give it.",
        "Find out who changed it; {retry} names the disk that it would wipe.",
    ),
    _R.ATTEMPTS_USED_UP: Words(
        "attempts used up",
        "Every attempt that the plan allows has failed.",
        "Give job, code and request id to the cloud's support desk; {retry} makes one more attempt.",
    ),
    _R.LOCKED: Words(
        "locked",
        "The server is locked in the cloud.",
        "Unlock it, then {retry}.",
    ),
    _R.NO_SYSTEM_DISK: Words(
        "no system disk",
        "The server has no system disk attached, and without one the cloud changes no OS.",
        "Ask support to attach the disk again; then {retry}.",
    ),
    _R.WRONG_STATE: Words(
        "wrong state",
        "The server is in a state from which its OS cannot be changed.",
        "Bring it to running or stopped, then {retry}.",
    ),
    _R.UNSUITABLE: Words(
        "refused before the run",
        "The cloud would refuse to change the server, or what it runs now is not known well enough to wipe it.",
        "Do what is said beside each server; then {retry}, or check anew: apply the plan with --new-run.",
    ),
    _R.MANAGED: Words(
        "managed by another service",
        "The server belongs to another service of the platform, such as a node of a CCE cluster.",
        "Change it by that service. If it is to be changed all the same, name it under `allow_managed` in the plan.",
    ),
    _R.PROTECTED: Words(
        "protected by a tag",
        "The server has the tag `fleetos-protect`, by which its owner keeps it from plans that do not name it.",
        "Ask its owner. If it is to be changed all the same, name it under `allow_protected` in the plan.",
    ),
    _R.UNANSWERED_SEND: Words(
        "earlier request unanswered",
        "An earlier change request for this server was never answered, so it must not be stopped for a day.",
        "Wait until the day is over, then {retry}.",
    ),
    _R.STOP_TIMEOUT: Words(
        "does not stop",
        "The server did not stop in time.",
        "Stop it yourself, then {retry}; or raise `timeouts.stop` in the plan and apply it again.",
    ),
    _R.STOP_REFUSED: Words(
        "stop refused",
        "The cloud refused to stop the server.",
        "Fix the cause named by the code, then {retry}.",
    ),
    _R.START_FAILED: Words(
        "does not start",
        "The server does not start.",
        "Start it in the cloud's console and see what it says while it boots.",
    ),
    _R.NOT_DELIVERED: Words(
        "not delivered",
        "The request was refused so often, without any effect, that fleetos gave up.",
        "Fix the cause named by the last code, then {retry}.",
    ),
    _R.ABORTED: Words(
        "aborted",
        "The run was ended, by an abort or a failure budget, before this server had its new OS.",
        "To change what is left: `fleetos apply PLAN --new-run`; after a change that failed: {retry}.",
    ),
    _R.AUTHENTICATION: Words(
        "not authenticated",
        "The cloud does not accept the credentials.",
        "Correct them, then `fleetos resume {run}`. Repeated failures can lock the account.",
    ),
    _R.PERMISSION: Words(
        "no permission",
        "The cloud knows the account and does not allow it to do this.",
        "Fix what its code names: grant the permission, clear the account or correct the project; then "
        "`fleetos resume {run}`.",
    ),
    _R.UNREACHABLE: Words(
        "cloud unreachable",
        "The cloud could not be reached, or answered with nothing but failures.",
        "Check network, proxy and endpoint, then `fleetos resume {run}`, or `fleetos retry {run}` if it has ended.",
    ),
    _R.TOO_MANY_OVERDUE: Words(
        "too many overdue",
        "As many changes are overdue as may be in flight, so something is wrong with the cloud.",
        "Ask the support desk about the jobs, then `fleetos resume {run}`.",
    ),
    _R.OPERATOR: Words(
        "by an operator",
        "An operator asked for it.",
        "Ask the operator, then `fleetos release {run} SERVER --reason TEXT`; once the run has ended, `fleetos retry "
        "{run}`.",
    ),
    _R.BUDGET: Words(
        "failure budget used up",
        "More servers failed than the plan allows.",
        "Find out why they failed, then `fleetos resume {run} --reason TEXT`: it forgives these failures and goes on. "
        "Or end the run: `fleetos abort {run}`.",
    ),
    _R.STUCK: Words(
        "stuck",
        "Nothing is in flight, and no time ends what the servers wait for.",
        "See what they wait for: `fleetos status {run}`. Mend the servers that are out, then `fleetos resume {run}`.",
    ),
    _R.INPUT_CHANGED: Words(
        "an input changed",
        "A file or secret that the plan names has changed since the run was created, or is missing.",
        "Put back what was there, then `fleetos resume {run}`; or abort the run and apply the new plan.",
    ),
}


_OF_RUN: Mapping[Reason, str] = {
    _R.OPERATOR: "by an operator:",
    _R.ABORTED: "The run was aborted before all of its servers were changed.",
}


def run_words(state: RunState, reason: Reason | None, detail: str) -> str:
    """Return why a run is in its state, and by whom, as words that follow the state; empty if no reason is known.

    The detail of an abort is enough: it says who aborted the run. So is that of a budget, which says what failed.
    """
    if reason in (Reason.ABORTED, Reason.BUDGET) and detail:
        return detail.removeprefix(f"{state} ")
    return f"{_OF_RUN.get(reason, REASONS[reason].what) if reason else ''} {detail}".strip()


def request_words(answer: RequestAnswered) -> str:
    """Return what became of an operator's request: `pause by anna: done: the run starts no more servers`."""
    parts = (str(answer.outcome), answer.detail)
    return f"{answer.verb} by {answer.by}: {': '.join(part for part in parts if part)}"


def pass_words(event: RunPassStarted) -> str:
    """Return who began a pass, and why, where that is known: `pass 2 begins: retry by anna: its quota was raised`."""
    by = f"retry by {event.by}" if event.by else ""
    return ": ".join(part for part in (f"pass {event.number} begins", by, event.reason) if part)


def run_todo_of(run: Run) -> str:
    """Return what the operator can do about the pause of a run, empty without a reason. Printable."""
    if run.reason is Reason.OPERATOR:
        return f"Ask the operator, then `fleetos resume {printable(run.id)} --reason TEXT`."
    return "" if run.reason is None else todo_of(run.reason, run)


def todo_of(reason: Reason, run: Run, targets: Sequence[Target] = ()) -> str:
    """Return what the operator can do about the reason for which the run is paused, or the targets ended. Printable.

    A retry keeps the run's settings: the advice must not name what they already say.
    """
    todo = REASONS[reason].todo
    if reason is Reason.STOP_TIMEOUT and run.settings.stop is StopMode.SOFT:
        todo = todo.replace("raise `timeouts.stop`", "set `rollout.stop: soft-then-hard` or a longer `timeouts.stop`")
    return todo.replace("{retry}", _retry_words(run, targets)).replace("{run}", printable(run.id))


def _retry_words(run: Run, targets: Sequence[Target]) -> str:
    """Return the command that gives the targets one more attempt, and when it may be called."""
    if run.state in RUN_ENDS:
        return "`fleetos retry {run}`"
    at_once = [target for target in targets if not why_not_retried(target)]
    if run.state is RunState.FINISHING or not at_once:
        return "once the run has ended `fleetos retry {run}`"
    server = printable(at_once[0].server_id) if len(targets) == 1 else "SERVER"
    return f"`fleetos retry {{run}} {server} --reason TEXT`"
