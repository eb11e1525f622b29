"""Durations, percentages and rates: parse and format."""

import re
from dataclasses import dataclass
from decimal import Decimal

from fleetos.limits import CONCURRENCY_MAX, DURATION_MAX_S, RATE_MAX_REQUESTS
from fleetos.model.plan import Share

# The burst of a stated rate: enough to keep the connections busy, small against any stated window.
RATE_BURST = 10
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_PART = r"[0-9]{1,9}(?:\.[0-9]{1,6})?(?:ms|s|m|h)"
DURATION_PATTERN = rf"^(?:{_PART})+$"
PERCENT_PATTERN = r"^[0-9]{1,3}(?:\.[0-9]{1,6})?%$"
RATE_PATTERN = rf"^[1-9][0-9]{{0,6}}/(?:s|m|h|(?:{_PART})+)$"

# Used with fullmatch: `$` alone accepts a line break at the end.
_DURATION = re.compile(DURATION_PATTERN)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_PERCENT = re.compile(PERCENT_PATTERN)
_RATE = re.compile(RATE_PATTERN)


def parse_duration_s(text: str) -> float | None:
    """Parse a duration such as `200ms`, `30s` or `1h30m` to seconds; None if it is none."""
    if not _DURATION.fullmatch(text):
        return None
    # Exact, so that 1.001s and 1001ms are the same number of seconds.
    total_ms = sum(Decimal(number) * _UNITS_MS[unit] for number, unit in _DURATION_PART.findall(text))
    return float(total_ms / 1000)


def format_duration(seconds: float) -> str:
    """Return the shortest spelling of a duration, to the millisecond; `parse_duration_s` reads it back."""
    left_ms = round(seconds * 1000)
    spelled = ""
    for unit in ("h", "m", "s", "ms"):
        count, left_ms = divmod(left_ms, _UNITS_MS[unit])
        spelled += f"{count}{unit}" if count else ""
    return spelled or "0s"


def parse_share(value: object) -> Share | None:
    """Parse a number of servers, or a percentage of them such as `25%`; None if it is neither, or out of bounds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Share(value) if 1 <= value <= CONCURRENCY_MAX else None
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        percent = float(value[:-1])
        return Share(percent, percent=True) if 0 < percent <= 100 else None
    return None


def format_share(value: Share) -> str | int:
    """Return the spelling of a share; `parse_share` reads it back."""
    if not value.percent:
        return int(value.number)
    return f"{value.number:.6f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `requests` in any interval of `per_s` seconds."""

    requests: int
    per_s: float

    @property
    def burst(self) -> int:
        """Number of requests that may go out at once: a tenth of the allowance, from 1 to RATE_BURST."""
        return max(1, min(RATE_BURST, self.requests // 10))

    @property
    def steady_per_s(self) -> float:
        """Requests a second at which a bucket of `burst` never exceeds the allowance in any interval."""
        return (self.requests - self.burst + 1) / self.per_s


def parse_rate(text: str) -> Rate | None:
    """Parse a rate such as `200/5m` or `10/s`; None if it is none, or out of bounds."""
    if not _RATE.fullmatch(text):
        return None
    requests, _, span = text.partition("/")
    per_s = parse_duration_s(span if span[0].isdigit() else f"1{span}")
    if per_s is None or not 0.001 <= per_s <= DURATION_MAX_S or int(requests) > RATE_MAX_REQUESTS:
        return None
    return Rate(int(requests), per_s)


def format_rate(value: Rate) -> str:
    """Return the spelling of a rate; `parse_rate` reads it back."""
    return f"{value.requests}/{format_duration(value.per_s)}"
