"""Watches: what counts as one series of looks, and for how long."""

from dataclasses import replace

from fleetos.rules.ends import proven_gone
from fleetos.rules.look import MAX_PICTURES, Watch
from tests.unit.model.samples import RUNNING, STOPPED
from tests.unit.rules.scene import context, moment, sight, steady, watched


def test_a_series_lasts_from_the_first_answer_to_the_last_request() -> None:
    first = replace(sight(0, STOPPED), received=moment(4))
    last = replace(sight(50, STOPPED), received=moment(58))
    watch = Watch.start(first).add(last)
    assert (watch.lasted_s(), watch.same_s(), watch.still_s()) == (46, 46, 46)


def test_a_minute_between_looks_is_no_gap() -> None:
    assert watched((0, STOPPED), (60, STOPPED), (120, STOPPED)).lasted_s() == 120


def test_more_than_a_minute_is_a_gap_and_starts_the_series_anew() -> None:
    watch = watched((0, STOPPED), (60, STOPPED), (120.5, STOPPED))
    assert (watch.lasted_s(), watch.still_s()) == (0, 0)
    assert watch.same_s() == 120.5


def test_a_gap_forgets_the_pictures_before_it() -> None:
    assert watched((0, RUNNING), (61, STOPPED)).throughout(lambda one: one.stopped)
    assert not watched((0, RUNNING), (60, STOPPED)).throughout(lambda one: one.stopped)


def test_a_suspend_starts_the_series_anew_though_the_reads_are_close() -> None:
    watch = Watch.start(sight(0, STOPPED)).add(sight(40, STOPPED, slept_s=5))
    assert watch.lasted_s() == 0
    assert Watch.start(sight(0, STOPPED)).add(sight(40, STOPPED, slept_s=1)).lasted_s() == 40


def test_another_picture_begins_another_stillness() -> None:
    watch = watched(*steady(STOPPED, 90), *steady(RUNNING, 150, from_s=120))
    assert (watch.lasted_s(), watch.same_s(), watch.still_s()) == (150, 30, 30)


def test_gone_is_told_twice_half_a_minute_apart_with_no_sight_of_it_between() -> None:
    assert not proven_gone(watched((0, None)), context())
    assert not proven_gone(watched((0, None), (5, None), (29, None)), context())
    assert proven_gone(watched((0, None), (5, None), (30, None)), context())
    assert not proven_gone(watched((0, None), (5, STOPPED), (30, None)), context())
    assert not proven_gone(watched((0, None), (40, STOPPED)), context())


def test_a_404_is_no_picture() -> None:
    watch = watched((0, STOPPED), (5, None), (10, STOPPED))
    assert watch.pictures == {STOPPED}
    assert watch.same_s() == 0


def test_too_many_faces_prove_nothing() -> None:
    faces = [(float(number), replace(STOPPED, fault=str(number))) for number in range(MAX_PICTURES + 1)]
    assert watched(*faces[:-1]).throughout(lambda one: one.stopped)
    assert not watched(*faces).throughout(lambda one: one.stopped)


def test_only_404s_prove_nothing_of_a_picture() -> None:
    assert not watched((0, None), (5, None)).throughout(lambda one: one.stopped)
