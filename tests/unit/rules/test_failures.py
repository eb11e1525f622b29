"""Budgets count what failed, beside a recount of all that happened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.steering.rollout import BetweenWaves, Budgets, OfLast, Steering, Wave
from fleetos.rules.failures import Excess, Failures, find_excess

LAST = 4
SERVERS = st.integers(0, 7).map(lambda number: f"server-{number}")


def steering(
    max_failed: int | None = None, of_last: OfLast | None = None, waves: tuple[int | None, ...] = ()
) -> Steering:
    """Steering with these budgets, the last one for each wave of 10."""
    numbered = enumerate(waves, 1)
    return Steering(
        waves=tuple(Wave(number, None, 10, BetweenWaves(), allowed) for number, allowed in numbered),
        budgets=Budgets(max_failed, of_last),
    )


@given(st.lists(st.tuples(st.sampled_from(["done", "failed", "again", "forgiven"]), SERVERS), max_size=40))
def test_counts_are_those_of_a_recount(acts: list[tuple[str, str]]) -> None:
    failures = Failures(LAST)
    ends: list[tuple[str, bool]] = []
    for act, server_id in acts:
        wave = 1 + int(server_id[-1]) % 2
        if act == "forgiven":
            failures.forgive(server_id)
            ends = [(other, failed and other != server_id) for other, failed in ends]
            continue
        ends = [(other, failed) for other, failed in ends if other != server_id]
        if act == "again":
            failures.discard(server_id)
        else:
            failures.add_end(server_id, wave, failed=act == "failed")
            ends.append((server_id, act == "failed"))
    assert failures.failed == sum(failed for _, failed in ends)
    assert failures.failed_of_last() == sum(failed for _, failed in ends[-LAST:])
    for wave in (1, 2):
        assert failures.failed_in(wave) == sum(
            failed for server_id, failed in ends if 1 + int(server_id[-1]) % 2 == wave
        )


@pytest.mark.parametrize(
    ("budgets", "failed", "excess"),
    [
        (steering(), 40, None),
        (steering(max_failed=2), 2, None),
        (steering(max_failed=2), 3, Excess("max_failed", 3, 2, 40)),
        (steering(max_failed=0), 1, Excess("max_failed", 1, 0, 40)),
        (steering(of_last=OfLast(1, 20)), 1, None),
        (steering(of_last=OfLast(1, 20)), 2, Excess("of_last", 2, 1, 20)),
        (steering(waves=(2, 0)), 2, None),
        (steering(waves=(2, 0)), 3, Excess("wave 1", 3, 2, 10)),
        (steering(waves=(None,)), 9, None),
        (steering(max_failed=2, waves=(0,)), 3, Excess("max_failed", 3, 2, 40)),
    ],
)
def test_a_budget_is_exceeded_when_more_failed(budgets: Steering, failed: int, excess: Excess | None) -> None:
    failures = Failures.of(budgets, ((f"server-{number}", 1, True) for number in range(failed)))
    assert find_excess(budgets, failures, 40) == excess


def test_a_failure_long_ago_is_none_of_the_last() -> None:
    budgets = steering(of_last=OfLast(0, 2))
    ends = [("a", 0, True), ("b", 0, False), ("c", 0, False)]
    assert find_excess(budgets, Failures.of(budgets, ends), 3) is None
    assert find_excess(budgets, Failures.of(budgets, ends[:2]), 3) is not None


def test_words_say_the_rule_that_was_broken() -> None:
    assert Excess("max_failed", 3, 2, 40).words == "more than 2 of 40 failed (3)"
    assert Excess("of_last", 3, 2, 20).words == "more than 2 of the last 20 failed (3)"
    assert Excess("wave 2", 1, 0, 5).words == "more than 0 of 5 of wave 2 failed (1)"
