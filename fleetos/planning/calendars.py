"""Calendars: turn the rules of `windows` into UTC intervals. Pure, but for the time zones of the system.

In doubt a window is closed: a local time that comes twice opens it at its later instant and closes it at its earlier
one; for what is denied it is the other way round.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from fleetos.model.steering.times import Interval, Times
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Nights, WindowRule
from fleetos.planning.calendar_file import expand_calendar
from fleetos.planning.local_time import LocalTime, UnreadableCalendar, find_instants, find_zone

# Windows are known this far ahead: any yearly event, and some weeks.
HORIZON = timedelta(days=400)
# Coming starts of a cron rule that are worked out, at each start of a driver. A rule with more is known for a shorter
# time, and worked out anew in time.
STARTS_MAX = 1_000
# What began before may still be open. A local day is not as long as another one.
_LOOK_BACK = timedelta(days=2)


def _between(begin: LocalTime, end: LocalTime, *, deny: bool) -> Interval:
    return (begin.earlier, end.later) if deny else (begin.later, end.earlier)


def expand(rule: WindowRule, since: datetime, *, deny: bool, text: str | None = None) -> Times:
    """Return the times of a rule from `since` on, as far as they are known: at most HORIZON ahead.

    `text` is the content of the file of a rule that has one. Raise UnreadableCalendar if it cannot be understood, or if
    the zone of the rule is not known any more.
    """
    until = since + HORIZON
    match rule.when:
        case Nights():
            return Times.of(_nights(rule.when, _zone_of(rule), since, until, deny=deny), until)
        case CronTimes():
            return _cron_times(rule.when, _zone_of(rule), since, until, deny=deny)
        case DateTimes():
            zone = None if rule.zone is None else _zone_of(rule)
            return Times.of([find_interval(rule.when, zone, deny=deny)], until)
        case CalendarFile():
            content = rule.when.text if text is None else text
            if content is None:
                raise UnreadableCalendar("was not read")
            return expand_calendar(content, _zone_of(rule), since, until, deny=deny)


def _zone_of(rule: WindowRule) -> ZoneInfo:
    zone = find_zone(rule.zone or "")
    if zone is None:
        raise UnreadableCalendar(f"needs the time zone {rule.zone}, which this system does not know")
    return zone


def _nights(rule: Nights, zone: ZoneInfo, since: datetime, until: datetime, *, deny: bool) -> Iterator[Interval]:
    day, last = (since - _LOOK_BACK).date(), (until + _LOOK_BACK).date()
    over_midnight = timedelta(days=1 if rule.end_min <= rule.begin_min else 0)
    while day <= last:
        if day.weekday() in rule.days:
            midnight = datetime.combine(day, time())
            begin = find_instants(midnight + timedelta(minutes=rule.begin_min), zone)
            end = find_instants(midnight + over_midnight + timedelta(minutes=rule.end_min), zone)
            yield _between(begin, end, deny=deny)
        day += timedelta(days=1)


def _cron_times(rule: CronTimes, zone: ZoneInfo, since: datetime, until: datetime, *, deny: bool) -> Times:
    """Return the times of a cron rule: each lasts `for_s` true seconds.

    A start that comes twice is denied from its first instant until `for_s` after its second.
    """
    length = timedelta(seconds=rule.for_s)
    intervals: list[Interval] = []
    ahead = 0
    for start in cron_starts(rule.cron, _local(since - length - _LOOK_BACK, zone)):
        instants = find_instants(start, zone)
        ahead += instants.earlier >= since
        if instants.earlier >= until or ahead > STARTS_MAX:
            return Times.of(intervals, min(until, instants.earlier))
        begin, end = _between(instants, LocalTime(instants.later, instants.later), deny=deny)
        intervals.append((begin, end + length))
    return Times.of(intervals, until)


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def cron_starts(expression: str, after: datetime) -> Iterator[datetime]:
    """Yield the local times after `after` at which the expression starts. Raise ValueError if it is none.

    The library knows no daylight saving here, since the times name no zone: `find_instants` has the only say.
    """
    if len(expression.split()) != 5:
        raise ValueError("not five fields")
    try:
        return CronSim(expression, after)
    except CronSimError as error:
        raise ValueError(str(error)) from None


def check_cron(expression: str) -> None:
    """Raise ValueError unless the expression is one of five fields that ever starts."""
    if next(cron_starts(expression, datetime.combine(date(2027, 1, 1), time())), None) is None:
        raise ValueError("it never starts")


def parse_date_or_time(text: str) -> date | datetime | None:
    """Return the date or the time that an ISO 8601 text names, None if it names none."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        parse: Callable[[str], date | datetime] = date.fromisoformat
    elif re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?", text):
        parse = datetime.fromisoformat
    else:
        return None
    try:
        parsed = parse(text)
    except ValueError:
        return None
    # Beyond these years, sums with an offset or a horizon overflow.
    return parsed if 1970 <= parsed.year <= 9900 else None


def is_local(rule: DateTimes) -> bool:
    """Return whether a date or a time of the rule depends on a zone."""
    return any(
        not isinstance(parsed := parse_date_or_time(text), datetime) or parsed.tzinfo is None
        for text in (rule.since, rule.until)
    )


def find_interval(rule: DateTimes, zone: ZoneInfo | None, *, deny: bool) -> Interval:
    """Return the interval of the rule. Raise UnreadableCalendar if its texts are none, or need a zone."""
    return _between(
        _instants_of(rule.since, zone, timedelta()), _instants_of(rule.until, zone, timedelta(days=1)), deny=deny
    )


def _instants_of(text: str, zone: ZoneInfo | None, after_date: timedelta) -> LocalTime:
    """Return the instants of a time, or of the midnight that begins `after_date` after a date."""
    parsed = parse_date_or_time(text)
    if isinstance(parsed, datetime) and parsed.tzinfo is not None:
        instant = parsed.astimezone(UTC)
        return LocalTime(instant, instant)
    if parsed is None or zone is None:
        raise UnreadableCalendar("has a time that is none, or that needs a zone")
    if not isinstance(parsed, datetime):
        parsed = datetime.combine(parsed, time()) + after_date
    return find_instants(parsed, zone)


def longest_s(rules: Iterable[Times]) -> float:
    """Return the length of the longest interval that the rules make together, in seconds."""
    return Times.union(rules).longest.total_seconds()
