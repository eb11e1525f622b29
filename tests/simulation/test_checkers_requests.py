"""The checkers of the brake and of the operator's requests find a trace that breaks their invariant."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetos.model.journal.events import RequestAnswered, RunDriverStarted, RunMoved
from fleetos.model.journal.requests import RequestKind, RequestOutcome
from fleetos.model.states import Reason, RunState
from tests.simulation.checkers import check
from tests.simulation.edited_runs import insert, plain, staged
from tests.simulation.run_trace import Requested, RunTrace

Edit = Callable[[RunTrace], None]


def _braked(trace: RunTrace) -> None:
    """Let the plan have asked for a brake at the first failure, which the run did not know."""
    trace.spec = replace(trace.spec, failure=replace(trace.spec.failure, first=1))


def _paused_without_a_cause(trace: RunTrace) -> None:
    place = next(place for place, record in enumerate(trace.records) if isinstance(record.event, RunDriverStarted)) + 1
    insert(trace, place, RunMoved(RunState.PAUSED, Reason.BUDGET))
    insert(trace, place + 1, RunMoved(RunState.RUNNING, detail="it was nothing"))


def _never_answered(trace: RunTrace) -> None:
    trace.requested = [Requested(1.0, 1, RequestKind.PAUSE)]


def _answered_twice(trace: RunTrace) -> None:
    trace.requested = [Requested(1.0, 1, RequestKind.PAUSE)]
    for place in (4, 5):
        insert(trace, place, RequestAnswered(1, RequestKind.PAUSE, RequestOutcome.NO_EFFECT, "anna"))


def _answered_without_effect(trace: RunTrace) -> None:
    trace.requested = [Requested(1.0, 1, RequestKind.SET)]
    insert(trace, 4, RequestAnswered(1, RequestKind.SET, RequestOutcome.DONE, "anna"))


def _answered_out_of_order(trace: RunTrace) -> None:
    trace.requested = [Requested(1.0, 1, RequestKind.SET), Requested(2.0, 2, RequestKind.SET)]
    for place, number in ((4, 2), (5, 1)):
        insert(trace, place, RequestAnswered(number, RequestKind.SET, RequestOutcome.REFUSED, "anna"))


def _never_asked_for(trace: RunTrace) -> None:
    insert(trace, 4, RequestAnswered(1, RequestKind.SET, RequestOutcome.REFUSED, "anna"))


def _failing() -> RunTrace:
    """Return a play in which every change fails, one server after the other."""
    return staged({"do": "fail", "on": "changeos"}, concurrency=1)


@pytest.mark.parametrize(
    ("edit", "begin", "found"),
    [
        (_braked, _failing, {"I15"}),
        (_paused_without_a_cause, plain, {"I15"}),
        (_never_answered, plain, {"I16"}),
        (_answered_twice, plain, {"I16"}),
        (_answered_without_effect, plain, {"I16"}),
        (_answered_out_of_order, plain, {"I16"}),
        (_never_asked_for, plain, {"I16"}),
    ],
)
def test_a_broken_invariant_is_found(edit: Edit, begin: Callable[[], RunTrace], found: set[str]) -> None:
    trace = begin()
    edit(trace)
    assert {violation.invariant for violation in check(trace)} == found
