"""Sets of moments, beside a scan of the minutes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.steering.times import ALWAYS, NEVER, Interval, Times

START = datetime(2026, 3, 28, tzinfo=UTC)
MINUTES = 60


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


POINTS = st.integers(0, MINUTES)
INTERVALS = st.lists(st.tuples(POINTS, POINTS).map(lambda pair: (minute(pair[0]), minute(pair[1]))), max_size=8)


def scanned(intervals: list[Interval]) -> set[int]:
    """The minutes that are in any of the intervals."""
    return {number for number in range(MINUTES) if any(begin <= minute(number) < end for begin, end in intervals)}


def minutes(times: Times) -> set[int]:
    return {number for number in range(MINUTES) if times.end_at(minute(number)) is not None}


@given(INTERVALS, INTERVALS, POINTS)
def test_union_and_difference_are_those_of_the_minutes(some: list[Interval], others: list[Interval], cut: int) -> None:
    left, right = Times.of(some), Times.of(others)
    assert minutes(left) == scanned(some)
    assert minutes(Times.union([left, right])) == scanned(some) | scanned(others)
    assert minutes(left.minus(right)) == scanned(some) - scanned(others)
    known = set(range(cut))
    assert minutes(Times.of(some, minute(cut))) == scanned(some) & known
    assert minutes(left.minus(Times.of(others, minute(cut)))) == (scanned(some) - scanned(others)) & known


@given(INTERVALS)
def test_intervals_are_in_order_and_neither_overlap_nor_touch(some: list[Interval]) -> None:
    listed = list(Times.of(some).intervals)
    assert all(begin < end for begin, end in listed)
    assert all(end < begin for (_, end), (begin, _) in pairwise(listed))


@given(INTERVALS, POINTS, st.integers(0, MINUTES))
def test_the_first_fit_is_the_first_minute_with_enough_open_minutes_after_it(
    some: list[Interval], now: int, need: int
) -> None:
    open_minutes = scanned(some)
    fits = [
        number
        for number in range(now, MINUTES)
        if number in open_minutes and set(range(number, number + need)) <= open_minutes
    ]
    found = Times.of(some).first_fit(minute(now), timedelta(minutes=need))
    assert found == (minute(fits[0]) if fits else None)


def test_the_end_is_excluded() -> None:
    times = Times.of([(minute(0), minute(10))])
    assert times.end_at(minute(9)) == minute(10)
    assert times.end_at(minute(10)) is None
    assert times.find(minute(9)) == (minute(0), minute(10))
    assert times.find(minute(10)) is None
    assert times.first_fit(minute(9), timedelta(minutes=1)) == minute(9)
    assert times.first_fit(minute(9), timedelta(minutes=2)) is None


def test_always_and_never() -> None:
    assert ALWAYS.end_at(START) is not None
    assert ALWAYS.first_fit(START, timedelta(days=7)) == START
    assert ALWAYS.minus(ALWAYS) == NEVER
    assert NEVER.longest == timedelta()
