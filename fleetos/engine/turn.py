"""Events of one turn, and the run as they make it. Nothing is durable yet."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from fleetos.model.journal.events import Event, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, ENDS, HOLDS_SLOT, IN_FLIGHT, QUEUED, TargetState


class Turn:
    """Draft over the durable progress. `at` is the time of all its records."""

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
        """Return the target as this turn would leave it."""
        return self.changed.get(server_id) or self._progress.targets[server_id]

    def find(self, server_id: str) -> Target | None:
        """Return the target as this turn would leave it; None if the run has no such server."""
        return self.changed.get(server_id) or self._progress.targets.get(server_id)

    def failures(self) -> Iterator[Target]:
        """Yield the targets that failed or are held in this pass, as budgets count them."""
        return (target for target in map(self.target, self._progress.targets) if target.failed_in(self.run.passes))

    def ended_by_wave(self) -> Mapping[int, int]:
        """Return how many members of each wave have ended after this turn."""
        return Counter(target.wave for target in map(self.target, self._progress.targets) if target.ended)

    def ends_member_of(self, wave: int) -> bool:
        """Return whether this turn has ended a member of the wave."""
        members = (target for target in self.changed.values() if target.wave == wave)
        return any(target.ended and not self._progress.targets[target.server_id].ended for target in members)

    def write_event(self, event: Event) -> None:
        """Fold the event into the draft. Raise IllegalMove, and change nothing, if the law forbids it."""
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

    def answer_request(self, request_id: int) -> None:
        """Mark the operator's request as done by this turn."""
        self.answered.append(request_id)

    @property
    def slots_taken(self) -> int:
        """Number of slots in use after this turn."""
        return sum([self._counts.get(state, 0) for state in HOLDS_SLOT])

    @property
    def ahead(self) -> int:
        """Number of targets that are made ready ahead of their slot after this turn."""
        return sum([self._counts.get(state, 0) for state in AHEAD])

    @property
    def spared(self) -> int:
        """Number of targets that a pause would keep from their (next) change after this turn."""
        return sum([self._counts.get(state, 0) for state in AHEAD | QUEUED])

    @property
    def ready(self) -> int:
        """Number of targets that wait for nothing but their change to be sent after this turn."""
        return self._counts.get(TargetState.READY, 0)

    @property
    def under_way(self) -> int:
        """Number of targets that have not ended after this turn."""
        return sum(self._counts.values()) - sum([self._counts.get(state, 0) for state in ENDS])

    @property
    def in_flight(self) -> int:
        """Number of targets that are admitted and have not ended after this turn."""
        return sum([self._counts.get(state, 0) for state in IN_FLIGHT])

    @property
    def retries(self) -> int:
        """Number of targets that wait for their next attempt after this turn."""
        return self._counts.get(TargetState.BACKOFF, 0)

    @property
    def cancelled(self) -> int:
        """Number of targets that an abort has left unchanged."""
        return self._counts.get(TargetState.CANCELLED, 0)

    @property
    def overdue(self) -> int:
        """Number of targets that are held as still changing after this turn."""
        return self._overdue
