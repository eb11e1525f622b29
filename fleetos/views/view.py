"""View protocol; the silent view and the JSON-lines view."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TextIO

from fleetos.model.journal.events import Record, RunEvent
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.views.documents.events import event_document
from fleetos.views.text.format import printable, short_timestamp
from fleetos.views.text.rollout_words import RolloutSource


class View(Protocol):
    """Display of a run while it is driven. All times are UTC and come from the caller.

    `requests`: number of requests that this process has sent so far, by operation.
    """

    def started(self, progress: Progress, now: datetime, rollout: RolloutSource | None = None) -> None:
        """Begin to show the run: once, before the first turn. `rollout`: None where nobody drives it here."""
        ...

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        """Show a committed turn with its records, or, without records, the time that has passed."""
        ...

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        """Show the end: once, when this process no longer drives the run, for whatever reason."""
        ...

    def note(self, text: str, now: datetime) -> None:
        """Show a message that is no event of the run, such as a received signal or a wait for the lease."""
        ...


class SilentView:
    """View that shows nothing."""

    def started(self, progress: Progress, now: datetime, rollout: RolloutSource | None = None) -> None:
        pass

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        pass

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        pass

    def note(self, text: str, now: datetime) -> None:
        pass


class JsonLinesView:
    """View that writes each event to `data` at once, as one line of JSON; notes go to `notes`, for people."""

    def __init__(self, data: TextIO, notes: TextIO) -> None:
        self._data = data
        self._notes = notes

    def started(self, progress: Progress, now: datetime, rollout: RolloutSource | None = None) -> None:
        pass

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        del requests, now  # each record has its own time
        for record in records:
            self._data.write(event_line(record, progress.run.id, name_of(record, progress.targets)))
        if records:
            self._data.flush()

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        del progress, requests, now  # the last record is the end of the run
        self._data.flush()

    def note(self, text: str, now: datetime) -> None:
        self._notes.write(f"{short_timestamp(now)} {printable(text)}\n")
        self._notes.flush()


def event_line(record: Record, run_id: str, server: str | None = None) -> str:
    """Return the record as one line of JSON in ASCII, with its line end."""
    return json.dumps(event_document(record, run_id, server), separators=(",", ":")) + "\n"


def name_of(record: Record, targets: Mapping[str, Target]) -> str | None:
    """Return the name of the server that the record is about; None if it is about the whole run."""
    target = None if isinstance(record.event, RunEvent) else targets.get(record.event.server_id)
    return target and target.name
