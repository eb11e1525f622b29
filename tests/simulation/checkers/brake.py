"""I15: a run whose first servers all failed begins nothing more, until an operator says why it goes on.

The failures are counted anew here, from the plan and the journal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fleetos.model.journal.events import ChangeIntended, RunDriverStarted, RunMoved, RunPassStarted
from fleetos.model.run import Run, Target
from fleetos.model.states import AHEAD, ENDS, QUEUED, Reason, RunState, TargetState
from tests.simulation.checkers.steps import believed
from tests.simulation.run_trace import RunTrace, Step, Violation

_FAILED = frozenset({TargetState.FAILED, TargetState.HELD})


@dataclass
class _Count:
    """Failures of one pass, as the journal tells them up to a record."""

    first: int | None
    targets: dict[str, Target] = field(default_factory=dict[str, Target])
    never: set[str] = field(default_factory=set[str])
    """Servers that ended at the freeze."""
    forgiven: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])
    done: set[str] = field(default_factory=set[str])

    @property
    def exceeded(self) -> bool:
        """Whether the first so many failed and none is done."""
        return self.first is not None and not self.done and len(self.failed) >= self.first

    @property
    def spares(self) -> bool:
        """Whether somebody is left whom a pause would spare."""
        return any(target.state in QUEUED | AHEAD for target in self.targets.values())

    def step(self, step: Step) -> None:
        """Count one record."""
        event = step.record.event
        if isinstance(event, RunDriverStarted) and step.run is not None and not step.run.sessions:
            self.never = {server_id for server_id, target in self.targets.items() if target.state in ENDS}
            self.failed, self.done = set(), set()
        if isinstance(event, RunPassStarted):
            self.failed, self.done, self.forgiven = set(), set(), set()
        if isinstance(event, RunMoved) and event.to is RunState.RUNNING and _by_budget(step.run):
            self.forgiven |= self.failed
            self.failed = set()
        if step.after is not None:
            self._count(step.after)

    def _count(self, target: Target) -> None:
        server_id, end = target.server_id, target.state
        self.targets[server_id] = target
        if end is TargetState.RESTORING and target.then is not None:
            end = target.then.state
        if end in _FAILED and target.reason is not Reason.OPERATOR:
            self.failed |= {server_id} - self.never - self.forgiven
        if target.state is TargetState.WAITING:
            # Taken up again by a next pass, whatever it was before.
            self.never.discard(server_id)
        if target.state is TargetState.DONE:
            self.done.add(server_id)


def nothing_after_the_first_failed(trace: RunTrace) -> Iterator[Violation]:
    """I15: once the first so many failed, the run pauses in that commit; only a reason ends the pause."""
    count, last = _Count(trace.spec.failure.first), None
    for step in believed(trace):
        # What ended at the freeze is known once there is a driver.
        if last is not None and last.last_seq and step.written is not last and _goes_on(step.run, count):
            yield Violation("I15", f"{_told(count)}, and the run goes on after record {last.last_seq}")
        last, record, event = step.written, step.record, step.record.event
        begins = isinstance(event, ChangeIntended) or _admits(step)
        if begins and count.exceeded:
            yield Violation("I15", f"record {record.seq} goes on with a server: {_told(count)}")
        if isinstance(event, RunMoved) and event.reason is Reason.BUDGET and not count.exceeded:
            yield Violation("I15", f"record {record.seq} pauses the run: {_told(count)}")
        if isinstance(event, RunMoved) and event.to is RunState.RUNNING and _by_budget(step.run) and not event.detail:
            yield Violation("I15", f"record {record.seq} ends the pause, and nobody said why")
        count.step(step)
    if _goes_on(trace.run, count):
        yield Violation("I15", f"{_told(count)}, and the run goes on at the end")


def _goes_on(run: Run | None, count: _Count) -> bool:
    return run is not None and run.state is RunState.RUNNING and count.exceeded and count.spares


def _admits(step: Step) -> bool:
    """Return whether a target leaves the queue to be changed, not to end."""
    before, after = step.before, step.after
    if before is None or after is None or before.state not in QUEUED:
        return False
    return after.state not in ENDS | QUEUED | {TargetState.RESTORING}


def _by_budget(run: Run | None) -> bool:
    return run is not None and run.state is RunState.PAUSED and run.reason is Reason.BUDGET


def _told(count: _Count) -> str:
    return f"{len(count.failed)} failed and {len(count.done)} are done, first is {count.first}"
