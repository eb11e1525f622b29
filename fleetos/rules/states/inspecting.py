"""An unknown outcome: conclude it from reads, and from the job if one is on record. Pure.

Safety protocol, section 4: docs/safety-protocol.md#4-unknown-outcomes

Evidence is single reads without a gap; nothing but a proven success or a visible change is concluded before the
settle time is over. A case that no row knows is watched to the deadline and then held. A running job says more
than any read: some clouds show a change as a stopped, idle server.
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
from fleetos.rules.needs import Context, Decision, Need, ReadJobNeed, ReadServerNeed, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import abort_target, end_attempt, end_attempt_held, fail_if_deleted, hold
from fleetos.rules.states.changing import adopt
from fleetos.rules.states.verifying import (
    DiskMatch,
    describe_image,
    describe_series,
    image_proves_change,
    match_disk,
    shows_ordered_image,
    start_once,
)


def decide_inspecting(target: Target, context: Context) -> Decision:
    """Return the next need of a target with an unknown outcome."""
    decision, job_id = _decide_by_reads(target, context), _job_on_record(target)
    if isinstance(decision, WriteEvents) or job_id is None:
        return decision
    if context.job_read_at is None:
        return (*decision, ReadJobNeed(job_id, context.now.elapsed_s))
    # Also a job that the cloud does not know: it may know it later, and it may have known it before.
    return (*decision, ReadJobNeed(job_id, context.job_read_at.elapsed_s + _job_read_interval_s(context)))


def _job_on_record(target: Target) -> str | None:
    """Return the job that may still tell the outcome of the last attempt, one that the operator let rest included."""
    last = target.attempts[-1] if target.attempts else None
    if last is None or last.job_final or last.outcome not in (None, Outcome.UNKNOWN):
        return None
    return last.job_id


def _job_read_interval_s(context: Context) -> float:
    """Return the seconds between two reads of the job: several answers must fit into a settle."""
    return min(context.settings.poll_max_s, context.settle_s / 2)


def _may_be_running(target: Target, context: Context) -> bool:
    """Return True if a job may still be running: only answers over a whole settle say that it is not.

    The cloud may know later what it does not know now, and no read of the server proves that nothing happens.
    """
    if _job_on_record(target) is None:
        return False
    asked, over = context.job_read_at, context.job_not_running_at
    if asked is None or over is None or context.now.since_s(asked) > _job_read_interval_s(context):
        return True
    return asked.since_s(over) < context.settle_s


def _job_is_running(context: Context) -> bool:
    """Return True if the job was running when it was last read."""
    return context.job_running_at is not None and context.job_not_running_at is None


def _decide_by_reads(target: Target, context: Context) -> Decision:
    series = context.series
    if series is None:
        return (ReadServerNeed(context.now.elapsed_s, single=True),)
    attempt, snapshot = target.attempt, series.snapshot
    if snapshot is None:
        return fail_if_deleted(target, series, context)
    if attempt is None:
        return _decide_retried(target, snapshot, series, context)
    if (
        match_disk(attempt, snapshot) is DiskMatch.NEW
        and shows_ordered_image(target, attempt, snapshot)
        and snapshot.running
    ):
        return WriteEvents((Moved(target.server_id, TargetState.VERIFYING),))
    if _job_is_running(context):
        return _watch_running_job(target, attempt, snapshot, context)
    never_asked = _job_on_record(target) is not None and context.job_read_at is None
    if snapshot.changing and not never_asked:
        return adopt(target, attempt, series)
    if _may_be_running(target, context) or series.duration_s() < context.settle_s:
        return _hold_if_seldom_read(target, snapshot, context) or _read_again(context)
    return _decide_settled(target, attempt, snapshot, series, context)


def _read_again(context: Context, until_s: float = math.inf) -> tuple[Need, ...]:
    return (ReadServerNeed(context.next_evidence_read_s(until_s), single=True),)


def _watch_running_job(target: Target, attempt: Attempt, snapshot: ServerSnapshot, context: Context) -> Decision:
    """Watch the change of a job that was running when it was last read; hold it long after its deadline."""
    if _late_s(attempt, context) <= context.settings.change_timeout_s or context.in_state_s < context.settle_s:
        return _read_again(context)
    return hold(target, Reason.STILL_CHANGING, f"job {attempt.job_id} still goes on", snapshot)


def _hold_if_seldom_read(target: Target, snapshot: ServerSnapshot, context: Context) -> WriteEvents | None:
    """Hold a server whose reads come too far apart, for too long, to be evidence of anything.

    A cloud that allows few requests may never permit a series of reads without a gap.
    """
    if context.in_state_s <= context.settings.change_timeout_s + SELDOM_SEEN_SETTLES * context.settle_s:
        return None
    detail = f"the cloud did not let it be read often enough to tell, in {context.in_state_s:.0f} s"
    return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)


def _decide_retried(target: Target, snapshot: ServerSnapshot, series: ObservationSeries, context: Context) -> Decision:
    """Decide for a retried target: its sends are all accounted for, unless nobody knows what came of one."""
    unknown = target.unanswered or any(attempt.outcome is Outcome.UNKNOWN for attempt in target.attempts)
    enough_s = context.settle_s if unknown else context.settings.poll_max_s
    if _may_be_running(target, context) or series.unchanged_in_series_s() < enough_s:
        return _hold_if_seldom_read(target, snapshot, context) or _read_again(context)
    if snapshot.changing:
        if context.in_state_s < context.settings.change_timeout_s:
            return _read_again(context)
        return hold(
            target, Reason.STILL_CHANGING, f"it is {snapshot.status} (task: {snapshot.task or 'none'})", snapshot
        )
    return WriteEvents((Moved(target.server_id, TargetState.CHECKING),))


def _decide_settled(
    target: Target, attempt: Attempt, snapshot: ServerSnapshot, series: ObservationSeries, context: Context
) -> Decision:
    """Apply the rows that hold after the settle time."""
    tells = image_proves_change(target, attempt)
    runs_on = series.all_match(lambda each: match_disk(attempt, each) is DiskMatch.SAME and each.running)
    if runs_on and (not tells or target.order.image_id in snapshot.images):
        detail = "it runs on the disk that it had: nothing tells whether its image was installed on it once more"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)
    if series.all_match(lambda each: _is_untouched(attempt, each)):
        return _decide_untouched(target, attempt, snapshot, series, context)
    if runs_on:
        if attempt.accepted:
            return end_attempt(
                target, Outcome.FAILED, "the change was accepted, but the old disk runs", snapshot, context
            )
        return WriteEvents((Moved(target.server_id, TargetState.CHECKING),))
    if series.unchanged_in_series_s() < context.settle_s and series.duration_s() < 2 * context.settle_s:
        # A snapshot that came up late may be one of a change that goes on.
        return _read_again(context)
    if series.unchanged_in_series_s() < context.settle_s:
        return _watch_until_deadline(target, attempt, snapshot, series, context)
    if (
        match_disk(attempt, snapshot) is DiskMatch.NEW
        and shows_ordered_image(target, attempt, snapshot)
        and (snapshot.stopped or snapshot.in_error)
    ):
        return start_once(target, snapshot) if tells else _hold_down_unproven(target, snapshot)
    if (snapshot.in_error and not _is_untouched(attempt, snapshot)) or snapshot.disk is None:
        return _decide_half_done(target, attempt, snapshot, series, context)
    if match_disk(attempt, snapshot) is DiskMatch.NEW and not shows_ordered_image(target, attempt, snapshot):
        return _hold_unordered_disk(target, snapshot)
    return _watch_until_deadline(target, attempt, snapshot, series, context)


def _is_untouched(attempt: Attempt, snapshot: ServerSnapshot) -> bool:
    """Return True if the server is as before the send: its disk and image, idle, and in the same power state.

    It is stopped, it runs as before, or it shows the very failure that it had.
    """
    before = attempt.before
    if snapshot.disk != before.disk or (snapshot.image, snapshot.metered) != (before.image, before.metered):
        return False
    own_failure = before.in_error and _failure(snapshot) == _failure(before)
    ran = before.running and snapshot.running
    return snapshot.idle and (snapshot.stopped or own_failure or ran)


def _failure(snapshot: ServerSnapshot) -> tuple[str, str, str | None]:
    return (snapshot.status, snapshot.vm_state, snapshot.fault)


def _decide_untouched(
    target: Target, attempt: Attempt, snapshot: ServerSnapshot, series: ObservationSeries, context: Context
) -> Decision:
    if context.traces is None or action_log.is_stale(context):
        return (action_log.ask_for_traces(attempt, context), *_read_again(context))
    logged, settings = action_log.find_logged_end(attempt, context), context.settings
    if logged is LoggedEnd.RUNNING:
        return _watch_change_in_log(target, attempt, context)
    if attempt.accepted:
        detail = "the change was accepted, but the server stayed as it was"
        return end_attempt(target, Outcome.FAILED, detail, snapshot, context)
    if logged is LoggedEnd.ERROR:
        return _end_by_log(target, Outcome.FAILED, settings.poll_max_s, snapshot, series, context)
    if logged is LoggedEnd.SUCCESS and image_proves_change(target, attempt):
        return _end_by_log(target, Outcome.NO_EFFECT, context.settle_s, snapshot, series, context)
    if context.traces.words:
        if _late_s(attempt, context) <= 0:
            return (action_log.ask_for_traces(attempt, context), *_read_again(context))
        return hold(
            target, Reason.OUTCOME_UNKNOWN, f"the cloud's log shows: {action_log.describe_traces(context)}", snapshot
        )
    if context.settings.stop is StopMode.API:
        detail = "no answer, no effect seen; with stop: api there is no stopped-only rule, so it is not sent again"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)
    if context.run_finishing:
        return abort_target(target, snapshot)
    if attempt.resends >= MAX_RESENDS:
        detail = f"{attempt.sends} sends were never answered and had no effect"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)
    return WriteEvents((NotDelivered(target.server_id, attempt.number),))


def _watch_change_in_log(target: Target, attempt: Attempt, context: Context) -> Decision:
    """Watch a change that the log shows without an end like an adopted one, though its server shows nothing of it."""
    if _late_s(attempt, context) <= context.settings.change_timeout_s:
        return (action_log.ask_for_traces(attempt, context), *_read_again(context))
    # Its power is not put back: nothing else is sent to a server that is being changed.
    detail = "by the cloud's log its change still goes on"
    return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.STILL_CHANGING, detail=detail),))


def _end_by_log(
    target: Target,
    outcome: Outcome,
    enough_s: float,
    snapshot: ServerSnapshot,
    series: ObservationSeries,
    context: Context,
) -> Decision:
    """End a change whose end the log shows: as where a job tells the end, reads after that must bear it out."""
    if action_log.observed_since_s(series, context) < enough_s:
        return _read_again(context)
    how = "failed" if outcome is Outcome.FAILED else "succeeded, but disk and image are the old ones"
    return end_attempt(
        target,
        outcome,
        f"by the cloud's log the change {how}: {action_log.describe_traces(context)}",
        snapshot,
        context,
    )


def _hold_unordered_disk(target: Target, snapshot: ServerSnapshot) -> WriteEvents:
    """Hold a server whose new disk does not show the ordered image, or shows another beside it."""
    detail = f"its system disk became {snapshot.disk} with {describe_image(snapshot)}"
    reason = Reason.OUTCOME_UNKNOWN if target.order.image_id in snapshot.images else Reason.FOREIGN_CHANGE
    return WriteEvents((end_attempt_held(target, Outcome.FOREIGN, reason, detail, snapshot),))


def _hold_down_unproven(target: Target, snapshot: ServerSnapshot) -> WriteEvents:
    """Hold a server that is down on a new disk, whose image tells neither who made it nor whether it is whole.

    Only the job of our change can say, or somebody who starts the server: the attempt stays open for both.
    """
    detail = (
        f"it is {snapshot.status} on another system disk, {snapshot.disk}: {describe_image(snapshot)} does not tell"
        " who made it, nor whether it is whole"
    )
    return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)


def _decide_half_done(
    target: Target, attempt: Attempt, snapshot: ServerSnapshot, series: ObservationSeries, context: Context
) -> Decision:
    """Judge a failed server that is not as before the send.

    It is certain only after settle and change time-out, or once the cloud's log shows that our change has failed.
    """
    enough_s = context.settle_s + context.settings.change_timeout_s
    if series.duration_s() < enough_s:
        if action_log.find_logged_end(attempt, context) is not LoggedEnd.ERROR:
            return (
                action_log.ask_for_traces(attempt, context),
                *_read_again(context, series.begun_at.elapsed_s + enough_s),
            )
        if action_log.observed_since_s(series, context) < context.settings.poll_max_s:
            return _read_again(context)
    if action_log.find_logged_end(attempt, context) is LoggedEnd.RUNNING:
        return _watch_change_in_log(target, attempt, context)
    if snapshot.in_error and match_disk(attempt, snapshot) is DiskMatch.NEW:
        return _hold_unordered_disk(target, snapshot)
    if snapshot.in_error:
        detail = f"the server is in error: {snapshot.fault or 'no fault given'}"
        return end_attempt(target, Outcome.FAILED, detail, snapshot, context)
    detail = "the change left no system disk"
    return WriteEvents((end_attempt_held(target, Outcome.FAILED, Reason.NO_SYSTEM_DISK, detail, snapshot),))


def _late_s(attempt: Attempt, context: Context) -> float:
    return (context.now.wall - attempt.deadline).total_seconds()


def _watch_until_deadline(
    target: Target, attempt: Attempt, snapshot: ServerSnapshot, series: ObservationSeries, context: Context
) -> Decision:
    """Watch a case that no row knows until the deadline, then hold it."""
    if _late_s(attempt, context) <= 0:
        return _read_again(context, context.to_elapsed_s(attempt.deadline))
    return hold(target, Reason.OUTCOME_UNKNOWN, f"the looks show no known case: {describe_series(series)}", snapshot)
