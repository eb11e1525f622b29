"""I16: each request of the operator is answered once, in order, in the commit of its effect; a pause comes to rest."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from fleetos.model.journal.events import (
    Event,
    Released,
    RequestAnswered,
    Retried,
    RunApproved,
    RunDriverStarted,
    RunMoved,
    RunWavePromoted,
    RunWaveReopened,
    SettingChanged,
)
from fleetos.model.journal.requests import RequestKind, RequestOutcome
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, IN_FLIGHT, Reason, RunState
from tests.simulation.checkers.steps import believed, groups
from tests.simulation.run_trace import RunTrace, Step, Violation


def each_answered_once(trace: RunTrace) -> Iterator[Violation]:
    """I16: as the journal tells it, and as the operator remembers what he asked for."""
    answers = [record.event for record in trace.records if isinstance(record.event, RequestAnswered)]
    counts = Counter(answer.request for answer in answers)
    for asked in trace.requested:
        times = counts[asked.number]
        if times > 1 or (not times and trace.came_to_end):
            yield Violation("I16", f"{asked.kind} {asked.number}, asked at {asked.at_s:.3f}, is answered {times} times")
    if strangers := set(counts) - {asked.number for asked in trace.requested}:
        yield Violation("I16", f"requests {sorted(strangers)} are answered, and nobody asked for them")
    plain = [answer.request for answer in answers if answer.verb is not RequestKind.ABORT]
    if plain != sorted(plain):
        yield Violation("I16", f"requests are answered out of order: {plain}")
    for written, records in groups(trace):
        yield from _without_effect([record.event for record in records], written.last_seq)
    yield from _left_too_early(trace)


def _without_effect(events: Sequence[Event], seq: int) -> Iterator[Violation]:
    """Yield the requests that count as done though the commit of the answer does not do what was asked."""
    for place, event in enumerate(events):
        if isinstance(event, RequestAnswered) and event.outcome is RequestOutcome.DONE:
            done = list(events[:place])
            if not any(_does(event.verb, other) for other in done):
                yield Violation("I16", f"the commit up to record {seq} answers {event.verb} without doing it")


def _does(verb: RequestKind, event: Event) -> bool:
    """Return whether the event is an effect of such a request."""
    match verb:
        case RequestKind.PAUSE:
            return isinstance(event, RunMoved) and event.to is RunState.PAUSED
        case RequestKind.RESUME:
            return isinstance(event, RunMoved) and event.to is RunState.RUNNING
        case RequestKind.ABORT:
            return isinstance(event, RunMoved) and event.to is RunState.FINISHING
        case RequestKind.SET:
            return isinstance(event, SettingChanged)
        case RequestKind.HOLD | RequestKind.SKIP:
            return hasattr(event, "server_id")
        case RequestKind.APPROVE:
            return isinstance(event, RunApproved)
        case RequestKind.PROMOTE:
            return isinstance(event, RunWavePromoted)
        case RequestKind.RELEASE:
            return isinstance(event, Released | RunWaveReopened)
        case RequestKind.RETRY:
            return isinstance(event, Retried | RunWaveReopened)


def _left_too_early(trace: RunTrace) -> Iterator[Violation]:
    """Yield the pauses that a driver left by itself before what was in flight had ended, or was recalled."""
    paused_by = {session.process for session in trace.sessions if session.ended == "paused"}
    targets: dict[str, Target] = {}
    last: Step | None = None
    for step in believed(trace):
        if isinstance(step.record.event, RunDriverStarted) and last is not None and last.written.process in paused_by:
            yield from _unrest(step, targets)
        if step.after is not None:
            targets[step.after.server_id] = step.after
        last = step


def _unrest(step: Step, targets: Mapping[str, Target]) -> Iterator[Violation]:
    run = step.run
    if run is None or run.state is not RunState.PAUSED or run.reason not in (Reason.OPERATOR, Reason.BUDGET):
        return
    for target in targets.values():
        recalled = target.state not in AHEAD or target.attempts
        if target.state in IN_FLIGHT - AHEAD or not recalled:
            yield Violation(
                "I16", f"record {step.record.seq}: the pause before it left {target.server_id} {target.state}"
            )
