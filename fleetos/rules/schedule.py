"""Who may start, and for everybody else why not. Pure."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from fleetos.model.events import Moved
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import QUEUED, RunState, TargetState

_FIRST = datetime.min.replace(tzinfo=UTC)


class WaitReason(StrEnum):
    """Why a target is not admitted."""

    PAUSED = "paused"
    ABORTED = "aborted"
    BACKOFF = "backoff"
    CONCURRENCY = "concurrency"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One wait: its kind, and in words how it ends."""

    reason: WaitReason
    words: str


def why_waiting(progress: Progress, target: Target, now: datetime) -> Waiting | None:
    """The one reason that keeps a queued target from being admitted; None if nothing does, or it is not queued."""
    run = progress.run
    if target.state not in QUEUED:
        return None
    if run.state is RunState.PAUSED:
        return Waiting(WaitReason.PAUSED, f"the run is paused: fleetos resume {run.id}")
    if run.state is not RunState.RUNNING:
        return Waiting(WaitReason.ABORTED, "the run was aborted and admits no more")
    if target.not_before is not None and target.not_before > now:
        return Waiting(WaitReason.BACKOFF, f"until its next attempt may start at {target.not_before:%H:%M:%SZ}")
    limit = run.settings.concurrency
    if progress.slots_taken >= limit:
        return Waiting(WaitReason.CONCURRENCY, f"until a slot is given back; {progress.slots_taken}/{limit} are taken")
    return None


@dataclass(slots=True)
class Queue:
    """The targets that wait, ordered by not-before time and plan order; an index, rebuilt from the targets."""

    _heap: list[tuple[datetime, int, str]] = field(default_factory=list[tuple[datetime, int, str]])

    @staticmethod
    def of(targets: Iterable[Target]) -> "Queue":
        """The queue of all targets that wait."""
        queue = Queue([_entry(target) for target in targets if target.state in QUEUED])
        heapq.heapify(queue._heap)
        return queue

    def put(self, target: Target) -> None:
        """Takes in a target that has come to wait."""
        heapq.heappush(self._heap, _entry(target))

    def next_at(self) -> datetime | None:
        """When the first in the queue may be admitted; None when it is empty."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now: datetime) -> str | None:
        """The server that is first in the queue, if its time has come."""
        if not self._heap or self._heap[0][0] > now:
            return None
        return heapq.heappop(self._heap)[2]


def _entry(target: Target) -> tuple[datetime, int, str]:
    return (target.not_before or _FIRST, target.position, target.server_id)


def admit(queue: Queue, run: Run, target: Callable[[str], Target], slots_taken: int, now: datetime) -> list[Moved]:
    """The moves of those who may start now: never more than there are free slots."""
    moves: list[Moved] = []
    if run.state is not RunState.RUNNING:
        return moves
    while slots_taken + len(moves) < run.settings.concurrency:
        server_id = queue.pop(now)
        if server_id is None:
            break
        one = target(server_id)
        if one.state in QUEUED:
            moves.append(Moved(server_id, first_state(one)))
    return moves


def first_state(target: Target) -> TargetState:
    """Where an admitted target goes: one that is retried after a send is inspected first."""
    if target.state is TargetState.WAITING and target.attempts:
        return TargetState.INSPECTING
    return TargetState.CHECKING
