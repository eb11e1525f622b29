"""I13: each request says what was frozen for its own server, and goes to no other server and no other end.

Judged by what came to the cloud, word by word, and by what each server was to get before anything was frozen.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields

from fleetos.limits import MAX_RESENDS
from fleetos.model.journal.events import ChangeAnswered, ChangeIntended, PowerIntended, Retried
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.run import Outcome, Target
from fleetos.model.states import TargetState
from fleetos.sim.world.ledger import LedgerEntry, WriteContent
from tests.simulation.checkers.steps import groups, of_run, write_of
from tests.simulation.run_trace import RunTrace, Sent, Violation
from tests.support.ledger import CHANGES

# Of secrets and of what may hold one, only digests are compared; they need not be told to anybody either.
_SECRET = frozenset({"adminpass", "user_data"})
# What comes of a change that the cloud has taken, whether or not it was told so.
_TAKEN = frozenset({Outcome.FAILED, Outcome.NO_EFFECT})


def as_ordered(trace: RunTrace) -> Iterator[Violation]:
    """I13: as the ledger, and then the wire, tells it."""
    for write in trace.ledger.writes:
        if not of_run(trace, write.seq):
            continue
        if strangers := [one for one in write.servers if one not in trace.targets]:
            yield Violation("I13", f"{_named(write)} goes to {', '.join(strangers[:5])}, which the run does not have")
        elif write.operation in CHANGES:
            yield from _wrong_change(trace, write)
        elif write.operation == "stop":
            yield from _wrong_stop(trace, write)
    yield from _sent_too_often(trace)
    yield from _needless_power(trace)


def _wrong_change(trace: RunTrace, write: LedgerEntry) -> Iterator[Violation]:
    wanted, said = trace.wanted[write.servers[0]], write.content
    if said is None:
        yield Violation("I13", f"{_named(write)} said nothing that could be read")
    elif said != wanted:
        yield Violation("I13", f"{_named(write)} differs from what was frozen: {'; '.join(_differences(wanted, said))}")


def _differences(wanted: WriteContent, said: WriteContent) -> Iterator[str]:
    for name in (one.name for one in fields(WriteContent)):
        was, is_now = getattr(wanted, name), getattr(said, name)
        if was != is_now:
            yield f"{name} is another one" if name in _SECRET else f"{name} is {is_now}, not {was}"


def _wrong_stop(trace: RunTrace, write: LedgerEntry) -> Iterator[Violation]:
    """Yield a stop that is harder, or softer, than the plan says."""
    mode = trace.spec.rollout.stop
    if (write.hard and mode in (StopMode.SOFT, StopMode.API)) or (not write.hard and mode is StopMode.HARD):
        yield Violation("I13", f"{_named(write)} is {'hard' if write.hard else 'soft'}, and the plan says {mode}")


def _sent_too_often(trace: RunTrace) -> Iterator[Violation]:
    """Yield the attempts that were sent more often than an outcome may be unknown.

    Refusals do not count, and neither does what never left: the sender was told so, and nothing came to the cloud.
    """
    events = [(written.at_s, record.event) for written, records in groups(trace) for record in records]
    retried = [(at_s, event.server_id) for at_s, event in events if isinstance(event, Retried)]
    answers = [(at_s, event) for at_s, event in events if isinstance(event, ChangeAnswered)]
    sends: Counter[tuple[str, int, int]] = Counter()
    for sent in trace.sent:
        write, server_id = write_of(trace, sent), sent.servers[0]
        target = sent.targets.get(server_id)
        if sent.operation not in CHANGES or write is None or write.came == "refused" or target is None:
            continue
        answer = next((one for at_s, one in answers if one.server_id == server_id and at_s >= sent.at_s), None)
        if write.came == "dropped" and answer is not None and answer.answer == "not-sent":
            continue
        passes = sum(at_s <= sent.at_s and whose == server_id for at_s, whose in retried)
        sends[server_id, len(target.attempts), passes] += 1
    for (server_id, number, _), times in sends.items():
        if times > 1 + MAX_RESENDS:
            yield Violation("I13", f"attempt {number} of {server_id} was sent {times} times")


def _needless_power(trace: RunTrace) -> Iterator[Violation]:
    """Yield the starts of servers that nobody of ours has taken down, and the stops after an end that asks for none.

    A stop or change that was intended may have been sent: of a process that died then nobody knows.
    """
    intended = [
        (written.at_s, written.process, record.event.server_id)
        for written, records in groups(trace)
        for record in records
        if isinstance(record.event, ChangeIntended)
        or (isinstance(record.event, PowerIntended) and record.event.verb == "stop")
    ]
    taken_down: set[str] = set()
    for sent in trace.sent:
        taken_down.update(
            server_id for at_s, process, server_id in intended if at_s <= sent.at_s and process != sent.process
        )
        if sent.operation in CHANGES or sent.operation == "stop":
            taken_down.update(sent.servers)
        elif untouched := [one for one in sent.servers if one not in taken_down]:
            yield Violation("I13", f"{_left(sent)} of {', '.join(untouched[:5])}, which this run has not taken down")
        elif touched := [one.server_id for one in sent.targets.values() if _is_put_back_after_change(one)]:
            yield Violation(
                "I13", f"{_left(sent)} of {', '.join(touched[:5])}, whose change was accepted, as if none was"
            )
        if sent.operation == "stop":
            yield from _needless_stop(trace, sent)


def _is_put_back_after_change(target: Target) -> bool:
    """Return whether it is to be as it was before its change, though the cloud has taken one."""
    taken = any(one.accepted or one.outcome in _TAKEN for one in target.attempts)
    return target.state is TargetState.RESTORING and taken


def _needless_stop(trace: RunTrace, sent: Sent) -> Iterator[Violation]:
    as_before = trace.spec.rollout.power_after is PowerAfter.AS_BEFORE
    for target in sent.targets.values():
        again = target.state is TargetState.RESTORING
        if again and not (as_before and target.baseline.stopped):
            yield Violation("I13", f"{_left(sent)} of {target.server_id}, which ran before and is done")
        if not again and trace.spec.rollout.stop is StopMode.API:
            yield Violation("I13", f"{_left(sent)} of {target.server_id}, which its change was to stop by itself")


def _named(write: LedgerEntry) -> str:
    return f"write {write.seq} ({write.operation} of {', '.join(write.servers[:5])}, {write.came})"


def _left(sent: Sent) -> str:
    return f"process {sent.process} sent at {sent.at_s:.3f} a {sent.operation}"
