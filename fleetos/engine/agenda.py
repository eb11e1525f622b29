"""When each target is due again: a heap of needs, so that a turn costs only what changed."""

import heapq
from itertools import count

from fleetos.rules.needs import AskJob, AskTraces, Follow, Need, PowerNeed, ReadServerNeed, Submit, Wait


class Agenda:
    """The needs of all targets by time. Setting a target's needs replaces those that it had.

    `writes` has the targets that wait to be written about, by what they need; those of one need in their order.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, Need]] = []
        self._numbers = count()
        self._first: dict[str, int] = {}
        self.writes: dict[PowerNeed | Submit, dict[str, None]] = {}
        self._writing: dict[str, PowerNeed | Submit] = {}
        self.following: dict[str, None] = {}

    def set(self, server_id: str, needs: tuple[Need, ...]) -> None:
        """Replaces the needs of the target. One that still needs the same write keeps its place among the others."""
        self._first[server_id] = next(self._numbers)
        self._await(server_id, next((need for need in needs if isinstance(need, PowerNeed | Submit)), None))
        if Follow() not in needs:
            self.following.pop(server_id, None)
        for need in needs:
            match need:
                case PowerNeed() | Submit():
                    pass
                case Follow():
                    self.following[server_id] = None
                case Wait() | ReadServerNeed() | AskJob() | AskTraces():
                    heapq.heappush(self._heap, (need.due_s, next(self._numbers), server_id, need))

    def drop(self, server_id: str) -> None:
        """Forgets a target that needs nothing any more."""
        self._first.pop(server_id, None)
        self._await(server_id, None)
        self.following.pop(server_id, None)

    def _await(self, server_id: str, write: PowerNeed | Submit | None) -> None:
        before = self._writing.pop(server_id, None)
        if write is not None:
            self._writing[server_id] = write
            self.writes.setdefault(write, {})[server_id] = None
        if before is not None and before != write:
            others = self.writes[before]
            del others[server_id]
            if not others:
                del self.writes[before]

    def due(self, now_s: float, together_s: float) -> list[tuple[str, Need]]:
        """The needs that are due; if any is, also the reads due within `together_s`. They are handed out once.

        A wait is over when it is over: handed out early, its target would only ask for the rest of it.
        """
        self._clean()
        if not self._heap or self._heap[0][0] > now_s:
            return []
        found: list[tuple[str, Need]] = []
        early: list[tuple[float, int, str, Need]] = []
        while self._heap and self._heap[0][0] <= now_s + together_s:
            entry = heapq.heappop(self._heap)
            due_s, number, server_id, need = entry
            if not self._is_current(server_id, number):
                continue
            if isinstance(need, Wait) and due_s > now_s:
                early.append(entry)
            else:
                found.append((server_id, need))
        for entry in early:
            heapq.heappush(self._heap, entry)
        return found

    def next_s(self) -> float | None:
        """When the next need is due; None when there is none."""
        self._clean()
        return self._heap[0][0] if self._heap else None

    def _is_current(self, server_id: str, number: int) -> bool:
        first = self._first.get(server_id)
        return first is not None and number > first

    def _clean(self) -> None:
        while self._heap and not self._is_current(self._heap[0][2], self._heap[0][1]):
            heapq.heappop(self._heap)
