"""Start times: which instant is meant, and which are refused."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fleetos.errors import UsageError
from fleetos.planning.start_time import SCHEDULE_MAX, parse_start

BERLIN = "Europe/Berlin"
# A Monday, half past five in the afternoon in Berlin.
NOW = datetime(2026, 11, 30, 16, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("22:00", BERLIN, datetime(2026, 11, 30, 21, 0, tzinfo=UTC)),
        ("17:30", BERLIN, datetime(2026, 12, 1, 16, 30, tzinfo=UTC)),
        ("5:00", "America/New_York", datetime(2026, 12, 1, 10, 0, tzinfo=UTC)),
        ("2026-12-01 22:00", BERLIN, datetime(2026, 12, 1, 21, 0, tzinfo=UTC)),
        ("2026-12-01T22:00:30", BERLIN, datetime(2026, 12, 1, 21, 0, 30, tzinfo=UTC)),
        ("2026-12-01T22:00+05:30", BERLIN, datetime(2026, 12, 1, 16, 30, tzinfo=UTC)),
        ("2026-12-01T22:00Z", None, datetime(2026, 12, 1, 22, 0, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_instant(text: str, zone: str | None, instant: datetime) -> None:
    assert parse_start(text, zone, NOW).instant == instant


def test_the_words_name_the_instant_in_the_zone_and_in_utc() -> None:
    words = parse_start("2026-12-01 22:00", BERLIN, NOW).words
    assert words == "Tue 2026-12-01 22:00 (Europe/Berlin, CET), 2026-12-01 21:00Z"


@pytest.fixture
def machine_in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine is in New York."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_new_york")
def test_without_a_zone_in_the_plan_the_machines_counts() -> None:
    start = parse_start("22:00", None, NOW)
    assert start.instant == datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
    assert start.words == "Mon 2026-11-30 22:00 (this machine's zone, EST), 2026-12-01 03:00Z"
    with pytest.raises(UsageError, match="show 2026-11-01 01:30 twice"):
        parse_start("2026-11-01 01:30", None, datetime(2026, 10, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("2026-11-30 17:30", "is over", "leave --at out"),
        ("2026-11-29T22:00Z", "is over", "leave --at out"),
        ("2026-12-08 22:00", "more than 7 days ahead", "nearer to its start"),
        ("tomorrow", "is no time", "22:00, 2026-12-01 22:00"),
        ("24:00", "is no time", "22:00"),
        ("2026-12-01", "is no time", "22:00"),
        ("2026-13-01 22:00", "is no time", "22:00"),
        ("", "is no time", "22:00"),
        ("x" * 10_000, "is no time", "22:00"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_start(text, BERLIN, NOW)
    assert hint in (refused.value.hint or "")
    assert len(refused.value.message) < 300


def test_the_last_instant_that_is_near_enough_is_taken() -> None:
    last = NOW + SCHEDULE_MAX
    assert parse_start(last.isoformat(), None, NOW).instant == last
    with pytest.raises(UsageError):
        parse_start((last + timedelta(seconds=1)).isoformat(), None, NOW)


@pytest.mark.parametrize("text", ["2026-10-25 02:30", "02:30"])
def test_a_time_that_clocks_show_twice_is_refused_with_both_instants(text: str) -> None:
    """In the night in which they are set back; while only the second one is left, too."""
    for now in (datetime(2026, 10, 24, 20, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, 0, tzinfo=UTC)):
        with pytest.raises(UsageError, match="Europe/Berlin show 2026-10-25 02:30 twice") as refused:
            parse_start(text, BERLIN, now)
        assert refused.value.hint == "say which: --at 2026-10-25T02:30+02:00 or --at 2026-10-25T02:30+01:00"
        assert parse_start("2026-10-25T02:30+01:00", BERLIN, now).instant == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2027-03-28 02:30", "02:30"])
def test_a_time_that_clocks_skip_is_refused_with_the_next_one(text: str) -> None:
    now = datetime(2027, 3, 27, 20, 0, tzinfo=UTC)
    with pytest.raises(UsageError, match="Europe/Berlin skip 2027-03-28 02:30") as refused:
        parse_start(text, BERLIN, now)
    assert (refused.value.hint or "").endswith("--at 2027-03-28T03:00+02:00")


def test_a_time_of_day_after_a_change_of_the_clocks_is_that_of_the_next_day() -> None:
    """At noon of the day on which they were set back, half past two is tomorrow's."""
    start = parse_start("02:30", BERLIN, datetime(2026, 10, 25, 11, 0, tzinfo=UTC))
    assert start.instant == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
