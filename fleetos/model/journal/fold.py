"""Fold events into the targets of a run. Pure, and the only way in which a target changes.

Every function takes the time of the event and returns the new target. Each checks the law of states before a move: an
illegal one raises IllegalMove, and nothing has changed.
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
    EndAsked,
    Enlisted,
    Forgiven,
    JobEnded,
    Moved,
    NotDelivered,
    PowerAnswered,
    PowerIntended,
    Released,
    Retried,
    Settled,
    TargetEvent,
)
from fleetos.model.run import Attempt, End, Outcome, PowerCall, PowerOutcome, Target
from fleetos.model.states import AHEAD, ENDS, RETRIABLE, Reason, TargetState, check_move

_S = TargetState
_POWERED = frozenset({_S.STOPPING, _S.STARTING, _S.RESTORING})
# States in which each of these events may happen. The law of moves alone would allow some of them in other states, and
# two of them do not move the target at all.
_ALLOWED_STATES: dict[type[TargetEvent], frozenset[TargetState]] = {
    ChangeIntended: frozenset({_S.READY}),
    ChangeAnswered: frozenset({_S.SUBMITTING}),
    ChangeAdopted: frozenset({_S.INSPECTING}),
    JobEnded: frozenset({_S.CHANGING, _S.INSPECTING}),
    NotDelivered: frozenset({_S.INSPECTING}),
    PowerIntended: _POWERED,
    PowerAnswered: _POWERED,
    EndAsked: AHEAD,
    Released: AHEAD | {_S.RESTORING, _S.HELD},
    Forgiven: RETRIABLE | {_S.RESTORING},
    Settled: ENDS,
}
_ANY_STATE = frozenset(_S)

# If the disk has changed, these outcomes show that the cloud did accept an unanswered request.
_PROVEN_BY_DISK = frozenset({Outcome.SUCCEEDED, Outcome.FAILED})

# Answers that prove a non-delivery and count towards `MAX_REFUSALS`. Throttling does not count.
# Safety protocol, section 3: docs/safety-protocol.md#3-replies
CONFLICT = "conflict"
COUNTED = frozenset({"later", "not-sent", "unauthenticated", CONFLICT})


def fold_target(target: Target | None, event: TargetEvent, at: datetime) -> Target:
    """Return the target after the event. Raise IllegalMove if the law forbids the event."""
    if isinstance(event, Enlisted):
        return replace(event.target, since=at)
    if target is None:
        raise IllegalMove(f"the journal has a {event.kind} of server {event.server_id}, which is no target")
    if target.state not in _ALLOWED_STATES.get(type(event), _ANY_STATE):
        raise IllegalMove(f"target {target.server_id}: a {event.kind} cannot happen in state {target.state}")
    match event:
        case Moved():
            return _fold_moved(target, event, at)
        case ChangeIntended() | ChangeAnswered() | ChangeAdopted() | JobEnded() | NotDelivered() | AttemptEnded():
            return _fold_attempt(target, event, at)
        case PowerIntended():
            call = PowerCall(event.call_id, event.verb, event.hard, event.size, at)
            stopped_at = (target.stopped_at or at) if event.verb == "stop" else target.stopped_at
            return replace(target, calls=(*target.calls, call), stopped_at=stopped_at)
        case PowerAnswered():
            return _fold_power_answered(target, event)
        case Retried() | Released() | EndAsked() | Forgiven() | Settled():
            return _fold_word(target, event, at)


def _move_to(target: Target, to: TargetState, at: datetime, reason: Reason | None, detail: str) -> Target:
    """Return the target in another state, without the details of the old one. Raise IllegalMove."""
    check_move(target.server_id, target.state, to)
    return replace(
        target,
        state=to,
        since=at,
        reason=reason,
        detail=detail,
        not_before=None,
        then=None,
        asked_end=target.asked_end if to in AHEAD else None,
        calls=() if to is not target.state else target.calls,
    )


def _fold_moved(target: Target, event: Moved, at: datetime) -> Target:
    if TargetState.SUBMITTING in (target.state, event.to):
        raise IllegalMove(f"target {target.server_id}: a send needs an intent before it and an answer after it")
    recalled = TargetState.WAITING in (event.to, None if event.then is None else event.then.state)
    if recalled and any(attempt.accepted for attempt in target.attempts):
        raise IllegalMove(f"target {target.server_id}: a change of it was accepted, so that it cannot be recalled")
    after = _move_to(target, event.to, at, event.reason, event.detail)
    return replace(
        after,
        # An attempt of which the cloud took nothing begins anew when the target is admitted again. So does the count of
        # refusals: one in each of many nights is not a target that is refused again and again.
        attempts=tuple(a for a in target.attempts if not (recalled and a.undelivered)),
        refusals=0 if recalled else target.refusals,
        not_before=event.not_before,
        then=event.then,
        stopped_at=None if event.restored else after.stopped_at,
        started=target.started or event.to is TargetState.STARTING,
        disk_after=event.disk or after.disk_after,
        # Held straight from the queue, at the freeze or by an abort: it was never admitted.
        excused=target.excused or (target.state is TargetState.WAITING and event.to is TargetState.HELD),
    )


_AttemptEvent = ChangeIntended | ChangeAnswered | ChangeAdopted | JobEnded | NotDelivered | AttemptEnded


def _fold_attempt(target: Target, event: _AttemptEvent, at: datetime) -> Target:
    match event:
        case ChangeIntended():
            return _fold_change_intended(target, event, at)
        case ChangeAnswered():
            return _fold_change_answered(target, event, at)
        case ChangeAdopted():
            # The change may be somebody else's: the send stays unanswered until the driver sees the disk.
            attempt = replace(_require_attempt(target, event.attempt), adopted=True)
            after = _replace_attempt(_move_to(target, TargetState.CHANGING, at, None, ""), attempt)
            return replace(after, stopped_at=after.stopped_at or at) if event.ran else after
        case JobEnded():
            attempt = replace(
                _require_attempt(target, event.attempt),
                job_status=event.status,
                error_code=event.error_code,
                fail_reason=event.fail_reason,
            )
            # After a failed job an inspected target is judged like one that was changing.
            to = TargetState.VERIFYING if event.status is JobStatus.SUCCESS else TargetState.CHANGING
            after = target if target.state is to else _move_to(target, to, at, None, "")
            return _replace_attempt(after, attempt)
        case NotDelivered():
            attempt = _require_attempt(target, event.attempt)
            after = _move_to(target, TargetState.READY, at, None, "")
            return _replace_attempt(after, replace(attempt, resends=attempt.resends + 1))
        case AttemptEnded():
            return _fold_attempt_ended(target, event, at)


def _require_attempt(target: Target, number: int) -> Attempt:
    """Return the open attempt. Raise IllegalMove if it has another number, or if there is none."""
    attempt = target.attempt
    if attempt is None or attempt.number != number:
        raise IllegalMove(f"target {target.server_id}: attempt {number} is not open")
    return attempt


def _replace_attempt(target: Target, attempt: Attempt) -> Target:
    """Return the target with another last attempt. Reset `last_unanswered_at` if no send of the run is unanswered."""
    resolved = not any(other.unanswered for other in (*target.attempts[:-1], attempt))
    last = target.remembered_at if resolved else target.last_unanswered_at
    return replace(target, attempts=(*target.attempts[:-1], attempt), last_unanswered_at=last)


def _fold_change_intended(target: Target, event: ChangeIntended, at: datetime) -> Target:
    after = _move_to(target, TargetState.SUBMITTING, at, None, "")
    if event.before.disk is None or event.before.disk != target.disk:
        raise IllegalMove(f"target {target.server_id}: disk {event.before.disk} is not the one that may be wiped")
    if event.before.running:
        # Only a call that stops the server itself is sent to a running server.
        after = replace(after, stopped_at=after.stopped_at or at)
    attempt = target.attempt
    if attempt is None:
        if event.attempt != len(target.attempts) + 1:
            raise IllegalMove(f"target {target.server_id}: attempt {event.attempt} is out of order")
        if sum(ended.outcome is not None for ended in target.attempts) >= target.attempts_allowed:
            raise IllegalMove(f"target {target.server_id}: all {target.attempts_allowed} attempts are used up")
        first = Attempt(
            event.attempt, event.before, intended_at=at, sent_at=at, deadline=event.deadline, cloud_at=event.cloud_at
        )
        return replace(after, attempts=(*target.attempts, first))
    again = replace(
        _require_attempt(target, event.attempt), sent_at=at, sends=attempt.sends + 1, deadline=event.deadline
    )
    return replace(after, attempts=(*target.attempts[:-1], again))


def _fold_change_answered(target: Target, event: ChangeAnswered, at: datetime) -> Target:
    attempt = replace(
        _require_attempt(target, event.attempt),
        error_code=event.code,
        fail_reason=event.detail or None,
        request_id=event.request_id,
    )
    after = _move_to(target, event.to, at, event.reason, event.detail)
    after = replace(after, not_before=event.not_before, then=event.then)
    not_done = event.to not in (TargetState.CHANGING, TargetState.INSPECTING)
    if not_done and attempt.before.running and after.stopped_at == attempt.sent_at:
        # The call would have stopped the server itself, and was not done.
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
            # A conflict is a certain refusal; then the unknown outcome is that of an earlier send.
            if event.answer != CONFLICT:
                attempt = replace(attempt, unanswered=attempt.unanswered + 1)
                return replace(_replace_attempt(after, attempt), last_unanswered_at=max(at, target.remembered_at or at))
        case TargetState.READY:
            after = replace(
                after,
                refusals=after.refusals + (event.answer in COUNTED),
            )
        case _:
            attempt = replace(attempt, outcome=Outcome.REFUSED, ended_at=at)
    return _replace_attempt(after, attempt)


def _fold_attempt_ended(target: Target, event: AttemptEnded, at: datetime) -> Target:
    attempt = _require_attempt(target, event.attempt)
    unanswered = attempt.unanswered
    if attempt.accepted_at is None and event.outcome in _PROVEN_BY_DISK and event.disk != attempt.before.disk:
        unanswered = max(0, unanswered - 1)
    succeeded = event.outcome is Outcome.SUCCEEDED
    attempt = replace(
        attempt,
        outcome=event.outcome,
        ended_at=at,
        unanswered=unanswered,
        image_after=event.image,
        # Errors on the way to a success are in the journal; the attempt itself did not fail.
        error_code=None if succeeded else attempt.error_code,
        fail_reason=None if succeeded else attempt.fail_reason or event.detail or None,
    )
    after = replace(
        _move_to(target, event.to, at, event.reason, event.detail), not_before=event.not_before, then=event.then
    )
    after = _replace_attempt(after, attempt)
    if succeeded:
        return replace(after, disk_after=event.disk, image_after=event.image, stopped_at=None)
    if event.restored:
        after = replace(after, stopped_at=None)
    # Disk rule: the next attempt may wipe the disk that a failed attempt of ours left; any other disk needs a human.
    ours = event.outcome in (Outcome.FAILED, Outcome.NO_EFFECT) and event.to is TargetState.BACKOFF
    held = event.disk if event.to is TargetState.HELD else None
    return replace(
        after,
        disk=(event.disk if ours else None) or after.disk,
        disk_after=held or after.disk_after,
        refusals=0,
        started=False,
    )


def _fold_power_answered(target: Target, event: PowerAnswered) -> Target:
    if not any(call.id == event.call_id for call in target.calls):
        raise IllegalMove(f"target {target.server_id}: there is no power call {event.call_id}")
    calls = tuple(
        replace(call, outcome=event.outcome, job_id=event.job_id or call.job_id, code=event.code)
        if call.id == event.call_id
        else call
        for call in target.calls
    )
    stopped_at = target.stopped_at
    # Stops that were proven not done stopped nothing, unless a stop of an earlier step did. `stopped_at` is from this
    # step if it is exactly the time of its first call. The order of times proves nothing: a clock may be set back.
    stopped_now = calls[0].verb == "stop" and calls[0].intended_at == stopped_at
    if stopped_now and all(_was_not_done(call) for call in calls):
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


def _was_not_done(call: PowerCall) -> bool:
    return call.outcome in (PowerOutcome.REFUSED, PowerOutcome.DROPPED)


def _fold_word(target: Target, event: Retried | Released | EndAsked | Forgiven | Settled, at: datetime) -> Target:
    """Return the target after a word of an operator."""
    match event:
        case Retried():
            return _fold_retried(target, event, at)
        case Released():
            return _fold_released(target, event, at)
        case EndAsked():
            return replace(target, asked_end=event.end)
        case Forgiven():
            return replace(target, excused=True)
        case Settled():
            attempts = tuple(
                replace(
                    attempt, unanswered=0, outcome=attempt.outcome or Outcome.UNKNOWN, ended_at=attempt.ended_at or at
                )
                for attempt in target.attempts
            )
            left_at = target.last_unanswered_at if target.unanswered else target.remembered_at
            return replace(target, attempts=attempts, remembered_at=left_at)


def _fold_retried(target: Target, event: Retried, at: datetime) -> Target:
    if target.proven:
        raise IllegalMove(f"target {target.server_id}: its new OS is proven, and no retry wipes that")
    used = sum(attempt.outcome is not None for attempt in target.attempts)
    after = _move_to(target, TargetState.WAITING, at, None, "")
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
        pass_no=event.pass_no,
        excused=False,
    )


def _fold_released(target: Target, event: Released, at: datetime) -> Target:
    if not target.held_by_operator or target.ended is not (event.to is TargetState.WAITING):
        raise IllegalMove(f"target {target.server_id}: an operator does not hold it so that it could be released")
    if target.asked_end is not None:
        return replace(target, asked_end=None)
    if target.ended:
        after = _move_to(target, TargetState.WAITING, at, None, "")
    else:
        after = replace(target, reason=None, detail="", then=End(TargetState.WAITING, None, ""))
    # The hold ended an attempt that was not delivered: the next one takes its place.
    used = sum(attempt.outcome is not None for attempt in target.attempts)
    allowed = max(target.attempts_allowed, used + 1)
    return replace(after, attempts_allowed=allowed, pass_no=event.pass_no, excused=False)
