"""Targets worth showing, updated in O(changed targets)."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

from fleetos.model.journal.events import Record, RunEvent
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import ENDS, TargetState

# Newest turns with an ended change from which the pace is computed: enough to be steady, few enough to follow it.
_PACE_TURNS = 256
# Fewer changes than this say nothing about the pace.
_PACE_CHANGES_MIN = 3

TROUBLED = frozenset({TargetState.FAILED, TargetState.HELD})
DOUBTFUL = frozenset({TargetState.INSPECTING, TargetState.BACKOFF})
QUIET = frozenset({TargetState.WAITING, TargetState.DONE, TargetState.SKIPPED, TargetState.CANCELLED})

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def changed_ids(records: Iterable[Record]) -> Mapping[str, None]:
    """Return the servers that the records are about, each once, in the order of the records."""
    return {record.event.server_id: None for record in records if not isinstance(record.event, RunEvent)}


class Highlights:
    """Targets of interest, and the pace of the run.

    The targets are in three groups: troubled (failed, held), doubtful (an unknown outcome, or a wait for the next
    attempt) and moving. In each, the target that moved longest ago comes first.
    """

    def __init__(self, progress: Progress, now: datetime) -> None:
        self.progress = progress
        self.started_at = now
        self._groups: tuple[dict[str, None], dict[str, None], dict[str, None]] = ({}, {}, {})
        self._last_states: dict[str, tuple[TargetState, datetime | None]] = {}
        shown = [target for target in progress.targets.values() if target.state not in QUIET]
        for target in sorted(shown, key=lambda target: (target.since or _LONG_AGO, target.position)):
            self._add_to_group(target)
        self._ended_count = 0
        self._pace: deque[tuple[datetime, int]] = deque([(now, 0)], maxlen=_PACE_TURNS)

    @property
    def total(self) -> int:
        """Number of targets."""
        return len(self.progress.targets)

    @property
    def ended(self) -> int:
        """Number of targets that have ended."""
        return sum(self.progress.counts.get(state, 0) for state in ENDS)

    def update(self, records: Sequence[Record], now: datetime) -> None:
        """Update the groups for the targets that changed; the progress has changed already."""
        for server_id in changed_ids(records):
            target = self.progress.targets[server_id]
            if self._last_states.get(server_id) != (target.state, target.since):
                self._remove_from_group(server_id)
                self._add_to_group(target)
                # A target without an attempt ends at once, and says nothing about how long the others take.
                self._ended_count += target.ended and bool(target.attempts)
        if self._ended_count > self._pace[-1][1]:
            self._pace.append((now, self._ended_count))

    def troubled(self, limit: int) -> list[Target]:
        """Return at most `limit` failed and held targets, the newest first."""
        return [self.progress.targets[server_id] for server_id in islice(reversed(self._groups[0]), max(0, limit))]

    def doubtful(self, limit: int) -> list[Target]:
        """Return at most `limit` targets with an unknown outcome or a wait for the next attempt, the oldest first."""
        return list(self._oldest(1, limit))

    def moving(self, limit: int) -> list[Target]:
        """Return at most `limit` targets that move as they should, the longest in their state first."""
        return list(self._oldest(2, limit))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of troubled, doubtful and moving targets."""
        troubled, doubtful, moving = self._groups
        return len(troubled), len(doubtful), len(moving)

    def remaining_s(self, now: datetime) -> float | None:
        """Return the estimated seconds until every target has ended; None while too few changes have ended.

        It counts down between two turns in which changes end, so a wave of changes does not make it jump.
        """
        (begun_at, before), (last_at, changed) = self._pace[0], self._pace[-1]
        took_s = (last_at - begun_at).total_seconds()
        if changed - before < _PACE_CHANGES_MIN or took_s <= 0:
            return None
        whole_s = (self.total - self.ended) * took_s / (changed - before)
        return max(0.0, whole_s - (now - last_at).total_seconds())

    def _oldest(self, group: int, limit: int) -> Iterator[Target]:
        return (self.progress.targets[server_id] for server_id in islice(self._groups[group], max(0, limit)))

    def _add_to_group(self, target: Target) -> None:
        self._last_states[target.server_id] = (target.state, target.since)
        group = _group_of(target.state)
        if group is not None:
            self._groups[group][target.server_id] = None

    def _remove_from_group(self, server_id: str) -> None:
        for group in self._groups:
            group.pop(server_id, None)


def _group_of(state: TargetState) -> int | None:
    if state in QUIET:
        return None
    if state in TROUBLED:
        return 0
    return 1 if state in DOUBTFUL else 2
