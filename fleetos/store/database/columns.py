"""Values of columns: times as text, and a refusal of what cannot be decoded."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from fleetos.errors import DatabaseUnusable

Value = TypeVar("Value")


def time_text(time: datetime) -> str:
    """Return the time in UTC as text of fixed width, which sorts by time and reads the same in both dialects."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def time_from(text: str) -> datetime:
    """Decode the text of a time. Raise ValueError."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time.astimezone(UTC)


def decode_column(read: Callable[[Any], Value], value: object) -> Value:
    """Decode the value of a column with `read`. Raise DatabaseUnusable if it is not valid."""
    try:
        return read(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise DatabaseUnusable(
            f"the database holds a value that cannot be read back ({type(error).__name__})",
            "check it with `fleetos db check`",
        ) from None
