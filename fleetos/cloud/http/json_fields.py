"""Strict, bounded reading of JSON: what is absent is None, what has the wrong type is refused."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from fleetos.cloud.http.error_body import parse_json
from fleetos.limits import ID_CHARS

Fields = Mapping[str, object]

_WHOLE = re.compile(r"-?[0-9]{1,18}")


class InvalidJson(ValueError):
    """An answer is not what the API promises; the text says which field, never its value."""


def parse_object(body: bytes) -> Fields:
    """Return the JSON object of an answer. Raises Unreadable."""
    content = parse_json(body)
    if not isinstance(content, dict):
        raise InvalidJson("the answer is no JSON object")
    return cast("Fields", content)


def part(fields: Fields, key: str) -> Fields:
    """Return the object at `key`, empty where it is absent, null, or an empty text. Raises Unreadable."""
    value = fields.get(key)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise InvalidJson(f"{key} is no object")
    return cast("Fields", value)


def parts(fields: Fields, key: str) -> Sequence[Fields]:
    """Return the objects of the list at `key`, none where it is absent or null. Raises Unreadable."""
    value = fields.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidJson(f"{key} is no list")
    found: list[Fields] = []
    for entry in cast("list[object]", value):
        if not isinstance(entry, dict):
            raise InvalidJson(f"{key} holds what is no object")
        found.append(cast("Fields", entry))
    return found


def text(fields: Fields, key: str, most_chars: int = ID_CHARS) -> str | None:
    """Return the text at `key`, None where it is absent, null or empty. Raises Unreadable, also for a longer text."""
    value = fields.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most_chars or not value.isprintable():
        raise InvalidJson(f"{key} is no text of at most {most_chars} printable characters")
    return value


def need(fields: Fields, key: str, most_chars: int = ID_CHARS) -> str:
    """Return the text at `key`. Raises Unreadable where there is none."""
    value = text(fields, key, most_chars)
    if value is None:
        raise InvalidJson(f"{key} is missing")
    return value


def number(fields: Fields, key: str) -> int | None:
    """Return the whole number at `key`, also one that is written as a text. Raises Unreadable."""
    value = fields.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise InvalidJson(f"{key} is no whole number")
    return value


def truth(fields: Fields, key: str) -> bool:
    """Return the truth value at `key`, False where it is absent or null. Raises Unreadable."""
    value = fields.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidJson(f"{key} is neither true nor false")
    return value


def stamp(value: str | None) -> datetime | None:
    """Return a time of the cloud, which is UTC where it names no zone; None where it cannot be read."""
    if value is None or len(value) > 64:
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        # The second for a time within a day of the first or the last that a clock can show.
        return None
