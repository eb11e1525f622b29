"""Start time and deadline of a run, as options name them. Pure, but for the time zones of the system."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fleetos.errors import UsageError
from fleetos.planning.calendars import parse_date_or_time
from fleetos.planning.local_time import find_instants, find_zone

# A run is frozen when it is scheduled: what it knows of servers and images grows old until it starts.
SCHEDULE_MAX = timedelta(days=7)
_FORMS = "22:00, 2026-12-01 22:00, or with an offset: 2026-12-01T22:00+01:00"
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class StartTime:
    """Instant that an option names, and the zone in which people read it."""

    instant: datetime
    """UTC."""
    zone: ZoneInfo | None
    """None: the zone of this machine."""

    @property
    def words(self) -> str:
        """The instant in the zone and in UTC."""
        local = self.instant.astimezone(self.zone)
        zone = f"{self.zone.key}, {local:%Z}" if self.zone is not None else f"this machine's zone, {local:%Z}"
        return f"{local:%a %Y-%m-%d %H:%M} ({zone}), {self.instant:%Y-%m-%d %H:%MZ}"


def parse_start(text: str, zone_name: str | None, now: datetime) -> StartTime:
    """Return the start that a text names. A time of day is the next one; a local time is in the zone of the plan.

    `zone_name` None: the plan names no zone, so local times are in the zone of this machine. `now` is UTC. Raise
    UsageError for what is no time, comes twice or never, is over, or is further ahead than SCHEDULE_MAX.
    """
    start = _parse("--at", text, zone_name, now)
    if start.instant <= now:
        raise UsageError(f"--at {text} is over: {start.words}", "leave --at out to start now")
    if start.instant - now > SCHEDULE_MAX:
        raise UsageError(
            f"--at {text} is more than {SCHEDULE_MAX.days} days ahead: {start.words}",
            "a run is frozen when it is scheduled; apply the plan nearer to its start, or give it `windows`",
        )
    return start


def parse_deadline(text: str, zone_name: str | None, now: datetime) -> StartTime:
    """Return the deadline that a text names, by the rules of `parse_start`, but however far ahead. Raise UsageError."""
    deadline = _parse("--deadline", text, zone_name, now)
    if deadline.instant <= now:
        raise UsageError(f"--deadline {text} is over: {deadline.words}", "name a time that is still to come")
    return deadline


def _parse(option: str, text: str, zone_name: str | None, now: datetime) -> StartTime:
    zone = None if zone_name is None else find_zone(zone_name)
    return StartTime(_instant_of(option, text, zone, now), zone)


def _instant_of(option: str, text: str, zone: ZoneInfo | None, now: datetime) -> datetime:
    time_of_day = _TIME_OF_DAY.fullmatch(text)
    if time_of_day is not None:
        hour, minute = map(int, time_of_day.groups())
        today = now.astimezone(zone).replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None)
        days = (today + timedelta(days=days) for days in range(3))
        next_day = next(day for day in days if find_instants(day, zone).later > now)
        return _only_instant(f"{option} {text}", option, next_day, zone)
    parsed = parse_date_or_time(text)
    if not isinstance(parsed, datetime):
        raise UsageError(f"{option} {text[:80]!r} is no time", f"say it as {_FORMS}")
    return _only_instant(f"{option} {text}", option, parsed, zone) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _only_instant(words: str, option: str, local: datetime, zone: ZoneInfo | None) -> datetime:
    """Return the instant of a local time. Raise UsageError for one that clocks skip, or show twice."""
    instants, name = find_instants(local, zone), "this machine's zone" if zone is None else zone.key
    if instants.earlier.astimezone(zone).replace(tzinfo=None) != local:
        hint = f"the next one that they show: {option} {_with_offset(instants.later, zone)}"
        raise UsageError(f"{words}: clocks of {name} skip {local:%Y-%m-%d %H:%M}", hint)
    if instants.earlier != instants.later:
        hint = " or ".join(f"{option} {_with_offset(instant, zone)}" for instant in (instants.earlier, instants.later))
        raise UsageError(f"{words}: clocks of {name} show {local:%Y-%m-%d %H:%M} twice", f"say which: {hint}")
    return instants.later


def _with_offset(instant: datetime, zone: ZoneInfo | None) -> str:
    return instant.astimezone(zone).isoformat(timespec="minutes")
