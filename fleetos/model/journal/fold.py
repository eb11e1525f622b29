"""The fold: what the targets of a run are, given the events so far. Pure, and the only way they ever change.

Every function takes the event's time and returns the new value; the law of states is asked before each move, so an
illegal one raises IllegalMove and nothing has changed.
"""

from dataclasses import replace
from datetime import datetime

from fleetos.errors import IllegalMove
from fleetos.limits import MAX_RESENDS
from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAdopted,
    ChangeAnswered,
    ChangeIntended,
    Enlisted,
    JobEnded,
    Moved,
    NotDelivered,
    PowerAnswered,
    PowerIntended,
    Retried,
    Settled,
    TargetEvent,
)
from fleetos.model.run import Attempt, Outcome, PowerCall, PowerOutcome, Target
from fleetos.model.states import ENDS, Reason, TargetState, check_move

_S = TargetState
_POWERED = frozenset({_S.STOPPING, _S.STARTING, _S.RESTORING})
# Where each of these events can happen. The law of moves alone would let some of them happen elsewhere, and two of
# them do not move the target at all.
_WHERE: dict[type[TargetEvent], frozenset[TargetState]] = {
    ChangeIntended: frozenset({_S.READY}),
    ChangeAnswered: frozenset({_S.SUBMITTING}),
    ChangeAdopted: frozenset({_S.INSPECTING}),
    JobEnded: frozenset({_S.CHANGING, _S.INSPECTING}),
    NotDelivered: frozenset({_S.INSPECTING}),
    PowerIntended: _POWERED,
    PowerAnswered: _POWERED,
    Settled: ENDS,
}
_ANYWHERE = frozenset(_S)

# With another disk than before, these outcomes show that the cloud did take an unanswered request.
_PROVEN_BY_DISK = frozenset({Outcome.SUCCEEDED, Outcome.FAILED})

# Answers that are proven non-deliveries and count towards their bound; throttling does not.
# Safety protocol, section 3: docs/safety-protocol.md#3-replies
CONFLICT = "conflict"
COUNTED = frozenset({"later", "not-sent", "unauthenticated", CONFLICT})


def fold_target(target: Target | None, event: TargetEvent, at: datetime) -> Target:
    """The target after the event. Raises IllegalMove."""
    if isinstance(event, Enlisted):
        return replace(event.target, since=at)
    if target is None:
        raise IllegalMove(f"the journal has a {event.kind} of server {event.server_id}, which is no target")
    if target.state not in _WHERE.get(type(event), _ANYWHERE):
        raise IllegalMove(f"target {target.server_id}: a {event.kind} cannot happen in state {target.state}")
    match event:
        case Moved():
            return _moved(target, event, at)
        case ChangeIntended() | ChangeAnswered() | ChangeAdopted() | JobEnded() | NotDelivered() | AttemptEnded():
            return _attempted(target, event, at)
        case PowerIntended():
            call = PowerCall(event.call_id, event.verb, event.hard, event.size, at)
            stopped_at = (target.stopped_at or at) if event.verb == "stop" else target.stopped_at
            return replace(target, calls=(*target.calls, call), stopped_at=stopped_at)
        case PowerAnswered():
            return _power_answered(target, event)
        case Retried():
            return _retried(target, event, at)
        case Settled():
            attempts = tuple(
                replace(one, unanswered=0, outcome=one.outcome or Outcome.UNKNOWN, ended_at=one.ended_at or at)
                for one in target.attempts
            )
            left_at = target.last_unanswered_at if target.unanswered else target.remembered_at
            return replace(target, attempts=attempts, remembered_at=left_at)


def _go(target: Target, to: TargetState, at: datetime, reason: Reason | None, detail: str) -> Target:
    check_move(target.server_id, target.state, to)
    return replace(
        target,
        state=to,
        since=at,
        reason=reason,
        detail=detail,
        not_before=None,
        then=None,
        calls=() if to is not target.state else target.calls,
    )


def _moved(target: Target, event: Moved, at: datetime) -> Target:
    if TargetState.SUBMITTING in (target.state, event.to):
        raise IllegalMove(f"target {target.server_id}: a send needs an intent before it and an answer after it")
    after = _go(target, event.to, at, event.reason, event.detail)
    return replace(
        after,
        not_before=event.not_before,
        then=event.then,
        stopped_at=None if event.restored else after.stopped_at,
        started=target.started or event.to is TargetState.STARTING,
        disk_after=event.disk or after.disk_after,
    )


_AttemptEvent = ChangeIntended | ChangeAnswered | ChangeAdopted | JobEnded | NotDelivered | AttemptEnded


def _attempted(target: Target, event: _AttemptEvent, at: datetime) -> Target:
    match event:
        case ChangeIntended():
            return _intended(target, event, at)
        case ChangeAnswered():
            return _answered(target, event, at)
        case ChangeAdopted():
            # What is seen at the server may be somebody else's: the send stays unanswered until its disk is seen.
            attempt = replace(_open(target, event.attempt), adopted=True)
            return _with(_go(target, TargetState.CHANGING, at, None, ""), attempt)
        case JobEnded():
            attempt = replace(
                _open(target, event.attempt),
                job_status=event.status,
                error_code=event.error_code,
                fail_reason=event.fail_reason,
            )
            # Whoever was inspected is judged like all others whose job has failed.
            to = TargetState.VERIFYING if event.status is JobStatus.SUCCESS else TargetState.CHANGING
            after = target if target.state is to else _go(target, to, at, None, "")
            return _with(after, attempt)
        case NotDelivered():
            attempt = _open(target, event.attempt)
            after = _go(target, TargetState.READY, at, None, "")
            return _with(after, replace(attempt, resends=attempt.resends + 1))
        case AttemptEnded():
            return _attempt_ended(target, event, at)


def _open(target: Target, number: int) -> Attempt:
    attempt = target.attempt
    if attempt is None or attempt.number != number:
        raise IllegalMove(f"target {target.server_id}: attempt {number} is not open")
    return attempt


def _with(target: Target, attempt: Attempt) -> Target:
    resolved = not any(one.unanswered for one in (*target.attempts[:-1], attempt))
    last = target.remembered_at if resolved else target.last_unanswered_at
    return replace(target, attempts=(*target.attempts[:-1], attempt), last_unanswered_at=last)


def _intended(target: Target, event: ChangeIntended, at: datetime) -> Target:
    after = _go(target, TargetState.SUBMITTING, at, None, "")
    if event.before.disk is None or event.before.disk != target.disk:
        raise IllegalMove(f"target {target.server_id}: disk {event.before.disk} is not the one that may be wiped")
    if event.before.running:
        # Only a call that stops the server by itself is sent to a running one.
        after = replace(after, stopped_at=after.stopped_at or at)
    attempt = target.attempt
    if attempt is None:
        if event.attempt != len(target.attempts) + 1:
            raise IllegalMove(f"target {target.server_id}: attempt {event.attempt} is out of order")
        if sum(one.outcome is not None for one in target.attempts) >= target.attempts_allowed:
            raise IllegalMove(f"target {target.server_id}: all {target.attempts_allowed} attempts are used up")
        first = Attempt(
            event.attempt, event.before, intended_at=at, sent_at=at, deadline=event.deadline, cloud_at=event.cloud_at
        )
        return replace(after, attempts=(*target.attempts, first))
    again = replace(_open(target, event.attempt), sent_at=at, sends=attempt.sends + 1, deadline=event.deadline)
    return replace(after, attempts=(*target.attempts[:-1], again))


def _answered(target: Target, event: ChangeAnswered, at: datetime) -> Target:
    attempt = replace(
        _open(target, event.attempt),
        error_code=event.code,
        fail_reason=event.detail or None,
        request_id=event.request_id,
    )
    after = _go(target, event.to, at, event.reason, event.detail)
    after = replace(after, not_before=event.not_before, then=event.then)
    not_done = event.to not in (TargetState.CHANGING, TargetState.INSPECTING)
    if not_done and attempt.before.running and after.stopped_at == attempt.sent_at:
        # The call that was to stop the server by itself did not.
        after = replace(after, stopped_at=None)
    match event.to:
        case TargetState.CHANGING:
            attempt = replace(
                attempt,
                accepted_at=at,
                job_id=event.job_id,
                deadline=event.deadline or attempt.deadline,
                fail_reason=None,
            )
        case TargetState.INSPECTING:
            # A conflict was refused for certain; what is unknown then is an earlier send.
            if event.answer != CONFLICT:
                attempt = replace(attempt, unanswered=attempt.unanswered + 1)
                return replace(_with(after, attempt), last_unanswered_at=max(at, target.remembered_at or at))
        case TargetState.READY:
            after = replace(
                after,
                refusals=after.refusals + (event.answer in COUNTED),
            )
        case _:
            attempt = replace(attempt, outcome=Outcome.REFUSED, ended_at=at)
    return _with(after, attempt)


def _attempt_ended(target: Target, event: AttemptEnded, at: datetime) -> Target:
    attempt = _open(target, event.attempt)
    unanswered = attempt.unanswered
    if attempt.accepted_at is None and event.outcome in _PROVEN_BY_DISK and event.disk != attempt.before.disk:
        unanswered = max(0, unanswered - 1)
    succeeded = event.outcome is Outcome.SUCCEEDED
    attempt = replace(
        attempt,
        outcome=event.outcome,
        ended_at=at,
        unanswered=unanswered,
        disk_after=event.disk,
        image_after=event.image,
        # What went wrong on the way to a success is in the journal; the attempt itself did not fail.
        error_code=None if succeeded else attempt.error_code,
        fail_reason=None if succeeded else attempt.fail_reason or event.detail or None,
    )
    after = replace(_go(target, event.to, at, event.reason, event.detail), not_before=event.not_before, then=event.then)
    after = _with(after, attempt)
    if succeeded:
        return replace(after, disk_after=event.disk, image_after=event.image, stopped_at=None)
    if event.restored:
        after = replace(after, stopped_at=None)
    # The disk rule: what a failed attempt of ours left may be wiped by the next; anything else needs a human.
    left = (
        event.disk if event.outcome in (Outcome.FAILED, Outcome.NO_EFFECT) and event.to is TargetState.BACKOFF else None
    )
    held = event.disk if event.to is TargetState.HELD else None
    return replace(
        after,
        disk=left or after.disk,
        disk_after=held or after.disk_after,
        refusals=0,
        started=False,
    )


def _power_answered(target: Target, event: PowerAnswered) -> Target:
    if not any(call.id == event.call_id for call in target.calls):
        raise IllegalMove(f"target {target.server_id}: there is no power call {event.call_id}")
    calls = tuple(
        replace(call, outcome=event.outcome, job_id=event.job_id or call.job_id, code=event.code)
        if call.id == event.call_id
        else call
        for call in target.calls
    )
    stopped_at = target.stopped_at
    # Stops that were proven not done have stopped nothing, unless one of an earlier step did. Which step it was says
    # the very time of its first call: later than that it may be earlier by a clock that was set back.
    first = calls[0].verb == "stop" and calls[0].intended_at == stopped_at
    if first and all(_not_done(call) for call in calls):
        stopped_at = None
    calls = tuple(call for call in calls if call.outcome is not PowerOutcome.DROPPED)
    return replace(
        target,
        calls=calls,
        not_before=event.not_before,
        stopped_at=stopped_at,
        detail=event.detail or target.detail,
        refusals=target.refusals + (event.outcome is PowerOutcome.DROPPED and event.answer in COUNTED),
    )


def _not_done(call: PowerCall) -> bool:
    return call.outcome in (PowerOutcome.REFUSED, PowerOutcome.DROPPED)


def _retried(target: Target, event: Retried, at: datetime) -> Target:
    used = sum(one.outcome is not None for one in target.attempts)
    after = _go(target, TargetState.WAITING, at, None, "")
    attempts = target.attempts
    if target.attempt is not None:
        attempts = (*attempts[:-1], replace(target.attempt, resends=MAX_RESENDS - 1))
    return replace(
        after,
        attempts=attempts,
        attempts_allowed=used + 1,
        disk=event.disk,
        refusals=0,
        started=False,
    )
