"""Outcomes: end a target, or let it go on after a failed attempt. One place for every way out. Pure."""

from datetime import timedelta

from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import AttemptEnded, Moved
from fleetos.model.run import Attempt, End, Outcome, Target
from fleetos.model.states import QUEUED, Reason, TargetState
from fleetos.rules.needs import Context, Decision, Need, ReadServerNeed, WriteEvents
from fleetos.rules.observation import ObservationSeries

# Two reads this far apart that find no server prove that it was deleted: a cell of the cloud may flap for some seconds.
DELETED_APART_S = 30.0
_CAN_RESTORE = frozenset(
    {
        TargetState.CHECKING,
        TargetState.STOPPING,
        TargetState.READY,
        TargetState.SUBMITTING,
        TargetState.INSPECTING,
        TargetState.BACKOFF,
    }
)
# Outcomes of a change that the cloud accepted, also where its reply to the request was lost.
_TAKEN = frozenset({Outcome.FAILED, Outcome.NO_EFFECT})


def _was_taken(attempt: Attempt) -> bool:
    return attempt.accepted or attempt.outcome in _TAKEN


def must_restore(target: Target, snapshot: ServerSnapshot | None) -> bool:
    """Return True if the server must be started again: fleetos stopped it, it ran before, and it was never changed.

    Its disk must be its own, too. `seen` None: nothing is known now; the read before the start decides.
    """
    return (
        target.state in _CAN_RESTORE
        and target.stopped_at is not None
        and target.ran_before
        and not any(_was_taken(attempt) for attempt in target.attempts)
        and (snapshot is None or snapshot.disk == target.baseline.disk)
    )


def give_up(
    target: Target, state: TargetState, reason: Reason, detail: str, snapshot: ServerSnapshot | None = None
) -> WriteEvents:
    """End the target without (another) change: at once, or after its power is restored."""
    restore = must_restore(target, snapshot)
    to = TargetState.RESTORING if restore else state
    then = End(state, reason, detail) if restore else None
    attempt = target.attempt
    disk = snapshot.disk if snapshot is not None else None
    if attempt is None or attempt.accepted or attempt.unanswered:
        return WriteEvents(
            (Moved(target.server_id, to, reason, disk=_changed_disk(target, disk), detail=detail, then=then),)
        )
    outcome = Outcome.NOT_DELIVERED
    ended = AttemptEnded(
        target.server_id, attempt.number, outcome, to, disk=disk, reason=reason, detail=detail, then=then
    )
    return WriteEvents((ended,))


def _changed_disk(target: Target, disk: str | None) -> str | None:
    return disk if disk is not None and disk != target.disk else None


def hold(target: Target, reason: Reason, detail: str, snapshot: ServerSnapshot | None = None) -> WriteEvents:
    """Hold the target for a human."""
    return give_up(target, TargetState.HELD, reason, detail, snapshot)


def abort_target(target: Target, snapshot: ServerSnapshot | None) -> WriteEvents:
    """End a target that an abort finds before its change; before its next one, hold it for a human."""
    if target.state in QUEUED and target.attempt is not None:
        detail = "the run was ended early before the outcome of an earlier send was looked at again"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail)
    last = next((attempt for attempt in reversed(target.attempts) if _was_taken(attempt)), None)
    if last is not None:
        detail = f"the run was ended early after a change that failed: {last.fail_reason or 'no reason given'}"
        return hold(target, Reason.ABORTED, detail, snapshot)
    if target.disk != target.baseline.disk:
        # A retry has named the disk that an unanswered send, or somebody else, left: it is not as it was.
        detail = (
            f"the run was ended early; its system disk is {target.disk}, no longer {target.baseline.disk} as before it"
        )
        return hold(target, Reason.ABORTED, detail, snapshot)
    return give_up(target, TargetState.CANCELLED, Reason.ABORTED, "the run was ended early", snapshot)


def end_early(target: Target, context: Context, snapshot: ServerSnapshot | None) -> WriteEvents | None:
    """Return the end, or the recall, of a target that is kept from its change; None if nothing keeps it."""
    if context.run_finishing:
        return abort_target(target, snapshot)
    asked = target.asked_end
    if asked is not None and asked.reason is not None:
        return give_up(target, asked.state, asked.reason, asked.detail, snapshot)
    may_not_go_on = context.run_resting or context.recalled
    return recall(target, snapshot) if may_not_go_on and target.recallable else None


def recall(target: Target, snapshot: ServerSnapshot | None) -> WriteEvents:
    """Take the turn of a target back before its change was sent: it waits again, its power as it was."""
    if not must_restore(target, snapshot):
        return WriteEvents((Moved(target.server_id, TargetState.WAITING),))
    then = End(TargetState.WAITING, None, "")
    return WriteEvents((Moved(target.server_id, TargetState.RESTORING, then=then),))


def is_proven_deleted(series: ObservationSeries, context: Context) -> bool:
    """Return True if two single reads, far enough apart, answered 404 and no read between them showed the server."""
    return series.snapshot is None and series.unchanged_s() >= context.cap_on_loopback_s(DELETED_APART_S)


def read_missing_server(series: ObservationSeries, context: Context) -> tuple[Need, ...]:
    """Return the next read of a server that the last one did not find: some before the one that proves it deleted."""
    last_s = max(context.now.elapsed_s, series.unchanged_since.elapsed_s + context.cap_on_loopback_s(DELETED_APART_S))
    return (ReadServerNeed(min(context.next_evidence_read_s(), last_s), single=True),)


def fail_if_deleted(target: Target, series: ObservationSeries, context: Context) -> Decision:
    """End a target whose server was deleted, once that is proven; until then read it again."""
    if not is_proven_deleted(series, context):
        return read_missing_server(series, context)
    detail = f"the cloud says twice, {series.unchanged_s():.0f} s apart, that there is no such server"
    attempt = target.attempt
    if attempt is None:
        return WriteEvents((Moved(target.server_id, TargetState.FAILED, Reason.GONE, detail=detail),))
    outcome = Outcome.FAILED if attempt.accepted else Outcome.UNKNOWN if attempt.unanswered else Outcome.NOT_DELIVERED
    ended = AttemptEnded(
        target.server_id, attempt.number, outcome, TargetState.FAILED, reason=Reason.GONE, detail=detail
    )
    return WriteEvents((ended,))


def hold_unread(target: Target, misses: int) -> WriteEvents:
    """Hold the target for a human, since nothing can be learnt of its server; a proven change stays done."""
    detail = f"{misses} reads in a row said nothing of the server"
    if target.then is not None and target.then.state is TargetState.DONE:
        # Its new OS is proven: nothing may invite the operator to change it once more.
        detail += ": it could not be stopped as it was"
        return WriteEvents((Moved(target.server_id, TargetState.DONE, detail=detail),))
    if target.then is not None and target.then.detail:
        detail = f"{target.then.detail}; {detail}"
    return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.UNREACHABLE, detail=detail),))


def end_attempt(
    target: Target, outcome: Outcome, detail: str, snapshot: ServerSnapshot, context: Context
) -> WriteEvents:
    """Use up the open attempt: the next waits for its backoff, or the target is held when none is left."""
    attempt = target.attempt
    if attempt is None:
        raise ValueError(f"target {target.server_id} has no open attempt to use up")
    used = sum(earlier.outcome is not None for earlier in target.attempts) + 1
    if used < target.attempts_allowed:
        ended = AttemptEnded(
            target.server_id,
            attempt.number,
            outcome,
            TargetState.BACKOFF,
            disk=snapshot.disk,
            image=snapshot.likely_image,
            detail=detail,
            not_before=context.now.wall + timedelta(seconds=backoff_s(used, context)),
        )
    else:
        ended = end_attempt_held(target, outcome, Reason.ATTEMPTS_USED_UP, detail, snapshot)
    return WriteEvents((ended,))


def end_attempt_held(
    target: Target, outcome: Outcome, reason: Reason, detail: str, snapshot: ServerSnapshot
) -> AttemptEnded:
    """Return the event that ends the open attempt and leaves the target to a human."""
    attempt = target.attempt
    if attempt is None:
        raise ValueError(f"target {target.server_id} has no open attempt to end")
    return AttemptEnded(
        target.server_id,
        attempt.number,
        outcome,
        TargetState.HELD,
        disk=snapshot.disk,
        image=snapshot.likely_image,
        reason=reason,
        detail=detail,
        restored=snapshot.running,
    )


def backoff_s(used: int, context: Context) -> float:
    """Return the seconds before the attempt after the `used`-th: doubling up to the plan's maximum, less a jitter."""
    settings = context.settings
    wait_s = min(settings.backoff_s * 2 ** min(used - 1, 30), settings.max_backoff_s)
    return wait_s * (1.0 - 0.25 * context.fraction)
