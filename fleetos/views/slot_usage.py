"""Share of slots in use, and how long servers stay stopped before their change, as one process sees them."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from fleetos.model.journal.events import ChangeIntended, Moved, Record
from fleetos.model.progress import Progress
from fleetos.model.states import TargetState


class SlotUsage:
    """Sums over the turns of a run. They use the times of the calls of `turned`, and the times of the records."""

    def __init__(self) -> None:
        self._updated_at: datetime | None = None
        self._slots_in_use = 0
        self._targets_wait = False
        self._used_slot_s = 0.0
        self._all_slot_s = 0.0
        self._ready_at: dict[str, datetime] = {}
        self._stopped_s: list[float] = []

    @property
    def slots_used(self) -> float | None:
        """Share of the slots that was in use while targets waited for one; None before the first such moment."""
        return self._used_slot_s / self._all_slot_s if self._all_slot_s > 0 else None

    @property
    def stopped_s(self) -> float | None:
        """Median seconds between a stop and the change that it was made for; None: no server was stopped."""
        return median(self._stopped_s) if self._stopped_s else None

    def add_turn(self, progress: Progress, records: Sequence[Record], now: datetime) -> None:
        """Add a turn, or only the time that has passed."""
        if self._targets_wait and self._updated_at is not None:
            passed_s = max(0.0, (now - self._updated_at).total_seconds())
            self._used_slot_s += passed_s * self._slots_in_use
            self._all_slot_s += passed_s * progress.run.settings.concurrency
        for record in records:
            self._add_record(progress, record)
        self._updated_at, self._slots_in_use = now, progress.slots_taken
        # Measure from the first slot in use on. An empty slot is no loss once no target waits for one.
        waiting = progress.ahead + progress.counts.get(TargetState.WAITING, 0)
        self._targets_wait = waiting > 0 and (self._targets_wait or self._slots_in_use > 0)

    def _add_record(self, progress: Progress, record: Record) -> None:
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
