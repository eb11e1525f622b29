"""The decision that pauses a run: what counts, when it is exceeded, and what is said of it."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.states import TargetState
from fleetos.rules.budgets import budgets, forgiveness
from tests.support.builders import SETTINGS, a_target


def exceeded(first: int | None, failed: int, done: int) -> bool:
    return any(budget.exceeded for budget in budgets(replace(SETTINGS, failure_first=first), failed, done))


@pytest.mark.parametrize(
    ("first", "failed", "done", "pauses"),
    [
        (5, 4, 0, False),
        (5, 5, 0, True),
        (5, 6, 0, True),
        (5, 5, 1, False),
        (5, 300, 1, False),
        (1, 0, 0, False),
        (1, 1, 0, True),
        (None, 300, 0, False),
    ],
)
def test_the_first_so_many_must_fail_and_none_be_done(first: int | None, failed: int, done: int, pauses: bool) -> None:
    assert exceeded(first, failed, done) is pauses


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 12))
def test_it_is_exceeded_exactly_when_the_first_so_many_that_ended_failed(ends: list[bool], first: int) -> None:
    """Server by server, in the order in which they ended: the first of them all failed, and none is done."""
    for ended in range(len(ends) + 1):
        so_far = ends[:ended]
        by_words = len(so_far) >= first and not any(so_far[:first]) and not any(so_far)
        assert exceeded(first, so_far.count(False), so_far.count(True)) is by_words


@given(st.integers(0, 300), st.integers(1, 100))
def test_more_failures_never_take_a_pause_back(failed: int, first: int) -> None:
    verdicts = [exceeded(first, number, 0) for number in range(failed, failed + 5)]
    assert all(before <= after for before, after in pairwise(verdicts))


@pytest.mark.parametrize(
    ("state", "excused", "pass_no", "counts"),
    [
        (TargetState.FAILED, False, 2, True),
        (TargetState.HELD, False, 2, True),
        (TargetState.HELD, True, 2, False),
        (TargetState.FAILED, False, 1, False),
        (TargetState.BACKOFF, False, 2, False),
        (TargetState.SKIPPED, False, 2, False),
        (TargetState.CANCELLED, False, 2, False),
        (TargetState.DONE, False, 2, False),
    ],
)
def test_failed_and_held_of_this_pass_count(state: TargetState, excused: bool, pass_no: int, counts: bool) -> None:
    target = a_target(state=state, excused=excused, pass_no=pass_no)
    assert target.failed_in(2) is counts
    assert target.done_in(2) is (state is TargetState.DONE)


def test_the_words_name_the_rule_and_what_becomes_of_it() -> None:
    (budget,) = budgets(replace(SETTINGS, failure_first=5), 5, 0)
    assert (budget.scope, budget.failed, budget.allowed) == ("first", 5, 4)
    said = f"{budget.words}; {forgiveness(5, 3)}"
    assert said == "the first 5 changed servers all failed; 3 in flight finish; resume forgives these 5"
    (budget,) = budgets(replace(SETTINGS, failure_first=1), 1, 0)
    assert f"{budget.words}; {forgiveness(1, 0)}" == "the first changed server failed; resume forgives this 1"
    assert budgets(SETTINGS, 5, 0) == ()
