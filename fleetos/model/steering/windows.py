"""Rules of windows: nights, cron times, dates and calendar files that are allowed or denied.

The fields of what a run freezes are the format of the journal and of JSON: renaming one needs a migration.
"""

from dataclasses import dataclass, field
from typing import Literal

from fleetos.model.steering.match import ANY_SERVER, Match


@dataclass(frozen=True, slots=True)
class Nights:
    """Weekly times: on each of the days from a local time to a later one, on the next day where `end_min` is less."""

    days: tuple[int, ...]
    """Days of the week on which the time begins; Monday is 0."""
    begin_min: int
    """Minutes after midnight."""
    end_min: int
    """Minutes after midnight."""
    kind: Literal["nights"] = "nights"


@dataclass(frozen=True, slots=True)
class CronTimes:
    """Times that begin when a cron expression of five fields says so, and last that long."""

    cron: str
    for_s: float
    kind: Literal["cron"] = "cron"


@dataclass(frozen=True, slots=True)
class DateTimes:
    """One time. Dates are both included; times are local unless they name an offset, and the end is excluded."""

    since: str
    """ISO 8601."""
    until: str
    """ISO 8601."""
    kind: Literal["dates"] = "dates"


@dataclass(frozen=True, slots=True)
class CalendarFile:
    """Events of an iCalendar file."""

    path: str
    """Absolute."""
    text: str | None = None
    """Content at the freeze; None: the file is read again and again while the run needs it."""
    kind: Literal["ics"] = "ics"


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Rule of `allow` or `deny`."""

    when: Nights | CronTimes | DateTimes | CalendarFile
    zone: str | None
    """IANA zone of local times; None: the rule has none."""
    name: str | None = None
    match: Match = ANY_SERVER


@dataclass(frozen=True, slots=True)
class Fit:
    """Time that a change must have left before its window closes. Both None: none."""

    quantile: float | None = 0.95
    """Share of changes that must end in the time that is left."""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """Times in which targets may be admitted."""

    allow: tuple[WindowRule, ...] | None = None
    """None: always."""
    deny: tuple[WindowRule, ...] = ()
    fit: Fit = field(default_factory=Fit)
    retries: Literal["finish", "wait"] = "finish"
    """`finish`: a server that a change left broken gets its next attempt outside of the windows too."""
    zone: str | None = None
    """IANA zone in which people read times; None: the plan names none."""
