"""One HTTP response of a cloud."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from fleetos.clock import Moment

_DATE_CHARS = 64
# Every response of a simulated cloud has this header; no response of a real cloud has it.
_SIMULATED = ("x-simulated-cloud", "fleetos")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Complete HTTP response."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """The headers, with names in lower case."""
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets that the response may quote."""
    sent_at: Moment | None = None
    """When the request left, at the earliest."""

    @property
    def simulated(self) -> bool:
        """True if the response says that it comes from a simulated cloud."""
        name, value = _SIMULATED
        return self.headers.get(name) == value

    @property
    def cloud_time(self) -> datetime | None:
        """The cloud's clock when it answered (the Date header, RFC 9110), None if absent or unreadable."""
        return _parse_date(self.headers.get("date", "")[:_DATE_CHARS])


# All responses within one second have the same header.
@lru_cache(maxsize=64)
def _parse_date(date: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(date)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
