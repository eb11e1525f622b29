"""Windows by a scan of minutes: the local clock is read minute by minute, and nothing is computed from offsets.

In doubt a window is closed: where a local time is read twice, what is allowed begins at its last reading and ends at
its first, and what is denied the other way round. A time that is never read is the first one after it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

from fleetos.model.run import Target
from fleetos.model.steering.match import Match
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Nights, WindowRule
from tests.simulation.run_trace import RunTrace

_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
_DAY = 24 * 60
_MINUTE_S = 60.0
# The zones of the worlds are ahead of UTC by no more than this, and never behind it.
_AHEAD_MAX = 3 * 60
# What began before the play may still be open.
_BEFORE = 9 * _DAY

Span = tuple[float, float]
"""Begin, included, and end, excluded, in seconds since 1970."""


@lru_cache(maxsize=200_000)
def _reading(zone: str, minute: int) -> int:
    """Return what a clock of the zone reads in a minute of UTC, as minutes since 1970 by that clock."""
    read = datetime.fromtimestamp(minute * _MINUTE_S, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return int((read - _EPOCH).total_seconds() // _MINUTE_S)


@lru_cache(maxsize=20_000)
def _readings(zone: str, local: int) -> tuple[int, int]:
    """Return the first and the last minute of UTC in which a clock of the zone reads `local`."""
    minutes = range(local - _AHEAD_MAX, local + 1)
    found = [minute for minute in minutes if _reading(zone, minute) == local]
    if not found:
        found = [next(minute for minute in minutes if _reading(zone, minute) > local)]
    return found[0], found[-1]


def _span(zone: str, begin: int, end: int, *, deny: bool) -> Span:
    first, last = _readings(zone, begin), _readings(zone, end)
    minutes = (first[0], last[1]) if deny else (first[1], last[0])
    return minutes[0] * _MINUTE_S, minutes[1] * _MINUTE_S


def _spans(rule: WindowRule, since: int, until: int, *, deny: bool) -> Iterator[Span]:
    """Yield the spans of a rule that may touch these minutes of UTC."""
    zone, when = rule.zone or "UTC", rule.when
    match when:
        case Nights():
            for day in range((since - _BEFORE) // _DAY, until // _DAY + 2):
                if (_EPOCH + timedelta(days=day)).weekday() in when.days:
                    next_day = 1 if when.end_min <= when.begin_min else 0
                    begin, end = day * _DAY + when.begin_min, (day + next_day) * _DAY + when.end_min
                    yield _span(zone, begin, end, deny=deny)
        case CronTimes():
            for local in range(since - _BEFORE, until + _AHEAD_MAX):
                if _starts(when.cron, local):
                    first, last = _readings(zone, local)
                    yield (first if deny else last) * _MINUTE_S, last * _MINUTE_S + when.for_s
        case DateTimes():
            yield datetime.fromisoformat(when.since).timestamp(), datetime.fromisoformat(when.until).timestamp()
        case CalendarFile():
            # Its events are those of the world.
            return


@lru_cache(maxsize=100_000)
def _starts(cron: str, local: int) -> bool:
    read = _EPOCH + timedelta(minutes=local)
    values = (read.minute, read.hour, read.day, read.month, read.isoweekday() % 7)
    return all(_fits(field, value) for field, value in zip(cron.split(), values, strict=True))


def _fits(field: str, value: int) -> bool:
    for part in field.split(","):
        written, _, step = part.partition("/")
        low, _, high = written.partition("-")
        inside = written == "*" or int(low) <= value <= int(high or low)
        if inside and value % int(step or 1) == 0:
            return True
    return False


def _covers(match: Match, target: Target) -> bool:
    """Return whether a match of the worlds covers the target: they name zones alone."""
    return not match.az or target.az in match.az


class _RuleSpans:
    """Spans of one rule, in order. They may overlap."""

    def __init__(self, rule: WindowRule, spans: Iterable[Span]) -> None:
        ordered = sorted(spans)
        self.match = rule.match
        self.begins = [begin for begin, _ in ordered]
        self.ends = [end for _, end in ordered]
        self._latest = list(accumulate(self.ends, max))

    def has(self, at: float) -> bool:
        """Return whether any span has that moment in it."""
        index = bisect_right(self.begins, at)
        return index > 0 and at < self._latest[index - 1]


class MinuteScan:
    """Windows of one play."""

    def __init__(self, trace: RunTrace) -> None:
        steering = trace.spec.steering
        windows = None if steering is None else steering.plan.windows
        self.windows = windows
        since, until = (int((trace.born_at + seconds) // _MINUTE_S) for seconds in (0.0, trace.ended_s))
        allow = () if windows is None else windows.allow or ()
        deny = () if windows is None else windows.deny
        self._always = windows is None or windows.allow is None
        self._allow = [_RuleSpans(rule, _spans(rule, since, until + _DAY, deny=False)) for rule in allow]
        self._deny = [_RuleSpans(rule, _spans(rule, since, until + _DAY, deny=True)) for rule in deny]
        events = () if steering is None else steering.denied
        self._deny += [
            _RuleSpans(rule, ((begin.timestamp(), end.timestamp()) for begin, end in events))
            for rule in deny
            if isinstance(rule.when, CalendarFile)
        ]
        self._closings: dict[str | None, list[float]] = {}

    def is_denied(self, target: Target, at: float) -> bool:
        """Return whether the plan denies that moment."""
        return _is_in(self._deny, target, at)

    def is_open(self, target: Target, at: float) -> bool:
        """Return whether the plan allows that moment, and does not deny it."""
        return (self._always or _is_in(self._allow, target, at)) and not self.is_denied(target, at)

    def closings(self, target: Target) -> list[float]:
        """Return the moments of the play at which the window of the target closes. All of one zone have the same."""
        if target.az not in self._closings:
            ends = {end for rule in self._allow if _covers(rule.match, target) for end in rule.ends}
            begins = {begin for rule in self._deny if _covers(rule.match, target) for begin in rule.begins}
            self._closings[target.az] = sorted(
                at for at in ends | begins if self.is_open(target, at - 1e-3) and not self.is_open(target, at)
            )
        return self._closings[target.az]

    def is_open_for(self, target: Target, at: float, seconds: float) -> bool:
        """Return whether the window stays open so long: asked for each minute."""
        minutes = [at + _MINUTE_S * n for n in range(int(seconds // _MINUTE_S) + 1)]
        return all(self.is_open(target, moment) for moment in (*minutes, at + seconds - 1e-3))


def _is_in(rules: Sequence[_RuleSpans], target: Target, at: float) -> bool:
    return any(_covers(rule.match, target) and rule.has(at) for rule in rules)
