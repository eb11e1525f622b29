"""A change under way: when to read its server, when to read its job, and when it has taken too long. Pure.

A sweep shows many servers for the price of one job. So a job is read when its server has left the state of a
change, or when its time has come on a cloud that shows a change as a stopped, idle server.
"""

from fleetos.limits import ASK_AGAIN_SHARE
from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import ChangeAdopted, Moved
from fleetos.model.run import Attempt, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.forecast import ChangeGroup, RunningChanges
from fleetos.rules.needs import Context, Decision, Need, ReadJobNeed, ReadServerNeed, SweepNeed, Wait, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import fail_if_deleted
from fleetos.rules.polling import sweep_interval_s
from fleetos.rules.states.verifying import DiskMatch, judge_ended_change, match_disk, shows_ordered_image

# The job of a change is read at the age by which this share of changes has ended.
MOST_HAVE_ENDED = 0.95
# On a cloud that shows changes, a change that is not seen by then has ended already, or never began.
SHOWN_WITHIN_S = 60.0


def decide_changing(target: Target, context: Context) -> Decision:
    """Return the next need of a target whose change the cloud has accepted, or was seen working on."""
    attempt = target.attempt
    if attempt is None:
        raise ValueError(f"target {target.server_id} is changing without an open attempt")
    if attempt.job_final:
        return judge_ended_change(target, JobStatus.FAIL, context)
    overdue = _check_deadline(target, attempt, context)
    if isinstance(overdue, WriteEvents):
        return overdue
    # The cloud does not know a job that led to an inspection: from then on the server itself is watched.
    if attempt.job_id is not None and not attempt.adopted:
        late = context.now.wall >= attempt.deadline
        polled = _read_late_job(attempt.job_id, context) if late else _watch_change(attempt, attempt.job_id, context)
        return (*polled, *overdue)
    return _watch_adopted(target, context)


def _watch_change(attempt: Attempt, job_id: str, context: Context) -> tuple[Need, ...]:
    age_s = change_age_s(attempt, context)
    if not context.by_sweep:
        last_s = (
            context.now.elapsed_s - context.in_state_s if context.job_read_at is None else context.job_read_at.elapsed_s
        )
        alone = RunningChanges((ChangeGroup(context.forecast, (age_s,)),))
        pause_s = sweep_interval_s(alone, 1, context.settings, context.fraction)
        return (ReadJobNeed(job_id, max(context.now.elapsed_s, last_s + pause_s)),)
    return (SweepNeed(), ReadJobNeed(job_id, _next_job_read_s(attempt, age_s, context)))


def _read_late_job(job_id: str, context: Context) -> tuple[Need, ...]:
    """Read the job at a steady interval after the deadline, however rarely it was read before: a verdict is near."""
    asked = context.job_read_at
    due_s = 0.0 if asked is None else asked.elapsed_s + context.settings.poll_max_s
    return (ReadJobNeed(job_id, max(context.now.elapsed_s, due_s)),)


def change_age_s(attempt: Attempt, context: Context) -> float:
    """Return the seconds since the change was accepted, or sent if that is not known."""
    return max(0.0, (context.now.wall - (attempt.accepted_at or attempt.sent_at)).total_seconds())


def _next_job_read_s(attempt: Attempt, age_s: float, context: Context) -> float:
    """Return when the job is worth a read, on the elapsed clock. Each read that showed nothing new makes it rarer."""
    now_s, asked, series = context.now.elapsed_s, context.job_read_at, context.series
    asked_s = None if asked is None else asked.elapsed_s
    if series is not None and _has_left_change(attempt, series, age_s, context):
        if asked_s is None or asked_s < series.unchanged_since.elapsed_s:
            return now_s
        return max(now_s, asked_s + max(context.settings.poll_min_s, age_s * ASK_AGAIN_SHARE))
    if asked_s is not None:
        # Read again at twice its age.
        return max(now_s, asked_s + max(context.settings.poll_max_s, age_s - (now_s - asked_s)))
    visible = series is not None and series.snapshot is not None and series.snapshot.changing
    most_s = context.forecast.quantile_s(MOST_HAVE_ENDED)
    if most_s is None:
        most_s = context.settings.change_timeout_s / 2 if visible else context.settings.poll_max_s
    elif visible:
        # Sweeps will show the end, unless the job failed and left its server changing for ever.
        most_s *= 2
    return now_s + max(0.0, most_s - age_s)


def _has_left_change(attempt: Attempt, series: ObservationSeries, age_s: float, context: Context) -> bool:
    """Return True if the last read shows the server as it is after a change, or no longer as during one."""
    snapshot = series.snapshot
    if snapshot is None or snapshot.changing:
        return False
    touched = match_disk(attempt, snapshot) is not DiskMatch.SAME or snapshot.running
    failed = snapshot.in_error and not attempt.before.in_error
    was_seen = any(earlier.changing for earlier in series.snapshots) or (
        context.shows_change and age_s > SHOWN_WITHIN_S
    )
    return touched or failed or bool(was_seen)


def _check_deadline(target: Target, attempt: Attempt, context: Context) -> WriteEvents | tuple[Need, ...]:
    """Read the server beside its job after the deadline; after as long again, hold it for a human.

    A process that took over gets one settle to read, however late it came.
    """
    late_s = (context.now.wall - attempt.deadline).total_seconds()
    if late_s < 0:
        return (Wait(context.to_elapsed_s(attempt.deadline)),)
    series = context.series
    if series is not None:
        snapshot = series.snapshot
        if snapshot is None:
            return fail_if_deleted(target, series, context)
        if (
            match_disk(attempt, snapshot) is DiskMatch.NEW
            and shows_ordered_image(target, attempt, snapshot)
            and snapshot.running
        ):
            return WriteEvents((Moved(target.server_id, TargetState.VERIFYING),))
    if late_s > context.settings.change_timeout_s and context.in_state_s >= context.settle_s:
        detail = f"job {attempt.job_id or 'unknown'} was still going on {late_s:.0f} s after its time-out"
        return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.STILL_CHANGING, detail=detail),))
    # Counted from the last observation: answers about the job, which come more often, must not put it off.
    due_s = 0.0 if series is None else series.last.received.elapsed_s + context.settings.poll_max_s
    return (ReadServerNeed(max(context.now.elapsed_s, due_s)),)


def _watch_adopted(target: Target, context: Context) -> Decision:
    series, attempt = context.series, target.attempt
    if series is None or attempt is None:
        return (ReadServerNeed(context.now.elapsed_s, single=True),)
    snapshot = series.snapshot
    if snapshot is None:
        return fail_if_deleted(target, series, context)
    if not snapshot.changing:
        ours = (
            match_disk(attempt, snapshot) is DiskMatch.NEW
            and shows_ordered_image(target, attempt, snapshot)
            and snapshot.running
        )
        to = TargetState.VERIFYING if ours else TargetState.INSPECTING
        return WriteEvents((Moved(target.server_id, to),))
    return (ReadServerNeed(context.next_backoff_read_s(context.settings.poll_max_s), single=True),)


def adopt(target: Target, attempt: Attempt, series: ObservationSeries) -> WriteEvents:
    """Adopt a change that is seen on the server: it counts as accepted, and its deadline stays that of the attempt."""
    ran = any(snapshot.running for snapshot in series.snapshots)
    return WriteEvents((ChangeAdopted(target.server_id, attempt.number, ran),))
