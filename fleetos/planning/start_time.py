"""Start time of a run, as `apply --at` takes it: which instant is meant. Pure, but for the time zones of the system."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fleetos.errors import UsageError
from fleetos.planning.calendars import parse_date_or_time
from fleetos.planning.local_time import LocalTime, find_instants, find_zone

# A run is frozen when it is scheduled: what it knows of servers and images grows old until it starts.
SCHEDULE_MAX = timedelta(days=7)
_FORMS = "22:00, 2026-12-01 22:00, or with an offset: 2026-12-01T22:00+01:00"
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class StartTime:
    """Instant before which a run admits nobody, and the zone in which people read it."""

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
    zone = None if zone_name is None else find_zone(zone_name)
    start = StartTime(_instant_of(text, zone, now), zone)
    if start.instant <= now:
        raise UsageError(f"--at {text} is over: {start.words}", "leave --at out to start now")
    if start.instant - now > SCHEDULE_MAX:
        raise UsageError(
            f"--at {text} is more than {SCHEDULE_MAX.days} days ahead: {start.words}",
            "a run is frozen when it is scheduled; apply the plan nearer to its start, or give it `windows`",
        )
    return start


def _instant_of(text: str, zone: ZoneInfo | None, now: datetime) -> datetime:
    time_of_day = _TIME_OF_DAY.fullmatch(text)
    if time_of_day is not None:
        hour, minute = map(int, time_of_day.groups())
        today = now.astimezone(zone).replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None)
        days = (today + timedelta(days=days) for days in range(3))
        return _only_instant(text, next(day for day in days if find_instants(day, zone).later > now), zone)
    parsed = parse_date_or_time(text)
    if not isinstance(parsed, datetime):
        raise UsageError(f"--at {text[:80]!r} is no time", f"say it as {_FORMS}")
    return _only_instant(text, parsed, zone) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _only_instant(text: str, local: datetime, zone: ZoneInfo | None) -> datetime:
    """Return the instant of a local time. Raise UsageError for one that clocks skip, or show twice."""
    instants, name = find_instants(local, zone), "this machine's zone" if zone is None else zone.key
    if instants.earlier.astimezone(zone).replace(tzinfo=None) != local:
        hint = f"the next one that they show: --at {_with_offset(instants.later, zone)}"
        raise UsageError(f"--at {text}: clocks of {name} skip {local:%Y-%m-%d %H:%M}", hint)
    if instants.earlier != instants.later:
        raise UsageError(f"--at {text}: clocks of {name} show {local:%Y-%m-%d %H:%M} twice", _either(instants, zone))
    return instants.later


def _either(instants: LocalTime, zone: ZoneInfo | None) -> str:
    return f"say which: --at {_with_offset(instants.earlier, zone)} or --at {_with_offset(instants.later, zone)}"


def _with_offset(instant: datetime, zone: ZoneInfo | None) -> str:
    return instant.astimezone(zone).isoformat(timespec="minutes")
