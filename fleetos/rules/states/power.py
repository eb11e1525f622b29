"""Stops and starts: effects with rules of their own. Pure.

Safety protocol, section 7: docs/safety-protocol.md#7-power-calls
"""

from fleetos.limits import ASK_AGAIN_SHARE, FRESH_READ_MAX_AGE_S, MAX_POWER_CALLS, MAX_REFUSALS, STOP_QUIET_S
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import Moved
from fleetos.model.plan import StopMode
from fleetos.model.run import PowerCall, PowerOutcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.needs import AskJob, Context, Decision, Need, PowerNeed, ReadServerNeed, Wait, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import aborted, gone, hold, look_for_it, proven_gone


def stopping(target: Target, context: Context) -> Decision:
    """The next need of a target that is being stopped."""
    waits = _open_calls(target, context)
    if waits is not None:
        return waits
    watch = context.watch
    if context.finishing and not target.calls:
        return aborted(target, None if watch is None else watch.picture)
    if not target.calls and target.refusals >= MAX_REFUSALS:
        detail = f"no stop could be sent: {target.detail}"
        return hold(target, Reason.STOP_REFUSED, detail, None if watch is None else watch.picture)
    if not target.calls and (wait := _not_yet(target, context)):
        return wait
    if watch is not None and watch.picture is None:
        return gone(target, watch, context)
    if watch is None or watch.picture is None or (not target.calls and _stale(watch, context)):
        return (ReadServerNeed(context.now.elapsed_s),)
    return _stopping_seen(target, watch, watch.picture, context)


def _stopping_seen(target: Target, watch: ObservationSeries, seen: ServerSnapshot, context: Context) -> Decision:
    if seen.disk != target.disk:
        return hold(target, Reason.FOREIGN_CHANGE, f"its system disk became {seen.disk} while it was stopped", seen)
    if seen.stopped:
        return _stopped(target, watch, context)
    if seen.running and not target.calls and context.running:
        return (PowerNeed("stop", hard=context.settings.stop is StopMode.HARD),)
    if seen.running:
        return _still_running(target, seen, watch, context)
    if _overdue_s(target, context) > context.settings.stop_timeout_s:
        detail = f"it is {seen.status} (task: {seen.task or 'none'}) long after the stop"
        return hold(target, Reason.STOP_TIMEOUT, detail, seen)
    return (ReadServerNeed(context.again_s()),)


def _stale(watch: ObservationSeries, context: Context) -> bool:
    """Whether the last look is too old to send anything by it."""
    return context.now.since_s(watch.last.requested) >= context.short(FRESH_READ_MAX_AGE_S)


def _not_yet(target: Target, context: Context) -> tuple[Need, ...] | None:
    """The wait for the earliest time of the next call; None when it has come."""
    if target.not_before is None or target.not_before <= context.now.wall:
        return None
    return (Wait(context.due(target.not_before)),)


def _open_calls(target: Target, context: Context) -> tuple[Need, ...] | None:
    if any(call.outcome is PowerOutcome.PENDING for call in target.calls):
        return ()
    jobs = {call.job_id for call in target.calls if call.outcome is PowerOutcome.ACCEPTED and call.job_id}
    overdue_s = _overdue_s(target, context)
    if not jobs or overdue_s >= 0:
        return None
    ask_s = _ask_s(target.calls[-1], context)
    return (*(AskJob(job, ask_s) for job in sorted(jobs)), Wait(context.now.elapsed_s - overdue_s))


def _ask_s(call: PowerCall, context: Context) -> float:
    """When a stop or start is worth asking for its end: when most others have ended, then after a part of its age."""
    now_s, settings = context.now.elapsed_s, context.settings
    age_s = max(0.0, (context.now.wall - call.intended_at).total_seconds())
    if context.job_asked is None:
        most_s = context.stop_s if call.verb == "stop" else None
        return now_s + max(0.0, (settings.poll_min_s if most_s is None else most_s) - age_s)
    pause_s = min(max(settings.poll_min_s, age_s * ASK_AGAIN_SHARE), settings.poll_max_s)
    return max(now_s, context.job_asked.elapsed_s + pause_s)


def _timeout_s(target: Target, context: Context) -> float:
    stops = target.calls[-1].verb == "stop"
    return context.settings.stop_timeout_s if stops else context.settings.start_timeout_s


def _overdue_s(target: Target, context: Context) -> float:
    """Seconds by which the last call has outlived its time-out; negative before it."""
    if not target.calls:
        return context.here_s - context.settings.stop_timeout_s
    age_s = (context.now.wall - target.calls[-1].intended_at).total_seconds()
    return min(age_s, context.here_s) - _timeout_s(target, context)


def _stopped(target: Target, watch: ObservationSeries, context: Context) -> Decision:
    """A stopped picture counts once every call is final, or when two looks some time apart show it."""
    final = all(call.outcome in (PowerOutcome.ENDED, PowerOutcome.REFUSED) for call in target.calls)
    if final or watch.same_s() >= context.short(STOP_QUIET_S):
        return WriteEvents((Moved(target.server_id, TargetState.READY),))
    return (ReadServerNeed(watch.same_since.elapsed_s + context.short(STOP_QUIET_S)),)


def _still_running(target: Target, seen: ServerSnapshot, watch: ObservationSeries, context: Context) -> Decision:
    if not context.running:
        return hold_or_abort(target, seen, context)
    if wait := _not_yet(target, context):
        return wait
    last = target.calls[-1]
    if last.outcome is PowerOutcome.REFUSED and _countable(target) < MAX_POWER_CALLS:
        return (PowerNeed("stop", hard=last.hard, at_most=max(1, last.size // 2)),)
    overdue = _overdue_s(target, context) >= 0
    believed = watch.same_s() >= context.settings.poll_max_s
    harder = context.settings.stop is StopMode.SOFT_THEN_HARD and not any(call.hard for call in target.calls)
    if harder and (overdue or (believed and last.outcome is PowerOutcome.ENDED)):
        return (PowerNeed("stop", hard=True),)
    quiet = watch.same_s() >= 2 * context.short(STOP_QUIET_S)
    if last.outcome is PowerOutcome.UNKNOWN and quiet and _countable(target) < MAX_POWER_CALLS:
        return (PowerNeed("stop", hard=last.hard),)
    refused = last.outcome is PowerOutcome.REFUSED
    if overdue or refused:
        if refused:
            return hold(target, Reason.STOP_REFUSED, target.detail, seen)
        said = f"; the last stop ended with {last.code}" if last.code else ""
        return hold(target, Reason.STOP_TIMEOUT, f"it still runs after the stop's time-out{said}", seen)
    return (ReadServerNeed(context.again_s()),)


def hold_or_abort(target: Target, seen: ServerSnapshot, context: Context) -> Decision:
    """A run that is not running sends no stop: an aborted one ends the target, a paused one waits."""
    if context.finishing:
        return aborted(target, seen)
    return (Wait(context.again_s()),)


def _countable(target: Target) -> int:
    """Calls that count towards their bound: not those of a batch that was refused as a whole and is being split."""
    return sum(call.outcome is not PowerOutcome.REFUSED or call.size == 1 for call in target.calls)


def starting(target: Target, context: Context) -> Decision:
    """The next need of a target whose changed server is down: one start that the cloud owed us."""
    waits = _open_calls(target, context)
    if waits is not None:
        return waits
    step = _start_step(target, context)
    if step is None:
        return WriteEvents((Moved(target.server_id, TargetState.VERIFYING, restored=True),))
    if not isinstance(step, str):
        return step
    watch = context.watch
    if watch is not None and watch.picture is None:
        return gone(target, watch, context)
    disk = None if watch is None or watch.picture is None else watch.picture.disk
    return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.START_FAILED, disk=disk, detail=step),))


_GONE = "gone"


def _start_step(target: Target, context: Context) -> tuple[Need, ...] | str | None:
    """The next need on the way to a running server; None when it runs, a text why it will not."""
    watch = context.watch
    if watch is None:
        return (ReadServerNeed(context.now.elapsed_s),)
    seen = watch.picture
    if seen is None:
        return _GONE if proven_gone(watch, context) else look_for_it(watch, context)
    if seen.running:
        return None
    if wait := _not_yet(target, context):
        return wait
    if _start_overdue_s(context) > 0:
        return f"it is {seen.status} after the start's time-out"
    if (seen.stopped or seen.in_error) and _start_again(target.calls, watch, context):
        last = target.calls[-1] if target.calls else None
        if last is not None and last.outcome is PowerOutcome.REFUSED:
            return (PowerNeed("start", at_most=max(1, last.size // 2)),)
        return (PowerNeed("start"),)
    return (ReadServerNeed(context.again_s()),)


def _start_overdue_s(context: Context) -> float:
    return context.here_s - context.settings.start_timeout_s


def _start_again(calls: tuple[PowerCall, ...], watch: ObservationSeries, context: Context) -> bool:
    if not calls:
        return True
    counted = sum(call.outcome is not PowerOutcome.REFUSED or call.size == 1 for call in calls)
    if counted >= MAX_POWER_CALLS:
        return False
    if calls[-1].outcome is PowerOutcome.REFUSED:
        return calls[-1].size > 1 or watch.same_s() >= context.settings.poll_max_s
    # The picture may lag behind a start that worked; only one that stays asks for another.
    return watch.same_s() >= context.short(STOP_QUIET_S)


def restoring(target: Target, context: Context) -> Decision:
    """The next need of a target whose power is put back before it ends."""
    waits = _open_calls(target, context)
    if waits is not None:
        return waits
    end = target.then
    if end is None:
        raise ValueError(f"target {target.server_id} restores its power without an end to come to")
    if end.state is TargetState.DONE:
        return _stop_again(target, context)
    seen = None if context.watch is None else context.watch.picture
    if seen is not None and seen.disk != target.baseline.disk:
        return _restored(target, "its system disk is another now, so fleetos did not start it", restored=False)
    if seen is not None and seen.changing and context.here_s <= context.settings.start_timeout_s:
        return (ReadServerNeed(context.again_s()),)
    step = _start_step(target, context)
    if step is None:
        return _quietly_running(target, context)
    if isinstance(step, str):
        return _restored(target, "it is gone" if step == _GONE else "it could not be started again", restored=False)
    return step


def _quietly_running(target: Target, context: Context) -> Decision:
    """It runs. Unless a start has ended, the look may be from before the stop, or a late stop may take it down yet."""
    watch, quiet_s = context.watch, context.short(STOP_QUIET_S)
    started = any(call.outcome is PowerOutcome.ENDED and call.code is None for call in target.calls)
    if watch is not None and not started and watch.same_s() < quiet_s:
        return (ReadServerNeed(watch.same_since.elapsed_s + quiet_s),)
    return _restored(target, "", restored=True)


def _restored(target: Target, trouble: str, *, restored: bool) -> WriteEvents:
    end = target.then
    if end is None:
        raise ValueError(f"target {target.server_id} restores its power without an end to come to")
    detail = "; ".join(part for part in (end.detail, trouble) if part)
    return WriteEvents((Moved(target.server_id, end.state, end.reason, detail=detail, restored=restored),))


def _stop_again(target: Target, context: Context) -> Decision:
    """A server that was stopped before is stopped again, but only with its new disk and nothing unanswered.

    A gateway may deliver the very request that was answered once more, by less than a settle later. A server that runs
    refuses it; one that fleetos has stopped would not.
    """
    if wait := _not_yet(target, context):
        return wait
    if not target.calls and context.here_s < context.settle_s:
        return (Wait(context.now.elapsed_s + context.settle_s - context.here_s),)
    watch = context.watch
    if watch is not None and proven_gone(watch, context):
        return _restored(target, "it is gone, and could not be stopped as it was", restored=True)
    if watch is None or (not target.calls and _stale(watch, context)):
        return (ReadServerNeed(context.now.elapsed_s),)
    seen = watch.picture
    if seen is not None and seen.disk != target.disk_after:
        return _restored(target, "it changed again before it could be stopped as it was", restored=True)
    if seen is None:
        return look_for_it(watch, context)
    if seen.stopped:
        return _restored(target, "", restored=True)
    power = PowerNeed("stop", hard=context.settings.stop is StopMode.HARD)
    if seen.running and not target.calls and target.refusals < MAX_REFUSALS:
        # Asked before the time-out: the stay in this state may hold a day's wait for an unanswered send.
        return (power,)
    if _overdue_s(target, context) >= (0 if target.calls else context.settings.stop_timeout_s):
        return _restored(target, "it still runs: it could not be stopped as it was", restored=True)
    quiet = watch.same_s() >= context.short(STOP_QUIET_S)
    if seen.running and quiet and 0 < len(target.calls) < MAX_POWER_CALLS:
        return (power,)
    return (ReadServerNeed(context.again_s()),)
