"""The arithmetic of the benchmarks, against values that can be seen by looking."""

import math

import pytest

from benchmarks.arithmetic import growth_exponent, list_schedule_s, mean_running, median, most_within, quantile


@pytest.mark.parametrize(
    ("durations_s", "slots", "ends_s"),
    [
        ([], 3, 0.0),
        ([5.0], 3, 5.0),
        ([1.0, 2.0, 3.0], 1, 6.0),
        # The third begins when the first ends.
        ([2.0, 5.0, 4.0], 2, 6.0),
        # In the given order: the long one that comes last has nobody to share its time with.
        ([1.0, 1.0, 1.0, 1.0, 6.0], 2, 8.0),
        ([6.0, 1.0, 1.0, 1.0, 1.0], 2, 6.0),
        ([4.0] * 10, 10, 4.0),
    ],
)
def test_a_list_schedule_begins_each_as_soon_as_a_slot_is_free(
    durations_s: list[float], slots: int, ends_s: float
) -> None:
    assert list_schedule_s(durations_s, slots) == ends_s


def test_what_runs_on_average_counts_only_within_the_window() -> None:
    assert mean_running([(0, 10), (0, 5)], (0, 10)) == 1.5
    assert mean_running([(-5, 2), (8, 20)], (0, 10)) == 0.4
    assert mean_running([(0, 1)], (3, 3)) == 0.0


def test_the_most_within_a_window_leaves_out_its_far_end() -> None:
    assert most_within([], 1.0) == 0
    assert most_within([0.0, 0.5, 1.0, 1.4], 1.0) == 3
    assert most_within([3.0, 0.0, 1.0, 2.0], 1.0) == 1


def test_medians_and_quantiles_lie_between_their_neighbours() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    assert quantile([10.0, 20.0], 0.25) == 12.5
    assert quantile(range(101), 0.95) == 95.0
    assert quantile([7.0], 0.95) == 7.0
    assert math.isnan(median([]))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
def test_the_exponent_of_a_law_is_found(exponent: float) -> None:
    points = [(x, 3.0 * x**exponent) for x in (100.0, 1_000.0, 10_000.0)]
    assert growth_exponent(points) == pytest.approx(exponent, abs=1e-9)


def test_an_exponent_needs_two_sizes_and_logarithms() -> None:
    assert math.isnan(growth_exponent([(1.0, 2.0)]))
    assert math.isnan(growth_exponent([(1.0, 2.0), (1.0, 3.0)]))
    assert math.isnan(growth_exponent([(1.0, 0.0), (2.0, 3.0)]))
