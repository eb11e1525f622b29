"""Calendar files: what counts, what is refused, and what the libraries would have guessed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fleetos.model.steering.times import Interval
from fleetos.model.steering.windows import CalendarFile, WindowRule
from fleetos.planning import calendar_file
from fleetos.planning.calendar_file import check_calendar, expand_calendar
from fleetos.planning.calendars import HORIZON, expand
from fleetos.planning.local_time import UnreadableCalendar

BERLIN = ZoneInfo("Europe/Berlin")
SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def event(*lines: str, uid: str = "one") -> str:
    return "\n".join(["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT"])


def calendar(*parts: str) -> str:
    lines = "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *parts, "END:VCALENDAR", ""])
    return lines.replace("\n", "\r\n")


def intervals(*parts: str, deny: bool = True, since: datetime = SINCE) -> list[Interval]:
    times = expand_calendar(calendar(*parts), BERLIN, since, since + timedelta(days=60), deny=deny)
    return list(times.intervals)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def refusal(*parts: str) -> str:
    with pytest.raises(UnreadableCalendar) as caught:
        check_calendar(calendar(*parts))
    return str(caught.value)


@pytest.mark.parametrize(
    ("lines", "begin", "end"),
    [
        (("DTSTART:20260310T220000Z", "DTEND:20260311T050000Z"), "2026-03-10T22:00", "2026-03-11T05:00"),
        (("DTSTART:20260310T220000", "DTEND:20260311T050000"), "2026-03-10T21:00", "2026-03-11T04:00"),
        (("DTSTART;VALUE=DATE:20260310", "DTEND;VALUE=DATE:20260312"), "2026-03-09T23:00", "2026-03-11T23:00"),
        (("DTSTART;VALUE=DATE:20260310",), "2026-03-09T23:00", "2026-03-10T23:00"),
        (("DTSTART;TZID=America/New_York:20260310T220000", "DURATION:PT2H"), "2026-03-11T02:00", "2026-03-11T04:00"),
        (
            ("DTSTART;TZID=W. Europe Standard Time:20260310T220000", "DURATION:PT1H"),
            "2026-03-10T21:00",
            "2026-03-10T22:00",
        ),
        (
            ('DTSTART;TZID="Europe/Berlin":20260310T220000', 'DTEND;TZID="America/New_York":20260310T220000'),
            "2026-03-10T21:00",
            "2026-03-11T02:00",
        ),
    ],
)
def test_an_event(lines: tuple[str, ...], begin: str, end: str) -> None:
    assert intervals(event(*lines)) == intervals(event(*lines), deny=False) == [(utc(begin), utc(end))]


def test_the_zone_of_the_whole_file_does_not_move_local_times() -> None:
    (found,) = intervals("X-WR-TIMEZONE:America/New_York", event("DTSTART:20260310T220000", "DURATION:PT1H"))
    assert found == (utc("2026-03-10T21:00"), utc("2026-03-10T22:00"))


def test_a_time_zone_of_the_file_does_not_replace_the_real_one() -> None:
    zone = "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0500\n"
    own = f"{zone}TZOFFSETTO:+0500\nEND:STANDARD\nEND:VTIMEZONE"
    (found,) = intervals(own, event("DTSTART;TZID=Europe/Berlin:20260310T220000", "DURATION:PT1H"))
    assert found == (utc("2026-03-10T21:00"), utc("2026-03-10T22:00"))
    assert "'Ours', which is not known" in refusal(
        own.replace("Europe/Berlin", "Ours"), event("DTSTART;TZID=Ours:20260310T220000")
    )


@pytest.mark.parametrize("line", ["STATUS:CANCELLED", "TRANSP:TRANSPARENT", "status:cancelled"])
def test_a_cancelled_or_transparent_event_does_not_count(line: str) -> None:
    assert intervals(event("DTSTART:20260310T220000Z", "DTEND:20260311T050000Z", line)) == []


def test_an_event_without_length_does_not_count() -> None:
    assert intervals(event("DTSTART:20260310T220000Z")) == []


def test_deleted_cancelled_and_moved_occurrences() -> None:
    rule = ("DTSTART;TZID=Europe/Berlin:20260309T220000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4")
    found = intervals(
        event(*rule, "EXDATE;TZID=Europe/Berlin:20260310T220000"),
        event("RECURRENCE-ID:20260311T210000Z", "DTSTART:20260311T210000Z", "DURATION:PT1H", "STATUS:CANCELLED"),
        event("RECURRENCE-ID:20260312T210000Z", "DTSTART:20260313T000000Z", "DURATION:PT2H"),
    )
    assert found == [
        (utc("2026-03-09T21:00"), utc("2026-03-09T22:00")),
        (utc("2026-03-13T00:00"), utc("2026-03-13T02:00")),
    ]


def test_a_repeated_night_over_a_change_of_the_clocks_is_the_shorter_one_or_denied_as_the_longer_one() -> None:
    rule = ("DTSTART;TZID=Europe/Berlin:20260327T220000", "DTEND;TZID=Europe/Berlin:20260328T050000")
    night = event(*rule, "RRULE:FREQ=DAILY;COUNT=2")
    assert intervals(night, deny=False)[1] == (utc("2026-03-28T21:00"), utc("2026-03-29T03:00"))
    assert intervals(night, deny=True)[1] == (utc("2026-03-28T21:00"), utc("2026-03-29T04:00"))


def test_a_local_time_that_comes_twice() -> None:
    twice = event("DTSTART;TZID=Europe/Berlin:20261025T021500", "DTEND;TZID=Europe/Berlin:20261025T024500")
    since = datetime(2026, 10, 1, tzinfo=UTC)
    assert intervals(twice, deny=False, since=since) == []
    assert intervals(twice, since=since) == [(utc("2026-10-25T00:15"), utc("2026-10-25T01:45"))]


def test_an_event_that_is_under_way_counts() -> None:
    (found,) = intervals(event("DTSTART;VALUE=DATE:20251201", "DTEND;VALUE=DATE:20270601"))
    assert found == (utc("2025-11-30T23:00"), SINCE + timedelta(days=60))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("DTSTART;TZID=Mars/Olympus:20260310T220000",), "the time zone 'Mars/Olympus', which is not known"),
        (("DTSTART:20260310T220000Z", "EXDATE;VALUE=DATE-TIME;TZID=Mars/Olympus:20260310T220000"), "is not known"),
        (("DTSTART;TZI\n D=Mars/Olympus:20260310T220000",), "is not known"),
        (("DTSTART:20260310T220000Z", "DTEND:20260310T210000Z"), "ends before it begins"),
        (("DTSTART;VALUE=DATE:20260310", "DTEND;VALUE=DATE:20260309"), "ends before it begins"),
        (("DTSTART:20260310T220000Z", "DURATION:-PT1H"), "ends before it begins"),
        (("DTSTART;VALUE=DATE:20260310", "DTEND:20260310T210000Z"), "half a date and half a time"),
        (("DTSTART:20260310T220000Z", "RRULE:FREQ=HOURLY"), "more often than daily"),
        (("DTSTART:20260310T220000Z", "RRULE:freq=minutely"), "more often than daily"),
        (("DTSTART:20260310T220000Z", "RRULE:FREQ=SECONDLY;COUNT=2"), "more often than daily"),
        (("DTSTART:20260310T220000Z", "RRULE:FREQ=DAILY;BYHOUR=1,2"), "more often than daily"),
        (("DTSTART:20260310T220000Z", "RRULE:FREQ=DAILY;COUNT=2", "RRULE:FREQ=HOURLY"), "more often than daily"),
        (("DTSTART:19690310T220000Z", "RRULE:FREQ=DAILY"), "of the year 1969"),
        (("DTSTART:nonsense",), "invalid DTSTART"),
        (("DTEND:20260310T220000Z",), "without DTSTART"),
    ],
)
def test_a_refused_event(lines: tuple[str, ...], words: str) -> None:
    assert words in refusal(event(*lines))


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VCALENDAR", "BEGIN:VEVENT\nEND:VEVENT\n", "\0", "\ud800"])
def test_no_calendar(text: str) -> None:
    with pytest.raises(UnreadableCalendar):
        check_calendar(text)


def test_bounds_of_a_file() -> None:
    one = event("DTSTART:20260310T220000Z")
    check_calendar(calendar(*[one] * 1_000))
    assert "more than 1,000 events" in refusal(*[one] * 1_001)
    assert "larger than 1 MiB" in refusal("X-NOTE:" + "a" * 2**20)


def test_an_event_that_the_library_cannot_work_out_is_unreadable() -> None:
    assert "an invalid RRULE" in refusal(event("DTSTART:20260310T220000Z", "RRULE:FREQ=SOMETIMES"))
    with pytest.raises(UnreadableCalendar, match="cannot be worked out"):
        intervals(event("DTSTART:20260310T220000Z", "RRULE:COUNT=3"))


def test_a_file_with_too_many_occurrences_is_known_for_a_shorter_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_file, "OCCURRENCES_MAX", 40)
    daily = calendar(event("DTSTART:20260101T220000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY"))
    times = expand_calendar(daily, BERLIN, SINCE, SINCE + HORIZON, deny=True)
    assert times.known_until == SINCE + timedelta(days=62)
    assert times.ends[-1] <= times.known_until


def test_without_the_extra_a_calendar_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(calendar_file, "import_module", missing)
    assert "fleetos[calendars]" in refusal(event("DTSTART:20260310T220000Z"))


def test_a_rule_expands_the_content_at_the_freeze_or_the_one_that_was_read() -> None:
    text = calendar(event("DTSTART:20260310T220000", "DURATION:PT1H"))
    begin = utc("2026-03-10T21:00")
    frozen = WindowRule(CalendarFile("/freezes.ics", text), "Europe/Berlin")
    assert expand(frozen, SINCE, deny=False).begins == (begin,)
    assert expand(WindowRule(CalendarFile("/freezes.ics"), "UTC"), SINCE, deny=True, text=text).begins == (
        utc("2026-03-10T22:00"),
    )
