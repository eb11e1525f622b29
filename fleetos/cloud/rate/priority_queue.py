"""Whose turn it is when requests wait for the pace: the most urgent first, and nobody is passed over for ever."""

from collections import deque
from collections.abc import Collection, Generator
from contextlib import contextmanager
from enum import IntEnum

import anyio

from fleetos.limits import PASSED_OVER_MAX


class Priority(IntEnum):
    """How urgent a request is, the most urgent first.

    Evidence is what a send of unknown outcome waits for, and what proves that a server may be wiped. Among writes
    the engine chooses: changes before stops and starts. A poll that comes later tells more.
    """

    EVIDENCE = 0
    WRITE = 1
    POLL = 2


class Waiter:
    """A read that waits in a line."""

    def __init__(self, rank: Priority) -> None:
        self.rank = rank
        self._news = anyio.Event()

    def wake(self) -> None:
        """Let it look again whether it is its turn."""
        self._news.set()

    async def wait(self, most_s: float) -> None:
        """Return when it was woken, or after so long."""
        self._news = anyio.Event()
        with anyio.move_on_after(most_s):
            await self._news.wait()


class PriorityQueue:
    """The reads that wait, in the order of their ranks and then of their coming."""

    def __init__(self) -> None:
        self._waiting: dict[Priority, deque[Waiter]] = {rank: deque() for rank in Priority}
        self._passed = dict.fromkeys(Priority, 0)

    @contextmanager
    def enqueued(self, rank: Priority) -> Generator[Waiter]:
        """Stand in line; whoever is first afterwards is woken."""
        waiter = Waiter(rank)
        self._waiting[rank].append(waiter)
        try:
            yield waiter
        finally:
            self._waiting[rank].remove(waiter)
            self.wake()

    def wake(self) -> None:
        """Let the first in line look again."""
        if (first := self.first()) is not None:
            first.wake()

    def first(self) -> Waiter | None:
        """Return the read whose turn it is among reads, None if there is none."""
        ranks = self.ranks()
        return self._waiting[self.next(ranks)][0] if ranks else None

    def ranks(self) -> list[Priority]:
        """Return the ranks of all that wait."""
        return [rank for rank, waiting in self._waiting.items() if waiting]

    def next(self, ranks: Collection[Priority]) -> Priority:
        """Return whose turn it is among these, of which there is at least one."""
        tired = [rank for rank in ranks if self._passed[rank] >= PASSED_OVER_MAX]
        return max(tired) if tired else min(ranks)

    def record_served(self, rank: Priority, ranks: Collection[Priority]) -> None:
        """Note that a request of that rank may leave while those of the others waited as well."""
        for other in ranks:
            if other > rank:
                self._passed[other] += 1
        self._passed[rank] = 0
