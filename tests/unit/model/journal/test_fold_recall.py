"""A turn that is taken back: what the target forgets, and what it never forgets."""

from dataclasses import replace

import pytest

from fleetos.errors import IllegalMove
from fleetos.limits import MAX_REFUSALS
from fleetos.model.journal.events import ChangeAnswered, ChangeIntended, Moved
from fleetos.model.run import Attempt, End, Outcome
from fleetos.model.states import Reason, TargetState
from tests.support.builders import START, STOPPED, a_target, an_attempt
from tests.unit.model.journal.test_fold import DEADLINE, ID, happen

S = TargetState


@pytest.mark.parametrize(
    "recall", [Moved(ID, S.WAITING), Moved(ID, S.RESTORING, then=End(S.WAITING, None, ""))], ids=["at once", "started"]
)
def test_a_recall_forgets_an_attempt_of_which_the_cloud_took_nothing(recall: Moved) -> None:
    refused = a_target(state=S.READY, attempts=(an_attempt(sends=3),), refusals=2, stopped_at=START)
    assert refused.recallable
    after = happen(refused, recall)
    assert (after.attempts, after.refusals, after.stopped_at) == ((), 0, START)
    assert happen(replace(refused, state=S.READY), Moved(ID, S.HELD, Reason.LOCKED)).attempts == refused.attempts


def test_one_refusal_in_each_of_many_nights_holds_nobody() -> None:
    target = a_target(state=S.READY)
    for _ in range(MAX_REFUSALS + 1):
        target = happen(target, ChangeIntended(ID, 1, STOPPED, DEADLINE))
        target = happen(target, ChangeAnswered(ID, 1, S.READY, "later"))
        assert target.refusals == 1
        for state in (S.WAITING, S.CHECKING, S.READY):
            target = happen(target, Moved(ID, state))


@pytest.mark.parametrize(
    "attempt",
    [
        an_attempt(unanswered=1),
        an_attempt(outcome=Outcome.FAILED),
        an_attempt(outcome=Outcome.UNKNOWN),
        an_attempt(outcome=Outcome.REFUSED, unanswered=1),
    ],
    ids=["may have arrived", "failed", "unknown", "refused after one that may have arrived"],
)
def test_others_are_not_recalled(attempt: Attempt) -> None:
    assert not a_target(state=S.READY, attempts=(attempt,)).recallable


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_DELIVERED])
def test_an_attempt_that_was_used_up_without_any_effect_is_recalled_and_not_forgotten(outcome: Outcome) -> None:
    used = an_attempt(outcome=outcome, ended_at=START)
    retried = a_target(state=S.READY, attempts=(used, an_attempt(number=2)), stopped_at=START)
    assert retried.recallable
    assert happen(retried, Moved(ID, S.WAITING)).attempts == (used,)


def test_an_accepted_change_is_never_forgotten() -> None:
    accepted = a_target(state=S.READY, attempts=(an_attempt(accepted_at=START),))
    assert not accepted.recallable
    for recall in (Moved(ID, S.WAITING), Moved(ID, S.RESTORING, then=End(S.WAITING, None, ""))):
        with pytest.raises(IllegalMove, match="cannot be recalled"):
            happen(accepted, recall)
