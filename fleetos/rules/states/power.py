"""Stops and starts: effects with rules of their own. Pure.

Safety protocol, section 7: docs/safety-protocol.md#7-power-calls
"""

from fleetos.limits import ASK_AGAIN_SHARE, FRESH_READ_MAX_AGE_S, MAX_POWER_CALLS, MAX_REFUSALS, STOP_QUIET_S
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import Moved
from fleetos.model.plan import StopMode
from fleetos.model.run import PowerCall, PowerOutcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.needs import Context, Decision, Need, PowerNeed, ReadJobNeed, ReadServerNeed, Wait, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import end_early, fail_if_deleted, hold, is_proven_deleted, read_missing_server


def decide_stopping(target: Target, context: Context) -> Decision:
    """Return the next need of a target that is being stopped."""
    waits = _wait_for_calls(target, context)
    if waits is not None:
        return waits
    series = context.series
    seen = None if series is None else series.snapshot
    if not target.calls and (end := end_early(target, context, seen)) is not None:
        return end
    if not target.calls and target.refusals >= MAX_REFUSALS:
        detail = f"no stop could be sent: {target.detail}"
        return hold(target, Reason.STOP_REFUSED, detail, None if series is None else series.snapshot)
    if not target.calls and (wait := _wait_for_next_call(target, context)):
        return wait
    if series is not None and series.snapshot is None:
        return fail_if_deleted(target, series, context)
    if series is None or series.snapshot is None or (not target.calls and _is_stale(series, context)):
        return (ReadServerNeed(context.now.elapsed_s),)
    return _decide_stopping_seen(target, series, series.snapshot, context)


def _decide_stopping_seen(
    target: Target, series: ObservationSeries, snapshot: ServerSnapshot, context: Context
) -> Decision:
    if snapshot.disk != target.disk:
        return hold(
            target, Reason.FOREIGN_CHANGE, f"its system disk became {snapshot.disk} while it was stopped", snapshot
        )
    if snapshot.stopped:
        return _decide_stopped(target, series, context)
    if snapshot.running and not target.calls and context.run_running:
        return (PowerNeed("stop", hard=context.settings.stop is StopMode.HARD),)
    if snapshot.running:
        return _decide_still_running(target, snapshot, series, context)
    if _overdue_s(target, context) > context.settings.stop_timeout_s:
        detail = f"it is {snapshot.status} (task: {snapshot.task or 'none'}) long after the stop"
        return hold(target, Reason.STOP_TIMEOUT, detail, snapshot)
    return (ReadServerNeed(context.next_poll_s()),)


def _is_stale(series: ObservationSeries, context: Context) -> bool:
    """Return True if the last read is too old to send anything by it."""
    return context.now.since_s(series.last.requested) >= context.cap_on_loopback_s(FRESH_READ_MAX_AGE_S)


def _wait_for_next_call(target: Target, context: Context) -> tuple[Need, ...] | None:
    """Return the wait for the earliest time of the next call; None when it has come."""
    if target.not_before is None or target.not_before <= context.now.wall:
        return None
    return (Wait(context.to_elapsed_s(target.not_before)),)


def _wait_for_calls(target: Target, context: Context) -> tuple[Need, ...] | None:
    if any(call.outcome is PowerOutcome.PENDING for call in target.calls):
        return ()
    jobs = {call.job_id for call in target.calls if call.outcome is PowerOutcome.ACCEPTED and call.job_id}
    overdue_s = _overdue_s(target, context)
    if not jobs or overdue_s >= 0:
        return None
    ask_s = _next_job_read_s(target.calls[-1], context)
    return (*(ReadJobNeed(job, ask_s) for job in sorted(jobs)), Wait(context.now.elapsed_s - overdue_s))


def _next_job_read_s(call: PowerCall, context: Context) -> float:
    """Return when to read the job of a stop or start: when most others have ended, then after a share of its age."""
    now_s, settings = context.now.elapsed_s, context.settings
    age_s = max(0.0, (context.now.wall - call.intended_at).total_seconds())
    if context.job_read_at is None:
        most_s = context.stop_duration_s if call.verb == "stop" else None
        return now_s + max(0.0, (settings.poll_min_s if most_s is None else most_s) - age_s)
    pause_s = min(max(settings.poll_min_s, age_s * ASK_AGAIN_SHARE), settings.poll_max_s)
    return max(now_s, context.job_read_at.elapsed_s + pause_s)


def _timeout_s(target: Target, context: Context) -> float:
    stops = target.calls[-1].verb == "stop"
    return context.settings.stop_timeout_s if stops else context.settings.start_timeout_s


def _overdue_s(target: Target, context: Context) -> float:
    """Return the seconds by which the last call has outlived its time-out; negative before it."""
    if not target.calls:
        return context.in_state_s - context.settings.stop_timeout_s
    age_s = (context.now.wall - target.calls[-1].intended_at).total_seconds()
    return min(age_s, context.in_state_s) - _timeout_s(target, context)


def _decide_stopped(target: Target, series: ObservationSeries, context: Context) -> Decision:
    """Believe a stopped server once every call is final, or when two reads some time apart show it."""
    final = all(call.outcome in (PowerOutcome.ENDED, PowerOutcome.REFUSED) for call in target.calls)
    if final or series.unchanged_s() >= context.cap_on_loopback_s(STOP_QUIET_S):
        return WriteEvents((Moved(target.server_id, TargetState.READY),))
    return (ReadServerNeed(series.unchanged_since.elapsed_s + context.cap_on_loopback_s(STOP_QUIET_S)),)


def _decide_still_running(
    target: Target, snapshot: ServerSnapshot, series: ObservationSeries, context: Context
) -> Decision:
    if (end := end_early(target, context, snapshot)) is not None:
        return end
    if not context.run_running:
        # No stop is sent in a run that is not running.
        return (Wait(context.next_poll_s()),)
    if wait := _wait_for_next_call(target, context):
        return wait
    last = target.calls[-1]
    if last.outcome is PowerOutcome.REFUSED and _count_calls(target) < MAX_POWER_CALLS:
        return (PowerNeed("stop", hard=last.hard, max_servers=max(1, last.size // 2)),)
    overdue = _overdue_s(target, context) >= 0
    believed = series.unchanged_s() >= context.settings.poll_max_s
    harder = context.settings.stop is StopMode.SOFT_THEN_HARD and not any(call.hard for call in target.calls)
    if harder and (overdue or (believed and last.outcome is PowerOutcome.ENDED)):
        return (PowerNeed("stop", hard=True),)
    quiet = series.unchanged_s() >= 2 * context.cap_on_loopback_s(STOP_QUIET_S)
    if last.outcome is PowerOutcome.UNKNOWN and quiet and _count_calls(target) < MAX_POWER_CALLS:
        return (PowerNeed("stop", hard=last.hard),)
    refused = last.outcome is PowerOutcome.REFUSED
    if overdue or refused:
        if refused:
            return hold(target, Reason.STOP_REFUSED, target.detail, snapshot)
        said = f"; the last stop ended with {last.code}" if last.code else ""
        return hold(target, Reason.STOP_TIMEOUT, f"it still runs after the stop's time-out{said}", snapshot)
    return (ReadServerNeed(context.next_poll_s()),)


def _count_calls(target: Target) -> int:
    """Return the number of calls that count towards their bound.

    Those of a batch that was refused as a whole and is being split do not count.
    """
    return sum(call.outcome is not PowerOutcome.REFUSED or call.size == 1 for call in target.calls)


def decide_starting(target: Target, context: Context) -> Decision:
    """Return the next need of a target whose changed server is down: the start that the cloud owed us."""
    waits = _wait_for_calls(target, context)
    if waits is not None:
        return waits
    step = _decide_start(target, context)
    if step is None:
        return WriteEvents((Moved(target.server_id, TargetState.VERIFYING, restored=True),))
    if not isinstance(step, str):
        return step
    series = context.series
    if series is not None and series.snapshot is None:
        return fail_if_deleted(target, series, context)
    disk = None if series is None or series.snapshot is None else series.snapshot.disk
    return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.START_FAILED, disk=disk, detail=step),))


_DELETED = "gone"


def _decide_start(target: Target, context: Context) -> tuple[Need, ...] | str | None:
    """Return the next need on the way to a running server; None when it runs, a text that says why it will not."""
    series = context.series
    if series is None:
        return (ReadServerNeed(context.now.elapsed_s),)
    snapshot = series.snapshot
    if snapshot is None:
        return _DELETED if is_proven_deleted(series, context) else read_missing_server(series, context)
    if snapshot.running:
        return None
    if wait := _wait_for_next_call(target, context):
        return wait
    if _start_overdue_s(context) > 0:
        return f"it is {snapshot.status} after the start's time-out"
    if (snapshot.stopped or snapshot.in_error) and _may_start_again(target.calls, series, context):
        last = target.calls[-1] if target.calls else None
        if last is not None and last.outcome is PowerOutcome.REFUSED:
            return (PowerNeed("start", max_servers=max(1, last.size // 2)),)
        return (PowerNeed("start"),)
    return (ReadServerNeed(context.next_poll_s()),)


def _start_overdue_s(context: Context) -> float:
    return context.in_state_s - context.settings.start_timeout_s


def _may_start_again(calls: tuple[PowerCall, ...], series: ObservationSeries, context: Context) -> bool:
    if not calls:
        return True
    counted = sum(call.outcome is not PowerOutcome.REFUSED or call.size == 1 for call in calls)
    if counted >= MAX_POWER_CALLS:
        return False
    if calls[-1].outcome is PowerOutcome.REFUSED:
        return calls[-1].size > 1 or series.unchanged_s() >= context.settings.poll_max_s
    # The snapshot may lag behind a start that worked; only one that stays asks for another start.
    return series.unchanged_s() >= context.cap_on_loopback_s(STOP_QUIET_S)


def decide_restoring(target: Target, context: Context) -> Decision:
    """Return the next need of a target whose power is put back before it ends."""
    waits = _wait_for_calls(target, context)
    if waits is not None:
        return waits
    end = target.then
    if end is None:
        raise ValueError(f"target {target.server_id} restores its power without an end to come to")
    if end.state is TargetState.DONE:
        return _stop_again(target, context)
    snapshot = None if context.series is None else context.series.snapshot
    if snapshot is not None and snapshot.disk != target.baseline.disk:
        return _end_restored(target, "its system disk is another now, so fleetos did not start it", restored=False)
    if snapshot is not None and snapshot.changing and context.in_state_s <= context.settings.start_timeout_s:
        return (ReadServerNeed(context.next_poll_s()),)
    step = _decide_start(target, context)
    if step is None:
        return _confirm_running(target, context)
    if isinstance(step, str):
        return _end_restored(
            target, "it is gone" if step == _DELETED else "it could not be started again", restored=False
        )
    return step


def _confirm_running(target: Target, context: Context) -> Decision:
    """End the target once its server surely runs.

    Unless a start has ended, the read may be from before the stop, or a late stop may take the server down yet.
    """
    series, quiet_s = context.series, context.cap_on_loopback_s(STOP_QUIET_S)
    started = any(call.outcome is PowerOutcome.ENDED and call.code is None for call in target.calls)
    if series is not None and not started and series.unchanged_s() < quiet_s:
        return (ReadServerNeed(series.unchanged_since.elapsed_s + quiet_s),)
    return _end_restored(target, "", restored=True)


def _end_restored(target: Target, trouble: str, *, restored: bool) -> WriteEvents:
    end = target.then
    if end is None:
        raise ValueError(f"target {target.server_id} restores its power without an end to come to")
    detail = "; ".join(part for part in (end.detail, trouble) if part)
    return WriteEvents((Moved(target.server_id, end.state, end.reason, detail=detail, restored=restored),))


def _stop_again(target: Target, context: Context) -> Decision:
    """Stop a server again that was stopped before, but only with its new disk and nothing unanswered.

    A gateway may deliver the very request that was answered once more, by less than a settle later. A server that runs
    refuses it; one that fleetos has stopped would not.
    """
    if wait := _wait_for_next_call(target, context):
        return wait
    if not target.calls and context.in_state_s < context.settle_s:
        return (Wait(context.now.elapsed_s + context.settle_s - context.in_state_s),)
    series = context.series
    if series is not None and is_proven_deleted(series, context):
        return _end_restored(target, "it is gone, and could not be stopped as it was", restored=True)
    if series is None or (not target.calls and _is_stale(series, context)):
        return (ReadServerNeed(context.now.elapsed_s),)
    snapshot = series.snapshot
    if snapshot is not None and snapshot.disk != target.disk_after:
        return _end_restored(target, "it changed again before it could be stopped as it was", restored=True)
    if snapshot is None:
        return read_missing_server(series, context)
    if snapshot.stopped:
        return _end_restored(target, "", restored=True)
    power = PowerNeed("stop", hard=context.settings.stop is StopMode.HARD)
    if snapshot.running and not target.calls and target.refusals < MAX_REFUSALS:
        # Checked before the time-out: the time in this state may include a day's wait for an unanswered send.
        return (power,)
    if _overdue_s(target, context) >= (0 if target.calls else context.settings.stop_timeout_s):
        return _end_restored(target, "it still runs: it could not be stopped as it was", restored=True)
    quiet = series.unchanged_s() >= context.cap_on_loopback_s(STOP_QUIET_S)
    if snapshot.running and quiet and 0 < len(target.calls) < MAX_POWER_CALLS:
        return (power,)
    return (ReadServerNeed(context.next_poll_s()),)
