"""Durations, percentages and rates: what they mean, and that each is spelled back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.limits import CONCURRENCY_MAX, DURATION_MAX_S, RATE_MAX_REQUESTS
from fleetos.model.plan import Share
from fleetos.planning.plan_file.units import (
    Rate,
    format_duration,
    format_rate,
    format_share,
    parse_duration_s,
    parse_rate,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("1h1m1s1ms", 3661.001), ("0s", 0)],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "-5m", "5 m", "5m\n", "1d", "1e3s", "m5", "5M", ".5s", "1h,30m", "٣s"])
def test_no_duration(text: str) -> None:
    assert parse_duration_s(text) is None


@given(st.integers(0, int(DURATION_MAX_S * 1000)))
def test_a_duration_is_spelled_back(milliseconds: int) -> None:
    spelled = format_duration(milliseconds / 1000)
    assert parse_duration_s(spelled) == pytest.approx(milliseconds / 1000, abs=1e-9)
    assert format_duration(parse_duration_s(spelled) or 0.0) == spelled


@given(st.integers(1, CONCURRENCY_MAX))
def test_a_number_is_spelled_back(number: int) -> None:
    assert parse_share(number) == Share(number)
    assert parse_share(format_share(Share(number))) == Share(number)


@given(st.integers(1, 100 * 10**6))
def test_a_percentage_is_spelled_back(millionths: int) -> None:
    percent = Share(millionths / 10**6, percent=True)
    read = parse_share(format_share(percent))
    assert read is not None
    assert read.percent
    assert read.number == pytest.approx(percent.number)


@given(st.integers(1, 100), st.integers(1, 100_000))
def test_a_percentage_rounds_down_and_never_to_nothing(percent: int, total: int) -> None:
    number = Share(percent, percent=True).of(total, at_least=1)
    assert number == max(1, total * percent // 100)


@pytest.mark.parametrize(
    "value", [0, -1, CONCURRENCY_MAX + 1, True, 1.5, "0%", "101%", "100.1%", "%", "5", "-5%", None]
)
def test_no_share(value: object) -> None:
    assert parse_share(value) is None


@pytest.mark.parametrize(
    ("text", "requests", "per_s"), [("10/s", 10, 1), ("200/5m", 200, 300), ("7/m", 7, 60), ("1/1h30m", 1, 5400)]
)
def test_a_rate(text: str, requests: int, per_s: float) -> None:
    assert parse_rate(text) == Rate(requests, per_s)


@pytest.mark.parametrize("text", ["", "10", "0/s", "10/", "/s", "-1/s", "10/0s", "10/d", "9999999/s", "1.5/s"])
def test_no_rate(text: str) -> None:
    assert parse_rate(text) is None


@given(st.integers(1, RATE_MAX_REQUESTS), st.integers(1, int(DURATION_MAX_S * 1000)))
def test_a_rate_is_spelled_back(requests: int, milliseconds: int) -> None:
    one = Rate(requests, milliseconds / 1000)
    assert parse_rate(format_rate(one)) == one


@given(st.integers(1, 1000), st.integers(1, 600), st.lists(st.floats(0, 100), max_size=20))
def test_a_bucket_of_a_rate_never_exceeds_it_in_any_interval(requests: int, per_s: int, pauses: list[float]) -> None:
    one = Rate(requests, per_s)
    assert 1 <= one.burst <= requests
    # A greedy caller drains the bucket after each pause; requests leave at these times.
    sent: list[float] = []
    now, tokens = 0.0, float(one.burst)
    for pause in [*pauses, *([1 / one.steady_per_s] * min(requests + 20, 300))]:
        now += pause
        tokens = min(one.burst, tokens + pause * one.steady_per_s)
        while tokens >= 1 - 1e-9:
            tokens -= 1
            sent.append(now)
    for index, first in enumerate(sent):
        within = sum(1 for time in sent[index:] if time < first + per_s - 1e-6)
        assert within <= requests
    assert math.isfinite(one.steady_per_s)
