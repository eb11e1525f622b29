"""Percentiles of plays, and what a rehearsal sums up of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.steering.rehearsal import CallCount, GroupFigures, Play, PlayStop, Supposition
from fleetos.planning.rehearsal import percentile, sum_up_case
from tests.support.builders import a_run

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PLANNED = Supposition("as planned", 0.05, 900.0)
NIGHT = NOW, NOW + timedelta(hours=7)
CALLS = CallCount(10, 5, 300.0)
SHARES = st.sampled_from([0.01, 0.5, 0.95, 1.0])
ENDS = st.lists(st.none() | st.integers(0, 50), min_size=1, max_size=60)
NEVER = 1000


def late(end: int | None) -> int:
    return NEVER if end is None else end


def plays(minutes: Sequence[int | None]) -> list[Play]:
    """Return plays that end so many minutes from now; None: a budget stops them."""
    ended = [None if each is None else NOW + timedelta(minutes=each) for each in minutes]
    return [Play(end, PlayStop.BUDGET if end is None else None, {}, {}, 0, (), CALLS, CALLS, ()) for end in ended]


@given(ENDS, SHARES)
def test_a_percentile_is_the_first_end_that_its_share_of_plays_reach(ends: list[int | None], share: float) -> None:
    found = late(percentile(ends, share))
    assert sum(late(end) <= found for end in ends) >= share * len(ends) - 1e-9
    assert sum(late(end) < found for end in ends) < share * len(ends)


@given(st.permutations(range(20)), SHARES)
def test_the_order_of_plays_does_not_matter(ends: list[int], share: float) -> None:
    assert percentile(ends, share) == percentile(range(20), share)


@given(ENDS)
def test_a_larger_share_is_never_earlier(ends: list[int | None]) -> None:
    found = [late(percentile(ends, share)) for share in (0.01, 0.5, 0.95, 1.0)]
    assert found == sorted(found)


@given(ENDS, SHARES)
def test_a_play_that_stops_makes_no_percentile_earlier(ends: list[int | None], share: float) -> None:
    assert late(percentile([None, *ends[1:]], share)) >= late(percentile(ends, share))


def test_one_stopped_play_of_twenty_leaves_a_95th_percentile_and_two_do_not() -> None:
    ends, last = list(range(1, 21)), NOW + timedelta(minutes=20)
    one = sum_up_case(a_run(), PLANNED, plays([None, *ends[1:]]), last)
    assert (one.end.p95, one.misses, one.stops) == (last, False, {PlayStop.BUDGET: 1})
    two = sum_up_case(a_run(), PLANNED, plays([None, None, *ends[2:]]), last)
    assert (two.end.p95, two.misses, two.stops) == (None, True, {PlayStop.BUDGET: 2})
    assert sum_up_case(a_run(), PLANNED, plays(ends), None).misses is None


def test_a_deadline_is_met_to_the_second() -> None:
    ended = plays([5] * 20)
    for seconds, misses in ((-1, True), (0, False), (1, False)):
        deadline = NOW + timedelta(minutes=5, seconds=seconds)
        assert sum_up_case(a_run(), PLANNED, ended, deadline).misses is misses


def test_groups_and_windows_show_the_most_of_any_play_and_a_window_without_changes_counts_as_none() -> None:
    first, second, third = plays([1, 2, 3])
    busy = replace(first, groups=(GroupFigures("az", "a", 3, 4),), windows={NIGHT: 9}, never_fit=("web-1",))
    calm = replace(second, groups=(GroupFigures("az", "a", 2, 4),), windows={NIGHT: 4})
    case = sum_up_case(a_run(), PLANNED, [calm, busy, third], None)
    assert case.groups == [GroupFigures("az", "a", 3, 4)]
    assert [(window.interval, window.p50, window.most) for window in case.windows] == [(NIGHT, 4, 9)]
    assert case.never_fit == {"web-1": 1}


def test_calls_show_the_busiest_minute_of_all_plays() -> None:
    few, many = plays([1, 2])
    case = sum_up_case(a_run(), PLANNED, [few, replace(many, reads=CallCount(30, 21, 300.0))], None)
    reads = case.reads
    assert (reads.p50, reads.p95, reads.most_per_min, reads.limit_per_min) == (10, 30, 21, 300.0)
