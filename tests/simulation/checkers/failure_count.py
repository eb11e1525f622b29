"""Failures of one pass, counted anew from the journal, for the judges of all failure budgets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from fleetos.model.journal.events import Event, RunDriverStarted, RunMoved, RunPassStarted
from fleetos.model.run import Run, Target
from fleetos.model.states import AHEAD, ENDS, QUEUED, Reason, RunState, TargetState
from tests.simulation.run_trace import Step

_FAILED = frozenset({TargetState.FAILED, TargetState.HELD})


@dataclass
class FailureCount:
    """Failures of one pass, as the journal tells them up to a record."""

    targets: dict[str, Target] = field(default_factory=dict[str, Target])
    never: set[str] = field(default_factory=set[str])
    """Servers that ended at the freeze."""
    forgiven: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])
    done: set[str] = field(default_factory=set[str])
    ended: list[str] = field(default_factory=list[str])
    """Servers in the order in which they ended in this pass; one that ends anew ends last."""
    sure: list[str] = field(default_factory=list[str])
    """The same, but that who has failed and gets its power back has ended when that began."""

    @property
    def spares(self) -> bool:
        """Whether somebody is left whom a pause would spare."""
        return any(target.state in QUEUED | AHEAD for target in self.targets.values())

    def exceeds_first(self, first: int | None) -> bool:
        """Return whether the first so many failed and none is done."""
        return first is not None and not self.done and len(self.failed) >= first

    def failed_of(self, server_ids: Collection[str]) -> int:
        """Return how many of these failed."""
        return len(self.failed.intersection(server_ids))

    def step(self, step: Step) -> None:
        """Count one record."""
        event = step.record.event
        if isinstance(event, RunDriverStarted) and step.run is not None and not step.run.sessions:
            self.never = {server_id for server_id, target in self.targets.items() if target.state in ENDS}
            self.failed, self.done, self.ended, self.sure = set(), set(), [], []
        if isinstance(event, RunPassStarted):
            self.failed, self.done, self.forgiven, self.ended, self.sure = set(), set(), set(), [], []
        if isinstance(event, RunMoved) and event.to is RunState.RUNNING and by_budget(step.run):
            self.forgiven |= self.failed
            self.failed = set()
        if step.after is not None:
            self._count(step.after)

    def _count(self, target: Target) -> None:
        server_id, end = target.server_id, target.state
        before = self.targets.get(server_id)
        self.targets[server_id] = target
        if target.then is not None:
            end = target.then.state
        if end in _FAILED and target.reason is not Reason.OPERATOR:
            self.failed |= {server_id} - self.never - self.forgiven
        if target.state is TargetState.WAITING:
            # Taken up again, whatever it was before: it counts anew.
            for counted in (self.never, self.failed, self.forgiven):
                counted.discard(server_id)
            self.ended = [one for one in self.ended if one != server_id]
            self.sure = [one for one in self.sure if one != server_id]
        if target.state is TargetState.SKIPPED:
            # An operator skips a server that failed: it counts no more.
            self.failed.discard(server_id)
        if target.state is TargetState.DONE:
            self.done.add(server_id)
        if target.state in ENDS and (before is None or before.state not in ENDS):
            self.ended = [*(one for one in self.ended if one != server_id), server_id]
        surely = target.state in ENDS or end in _FAILED
        was_sure = before is not None and (before.state in ENDS or _fails(before))
        if surely and not was_sure:
            self.sure = [*(one for one in self.sure if one != server_id), server_id]


def _fails(target: Target) -> bool:
    return (target.state if target.then is None else target.then.state) in _FAILED


def by_budget(run: Run | None) -> bool:
    """Return whether a budget has paused the run."""
    return run is not None and run.state is RunState.PAUSED and run.reason is Reason.BUDGET


def stops_by_budget(event: Event) -> TypeGuard[RunMoved]:
    """Return whether a budget pauses the run by this, or ends it."""
    return isinstance(event, RunMoved) and event.reason is Reason.BUDGET and event.to is not RunState.FAILED


def waves_of(targets: Mapping[str, Target]) -> Mapping[int, list[str]]:
    """Return the servers of each wave."""
    waves: dict[int, list[str]] = {}
    for server_id, target in targets.items():
        waves.setdefault(target.wave, []).append(server_id)
    return waves
