"""I14: every verdict rests on the looks that the protocol asks for (what was not looked at is not known).

Judged by what each process asked the cloud for, and when; what it made of the answers is its own matter. A look at a
list is one at every server; it proves nothing where only single reads do.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from fleetos.limits import EVIDENCE_MAX_GAP_S
from fleetos.model.journal.events import AttemptEnded, ChangeIntended, JobEnded, NotDelivered, Retried
from fleetos.model.run import Outcome, Target
from fleetos.model.states import TargetState
from tests.simulation.checkers.exemptions import QUIET_S, fast_clock, settle_s
from tests.simulation.checkers.steps import believed, write_of
from tests.simulation.run_trace import Asked, RunTrace, Step, Violation
from tests.support.ledger import CHANGES

_LOOKED = (200, 404)
# What is asked for together is answered together, and a moment passes between an answer and its record.
_SLACK_S = 1.0
# A longer gap breaks also a series that has gone on for as long as is needed.
_SELDOM_GAP_S = 600.0
# For so long at most a look may be old when a change is sent.
_LOOK_MAX_AGE_S = 100.0
_FROM_DOUBT = frozenset(
    {TargetState.READY, TargetState.CHECKING, TargetState.BACKOFF, TargetState.RESTORING, TargetState.CANCELLED}
)


def nothing_without_evidence(trace: RunTrace) -> Iterator[Violation]:
    """I14: for unknown outcomes, jobs that have ended, stops, waits and locks."""
    looks = _Looks(trace)
    entered: dict[str, float] = {}
    ended: dict[str, tuple[int, float]] = {}
    not_before: dict[str, tuple[int, datetime]] = {}
    for step in believed(trace):
        event, before, after = step.record.event, step.before, step.after
        if before is None or after is None:
            continue
        server_id, process = after.server_id, step.written.process
        if before.state is TargetState.INSPECTING and after.state in _FROM_DOUBT and not _is_held(after):
            yield from _out_of_doubt(trace, looks, step, before, after)
        if isinstance(event, AttemptEnded) and server_id in ended and ended[server_id][0] == process:
            yield from _ended(trace, looks, step, event, ended[server_id][1])
        if (before.state, after.state) == (TargetState.STOPPING, TargetState.READY):
            yield from _stopped(trace, looks, step, after, entered.get(server_id, 0.0))
        if isinstance(event, ChangeIntended) and server_id in not_before:
            yield from _waited(trace, step, process, *not_before.pop(server_id))
        if isinstance(event, JobEnded):
            ended[server_id] = process, step.written.at_s
        elif isinstance(event, AttemptEnded):
            ended.pop(server_id, None)
        if after.state in (TargetState.READY, TargetState.BACKOFF) and after.not_before is not None:
            not_before[server_id] = process, after.not_before
        elif isinstance(event, Retried):
            not_before.pop(server_id, None)
        if before.state is not after.state:
            entered[server_id] = step.written.at_s
    yield from _locked(trace)


def _is_held(after: Target) -> bool:
    """Return whether it ends as held once its power is back: that nothing is known of it is what it says then."""
    return after.then is not None and after.then.state is TargetState.HELD


class _Looks:
    """The reads that told something: those of one server, and those of a list."""

    def __init__(self, trace: RunTrace) -> None:
        self._single: dict[tuple[int, str], list[Asked]] = defaultdict(list)
        self._lists: dict[int, list[Asked]] = defaultdict(list)
        self.logs: dict[tuple[int, str], list[Asked]] = defaultdict(list)
        for one in trace.asked:
            if one.answered_s is None:
                continue
            if one.operation == "detail" and one.status in _LOOKED and one.about is not None:
                self._single[one.process, one.about].append(one)
            elif one.operation == "list" and one.status in _LOOKED:
                self._lists[one.process].append(one)
            elif one.operation == "actions" and one.about is not None:
                self.logs[one.process, one.about].append(one)

    def of(self, process: int, server_id: str, since_s: float, until_s: float, *, single: bool) -> list[Asked]:
        """Return the reads that left and were answered in that time, by their answers."""
        found = [*self._single[process, server_id], *(() if single else self._lists[process])]
        there = [one for one in found if one.at_s >= since_s and (one.answered_s or 0.0) <= until_s]
        return sorted(there, key=lambda one: one.answered_s or 0.0)


def series_s(looks: Sequence[Asked], settled_s: float) -> tuple[float, float]:
    """Return how long the last looks without a gap go on, and when that series began.

    Once they have gone on for a settle they may come seldom: what is waited for then is the cloud's log, a deadline,
    or a polling interval that is longer than a settle.
    """
    if not looks:
        return 0.0, 0.0
    began_s = last_s = looks[0].answered_s or 0.0
    lasted_s = 0.0
    for one in looks:
        gap_max_s = EVIDENCE_MAX_GAP_S if lasted_s < settled_s - _SLACK_S else _SELDOM_GAP_S
        if one.at_s - last_s > gap_max_s + _SLACK_S:
            began_s = one.answered_s or 0.0
        last_s = one.answered_s or 0.0
        lasted_s = max(0.0, one.at_s - began_s)
    return lasted_s, began_s


def _out_of_doubt(trace: RunTrace, looks: _Looks, step: Step, before: Target, after: Target) -> Iterator[Violation]:
    process, at_s, server_id = step.written.process, step.written.at_s, after.server_id
    unknown = (
        before.attempt is not None
        or before.unanswered
        or any(one.outcome is Outcome.UNKNOWN for one in before.attempts)
    )
    since_s = max(
        (one.at_s for one in trace.sent if _sends(one.operation, one.servers, server_id, one.at_s, at_s)), default=0.0
    )
    needed_s = settle_s(trace) if unknown else trace.spec.polling.max_s / fast_clock(trace)
    lasted_s, began_s = series_s(looks.of(process, server_id, since_s, at_s, single=True), settle_s(trace))
    if lasted_s < needed_s - _SLACK_S:
        told = f"{server_id} was looked at for {lasted_s:.0f} s without a gap, and needed {needed_s:.0f}"
        yield Violation("I14", f"record {step.record.seq} ends a doubt: {told}")
    if isinstance(step.record.event, NotDelivered) and trace.spec.scenario.logs:
        logs = [one for one in looks.logs[process, server_id] if began_s <= one.at_s <= at_s]
        if not logs:
            yield Violation("I14", f"record {step.record.seq}: the logs of {server_id} were not asked")


def _sends(operation: str, servers: Sequence[str], server_id: str, at_s: float, until_s: float) -> bool:
    return operation in CHANGES and server_id in servers and at_s <= until_s


def _ended(trace: RunTrace, looks: _Looks, step: Step, event: AttemptEnded, since_s: float) -> Iterator[Violation]:
    if event.outcome not in (Outcome.FAILED, Outcome.NO_EFFECT) or not event.disk:
        return
    # A look that left together with the question for the job was answered before that answer was recorded.
    asked_s = since_s - _SLACK_S
    seen = looks.of(step.written.process, event.server_id, asked_s, step.written.at_s, single=False)
    lasted_s = seen[-1].at_s - (seen[0].answered_s or 0.0) if seen else 0.0
    needed_s = settle_s(trace) if event.outcome is Outcome.NO_EFFECT else trace.spec.polling.max_s / fast_clock(trace)
    if lasted_s < needed_s - _SLACK_S:
        told = f"looks over {lasted_s:.0f} s, where {needed_s:.0f} are needed"
        yield Violation("I14", f"record {step.record.seq} ends an attempt of {event.server_id} by {told}")


def _stopped(trace: RunTrace, looks: _Looks, step: Step, after: Target, since_s: float) -> Iterator[Violation]:
    """Yield a stop that counts as over by less than its job, or two looks half a minute apart."""
    at_s, server_id = step.written.at_s, after.server_id
    stops = [
        one
        for one in trace.sent
        if one.operation == "stop" and server_id in one.servers and since_s <= one.at_s <= at_s
    ]
    if not stops:
        return
    quiet_s = min(QUIET_S, settle_s(trace)) if trace.spec.loopback else QUIET_S / fast_clock(trace)
    seen = looks.of(step.written.process, server_id, stops[-1].at_s, at_s, single=False)
    if seen and seen[-1].at_s - (seen[0].answered_s or 0.0) >= quiet_s - _SLACK_S:
        return
    for stop in stops:
        write = write_of(trace, stop)
        if write is not None and write.came == "refused":
            continue
        told = write is not None and any(one.about == write.job_id and one.status == 200 for one in trace.asked)
        if not told:
            yield Violation("I14", f"record {step.record.seq}: the stop of {server_id} at {stop.at_s:.3f} may go on")


def _waited(trace: RunTrace, step: Step, process: int, by: int, until: datetime) -> Iterator[Violation]:
    if step.record.at < until and process == by and not trace.spec.clocks.jumps:
        yield Violation("I14", f"record {step.record.seq} does not wait until {until}")


def _locked(trace: RunTrace) -> Iterator[Violation]:
    """Yield the changes that left for a server which each fresh look showed as locked."""
    at_first = {
        group.name_of(index) for group in trace.spec.scenario.servers if group.locked for index in range(group.count)
    }
    for sent in trace.sent:
        if sent.operation not in CHANGES:
            continue
        server_id = sent.servers[0]
        acts = [
            (write.sent_at - trace.born_at, write.operation == "lock")
            for write in trace.ledger.writes
            if write.actor == "foreign" and write.operation in ("lock", "unlock") and server_id in write.servers
        ]
        locked = [(0.0, trace.world.servers[server_id].spec.name in at_first), *acts]
        since_s, is_locked = [one for one in locked if one[0] <= sent.at_s][-1]
        if is_locked and sent.at_s - since_s > _LOOK_MAX_AGE_S:
            yield Violation("I14", f"a change was sent at {sent.at_s:.3f} to {server_id}, locked since {since_s:.0f} s")
