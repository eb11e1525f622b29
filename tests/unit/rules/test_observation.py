"""Watches: what counts as one series of looks, and for how long."""

import math
from dataclasses import replace

import pytest

from fleetos.rules.observation import MAX_SNAPSHOTS, SELDOM_READ_S, ObservationSeries
from fleetos.rules.outcomes import is_proven_deleted
from tests.support.builders import RUNNING, STOPPED
from tests.unit.rules.contexts import context, moment, sight, steady, watched


def test_a_series_lasts_from_the_first_answer_to_the_last_request() -> None:
    first = replace(sight(0, STOPPED), received=moment(4))
    last = replace(sight(50, STOPPED), received=moment(58))
    watch = ObservationSeries.start(first).add(last)
    assert (watch.duration_s(), watch.unchanged_s(), watch.unchanged_in_series_s()) == (46, 46, 46)


def test_a_minute_between_looks_is_no_gap() -> None:
    assert watched((0, STOPPED), (60, STOPPED), (120, STOPPED)).duration_s() == 120


def test_more_than_a_minute_is_a_gap_and_starts_the_series_anew() -> None:
    watch = watched((0, STOPPED), (60, STOPPED), (120.5, STOPPED))
    assert (watch.duration_s(), watch.unchanged_in_series_s()) == (0, 0)
    assert watch.unchanged_s() == 120.5


def test_a_gap_forgets_the_pictures_before_it() -> None:
    assert watched((0, RUNNING), (61, STOPPED)).all_match(lambda one: one.stopped)
    assert not watched((0, RUNNING), (60, STOPPED)).all_match(lambda one: one.stopped)


def test_a_suspend_starts_the_series_anew_though_the_reads_are_close() -> None:
    watch = ObservationSeries.start(sight(0, STOPPED)).add(sight(40, STOPPED, slept_s=5))
    assert watch.duration_s() == 0
    assert ObservationSeries.start(sight(0, STOPPED)).add(sight(40, STOPPED, slept_s=1)).duration_s() == 40


def test_another_picture_begins_another_stillness() -> None:
    watch = watched(*steady(STOPPED, 90), *steady(RUNNING, 150, from_s=120))
    assert (watch.duration_s(), watch.unchanged_s(), watch.unchanged_in_series_s()) == (150, 30, 30)


def test_gone_is_told_twice_half_a_minute_apart_with_no_sight_of_it_between() -> None:
    assert not is_proven_deleted(watched((0, None)), context())
    assert not is_proven_deleted(watched((0, None), (5, None), (29, None)), context())
    assert is_proven_deleted(watched((0, None), (5, None), (30, None)), context())
    assert not is_proven_deleted(watched((0, None), (5, STOPPED), (30, None)), context())
    assert not is_proven_deleted(watched((0, None), (40, STOPPED)), context())


def test_a_404_is_no_picture() -> None:
    watch = watched((0, STOPPED), (5, None), (10, STOPPED))
    assert watch.snapshots == {STOPPED}
    assert watch.unchanged_s() == 0


def test_too_many_faces_prove_nothing() -> None:
    faces = [(float(number), replace(STOPPED, fault=str(number))) for number in range(MAX_SNAPSHOTS + 1)]
    assert watched(*faces[:-1]).all_match(lambda one: one.stopped)
    assert not watched(*faces).all_match(lambda one: one.stopped)


def test_only_404s_prove_nothing_of_a_picture() -> None:
    assert not watched((0, None), (5, None)).all_match(lambda one: one.stopped)


def test_once_a_picture_has_lasted_a_settle_looks_may_come_seldom() -> None:
    settled = watched(*steady(STOPPED, 600))
    seldom = settled.add(sight(600 + 2 * SELDOM_READ_S, STOPPED), 600)
    assert (seldom.duration_s(), seldom.unchanged_in_series_s()) == (1200, 1200)
    assert settled.add(sight(601 + 2 * SELDOM_READ_S, STOPPED), 600).duration_s() == 0
    # As long as it counts, nothing but a minute will do: neither before that, nor for the picture that comes next.
    assert settled.add(sight(661, STOPPED), 601).duration_s() == 0
    other = settled.add(sight(630, RUNNING), 600)
    assert other.add(sight(690, RUNNING), 600).duration_s() == 690
    assert other.add(sight(691, RUNNING), 600).duration_s() == 0
    assert settled.add(sight(640, STOPPED, slept_s=5), 600).duration_s() == 0


@pytest.mark.parametrize(
    ("looked_s", "here_s", "until_s", "next_s"),
    [
        (0, 0, math.inf, 5),
        (10, 10, math.inf, 15),
        (40, 40, math.inf, 50),
        (80, 80, math.inf, 100),
        (300, 300, math.inf, 330),
        (580, 580, math.inf, 600),
        (580, 580, 9000, 600),
        (600, 600, math.inf, 630),
        (600, 600, 9000, 750),
        (3000, 3000, 9000, 3300),
        (3000, 3000, 3050, 3050),
    ],
)
def test_looks_come_later_and_later_but_in_time(looked_s: float, here_s: float, until_s: float, next_s: float) -> None:
    rule_context = replace(context(steady(STOPPED, looked_s)), poll_s=5.0, now=moment(here_s))
    assert rule_context.next_evidence_read_s(until_s + moment(0).elapsed_s) == moment(next_s).elapsed_s


def test_looks_are_counted_anew_for_a_picture_that_came_later() -> None:
    rule_context = replace(context([*steady(STOPPED, 900), (930, RUNNING)]), poll_s=5.0)
    assert rule_context.next_evidence_read_s(moment(9000).elapsed_s) == moment(960).elapsed_s
    late = replace(context([*steady(STOPPED, 900), *steady(RUNNING, 1520, from_s=930)]), poll_s=5.0)
    assert late.next_evidence_read_s(moment(9000).elapsed_s) == moment(1530).elapsed_s
