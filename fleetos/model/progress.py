"""Progress of a run: all its targets, kept in memory and moved by the fold."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from fleetos.model.journal.events import Event, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.run import Run, Target
from fleetos.model.states import AHEAD, FLIGHT, HOLDS_SLOT, TargetState


class Progress:
    """A run with its targets and counts. Changed only by `absorb`, in O(targets that changed)."""

    def __init__(self, run: Run, targets: Iterable[Target]) -> None:
        self.run = run
        self._targets = {target.server_id: target for target in targets}
        self._counts = Counter(target.state for target in self._targets.values())
        self._overdue = sum(target.overdue for target in self._targets.values())

    @property
    def targets(self) -> Mapping[str, Target]:
        """All targets by server id, in plan order."""
        return self._targets

    @property
    def counts(self) -> Mapping[TargetState, int]:
        """Number of targets in each state."""
        return self._counts

    @property
    def overdue(self) -> int:
        """Number of targets that are held because their change went on after its time-out."""
        return self._overdue

    @property
    def flight(self) -> int:
        """Number of targets whose change is under way, or whose power is being put back."""
        return sum(self._counts[state] for state in FLIGHT)

    @property
    def at_rest(self) -> bool:
        """True once nothing is in flight, and everybody who was made ready for a change is recalled."""
        return not self.flight and not (self.ahead and any(target.recallable for target in self._targets.values()))

    @property
    def slots_taken(self) -> int:
        """Number of slots in use."""
        return sum(self._counts[state] for state in HOLDS_SLOT)

    @property
    def ahead(self) -> int:
        """Number of targets that are being prepared before their slot is free."""
        return sum(self._counts[state] for state in AHEAD)

    @property
    def ready(self) -> int:
        """Number of targets that only wait for their change to be sent."""
        return self._counts[TargetState.READY]

    def update_targets(self, run: Run, changed: Iterable[Target]) -> None:
        """Take over new values, which must be durable already."""
        self.run = run
        for target in changed:
            before = self._targets.get(target.server_id)
            if before is not None:
                self._count(before, -1)
            self._count(target, 1)
            self._targets[target.server_id] = target

    def _count(self, target: Target, by: int) -> None:
        self._counts[target.state] += by
        self._overdue += by * target.overdue


def replay(events: Iterable[tuple[datetime, Event]]) -> Progress:
    """Return the progress that the whole journal of a run describes. Raise IllegalMove if an event breaks the law."""
    run: Run | None = None
    targets: dict[str, Target] = {}
    for at, event in events:
        if isinstance(event, RunEvent):
            run = fold_run(run, event, at)
        else:
            targets[event.server_id] = fold_target(targets.get(event.server_id), event, at)
    if run is None:
        raise ValueError("a journal without a run")
    return Progress(run, targets.values())
