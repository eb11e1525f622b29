"""Exemptions end where the law ends: each trace has what would exempt it, but for one thing.

The traces are real plays that are edited afterwards, as in `test_checkers.py`.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetos.model.journal.events import AttemptEnded, ChangeIntended, Moved, Retried
from fleetos.model.plan import FailurePolicy
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.servers import SimDisk
from tests.simulation.checkers import check
from tests.simulation.checkers.exemptions import looks_finished, named_by_operator, overtaken
from tests.simulation.edited_runs import (
    SETTLE_S,
    alter,
    changes,
    failing,
    failing_once,
    failing_well,
    insert,
    named,
    one_by_one,
    plain,
    stop_of,
    unflipped,
)
from tests.simulation.run_trace import Asked, RunTrace

Edit = Callable[[RunTrace], None]


def _enter(trace: RunTrace, write: LedgerEntry) -> LedgerEntry:
    """Return one more write of the ledger."""
    write = replace(write, seq=len(trace.ledger.writes) + 1)
    trace.ledger = replace(trace.ledger, writes=(*trace.ledger.writes, write))
    return write


def _good_disk(trace: RunTrace) -> SimDisk:
    return next(disk for disk in trace.ledger.disks if disk.successful)


def _goes_on(trace: RunTrace, change: LedgerEntry) -> None:
    change.ended_at = None
    for task in trace.world.jobs[change.job_id or ""].tasks:
        task.ended_at = None


def _sent_beside_a_known_job(trace: RunTrace) -> None:
    """Let the first change have left a settle before the second, with a job that was told of and goes on."""
    first, second = changes(trace)
    first.sent_at = second.sent_at - SETTLE_S
    second.sent_during = [first.seq]
    _goes_on(trace, first)


def _sent_beside_a_job_that_was_denied_for_a_while(trace: RunTrace) -> None:
    """Let the cloud have said that it knows no such job, but for less than a settle since it had told of it."""
    _sent_beside_a_known_job(trace)
    _asked_for_the_first_job(trace, (-50.0, 404), (-32.0, 200), (-20.0, 400), (-1.0, 400))


def _asked_for_the_first_job(trace: RunTrace, *told: tuple[float, int]) -> None:
    """Let the first job have been asked for before the second change left: so many seconds, with that status."""
    first, second = changes(trace)
    at_s = second.sent_at - trace.born_at
    trace.asked = [one for one in trace.asked if one.about != first.job_id]
    trace.asked += [
        Asked(at_s + before_s, 1, "job", False, at_s + before_s, status, None, first.job_id)
        for before_s, status in told
    ]


def _more_attempts_than_the_plan_allows(trace: RunTrace) -> None:
    trace.spec = replace(trace.spec, failure=FailurePolicy(attempts=1))


def _slot_given_back_too_early(trace: RunTrace) -> None:
    """Let the first change go on for good, though its target waits for its next attempt, and others change."""
    _goes_on(trace, changes(trace)[0])


def _copied_beyond_our_own_stop(trace: RunTrace) -> None:
    """Let the gateway have delivered a change once more, after the client had stopped the changed server."""
    disk, stop = _good_disk(trace), stop_of(trace)
    stop.acted_on = [disk.server_id]
    copy = _enter(trace, replace(changes(trace)[0], copy_of=1, sent_at=stop.sent_at - 1.0, at=disk.made_at + 1.0))
    copy.servers = [disk.server_id]
    disk.destroyed_by = copy.seq


def _failed_for_a_while(trace: RunTrace) -> None:
    """Let the first of the changes that failed have worked, and its disk have been wiped by the second."""
    first = changes(trace)[0]
    target = trace.targets[first.servers[0]]
    held = next(disk for disk in trace.ledger.disks if disk.id == target.disk_after)
    held.successful, held.made_by, held.destroyed_at = True, first.seq, trace.born_at + trace.ended_s + 1.0
    trace.world.servers[target.server_id].system_disk = None


def _cancelled_after_a_loss(trace: RunTrace) -> None:
    """Let one that lost its disk to a change that failed have been called as it was."""
    change = changes(trace)[0]
    change.ended = "failed"
    _ends(trace, change.servers[0], TargetState.CANCELLED, Reason.ABORTED)


def _ends(trace: RunTrace, server_id: str, state: TargetState, reason: Reason) -> None:
    target = replace(trace.targets[server_id], state=state, reason=reason)
    trace.targets = {**trace.targets, server_id: target}


def _skipped_yet_stopped(trace: RunTrace) -> None:
    stop_of(trace).servers = [named(trace, "done-before")]


def _done_without_a_start(trace: RunTrace) -> None:
    for write in trace.ledger.writes:
        if write.operation == "start":
            write.came = "refused"


def _done_by_a_blind_failure(trace: RunTrace) -> None:
    """Let the first server have shown the ordered image before its change: nothing tells what the failure left."""
    change = changes(trace)[0]
    change.image_before = trace.targets[change.servers[0]].order.image_id


def _foreign_though_ours(trace: RunTrace) -> None:
    """Let one on a disk of ours, which shows what was ordered, have been called somebody else's."""
    change = changes(trace)[0]
    _ends(trace, change.servers[0], TargetState.HELD, Reason.FOREIGN_CHANGE)
    order = trace.targets[change.servers[0]].order
    trace.world.servers[change.servers[0]].image = trace.world.images[order.image_id]


def _gone_though_there(trace: RunTrace) -> None:
    for place, record in enumerate(trace.records):
        if isinstance(record.event, Moved) and record.event.reason is Reason.LOCKED:
            gone = Moved(record.event.server_id, TargetState.FAILED, Reason.GONE)
            trace.records[place] = replace(record, event=gone)


def _started_while_paused(trace: RunTrace) -> None:
    alter(trace, "start", lambda sent: replace(sent, run_state=RunState.PAUSED))


def _started_after_its_end(trace: RunTrace) -> None:
    alter(trace, "start", lambda sent: replace(sent, run_state=RunState.DONE))


def _fails_on_a_foreign_disk(trace: RunTrace) -> None:
    """Let a failed attempt have been found with somebody else's disk, which the next attempt then wipes."""
    stop = stop_of(trace)
    other = _enter(trace, replace(stop, operation="change", actor="foreign"))
    boot = next(disk for disk in trace.ledger.disks if disk.boot)
    foreign = replace(boot, id="foreign", made_by=other.seq)
    trace.ledger = replace(trace.ledger, disks=(*trace.ledger.disks, foreign))
    server_id = changes(trace)[0].servers[0]
    for place, record in enumerate(trace.records):
        match record.event:
            case AttemptEnded(server_id=whose, attempt=1) as event if whose == server_id:
                trace.records[place] = replace(record, event=replace(event, disk="foreign"))
            case ChangeIntended(server_id=whose, attempt=2) as event if whose == server_id:
                before = replace(event.before, disk="foreign")
                trace.records[place] = replace(record, event=replace(event, before=before))
            case _:
                pass


_BEYOND: list[tuple[Edit, Callable[[], RunTrace], set[str]]] = [
    (_sent_beside_a_known_job, one_by_one, {"I1"}),
    (_sent_beside_a_job_that_was_denied_for_a_while, one_by_one, {"I1"}),
    (_more_attempts_than_the_plan_allows, failing_once, {"I1"}),
    (_fails_on_a_foreign_disk, failing_once, {"I2", "I6"}),
    (_copied_beyond_our_own_stop, plain, {"I2", "I12"}),
    (_slot_given_back_too_early, failing_once, {"I3"}),
    (_started_while_paused, failing_well, {"I4"}),
    (_started_after_its_end, failing_well, {"I4"}),
    (_failed_for_a_while, failing, {"I2", "I12"}),
    (_cancelled_after_a_loss, plain, {"I6", "I12"}),
    (_skipped_yet_stopped, plain, {"I12", "I14"}),
    (_done_without_a_start, failing_well, {"I12"}),
    (_done_by_a_blind_failure, failing_well, {"I12"}),
    (_foreign_though_ours, unflipped, {"I6", "I12"}),
    (_gone_though_there, plain, {"I6", "I12"}),
]


@pytest.mark.parametrize("begin", [failing_once, failing, failing_well, unflipped], ids=lambda one: one.__name__)
def test_as_it_was_played_it_is_innocent(begin: Callable[[], RunTrace]) -> None:
    assert check(begin()) == []


@pytest.mark.parametrize(
    ("edit", "begin", "found"), _BEYOND, ids=["-".join((*sorted(f), e.__name__)) for e, _, f in _BEYOND]
)
def test_an_excuse_ends_where_the_law_ends(edit: Edit, begin: Callable[[], RunTrace], found: set[str]) -> None:
    trace = begin()
    edit(trace)
    assert {violation.invariant for violation in check(trace)} == found


def test_a_job_that_was_denied_for_a_settle_may_be_taken_for_lost() -> None:
    trace = one_by_one()
    _sent_beside_a_known_job(trace)
    _asked_for_the_first_job(trace, (-50.0, 200), (-40.0, 500), (-35.0, 400), (-20.0, 404), (-4.0, 404))
    assert check(trace) == []


def test_a_change_looks_finished_if_somebody_starts_its_server_and_nobody_knows_its_job() -> None:
    trace = plain()
    change, other = changes(trace)[:2]
    _enter(trace, replace(change, operation="start", actor="foreign", during=[change.seq]))
    assert not looks_finished(trace, change)
    change.job_id = other.job_id = "never told of"
    assert looks_finished(trace, change)
    assert not looks_finished(trace, other)


def test_a_retry_names_a_disk_from_then_on_and_for_its_server_alone() -> None:
    trace = plain()
    disk = _good_disk(trace)
    insert(trace, len(trace.records) - 1, Retried(disk.server_id, disk.id))
    assert not named_by_operator(trace, disk, disk.made_at - trace.born_at)
    assert named_by_operator(trace, disk, trace.ended_s)
    assert not named_by_operator(trace, replace(disk, server_id="another"), trace.ended_s)


@pytest.mark.parametrize(("late_s", "found"), [(25.0, set[str]()), (35.0, {"I12"})])
def test_a_stop_that_comes_twice_may_overtake_a_change_of_less_than_half_a_minute(
    late_s: float, found: set[str]
) -> None:
    trace = plain()
    stop, change = stop_of(trace), changes(trace)[0]
    (server_id,) = change.servers
    change.sent_at, change.ended_at = stop.sent_at, stop.sent_at + late_s - 1.0
    copy = _enter(trace, replace(stop, copy_of=stop.seq, at=stop.sent_at + late_s))
    server = trace.world.servers[server_id]
    server.vm_state, server.stopped_by = "stopped", copy.seq
    assert {violation.invariant for violation in check(trace)} == found


@pytest.mark.parametrize(
    ("took_s", "copied", "found"), [(25.0, True, set[str]()), (25.0, False, {"I12"}), (35.0, True, {"I12"})]
)
def test_the_second_delivery_of_a_stop_may_go_on_for_longer_than_a_change_of_less_than_half_a_minute(
    took_s: float, *, copied: bool, found: set[str]
) -> None:
    trace = plain()
    stop, change = stop_of(trace), changes(trace)[0]
    (server_id,) = change.servers
    change.ended_at = change.sent_at + took_s
    # It comes while the first one goes on, and acts when the change has ended.
    again = _enter(trace, replace(stop, copy_of=stop.seq if copied else None, at=stop.sent_at + 1.0))
    server = trace.world.servers[server_id]
    server.vm_state, server.stopped_by = "stopped", again.seq
    assert {violation.invariant for violation in check(trace)} == found


def test_the_second_delivery_of_a_stop_is_not_excused_by_a_change_that_failed() -> None:
    trace = failing()
    stop, change = stop_of(trace), changes(trace)[0]
    copy = _enter(trace, replace(stop, copy_of=stop.seq, at=stop.sent_at + 1.0))
    assert not overtaken(trace, copy, change.servers[0])


@pytest.mark.parametrize(("ended", "found"), [("failed", False), ("success", True), (None, True)])
def test_the_log_may_tell_of_the_second_delivery_of_a_change_that_ended_as_it_says(
    ended: str | None, *, found: bool
) -> None:
    trace = failing_once()
    change = changes(trace)[0]
    place, record = next(
        (place, record)
        for place, record in enumerate(trace.records)
        if isinstance(record.event, AttemptEnded) and record.event.server_id == change.servers[0]
    )
    said = replace(record.event, detail="by the cloud's log the change failed: action rebuild")
    trace.records[place] = replace(record, event=said)
    copy = _enter(trace, replace(change, copy_of=change.seq, ended=ended))
    # The change itself ended later than what is said of it.
    change.ended_at = trace.born_at + trace.ended_s
    copy.ended_at = copy.ended_at if ended else None
    assert any("which is not so" in violation.evidence for violation in check(trace)) is found
