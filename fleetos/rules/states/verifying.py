"""What came of a change whose job has ended: the table, and the way to it. Pure.

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
from fleetos.rules.needs import Context, Decision, Follow, ReadServerNeed, WriteEvents
from fleetos.rules.observation import ObservationSeries
from fleetos.rules.outcomes import end_attempt, gone, held_after, hold


class ChangeVerdict(Enum):
    """What the end of a job and the picture after it say together."""

    PROVEN = auto()  # the new OS is there and runs
    DOWN = auto()  # the new OS is there and is down: start it once
    OTHER_IMAGE = auto()  # the job succeeded, yet with an image that is not the one ordered
    NO_EFFECT = auto()  # the job succeeded and changed nothing
    KEPT_DISK = auto()  # the same disk, and perhaps changed all the same: a cloud that fleetos does not know
    FAILED = auto()  # the attempt is used up
    NO_DISK = auto()  # the attempt failed and left no system disk
    FOREIGN = auto()  # the attempt failed and left a disk that is not as ordered
    UNTOLD = auto()  # the attempt failed and left a disk of which nothing tells what is on it
    AGAIN = auto()  # nothing that the table knows: look again, then hold


# Verdicts that one look proves, that two equal looks prove, and that need a whole settle time.
AT_ONCE = frozenset({ChangeVerdict.PROVEN})
BY_TWO = frozenset(
    {ChangeVerdict.DOWN, ChangeVerdict.FAILED, ChangeVerdict.NO_DISK, ChangeVerdict.FOREIGN, ChangeVerdict.UNTOLD}
)


class DiskMatch(Enum):
    """The system disk as compared with the one before the attempt."""

    NONE = auto()
    SAME = auto()
    NEW = auto()


def disk_of(attempt: Attempt, seen: ServerSnapshot) -> DiskMatch:
    """Which disk the picture shows."""
    if seen.disk is None:
        return DiskMatch.NONE
    return DiskMatch.SAME if seen.disk == attempt.before.disk else DiskMatch.NEW


def on_image(target: Target, attempt: Attempt, seen: ServerSnapshot) -> bool:
    """Whether the picture shows the ordered image, or shows none on a server that never showed one.

    Of two ids that differ, the one that is the ordered image counts only if it was another before the attempt: one that
    is the same on whatever image, or late, says nothing.
    """
    ordered, before = target.order.image_id, attempt.before
    if seen.image is None:
        return target.baseline.image is None
    if seen.metered is None:
        return seen.image == ordered
    was = before.likely_image if seen.metered == ordered else before.image
    return ordered in seen.images and was != ordered


def image_tells(target: Target, attempt: Attempt) -> bool:
    """Whether the ordered image shows that the change was made: the server had another one before, and shows it."""
    before = attempt.before.images
    return not target.order.reinstall and bool(before) and target.order.image_id not in before


def judge(target: Target, attempt: Attempt, status: JobStatus, seen: ServerSnapshot) -> ChangeVerdict:
    """The row of the table that job, disk, image and picture fall into; the first that fits, AGAIN if none does."""
    disk = disk_of(attempt, seen)
    succeeded = status is JobStatus.SUCCESS
    # Beside the word of our own job either id will do.
    ours = on_image(target, attempt, seen) or (succeeded and target.order.image_id in seen.images)
    if disk is DiskMatch.NEW and ours and succeeded and seen.running:
        return ChangeVerdict.PROVEN
    if disk is DiskMatch.NEW and not succeeded and not image_tells(target, attempt):
        # The image looks the same before and after: it says nothing of what a failure left on the new disk.
        if seen.changing:
            return ChangeVerdict.AGAIN
        return ChangeVerdict.UNTOLD if ours else ChangeVerdict.FOREIGN
    if disk is DiskMatch.NEW and ours and (seen.stopped or seen.in_error):
        return ChangeVerdict.DOWN
    if succeeded:
        return _after_success(target, attempt, disk, seen, ours=ours)
    # An error on a new disk without the ordered image may be somebody else's work, be it on the image of before.
    if seen.idle and not seen.changing and (disk is DiskMatch.SAME or (disk is DiskMatch.NONE and seen.in_error)):
        return ChangeVerdict.FAILED
    if disk is DiskMatch.NONE:
        return ChangeVerdict.NO_DISK
    if disk is DiskMatch.NEW and not ours:
        return ChangeVerdict.FOREIGN
    return ChangeVerdict.AGAIN


def _after_success(
    target: Target, attempt: Attempt, disk: DiskMatch, seen: ServerSnapshot, *, ours: bool
) -> ChangeVerdict:
    if disk is DiskMatch.NEW and not ours:
        return ChangeVerdict.OTHER_IMAGE
    if disk is DiskMatch.SAME and not image_tells(target, attempt):
        # The image cannot tell whether nothing was done, or all of it on a disk that keeps its id.
        return ChangeVerdict.KEPT_DISK
    if disk is DiskMatch.SAME and target.order.image_id in seen.images:
        return ChangeVerdict.KEPT_DISK
    if disk is DiskMatch.SAME and seen.images == attempt.before.images:
        return ChangeVerdict.NO_EFFECT
    return ChangeVerdict.AGAIN


def proven(target: Target, seen: ServerSnapshot, context: Context) -> WriteEvents:
    """The end of a target whose new OS is proven: done, or first stopped again if it was stopped before."""
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
        disk=seen.disk,
        image=target.order.image_id if target.order.image_id in seen.images else seen.likely_image,
        detail=detail,
        not_before=not_before,
        then=then,
    )
    return WriteEvents((ended,))


def verifying(target: Target, context: Context) -> Decision:
    """The next need of a target whose change is said or seen to have worked."""
    return judged(target, JobStatus.SUCCESS, context)


def judged(target: Target, status: JobStatus, context: Context) -> Decision:
    """The next need of a target whose job has ended: more looks, or what they prove."""
    attempt, watch = target.attempt, context.watch
    if attempt is None:
        raise ValueError(f"target {target.server_id} is judged without an open attempt")
    if watch is None:
        # Who is being verified holds no slot, so that others' next sweep is soon enough, if it shows the server at all.
        riding = context.by_sweep and status is JobStatus.SUCCESS and not context.misses
        return (Follow(),) if riding else (ReadServerNeed(context.now.elapsed_s),)
    seen = watch.picture
    if seen is None:
        return gone(target, watch, context)
    verdict = judge(target, attempt, status, seen)
    enough_s = _enough_s(verdict, context)
    if verdict in AT_ONCE:
        lasted_s = enough_s
    elif verdict in BY_TWO:
        lasted_s = watch.same_s()
    else:
        # A settle is one of evidence, without a gap; an AGAIN of changing faces is bounded by the stay in the state.
        lasted_s = context.here_s if verdict is ChangeVerdict.AGAIN else watch.still_s()
    if lasted_s >= enough_s:
        return _act(target, attempt, verdict, seen, context)
    if context.here_s >= context.settings.change_timeout_s + enough_s:
        return _act(target, attempt, ChangeVerdict.AGAIN, seen, context)
    if verdict in BY_TWO:
        second_s = max(context.now.elapsed_s, watch.same_since.elapsed_s + enough_s)
        return (ReadServerNeed(min(context.again_s(), second_s)),)
    return (ReadServerNeed(context.evidence_s()),)


def _enough_s(verdict: ChangeVerdict, context: Context) -> float:
    if verdict in AT_ONCE:
        return 0.0
    if verdict in BY_TWO:
        return context.settings.poll_max_s
    if verdict is ChangeVerdict.AGAIN:
        return max(context.settle_s, context.settings.start_timeout_s)
    return context.settle_s


def _act(target: Target, attempt: Attempt, verdict: ChangeVerdict, seen: ServerSnapshot, context: Context) -> Decision:
    said = f"{attempt.error_code or 'no code'}: {attempt.fail_reason or 'no reason given'}"
    match verdict:
        case ChangeVerdict.PROVEN:
            return proven(target, seen, context)
        case ChangeVerdict.DOWN:
            return start_once(target, seen)
        case ChangeVerdict.OTHER_IMAGE:
            # A cloud that is slow or wrong about images is as likely as a colleague who came right after our job.
            detail = f"the job succeeded and the system disk is new, but the server shows {image_words(seen)}"
            return WriteEvents((held_after(target, Outcome.FOREIGN, Reason.OUTCOME_UNKNOWN, detail, seen),))
        case ChangeVerdict.NO_EFFECT:
            return end_attempt(
                target, Outcome.NO_EFFECT, "the job succeeded, but disk and image are the old ones", seen, context
            )
        case ChangeVerdict.KEPT_DISK:
            image = "became" if image_tells(target, attempt) else "says nothing, as it is what it was: it is"
            detail = (
                f"the job succeeded and the image {image} {seen.likely_image or 'not shown'}, yet the system disk kept"
                " its id:"
                " no proof of a change"
            )
            return hold(target, Reason.OUTCOME_UNKNOWN, detail, seen)
        case ChangeVerdict.FAILED:
            return end_attempt(target, Outcome.FAILED, said, seen, context)
        case ChangeVerdict.NO_DISK:
            held = held_after(
                target,
                Outcome.FAILED,
                Reason.NO_SYSTEM_DISK,
                f"the change failed ({said}) and left no system disk",
                seen,
            )
            return WriteEvents((held,))
        case ChangeVerdict.FOREIGN | ChangeVerdict.UNTOLD:
            detail = f"the change failed ({said}) and left a disk with {image_words(seen)}"
            if verdict is ChangeVerdict.FOREIGN:
                return WriteEvents((held_after(target, Outcome.FAILED, Reason.FOREIGN_CHANGE, detail, seen),))
            detail += ", as before it: that does not tell what is on the disk"
            return WriteEvents((held_after(target, Outcome.FAILED, Reason.OUTCOME_UNKNOWN, detail, seen),))
        case ChangeVerdict.AGAIN:
            detail = f"the job ended, but the server is {seen.status} (task: {seen.task or 'none'}) on disk {seen.disk}"
            reason = Reason.STILL_CHANGING if seen.changing else Reason.OUTCOME_UNKNOWN
            return hold(target, reason, detail, seen)


def start_once(target: Target, seen: ServerSnapshot) -> WriteEvents:
    """The one start that the cloud owed a changed server; a second wait for it is a human's."""
    if target.started:
        detail = f"it has its new disk, but is {seen.status} even after a start"
        return WriteEvents(
            (Moved(target.server_id, TargetState.HELD, Reason.START_FAILED, disk=seen.disk, detail=detail),)
        )
    return WriteEvents((Moved(target.server_id, TargetState.STARTING),))


def image_words(seen: ServerSnapshot) -> str:
    """The image that a picture shows, or both where they differ, in words."""
    if seen.metered is None:
        return f"image {seen.image or 'unknown'}"
    return f"image {seen.image} (image.id) and image {seen.metered} (metering.image_id)"


def evidence_series(watch: ObservationSeries) -> str:
    """The looks of a watch in words, for the detail of a hold."""
    return ", ".join(sorted(f"{one.status}/{one.task or 'idle'} on {one.disk}" for one in watch.pictures))
