"""The pace of the rollout: never more changes than slots (I3), and nothing begun while the run does not run (I4)."""

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime

from fleetos.model.journal.events import ChangeIntended
from fleetos.model.run import Target
from fleetos.model.states import ENDS, QUEUED, Reason, RunState, TargetState
from fleetos.sim.world.ledger import LedgerEntry
from tests.simulation.checkers.exemptions import beyond_promise, held_for_lost, settle_s
from tests.simulation.checkers.steps import believed, of_run, write_of
from tests.simulation.run_trace import RunTrace, Sent, Violation
from tests.support.ledger import CHANGES


def no_more_than_slots(trace: RunTrace) -> Iterator[Violation]:
    """I3: neither the durable slots nor the changes that the cloud runs for them exceed the concurrency.

    An operator who lowers it interrupts nothing: what begins then is judged by the number in force.
    """
    allowed = max(step.run.settings.concurrency for step in believed(trace) if step.run is not None)
    for step in believed(trace):
        if isinstance(step.record.event, ChangeIntended) and step.run is not None:
            in_force = step.run.settings.concurrency
            if step.slots > in_force:
                yield Violation("I3", f"record {step.record.seq} takes slot {step.slots} of {in_force}")
    if trace.most_slots > allowed:
        yield Violation("I3", f"a process held {trace.most_slots} of {allowed} slots")
    for sent in trace.sent:
        if sent.slots > allowed:
            yield Violation("I3", f"{sent.slots} of {allowed} slots were held at {sent.at_s:.3f}")
    yield from _durable(trace, allowed)
    yield from _running(trace, allowed)


def _durable(trace: RunTrace, allowed: int) -> Iterator[Violation]:
    """Judge the records of one transaction together: they become durable all at once."""
    last, slots = None, 0
    for step in believed(trace):
        if last is not None and step.written is not last and slots > allowed:
            yield Violation("I3", f"{slots} of {allowed} slots are held after record {last.last_seq}")
        last, slots = step.written, step.slots
    if slots > allowed:
        yield Violation("I3", f"{slots} of {allowed} slots are held at the end")


def _running(trace: RunTrace, allowed: int) -> Iterator[Violation]:
    """Count, as each accepted change begins, the servers that change by the cloud's truth.

    Not those whose target has ended: an overdue one has given its slot back, and says so.
    """
    accepted: deque[tuple[Sent, LedgerEntry]] = deque()
    for sent in trace.sent:
        write = write_of(trace, sent)
        if sent.operation in CHANGES and write is not None and write.came == "accepted":
            accepted.append((sent, write))
    targets: dict[str, Target] = {}
    for step in believed(trace):
        while accepted and accepted[0][0].at_s < step.written.at_s:
            yield from _too_many(trace, *accepted.popleft(), targets, allowed)
        if step.after is not None:
            targets[step.after.server_id] = step.after
    for sent, write in accepted:
        yield from _too_many(trace, sent, write, targets, allowed)


def _too_many(
    trace: RunTrace, sent: Sent, write: LedgerEntry, targets: Mapping[str, Target], allowed: int
) -> Iterator[Violation]:
    changing = {
        one.servers[0]
        for one in trace.ledger.writes
        if one is write or (of_run(trace, one.seq) and _runs(trace, one, write.sent_at))
    }
    changing = {one for one in changing if one in targets and targets[one].state not in ENDS}
    if len(changing) > allowed:
        yield Violation("I3", f"{len(changing)} of {allowed} servers changed at {sent.at_s:.3f}")


def _runs(trace: RunTrace, change: LedgerEntry, at: float) -> bool:
    """Return whether a change runs by the cloud's truth at that time of the ledger, and its client must think so.

    Its end is that of its job: what a server shows after it is no part of it.
    """
    if change.operation not in CHANGES or change.came != "accepted" or change.at is None or change.at > at:
        return False
    job = trace.world.jobs.get(change.job_id or "")
    ends = [change.ended_at, *(task.ended_at for task in (() if job is None else job.tasks))]
    over = any(end is not None and end <= at for end in ends)
    return not over and not beyond_promise(trace, change) and not held_for_lost(trace, change, at, settle_s(trace))


def nothing_begun_out_of_turn(trace: RunTrace) -> Iterator[Violation]:
    """I4: nothing is admitted, intended or sent while the run is paused, aborted or over, and a retry goes first."""
    for step in believed(trace):
        run, record, before, after = step.run, step.record, step.before, step.after
        if run is None or run.state is RunState.RUNNING:
            continue
        if before is not None and after is not None and before.state in QUEUED and _admitted(after.state):
            yield Violation("I4", f"record {record.seq} admits {after.server_id} in a run that is {run.state}")
        if isinstance(record.event, ChangeIntended):
            yield Violation("I4", f"record {record.seq} intends a change in a run that is {run.state}")
    for sent in trace.sent:
        if sent.run_state is not RunState.RUNNING and not _puts_power_back(sent):
            told = f"the {sent.operation} of {', '.join(sent.servers[:5])}"
            yield Violation("I4", f"{told} left at {sent.at_s:.3f} in a run that was {sent.run_state}")
    yield from _before_a_retry(trace)


def _before_a_retry(trace: RunTrace) -> Iterator[Violation]:
    """Yield the servers that nobody had tried and that were admitted though a retry was due.

    Waves, windows and groups may keep a retry, and let others pass.
    """
    if trace.spec.steering is not None:
        return
    retries: dict[str, datetime] = {}
    for step in believed(trace):
        record, before, after = step.record, step.before, step.after
        if before is None or after is None:
            continue
        untried = before.state is TargetState.WAITING and not before.attempts and _admitted(after.state)
        due = [one for one, not_before in retries.items() if not_before <= record.at]
        if untried and due:
            told = f"{after.server_id} before the retry of {due[0]}, due since {retries[due[0]]}"
            yield Violation("I4", f"record {record.seq} admits {told}")
        retries.pop(after.server_id, None)
        if after.state is TargetState.BACKOFF and after.not_before is not None:
            retries[after.server_id] = after.not_before


def _admitted(to: TargetState) -> bool:
    """Return whether a target that leaves the queue for that state begins something: it has not ended."""
    # Putting power back is on the way to an end, and an aborted run does that.
    return to not in ENDS | QUEUED | {TargetState.RESTORING}


def _puts_power_back(sent: Sent) -> bool:
    """Return whether an aborted run starts servers, or stops some that it has changed and that were stopped before.

    So does one that a budget or an operator has paused, until it has come to rest.
    """
    rests = sent.run_state is RunState.PAUSED and sent.run_reason in (Reason.BUDGET, Reason.OPERATOR)
    if sent.run_state is not RunState.FINISHING and not rests:
        return False
    restores = all(target.state is TargetState.RESTORING for target in sent.targets.values())
    return sent.operation == "start" or (sent.operation == "stop" and restores)
