"""What all checkers look up: whose a write was, and how far the run was at each moment."""

from collections.abc import Iterator
from dataclasses import replace

from fleetos.errors import IllegalMove
from fleetos.model.journal.events import Record, RunDriverStarted, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.run import Run, Target
from fleetos.model.states import ENDS, HOLDS_SLOT, QUEUED, TargetState
from fleetos.sim.world.ledger import LedgerEntry
from tests.simulation.run_trace import RunTrace, Sent, Step, StepList, Written
from tests.support.ledger import CHANGES


def write_of(trace: RunTrace, sent: Sent) -> LedgerEntry | None:
    """Return the entry of a sent write in the ledger, None if it never arrived. Copies are entries of their own."""
    for seq in sent.seqs:
        if seq <= len(trace.ledger.writes):
            write = trace.ledger.write(seq)
            if write.operation == sent.operation and tuple(write.servers) == sent.servers and write.copy_of is None:
                return write
    return None


def of_client(trace: RunTrace, seq: int | None) -> bool:
    """Return whether that write was a client's, be it the client's own or a copy that the gateway made."""
    return seq is not None and trace.ledger.write(seq).actor == "client"


def of_run(trace: RunTrace, seq: int | None) -> bool:
    """Return whether that write was a client's, sent since this run began: not one of an earlier run."""
    return of_client(trace, seq) and seq is not None and trace.ledger.write(seq).sent_at >= trace.began_at


def changes_of(trace: RunTrace, server_id: str) -> list[LedgerEntry]:
    """Return this run's changes of a server that the cloud accepted, be it by a copy that the gateway made."""
    return [
        write
        for write in trace.ledger.writes
        if write.operation in CHANGES
        and write.came == "accepted"
        and of_run(trace, write.seq)
        and write.servers[0] == server_id
    ]


def at(trace: RunTrace, seconds: float | None) -> str:
    """Return a time of the ledger in seconds of the play, for evidence."""
    return "never" if seconds is None else f"{seconds - trace.born_at:.3f}"


# The records of the freeze are durable before anybody drives the run.
FREEZE = Written(at_s=0.0, process=0, epoch=0, last_seq=0)


def groups(trace: RunTrace) -> Iterator[tuple[Written, list[Record]]]:
    """Yield the records as they became durable, those of one transaction together; first those of the freeze."""
    begin = _frozen(trace)
    yield replace(FREEZE, at_s=trace.began_s), trace.records[:begin]
    for written in trace.written:
        yield written, trace.records[begin : written.last_seq]
        begin = written.last_seq


def _frozen(trace: RunTrace) -> int:
    """Return how many records the freeze wrote: those before the first driver."""
    for index, record in enumerate(trace.records):
        if isinstance(record.event, RunDriverStarted):
            return index
    return len(trace.records)


def believed(trace: RunTrace) -> list[Step]:
    """Return the steps of the trace. Most judges ask for them, so they are folded once, until its records change."""
    past = trace.past
    if past is None or past.records != trace.records or past.written != trace.written:
        past = trace.past = StepList(list(trace.records), list(trace.written), list(_steps(trace)))
    return past.steps


def _steps(trace: RunTrace) -> Iterator[Step]:
    run: Run | None = None
    targets: dict[str, Target] = {}
    slots = 0
    for written, records in groups(trace):
        for record in records:
            event, earlier, before, after = record.event, run, None, None
            try:
                if isinstance(event, RunEvent):
                    run = fold_run(run, event, record.at)
                else:
                    before = targets.get(event.server_id)
                    after = targets[event.server_id] = fold_target(before, event, record.at)
                    slots += (after.state in HOLDS_SLOT) - (before is not None and before.state in HOLDS_SLOT)
            except IllegalMove:
                return
            yield Step(written, record, earlier, before, after, slots)


def admits(step: Step) -> bool:
    """Return whether a target leaves the queue to be changed, not to end."""
    before, after = step.before, step.after
    if before is None or after is None or before.state not in QUEUED:
        return False
    return after.state not in ENDS | QUEUED | {TargetState.RESTORING}
