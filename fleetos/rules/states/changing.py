"""A change under way: when its server is looked at, when its job is asked, and when it has taken too long. Pure.

A sweep shows many servers for the price of one job. So a job is asked when its server has left the picture of a
change, or when its time has come on a cloud that shows a change as a stopped, idle server.
"""

from fleetos.limits import ASK_AGAIN_SHARE, MOST_HAVE_ENDED, SHOWN_WITHIN_S
from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import ChangeAdopted, Moved
from fleetos.model.run import Attempt, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.forecast import ChangeGroup, RunningChanges
from fleetos.rules.needs import AskJob, Context, Decision, Follow, Need, ReadServerNeed, Wait, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import gone
from fleetos.rules.polling import sweep_interval_s
from fleetos.rules.states.verifying import DiskMatch, disk_of, judged, on_image


def changing(target: Target, context: Context) -> Decision:
    """The next need of a target whose change the cloud has accepted, or was seen at."""
    attempt = target.attempt
    if attempt is None:
        raise ValueError(f"target {target.server_id} is changing without an open attempt")
    if attempt.job_final:
        return judged(target, JobStatus.FAIL, context)
    overdue = _overdue(target, attempt, context)
    if isinstance(overdue, WriteEvents):
        return overdue
    # A job that led to an inspection is one that the cloud does not know: from then on the server itself is watched.
    if attempt.job_id is not None and not attempt.adopted:
        late = context.now.wall >= attempt.deadline
        polled = _asked_late(attempt.job_id, context) if late else _polled(attempt, attempt.job_id, context)
        return (*polled, *overdue)
    return _adopted(target, context)


def _polled(attempt: Attempt, job_id: str, context: Context) -> tuple[Need, ...]:
    age_s = age_of(attempt, context)
    if not context.by_sweep:
        last_s = context.now.elapsed_s - context.here_s if context.job_asked is None else context.job_asked.elapsed_s
        alone = RunningChanges((ChangeGroup(context.forecast, (age_s,)),))
        pause_s = sweep_interval_s(alone, 1, context.settings, context.fraction)
        return (AskJob(job_id, max(context.now.elapsed_s, last_s + pause_s)),)
    return (Follow(), AskJob(job_id, _ask_s(attempt, age_s, context)))


def _asked_late(job_id: str, context: Context) -> tuple[Need, ...]:
    """After the deadline a verdict is near: the job is asked at a steady beat, however rarely it was before."""
    asked = context.job_asked
    due_s = 0.0 if asked is None else asked.elapsed_s + context.settings.poll_max_s
    return (AskJob(job_id, max(context.now.elapsed_s, due_s)),)


def age_of(attempt: Attempt, context: Context) -> float:
    """Seconds since the change was accepted, or sent if that is not known."""
    return max(0.0, (context.now.wall - (attempt.accepted_at or attempt.sent_at)).total_seconds())


def _ask_s(attempt: Attempt, age_s: float, context: Context) -> float:
    """When the job is worth a read of its own, on the elapsed clock. Each read that told nothing new makes it rarer."""
    now_s, asked, watch = context.now.elapsed_s, context.job_asked, context.watch
    asked_s = None if asked is None else asked.elapsed_s
    if watch is not None and _has_left(attempt, watch, age_s, context):
        if asked_s is None or asked_s < watch.same_since.elapsed_s:
            return now_s
        return max(now_s, asked_s + max(context.settings.poll_min_s, age_s * ASK_AGAIN_SHARE))
    if asked_s is not None:
        # Asked again at twice its age.
        return max(now_s, asked_s + max(context.settings.poll_max_s, age_s - (now_s - asked_s)))
    visible = watch is not None and watch.picture is not None and watch.picture.changing
    most_s = context.forecast.quantile_s(MOST_HAVE_ENDED)
    if most_s is None:
        most_s = context.settings.change_timeout_s / 2 if visible else context.settings.poll_max_s
    elif visible:
        # The end will be seen; only a job that failed and left its server changing for ever would not.
        most_s *= 2
    return now_s + max(0.0, most_s - age_s)


def _has_left(attempt: Attempt, watch: ObservationSeries, age_s: float, context: Context) -> bool:
    """Whether the last look shows the server as it is after a change, or no longer as during one."""
    seen = watch.picture
    if seen is None or seen.changing:
        return False
    touched = disk_of(attempt, seen) is not DiskMatch.SAME or seen.running
    failed = seen.in_error and not attempt.before.in_error
    was_seen = any(one.changing for one in watch.pictures) or (context.shows_change and age_s > SHOWN_WITHIN_S)
    return touched or failed or bool(was_seen)


def _overdue(target: Target, attempt: Attempt, context: Context) -> WriteEvents | tuple[Need, ...]:
    """After the deadline the server is read beside its job; after as long again a human decides.

    A process that took over gets one settle to look, however late it came.
    """
    late_s = (context.now.wall - attempt.deadline).total_seconds()
    if late_s < 0:
        return (Wait(context.due(attempt.deadline)),)
    watch = context.watch
    if watch is not None:
        seen = watch.picture
        if seen is None:
            return gone(target, watch, context)
        if disk_of(attempt, seen) is DiskMatch.NEW and on_image(target, attempt, seen) and seen.running:
            return WriteEvents((Moved(target.server_id, TargetState.VERIFYING),))
    if late_s > context.settings.change_timeout_s and context.here_s >= context.settle_s:
        detail = f"job {attempt.job_id or 'unknown'} was still going on {late_s:.0f} s after its time-out"
        return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.STILL_CHANGING, detail=detail),))
    # Counted from the last look: the answers about the job, which come more often, must not put it off.
    due_s = 0.0 if watch is None else watch.last.received.elapsed_s + context.settings.poll_max_s
    return (ReadServerNeed(max(context.now.elapsed_s, due_s)),)


def _adopted(target: Target, context: Context) -> Decision:
    watch, attempt = context.watch, target.attempt
    if watch is None or attempt is None:
        return (ReadServerNeed(context.now.elapsed_s, single=True),)
    seen = watch.picture
    if seen is None:
        return gone(target, watch, context)
    if not seen.changing:
        ours = disk_of(attempt, seen) is DiskMatch.NEW and on_image(target, attempt, seen) and seen.running
        to = TargetState.VERIFYING if ours else TargetState.INSPECTING
        return WriteEvents((Moved(target.server_id, to),))
    return (ReadServerNeed(context.patient_s(context.settings.poll_max_s), single=True),)


def adopt(target: Target, attempt: Attempt) -> WriteEvents:
    """A change that is seen at counts as accepted; its deadline stays that of the attempt."""
    return WriteEvents((ChangeAdopted(target.server_id, attempt.number),))
