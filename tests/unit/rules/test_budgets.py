"""The decision that pauses a run: what counts, when it is exceeded, and what is said of it."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.run import End, Run, Target
from fleetos.model.states import RETRIABLE, Reason, TargetState
from fleetos.model.steering.rollout import BetweenWaves, Budgets, OfLast, Steering, Wave
from fleetos.rules.budgets import Budget, Failures, budgets, forgiveness
from tests.support.builders import SETTINGS, START, a_run, a_target

S = TargetState
LAST = 4


def ends(failed: int, done: int = 0, wave: int = 0) -> list[Target]:
    """Targets of which so many failed and so many are done."""
    states = [S.FAILED] * failed + [S.DONE] * done
    return [a_target(number, state=state, wave=wave, since=START) for number, state in enumerate(states)]


def braked(first: int | None) -> Run:
    return a_run(settings=replace(SETTINGS, failure_first=first))


def budgets_of(run: Run, targets: list[Target]) -> list[Budget]:
    return list(budgets(run, Failures.of(run, targets)))


def exceeded(first: int | None, failed: int, done: int) -> bool:
    return any(budget.exceeded for budget in budgets_of(braked(first), ends(failed, done)))


def steered(max_failed: int | None = None, of_last: OfLast | None = None, waves: tuple[int | None, ...] = ()) -> Run:
    """A run with these budgets, the last one for each wave of 10. Two waves are open."""
    numbered = enumerate(waves, 1)
    steering = Steering(
        waves=tuple(Wave(number, None, 10, BetweenWaves(), allowed) for number, allowed in numbered),
        budgets=Budgets(max_failed, of_last),
    )
    return a_run(steering=steering, waves_opened=2, wipes=40)


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


@pytest.mark.slow
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
    (budget,) = budgets_of(braked(5), ends(5))
    assert (budget.scope, budget.failed, budget.allowed) == ("first", 5, 4)
    said = f"{budget.words}; {forgiveness(5, 3)}"
    assert said == "the first 5 changed servers all failed; 3 in flight finish; resume forgives these 5"
    (budget,) = budgets_of(braked(1), ends(1))
    assert f"{budget.words}; {forgiveness(1, 0)}" == "the first changed server failed; resume forgives this 1"
    assert budgets_of(a_run(), ends(5)) == []
    assert Budget("max_failed", 3, 2, 40).words == "more than 2 of 40 failed (3)"
    assert Budget("of_last", 3, 2, 20).words == "more than 2 of the last 20 failed (3)"
    assert Budget("wave 2", 1, 0, 5).words == "more than 0 of 5 of wave 2 failed (1)"


@given(
    st.lists(
        st.tuples(st.sampled_from(["done", "failed", "held", "again", "forgiven"]), st.integers(0, 7)), max_size=40
    )
)
def test_counts_are_those_of_a_recount(acts: list[tuple[str, int]]) -> None:
    targets = {number: a_target(number, wave=1 + number % 2) for number in range(8)}
    failures = Failures(a_run())
    order: list[int] = []
    for act, number in acts:
        target = targets[number]
        if act == "forgiven":
            target = replace(target, excused=target.excused or target.state in RETRIABLE)
        elif act == "again":
            target = replace(target, state=S.WAITING, excused=False)
            order = [other for other in order if other != number]
        elif not target.ended:
            target = replace(target, state=S(act))
            order.append(number)
        targets[number] = target
        failures.update(target)
    failed = [number for number in order if targets[number].failed_in(1)]
    assert failures.failed == len(failed)
    assert failures.done == sum(targets[number].state is S.DONE for number in order)
    assert failures.failed_of_last(LAST) == len(set(failed) & set(order[-LAST:]))
    for wave in (1, 2):
        assert failures.failed_in(wave) == sum(targets[number].wave == wave for number in failed)


@pytest.mark.parametrize(
    ("run", "failed", "excess"),
    [
        (steered(), 40, None),
        (steered(max_failed=2), 2, None),
        (steered(max_failed=2), 3, Budget("max_failed", 3, 2, 40)),
        (steered(max_failed=0), 1, Budget("max_failed", 1, 0, 40)),
        (steered(of_last=OfLast(1, 20)), 1, None),
        (steered(of_last=OfLast(1, 20)), 2, Budget("of_last", 2, 1, 20)),
        (steered(waves=(2, 0)), 2, None),
        (steered(waves=(2, 0)), 3, Budget("wave 1", 3, 2, 10)),
        (steered(waves=(None,)), 9, None),
        (steered(max_failed=2, waves=(0,)), 3, Budget("max_failed", 3, 2, 40)),
    ],
)
def test_a_budget_is_exceeded_when_more_failed(run: Run, failed: int, excess: Budget | None) -> None:
    found = (budget for budget in budgets_of(run, ends(failed, wave=1)) if budget.exceeded)
    assert next(found, None) == excess


def test_a_failure_long_ago_is_none_of_the_last() -> None:
    run = steered(of_last=OfLast(0, 2))
    later = [replace(target, since=START.replace(hour=13 + at)) for at, target in enumerate(ends(1, 2))]
    assert not any(budget.exceeded for budget in budgets_of(run, later))
    assert any(budget.exceeded for budget in budgets_of(run, later[:2]))


def test_one_whose_power_is_put_back_ends_anew_as_for_a_driver_that_takes_the_run_over() -> None:
    run = steered(of_last=OfLast(0, 2))
    failing = a_target(0, state=S.RESTORING, then=End(S.FAILED, Reason.ATTEMPTS_USED_UP, ""), since=START)
    failed = replace(failing, state=S.FAILED, then=None, since=START.replace(hour=15))
    done = [a_target(number, state=S.DONE, since=START.replace(hour=13)) for number in (1, 2)]
    failures = Failures(run)
    for target in (failing, *done):
        failures.update(target)
    assert failures.failed_of_last(2) == 0
    failures.update(failed)
    assert failures.failed_of_last(2) == Failures.of(run, [failed, *done]).failed_of_last(2) == 1
