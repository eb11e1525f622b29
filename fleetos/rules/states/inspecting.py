"""An unknown outcome: what the looks since it say, and the job if one is on record. Pure.

Safety protocol, section 4: docs/safety-protocol.md#4-unknown-outcomes

Evidence is single reads without a gap; nothing but a proven success or a visible change is concluded before the
settle time is over. A case that no row knows is watched to the deadline and then held. A job that goes on says more
than any look: some clouds show a change as a stopped, idle server.
"""

import math

from fleetos.limits import MAX_RESENDS, SELDOM_SEEN_SETTLES
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import Moved, NotDelivered
from fleetos.model.plan import StopMode
from fleetos.model.run import Attempt, Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.traces import LoggedEnd
from fleetos.rules import action_log
from fleetos.rules.needs import AskJob, Context, Decision, Need, ReadServerNeed, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import aborted, end_attempt, gone, held_after, hold
from fleetos.rules.states.changing import adopt
from fleetos.rules.states.verifying import (
    DiskMatch,
    disk_of,
    evidence_series,
    image_tells,
    image_words,
    on_image,
    start_once,
)


def inspecting(target: Target, context: Context) -> Decision:
    """The next need of a target with an unknown outcome."""
    decision, job_id = _by_looks(target, context), _job_on_record(target)
    if isinstance(decision, WriteEvents) or job_id is None:
        return decision
    if context.job_asked is None:
        return (*decision, AskJob(job_id, context.now.elapsed_s))
    # Also one that the cloud does not know: it may know it later, and it may have known it before.
    return (*decision, AskJob(job_id, context.job_asked.elapsed_s + _ask_every_s(context)))


def _job_on_record(target: Target) -> str | None:
    """The job that may still tell what came of the last attempt, one that the operator let rest included."""
    last = target.attempts[-1] if target.attempts else None
    if last is None or last.job_final or last.outcome not in (None, Outcome.UNKNOWN):
        return None
    return last.job_id


def _ask_every_s(context: Context) -> float:
    """Seconds between two questions about the job: several answers must fit into a settle."""
    return min(context.settings.poll_max_s, context.settle_s / 2)


def _may_go_on(target: Target, context: Context) -> bool:
    """Whether there is a job that may still go on: only answers over a whole settle say that it does not.

    What the cloud does not know now it may know again, and no look tells that nothing happens.
    """
    if _job_on_record(target) is None:
        return False
    asked, over = context.job_asked, context.job_over
    if asked is None or over is None or context.now.since_s(asked) > _ask_every_s(context):
        return True
    return asked.since_s(over) < context.settle_s


def _goes_on(context: Context) -> bool:
    """Whether the job went on when it was last asked."""
    return context.job_ran is not None and context.job_over is None


def _by_looks(target: Target, context: Context) -> Decision:
    watch = context.watch
    if watch is None:
        return (ReadServerNeed(context.now.elapsed_s, single=True),)
    attempt, seen = target.attempt, watch.picture
    if seen is None:
        return gone(target, watch, context)
    if attempt is None:
        return _known_outcome(target, seen, watch, context)
    if disk_of(attempt, seen) is DiskMatch.NEW and on_image(target, attempt, seen) and seen.running:
        return WriteEvents((Moved(target.server_id, TargetState.VERIFYING),))
    if _goes_on(context):
        return _going_on(target, attempt, seen, context)
    never_asked = _job_on_record(target) is not None and context.job_asked is None
    if seen.changing and not never_asked:
        return adopt(target, attempt)
    if _may_go_on(target, context) or watch.lasted_s() < context.settle_s:
        return _seldom_seen(target, seen, context) or _look_on(context)
    return _settled(target, attempt, seen, watch, context)


def _look_on(context: Context, until_s: float = math.inf) -> tuple[Need, ...]:
    return (ReadServerNeed(context.evidence_s(until_s), single=True),)


def _going_on(target: Target, attempt: Attempt, seen: ServerSnapshot, context: Context) -> Decision:
    """The change of a job that ran when it was last asked."""
    if _late_s(attempt, context) <= context.settings.change_timeout_s or context.here_s < context.settle_s:
        return _look_on(context)
    return hold(target, Reason.STILL_CHANGING, f"job {attempt.job_id} still goes on", seen)


def _seldom_seen(target: Target, seen: ServerSnapshot, context: Context) -> WriteEvents | None:
    """The hold of a server whose looks come too far apart, for too long, to be evidence of anything.

    A cloud that allows few requests may never let a series of looks without a gap come about.
    """
    if context.here_s <= context.settings.change_timeout_s + SELDOM_SEEN_SETTLES * context.settle_s:
        return None
    detail = f"the cloud did not let it be read often enough to tell, in {context.here_s:.0f} s"
    return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)


def _known_outcome(target: Target, seen: ServerSnapshot, watch: ObservationSeries, context: Context) -> Decision:
    """A retried target: its sends are all accounted for, unless nobody knows what came of one."""
    unknown = target.unanswered or any(one.outcome is Outcome.UNKNOWN for one in target.attempts)
    enough_s = context.settle_s if unknown else context.settings.poll_max_s
    if _may_go_on(target, context) or watch.still_s() < enough_s:
        return _seldom_seen(target, seen, context) or _look_on(context)
    if seen.changing:
        if context.here_s < context.settings.change_timeout_s:
            return _look_on(context)
        return hold(target, Reason.STILL_CHANGING, f"it is {seen.status} (task: {seen.task or 'none'})", seen)
    return WriteEvents((Moved(target.server_id, TargetState.CHECKING),))


def _settled(
    target: Target, attempt: Attempt, seen: ServerSnapshot, watch: ObservationSeries, context: Context
) -> Decision:
    """The rows that hold after the settle time."""
    tells = image_tells(target, attempt)
    runs_on = watch.throughout(lambda one: disk_of(attempt, one) is DiskMatch.SAME and one.running)
    if runs_on and (not tells or target.order.image_id in seen.images):
        detail = "it runs on the disk that it had: nothing tells whether its image was installed on it once more"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)
    if watch.throughout(lambda one: _untouched(attempt, one)):
        return _nothing_happened(target, attempt, seen, watch, context)
    if runs_on:
        if attempt.accepted:
            return end_attempt(target, Outcome.FAILED, "the change was accepted, but the old disk runs", seen, context)
        return WriteEvents((Moved(target.server_id, TargetState.CHECKING),))
    if watch.still_s() < context.settle_s and watch.lasted_s() < 2 * context.settle_s:
        # A picture that came up late may be one of a change that goes on.
        return _look_on(context)
    if watch.still_s() < context.settle_s:
        return _to_the_deadline(target, attempt, seen, watch, context)
    if disk_of(attempt, seen) is DiskMatch.NEW and on_image(target, attempt, seen) and (seen.stopped or seen.in_error):
        return start_once(target, seen) if tells else _down_untold(target, seen)
    if (seen.in_error and not _untouched(attempt, seen)) or seen.disk is None:
        return _half_done(target, attempt, seen, watch, context)
    if disk_of(attempt, seen) is DiskMatch.NEW and not on_image(target, attempt, seen):
        return _not_as_ordered(target, seen)
    return _to_the_deadline(target, attempt, seen, watch, context)


def _untouched(attempt: Attempt, picture: ServerSnapshot) -> bool:
    """Whether the picture is that before the send: its disk and image, idle, stopped or failed in the very same way."""
    before = attempt.before
    if picture.disk != before.disk or (picture.image, picture.metered) != (before.image, before.metered):
        return False
    own_failure = before.in_error and _failure(picture) == _failure(before)
    ran = before.running and picture.running
    return picture.idle and (picture.stopped or own_failure or ran)


def _failure(picture: ServerSnapshot) -> tuple[str, str, str | None]:
    return (picture.status, picture.vm_state, picture.fault)


def _nothing_happened(
    target: Target, attempt: Attempt, seen: ServerSnapshot, watch: ObservationSeries, context: Context
) -> Decision:
    if context.traces is None or action_log.is_stale(context):
        return (action_log.ask(attempt, context), *_look_on(context))
    logged, settings = action_log.end_of(attempt, context), context.settings
    if logged is LoggedEnd.RUNNING:
        return _going_on_by_log(target, attempt, context)
    if attempt.accepted:
        detail = "the change was accepted, but the server stayed as it was"
        return end_attempt(target, Outcome.FAILED, detail, seen, context)
    if logged is LoggedEnd.ERROR:
        return _ended_by_log(target, Outcome.FAILED, settings.poll_max_s, seen, watch, context)
    if logged is LoggedEnd.SUCCESS and image_tells(target, attempt):
        return _ended_by_log(target, Outcome.NO_EFFECT, context.settle_s, seen, watch, context)
    if context.traces.words:
        if _late_s(attempt, context) <= 0:
            return (action_log.ask(attempt, context), *_look_on(context))
        return hold(target, Reason.OUTCOME_UNKNOWN, f"the cloud's log shows: {action_log.words(context)}", seen)
    if context.settings.stop is StopMode.API:
        detail = "no answer, no effect seen; with stop: api there is no fence, so it is not sent again"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)
    if context.finishing:
        return aborted(target, seen)
    if attempt.resends >= MAX_RESENDS:
        detail = f"{attempt.sends} sends were never answered and had no effect"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)
    return WriteEvents((NotDelivered(target.server_id, attempt.number),))


def _going_on_by_log(target: Target, attempt: Attempt, context: Context) -> Decision:
    """The change that the log shows without an end: adopted, as it were, though its server shows nothing of it."""
    if _late_s(attempt, context) <= context.settings.change_timeout_s:
        return (action_log.ask(attempt, context), *_look_on(context))
    # Its power is not put back: nothing else is sent to a server that is being changed.
    detail = "by the cloud's log its change still goes on"
    return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.STILL_CHANGING, detail=detail),))


def _ended_by_log(
    target: Target, outcome: Outcome, enough_s: float, seen: ServerSnapshot, watch: ObservationSeries, context: Context
) -> Decision:
    """The change whose end the log shows: as where a job tells the end, looks after that must bear it out."""
    if action_log.seen_since_s(watch, context) < enough_s:
        return _look_on(context)
    how = "failed" if outcome is Outcome.FAILED else "succeeded, but disk and image are the old ones"
    return end_attempt(
        target, outcome, f"by the cloud's log the change {how}: {action_log.words(context)}", seen, context
    )


def _not_as_ordered(target: Target, seen: ServerSnapshot) -> WriteEvents:
    """The hold of a server whose new disk does not show the ordered image, or shows another beside it."""
    detail = f"its system disk became {seen.disk} with {image_words(seen)}"
    reason = Reason.OUTCOME_UNKNOWN if target.order.image_id in seen.images else Reason.FOREIGN_CHANGE
    return WriteEvents((held_after(target, Outcome.FOREIGN, reason, detail, seen),))


def _down_untold(target: Target, seen: ServerSnapshot) -> WriteEvents:
    """The hold of a server that is down on a new disk, whose image tells neither who made it nor how well.

    Only the job of our change can say, or somebody who starts the server: the attempt stays open for both.
    """
    detail = (
        f"it is {seen.status} on another system disk, {seen.disk}: {image_words(seen)} does not tell who made it, nor"
        " whether it is whole"
    )
    return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)


def _half_done(
    target: Target, attempt: Attempt, seen: ServerSnapshot, watch: ObservationSeries, context: Context
) -> Decision:
    """A failed picture that is not the one before the send: certain only after settle and change time-out, or once the
    cloud's log tells that our change has failed.
    """
    enough_s = context.settle_s + context.settings.change_timeout_s
    if watch.lasted_s() < enough_s:
        if action_log.end_of(attempt, context) is not LoggedEnd.ERROR:
            return (action_log.ask(attempt, context), *_look_on(context, watch.begun.elapsed_s + enough_s))
        if action_log.seen_since_s(watch, context) < context.settings.poll_max_s:
            return _look_on(context)
    if action_log.end_of(attempt, context) is LoggedEnd.RUNNING:
        return _going_on_by_log(target, attempt, context)
    if seen.in_error and disk_of(attempt, seen) is DiskMatch.NEW:
        return _not_as_ordered(target, seen)
    if seen.in_error:
        said = f"the server is in error: {seen.fault or 'no fault given'}"
        return end_attempt(target, Outcome.FAILED, said, seen, context)
    detail = "the change left no system disk"
    return WriteEvents((held_after(target, Outcome.FAILED, Reason.NO_SYSTEM_DISK, detail, seen),))


def _late_s(attempt: Attempt, context: Context) -> float:
    return (context.now.wall - attempt.deadline).total_seconds()


def _to_the_deadline(
    target: Target, attempt: Attempt, seen: ServerSnapshot, watch: ObservationSeries, context: Context
) -> Decision:
    if _late_s(attempt, context) <= 0:
        return _look_on(context, context.due(attempt.deadline))
    return hold(target, Reason.OUTCOME_UNKNOWN, f"the looks show no known case: {evidence_series(watch)}", seen)
