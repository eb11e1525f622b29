"""Index of waiting targets by what they wait for, so that a pass costs what it admits. Pure.

A lane holds targets for which the same reasons hold, in the order of the queue. A pass merges the heads of the lanes:
where the head waits for something that all of its lane wait for, the lane is closed for the pass. Only labels are not
part of a lane, since a label may have as many values as the run has targets: a target that waits for the group of a
label is parked in a lane of that group.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import NamedTuple

from fleetos.model.run import Target
from fleetos.rules.admission.pass_facts import Point, Standing
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.rules.admission.why_not import may_finish, takes_slot, why_not
from fleetos.rules.groups import GroupKey, is_coarse

_FIRST = datetime.min.replace(tzinfo=UTC)
# What every target waits for that is asked after the first one.
_ENDS_PASS = frozenset(
    {
        WaitReason.ABORTED,
        WaitReason.PAUSED,
        WaitReason.SCHEDULED,
        WaitReason.CLOCK,
        WaitReason.CONCURRENCY,
        WaitReason.PACE,
    }
)


class Place(NamedTuple):
    """Place in the queue: waves in order, in each who is out already, then retries, then the order of the plan."""

    wave: int
    serves: bool
    rank: int
    not_before: datetime
    position: int
    server_id: str


class Lane(NamedTuple):
    """All that decides about a target besides its own backoff and its labels.

    Who is out already is not part of it: a lane has one wave, and in it they come first.
    """

    wave: int
    window: int
    kind: str
    finishes: bool
    groups: tuple[GroupKey, ...]
    parked: GroupKey | None = None
    """Group of a label that its targets wait for."""


class Lanes:
    """Index of the waiting targets. A target whose facts change is added again; one that waits no more is discarded."""

    def __init__(self) -> None:
        self._lanes: defaultdict[Lane, list[Place]] = defaultdict(list)
        self._lane_of: dict[str, tuple[Lane, Place]] = {}
        self._retries: list[tuple[datetime, Place]] = []
        self._closed: set[Lane] = set()
        self._changed = True
        self.waits: dict[WaitReason, Waiting] = {}
        """Reasons for which targets waited in the last pass, each with the first wait that it met."""
        self.wakes_at: datetime | None = None
        """Earliest time at which a wait ends that the last pass met, as far as it is known."""

    def next_pass_at(self) -> datetime | None:
        """Return when the next pass may admit somebody or find another reason; None if only an event can change it."""
        return _FIRST if self._changed and self._lane_of else self.wakes_at

    def touch(self) -> None:
        """Let the next pass come at once: something has changed that targets wait for."""
        self._changed = True

    def add_target(self, target: Target, standing: Standing) -> None:
        """Add a target that waits, or put it where it belongs now."""
        lane, place = find_lane(target, standing), find_place(target, standing)
        self._changed = True
        if self._lane_of.get(target.server_id) == (lane, place):
            return
        self._lane_of[target.server_id] = (lane, place)
        if target.not_before is not None and target.not_before > standing.now:
            heapq.heappush(self._retries, (target.not_before, place))
        else:
            heapq.heappush(self._lanes[lane], place)

    def discard(self, server_id: str) -> None:
        """Forget a target that waits no more."""
        self._lane_of.pop(server_id, None)

    def admit(self, target: Callable[[str], Target], standing: Standing) -> list[Target]:
        """Return the targets that may start now, in the order of the queue, and count them in the standing."""
        admitted: list[Target] = []
        self._wake_retries(standing.now)
        self._changed = False
        self._closed, self.waits = set(), {}
        self.wakes_at = self._retries[0][0] if self._retries else None
        heads = [(place, lane) for lane in list(self._lanes) if (place := self._head(lane)) is not None]
        heapq.heapify(heads)
        while heads:
            place, lane = heapq.heappop(heads)
            candidate = target(place.server_id)
            waiting = why_not(candidate, standing, Point.ADMIT)
            if waiting is None:
                admitted.append(candidate)
                standing.admit(candidate, takes_slot=takes_slot(candidate))
                self.discard(place.server_id)
            else:
                self._note_end(waiting)
                if waiting.reason in _ENDS_PASS:
                    break
                if not self._park(place, lane, waiting):
                    self._closed.add(lane)
                    continue
            head = self._head(lane)
            if head is not None:
                heapq.heappush(heads, (head, lane))
        return admitted

    def first_due(self, number: int, now: datetime) -> list[str]:
        """Return the first `number` servers that the next pass may admit, in their order. They stay where they are."""
        self._wake_retries(now)
        lanes = [self._iterate(lane) for lane in self._lanes if lane not in self._closed]
        return [place.server_id for place, _ in islice(groupby(heapq.merge(*lanes)), number)]

    def _iterate(self, lane: Lane) -> Iterator[Place]:
        """Yield the places of a lane, the first ones at little cost."""
        places = self._lanes[lane]
        near = [(places[0], 0)] if places else []
        while near:
            place, index = heapq.heappop(near)
            if self._lane_of.get(place.server_id) == (lane, place):
                yield place
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(places):
                    heapq.heappush(near, (places[child], child))

    def _head(self, lane: Lane) -> Place | None:
        """Return the first target of a lane; drop the lane if it is empty."""
        places = self._lanes[lane]
        while places and self._lane_of.get(places[0].server_id) != (lane, places[0]):
            heapq.heappop(places)
        if places:
            return places[0]
        del self._lanes[lane]
        return None

    def _park(self, place: Place, lane: Lane, waiting: Waiting) -> bool:
        """Park the head of a lane if it alone has to wait; return False if all of the lane have to."""
        if waiting.reason is WaitReason.BACKOFF:
            # Only where the wall clock went back: what has to wait for its time is in no lane.
            heapq.heappush(self._retries, (place.not_before, heapq.heappop(self._lanes[lane])))
            return True
        if waiting.group is None or is_coarse(waiting.group) or waiting.group == lane.parked:
            return False
        parked = lane._replace(parked=waiting.group)
        self._lane_of[place.server_id] = (parked, place)
        heapq.heappush(self._lanes[parked], place)
        return True

    def _wake_retries(self, now: datetime) -> None:
        while self._retries and self._retries[0][0] <= now:
            _, place = heapq.heappop(self._retries)
            lane, known = self._lane_of.get(place.server_id, (None, None))
            if lane is not None and known == place:
                heapq.heappush(self._lanes[lane], place)

    def _note_end(self, waiting: Waiting) -> None:
        self.waits.setdefault(waiting.reason, waiting)
        ends_at = waiting.ends_at
        if ends_at is not None and (self.wakes_at is None or ends_at < self.wakes_at):
            self.wakes_at = ends_at


def find_lane(target: Target, standing: Standing) -> Lane:
    """Return the lane of a target."""
    groups = standing.groups.of_server(target.server_id)
    return Lane(
        wave=target.wave,
        window=standing.window_of.get(target.server_id, 0),
        kind=standing.kind_of(target),
        finishes=may_finish(target, standing),
        groups=tuple(group.key for group in groups if is_coarse(group.key)),
    )


def find_place(target: Target, standing: Standing) -> Place:
    """Return the place of a target in the queue."""
    rank = 0 if target.not_before is not None else 1 if target.attempts else 2
    serves = not standing.groups.is_out(target.server_id)
    return Place(target.wave, serves, rank, target.not_before or _FIRST, target.position, target.server_id)
