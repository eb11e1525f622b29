"""When changes under way together are worth the next look."""

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.rules.forecast import AGES_LOOKED_AT, ChangeGroup, Forecast, RunningChanges
from fleetos.rules.polling import ENDS_PER_SWEEP_CALL, JITTER, UNKNOWN_SWEEP_AGE_SHARE, sweep_interval_s
from tests.support.builders import SETTINGS

LEAST, MOST = SETTINGS.poll_min_s, SETTINGS.poll_max_s
QUICK = replace(SETTINGS, poll_min_s=0.01, poll_max_s=60.0)
NOTHING = Forecast()
# A hundred changes that took from 301 s to 400 s.
MINUTES = Forecast.of(range(301, 401))


def all_of(forecast: Forecast, ages_s: list[float]) -> RunningChanges:
    """Changes of one kind."""
    return RunningChanges((ChangeGroup(forecast, tuple(ages_s)),))


def test_while_nothing_is_known_the_look_comes_after_a_part_of_the_age() -> None:
    assert sweep_interval_s(all_of(NOTHING, [300.0]), 1, SETTINGS, 0.0) == 300 * UNKNOWN_SWEEP_AGE_SHARE
    assert sweep_interval_s(all_of(NOTHING, [100.0, 300.0, 400.0]), 1, SETTINGS, 0.0) == 300 * UNKNOWN_SWEEP_AGE_SHARE
    assert sweep_interval_s(all_of(NOTHING, [0.4]), 1, QUICK, 0.0) == pytest.approx(0.04)


def test_it_stays_within_the_bounds_of_the_plan() -> None:
    assert sweep_interval_s(all_of(NOTHING, [0.0]), 1, SETTINGS, 0.0) == LEAST
    assert sweep_interval_s(all_of(NOTHING, [36_000.0]), 1, SETTINGS, 0.0) == MOST
    assert sweep_interval_s(all_of(NOTHING, []), 1, SETTINGS, 0.0) == MOST


def test_while_nothing_can_have_ended_nobody_looks() -> None:
    assert sweep_interval_s(all_of(MINUTES, [0.0] * 100), 1, SETTINGS, 0.0) == MOST
    assert sweep_interval_s(all_of(MINUTES, [200.0] * 100), 1, SETTINGS, 0.0) == MOST


def test_where_ends_are_dense_the_look_comes_when_some_have_ended() -> None:
    # Of a hundred changes of 300 s one is expected to end each second, and so the last of those that are enough.
    some_s = float(ceil(ENDS_PER_SWEEP_CALL))
    assert sweep_interval_s(all_of(MINUTES, [300.0] * 100), 1, SETTINGS, 0.0) == pytest.approx(
        max(LEAST, some_s), abs=0.1
    )
    fine = replace(SETTINGS, poll_min_s=1.0)
    assert sweep_interval_s(all_of(MINUTES, [300.0] * 100), 1, fine, 0.0) == pytest.approx(some_s, abs=0.1)
    assert sweep_interval_s(all_of(MINUTES, [300.0] * 500), 1, fine, 0.0) == pytest.approx(1.0, abs=0.1)


def test_a_look_of_several_calls_waits_for_more_ends() -> None:
    fine = replace(SETTINGS, poll_min_s=1.0)
    thousand = all_of(MINUTES, [300.0] * 1000)
    # Ten end each second.
    assert sweep_interval_s(thousand, 1, fine, 0.0) == pytest.approx(1.0, abs=0.1)
    assert sweep_interval_s(thousand, 20, fine, 0.0) == pytest.approx(ENDS_PER_SWEEP_CALL * 20 / 10, abs=1.1)


def test_of_many_changes_some_ages_stand_for_all() -> None:
    ages = [float(age) for age in range(1000)]
    kind = ChangeGroup.of(MINUTES, ages)
    assert (len(kind.ages_s), kind.ages_s[0] < 20, kind.ages_s[-1] > 980) == (AGES_LOOKED_AT, True, True)
    few, all_ages = RunningChanges((kind,)), all_of(MINUTES, ages)
    assert few.count == pytest.approx(1000)
    assert few.expected_ends(60.0) == pytest.approx(all_ages.expected_ends(60.0), rel=0.1)


def test_the_first_look_falls_where_the_ends_begin() -> None:
    # The first of them end in 31 s, the next each second.
    assert 30 < sweep_interval_s(all_of(MINUTES, [270.0] * 100), 1, SETTINGS, 0.0) < 40


def test_one_change_that_may_have_ended_does_not_wait_for_others() -> None:
    few = sweep_interval_s(all_of(MINUTES, [300.0, 0.0, 0.0]), 1, SETTINGS, 0.0)
    assert few < MOST
    assert few >= 25


def test_changes_of_less_than_a_second_are_seen_as_soon_in_proportion() -> None:
    seconds = Forecast.of([number / 1000 for number in range(301, 401)])
    assert sweep_interval_s(all_of(seconds, [0.0] * 10), 1, QUICK, 0.0) == pytest.approx(0.32, abs=0.08)
    assert sweep_interval_s(all_of(seconds, [0.3] * 100), 1, QUICK, 0.0) == pytest.approx(0.01, abs=0.005)


def test_each_kind_is_foreseen_by_itself() -> None:
    hours = Forecast.of([3600.0 + number * 60 for number in range(100)])
    mixed = RunningChanges((ChangeGroup(hours, (300.0,) * 100), ChangeGroup(MINUTES, (300.0,) * 100)))
    assert sweep_interval_s(mixed, 1, SETTINGS, 0.0) == sweep_interval_s(
        all_of(MINUTES, [300.0] * 100), 1, SETTINGS, 0.0
    )
    assert sweep_interval_s(RunningChanges((ChangeGroup(hours, (300.0,) * 200),)), 1, SETTINGS, 0.0) == MOST
    unknown = RunningChanges((ChangeGroup(hours, (300.0,) * 100), ChangeGroup(NOTHING, (300.0,))))
    assert sweep_interval_s(unknown, 1, SETTINGS, 0.0) == 300 * UNKNOWN_SWEEP_AGE_SHARE


def test_changes_of_hours_are_not_looked_at_before_their_time() -> None:
    hours = Forecast.of([3600.0 + number * 60 for number in range(100)])
    assert sweep_interval_s(all_of(hours, [600.0] * 50), 1, SETTINGS, 0.0) == MOST


def test_one_that_outlasts_all_others_is_seen_after_a_part_of_its_age() -> None:
    assert sweep_interval_s(all_of(MINUTES, [500.0]), 1, SETTINGS, 0.0) == 500 * UNKNOWN_SWEEP_AGE_SHARE
    assert sweep_interval_s(all_of(MINUTES, [450.0, 0.0, 0.0]), 1, SETTINGS, 0.0) == 450 * UNKNOWN_SWEEP_AGE_SHARE


def test_chance_only_shortens_it() -> None:
    assert sweep_interval_s(all_of(NOTHING, [300.0]), 1, SETTINGS, 0.5) == pytest.approx(30 * (1 - JITTER / 2))


@given(
    ended=st.lists(st.floats(0, 1e5), max_size=20),
    ages=st.lists(st.floats(0, 1e6), max_size=20),
    least=st.floats(0.01, 100),
    factor=st.floats(1, 100),
    fraction=st.floats(0, 1, exclude_max=True),
)
def test_the_beat_stays_within_the_bounds(
    ended: list[float], ages: list[float], least: float, factor: float, fraction: float
) -> None:
    settings = replace(SETTINGS, poll_min_s=least, poll_max_s=least * factor)
    found = sweep_interval_s(all_of(Forecast.of(ended, ages), ages), 1, settings, fraction)
    assert settings.poll_min_s * (1 - JITTER) <= found <= settings.poll_max_s
