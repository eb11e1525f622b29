"""Targets before their change (waiting, checking, ready): may this one be stopped and submitted? Pure."""

from fleetos.limits import CHECKING_S, FRESH_READ_MAX_AGE_S, NO_STOP_AFTER_UNANSWERED_S
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import Moved
from fleetos.model.plan import StopMode
from fleetos.model.run import Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.needs import Context, Decision, ReadServerNeed, SubmitNeed, SweepNeed, Wait, WriteEvents
from fleetos.rules.outcomes import abort_target, end_early, fail_if_deleted, hold
from fleetos.rules.states.verifying import describe_image


def is_fresh(context: Context) -> bool:
    """Return True if the last read is young enough to send something by it."""
    series = context.series
    return series is not None and context.now.since_s(series.last.requested) < context.cap_on_loopback_s(
        FRESH_READ_MAX_AGE_S
    )


def decide_queued(target: Target, context: Context) -> Decision:
    """End the target if its run was aborted; else leave it to the admission."""
    if context.run_finishing:
        return abort_target(target, None)
    return ()


def decide_checking(target: Target, context: Context) -> Decision:
    """Check the server before its first effect, then choose its way to the change."""
    series = context.series
    snapshot = None if series is None else series.snapshot
    if (end := end_early(target, context, snapshot)) is not None:
        return end
    if series is None:
        return (ReadServerNeed(context.now.elapsed_s),)
    if snapshot is None:
        return fail_if_deleted(target, series, context)
    return find_hold(target, snapshot) or _decide_checked(target, snapshot, context)


def find_hold(target: Target, snapshot: ServerSnapshot) -> WriteEvents | None:
    """Return the hold that the disk rule, a lock or a changed image demands before any effect; None if none does."""
    if snapshot.disk is None:
        return hold(target, Reason.NO_SYSTEM_DISK, "the server shows no system disk", snapshot)
    if snapshot.disk != target.disk:
        detail = f"its system disk is {snapshot.disk}, not {target.disk} as this run knows it"
        return hold(target, Reason.FOREIGN_CHANGE, detail, snapshot)
    before = target.baseline
    if not target.attempts and _shows_other_image(before, snapshot):
        detail = f"it shows {describe_image(snapshot)}, not {before.likely_image} as at the freeze"
        return hold(target, Reason.FOREIGN_CHANGE, detail, snapshot)
    if target.order.reinstall and snapshot.likely_image != target.order.image_id:
        detail = f"it shows {describe_image(snapshot)}, and a reinstall would install that, not {before.likely_image}"
        return hold(target, Reason.FOREIGN_CHANGE, detail, snapshot)
    if snapshot.locked:
        return hold(target, Reason.LOCKED, "the server is locked", snapshot)
    return None


def _shows_other_image(before: ServerSnapshot, snapshot: ServerSnapshot) -> bool:
    """Return True if the image is surely another: no image, or one that only one of two ids states, is no evidence."""
    if not (before.images and snapshot.images):
        return False
    both_tell = before.metered is not None and snapshot.metered is not None
    return before.images.isdisjoint(snapshot.images) or (both_tell and before.images != snapshot.images)


def may_submit(target: Target, snapshot: ServerSnapshot, *, by_api: bool) -> bool:
    """Return True if the server may be submitted: stopped and idle, failed by a change, or running if `by_api`."""
    if snapshot.stopped or (by_api and snapshot.running):
        return True
    failed_before = target.baseline.in_error or any(attempt.outcome is Outcome.FAILED for attempt in target.attempts)
    return snapshot.in_error and failed_before


def _decide_checked(target: Target, snapshot: ServerSnapshot, context: Context) -> Decision:
    by_api = context.settings.stop is StopMode.API
    if not context.run_running:
        return (Wait(context.next_poll_s()),)
    last = target.last_unanswered_at
    young = last is not None and (context.now.wall - last).total_seconds() < NO_STOP_AFTER_UNANSWERED_S
    if snapshot.running and young:
        detail = f"it runs, and a send at {last:%Y-%m-%d %H:%M:%SZ} was never answered: not stopped for a day"
        return hold(target, Reason.UNANSWERED_SEND, detail, snapshot)
    if by_api and target.unanswered:
        detail = "a send was never answered; with stop: api there is no stopped-only rule, so nothing is sent after it"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)
    if target.attempt is not None and target.attempt.unanswered and snapshot.stopped:
        detail = "it ran after a send that was never answered, and is stopped now: somebody else works on it"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)
    if may_submit(target, snapshot, by_api=by_api):
        return WriteEvents((Moved(target.server_id, TargetState.READY),))
    if snapshot.running:
        return WriteEvents((Moved(target.server_id, TargetState.STOPPING),))
    if context.in_state_s > CHECKING_S or snapshot.in_error:
        detail = f"it is {snapshot.status} (task: {snapshot.task or 'none'}), neither running nor stopped"
        return hold(target, Reason.WRONG_STATE, detail, snapshot)
    return (ReadServerNeed(context.next_poll_s()),)


def decide_ready(target: Target, context: Context) -> Decision:
    """Submit the change if a fresh read still shows the server as it must be."""
    series = context.series
    snapshot = None if series is None else series.snapshot
    if (end := end_early(target, context, snapshot)) is not None:
        return end
    if not (context.run_running or context.run_finishing):
        return (Wait(context.next_poll_s()),)
    if target.not_before is not None and target.not_before > context.now.wall:
        return (Wait(context.to_elapsed_s(target.not_before)),)
    # A deleted server does not come back, so this needs no fresh read, which slow reads may never be.
    if series is not None and snapshot is None:
        return fail_if_deleted(target, series, context)
    if snapshot is None or not is_fresh(context):
        return (ReadServerNeed(context.now.elapsed_s),)
    refused = find_hold(target, snapshot)
    if refused is not None:
        return refused
    if may_submit(target, snapshot, by_api=context.settings.stop is StopMode.API):
        # While no slot is free, the sweeps for others keep the read fresh.
        return (SubmitNeed(), SweepNeed())
    if snapshot.running:
        return WriteEvents((Moved(target.server_id, TargetState.CHECKING),))
    if context.in_state_s > CHECKING_S:
        detail = f"it is {snapshot.status} (task: {snapshot.task or 'none'}), no longer stopped"
        return hold(target, Reason.WRONG_STATE, detail, snapshot)
    return (ReadServerNeed(context.next_poll_s()),)
