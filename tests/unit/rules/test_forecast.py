"""How long changes take: the estimate of Kaplan and Meier over ended and running ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.rules.forecast import ChangeGroup, Forecast, RunningChanges

AGES = st.lists(st.floats(0, 1000), max_size=30)


def of_one_kind(forecast: Forecast, ages_s: list[float]) -> RunningChanges:
    """Changes of one kind."""
    return RunningChanges((ChangeGroup(forecast, tuple(ages_s)),))


def test_without_an_end_nothing_is_known() -> None:
    for forecast in (Forecast(), Forecast.of([]), Forecast.of([], [5.0, 10.0])):
        assert not forecast.known
        assert forecast.median_s is None
        assert forecast.quantile_s(0.95) is None
        assert forecast.end_chance(10, 1000) == 0
        assert forecast.expected_ends([1, 2, 3], 1000) == 0
        assert of_one_kind(forecast, [1, 2, 3]).time_until(1, 60) == 60


def test_without_running_ones_it_is_the_share_that_lasted_longer() -> None:
    forecast = Forecast.of([40, 10, 30, 20])
    assert forecast.ages_s == (10, 20, 30, 40)
    assert forecast.survival == pytest.approx((0.75, 0.5, 0.25, 0.0))


def test_running_ones_count_as_long_as_they_have_lasted() -> None:
    # At risk: 6 at 10 s, 4 at 20 s (one of 15 s has left), 2 at 40 s (one of 30 s has left).
    forecast = Forecast.of([10, 20, 40], [15, 30, 50])
    assert forecast.ages_s == (10, 20, 40)
    assert forecast.survival == pytest.approx((5 / 6, 5 / 6 * 3 / 4, 5 / 6 * 3 / 4 * 1 / 2))


def test_one_that_has_lasted_just_as_long_was_at_risk() -> None:
    assert Forecast.of([10], [10]).survival == pytest.approx((1 / 2,))


def test_one_age_may_stand_for_several_changes() -> None:
    assert Forecast.of([10, 20, 40], [15, 30, 50], each=3) == Forecast.of([10, 20, 40], [15, 30, 50] * 3)
    forecast = Forecast.of([10, 20, 30, 40])
    one, three = ChangeGroup.of(forecast, [5.0, 15.0], each=3), ChangeGroup.of(forecast, [5.0, 15.0] * 3)
    assert RunningChanges((one,)).count == RunningChanges((three,)).count == 6
    assert RunningChanges((one,)).expected_ends(10) == pytest.approx(RunningChanges((three,)).expected_ends(10))


def test_ends_at_one_time_count_each() -> None:
    forecast = Forecast.of([10, 10, 20])
    assert forecast.end_chance(0, 10) == pytest.approx(2 / 3)
    assert forecast.end_chance(0, 9.9) == 0


def test_the_chance_is_that_of_those_that_have_lasted_so_long() -> None:
    forecast = Forecast.of([10, 20, 30, 40])
    assert forecast.end_chance(25, 10) == pytest.approx(1 / 2)
    assert forecast.expected_ends([0, 25, 35], 10) == pytest.approx(1 / 4 + 1 / 2 + 1)


def test_beyond_what_is_known_no_end_is_promised() -> None:
    assert Forecast.of([10, 20]).end_chance(20, 1000) == 0
    unfinished = Forecast.of([10, 20], [100])
    assert unfinished.end_chance(20, 1000) == 0
    assert unfinished.expected_ends([20, 500], 1000) == 0


def test_the_age_by_which_most_have_ended() -> None:
    hundred = Forecast.of(range(1, 101))
    assert hundred.quantile_s(0.5) == 50
    assert hundred.quantile_s(0.945) == 95
    # Most of them still run: the last known end says the most that can be said.
    assert Forecast.of([10, 20], [100] * 8).quantile_s(0.95) == 20


def test_the_time_until_so_many_have_ended() -> None:
    forecast = Forecast.of([10, 20, 30, 40])
    assert of_one_kind(forecast, [0] * 4).time_until(2, 60) == pytest.approx(20, abs=0.1)
    assert of_one_kind(forecast, [15] * 3).time_until(2, 60) == pytest.approx(15, abs=0.1)
    assert of_one_kind(forecast, [0] * 4).time_until(5, 60) == 60


def test_changes_of_several_kinds_are_counted_together() -> None:
    short, long = Forecast.of([10, 20, 30, 40]), Forecast.of([100, 200, 300, 400])
    both = RunningChanges((ChangeGroup(short, (0.0,) * 4), ChangeGroup(long, (0.0,) * 4)))
    assert both.count == 8
    assert both.expected_ends(100) == pytest.approx(4 + 1)
    assert both.time_until(5, 1000) == pytest.approx(100, abs=0.5)
    assert both.median_s == 30


def test_of_an_age_that_no_change_has_outlasted_nothing_is_foreseen() -> None:
    changes = of_one_kind(Forecast.of([10, 20]), [5, 20, 15, 300])
    assert changes.covered().groups[0].ages_s == (5, 15)
    assert changes.uncovered_ages_s() == [20, 300]
    assert of_one_kind(Forecast(), [5]).covered().groups == ()


@given(ended=AGES, running=AGES)
def test_the_share_that_is_left_only_falls(ended: list[float], running: list[float]) -> None:
    left = Forecast.of(ended, running).survival
    assert all(0.0 <= after <= before for before, after in zip((1.0, *left), left, strict=False))


@given(ended=AGES, running=AGES, age=st.floats(0, 2000), within=st.floats(0, 2000), more=st.floats(0, 2000))
def test_a_chance_is_one_and_grows_with_time(
    ended: list[float], running: list[float], age: float, within: float, more: float
) -> None:
    forecast = Forecast.of(ended, running)
    assert 0.0 <= forecast.end_chance(age, within) <= forecast.end_chance(age, within + more) <= 1.0


@given(ended=AGES, ages=AGES, ends=st.floats(0.01, 30), most=st.floats(0.1, 1000))
def test_the_time_until_is_long_enough_and_bounded(
    ended: list[float], ages: list[float], ends: float, most: float
) -> None:
    forecast = Forecast.of(ended)
    until_s = of_one_kind(forecast, ages).time_until(ends, most)
    assert 0 <= until_s <= most
    assert until_s == most or forecast.expected_ends(ages, until_s) >= ends
