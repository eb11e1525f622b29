"""The end of a play: it comes (I7), and what is recorded is true or says that it is unknown (I12)."""

from collections.abc import Iterator

from fleetos.model.events import RunDriverStarted
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import IN_FLIGHT, Reason, TargetState
from fleetos.sim.ledger import Write
from fleetos.sim.servers import Disk, Server
from fleetos.views.summary import lying_stopped
from tests.simulation.checkers.past import (
    Past,
    at,
    believed,
    beyond_promise,
    changes_of,
    named_by_retry,
    of_client,
    settle_s,
)
from tests.simulation.story import Story, Violation

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


def comes_to_an_end(story: Story) -> Iterator[Violation]:
    """I7: once the faults have stopped the run ends within its bound, all its targets at rest, by no defect."""
    if not story.came_to_end:
        told = f"at {story.ended_s:.0f} s, all faults over since {story.calm_s:.0f} s, the run is {story.run.state}"
        yield Violation("I7", f"{told}; the bound was {story.bound_s:.0f} s")
    yield from _waited_for_too_long(story)
    for target in story.targets.values():
        if target.state in IN_FLIGHT:
            yield Violation("I7", f"{target.server_id} is left {target.state}")
    for session in story.sessions:
        if session.ended == "defect":
            yield Violation("I7", f"process {session.process} ended at {session.ended_s:.3f}: {session.trouble}")


def _waited_for_too_long(story: Story) -> Iterator[Violation]:
    """Yield the changes that were waited for beyond their deadline and as long again, by a process that met no faults.

    Who takes over a run, or comes to see a change go on, may look for a settle time, however late that is; nothing
    gives a change its time anew.
    """
    past, began_s, settings, clocks = Past(), 0.0, story.run.settings, story.spec.clocks
    slack_s = 2 * clocks.apart_s + sum(abs(jump.by_s) for jump in clocks.jumps) + 5 * settings.poll_max_s
    look_s = max(settings.settle_s, 2 * story.spec.scenario.durations.change[1])
    since_s: dict[str, float] = {}
    for written, record, before, after in believed(story, past):
        if isinstance(record.event, RunDriverStarted):
            began_s = written.at_s
        attempt = before.attempt if before is not None else None
        if after is None or before is None or attempt is None:
            continue
        if before.state is TargetState.CHANGING and not attempt.job_final and began_s >= story.calm_s:
            due_s = attempt.deadline.timestamp() - story.born_at + settings.change_timeout_s
            late_s = written.at_s - max(due_s, max(began_s, since_s[after.server_id]) + look_s)
            if late_s > slack_s:
                yield Violation("I7", f"record {record.seq} ends a wait for {after.server_id}, {late_s:.0f} s too late")
        if before.state is not TargetState.CHANGING:
            since_s[after.server_id] = written.at_s


def ends_as_told(story: Story) -> Iterator[Violation]:
    """I12: whoever lies stopped is named, and each recorded end equals the cloud's truth or says unknown."""
    named = {target.server_id for target in lying_stopped(Progress(story.run, story.targets.values()))}
    for target in story.targets.values():
        server = story.world.servers[target.server_id]
        if _stopped_by_us(story, target, server) and target.server_id not in named:
            told = f"{server.vm_state}, stopped by write {server.stopped_by}, and {target.state} ({target.reason})"
            yield Violation("I12", f"{target.server_id} lies {told}, not named as lying stopped")
        wrong = _wrong_end(story, target, server)
        if wrong:
            how = f"{target.state} ({target.reason}: {target.detail})"
            yield Violation("I12", f"{target.server_id} is {how}, yet {wrong}")


def _stopped_by_us(story: Story, target: Target, server: Server) -> bool:
    if server.vm_state not in _DOWN:
        return False
    if target.state is TargetState.DONE and not target.ran_before:
        # Its power is as before: that is what was asked for.
        return False
    return of_client(story, server.stopped_by) or _stopped_by_change(story, target)


def _stopped_by_change(story: Story, target: Target) -> bool:
    """Return whether a change took it down that stops a server by itself, and nobody else turned it on or off."""
    if not target.ran_before or not changes_of(story, target.server_id):
        return False
    return not any(
        write.actor == "foreign" and write.came == "accepted" and target.server_id in write.servers
        for write in story.ledger.writes
        if write.operation in ("start", "stop", "change")
    )


def _wrong_end(story: Story, target: Target, server: Server) -> str:
    """Return what is not true of a recorded end, empty if it is true or says unknown."""
    match target.state:
        case TargetState.DONE:
            return _wrong_success(story, target, server)
        case TargetState.SKIPPED:
            return _wrong_skip(story, target, server)
        case TargetState.CANCELLED:
            return _success(story, target.server_id)
        case TargetState.FAILED if target.reason is Reason.GONE:
            return "" if server.vm_state == "deleted" else f"the server is {server.vm_state}"
        case TargetState.FAILED | TargetState.HELD if target.reason not in UNKNOWN:
            return _wrong_failure(story, target, server)
        case _:
            return ""


def _wrong_skip(story: Story, target: Target, server: Server) -> str:
    """Return what is not true of a server that was left alone since it had the image already."""
    if changes_of(story, target.server_id):
        return "the cloud accepted a change of it"
    touched = any(write.came == "accepted" and target.server_id in write.servers for write in story.ledger.writes)
    image = server.image.id if server.image is not None else None
    if touched or (server.vm_state in ("active", "stopped") and image == target.order.image_id):
        return ""
    return f"it is {server.vm_state} on image {image}"


def _wrong_success(story: Story, target: Target, server: Server) -> str:
    disk = next((one for one in story.ledger.disks if one.id == target.disk_after), None)
    if disk is None or disk.server_id != target.server_id:
        return f"disk {target.disk_after} is none of its own"
    by = story.ledger.write(disk.made_by) if disk.made_by is not None else None
    # A change whose job fails may leave a good disk all the same: started once, it is what was ordered.
    if by is None or by.actor != "client" or not (by.ended in ("success", "failed") or _started_within(story, by)):
        return f"{_told(story, disk)} is not the work of a change of ours that has ended"
    if disk.image_id != target.order.image_id:
        return f"{_told(story, disk)} has image {disk.image_id}"
    if disk.destroyed_by is None:
        return "" if server.system_disk is disk else f"{_told(story, disk)} is not its system disk"
    # What somebody else did to it afterwards is not ours to know; nor what came a settle late, or twice.
    destroyer = story.ledger.write(disk.destroyed_by)
    if destroyer.actor != "client" or beyond_promise(story, destroyer):
        return ""
    return f"{_told(story, disk)} was destroyed by write {destroyer.seq}"


def _started_within(story: Story, change: Write) -> bool:
    """Return whether somebody else started the server while it changed: it then looks as after its end."""
    return any(
        write.actor == "foreign" and write.operation == "start" and change.seq in write.during
        for write in story.ledger.writes
    )


def _wrong_failure(story: Story, target: Target, server: Server) -> str:
    disk = server.system_disk
    if disk is None or disk.made_by is None or not _ours(story, disk):
        return ""
    made_by = story.ledger.write(disk.made_by)
    if target.unsettled and made_by.ended_at is not None and made_by.ended_at - made_by.sent_at >= settle_s(story):
        # It went on for longer than a settle without showing; that its outcome is unknown is said beside the reason.
        return ""
    return f"it runs on {_told(story, disk)}"


def _success(story: Story, server_id: str) -> str:
    """Return which change of the server succeeded, if one did that could be known of."""
    for write in changes_of(story, server_id):
        if write.ended == "success" and not beyond_promise(story, write):
            return f"write {write.seq} changed it"
    return ""


def _ours(story: Story, disk: Disk) -> bool:
    """Return whether a change of ours made the disk well, and that could be known.

    Not if it came too late, or twice; nor if the operator has since named the disk as one to be wiped.
    """
    if disk.successful is not True or disk.made_by is None or not of_client(story, disk.made_by):
        return False
    return not beyond_promise(story, story.ledger.write(disk.made_by)) and not named_by_retry(story, disk)


def _told(story: Story, disk: Disk) -> str:
    return f"disk {disk.id}, made by write {disk.made_by} at {at(story, disk.made_at)},"
