"""I2: a disk made by a successful change of ours is never destroyed by another of ours, and every intent keeps the
disk rule. Judged by the disks that the cloud made and destroyed.
"""

from collections import defaultdict
from collections.abc import Iterator

from fleetos.model.events import AttemptEnded, ChangeIntended, Enlisted, Retried
from fleetos.model.run import Outcome
from fleetos.sim.servers import Disk
from tests.ledger import CHANGES
from tests.simulation.checkers.past import at, beyond_promise, named_by_retry, of_client, write_of
from tests.simulation.story import Story, Violation

_PROVEN_FAILED = frozenset({Outcome.FAILED, Outcome.NO_EFFECT})


def no_disk_of_ours_destroyed(story: Story) -> Iterator[Violation]:
    """I2: as the ledger, the wire and the journal each tell it."""
    yield from _destroyed(story)
    yield from _sent_at(story)
    yield from _disk_rule(story)


def _destroyed(story: Story) -> Iterator[Violation]:
    for disk in story.ledger.disks:
        if not _made_by_success(story, disk) or not of_client(story, disk.destroyed_by) or disk.destroyed_by is None:
            continue
        # A write that came a settle late, or twice, meets the fence and nothing else.
        if not named_by_retry(story, disk) and not beyond_promise(story, story.ledger.write(disk.destroyed_by)):
            yield Violation("I2", f"{_told(story, disk)} was destroyed by write {disk.destroyed_by}")


def _sent_at(story: Story) -> Iterator[Violation]:
    """Yield the changes that left for a server whose system disk was a success of ours, whatever came of them."""
    disks = {disk.id: disk for disk in story.ledger.disks}
    for sent in story.sent:
        disk = disks.get(sent.disks.get(sent.servers[0]) or "")
        if sent.operation not in CHANGES or disk is None or disk.made_by is None:
            continue
        made_by = story.ledger.write(disk.made_by)
        made_before = made_by.ended_at is not None and made_by.ended_at - story.born_at <= sent.at_s
        if not made_before or not _made_by_success(story, disk) or beyond_promise(story, made_by):
            # A success that came a settle late, or by a copy, may have ended between the last look and the send.
            continue
        if not named_by_retry(story, disk):
            seq = write.seq if (write := write_of(story, sent)) is not None else None
            yield Violation("I2", f"write {seq} was sent at {sent.at_s:.3f} to wipe {_told(story, disk)}")


def _disk_rule(story: Story) -> Iterator[Violation]:
    """Yield the intents whose disk is not one that may be wiped, by the words of the journal and not by its fold."""
    allowed: dict[str, set[str | None]] = defaultdict(set)
    for record in story.records:
        match record.event:
            case Enlisted(target=target):
                allowed[target.server_id].add(target.disk)
            case AttemptEnded(server_id=server_id, outcome=outcome, disk=disk) if outcome in _PROVEN_FAILED:
                allowed[server_id].add(disk)
            case Retried(server_id=server_id, disk=disk):
                allowed[server_id].add(disk)
            case ChangeIntended(server_id=server_id, before=before):
                if before.disk is None or before.disk not in allowed[server_id]:
                    yield Violation("I2", f"record {record.seq} intends to wipe disk {before.disk} of {server_id}")
            case _:
                pass


def _made_by_success(story: Story, disk: Disk) -> bool:
    return disk.successful is True and of_client(story, disk.made_by)


def _told(story: Story, disk: Disk) -> str:
    return f"disk {disk.id} of {disk.server_id}, made by write {disk.made_by} at {at(story, disk.made_at)},"
