"""Calendar files (iCalendar, RFC 5545): check them, and find the intervals of their events.

The libraries guess where a file is wrong: a time in an unknown zone becomes a local one, an event that ends before it
begins is turned round, a time zone of the file's own replaces the real one. So all of this is checked before.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from importlib import import_module
from typing import Any, cast
from zoneinfo import ZoneInfo

from fleetos.model.steering.times import Interval, Times
from fleetos.planning.local_time import LocalTime, UnreadableCalendar, find_instants, find_zone

CALENDAR_MAX_BYTES = 1024 * 1024
EVENTS_MAX = 1_000
# Occurrences that are worked out. A file with more is known for a shorter time.
OCCURRENCES_MAX = 10_000
# Repeated events of earlier years take too long to work out, and cannot be windows of servers.
_FIRST_YEAR, _LAST_YEAR = 1970, 9900
_CHUNK = timedelta(days=31)
# Local times of events are compared with UTC by the library: no zone is farther away.
_MARGIN = timedelta(days=2)
_FINER_THAN_DAILY = frozenset({"HOURLY", "MINUTELY", "SECONDLY"})
_PARTS_OF_A_DAY = ("BYHOUR", "BYMINUTE", "BYSECOND")
_TZID = re.compile(r"^[A-Z-]+(?:;[^:\r\n]*)?;TZID=(\"[^\"]*\"|[^;:\r\n]*)", re.MULTILINE | re.IGNORECASE)
_FOLD = re.compile(r"\r?\n[ \t]")
# All that the libraries raise for files that are none, or are wrong in ways that nobody thought of.
_REFUSALS = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, NotImplementedError)


def check_calendar(text: str) -> None:
    """Raise UnreadableCalendar if the file cannot be understood, or is beyond the bounds."""
    _parse(text)


def expand_calendar(text: str, zone: ZoneInfo, since: datetime, until: datetime, *, deny: bool) -> Times:
    """Return the times of the events. Dates and times without a zone are in `zone`."""
    calendar = _parse(text)
    intervals: list[Interval] = []
    known_until, begin, found = until, since, 0
    try:
        query: Any = _library("recurring_ical_events").of(calendar)
        while begin < until:
            end = min(begin + _CHUNK, until)
            occurrences = query.between(begin - _MARGIN, end + _MARGIN)
            intervals += _intervals(occurrences, zone, deny=deny)
            found += len(occurrences)
            begin = end
            if found > OCCURRENCES_MAX:
                known_until = end
                break
    except _REFUSALS as error:
        raise UnreadableCalendar(f"has an event that cannot be worked out: {_short(error)}") from None
    return Times.of(intervals, known_until)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise UnreadableCalendar("needs the extra `calendars`: pip install 'fleetos[calendars]'") from None


def _parse(text: str) -> Any:
    """Return the calendar of the library, once it was checked."""
    if len(text.encode("utf-8", "surrogatepass")) > CALENDAR_MAX_BYTES:
        raise UnreadableCalendar(f"is larger than {CALENDAR_MAX_BYTES // 2**20} MiB")
    if text.upper().count("BEGIN:VEVENT") > EVENTS_MAX:
        raise UnreadableCalendar(f"has more than {EVENTS_MAX:,} events")
    _check_zones(text)
    library: Any = _library("icalendar")
    _library("recurring_ical_events")
    try:
        calendar = library.Calendar.from_ical(text)
        # A name that some programs write for the whole file; times without a zone are in the zone of the plan.
        calendar.pop("X-WR-TIMEZONE", None)
        for event in calendar.walk("VEVENT"):
            _check_event(event)
    except _REFUSALS as error:
        raise UnreadableCalendar(f"is no calendar: {_short(error)}") from None
    return calendar


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _check_zones(text: str) -> None:
    for written in sorted({found.strip('"') for found in _TZID.findall(_FOLD.sub("", text))}):
        if _known_zone(written) is None:
            raise UnreadableCalendar(f"names the time zone {written[:64]!r}, which is not known")


def _known_zone(written: str) -> ZoneInfo | None:
    """Return the zone of a TZID: an IANA name, or the name that Windows has for one."""
    zone = find_zone(written)
    if zone is not None:
        return zone
    names: dict[str, str] = _library("icalendar.timezone.windows_to_olson").WINDOWS_TO_OLSON
    return find_zone(names.get(written, ""))


def _check_event(event: Any) -> None:
    """Raise UnreadableCalendar if the event does not begin, ends before it begins, or repeats too often."""
    if event.errors:
        raise UnreadableCalendar(f"has an event with an invalid {event.errors[0][0]}")
    if "DTSTART" not in event:
        raise UnreadableCalendar("has an event without DTSTART")
    begin = event["DTSTART"].dt
    end = event["DTEND"].dt if "DTEND" in event else None
    if "DURATION" in event and event["DURATION"].dt < timedelta():
        raise UnreadableCalendar(f"has an event of {_shown(begin)} that ends before it begins")
    if end is not None:
        if isinstance(begin, datetime) != isinstance(end, datetime):
            raise UnreadableCalendar(f"has an event of {_shown(begin)} that is half a date and half a time")
        if _sortable(end) < _sortable(begin):
            raise UnreadableCalendar(f"has an event of {_shown(begin)} that ends before it begins")
    if not _FIRST_YEAR <= begin.year <= _LAST_YEAR or (end is not None and end.year > _LAST_YEAR):
        raise UnreadableCalendar(f"has an event of the year {begin.year}")
    _check_rules(event, begin)


def _check_rules(event: Any, begin: date) -> None:
    for name in ("RRULE", "EXRULE"):
        written: Any = event.get(name, [])
        rules = cast("list[Any]", written) if isinstance(written, list) else [written]
        for rule in rules:
            finer = any(str(frequency).upper() in _FINER_THAN_DAILY for frequency in rule.get("FREQ", []))
            if finer or any(len(rule.get(part, [])) > 1 for part in _PARTS_OF_A_DAY):
                raise UnreadableCalendar(f"repeats the event of {_shown(begin)} more often than daily")


def _sortable(moment: date) -> datetime:
    """Return a moment in a form in which two moments of one event can be compared."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time(), UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _shown(moment: date) -> str:
    return moment.isoformat()


def _intervals(occurrences: list[Any], zone: ZoneInfo, *, deny: bool) -> Iterator[Interval]:
    for event in occurrences:
        if str(event.get("STATUS", "")).upper() == "CANCELLED" or str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
            continue
        begin, end = event["DTSTART"].dt, event["DTEND"].dt
        first, last = _instants(begin, zone), _instants(end, zone)
        if isinstance(begin, datetime):
            # A repeated event may mean the same hours by the clock or the same length: RFC 5545 says one, programs do
            # the other. In doubt closed.
            length = _naive(end) - _naive(begin)
            last = LocalTime(min(last.earlier, first.earlier + length), max(last.later, first.later + length))
        yield (first.earlier, last.later) if deny else (first.later, last.earlier)


def _naive(moment: date) -> datetime:
    if isinstance(moment, datetime):
        return moment.replace(tzinfo=None)
    return datetime.combine(moment, time())


def _instants(moment: date, zone: ZoneInfo) -> LocalTime:
    """Return the instants of a date's midnight or of a time; in `zone` unless the time names its own."""
    own = moment.tzinfo if isinstance(moment, datetime) else None
    if own is None:
        return find_instants(_naive(moment), zone)
    if isinstance(own, ZoneInfo):
        return find_instants(_naive(moment), own)
    instant = _sortable(moment)
    return LocalTime(instant, instant)
