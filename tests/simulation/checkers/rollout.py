"""The pace of the rollout: never more changes than slots (I3), and nothing begun while the run does not run (I4)."""

from collections import deque
from collections.abc import Iterator

from fleetos.errors import IllegalMove
from fleetos.model.events import ChangeIntended
from fleetos.model.states import ENDS, HOLDS_SLOT, QUEUED, RunState, TargetState
from tests.ledger import CHANGES
from tests.simulation.checkers.past import Past, believed, groups, write_of
from tests.simulation.story import Sent, Story, Violation


def no_more_than_slots(story: Story) -> Iterator[Violation]:
    """I3: neither the durable slots nor the changes that the cloud runs for them exceed the concurrency."""
    allowed = story.run.settings.concurrency
    if story.most_slots > allowed:
        yield Violation("I3", f"a process held {story.most_slots} of {allowed} slots")
    for sent in story.sent:
        if sent.slots > allowed:
            yield Violation("I3", f"{sent.slots} of {allowed} slots were held at {sent.at_s:.3f}")
    yield from _durable(story, allowed)
    yield from _running(story, allowed)


def _durable(story: Story, allowed: int) -> Iterator[Violation]:
    """Judge the records of one transaction together: they become durable all at once."""
    past, last, slots = Past(), None, 0
    for written, _, _, _ in believed(story, past):
        if last is not None and written is not last and slots > allowed:
            yield Violation("I3", f"{slots} of {allowed} slots are held after record {last.last_seq}")
        last, slots = written, past.slots
    if slots > allowed:
        yield Violation("I3", f"{slots} of {allowed} slots are held at the end")


def _running(story: Story, allowed: int) -> Iterator[Violation]:
    """Count, as each accepted change begins, the servers that change by the cloud's truth and hold a durable slot.

    A server whose change outlives its verdict has given its slot back: it was overdue, or acted late.
    """
    accepted: deque[Sent] = deque()
    for sent in story.sent:
        write = write_of(story, sent)
        if sent.operation in CHANGES and write is not None and write.came == "accepted":
            accepted.append(sent)
    past = Past()
    try:
        for written, records in groups(story):
            while accepted and accepted[0].at_s < written.at_s:
                yield from _too_many(accepted.popleft(), past, allowed)
            for record in records:
                past.take(record)
    except IllegalMove:
        return
    for sent in accepted:
        yield from _too_many(sent, past, allowed)


def _too_many(sent: Sent, past: Past, allowed: int) -> Iterator[Violation]:
    changing = [one for one in sent.running | set(sent.servers) if past.targets[one].state in HOLDS_SLOT]
    if len(changing) > allowed:
        yield Violation("I3", f"{len(changing)} of {allowed} servers changed at {sent.at_s:.3f}")


def nothing_begun_out_of_turn(story: Story) -> Iterator[Violation]:
    """I4: nothing is admitted, intended or sent while the run is paused, aborted or over."""
    past = Past()
    for _, record, before, after in believed(story, past):
        if past.run is None or past.run.state is RunState.RUNNING:
            continue
        if before is not None and after is not None and before.state in QUEUED and _admitted(after.state):
            yield Violation("I4", f"record {record.seq} admits {after.server_id} in a run that is {past.run.state}")
        if isinstance(record.event, ChangeIntended):
            yield Violation("I4", f"record {record.seq} intends a change in a run that is {past.run.state}")
    for sent in story.sent:
        if sent.operation not in (*CHANGES, "stop") or sent.run_state is RunState.RUNNING:
            continue
        if not _puts_power_back(sent):
            told = f"the {sent.operation} of {', '.join(sent.servers[:5])}"
            yield Violation("I4", f"{told} left at {sent.at_s:.3f} in a run that was {sent.run_state}")


def _admitted(to: TargetState) -> bool:
    """Return whether a target that leaves the queue for that state begins something: it has not ended."""
    # Putting power back is on the way to an end, and an aborted run does that.
    return to not in ENDS | QUEUED | {TargetState.RESTORING}


def _puts_power_back(sent: Sent) -> bool:
    """Return whether an aborted run stops servers that it has changed, since they were stopped before."""
    restores = all(target.state is TargetState.RESTORING for target in sent.targets.values())
    return sent.operation == "stop" and sent.run_state is RunState.FINISHING and restores
