"""I12: who stays powered off is named, and what is recorded is true or says that it is unknown."""

from collections.abc import Iterator

from fleetos.model.journal.events import AttemptEnded, ChangeIntended
from fleetos.model.plan import PowerAfter
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import RETRIABLE, Reason, TargetState
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.servers import SimDisk, SimServer
from fleetos.views.text.run_condition import powered_off
from tests.simulation.checkers.exemptions import (
    beyond_promise,
    denied_for_a_settle,
    image_shown_late,
    looks_finished,
    named_by_operator,
    overtaken,
    settle_s,
    told_of_end,
)
from tests.simulation.checkers.steps import at, believed, changes_of, groups, of_run
from tests.simulation.run_trace import RunTrace, Violation
from tests.support.ledger import CHANGES

# Ends for these reasons do not say that a change failed: they say that nobody knows, or that a human must look.
UNKNOWN = frozenset(
    {
        Reason.OUTCOME_UNKNOWN,
        Reason.STILL_CHANGING,
        Reason.FOREIGN_CHANGE,
        Reason.UNREACHABLE,
        Reason.UNANSWERED_SEND,
        Reason.START_FAILED,
    }
)
_DOWN = frozenset({"stopped", "error"})


def ends_as_told(trace: RunTrace) -> Iterator[Violation]:
    """I12: whoever stays powered off is named, and each recorded end equals the cloud's truth or says unknown."""
    named = {target.server_id for target in powered_off(Progress(trace.run, trace.targets.values()))}
    for target in trace.targets.values():
        server = trace.world.servers[target.server_id]
        if _stopped_by_us(trace, target, server) and target.server_id not in named:
            told = f"{server.vm_state}, stopped by write {server.stopped_by}, and {target.state} ({target.reason})"
            yield Violation("I12", f"{target.server_id} lies {told}, not named as lying stopped")
        wrong = _wrong_end(trace, target, server)
        if wrong:
            how = f"{target.state} ({target.reason}: {target.detail})"
            yield Violation("I12", f"{target.server_id} is {how}, yet {wrong}")
    yield from _wrongly_failed(trace)
    yield from _wrongly_read_off_the_log(trace)


# What fleetos says of an attempt whose end the cloud's log told, and how its change must have ended then.
_BY_LOG = {"by the cloud's log the change failed": "failed", "by the cloud's log the change succeeded": "no-effect"}


def _wrongly_read_off_the_log(trace: RunTrace) -> Iterator[Violation]:
    """Yield the ends of attempts that are said to stand in the cloud's log, and are not those of a change of ours."""
    intended_s: dict[tuple[str, int], float] = {}
    for written, records in groups(trace):
        for record in records:
            event = record.event
            if isinstance(event, ChangeIntended):
                intended_s.setdefault((event.server_id, event.attempt), written.at_s)
            if not isinstance(event, AttemptEnded):
                continue
            said = next((end for words, end in _BY_LOG.items() if event.detail.startswith(words)), None)
            since_s = intended_s[event.server_id, event.attempt]
            if said is None or _copy_ended(trace, event.server_id, since_s, written.at_s) == said:
                continue
            if _first_end(trace, event.server_id, since_s, written.at_s) != said:
                yield Violation(
                    "I12", f"record {record.seq} says of {event.server_id}: {event.detail}, which is not so"
                )


def _copy_ended(trace: RunTrace, server_id: str, since_s: float, until_s: float) -> str | None:
    """Return how the second delivery of a change ended that came in that time: the log tells of it as of any other."""
    ends = (
        write.ended
        for write in trace.ledger.writes
        if write.operation in CHANGES and server_id in write.servers and write.copy_of is not None
        if write.at is not None and write.at - trace.born_at >= since_s
        if write.ended_at is not None and write.ended_at - trace.born_at <= until_s
    )
    return next(ends, None)


def _first_end(trace: RunTrace, server_id: str, since_s: float, until_s: float) -> str | None:
    """Return how the first change that was sent after that second had ended by the other, None if it had not."""
    made = (one for one in changes_of(trace, server_id) if one.sent_at - trace.born_at >= since_s)
    first = next(made, None)
    over = first is not None and first.ended_at is not None and first.ended_at - trace.born_at <= until_s
    return first.ended if first is not None and over else None


def _stopped_by_us(trace: RunTrace, target: Target, server: SimServer) -> bool:
    """Return whether it is powered off by a stop or a change of ours: nobody has turned it on or off since."""
    if server.vm_state not in _DOWN or server.stopped_by is None or not of_run(trace, server.stopped_by):
        return False
    as_before = trace.spec.rollout.power_after is PowerAfter.AS_BEFORE
    if as_before and target.state is TargetState.DONE and not target.ran_before:
        # That is what was asked for.
        return False
    by = trace.ledger.write(server.stopped_by)
    if by.operation not in CHANGES:
        return not overtaken(trace, by, server.id)
    return not beyond_promise(trace, by)


def _wrongly_failed(trace: RunTrace) -> Iterator[Violation]:
    """Yield what was not true when a target was said to have failed or to be held, whatever came of it by a retry."""
    for step in believed(trace):
        written, record, before, after = step.written, step.record, step.before, step.after
        if after is None or after.state not in RETRIABLE or (before is not None and before.state is after.state):
            continue
        if after.reason is Reason.GONE:
            if not _deleted(trace, after.server_id, trace.born_at + written.at_s):
                yield Violation(
                    "I12", f"record {record.seq} says that {after.server_id} is gone, yet nobody deleted it"
                )
        elif after.reason not in UNKNOWN:
            for disk in _good_disks(trace, after, written.at_s):
                yield Violation("I12", f"record {record.seq} says {after.reason}, yet it runs on {_told(trace, disk)}")


def _good_disks(trace: RunTrace, target: Target, at_s: float) -> Iterator[SimDisk]:
    """Yield the system disks that changes of ours had made well by then, and that were there then."""
    now = trace.born_at + at_s
    for disk in trace.ledger.disks:
        if disk.server_id != target.server_id or disk.made_by is None or not _ours(trace, disk, at_s):
            continue
        ended_at = trace.ledger.write(disk.made_by).ended_at
        there = ended_at is not None and ended_at <= now and (disk.destroyed_at is None or disk.destroyed_at > now)
        if there and not _longer_than_a_settle(trace, target, trace.ledger.write(disk.made_by)):
            yield disk


def _deleted(trace: RunTrace, server_id: str, now: float) -> bool:
    return any(
        write.operation == "delete" and write.came == "accepted" and server_id in write.servers and write.sent_at <= now
        for write in trace.ledger.writes
    )


def _wrong_end(trace: RunTrace, target: Target, server: SimServer) -> str:
    """Return what is not true of a recorded end, empty if it is true or says unknown."""
    match target.state:
        case TargetState.DONE:
            return _wrong_success(trace, target, server)
        case TargetState.SKIPPED | TargetState.HELD if target.reason is Reason.OPERATOR:
            return ""  # it says nothing of the server
        case TargetState.SKIPPED:
            return _wrong_skip(trace, target, server)
        case TargetState.CANCELLED:
            return _changed(trace, target.server_id)
        case TargetState.FAILED if target.reason is Reason.GONE:
            return "" if server.vm_state == "deleted" else f"the server is {server.vm_state}"
        case TargetState.HELD if target.reason is Reason.FOREIGN_CHANGE:
            return _wrong_foreign(trace, target, server)
        case TargetState.FAILED | TargetState.HELD if target.reason not in UNKNOWN:
            return _wrong_failure(trace, target, server)
        case _:
            return ""


def _wrong_skip(trace: RunTrace, target: Target, server: SimServer) -> str:
    """Return what is not true of a server that was left alone since it had the image already."""
    named = [write for write in trace.ledger.writes if target.server_id in write.servers]
    ours = next((write for write in named if of_run(trace, write.seq)), None)
    if ours is not None:
        return f"write {ours.seq} ({ours.operation}) names it"
    touched = any(write.actor == "foreign" and write.came == "accepted" for write in named)
    image = server.image.id if server.image is not None else None
    if touched or (server.vm_state in ("active", "stopped") and image == target.order.image_id):
        return ""
    return f"it is {server.vm_state} on image {image}"


def _wrong_success(trace: RunTrace, target: Target, server: SimServer) -> str:
    disk = next((one for one in trace.ledger.disks if one.id == target.disk_after), None)
    if disk is None or disk.server_id != target.server_id:
        return f"disk {target.disk_after} is none of its own"
    by = trace.ledger.write(disk.made_by) if disk.made_by is not None else None
    if by is None or by.actor != "client" or not (by.ended == "success" or _good_all_the_same(trace, target, by)):
        return f"{_told(trace, disk)} is not the work of a change of ours that has ended"
    if disk.image_id != target.order.image_id:
        return f"{_told(trace, disk)} has image {disk.image_id}"
    if disk.destroyed_by is None:
        return "" if server.system_disk is disk else f"{_told(trace, disk)} is not its system disk"
    # What somebody else did to it afterwards is not ours to know; nor what came a settle late, or twice.
    destroyer = trace.ledger.write(disk.destroyed_by)
    if destroyer.actor != "client" or beyond_promise(trace, destroyer) or looks_finished(trace, destroyer):
        return ""
    return f"{_told(trace, disk)} was destroyed by write {destroyer.seq}"


def _good_all_the_same(trace: RunTrace, target: Target, change: LedgerEntry) -> bool:
    """Return whether a change that did not succeed may count as one that did.

    Its job failed, and it left the image that was ordered: started afterwards, that is what was wanted. Where the
    server showed that image before, or shows none, the image tells nothing: then only if nobody was told how the job
    ended, and somebody else has started it. Or he did while it changed: it then looks as after its end.
    """
    starts = [
        write
        for write in trace.ledger.writes
        if write.operation == "start" and write.came == "accepted" and target.server_id in write.servers
    ]
    if any(start.actor == "foreign" and change.seq in start.during for start in starts):
        return True
    if change.ended != "failed" or change.ended_at is None:
        return False
    afterwards = [start for start in starts if start.at is not None and start.at >= change.ended_at]
    if change.image_before in (None, target.order.image_id):
        return not told_of_end(trace, change) and any(start.actor == "foreign" for start in afterwards)
    return bool(afterwards)


def _wrong_foreign(trace: RunTrace, target: Target, server: SimServer) -> str:
    """Return whose work it is that is said to be somebody else's, if it is ours and shows as what was ordered."""
    as_ordered = server.image is not None and server.image.id == target.order.image_id
    touched = any(write.actor == "foreign" and target.server_id in write.servers for write in trace.ledger.writes)
    told = as_ordered and not touched and not image_shown_late(trace)
    return _wrong_failure(trace, target, server) if told else ""


def _wrong_failure(trace: RunTrace, target: Target, server: SimServer) -> str:
    disk = server.system_disk
    if disk is None or disk.made_by is None or not _ours(trace, disk, trace.ended_s):
        return ""
    if _longer_than_a_settle(trace, target, trace.ledger.write(disk.made_by)):
        return ""
    return f"it runs on {_told(trace, disk)}"


def _longer_than_a_settle(trace: RunTrace, target: Target, change: LedgerEntry) -> bool:
    """Return whether it went on for so long without showing: then it counts as not begun, as is promised.

    That its outcome is unknown is said beside the reason, or the cloud said of its job that there is none.
    """
    if change.ended_at is None or change.ended_at - change.sent_at < settle_s(trace):
        return False
    return target.unsettled or denied_for_a_settle(trace, change, trace.ended_s)


def _changed(trace: RunTrace, server_id: str) -> str:
    """Return which change of the server has touched it, or may yet, if one did that could be known of."""
    for write in changes_of(trace, server_id):
        touched = write.ended in ("success", None) or write.disk_before in write.disks_destroyed
        if touched and not beyond_promise(trace, write):
            return f"write {write.seq} changed it"
    return ""


def _ours(trace: RunTrace, disk: SimDisk, before_s: float) -> bool:
    """Return whether a change of ours made the disk well, and that could be known.

    Not if it came too late, or twice; nor if the operator had named the disk by then as one to be wiped.
    """
    if disk.successful is not True or disk.made_by is None or not of_run(trace, disk.made_by):
        return False
    return not beyond_promise(trace, trace.ledger.write(disk.made_by)) and not named_by_operator(trace, disk, before_s)


def _told(trace: RunTrace, disk: SimDisk) -> str:
    return f"disk {disk.id}, made by write {disk.made_by} at {at(trace, disk.made_at)},"
