"""Verdicts on replies to writes, and on jobs. Pure.

Safety protocol, section 3: docs/safety-protocol.md#3-replies
Safety protocol, section 5: docs/safety-protocol.md#5-ended-jobs
"""

from dataclasses import replace
from datetime import timedelta

from fleetos.limits import CONFLICT_WAIT_S, JOB_UNKNOWN_GRACE_S, LATER_WAIT_S, MAX_REFUSALS
from fleetos.model.codes import AnswerClass, answer_class, meaning_of
from fleetos.model.inventory import Delivered, Job, JobStatus, Reply
from fleetos.model.journal.events import ChangeAnswered, JobEnded, Moved, PowerAnswered, RunMoved, TargetEvent
from fleetos.model.run import Attempt, End, PowerCall, PowerOutcome, Target
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.rules.needs import Context
from fleetos.rules.outcomes import must_restore

# The wait after a write that did not leave; all waits together are longer than UNREACHABLE_S.
NOT_SENT_WAIT_S = 15.0
Events = tuple[TargetEvent | RunMoved, ...]

_AGAIN = {
    AnswerClass.NOT_SENT: NOT_SENT_WAIT_S,
    AnswerClass.UNAUTHENTICATED: 0.0,
    AnswerClass.THROTTLED: 0.0,
    AnswerClass.LATER: LATER_WAIT_S,
    AnswerClass.CONFLICT: CONFLICT_WAIT_S,
}
# States in which the job of a change is read: while it goes on, and while its outcome is unknown.
_ASKED_BY_CHANGE = frozenset({TargetState.CHANGING, TargetState.INSPECTING})
# These wait without a bound of their own: throttling ends by itself, and a human ends a run-wide stop.
_UNCOUNTED = frozenset({AnswerClass.THROTTLED, AnswerClass.STOP_RUN})


def describe(reply: Reply) -> str:
    """Describe the reply in words, with the cloud's code and request id."""
    if not isinstance(reply, Delivered):
        return reply.detail
    parts = [reply.code or f"HTTP {reply.status}", reply.message or meaning_of(reply.code or "") or ""]
    text = ": ".join(part for part in parts if part)
    return f"{text} (request {reply.request_id})" if reply.request_id else text


def judge_change_reply(target: Target, attempt: Attempt, reply: Reply, context: Context) -> Events:
    """Return the events that follow from the reply to a changeos."""
    kind, wait_s = answer_class(reply)
    delivered = reply if isinstance(reply, Delivered) else None
    answer = ChangeAnswered(
        target.server_id,
        attempt.number,
        TargetState.INSPECTING,
        answer=str(kind),
        code=delivered.code if delivered else None,
        status=delivered.status if delivered else None,
        detail="" if kind is AnswerClass.ACCEPTED else describe(reply),
        request_id=delivered.request_id if delivered else None,
    )
    match kind:
        case AnswerClass.ACCEPTED:
            deadline = context.now.wall + timedelta(seconds=context.settings.change_timeout_s)
            job_id = delivered.job_id if delivered else None
            return (replace(answer, to=TargetState.CHANGING, job_id=job_id, deadline=deadline),)
        case AnswerClass.AMBIGUOUS:
            return (answer,)
        case AnswerClass.FATAL:
            return (_end_target(target, answer, TargetState.FAILED, Reason.REFUSED),)
        case AnswerClass.GONE:
            return (replace(answer, to=TargetState.FAILED, reason=Reason.GONE),)
        case AnswerClass.LOCKED:
            return (_end_target(target, answer, TargetState.HELD, Reason.LOCKED),)
        case AnswerClass.STOP_RUN:
            paused = RunMoved(RunState.PAUSED, Reason.PERMISSION, answer.detail)
            return (replace(answer, to=TargetState.READY), paused)
        case AnswerClass.CONFLICT if target.unanswered:
            return (answer,)
        case _:
            return (_send_again_later(target, answer, kind, wait_s, context),)


def _end_target(target: Target, answer: ChangeAnswered, state: TargetState, reason: Reason) -> ChangeAnswered:
    """End the target by this answer, once a server that fleetos stopped for it is started again."""
    if must_restore(target, None):
        then = End(state, reason, answer.detail)
        return replace(answer, to=TargetState.RESTORING, reason=reason, then=then)
    return replace(answer, to=state, reason=reason)


def _send_again_later(
    target: Target, answer: ChangeAnswered, kind: AnswerClass, wait_s: float | None, context: Context
) -> ChangeAnswered:
    """Make the target ready again after a wait, since its send was proven not done; hold it after MAX_REFUSALS."""
    if kind not in _UNCOUNTED and target.refusals + 1 >= MAX_REFUSALS:
        reason = Reason.WRONG_STATE if kind is AnswerClass.CONFLICT else Reason.REFUSED
        return _end_target(target, answer, TargetState.HELD, reason)
    pause_s = _pause_s(kind, wait_s, context)
    not_before = context.now.wall + timedelta(seconds=pause_s) if pause_s else None
    return replace(answer, to=TargetState.READY, not_before=not_before)


def _pause_s(kind: AnswerClass, suggested_s: float | None, context: Context) -> float:
    """Return the seconds before the next send; after a conflict never less than CONFLICT_WAIT_S."""
    least_s = _AGAIN.get(kind, 0.0)
    pause_s = (
        least_s if suggested_s is None else max(suggested_s, least_s) if kind is AnswerClass.CONFLICT else suggested_s
    )
    return context.cap_on_loopback_s(pause_s)


def end_forgotten_change(target: Target, attempt: Attempt) -> ChangeAnswered:
    """Return the event for an intent whose process died before it recorded an answer: the outcome is unknown."""
    detail = "the process that sent it ended before the answer was recorded"
    return ChangeAnswered(
        target.server_id, attempt.number, TargetState.INSPECTING, answer=str(AnswerClass.AMBIGUOUS), detail=detail
    )


def judge_power_reply(target: Target, call: PowerCall, reply: Reply, context: Context) -> Events:
    """Return the events that follow from the reply to a stop or start, for one server of it."""
    kind, wait_s = answer_class(reply)
    delivered = reply if isinstance(reply, Delivered) else None
    answer = PowerAnswered(
        target.server_id,
        call.id,
        PowerOutcome.UNKNOWN,
        code=delivered.code if delivered else None,
        detail="" if kind is AnswerClass.ACCEPTED else describe(reply),
        request_id=delivered.request_id if delivered else None,
        answer=str(kind),
    )
    match kind:
        case AnswerClass.ACCEPTED:
            job_id = delivered.job_id if delivered else None
            return (replace(answer, outcome=PowerOutcome.ACCEPTED, job_id=job_id),)
        case AnswerClass.AMBIGUOUS:
            return (answer,)
        case AnswerClass.STOP_RUN:
            paused = RunMoved(RunState.PAUSED, Reason.PERMISSION, answer.detail)
            return (replace(answer, outcome=PowerOutcome.DROPPED), paused)
        case AnswerClass.THROTTLED | AnswerClass.UNAUTHENTICATED | AnswerClass.NOT_SENT:
            later = context.now.wall + timedelta(seconds=_pause_s(kind, wait_s, context))
            return (replace(answer, outcome=PowerOutcome.DROPPED, not_before=later),)
        case _:
            pause_s = _pause_s(kind, wait_s, context) if call.size == 1 else 0.0
            later = context.now.wall + timedelta(seconds=pause_s)
            return (replace(answer, outcome=PowerOutcome.REFUSED, not_before=later),)


def end_forgotten_power_call(target: Target, call: PowerCall) -> PowerAnswered:
    """Return the event for a stop or start whose process died before it recorded an answer."""
    detail = "the process that sent it ended before the answer was recorded"
    return PowerAnswered(target.server_id, call.id, PowerOutcome.UNKNOWN, detail=detail)


def judge_job(target: Target, job_id: str, job: Job | None, context: Context) -> Events:
    """Return the events that follow from a read of the job; `job` None: the cloud does not know it."""
    attempt = target.attempt
    if target.state in _ASKED_BY_CHANGE and attempt is not None and attempt.job_id == job_id:
        return _judge_change_job(target, attempt, job, context)
    calls = [call for call in target.calls if call.job_id == job_id and call.outcome is PowerOutcome.ACCEPTED]
    return tuple(event for call in calls for event in _judge_power_job(target, call, job, context))


def _judge_change_job(target: Target, attempt: Attempt, job: Job | None, context: Context) -> Events:
    if attempt.job_final or attempt.job_id is None or attempt.adopted:
        return ()
    if job is None:
        if target.state is TargetState.INSPECTING:
            return ()
        accepted = attempt.accepted_at or attempt.sent_at
        if (context.now.wall - accepted).total_seconds() < context.cap_on_loopback_s(JOB_UNKNOWN_GRACE_S):
            return ()
        detail = f"the cloud no longer knows job {attempt.job_id}"
        return (Moved(target.server_id, TargetState.INSPECTING, detail=detail),)
    part = job.sub_job_of(target.server_id)
    said = job if part is None else part
    if not said.status.final:
        return ()
    ended = JobEnded(target.server_id, attempt.number, attempt.job_id, said.status, said.error_code, said.fail_reason)
    return (ended,)


def _judge_power_job(target: Target, call: PowerCall, job: Job | None, context: Context) -> Events:
    if job is None:
        if (context.now.wall - call.intended_at).total_seconds() < context.cap_on_loopback_s(JOB_UNKNOWN_GRACE_S):
            return ()
        return (PowerAnswered(target.server_id, call.id, PowerOutcome.UNKNOWN, detail="its job is unknown"),)
    part = job.sub_job_of(target.server_id)
    if part is None and (job.sub_jobs or call.size > 1):
        # The parent never judges a server; one that it does not list was perhaps never reached.
        if not job.status.final:
            return ()
        return (PowerAnswered(target.server_id, call.id, PowerOutcome.UNKNOWN, detail="its job does not list it"),)
    said = job if part is None else part
    if not said.status.final:
        return ()
    failed = said.status is JobStatus.FAIL
    detail = f"{said.error_code or 'no code'}: {said.fail_reason or 'no reason given'}" if failed else ""
    return (PowerAnswered(target.server_id, call.id, PowerOutcome.ENDED, code=said.error_code, detail=detail),)
