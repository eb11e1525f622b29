"""The record of an answer says who asked, why, and what became of it."""

from fleetos.model.journal.events import RequestAnswered, SettingChanged
from fleetos.model.journal.requests import OperatorRequest, RequestKind, RequestOutcome
from fleetos.rules.requests.answer import done, no_effect, refused
from tests.support.builders import START


def test_an_answer_is_recorded_with_its_request() -> None:
    request = OperatorRequest(7, RequestKind.SET, "anna", START, "a short night")
    ours = done("concurrency is 3", SettingChanged(3))
    assert ours.events == (SettingChanged(3),)
    assert ours.record(request) == RequestAnswered(
        7, RequestKind.SET, RequestOutcome.DONE, "anna", "a short night", "concurrency is 3"
    )
    assert [(other.outcome, other.events) for other in (no_effect("so"), refused("no"))] == [
        (RequestOutcome.NO_EFFECT, ()),
        (RequestOutcome.REFUSED, ()),
    ]
