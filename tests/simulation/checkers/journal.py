"""The journal and who writes it: a replay equals what is stored (I6), and one process drives at a time (I11)."""

from collections.abc import Iterator
from math import inf

from fleetos.errors import IllegalMove
from fleetos.model.progress import replay
from tests.simulation.run_trace import RunTrace, Violation

# The number under which the operator's own writes (a retry) are noted.
_OPERATOR = 0


def replay_equals_stored(trace: RunTrace) -> Iterator[Violation]:
    """I6: the records are numbered without gaps, every move is legal, and a replay is the stored run."""
    for place, record in enumerate(trace.records, 1):
        if record.seq != place:
            yield Violation("I6", f"the record at place {place} has number {record.seq}")
            break
    yield from (Violation("I6", told) for told in trace.torn)
    try:
        progress = replay((record.at, record.event) for record in trace.records)
    except (IllegalMove, ValueError) as error:
        yield Violation("I6", f"the journal cannot be replayed: {error}")
        return
    if progress.run != trace.run:
        yield Violation("I6", f"a replay says {progress.run}, stored is {trace.run}")
    for server_id in progress.targets.keys() | trace.targets.keys():
        told, stored = progress.targets.get(server_id), trace.targets.get(server_id)
        if told != stored:
            yield Violation("I6", f"a replay says {told}, stored is {stored}")


def one_driver(trace: RunTrace) -> Iterator[Violation]:
    """I11: nothing is written under an older lease than the newest that has written, and nothing is sent under one.

    Nor is anything sent to a server that another run has claimed since this one gave it up.
    """
    newest, writer = 0, _OPERATOR
    for written in trace.written:
        # A command takes a lease of its own for all that it writes, newer than every lease that has written; its number
        # is not noted.
        epoch = newest + (writer != _OPERATOR) if written.process == _OPERATOR else written.epoch
        writer = written.process
        if epoch < newest:
            what = f"records up to {written.last_seq} were written by process {written.process} at {written.at_s:.3f}"
            yield Violation("I11", f"{what} under epoch {epoch}, after epoch {newest} had written")
        newest = max(newest, epoch)
    for sent in trace.sent:
        if others := [one for one in sent.servers if sent.at_s > trace.taken.get(one, inf)]:
            yield Violation("I11", f"the {sent.operation} at {sent.at_s:.3f} names {others}, which another run holds")
        if sent.epoch != sent.epoch_now:
            what = f"the {sent.operation} of {', '.join(sent.servers[:5])} left process {sent.process}"
            yield Violation("I11", f"{what} at {sent.at_s:.3f} under epoch {sent.epoch}, when {sent.epoch_now} drove")
