"""Strict, bounded access to JSON fields: an absent field is None, a wrong type is refused."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from fleetos.cloud.http.error_body import parse_json
from fleetos.limits import ID_CHARS

Fields = Mapping[str, object]

_WHOLE = re.compile(r"-?[0-9]{1,18}")


class InvalidJson(ValueError):
    """A response is not as the API promises. The message names the field, never its value."""


def parse_object(body: bytes) -> Fields:
    """Return the JSON object of a response. Raise InvalidJson."""
    content = parse_json(body)
    if not isinstance(content, dict):
        raise InvalidJson("the answer is no JSON object")
    return cast("Fields", content)


def part(fields: Fields, key: str) -> Fields:
    """Return the object at `key`, empty if it is absent, null, or an empty string. Raise InvalidJson."""
    value = fields.get(key)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise InvalidJson(f"{key} is no object")
    return cast("Fields", value)


def parts(fields: Fields, key: str) -> Sequence[Fields]:
    """Return the objects in the list at `key`, none if it is absent or null. Raise InvalidJson."""
    value = fields.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidJson(f"{key} is no list")
    objects: list[Fields] = []
    for entry in cast("list[object]", value):
        if not isinstance(entry, dict):
            raise InvalidJson(f"{key} holds what is no object")
        objects.append(cast("Fields", entry))
    return objects


def text(fields: Fields, key: str, most_chars: int = ID_CHARS) -> str | None:
    """Return the string at `key`, None if it is absent, null or empty. Raise InvalidJson, also for a longer string."""
    value = fields.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most_chars or not value.isprintable():
        raise InvalidJson(f"{key} is no text of at most {most_chars} printable characters")
    return value


def require_text(fields: Fields, key: str, most_chars: int = ID_CHARS) -> str:
    """Return the string at `key`. Raise InvalidJson, also if it is absent or empty."""
    value = text(fields, key, most_chars)
    if value is None:
        raise InvalidJson(f"{key} is missing")
    return value


def number(fields: Fields, key: str) -> int | None:
    """Return the integer at `key`, None if it is absent; it may be written as a string. Raise InvalidJson."""
    value = fields.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise InvalidJson(f"{key} is no whole number")
    return value


def boolean(fields: Fields, key: str) -> bool:
    """Return the boolean at `key`, False if it is absent or null. Raise InvalidJson."""
    value = fields.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidJson(f"{key} is neither true nor false")
    return value


def parse_time(value: str | None) -> datetime | None:
    """Parse a time of the cloud, in UTC if it names no zone; return None if it is unreadable."""
    if value is None or len(value) > 64:
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        # OverflowError: a time within a day of the first or the last that datetime can represent.
        return None
