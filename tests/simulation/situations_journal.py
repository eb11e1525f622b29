"""The situations that the journal tells: verdicts, answers, holds, and how a run was left and taken up again."""

from collections.abc import Iterator

from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAdopted,
    ChangeAnswered,
    ChangeIntended,
    Forgiven,
    JobEnded,
    Moved,
    NotDelivered,
    PowerAnswered,
    PowerIntended,
    RequestAnswered,
    Retried,
    RunDriverStarted,
    RunMoved,
    SettingChanged,
)
from fleetos.model.journal.requests import RequestKind
from fleetos.model.run import Outcome, PowerOutcome, Run, Target
from fleetos.model.states import AHEAD, ENDS, HOLDS_SLOT, QUEUED, Reason, RunState, TargetState
from tests.simulation.checkers.steps import believed, groups
from tests.simulation.run_trace import RunTrace

_S = TargetState
# What the last check before a write says in a run that was paused after the intent.
_KEPT_BACK = "the run is paused"
# How the end of a change is told that stands in the cloud's log of actions.
_BY_LOG = "by the cloud's log"


def told(trace: RunTrace) -> Iterator[str]:
    """Yield each situation as often as the journal tells it."""
    targets: dict[str, Target] = {}
    yield from _pauses_and_resumes(trace)
    undelivered: set[tuple[str, int]] = set()
    for step in believed(trace):
        event, before, after = step.record.event, step.before, step.after
        if isinstance(event, RunDriverStarted | RunMoved) and step.run is not None:
            yield from _of_run(event, step.run, targets)
        if isinstance(event, RequestAnswered):
            yield f"request-{event.verb}-{event.outcome}"
        if isinstance(event, SettingChanged) and step.slots > event.concurrency:
            yield "concurrency-below-flight"
        if after is not None:
            targets[after.server_id] = after
        if before is None or after is None:
            continue
        if isinstance(event, NotDelivered):
            undelivered.add((event.server_id, event.attempt))
        if isinstance(event, ChangeIntended) and (event.server_id, event.attempt) in undelivered:
            undelivered.remove((event.server_id, event.attempt))
            yield "resend-after-settle"
        yield from _of_target(event, before)
        if isinstance(event, ChangeAnswered | PowerAnswered) and _KEPT_BACK in event.detail:
            yield "write-kept-back-by-a-pause"
        if after.state in ENDS and before.state not in ENDS:
            yield f"{after.state}-{after.reason or 'well'}"
        if after.state is _S.WAITING and before.state in AHEAD | {_S.RESTORING}:
            yield "recalled"
            if step.run is not None and step.run.state is RunState.RUNNING:
                yield "recalled-while-the-run-goes-on"
        end = after if after.then is None else after.then
        if before.state in AHEAD and end.state is _S.SKIPPED and end.reason is Reason.OPERATOR:
            yield "skipped-ahead"
        if before.state is _S.BACKOFF and after.state is _S.CHECKING:
            yield "next-attempt-after-failure"


def _pauses_and_resumes(trace: RunTrace) -> Iterator[str]:
    for _, records in groups(trace):
        verbs = [record.event.verb for record in records if isinstance(record.event, RequestAnswered)]
        if {RequestKind.PAUSE, RequestKind.RESUME} <= set(verbs):
            yield "pause-and-resume-in-one-turn"


def _of_run(event: RunDriverStarted | RunMoved, run: Run, targets: dict[str, Target]) -> Iterator[str]:
    match event:
        case RunDriverStarted():
            open_intents = sum(_has_open_intent(target) for target in targets.values())
            if run.sessions:
                yield "run-taken-up-again"
            if open_intents:
                yield "takeover-with-open-intent"
            if run.sessions and any(target.failed_in(run.passes) for target in targets.values()):
                yield "taken-over-after-a-failure"
            if any(target.state is _S.INSPECTING for target in targets.values()):
                yield "takeover-while-inspecting"
        case RunMoved(to=RunState.PAUSED):
            yield f"paused-{event.reason}"
            if any(target.state in QUEUED for target in targets.values()):
                yield "admission-waits-while-paused"
            if event.reason is Reason.BUDGET and any(target.state in HOLDS_SLOT for target in targets.values()):
                yield "budget-pause-with-changes-in-flight"
        case RunMoved(to=RunState.FINISHING):
            changing = any(target.state in HOLDS_SLOT for target in targets.values())
            yield "abort-with-changes-in-flight" if changing else "abort"
        case _:
            pass


def _has_open_intent(target: Target) -> bool:
    pending = any(call.outcome is PowerOutcome.PENDING for call in target.calls)
    return pending or target.state is _S.SUBMITTING


def _of_target(event: object, before: Target) -> Iterator[str]:
    match event:
        case ChangeAnswered():
            yield f"change-answered-{event.answer}"
        case ChangeIntended() if event.before.in_error:
            yield "change-sent-to-a-failed-server"
        case ChangeIntended() if event.before.running:
            yield "change-sent-to-a-running-server"
        case Forgiven():
            yield "failure-forgiven"
        case Retried():
            yield "retry-after-attempts" if before.attempts else "retry-before-attempts"
        case PowerIntended() | PowerAnswered():
            yield from _of_power(event, before)
        case Moved() | AttemptEnded() | ChangeAdopted() | NotDelivered() | JobEnded():
            yield from _verdict(event, before)
        case _:
            pass


def _of_power(event: PowerIntended | PowerAnswered, before: Target) -> Iterator[str]:
    calls = before.calls
    if isinstance(event, PowerIntended):
        if event.hard and any(not call.hard for call in calls):
            yield "hard-stop-after-soft"
        if calls and calls[-1].outcome is PowerOutcome.REFUSED and event.size < calls[-1].size:
            yield "refused-batch-split"
        return
    verb = next(call.verb for call in calls if call.id == event.call_id)
    if event.outcome is PowerOutcome.UNKNOWN:
        yield f"unanswered-{verb}"
    elif event.outcome is PowerOutcome.REFUSED:
        yield f"refused-{verb}"
    elif event.outcome is PowerOutcome.ENDED and event.code is not None:
        yield f"failed-{verb}"


_Verdict = Moved | AttemptEnded | ChangeAdopted | NotDelivered | JobEnded


def _verdict(event: _Verdict, before: Target) -> Iterator[str]:
    """What came of an unknown outcome, of an ended job, and of the power that is put back."""
    match before.state:
        case _S.INSPECTING if before.attempt is not None:
            yield from _unknown_outcome(event, before)
        case _S.VERIFYING:
            yield from _after_success(event)
        case _S.CHANGING if isinstance(event, JobEnded):
            yield f"job-{event.status.lower()}"
        case _S.CHANGING if before.attempt is not None and before.attempt.job_status is JobStatus.FAIL:
            yield from _after_failure(event)
        case _S.CHANGING if isinstance(event, Moved) and before.attempt is not None:
            purged = before.attempt.job_id is not None and not before.attempt.adopted
            if event.to is _S.INSPECTING:
                yield "purged-job" if purged else "adopted-change-looked-at-again"
            elif event.to is _S.VERIFYING:
                yield "adopted-change-succeeds"
        case _S.RESTORING if isinstance(event, Moved):
            if event.restored:
                yield "power-stopped-again" if event.to is _S.DONE else "power-put-back"
            else:
                yield "power-not-put-back"
        case _:
            pass


def _unknown_outcome(event: _Verdict, before: Target) -> Iterator[str]:
    """The rows of the table for an unknown outcome."""
    adopted = before.attempt is not None and before.attempt.adopted
    match event:
        case ChangeAdopted():
            yield "inspected-changing"
        case NotDelivered():
            yield "inspected-untouched"
        case AttemptEnded() if event.detail.startswith(_BY_LOG):
            yield "failed-by-the-log" if event.outcome is Outcome.FAILED else "no-effect-by-the-log"
        case Moved(to=_S.HELD, reason=Reason.STILL_CHANGING) if event.detail.startswith(_BY_LOG):
            yield "goes-on-by-the-log"
        case AttemptEnded(outcome=Outcome.FAILED):
            yield "adopted-change-fails" if adopted else "inspected-failed"
        case Moved(to=_S.VERIFYING):
            yield "inspected-changed"
        case Moved(to=_S.STARTING):
            yield "inspected-changed-and-down"
        case Moved(to=_S.CHECKING):
            yield "inspected-running-on-its-old-disk"
        case _:
            pass


def _after_success(event: _Verdict) -> Iterator[str]:
    """The rows of the table for a job that succeeded."""
    match event:
        case AttemptEnded(outcome=Outcome.SUCCEEDED):
            yield "verified"
        case AttemptEnded(outcome=Outcome.NO_EFFECT):
            yield "success-without-effect"
        case AttemptEnded(outcome=Outcome.FOREIGN):
            yield "success-with-another-image"
        case Moved(to=_S.STARTING):
            yield "success-that-is-down"
        case Moved(to=_S.HELD, reason=Reason.OUTCOME_UNKNOWN | Reason.STILL_CHANGING):
            yield "success-that-is-unclear"
        case _:
            pass


def _after_failure(event: _Verdict) -> Iterator[str]:
    """The rows of the table for a job that failed."""
    match event:
        case AttemptEnded(outcome=Outcome.FAILED, reason=Reason.NO_SYSTEM_DISK):
            yield "failure-without-disk"
        case AttemptEnded(outcome=Outcome.FAILED, reason=Reason.FOREIGN_CHANGE):
            yield "failure-with-another-image"
        case AttemptEnded(outcome=Outcome.FAILED, reason=Reason.OUTCOME_UNKNOWN):
            yield "failure-of-which-nothing-tells"
        case AttemptEnded(outcome=Outcome.FAILED):
            yield "failure-on-the-old-disk"
        case Moved(to=_S.STARTING):
            yield "failure-on-the-new-disk"
        case Moved(to=_S.HELD):
            yield "failure-that-is-unclear"
        case _:
            pass
