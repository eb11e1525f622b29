"""What was sent, and when: changes one after the other (I1), each write by an intent of its own (I5), and no stop or
start while a server's OS changes (I9).
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from fleetos.model.journal.events import ChangeIntended, PowerIntended, Retried
from fleetos.model.run import PowerCall, PowerOutcome
from fleetos.model.states import TargetState
from fleetos.sim.world.ledger import LedgerEntry
from tests.simulation.checkers.exemptions import DAY_S, beyond_promise, held_for_lost, left_no_trace, settle_s
from tests.simulation.checkers.steps import at, groups, write_of
from tests.simulation.run_trace import RunTrace, Sent, Violation
from tests.support.ledger import CHANGES, POWER

# Server, number of the attempt, and time of the intent. A recall forgets an attempt of which the cloud took nothing:
# then another one has its number.
_Intent = tuple[str, int, datetime]


def one_change_at_a_time(trace: RunTrace) -> Iterator[Violation]:
    """I1: at most one accepted changeos per attempt, and none sent while an earlier one runs or is on its way.

    A retry of the operator is another attempt, also where it goes on with one whose outcome nobody could tell. And no
    server has more of them than the plan allows, whatever numbers they bear.
    """
    accepted: dict[tuple[str, int, int], list[LedgerEntry]] = defaultdict(list)
    tried: dict[str, list[LedgerEntry]] = defaultdict(list)
    retried = list(_retries(trace))
    for sent in trace.sent:
        write = write_of(trace, sent)
        if sent.operation not in CHANGES or write is None:
            continue
        for earlier in _under_way(trace, write, settle_s(trace)):
            yield Violation("I1", f"{_told(trace, write)} was sent while {_told(trace, earlier)} was under way")
        target = sent.targets.get(write.servers[0])
        if write.came != "accepted" or target is None or left_no_trace(trace, write):
            continue
        tried[target.server_id].append(write)
        if target.attempts:
            passes = sum(at_s <= sent.at_s and whose == target.server_id for at_s, whose in retried)
            accepted[target.server_id, target.attempts[-1].number, passes].append(write)
    for (_, number, _), found in accepted.items():
        # A send that arrives when the engine had every right to repeat it is stopped by the fence alone.
        for first, second in pairwise(write for write in found if not beyond_promise(trace, write)):
            yield Violation("I1", f"attempt {number} was accepted twice: {_told(trace, first)}, {_told(trace, second)}")
    for server_id, found in tried.items():
        allowed = trace.spec.failure.attempts + sum(whose == server_id for _, whose in retried)
        counted = [write for write in found if not beyond_promise(trace, write)]
        if len(counted) > allowed:
            yield Violation(
                "I1", f"{len(counted)} of {allowed} attempts were accepted, the last: {_told(trace, counted[-1])}"
            )


def _retries(trace: RunTrace) -> Iterator[tuple[float, str]]:
    """Yield when each retry was durable, and whose it was."""
    for written, records in groups(trace):
        yield from ((written.at_s, one.event.server_id) for one in records if isinstance(one.event, Retried))


def one_intent_each(trace: RunTrace) -> Iterator[Violation]:
    """I5: each write on the wire has a durable intent before it, written by its own process, and of its own."""
    intents = _intents(trace)
    used: dict[_Intent | str, Sent] = {}
    for sent in trace.sent:
        intent = _change_intent(sent) if sent.operation in CHANGES else _call_intent(sent)
        if intent is None:
            yield Violation("I5", f"{_named(sent)} left without a durable intent for every server that it names")
            continue
        by, since_s = intents.get(intent, (None, 0.0))
        if by != sent.process or since_s > sent.at_s:
            yield Violation("I5", f"{_named(sent)} left by the intent {intent} of process {by} at {since_s:.3f}")
        if intent in used:
            yield Violation("I5", f"{_named(sent)} and {_named(used[intent])} left by one intent, {intent}")
        used[intent] = sent


def nothing_beside_a_change(trace: RunTrace) -> Iterator[Violation]:
    """I9: no stop, start or reboot is sent to a server on which a client's change runs or is on its way."""
    for sent in trace.sent:
        write = write_of(trace, sent)
        if sent.operation not in POWER or write is None:
            continue
        # A late request must meet a running server: fleetos takes none down as long as one may be on its way.
        for change in _under_way(trace, write, DAY_S if write.operation == "stop" else settle_s(trace)):
            yield Violation("I9", f"{_told(trace, write)} was sent while {_told(trace, change)} was under way")


def _under_way(trace: RunTrace, write: LedgerEntry, within_s: float) -> Iterator[LedgerEntry]:
    """Yield the clients' changes that were running or on their way when this write was sent, `within_s` after them.

    Not copies that the gateway made: nobody who was told of the first delivery can know of the second. And not those
    sent longer before, which may be held for lost (for another change, the settle is what is promised), unless they are
    known to go on.
    """
    for seq in write.sent_during:
        other = trace.ledger.write(seq)
        if other.actor != "client" or other.copy_of is not None:
            continue
        if not held_for_lost(trace, other, write.sent_at, within_s):
            yield other


def _intents(trace: RunTrace) -> dict[_Intent | str, tuple[int, float]]:
    """Return who made each intent durable, and when. The intent of a stop or start is its call."""
    found: dict[_Intent | str, tuple[int, float]] = {}
    for written, records in groups(trace):
        for record in records:
            match record.event:
                case ChangeIntended(server_id=server_id, attempt=number):
                    found[server_id, number, record.at] = written.process, written.at_s
                case PowerIntended(call_id=call_id):
                    found[call_id] = written.process, written.at_s
                case _:
                    pass
    return found


def _change_intent(sent: Sent) -> _Intent | None:
    target = sent.targets.get(sent.servers[0])
    if target is None or target.attempt is None or target.state is not TargetState.SUBMITTING:
        return None
    return target.server_id, target.attempt.number, target.attempt.sent_at


def _call_intent(sent: Sent) -> str | None:
    """Return the id of the one call that is pending for every server that the write names."""
    calls = [_pending(sent, server_id) for server_id in sent.servers]
    ids = {call.id for call in calls if call is not None}
    return ids.pop() if len(ids) == 1 and None not in calls else None


def _pending(sent: Sent, server_id: str) -> PowerCall | None:
    target = sent.targets.get(server_id)
    calls = () if target is None else target.calls
    return next((call for call in calls if call.outcome is PowerOutcome.PENDING and call.verb == sent.operation), None)


def _named(sent: Sent) -> str:
    servers = ", ".join(sent.servers[:5])
    return f"the {sent.operation} of {servers} by process {sent.process} at {sent.at_s:.3f}"


def _told(trace: RunTrace, write: LedgerEntry) -> str:
    servers = ", ".join(write.servers[:5])
    times = f"sent {at(trace, write.sent_at)}, arrived {at(trace, write.at)}, ended {at(trace, write.ended_at)}"
    return f"write {write.seq} ({write.operation} of {servers}, {write.came}, {times})"
