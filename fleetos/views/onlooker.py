"""What the engine tells after a turn, passed on to a view with the time that the view needs."""

from collections.abc import Mapping, Sequence

from fleetos.clock import Clock
from fleetos.model.events import Record
from fleetos.model.progress import Progress
from fleetos.views.view import View


class Onlooker:
    """Tells one view of each turn; `tick` lets time pass on it while no turn has anything to say."""

    def __init__(self, view: View, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._progress: Progress | None = None
        self._requests: Mapping[str, int] = {}

    def started(self, progress: Progress) -> None:
        self._progress = progress
        self._view.started(progress, self._clock.now())

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        self._requests = requests
        self._view.turned(progress, records, requests, self._clock.now())

    def tick(self) -> None:
        """Shows the time that has passed; worth calling about once a second."""
        if self._progress is not None:
            self._view.turned(self._progress, (), self._requests, self._clock.now())

    def ended(self, requests: Mapping[str, int]) -> None:
        if self._progress is not None:
            self._view.ended(self._progress, requests, self._clock.now())

    def note(self, text: str) -> None:
        self._view.note(text, self._clock.now())
