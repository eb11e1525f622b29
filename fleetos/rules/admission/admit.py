"""Who may start, and for everybody else why not. Pure."""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice, takewhile
from typing import TypeVar

from fleetos.limits import STOPPED_TOGETHER
from fleetos.model.journal.events import Moved
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import QUEUED, RunState, TargetState
from fleetos.text import counted

_FIRST = datetime.min.replace(tzinfo=UTC)
Entry = TypeVar("Entry", tuple[bool, int, str], tuple[datetime, int, str])


class WaitReason(StrEnum):
    """Why a target does not move on."""

    PAUSED = "paused"
    ABORTED = "aborted"
    BACKOFF = "backoff"
    CONCURRENCY = "concurrency"
    PACE = "pace"
    NOT_DRIVEN = "not-driven"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One wait: its kind, in words how it ends, and when, where that is known."""

    reason: WaitReason
    words: str
    ends_at: datetime | None = None


NOT_DRIVEN = Waiting(WaitReason.NOT_DRIVEN, "nobody drives the run")
PAUSED = Waiting(WaitReason.PAUSED, "the run is paused")


def why_waiting(progress: Progress, target: Target, now: datetime) -> Waiting | None:
    """The one reason that keeps a target from being admitted or, once it is ready, from its change; None if none."""
    run = progress.run
    if target.state is TargetState.READY:
        return _why_ready(progress)
    if target.state not in QUEUED:
        return None
    if run.state is RunState.PAUSED:
        return PAUSED
    if run.state is not RunState.RUNNING:
        return Waiting(WaitReason.ABORTED, "the run was aborted and starts no more servers")
    if target.not_before is not None and target.not_before > now:
        return Waiting(WaitReason.BACKOFF, f"retry at {target.not_before:%H:%M:%SZ}", target.not_before)
    limit, taken, ahead = run.settings.concurrency, progress.slots_taken, progress.ahead
    if taken + ahead >= limit:
        nearer = f", {counted(ahead, 'server')} ahead" if ahead else ""
        return Waiting(WaitReason.CONCURRENCY, f"queued: {taken} of {limit} slots in use{nearer}")
    return Waiting(WaitReason.PACE, "queued: no more servers are stopped than changes can be sent")


def _why_ready(progress: Progress) -> Waiting | None:
    run, limit = progress.run, progress.run.settings.concurrency
    if run.state is RunState.PAUSED:
        return PAUSED
    if run.state is not RunState.RUNNING:
        return None
    if progress.slots_taken < limit:
        return Waiting(WaitReason.PACE, "queued: changes are sent as fast as the cloud allows")
    return Waiting(WaitReason.CONCURRENCY, f"queued: {progress.slots_taken} of {limit} slots in use")


class Queue:
    """The targets that wait; an index, rebuilt from the targets.

    A retry whose wait is over goes first: its server may be stopped, or half changed. Then those that were tried
    before, then plan order. A retry whose wait is not over holds nobody up.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[bool, int, str]] = []
        self._retries: list[tuple[datetime, int, str]] = []

    @staticmethod
    def of(targets: Iterable[Target]) -> "Queue":
        """The queue of all targets that wait."""
        queue = Queue()
        for target in targets:
            if target.state in QUEUED:
                queue.put(target)
        return queue

    def put(self, target: Target) -> None:
        """Takes in a target that has come to wait."""
        if target.not_before is not None:
            heapq.heappush(self._retries, (target.not_before, target.position, target.server_id))
        else:
            heapq.heappush(self._waiting, (not target.attempts, target.position, target.server_id))

    def next_at(self) -> datetime | None:
        """When the first in the queue may be admitted; None when it is empty."""
        if self._waiting:
            return _FIRST
        return self._retries[0][0] if self._retries else None

    def first(self, number: int, now: datetime) -> list[str]:
        """The first so many in the queue whose time has come, in their order. They stay in it."""
        due = list(islice(takewhile(lambda entry: entry[0] <= now, _in_order(self._retries)), number))
        rest = islice(_in_order(self._waiting), number - len(due))
        return [server_id for *_, server_id in (*due, *rest)]

    def pop(self, now: datetime) -> str | None:
        """The server that is first in the queue, if its time has come."""
        if self._retries and self._retries[0][0] <= now:
            return heapq.heappop(self._retries)[2]
        return heapq.heappop(self._waiting)[2] if self._waiting else None


def _in_order(heap: Sequence[Entry]) -> Iterator[Entry]:
    """The entries of a heap, the least first. The heap stays as it is; the first few cost little."""
    near = [(heap[0], 0)] if heap else []
    while near:
        entry, place = heapq.heappop(near)
        yield entry
        for child in (2 * place + 1, 2 * place + 2):
            if child < len(heap):
                heapq.heappush(near, (heap[child], child))


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many may be stopped, so that none stays off for long where changes are sent slower than slots are free.

    It grows by `per_s`, the pace of writes, None for any. `most`: what can be sent in twice the time that a stop takes.
    """

    per_s: float | None = None
    most: float = 0.0
    left: float = 0.0
    at_s: float = 0.0

    def at(self, now_s: float, writes_per_s: float | None, stop_s: float) -> "Allowance":
        """The allowance at a later moment, full at the first one; `stop_s` is what a stop takes until it is seen."""
        if writes_per_s is None:
            return Allowance()
        most = max(2.0, 2 * writes_per_s * stop_s)
        left = most if self.per_s is None else self.left + (now_s - self.at_s) * writes_per_s
        return Allowance(writes_per_s, most, min(left, most), now_s)

    def less(self, stopped: int) -> "Allowance":
        """What is left of it when so many are stopped."""
        return replace(self, left=self.left - stopped)

    def places(self, ready: int) -> int | None:
        """How many may be stopped together while so many lie ready, None for any number; none if too few for a call."""
        if self.per_s is None:
            return None
        return int(self.left) if self._bears(ready) and self.left >= self.most / 2 else 0

    def again_in_s(self, now_s: float, ready: int) -> float:
        """In how many seconds some more may be stopped, endless while too many lie ready."""
        if self.per_s is None:
            return 0.0
        if not self._bears(ready):
            return math.inf
        return max(0.0, self.at_s + (self.most / 2 - self.left) / self.per_s - now_s)

    def _bears(self, ready: int) -> bool:
        return ready <= max(1.0, self.most / 2)


@dataclass(frozen=True, slots=True)
class Room:
    """The slots that are taken, the targets made ready ahead of one, and how many slots will soon be given back.

    `most`: how many may be made ready at all, None for any number.
    """

    taken: int
    ahead: int
    soon: float = 0.0
    most: int | None = None

    def places(self, concurrency: int) -> int:
        """How many more may be made ready: at once for each slot that is free, and together for those free soon.

        Servers that are stopped together share a call and the reads that confirm it.
        """
        free = concurrency - self.taken - self.ahead
        soon = free + int(self.soon)
        places = soon if free > 0 or soon >= max(1.0, self.soon * STOPPED_TOGETHER) else 0
        return places if self.most is None else min(places, self.most)


def admit(queue: Queue, run: Run, target: Callable[[str], Target], room: Room, now: datetime) -> list[Moved]:
    """The moves of those who may start now: as many as there are slots free, or soon to be."""
    moves: list[Moved] = []
    if run.state is not RunState.RUNNING:
        return moves
    concurrency = run.settings.concurrency
    places, free = room.places(concurrency), concurrency - room.taken
    while len(moves) < places:
        server_id = queue.pop(now)
        if server_id is None:
            break
        one = target(server_id)
        if one.state not in QUEUED:
            continue
        state = first_state(one)
        if state is TargetState.INSPECTING:
            # What an earlier send did is not known: it may change now, and takes a slot at once.
            if free <= 0:
                queue.put(one)
                break
            free -= 1
        moves.append(Moved(server_id, state))
    return moves


def first_state(target: Target) -> TargetState:
    """Where an admitted target goes: one that is retried after a send is inspected first."""
    if target.state is TargetState.WAITING and target.attempts:
        return TargetState.INSPECTING
    return TargetState.CHECKING
