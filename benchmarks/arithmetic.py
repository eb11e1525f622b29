"""The arithmetic of the reports: what a schedule could have been, how a cost grows, and what a sample says. Pure."""

import heapq
import math
from collections.abc import Iterable, Sequence


def list_schedule_s(durations_s: Iterable[float], slots: int) -> float:
    """When the last job ends if each begins, in the given order, as soon as one of the slots is free."""
    free_at_s = [0.0] * slots
    for duration_s in durations_s:
        heapq.heapreplace(free_at_s, free_at_s[0] + duration_s)
    return max(free_at_s)


def mean_running(spans: Iterable[tuple[float, float]], window: tuple[float, float]) -> float:
    """How many of the spans run at once within the window, on average over its time."""
    begins, ends = window
    if ends <= begins:
        return 0.0
    return sum(max(0.0, min(end, ends) - max(begin, begins)) for begin, end in spans) / (ends - begins)


def most_within(moments_s: Iterable[float], window_s: float) -> int:
    """The most moments that lie in any window of that length, its far end not included."""
    most, first, ordered = 0, 0, sorted(moments_s)
    for place, moment_s in enumerate(ordered):
        while ordered[first] <= moment_s - window_s:
            first += 1
        most = max(most, place - first + 1)
    return most


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which that share of the values lies, between two of them in proportion. NaN for none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: Iterable[float]) -> float:
    """The middle value, of an even number the mean of the two in the middle. NaN for none."""
    return quantile(values, 0.5)


def growth_exponent(points: Sequence[tuple[float, float]]) -> float:
    """The b of the law y = a * x ** b that fits the points best (least squares of the logarithms).

    NaN with fewer than two different x, or where something is not above zero.
    """
    if any(x <= 0 or y <= 0 for x, y in points) or len({x for x, _ in points}) < 2:
        return math.nan
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)
