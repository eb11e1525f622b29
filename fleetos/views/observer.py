"""What the engine tells after a turn, passed on to a view with the time that the view needs."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from fleetos.clock import Clock
from fleetos.model.journal.events import Record
from fleetos.model.progress import Progress
from fleetos.views.view import SilentView, View


class ViewObserver:
    """Tells one view of each turn; `tick` lets time pass on it while no turn has anything to say.

    A view that cannot write any more (a closed pipe, a terminal that is gone, a full disk) is silent from then on: a
    run does not end because nobody looks.
    """

    def __init__(self, view: View, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._progress: Progress | None = None
        self._requests: Mapping[str, int] = {}

    def started(self, progress: Progress) -> None:
        self._progress = progress
        with self._seen():
            self._view.started(progress, self._clock.now())

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        self._requests = requests
        with self._seen():
            self._view.turned(progress, records, requests, self._clock.now())

    def told(self, progress: Progress, record: Record) -> None:
        """Passes on a record that no turn of the engine has written."""
        self.turned(progress, [record], self._requests)

    def tick(self) -> None:
        """Shows the time that has passed; worth calling about once a second."""
        if self._progress is not None:
            self.turned(self._progress, (), self._requests)

    def ended(self, requests: Mapping[str, int]) -> None:
        if self._progress is not None:
            with self._seen():
                self._view.ended(self._progress, requests, self._clock.now())

    def note(self, text: str) -> None:
        with self._seen():
            self._view.note(text, self._clock.now())

    @contextmanager
    def _seen(self) -> Generator[None]:
        try:
            yield
        except (OSError, UnicodeError):
            self._view = SilentView()
