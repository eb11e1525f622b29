"""Times, durations, numbers; text that cannot break a terminal."""

import unicodedata
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size

from fleetos.names import escape_letter

# No script puts more marks than this on one letter; more would paint over the lines above.
_MARKS_MAX = 3


def printable(text: str) -> str:
    """Return the text with escapes for all that a terminal would obey, or would not show as what it is."""
    if text.isascii() and text.isprintable():
        return text
    spelled: list[str] = []
    marks = 0
    for letter in text:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MARKS_MAX:
            spelled.append(escape_letter(letter))
    return "".join(spelled)


def printable_lines(text: str) -> str:
    """Return the text made printable, with its own line breaks kept."""
    return "\n".join(printable(line) for line in text.split("\n"))


def clip(text: str, width: int) -> str:
    """Return the text made printable and cut to `width` terminal cells; a cut shows as an ellipsis."""
    if width <= 0:
        return ""
    # A letter with its marks takes at least one cell, so a long text need not be measured whole.
    spelled = printable(text[: width * (_MARKS_MAX + 1) + 1])
    if cell_len(spelled) <= width:
        return spelled
    return set_cell_size(spelled, width - 1).rstrip() + "…"


def fill(text: str, width: int) -> str:
    """Return the text made printable and exactly `width` terminal cells wide."""
    return set_cell_size(clip(text, width), max(0, width))


def timestamp(at: datetime) -> str:
    """Return the time as RFC 3339 in UTC, to the millisecond, with Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp_or_none(at: datetime | None) -> str | None:
    """Return the time as RFC 3339 in UTC, to the millisecond; None for None."""
    return None if at is None else timestamp(at)


def short_timestamp(at: datetime) -> str:
    """Return the time as RFC 3339 in UTC, to the second, for people."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def clock_time(at: datetime, now: datetime) -> str:
    """Return the time of day in UTC, with the date if the day is not that of `now`."""
    same_day = at.astimezone(UTC).date() == now.astimezone(UTC).date()
    return f"{at.astimezone(UTC):%H:%M:%SZ}" if same_day else short_timestamp(at)


def short_duration(seconds: float) -> str:
    """Return a duration in at most two units: 45s, 2m10s, 1h05m, 3d04h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def exact_duration(seconds: float) -> str:
    """Return a duration without units that are zero: 10m, 1h30m, 1m30s, 0.2s."""
    if 0 < seconds < 1:
        return f"{seconds:g}s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
