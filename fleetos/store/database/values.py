"""Values of columns as they are understood: SQLite keeps any value in any column, and others may write there too."""

from collections.abc import Callable
from typing import Any, TypeVar

from fleetos.errors import DatabaseUnusable

Value = TypeVar("Value")


def understood(read: Callable[[Any], Value], value: object) -> Value:
    """What `read` makes of the value of a column. Raises DatabaseUnusable if that is nothing."""
    try:
        return read(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise DatabaseUnusable(
            f"the database holds a value that cannot be read back ({type(error).__name__})",
            "check it with `fleetos db check`",
        ) from None
