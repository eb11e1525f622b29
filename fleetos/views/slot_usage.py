"""How full a run keeps its slots, and how long servers stay powered off before their change, as one process sees it."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from fleetos.model.journal.events import ChangeIntended, Moved, Record
from fleetos.model.progress import Progress
from fleetos.model.states import TargetState


class SlotUsage:
    """Adds up what the turns of a run show. Times are those at which it hears of them, and of the records."""

    def __init__(self) -> None:
        self._heard_at: datetime | None = None
        self._taken = 0
        self._crowded = False
        self._filled_s = 0.0
        self._room_s = 0.0
        self._ready_at: dict[str, datetime] = {}
        self._stopped_s: list[float] = []

    @property
    def slots_used(self) -> float | None:
        """The share of the slots that was taken while others waited for one; None before the first."""
        return self._filled_s / self._room_s if self._room_s > 0 else None

    @property
    def stopped_s(self) -> float | None:
        """The median of the seconds for which servers that were stopped for it waited for their change; None: none."""
        return median(self._stopped_s) if self._stopped_s else None

    def turned(self, progress: Progress, records: Sequence[Record], now: datetime) -> None:
        """Hears of a turn, or that time has passed."""
        if self._crowded and self._heard_at is not None:
            passed_s = max(0.0, (now - self._heard_at).total_seconds())
            self._filled_s += passed_s * self._taken
            self._room_s += passed_s * progress.run.settings.concurrency
        for record in records:
            self._take(progress, record)
        self._heard_at, self._taken = now, progress.slots_taken
        # Before the first slot is taken there is nothing to measure, and once nobody waits an empty one is no loss.
        waiting = progress.ahead + progress.counts.get(TargetState.WAITING, 0)
        self._crowded = waiting > 0 and (self._crowded or self._taken > 0)

    def _take(self, progress: Progress, record: Record) -> None:
        match record.event:
            case Moved(server_id=server_id, to=TargetState.READY):
                if progress.targets[server_id].stopped_at is not None:
                    self._ready_at[server_id] = record.at
            case ChangeIntended(server_id=server_id):
                ready_at = self._ready_at.pop(server_id, None)
                if ready_at is not None:
                    self._stopped_s.append(max(0.0, (record.at - ready_at).total_seconds()))
            case _:
                pass
