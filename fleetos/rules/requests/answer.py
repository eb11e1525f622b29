"""Answer to an operator's request, and the run that it is asked of. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fleetos.model.journal.events import Event, RequestAnswered
from fleetos.model.journal.requests import OperatorRequest, RequestOutcome
from fleetos.model.run import Run, Target


class RunDraft(Protocol):
    """Run as the requests before have left it."""

    run: Run
    at: datetime

    def find(self, server_id: str) -> Target | None:
        """Return the target; None if the run has no such server."""
        ...

    def failures(self) -> Iterable[Target]:
        """Return the targets whose failure counts towards a budget."""
        ...

    def ended_by_wave(self) -> Mapping[int, int]:
        """Return the number of members that have ended, by wave."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to a request, and the events of its effect."""

    outcome: RequestOutcome
    detail: str = ""
    events: tuple[Event, ...] = ()

    def record(self, request: OperatorRequest) -> RequestAnswered:
        """Return the event that says what became of the request."""
        return RequestAnswered(request.id, request.kind, self.outcome, request.by, request.reason, self.detail)


def no_effect(detail: str) -> Answer:
    """Return the answer that the run is as it was asked to be, or past it."""
    return Answer(RequestOutcome.NO_EFFECT, detail)


def refused(detail: str) -> Answer:
    """Return the answer that nothing is done."""
    return Answer(RequestOutcome.REFUSED, detail)


def done(detail: str, *events: Event) -> Answer:
    """Return the answer that these events are the effect."""
    return Answer(RequestOutcome.DONE, detail, events)
