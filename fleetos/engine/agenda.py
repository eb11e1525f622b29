"""Heap of due times, so that a turn costs only what changed."""

import heapq
from itertools import count

from fleetos.rules.needs import (
    Need,
    PowerNeed,
    ReadJobNeed,
    ReadServerNeed,
    ReadTracesNeed,
    SubmitNeed,
    SweepNeed,
    Wait,
)


class Agenda:
    """Needs of all targets, by time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, Need]] = []
        self._numbers = count()
        self._first: dict[str, int] = {}
        self.writes: dict[PowerNeed | SubmitNeed, dict[str, None]] = {}
        """Targets that wait for a write, by what they need; those of one need in their order."""
        self._writing: dict[str, PowerNeed | SubmitNeed] = {}
        self.followers: dict[str, None] = {}
        """Targets with a SweepNeed."""

    def set_needs(self, server_id: str, needs: tuple[Need, ...]) -> None:
        """Replace the needs of the target. One that still needs the same write keeps its place among the others."""
        self._first[server_id] = next(self._numbers)
        self._set_write(server_id, next((need for need in needs if isinstance(need, PowerNeed | SubmitNeed)), None))
        if SweepNeed() not in needs:
            self.followers.pop(server_id, None)
        for need in needs:
            match need:
                case PowerNeed() | SubmitNeed():
                    pass
                case SweepNeed():
                    self.followers[server_id] = None
                case Wait() | ReadServerNeed() | ReadJobNeed() | ReadTracesNeed():
                    heapq.heappush(self._heap, (need.due_s, next(self._numbers), server_id, need))

    def drop_target(self, server_id: str) -> None:
        """Forget a target that needs nothing any more."""
        self._first.pop(server_id, None)
        self._set_write(server_id, None)
        self.followers.pop(server_id, None)

    def _set_write(self, server_id: str, write: PowerNeed | SubmitNeed | None) -> None:
        before = self._writing.pop(server_id, None)
        if write is not None:
            self._writing[server_id] = write
            self.writes.setdefault(write, {})[server_id] = None
        if before is not None and before != write:
            others = self.writes[before]
            del others[server_id]
            if not others:
                del self.writes[before]

    def take_due(self, now_s: float, together_s: float) -> list[tuple[str, Need]]:
        """Return the needs that are due, each once; if any is, also the reads due within `together_s`.

        A wait is not handed out early: its target would only ask for the rest of it.
        """
        self._drop_outdated()
        if not self._heap or self._heap[0][0] > now_s:
            return []
        due_needs: list[tuple[str, Need]] = []
        early: list[tuple[float, int, str, Need]] = []
        while self._heap and self._heap[0][0] <= now_s + together_s:
            entry = heapq.heappop(self._heap)
            due_s, number, server_id, need = entry
            if not self._is_current(server_id, number):
                continue
            if isinstance(need, Wait) and due_s > now_s:
                early.append(entry)
            else:
                due_needs.append((server_id, need))
        for entry in early:
            heapq.heappush(self._heap, entry)
        return due_needs

    def next_due_s(self) -> float | None:
        """Return when the next need is due, on the elapsed clock; None when there is none."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def _is_current(self, server_id: str, number: int) -> bool:
        first = self._first.get(server_id)
        return first is not None and number > first

    def _drop_outdated(self) -> None:
        while self._heap and not self._is_current(self._heap[0][2], self._heap[0][1]):
            heapq.heappop(self._heap)
