"""What is worth showing of a run that moves, kept up to date in O(targets that changed)."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

from fleetos.model.journal.events import Record, RunEvent
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import ENDS, TargetState

# The pace is judged by this many of the newest turns in which a change ended: enough to be calm, few enough to follow.
_PACE_TURNS = 256
# Fewer changes than this tell nothing of the pace.
_PACE_CHANGES_MIN = 3

TROUBLED = frozenset({TargetState.FAILED, TargetState.HELD})
DOUBTFUL = frozenset({TargetState.INSPECTING, TargetState.BACKOFF})
QUIET = frozenset({TargetState.WAITING, TargetState.DONE, TargetState.SKIPPED, TargetState.CANCELLED})

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def changed_ids(records: Iterable[Record]) -> Mapping[str, None]:
    """The servers that the records speak of, each once, in the order of the records."""
    return {record.event.server_id: None for record in records if not isinstance(record.event, RunEvent)}


class Highlights:
    """Which targets are of interest, and how fast the run goes.

    Three groups, each with the one that moved longest ago first: troubled (failed, held), doubtful (an unknown
    outcome or a wait for the next attempt) and moving.
    """

    def __init__(self, progress: Progress, now: datetime) -> None:
        self.progress = progress
        self.begun_at = now
        self._groups: tuple[dict[str, None], dict[str, None], dict[str, None]] = ({}, {}, {})
        self._place: dict[str, tuple[TargetState, datetime | None]] = {}
        shown = [target for target in progress.targets.values() if target.state not in QUIET]
        for target in sorted(shown, key=lambda one: (one.since or _LONG_AGO, one.position)):
            self._enter(target)
        self._changed = 0
        self._pace: deque[tuple[datetime, int]] = deque([(now, 0)], maxlen=_PACE_TURNS)

    @property
    def total(self) -> int:
        """How many targets the run has."""
        return len(self.progress.targets)

    @property
    def ended(self) -> int:
        """How many targets have come to an end."""
        return sum(self.progress.counts.get(state, 0) for state in ENDS)

    def turned(self, records: Sequence[Record], now: datetime) -> None:
        """Takes note of the targets that changed; the progress has them already."""
        for server_id in changed_ids(records):
            target = self.progress.targets[server_id]
            if self._place.get(server_id) != (target.state, target.since):
                self._leave(server_id)
                self._enter(target)
                # What ends without an attempt ends at once, and says nothing of how long the others take.
                self._changed += target.ended and bool(target.attempts)
        if self._changed > self._pace[-1][1]:
            self._pace.append((now, self._changed))

    def troubled(self, limit: int) -> list[Target]:
        """At most `limit` failed and held targets, the newest first."""
        return [self.progress.targets[one] for one in islice(reversed(self._groups[0]), max(0, limit))]

    def doubtful(self, limit: int) -> list[Target]:
        """At most `limit` targets with an unknown outcome or a wait for the next attempt, the oldest first."""
        return list(self._first(1, limit))

    def moving(self, limit: int) -> list[Target]:
        """At most `limit` targets that move as they should, the longest in their state first."""
        return list(self._first(2, limit))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many targets are troubled, doubtful and moving."""
        troubled, doubtful, moving = self._groups
        return len(troubled), len(doubtful), len(moving)

    def left_s(self, now: datetime) -> float | None:
        """An estimate of the seconds until every target has ended, None while there is too little to go by.

        It counts down between two turns in which changes end, so a wave of changes does not make it jump.
        """
        (begun_at, before), (last_at, changed) = self._pace[0], self._pace[-1]
        took_s = (last_at - begun_at).total_seconds()
        if changed - before < _PACE_CHANGES_MIN or took_s <= 0:
            return None
        whole_s = (self.total - self.ended) * took_s / (changed - before)
        return max(0.0, whole_s - (now - last_at).total_seconds())

    def _first(self, group: int, limit: int) -> Iterator[Target]:
        return (self.progress.targets[one] for one in islice(self._groups[group], max(0, limit)))

    def _enter(self, target: Target) -> None:
        self._place[target.server_id] = (target.state, target.since)
        group = _group_of(target.state)
        if group is not None:
            self._groups[group][target.server_id] = None

    def _leave(self, server_id: str) -> None:
        for group in self._groups:
            group.pop(server_id, None)


def _group_of(state: TargetState) -> int | None:
    if state in QUIET:
        return None
    if state in TROUBLED:
        return 0
    return 1 if state in DOUBTFUL else 2
