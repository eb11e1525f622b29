"""Queue of waiting requests by priority, without starvation."""

from collections import deque
from collections.abc import Collection, Generator
from contextlib import contextmanager
from enum import IntEnum

import anyio

# A priority of requests that was passed over this often by more urgent ones is next: it gets a fourth of the rate.
PASSED_OVER_MAX = 3


class Priority(IntEnum):
    """Priority of a request, the most urgent first.

    Evidence resolves a write of unknown outcome, or proves that a server may be wiped. Among writes the engine chooses:
    changes before stops and starts. A later poll shows more, so polls are last.
    """

    EVIDENCE = 0
    WRITE = 1
    POLL = 2


class Waiter:
    """Read that waits in the queue."""

    def __init__(self, priority: Priority) -> None:
        self.priority = priority
        self._news = anyio.Event()

    def wake(self) -> None:
        """Wake the read, so that it checks again whether it is its turn."""
        self._news.set()

    async def wait(self, most_s: float) -> None:
        """Wait until woken, at most `most_s`."""
        self._news = anyio.Event()
        with anyio.move_on_after(most_s):
            await self._news.wait()


class PriorityQueue:
    """Waiting reads, by priority and then by arrival."""

    def __init__(self) -> None:
        self._waiting: dict[Priority, deque[Waiter]] = {priority: deque() for priority in Priority}
        self._skip_counts = dict.fromkeys(Priority, 0)

    @contextmanager
    def enqueued(self, priority: Priority) -> Generator[Waiter]:
        """Queue a read inside the block, and wake the first read after it."""
        waiter = Waiter(priority)
        self._waiting[priority].append(waiter)
        try:
            yield waiter
        finally:
            self._waiting[priority].remove(waiter)
            self.wake()

    def wake(self) -> None:
        """Wake the first read."""
        if (first := self.first()) is not None:
            first.wake()

    def first(self) -> Waiter | None:
        """Return the read whose turn it is among the reads, None if none waits."""
        waiting = self.priorities()
        return self._waiting[self.choose(waiting)][0] if waiting else None

    def priorities(self) -> list[Priority]:
        """Return the priorities with a waiting read."""
        return [priority for priority, waiting in self._waiting.items() if waiting]

    def choose(self, waiting: Collection[Priority]) -> Priority:
        """Return the priority whose turn it is among `waiting`, which must not be empty."""
        skipped = [priority for priority in waiting if self._skip_counts[priority] >= PASSED_OVER_MAX]
        return max(skipped) if skipped else min(waiting)

    def record_served(self, priority: Priority, waiting: Collection[Priority]) -> None:
        """Record that a request of `priority` may leave while requests of `waiting` wait."""
        for other in waiting:
            if other > priority:
                self._skip_counts[other] += 1
        self._skip_counts[priority] = 0
