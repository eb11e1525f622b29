"""One turn of the ring: what it would write, and the run as it would be then. Nothing in it is durable yet."""

from datetime import datetime

from fleetos.model.journal.events import Event, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, ENDS, HOLDS_SLOT, TargetState


class Turn:
    """A draft over the durable progress. `at` is the time of all its records."""

    def __init__(self, progress: Progress, at: datetime) -> None:
        self._progress = progress
        self.at = at
        self.run = progress.run
        self.events: list[Event] = []
        self.changed: dict[str, Target] = {}
        self.answered: list[int] = []
        self._counts = dict(progress.counts)
        self._overdue = progress.overdue

    def target(self, server_id: str) -> Target:
        """The target as this turn would leave it."""
        return self.changed.get(server_id) or self._progress.targets[server_id]

    def write(self, event: Event) -> None:
        """Takes the event in. Raises IllegalMove and is unchanged if the law forbids it."""
        if isinstance(event, RunEvent):
            self.run = fold_run(self.run, event, self.at)
        else:
            before = self.target(event.server_id)
            after = fold_target(before, event, self.at)
            self._counts[before.state] -= 1
            self._counts[after.state] = self._counts.get(after.state, 0) + 1
            self._overdue += after.overdue - before.overdue
            self.changed[event.server_id] = after
        self.events.append(event)

    def answer(self, request_id: int) -> None:
        """Mark the operator's request as done by this turn."""
        self.answered.append(request_id)

    @property
    def slots_taken(self) -> int:
        """How many slots are taken after this turn."""
        return sum([self._counts.get(state, 0) for state in HOLDS_SLOT])

    @property
    def ahead(self) -> int:
        """How many targets are being made ready ahead of their slot after this turn."""
        return sum([self._counts.get(state, 0) for state in AHEAD])

    @property
    def ready(self) -> int:
        """How many targets wait for nothing but their change to be sent after this turn."""
        return self._counts.get(TargetState.READY, 0)

    @property
    def under_way(self) -> int:
        """How many targets have not ended after this turn."""
        return sum(self._counts.values()) - sum([self._counts.get(state, 0) for state in ENDS])

    @property
    def cancelled(self) -> int:
        """How many targets an abort has left unchanged."""
        return self._counts.get(TargetState.CANCELLED, 0)

    @property
    def overdue(self) -> int:
        """How many targets are held as still changing after this turn."""
        return self._overdue
