"""Local times: time zones, and the instants of a time on the clock. Pure, but for the time zones of the system."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from fleetos.text import did_you_mean

_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")
# Folders and links of the system that are no IANA names; `right` counts leap seconds.
_NO_ZONES = ("localtime", "posixrules", "Factory")
_NO_ZONE_FOLDERS = ("posix/", "right/")


class UnreadableCalendar(Exception):
    """A calendar that cannot be understood: `str` says why, as the end of a sentence about its file."""


@lru_cache(maxsize=256)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the IANA time zone of that name, None if the system knows none."""
    if not _ZONE.fullmatch(name) or name in _NO_ZONES or name.startswith(_NO_ZONE_FOLDERS):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # A folder such as `Europe` is an OSError; ZoneInfoNotFoundError is a KeyError.
        return None


def zone_hint(name: str) -> str:
    """Return a hint for a zone that is not known."""
    near = did_you_mean(name, sorted(available_timezones()), spelled=lambda word: f"`{word}`")
    return near or "zones are named as in Europe/Berlin; they come with the system or the package tzdata"


@dataclass(frozen=True, slots=True)
class LocalTime:
    """The instants of one local time: two where clocks are set back, else one."""

    earlier: datetime
    later: datetime


def find_instants(local: datetime, zone: ZoneInfo | None) -> LocalTime:
    """Return the instants of a local time, which names no zone. A skipped one is the first instant after the gap.

    `zone` None: the zone of this machine.
    """
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if second >= first:
        return LocalTime(first, second)
    gap_end = _first_after_gap(second, first, zone)
    return LocalTime(gap_end, gap_end)


def _first_after_gap(before: datetime, after: datetime, zone: ZoneInfo | None) -> datetime:
    """Return the first second between two instants that has the offset of the second one."""
    offset = after.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while low < high:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle + 1
    return before + timedelta(seconds=high)
