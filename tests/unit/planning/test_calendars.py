"""Nights, cron times and dates as UTC intervals, beside a scan of the minutes by the clock on the wall."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetos.model.steering.times import Interval
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Nights, WindowRule
from fleetos.planning.calendars import HORIZON, STARTS_MAX, cron_starts, expand, is_local
from fleetos.planning.local_time import UnreadableCalendar, find_zone, zone_hint

BERLIN = ZoneInfo("Europe/Berlin")
# Clocks of these zones change by an hour, by half an hour, at midnight, and across a whole day.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "UTC")
EVERY_DAY = tuple(range(7))
# Nights with a change of the clocks in Berlin.
SPRING, AUTUMN = date(2026, 3, 28), date(2026, 10, 24)


def clock(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def nights(begin: str, end: str, days: tuple[int, ...] = EVERY_DAY) -> Nights:
    return Nights(days, clock(begin), clock(end))


def intervals(
    when: Nights | CronTimes | DateTimes,
    since: datetime,
    days: float,
    zone: str | None = "Europe/Berlin",
    *,
    deny: bool,
) -> list[Interval]:
    """The intervals of the rule that begin within so many days."""
    times = expand(WindowRule(when, zone), since, deny=deny)
    return [(begin, end) for begin, end in times.intervals if since <= begin < since + timedelta(days=days)]


def hours(when: Nights | CronTimes, day: date, *, deny: bool = False) -> list[float]:
    """The lengths of the intervals that begin within a day of the noon of that day, in hours."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=BERLIN).astimezone(UTC)
    return [(end - begin) / timedelta(hours=1) for begin, end in intervals(when, noon, 1, deny=deny)]


def test_a_night_in_berlin_has_six_hours_in_march_and_eight_in_october() -> None:
    night = nights("22:00", "05:00")
    assert hours(night, SPRING) == [6.0]
    assert hours(night, AUTUMN) == [8.0]
    assert hours(night, date(2026, 6, 1)) == [7.0]


def test_a_time_that_comes_twice_is_no_window_and_is_denied_whole() -> None:
    half_an_hour = nights("02:15", "02:45")
    assert hours(half_an_hour, AUTUMN) == []
    assert hours(half_an_hour, AUTUMN, deny=True) == [1.5]
    assert hours(half_an_hour, SPRING) == []
    assert hours(half_an_hour, SPRING, deny=True) == []
    assert hours(half_an_hour, date(2026, 6, 1)) == [0.5]


def test_a_night_belongs_to_its_first_day() -> None:
    friday = nights("22:00", "05:00", (4,))
    begin, end = intervals(friday, datetime(2026, 11, 30, tzinfo=UTC), 7, deny=False)[0]
    assert begin == datetime(2026, 12, 4, 21, tzinfo=UTC)
    assert end == datetime(2026, 12, 5, 4, tzinfo=UTC)


def test_what_began_before_is_known() -> None:
    now = datetime(2026, 12, 5, 3, 59, tzinfo=UTC)
    times = expand(WindowRule(nights("22:00", "05:00", (4,)), "Europe/Berlin"), now, deny=False)
    assert times.end_at(now) == datetime(2026, 12, 5, 4, tzinfo=UTC)
    assert times.known_until == now + HORIZON
    week = expand(WindowRule(CronTimes("0 22 * * 5", 7 * 86400.0), "Europe/Berlin"), now, deny=False)
    # Seven true days end an hour early by the clock where clocks were set back.
    assert week.end_at(now) == datetime(2027, 11, 5, 20, tzinfo=UTC)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.integers(0, 365 * 24),
    st.integers(0, 24 * 60 - 1),
    st.integers(0, 24 * 60 - 1),
    st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True),
)
def test_nights_are_those_of_a_scan_of_the_minutes(
    name: str, hour: int, begin_min: int, end_min: int, days: list[int]
) -> None:
    """An allowed minute is surely in the night by the clock, a denied one possibly: both readings of a double hour."""
    zone = ZoneInfo(name)
    rule = WindowRule(Nights(tuple(days), begin_min, (end_min + (begin_min == end_min)) % 1440), name)
    assert isinstance(rule.when, Nights)
    since = datetime(2017, 9, 1, tzinfo=UTC) + timedelta(hours=hour)
    allowed, denied = expand(rule, since, deny=False), expand(rule, since, deny=True)
    for number in range(0, 30 * 60, 7):
        instant = since + timedelta(minutes=number)
        local = instant.astimezone(zone)
        inside = _in_a_night(local.replace(tzinfo=None), rule.when)
        if not _near_a_change(instant, zone):
            assert (allowed.end_at(instant) is not None) == inside, instant
            assert (denied.end_at(instant) is not None) == inside, instant
        if allowed.end_at(instant) is not None:
            assert denied.end_at(instant) is not None, instant
            assert inside, instant


def _near_a_change(instant: datetime, zone: ZoneInfo) -> bool:
    """Whether clocks change within a few hours of the instant."""
    near = {(instant + timedelta(hours=shift)).astimezone(zone).utcoffset() for shift in range(-3, 4)}
    return len(near) > 1


def _in_a_night(local: datetime, night: Nights) -> bool:
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if night.begin_min < night.end_min:
        return day in night.days and night.begin_min <= minute < night.end_min
    return (day in night.days and minute >= night.begin_min) or ((day - 1) % 7 in night.days and minute < night.end_min)


def test_cron_hours_are_true_hours() -> None:
    evening = CronTimes("0 22 * * *", 7 * 3600.0)
    assert hours(evening, SPRING) == hours(evening, AUTUMN) == [7.0]


def test_a_cron_start_that_comes_twice_or_never() -> None:
    rule = CronTimes("30 2 * * *", 1800.0)
    autumn, spring = datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC)
    at = timedelta(hours=1, minutes=30)
    assert intervals(rule, autumn, 1, deny=False) == [(autumn + at, autumn + at + timedelta(minutes=30))]
    assert intervals(rule, autumn, 1, deny=True) == [(autumn + timedelta(minutes=30), autumn + timedelta(hours=2))]
    gap = spring + timedelta(hours=1)
    for deny in (False, True):
        assert intervals(rule, spring, 1, deny=deny) == [(gap, gap + timedelta(minutes=30))]


def test_the_first_tuesday_of_a_month() -> None:
    rule = CronTimes("0 22 * * 2#1", 6 * 3600.0)
    begins = [begin.date() for begin, _ in intervals(rule, datetime(2026, 11, 30, tzinfo=UTC), 70, deny=False)]
    assert begins == [date(2026, 12, 1), date(2027, 1, 5), date(2027, 2, 2)]


def test_a_rule_with_too_many_starts_is_known_for_a_shorter_time() -> None:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    times = expand(WindowRule(CronTimes("* * * * *", 30.0), "UTC"), now, deny=True)
    assert times.known_until == now + timedelta(minutes=STARTS_MAX)
    assert times.known_until < now + HORIZON
    assert times.end_at(times.known_until) is None
    assert times.end_at(now) == now + timedelta(seconds=30)
    assert times.end_at(times.known_until - timedelta(minutes=1)) is not None


@pytest.mark.parametrize("ago", [timedelta(days=6, hours=23, minutes=59), timedelta(days=7), timedelta()])
def test_a_start_long_ago_is_still_open_for_as_long_as_it_lasts(ago: timedelta) -> None:
    begin = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
    times = expand(WindowRule(CronTimes("0 6 2 11 *", 7 * 86_400.0), "UTC"), begin + ago, deny=False)
    assert times.end_at(begin + ago) == (None if ago == timedelta(days=7) else begin + timedelta(days=7))


@pytest.mark.parametrize(
    "expression", ["@daily", "0 0 22 * * 1", "", "0 22 * *", "60 * * * *", "0 0 31 2 *", "x * * * *"]
)
def test_no_cron_expression_of_five_fields(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cron_starts(expression, datetime.combine(date(2026, 1, 1), time()))


def test_dates_are_both_included_and_the_end_of_times_is_not() -> None:
    since = datetime(2026, 12, 1, tzinfo=UTC)
    (whole,) = intervals(DateTimes("2026-12-18", "2027-01-06"), since, 300, deny=True)
    assert whole == (datetime(2026, 12, 17, 23, tzinfo=UTC), datetime(2027, 1, 6, 23, tzinfo=UTC))
    (local,) = intervals(DateTimes("2026-12-18T18:00", "2026-12-19 06:00"), since, 300, deny=True)
    assert local == (datetime(2026, 12, 18, 17, tzinfo=UTC), datetime(2026, 12, 19, 5, tzinfo=UTC))
    (offset,) = intervals(DateTimes("2026-12-18T18:00Z", "2026-12-18T20:00+01:00"), since, 300, None, deny=True)
    assert offset == (datetime(2026, 12, 18, 18, tzinfo=UTC), datetime(2026, 12, 18, 19, tzinfo=UTC))


def test_only_times_with_an_offset_need_no_zone() -> None:
    assert is_local(DateTimes("2026-12-18", "2026-12-19T00:00Z"))
    assert not is_local(DateTimes("2026-12-18T00:00+01:00", "2026-12-19T00:00Z"))


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "Europe", "../etc/passwd", "right/UTC", "posix/UTC", "localtime", "Europe/Berlin\n", "/UTC"],
)
def test_no_zone(name: str) -> None:
    assert find_zone(name) is None


def test_a_misspelled_zone_gets_a_hint() -> None:
    assert zone_hint("Europe/Berlín") == "did you mean `Europe/Berlin`?"
    assert "tzdata" in zone_hint("Mars/Olympus")


def test_a_rule_without_its_zone_or_file_is_unreadable() -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    for rule in (
        WindowRule(nights("22:00", "05:00"), None),
        WindowRule(DateTimes("2026-12-18", "2027-01-06"), None),
        WindowRule(CalendarFile("/freezes.ics"), "UTC"),
    ):
        with pytest.raises(UnreadableCalendar):
            expand(rule, now, deny=True)
