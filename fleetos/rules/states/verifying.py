"""Verdict on a change whose job has ended: the table, and the way to it. Pure.

Safety protocol, section 5: docs/safety-protocol.md#5-ended-jobs

SUCCESS of a job is not success of the target, and FAIL is not proof of an old disk.
"""

from datetime import timedelta
from enum import Enum, auto

from fleetos.limits import NO_STOP_AFTER_UNANSWERED_S
from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.events import AttemptEnded, Moved
from fleetos.model.plan import PowerAfter
from fleetos.model.run import Attempt, End, Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.needs import Context, Decision, ReadServerNeed, SweepNeed, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import end_attempt, end_attempt_held, fail_if_deleted, hold


class ChangeVerdict(Enum):
    """Meaning of the end of a job and of the snapshot after it, taken together."""

    PROVEN = auto()  # the new OS is there and runs
    DOWN = auto()  # the new OS is there and is down: start it once
    OTHER_IMAGE = auto()  # the job succeeded, yet with an image that is not the one ordered
    NO_EFFECT = auto()  # the job succeeded and changed nothing
    KEPT_DISK = auto()  # the same disk, and perhaps changed all the same: a cloud that fleetos does not know
    FAILED = auto()  # the attempt is used up
    NO_DISK = auto()  # the attempt failed and left no system disk
    FOREIGN = auto()  # the attempt failed and left a disk that is not as ordered
    UNTOLD = auto()  # the attempt failed and left a disk of which nothing tells what is on it
    AGAIN = auto()  # nothing that the table knows: read again, then hold


# Verdicts that one read proves, and that two equal reads prove; all others need a whole settle time.
AT_ONCE = frozenset({ChangeVerdict.PROVEN})
BY_TWO_READS = frozenset(
    {ChangeVerdict.DOWN, ChangeVerdict.FAILED, ChangeVerdict.NO_DISK, ChangeVerdict.FOREIGN, ChangeVerdict.UNTOLD}
)


class DiskMatch(Enum):
    """System disk as compared with the one before the attempt."""

    NONE = auto()
    SAME = auto()
    NEW = auto()


def match_disk(attempt: Attempt, snapshot: ServerSnapshot) -> DiskMatch:
    """Compare the disk that the snapshot shows with the one before the attempt."""
    if snapshot.disk is None:
        return DiskMatch.NONE
    return DiskMatch.SAME if snapshot.disk == attempt.before.disk else DiskMatch.NEW


def shows_ordered_image(target: Target, attempt: Attempt, snapshot: ServerSnapshot) -> bool:
    """Return True if the snapshot shows the ordered image, or shows none on a server that never showed one.

    Of two ids that differ, the one that is the ordered image counts only if it was another before the attempt: one that
    is the same on whatever image, or late, says nothing.
    """
    ordered, before = target.order.image_id, attempt.before
    if snapshot.image is None:
        return target.baseline.image is None
    if snapshot.metered is None:
        return snapshot.image == ordered
    was = before.likely_image if snapshot.metered == ordered else before.image
    return ordered in snapshot.images and was != ordered


def image_proves_change(target: Target, attempt: Attempt) -> bool:
    """Return True if showing the ordered image would prove the change: the server showed another one before."""
    before = attempt.before.images
    return not target.order.reinstall and bool(before) and target.order.image_id not in before


def judge(target: Target, attempt: Attempt, status: JobStatus, snapshot: ServerSnapshot) -> ChangeVerdict:
    """Return the first row of the table that fits job, disk, image and snapshot; AGAIN if none does."""
    disk = match_disk(attempt, snapshot)
    succeeded = status is JobStatus.SUCCESS
    # Together with the success of our own job either id is enough.
    ours = shows_ordered_image(target, attempt, snapshot) or (succeeded and target.order.image_id in snapshot.images)
    if disk is DiskMatch.NEW and ours and succeeded and snapshot.running:
        return ChangeVerdict.PROVEN
    if disk is DiskMatch.NEW and not succeeded and not image_proves_change(target, attempt):
        # The image looks the same before and after: it says nothing of what a failure left on the new disk.
        if snapshot.changing:
            return ChangeVerdict.AGAIN
        return ChangeVerdict.UNTOLD if ours else ChangeVerdict.FOREIGN
    if disk is DiskMatch.NEW and ours and (snapshot.stopped or snapshot.in_error):
        return ChangeVerdict.DOWN
    if succeeded:
        return _judge_success(target, attempt, disk, snapshot, ours=ours)
    # An error on a new disk without the ordered image may be somebody else's work, even on the image of before.
    if (
        snapshot.idle
        and not snapshot.changing
        and (disk is DiskMatch.SAME or (disk is DiskMatch.NONE and snapshot.in_error))
    ):
        return ChangeVerdict.FAILED
    if disk is DiskMatch.NONE:
        return ChangeVerdict.NO_DISK
    if disk is DiskMatch.NEW and not ours:
        return ChangeVerdict.FOREIGN
    return ChangeVerdict.AGAIN


def _judge_success(
    target: Target, attempt: Attempt, disk: DiskMatch, snapshot: ServerSnapshot, *, ours: bool
) -> ChangeVerdict:
    if disk is DiskMatch.NEW and not ours:
        return ChangeVerdict.OTHER_IMAGE
    if disk is DiskMatch.SAME and not image_proves_change(target, attempt):
        # The image cannot tell whether nothing was done, or all of it on a disk that keeps its id.
        return ChangeVerdict.KEPT_DISK
    if disk is DiskMatch.SAME and target.order.image_id in snapshot.images:
        return ChangeVerdict.KEPT_DISK
    if disk is DiskMatch.SAME and snapshot.images == attempt.before.images:
        return ChangeVerdict.NO_EFFECT
    return ChangeVerdict.AGAIN


def end_proven(target: Target, snapshot: ServerSnapshot, context: Context) -> WriteEvents:
    """End a target whose new OS is proven: done, or first stopped again if it was stopped before."""
    attempt = target.attempt
    if attempt is None:
        raise ValueError(f"target {target.server_id} has no open attempt to succeed")
    as_before = context.settings.power_after is PowerAfter.AS_BEFORE and target.baseline.status == "SHUTOFF"
    then, not_before, detail = None, None, ""
    if as_before:
        others = target.unanswered - (0 if attempt.accepted_at is not None else 1) > 0
        last = target.last_unanswered_at if others else target.remembered_at
        if last is not None:
            not_before = last + timedelta(seconds=NO_STOP_AFTER_UNANSWERED_S)
            detail = f"a send was never answered: it is stopped again after {not_before:%Y-%m-%d %H:%M:%SZ}"
        then = End(TargetState.DONE, None, "")
    to = TargetState.RESTORING if as_before else TargetState.DONE
    ended = AttemptEnded(
        target.server_id,
        attempt.number,
        Outcome.SUCCEEDED,
        to,
        disk=snapshot.disk,
        image=target.order.image_id if target.order.image_id in snapshot.images else snapshot.likely_image,
        detail=detail,
        not_before=not_before,
        then=then,
    )
    return WriteEvents((ended,))


def decide_verifying(target: Target, context: Context) -> Decision:
    """Return the next need of a target whose change is said or seen to have worked."""
    return judge_ended_change(target, JobStatus.SUCCESS, context)


def judge_ended_change(target: Target, status: JobStatus, context: Context) -> Decision:
    """Return the next need of a target whose job has ended: more reads, or what they prove."""
    attempt, series = target.attempt, context.series
    if attempt is None:
        raise ValueError(f"target {target.server_id} is judged without an open attempt")
    if series is None:
        # A target in this state holds no slot: the next sweep for others is soon enough, if it shows the server at all.
        riding = context.by_sweep and status is JobStatus.SUCCESS and not context.missed_reads
        return (SweepNeed(),) if riding else (ReadServerNeed(context.now.elapsed_s),)
    snapshot = series.snapshot
    if snapshot is None:
        return fail_if_deleted(target, series, context)
    verdict = judge(target, attempt, status, snapshot)
    enough_s = _required_s(verdict, context)
    if verdict in AT_ONCE:
        lasted_s = enough_s
    elif verdict in BY_TWO_READS:
        lasted_s = series.unchanged_s()
    else:
        # A settle counts evidence without a gap; AGAIN with changing snapshots is bounded by the time in this state.
        lasted_s = context.in_state_s if verdict is ChangeVerdict.AGAIN else series.unchanged_in_series_s()
    if lasted_s >= enough_s:
        return _act(target, attempt, verdict, snapshot, context)
    if context.in_state_s >= context.settings.change_timeout_s + enough_s:
        return _act(target, attempt, ChangeVerdict.AGAIN, snapshot, context)
    if verdict in BY_TWO_READS:
        second_s = max(context.now.elapsed_s, series.unchanged_since.elapsed_s + enough_s)
        return (ReadServerNeed(min(context.next_poll_s(), second_s)),)
    return (ReadServerNeed(context.next_evidence_read_s()),)


def _required_s(verdict: ChangeVerdict, context: Context) -> float:
    if verdict in AT_ONCE:
        return 0.0
    if verdict in BY_TWO_READS:
        return context.settings.poll_max_s
    if verdict is ChangeVerdict.AGAIN:
        return max(context.settle_s, context.settings.start_timeout_s)
    return context.settle_s


def _act(
    target: Target, attempt: Attempt, verdict: ChangeVerdict, snapshot: ServerSnapshot, context: Context
) -> Decision:
    said = f"{attempt.error_code or 'no code'}: {attempt.fail_reason or 'no reason given'}"
    match verdict:
        case ChangeVerdict.PROVEN:
            return end_proven(target, snapshot, context)
        case ChangeVerdict.DOWN:
            return start_once(target, snapshot)
        case ChangeVerdict.OTHER_IMAGE:
            # A cloud that is slow or wrong about images is as likely as a colleague who came right after our job.
            detail = f"the job succeeded and the system disk is new, but the server shows {describe_image(snapshot)}"
            return WriteEvents((end_attempt_held(target, Outcome.FOREIGN, Reason.OUTCOME_UNKNOWN, detail, snapshot),))
        case ChangeVerdict.NO_EFFECT:
            return end_attempt(
                target, Outcome.NO_EFFECT, "the job succeeded, but disk and image are the old ones", snapshot, context
            )
        case ChangeVerdict.KEPT_DISK:
            image = "became" if image_proves_change(target, attempt) else "says nothing, as it is what it was: it is"
            detail = (
                f"the job succeeded and the image {image} {snapshot.likely_image or 'not shown'}, yet the system"
                " disk kept its id: no proof of a change"
            )
            return hold(target, Reason.OUTCOME_UNKNOWN, detail, snapshot)
        case ChangeVerdict.FAILED:
            return end_attempt(target, Outcome.FAILED, said, snapshot, context)
        case ChangeVerdict.NO_DISK:
            held = end_attempt_held(
                target,
                Outcome.FAILED,
                Reason.NO_SYSTEM_DISK,
                f"the change failed ({said}) and left no system disk",
                snapshot,
            )
            return WriteEvents((held,))
        case ChangeVerdict.FOREIGN | ChangeVerdict.UNTOLD:
            detail = f"the change failed ({said}) and left a disk with {describe_image(snapshot)}"
            if verdict is ChangeVerdict.FOREIGN:
                return WriteEvents((end_attempt_held(target, Outcome.FAILED, Reason.FOREIGN_CHANGE, detail, snapshot),))
            detail += ", as before it: that does not tell what is on the disk"
            return WriteEvents((end_attempt_held(target, Outcome.FAILED, Reason.OUTCOME_UNKNOWN, detail, snapshot),))
        case ChangeVerdict.AGAIN:
            shown = f"{snapshot.status} (task: {snapshot.task or 'none'}) on disk {snapshot.disk}"
            detail = f"the job ended, but the server is {shown}"
            reason = Reason.STILL_CHANGING if snapshot.changing else Reason.OUTCOME_UNKNOWN
            return hold(target, reason, detail, snapshot)


def start_once(target: Target, snapshot: ServerSnapshot) -> WriteEvents:
    """Send the one start that the cloud owed a changed server; a second time, hold it for a human."""
    if target.started:
        detail = f"it has its new disk, but is {snapshot.status} even after a start"
        return WriteEvents(
            (Moved(target.server_id, TargetState.HELD, Reason.START_FAILED, disk=snapshot.disk, detail=detail),)
        )
    return WriteEvents((Moved(target.server_id, TargetState.STARTING),))


def describe_image(snapshot: ServerSnapshot) -> str:
    """Describe the image that a snapshot shows, or both where they differ."""
    if snapshot.metered is None:
        return f"image {snapshot.image or 'unknown'}"
    return f"image {snapshot.image} (image.id) and image {snapshot.metered} (metering.image_id)"


def describe_series(series: ObservationSeries) -> str:
    """Describe the observations of a series, for the detail of a hold."""
    return ", ".join(
        sorted(f"{snapshot.status}/{snapshot.task or 'idle'} on {snapshot.disk}" for snapshot in series.snapshots)
    )
