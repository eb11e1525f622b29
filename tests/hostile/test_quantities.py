"""Durations, shares and rates: exact, in order, spelled back, and nothing else but None for what is none."""

import math
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.limits import CONCURRENCY_MAX, DURATION_MAX_S, RATE_MAX_REQUESTS
from fleetos.model.plan import Share
from fleetos.planning.plan_file.units import (
    format_duration,
    format_rate,
    format_share,
    parse_duration_s,
    parse_rate,
    parse_share,
)
from tests.support.hostile_values import NASTY_LEAVES, NASTY_TEXTS, randoms
from tests.support.seeded_examples import examples

UNITS_S = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}
NUMBERS = st.tuples(st.integers(0, 10**9 - 1), st.none() | st.text("0123456789", min_size=1, max_size=6))
PARTS = st.lists(st.tuples(NUMBERS, st.sampled_from(list(UNITS_S))), min_size=1, max_size=5)
PERCENTS = st.integers(1, 100 * 10**6)
TOTALS = st.integers(0, 1_000_000)
Part = tuple[tuple[int, str | None], str]


def written(parts: list[Part]) -> tuple[str, Fraction]:
    """A duration as a plan spells it, and its seconds, exactly."""
    text, seconds = "", Fraction(0)
    for (whole, decimals), unit in parts:
        number = f"{whole}.{decimals}" if decimals is not None else str(whole)
        text += number + unit
        seconds += Fraction(number) * UNITS_S[unit]
    return text, seconds


def percent(millionths: int) -> str:
    return f"{millionths // 10**6}.{millionths % 10**6:06}%"


@examples(40)
@given(PARTS)
def test_a_duration_is_the_nearest_number_to_what_is_written(parts: list[Part]) -> None:
    text, seconds = written(parts)
    assert parse_duration_s(text) == float(seconds)


@examples(20)
@given(PARTS, PARTS)
def test_durations_keep_their_order(one: list[Part], other: list[Part]) -> None:
    (text, seconds), (longer, more) = sorted((written(one), written(other)), key=lambda written: written[1])
    first, second = parse_duration_s(text), parse_duration_s(longer)
    assert first is not None
    assert second is not None
    assert first <= second
    assert (first == second) is (float(seconds) == float(more))


@examples(20)
@given(st.integers(0, int(DURATION_MAX_S * 1000)))
def test_every_spelling_of_a_duration_is_the_same(milliseconds: int) -> None:
    spelled = format_duration(milliseconds / 1000)
    spellings = [spelled, f"{milliseconds}ms", f"{milliseconds // 1000}.{milliseconds % 1000:03}s"]
    assert {parse_duration_s(text) for text in spellings} == {milliseconds / 1000}
    assert format_duration(parse_duration_s(spelled) or 0.0) == spelled


@examples(60)
@given(PERCENTS, TOTALS, st.integers(0, 1))
def test_a_percentage_is_exact(millionths: int, total: int, at_least: int) -> None:
    found = parse_share(percent(millionths))
    assert found is not None
    exact = math.floor(Fraction(millionths, 10**8) * total)
    assert found.of(total, at_least=at_least) == max(at_least, exact)
    assert parse_share(format_share(found)) == found


@pytest.mark.parametrize(
    ("text", "total", "number"),
    [("99.96%", 10_000, 9_996), ("0.29%", 10_000, 29), ("1.15%", 2_000, 23), ("100%", 7, 7)],
)
def test_a_percentage_of_a_round_total_loses_none(text: str, total: int, number: int) -> None:
    found = parse_share(text)
    assert found is not None
    assert found.of(total, at_least=1) == number


@examples(20)
@given(PERCENTS, PERCENTS, TOTALS, TOTALS)
def test_shares_keep_their_order_and_are_no_more_than_all(one: int, other: int, total: int, more: int) -> None:
    less, most = Share(min(one, other) / 10**6, percent=True), Share(max(one, other) / 10**6, percent=True)
    few, many = sorted((total, more))
    assert 0 <= less.of(few, at_least=0) <= less.of(many, at_least=0) <= most.of(many, at_least=0) <= many


@examples(20)
@given(st.integers(1, RATE_MAX_REQUESTS), PARTS)
def test_a_rate_never_allows_more_than_it_says(requests: int, parts: list[Part]) -> None:
    text, seconds = written(parts)
    found = parse_rate(f"{requests}/{text}")
    if not Fraction(1, 1000) <= seconds <= Fraction(DURATION_MAX_S):
        assert found is None
        return
    assert found is not None
    assert (found.requests, found.per_s) == (requests, float(seconds))
    assert 1 <= found.burst <= requests
    assert 0 < found.steady_per_s <= requests / found.per_s
    # What leaves at once and what is refilled within the time are together what may leave in it.
    assert found.burst + found.steady_per_s * found.per_s <= requests + 1 + 1e-6
    again = parse_rate(format_rate(found))
    assert again is not None
    # It is spelled in whole milliseconds.
    assert again.per_s == pytest.approx(found.per_s, abs=0.000501)


def test_what_is_no_quantity_is_none() -> None:
    for text in NASTY_TEXTS:
        assert parse_duration_s(text) is None
        assert parse_rate(text) is None
        assert parse_rate(f"1/{text}") is None
    for value in NASTY_LEAVES:
        assert parse_share(value) is None or value == 2


@examples(60)
@given(randoms)
def test_what_is_nearly_a_quantity_is_one_or_none(random: Random) -> None:
    letters = "0123456789.smh%/ -+e\n\u0663"
    text = "".join(random.choice(letters) for _ in range(random.randint(0, 12)))
    seconds, found, pace = parse_duration_s(text), parse_share(text), parse_rate(text)
    assert seconds is None or (0 <= seconds < math.inf and text.isascii() and text[-1] in "smh")
    assert found is None or (found.percent and 0 < found.number <= 100)
    assert pace is None or (0 < pace.requests <= RATE_MAX_REQUESTS and 0.001 <= pace.per_s <= DURATION_MAX_S)


def test_a_number_of_servers_is_bounded() -> None:
    assert parse_share(CONCURRENCY_MAX) == Share(CONCURRENCY_MAX)
    assert parse_share(CONCURRENCY_MAX + 1) is None
    assert parse_share(10**5000) is None


def test_a_duration_of_a_million_parts_is_read_in_no_time() -> None:
    assert parse_duration_s("1ms" * 100_000) == 100.0
    assert parse_duration_s("1ms" * 100_000 + "x") is None
    assert parse_duration_s("1m" * 100_000 + "1") is None
