"""I15: a run whose first servers all failed begins nothing more, until an operator says why it goes on.

The failures are counted anew here, from the plan and the journal.
"""

from collections.abc import Iterator

from fleetos.model.journal.events import ChangeIntended, RunMoved
from fleetos.model.run import Run
from fleetos.model.states import RunState
from tests.simulation.checkers.failure_count import FailureCount, by_budget, stops_by_budget
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, Violation


def nothing_after_the_first_failed(trace: RunTrace) -> Iterator[Violation]:
    """I15: once the first so many failed, the run pauses in that commit; only a reason ends the pause."""
    first, count, last = trace.spec.failure.first, FailureCount(), None
    for step in believed(trace):
        # What ended at the freeze is known once there is a driver.
        if last is not None and last.last_seq and step.written is not last and _goes_on(step.run, first, count):
            yield Violation("I15", f"{_told(first, count)}, and the run goes on after record {last.last_seq}")
        last, record, event = step.written, step.record, step.record.event
        begins = isinstance(event, ChangeIntended) or admits(step)
        if begins and count.exceeds_first(first):
            yield Violation("I15", f"record {record.seq} goes on with a server: {_told(first, count)}")
        # Where a plan has more budgets, one of these may stop the run.
        if stops_by_budget(event) and not count.exceeds_first(first) and trace.spec.steering is None:
            yield Violation("I15", f"record {record.seq} stops the run: {_told(first, count)}")
        if isinstance(event, RunMoved) and event.to is RunState.RUNNING and by_budget(step.run) and not event.detail:
            yield Violation("I15", f"record {record.seq} ends the pause, and nobody said why")
        count.step(step)
    if _goes_on(trace.run, first, count):
        yield Violation("I15", f"{_told(first, count)}, and the run goes on at the end")


def _goes_on(run: Run | None, first: int | None, count: FailureCount) -> bool:
    return run is not None and run.state is RunState.RUNNING and count.exceeds_first(first) and count.spares


def _told(first: int | None, count: FailureCount) -> str:
    return f"{len(count.failed)} failed and {len(count.done)} are done, first is {first}"
