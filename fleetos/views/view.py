"""What every view can do, and the two that draw nothing: silence, and one JSON line for each event."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TextIO

from fleetos.model.journal.events import Record, RunEvent
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.views.documents.events import event_document
from fleetos.views.text.format import printable, short_stamp


class View(Protocol):
    """Somebody who looks at a run while it is driven. All times are UTC and come from the caller.

    `requests` is how many requests this process has sent so far, by operation.
    """

    def started(self, progress: Progress, now: datetime) -> None:
        """Called once, before the first turn."""
        ...

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        """Called after each turn that was committed, with its records; without any, it lets time pass."""
        ...

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        """Called once, when the run is driven no longer, for whatever reason."""
        ...

    def note(self, text: str, now: datetime) -> None:
        """Says something that is no event of the run: a signal that was heard, a wait for the lease."""
        ...


class SilentView:
    """Says nothing."""

    def started(self, progress: Progress, now: datetime) -> None:
        pass

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        pass

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        pass

    def note(self, text: str, now: datetime) -> None:
        pass


class JsonLinesView:
    """Writes each event as one line of JSON to `data`, at once; notes go to `notes`, which is not for programs."""

    def __init__(self, data: TextIO, notes: TextIO) -> None:
        self._data = data
        self._notes = notes

    def started(self, progress: Progress, now: datetime) -> None:
        pass

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        del requests, now  # the records tell their own time
        for record in records:
            self._data.write(event_line(record, progress.run.id, name_of(record, progress.targets)))
        if records:
            self._data.flush()

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        del progress, requests, now  # the last record has said it
        self._data.flush()

    def note(self, text: str, now: datetime) -> None:
        self._notes.write(f"{short_stamp(now)} {printable(text)}\n")
        self._notes.flush()


def event_line(record: Record, run_id: str, server: str | None = None) -> str:
    """The record as one line of JSON in ASCII, with its line end."""
    return json.dumps(event_document(record, run_id, server), separators=(",", ":")) + "\n"


def name_of(record: Record, targets: Mapping[str, Target]) -> str | None:
    """The name of the server that the record is about, None where it is about the whole run."""
    target = None if isinstance(record.event, RunEvent) else targets.get(record.event.server_id)
    return target and target.name
