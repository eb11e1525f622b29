"""Waiting, checking, ready: may this target be stopped and submitted? Pure."""

from fleetos.limits import CHECKING_S, FRESH_READ_MAX_AGE_S, NO_STOP_AFTER_UNANSWERED_S
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import Moved
from fleetos.model.plan import StopMode
from fleetos.model.run import Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.needs import Context, Decision, Follow, ReadServerNeed, Submit, Wait, WriteEvents
from fleetos.rules.outcomes import aborted, gone, hold
from fleetos.rules.states.verifying import image_words


def is_fresh(context: Context) -> bool:
    """Whether the last look is young enough to send something by it."""
    watch = context.watch
    return watch is not None and context.now.since_s(watch.last.requested) < context.short(FRESH_READ_MAX_AGE_S)


def queued(target: Target, context: Context) -> Decision:
    if context.finishing:
        return aborted(target, None)
    return ()


def checking(target: Target, context: Context) -> Decision:
    watch = context.watch
    seen = None if watch is None else watch.picture
    if context.finishing:
        return aborted(target, seen)
    if watch is None:
        return (ReadServerNeed(context.now.elapsed_s),)
    if seen is None:
        return gone(target, watch, context)
    return wrong(target, seen) or _checked(target, seen, context)


def wrong(target: Target, seen: ServerSnapshot) -> WriteEvents | None:
    """The hold that the disk rule, a lock or a changed image demands before any effect; None if all is as known."""
    if seen.disk is None:
        return hold(target, Reason.NO_SYSTEM_DISK, "the server shows no system disk", seen)
    if seen.disk != target.disk:
        detail = f"its system disk is {seen.disk}, not {target.disk} as this run knows it"
        return hold(target, Reason.FOREIGN_CHANGE, detail, seen)
    before = target.baseline
    if not target.attempts and _other_image(before, seen):
        detail = f"it shows {image_words(seen)}, not {before.likely_image} as at the freeze"
        return hold(target, Reason.FOREIGN_CHANGE, detail, seen)
    if target.order.reinstall and seen.likely_image != target.order.image_id:
        detail = f"it shows {image_words(seen)}, and a reinstall would install that, not {before.likely_image}"
        return hold(target, Reason.FOREIGN_CHANGE, detail, seen)
    if seen.locked:
        return hold(target, Reason.LOCKED, "the server is locked", seen)
    return None


def _other_image(before: ServerSnapshot, seen: ServerSnapshot) -> bool:
    """Whether the image is surely another: what is not told, or told by one of two ids alone, is no evidence."""
    if not (before.images and seen.images):
        return False
    both_tell = before.metered is not None and seen.metered is not None
    return before.images.isdisjoint(seen.images) or (both_tell and before.images != seen.images)


def may_submit(target: Target, seen: ServerSnapshot, *, by_api: bool) -> bool:
    """Whether the picture allows a changeos: stopped and idle, or failed by a change, or any idle one if asked to."""
    if seen.stopped or (by_api and seen.running):
        return True
    failed_before = target.baseline.in_error or any(one.outcome is Outcome.FAILED for one in target.attempts)
    return seen.in_error and failed_before


def _checked(target: Target, seen: ServerSnapshot, context: Context) -> Decision:
    by_api = context.settings.stop is StopMode.API
    if not context.running:
        return (Wait(context.again_s()),)
    last = target.last_unanswered_at
    young = last is not None and (context.now.wall - last).total_seconds() < NO_STOP_AFTER_UNANSWERED_S
    if seen.running and young:
        detail = f"it runs, and a send at {last:%Y-%m-%d %H:%M:%SZ} was never answered: not stopped for a day"
        return hold(target, Reason.UNANSWERED_SEND, detail, seen)
    if by_api and target.unanswered:
        detail = "a send was never answered; with stop: api there is no fence, so nothing is sent after it"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)
    if target.attempt is not None and target.attempt.unanswered and seen.stopped:
        detail = "it ran after a send that was never answered, and is stopped now: somebody else works on it"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)
    if may_submit(target, seen, by_api=by_api):
        return WriteEvents((Moved(target.server_id, TargetState.READY),))
    if seen.running:
        return WriteEvents((Moved(target.server_id, TargetState.STOPPING),))
    if context.here_s > CHECKING_S or seen.in_error:
        detail = f"it is {seen.status} (task: {seen.task or 'none'}), neither running nor stopped"
        return hold(target, Reason.WRONG_STATE, detail, seen)
    return (ReadServerNeed(context.again_s()),)


def ready(target: Target, context: Context) -> Decision:
    watch = context.watch
    seen = None if watch is None else watch.picture
    if context.finishing:
        return aborted(target, seen)
    if target.not_before is not None and target.not_before > context.now.wall:
        return (Wait(context.due(target.not_before)),)
    # Nobody brings a deleted server back: that it is gone needs no fresh look, which slow reads may never be.
    if watch is not None and seen is None:
        return gone(target, watch, context)
    if seen is None or not is_fresh(context):
        return (ReadServerNeed(context.now.elapsed_s),)
    refused = wrong(target, seen)
    if refused is not None:
        return refused
    if may_submit(target, seen, by_api=context.settings.stop is StopMode.API):
        # While no slot is free, others' sweeps keep the look fresh.
        return (Submit(), Follow())
    if seen.running:
        return WriteEvents((Moved(target.server_id, TargetState.CHECKING),))
    if context.here_s > CHECKING_S:
        detail = f"it is {seen.status} (task: {seen.task or 'none'}), no longer stopped"
        return hold(target, Reason.WRONG_STATE, detail, seen)
    return (ReadServerNeed(context.again_s()),)
