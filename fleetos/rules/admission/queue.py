"""Queue of waiting targets. Pure."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import TypeVar

from fleetos.model.run import Target
from fleetos.model.states import QUEUED

_FIRST = datetime.min.replace(tzinfo=UTC)

Entry = TypeVar("Entry", tuple[bool, int, str], tuple[datetime, int, str])


class Queue:
    """Index of the waiting targets; rebuilt from the targets.

    A retry whose wait is over goes first: its server may be stopped, or half changed. Then targets that were tried
    before, then plan order. A retry whose wait is not over holds up no other target.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[bool, int, str]] = []
        self._retries: list[tuple[datetime, int, str]] = []

    @staticmethod
    def of(targets: Iterable[Target]) -> "Queue":
        """Return the queue of all targets that wait."""
        queue = Queue()
        for target in targets:
            if target.state in QUEUED:
                queue.add_target(target)
        return queue

    def add_target(self, target: Target) -> None:
        """Add a target that waits."""
        if target.not_before is not None:
            heapq.heappush(self._retries, (target.not_before, target.position, target.server_id))
        else:
            heapq.heappush(self._waiting, (not target.attempts, target.position, target.server_id))

    def next_due_at(self) -> datetime | None:
        """Return when the first target in the queue may be admitted; None when the queue is empty."""
        if self._waiting:
            return _FIRST
        return self._retries[0][0] if self._retries else None

    def first_due(self, number: int, now: datetime) -> list[str]:
        """Return the first `number` servers in the queue whose time has come, in their order. They stay in it."""
        due = list(islice(takewhile(lambda entry: entry[0] <= now, _iterate_sorted(self._retries)), number))
        rest = islice(_iterate_sorted(self._waiting), number - len(due))
        return [server_id for *_, server_id in (*due, *rest)]

    def pop_due(self, now: datetime) -> str | None:
        """Remove and return the first server in the queue, if its time has come."""
        if self._retries and self._retries[0][0] <= now:
            return heapq.heappop(self._retries)[2]
        return heapq.heappop(self._waiting)[2] if self._waiting else None


def _iterate_sorted(heap: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the entries of a heap, the least first. The heap stays as it is; the first few cost little."""
    near = [(heap[0], 0)] if heap else []
    while near:
        entry, place = heapq.heappop(near)
        yield entry
        for child in (2 * place + 1, 2 * place + 2):
            if child < len(heap):
                heapq.heappush(near, (heap[child], child))
