"""One answer of a cloud: what came, when, and whether it is the word of a simulated one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from fleetos.clock import Moment

_DATE_CHARS = 64
# Every answer of a simulated cloud has this header, and none of a real one.
_SIMULATED = ("x-simulated-cloud", "fleetos")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer that came in whole. Header names are in lower case. `secrets` are those that it may quote.

    `left`: when its request left, at the earliest.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    left: Moment | None = None

    @property
    def simulated(self) -> bool:
        """Return whether it comes from a simulated cloud."""
        name, value = _SIMULATED
        return self.headers.get(name) == value

    @property
    def told_at(self) -> datetime | None:
        """Return the time of day at the cloud when it answered (the Date header, RFC 9110), None if it does not say."""
        return _time_of_day(self.headers.get("date", "")[:_DATE_CHARS])


# All answers of one second say the same.
@lru_cache(maxsize=64)
def _time_of_day(date: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(date)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
