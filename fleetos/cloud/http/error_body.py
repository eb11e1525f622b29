"""The error bodies of the cloud: eight shapes (API gateway, ECS, job query, Nova), one meaning."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import inf
from typing import cast

from fleetos.clock import Clock
from fleetos.cloud.http.redaction import holds_secret, redact
from fleetos.limits import CLOSURE_TOLD_MAX_S, ERROR_BODY_BYTES, ERROR_FIELDS, ERROR_NESTING, MESSAGE_CHARS

# Tried in this order, as the vendor's SDK does: gateway, an older gateway, job query.
_PAIRS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))
# Names that wrap an error without telling anything about it.
_WRAPPERS = frozenset({"error", "fault", "errors"})
_REQUEST_ID_HEADERS = ("x-request-id", "x-openstack-request-id", "x-compute-request-id", "x-iam-trace-id")
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
_TAG = re.compile(r"<[^<>]{0,1000}>")
_LIMIT = re.compile(r"limit:(\d{1,9}),\s*time:(\d{1,6})\s*(second|minute|hour|day)?", re.IGNORECASE)
# A text as a whole, so that brackets in it are not taken for those of the value, or a bracket.
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
# No field that is read is more than a few levels down.
_NESTING = 100
# Longer than any number that is read (64 bits), and far from what the interpreter refuses to read.
_DIGITS = 40
_UNIT_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer says: the cloud's code, or the name of a Nova body, or None; and its message, bounded."""

    code: str | None
    message: str | None
    request_id: str | None = None


def parse_error_body(headers: Mapping[str, str], body: bytes, secrets: Collection[str] = ()) -> ErrorBody:
    """Return what an error answer says, without the secrets of its request; never raises.

    Header names are in lower case.
    """
    asked_by: object = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)
    content = parse_json(body) if len(body) <= ERROR_BODY_BYTES else None
    code, message = None, None
    if _is_tree(content):
        code, message = _Search().look(content)
        if asked_by is None and isinstance(content, dict):
            asked_by = cast("dict[str, object]", content).get("request_id")
    else:
        message = body[: 8 * MESSAGE_CHARS].decode("utf-8", "replace")
    said = plain(message, secrets) if message else None
    return ErrorBody(_unless_secret(code, secrets), said, _unless_secret(_request_id(asked_by), secrets))


def parse_json(body: bytes | str) -> object:
    """Return the JSON value of a body, None if it is no JSON (or null).

    One strange value does not spoil all the others of an answer: letters that are no UTF-8 become lone surrogates,
    which no reader of texts accepts, a number without end becomes infinite, and what is nested too deeply becomes null.
    """
    try:
        return cast("object", json.loads(body))
    except RecursionError:
        content = _shallow(_letters(body))
    except ValueError:
        content = _letters(body)
    try:
        return cast("object", json.loads(content, parse_int=_whole))
    except (ValueError, RecursionError):
        return None


def _letters(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode("utf-8", "surrogateescape")


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS else inf


def _shallow(text: str) -> str:
    """The text of a JSON value with null in place of whatever is nested too deeply."""
    kept: list[str] = []
    depth, done = 0, 0
    for found in _BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth == _NESTING + 1:
                kept.append(text[done : found.start()])
        elif found[0] in "]}":
            if depth == _NESTING + 1:
                kept.append("null")
                done = found.end()
            depth -= 1
    return "".join((*kept, text[done:] if depth <= _NESTING else ""))


def plain(text: str, secrets: Collection[str] = ()) -> str | None:
    """Return a text of the cloud as one bounded, printable line without markup and secrets, None if nothing is left."""
    letters = "".join(letter for letter in text[: 8 * MESSAGE_CHARS] if letter.isprintable() or letter.isspace())
    # Looked through before the markup goes, which may tear a secret apart, and well beyond what is kept, so that no
    # beginning of one is left where the text is cut.
    words = _TAG.sub(" ", redact(letters, secrets)[: 4 * MESSAGE_CHARS]).split()
    return " ".join(words)[:MESSAGE_CHARS] or None


def retry_after_s(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Return the Retry-After of an answer in seconds, None if there is none that can be read (RFC 9110: or a date)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), CLOSURE_TOLD_MAX_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        return None
    return min(max((until - clock.now()).total_seconds(), 0.0), CLOSURE_TOLD_MAX_S)


def stated_limit(message: str | None) -> tuple[int, float] | None:
    """Return the limit in a 429's text, as (requests, seconds), None if it names none: `limit:200,time:5 minute`."""
    found = _LIMIT.search(message) if message else None
    if found is None:
        return None
    requests, window_s = int(found[1]), int(found[2]) * _UNIT_S[(found[3] or "second").lower()]
    return (requests, window_s) if requests > 0 and window_s > 0 else None


class _Search:
    """One bounded look through an error body for its code and its message."""

    def __init__(self) -> None:
        self._left = ERROR_FIELDS

    def look(self, node: object, depth: int = 0, name: str | None = None) -> tuple[str | None, str | None]:
        """Return (code, message) of the first part that has any; an outer code wins over an inner one."""
        if depth > ERROR_NESTING or self._left <= 0:
            return None, None
        self._left -= 1
        if isinstance(node, list):
            return self._first(((None, part) for part in cast("list[object]", node)), depth)
        if not isinstance(node, dict):
            return None, None
        fields = cast("dict[str, object]", node)
        code, message = self._own(fields, depth)
        if name is not None and name not in _WRAPPERS and message is not None and (code is None or code.isdigit()):
            # Nova: the name of the body is the code, the number in it only repeats the status.
            code = name if _CODE.fullmatch(name) else None
        if code is None and message is None:
            return self._first(fields.items(), depth)
        return code, message

    def _own(self, fields: Mapping[str, object], depth: int) -> tuple[str | None, str | None]:
        for code_key, message_key in _PAIRS:
            code, message = _code(fields.get(code_key)), fields.get(message_key)
            text = message if isinstance(message, str) and message.strip() else None
            if code is None and text is None:
                continue
            if text is not None and text.lstrip().startswith("{") and len(text) <= ERROR_BODY_BYTES:
                inner_code, inner_text = self.look(parse_json(text), depth + 1)
                return code or inner_code, inner_text or text
            return code, text
        return None, None

    def _first(self, parts: Iterable[tuple[str | None, object]], depth: int) -> tuple[str | None, str | None]:
        for name, part in parts:
            if _is_tree(part):
                code, message = self.look(part, depth + 1, name)
                if code is not None or message is not None:
                    return code, message
        return None, None


def _is_tree(value: object) -> bool:
    return isinstance(value, dict | list)


def _code(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**9 else None
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def _unless_secret(value: str | None, secrets: Collection[str]) -> str | None:
    """The value, unless a secret is in it: codes and ids are kept whole or not at all."""
    return None if value is not None and holds_secret(value, secrets) else value


def _request_id(value: object) -> str | None:
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None
