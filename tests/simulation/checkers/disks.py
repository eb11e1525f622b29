"""I2: a disk made by a successful change of ours is never destroyed by another of ours, and every intent keeps the
disk rule. Judged by the disks that the cloud made and destroyed.
"""

from collections import defaultdict
from collections.abc import Iterator

from fleetos.model.journal.events import AttemptEnded, ChangeIntended, Enlisted, Record, Retried
from fleetos.model.run import Outcome
from fleetos.sim.world.servers import SimDisk
from tests.simulation.checkers.exemptions import beyond_promise, named_by_operator
from tests.simulation.checkers.steps import at, groups, of_client, write_of
from tests.simulation.run_trace import RunTrace, Violation
from tests.support.ledger import CHANGES

_PROVEN_FAILED = frozenset({Outcome.FAILED, Outcome.NO_EFFECT})
# A change is sent by a look that is younger than a minute, and by an intent that is younger than five seconds; what a
# cloud shows may be older than its answer by half a minute.
_FRESH_S, _INTENT_S, _STALE_S = 60.0, 5.0, 30.0
# The look by which a change is sent shows a time no longer ago than this; the rest is for the intent to be committed.
_LOOK_MAX_AGE_S = _FRESH_S + _STALE_S + 2 * _INTENT_S


def no_disk_of_ours_destroyed(trace: RunTrace) -> Iterator[Violation]:
    """I2: as the ledger, the wire and the journal each tell it."""
    yield from _destroyed(trace)
    yield from _sent_at(trace)
    yield from _sent_blindly(trace)
    yield from _disk_rule(trace)


def _destroyed(trace: RunTrace) -> Iterator[Violation]:
    for disk in trace.ledger.disks:
        if not _made_by_success(trace, disk) or not of_client(trace, disk.destroyed_by) or disk.destroyed_by is None:
            continue
        if disk.destroyed_at is not None and disk.destroyed_at < trace.began_at:
            # That is for whoever judges the run before.
            continue
        # A write that came a settle late, or twice, meets the fence and nothing else.
        destroyer = trace.ledger.write(disk.destroyed_by)
        named = named_by_operator(trace, disk, destroyer.sent_at - trace.born_at)
        if not named and not beyond_promise(trace, destroyer):
            yield Violation("I2", f"{_told(trace, disk)} was destroyed by write {disk.destroyed_by}")


def _sent_at(trace: RunTrace) -> Iterator[Violation]:
    """Yield the changes that left for a server whose system disk was a success of ours, whatever came of them."""
    disks = {disk.id: disk for disk in trace.ledger.disks}
    for sent in trace.sent:
        disk = disks.get(sent.disks.get(sent.servers[0]) or "")
        if sent.operation not in CHANGES or disk is None or disk.made_by is None:
            continue
        made_by = trace.ledger.write(disk.made_by)
        made_before = made_by.ended_at is not None and made_by.ended_at - trace.born_at <= sent.at_s
        if not made_before or not _made_by_success(trace, disk) or beyond_promise(trace, made_by):
            # A success that came a settle late, or by a copy, may have ended between the last look and the send.
            continue
        if not named_by_operator(trace, disk, sent.at_s):
            seq = write.seq if (write := write_of(trace, sent)) is not None else None
            yield Violation("I2", f"write {seq} was sent at {sent.at_s:.3f} to wipe {_told(trace, disk)}")


def _sent_blindly(trace: RunTrace) -> Iterator[Violation]:
    """Yield the changes that left for a server with a disk that may not be wiped, and that each fresh look had shown:
    whosever it was, it had been there for longer than the look before a send may be old.
    """
    disks = {disk.id: disk for disk in trace.ledger.disks}
    allowed: list[tuple[float, str, str | None]] = []
    for written, records in groups(trace):
        allowed += [(written.at_s, *one) for record in records if (one := _may_be_wiped(trace, record)) is not None]
    for sent in trace.sent:
        server_id = sent.servers[0]
        disk = disks.get(sent.disks.get(server_id) or "")
        if sent.operation not in CHANGES or disk is None:
            continue
        there_s = sent.at_s - (disk.made_at - trace.born_at)
        if there_s > _LOOK_MAX_AGE_S and not any(
            at_s <= sent.at_s and (server_id, disk.id) == (whose, which) for at_s, whose, which in allowed
        ):
            told = f"disk {disk.id} of {server_id}, there for {there_s:.0f} s and not to be wiped"
            yield Violation("I2", f"a change was sent at {sent.at_s:.3f} to {told}")


def _disk_rule(trace: RunTrace) -> Iterator[Violation]:
    """Yield the intents whose disk is not one that may be wiped, by the words of the journal and not by its fold."""
    allowed: dict[str, set[str | None]] = defaultdict(set)
    for record in trace.records:
        if (one := _may_be_wiped(trace, record)) is not None:
            server_id, disk = one
            allowed[server_id].add(disk)
        elif isinstance(event := record.event, ChangeIntended):
            disk = event.before.disk
            if disk is None or disk not in allowed[event.server_id]:
                yield Violation("I2", f"record {record.seq} intends to wipe disk {disk} of {event.server_id}")


def _may_be_wiped(trace: RunTrace, record: Record) -> tuple[str, str | None] | None:
    """Return the server, and the disk of it that may be wiped from this record on; None if the record allows none.

    A failed attempt allows for what it left, and that is never the disk of somebody else.
    """
    match record.event:
        case Enlisted(target=target):
            return target.server_id, target.disk
        case AttemptEnded(server_id=server_id, outcome=outcome, disk=disk) if outcome in _PROVEN_FAILED:
            return None if _foreign(trace, disk) else (server_id, disk)
        case Retried(server_id=server_id, disk=disk):
            return server_id, disk
        case _:
            return None


def _foreign(trace: RunTrace, disk_id: str | None) -> bool:
    disk = next((one for one in trace.ledger.disks if one.id == disk_id), None)
    return disk is not None and disk.made_by is not None and not of_client(trace, disk.made_by)


def _made_by_success(trace: RunTrace, disk: SimDisk) -> bool:
    return disk.successful is True and of_client(trace, disk.made_by)


def _told(trace: RunTrace, disk: SimDisk) -> str:
    return f"disk {disk.id} of {disk.server_id}, made by write {disk.made_by} at {at(trace, disk.made_at)},"
