"""Forward engine turns to a view, with the wall clock time that the view needs."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from fleetos.clock import Clock
from fleetos.model.journal.events import Record
from fleetos.model.progress import Progress
from fleetos.views.text.rollout_words import RolloutSource
from fleetos.views.view import SilentView, View


class ViewObserver:
    """Observer that forwards each turn to one view, and lets time pass on it between turns.

    A view that can no longer write (closed pipe, lost terminal, full disk) is replaced by a silent one: a run does not
    end because its output is not read.
    """

    def __init__(self, view: View, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._progress: Progress | None = None
        self._requests: Mapping[str, int] = {}

    def started(self, progress: Progress, rollout: RolloutSource | None = None) -> None:
        self._progress = progress
        with self._silence_when_lost():
            self._view.started(progress, self._clock.now(), rollout)

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        self._requests = requests
        with self._silence_when_lost():
            self._view.turned(progress, records, requests, self._clock.now())

    def forward_record(self, progress: Progress, record: Record) -> None:
        """Forward a record that was not written by a turn of the engine."""
        self.turned(progress, [record], self._requests)

    def tick(self) -> None:
        """Let the view show the time that has passed. Call it about once a second."""
        if self._progress is not None:
            self.turned(self._progress, (), self._requests)

    def ended(self, requests: Mapping[str, int]) -> None:
        if self._progress is not None:
            with self._silence_when_lost():
                self._view.ended(self._progress, requests, self._clock.now())

    def note(self, text: str) -> None:
        with self._silence_when_lost():
            self._view.note(text, self._clock.now())

    @contextmanager
    def _silence_when_lost(self) -> Generator[None]:
        try:
            yield
        except (OSError, UnicodeError):
            self._view = SilentView()
