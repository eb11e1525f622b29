"""How often is read, and by which calls."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleetos.rules.needs import PowerNeed, ReadJobNeed, ReadServerNeed, ReadTracesNeed, SubmitNeed, Wait
from fleetos.rules.polling import (
    JITTER,
    POLL_BUDGET_SHARE,
    ReadJob,
    ReadServer,
    ReadTraces,
    Sweep,
    plan_reads,
    poll_interval_s,
)
from tests.support.builders import SETTINGS, START


def test_one_read_serves_all_that_wait_for_it() -> None:
    ask = ReadTracesNeed(START, 0)
    due = [
        ("a", ReadServerNeed(0)),
        ("b", ReadServerNeed(0)),
        ("c", ReadServerNeed(0, single=True)),
        ("c", ReadServerNeed(0)),
        ("d", ReadJobNeed("job-1", 0)),
        ("e", ReadJobNeed("job-1", 0)),
        ("e", ReadJobNeed("job-2", 0)),
        ("f", ask),
        ("g", Wait(0)),
        ("h", SubmitNeed()),
        ("i", PowerNeed("stop")),
    ]
    assert plan_reads(due) == [
        ReadJob("job-1", ("d", "e")),
        ReadJob("job-2", ("e",)),
        ReadServer("c"),
        Sweep(("a", "b")),
        ReadTraces("f", ask),
    ]
    assert plan_reads([]) == []


@given(
    outstanding=st.integers(0, 100_000),
    rate=st.none() | st.floats(0.01, 1000),
    least=st.floats(0.01, 100),
    factor=st.floats(1, 100),
    fraction=st.floats(0, 1, exclude_max=True),
)
def test_the_interval_stays_within_the_plan_s_bounds(
    outstanding: int, rate: float | None, least: float, factor: float, fraction: float
) -> None:
    settings = replace(SETTINGS, poll_min_s=least, poll_max_s=least * factor)
    found = poll_interval_s(outstanding, rate, settings, fraction)
    assert settings.poll_min_s * (1 - JITTER) <= found <= settings.poll_max_s
    if rate is not None and found < settings.poll_max_s * (1 - JITTER * fraction) * 0.999:
        assert outstanding / found <= rate * POLL_BUDGET_SHARE / (1 - JITTER) * 1.001 or found >= least * (1 - JITTER)


def test_many_outstanding_things_are_asked_less_often() -> None:
    assert poll_interval_s(10, 5.0, SETTINGS, 0.0) == SETTINGS.poll_min_s
    assert poll_interval_s(100, 5.0, SETTINGS, 0.0) == 100 / (5.0 * POLL_BUDGET_SHARE)
    assert poll_interval_s(100_000, 5.0, SETTINGS, 0.0) == SETTINGS.poll_max_s
    assert poll_interval_s(100_000, None, SETTINGS, 0.0) == SETTINGS.poll_min_s
