"""Parse the cloud's eight error body formats (API gateway, ECS, job query, Nova)."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import inf
from typing import cast

from fleetos.clock import Clock
from fleetos.cloud.http.redaction import holds_secret, redact
from fleetos.limits import CLOSURE_STATED_MAX_S

# Error bodies nest (JSON in a message in JSON); deeper or longer ones are not decoded.
ERROR_BODY_BYTES = 256 * 2**10
ERROR_NESTING = 8
ERROR_FIELDS = 200
# Characters that are kept of a cloud's message.
MESSAGE_CHARS = 500
# Fields of code and message in the order in which the vendor's SDK tries them: gateway, an older gateway, job query.
_PAIRS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))
# Names that wrap an error without describing it.
_WRAPPERS = frozenset({"error", "fault", "errors"})
_REQUEST_ID_HEADERS = ("x-request-id", "x-openstack-request-id", "x-compute-request-id", "x-iam-trace-id")
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
_TAG = re.compile(r"<[^<>]{0,1000}>")
_LIMIT = re.compile(r"limit:(\d{1,9}),\s*time:(\d{1,6})\s*(second|minute|hour|day)?", re.IGNORECASE)
# A string or a bracket. Strings are matched whole, so that brackets inside of them do not count.
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
# Every field that fleetos reads is at most a few levels deep.
_NESTING = 100
# More than any 64-bit number has, and far fewer than the interpreter refuses to parse.
_DIGITS = 40
_UNIT_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Content of an error response: the cloud's code, or the name of a Nova body, or None; and a bounded message."""

    code: str | None
    message: str | None
    request_id: str | None = None


def parse_error_body(headers: Mapping[str, str], body: bytes, secrets: Collection[str] = ()) -> ErrorBody:
    """Parse an error response and redact the secrets of its request; never raise. Header names are in lower case."""
    request_id: object = _stated_request_id(headers)
    content = parse_json(body) if len(body) <= ERROR_BODY_BYTES else None
    code, message = None, None
    if _is_tree(content):
        code, message = _Search().find(content)
        if request_id is None and isinstance(content, dict):
            request_id = cast("dict[str, object]", content).get("request_id")
    else:
        message = body[: 8 * MESSAGE_CHARS].decode("utf-8", "replace")
    message_text = sanitize(message, secrets) if message else None
    return ErrorBody(_drop_if_secret(code, secrets), message_text, _drop_if_secret(_request_id(request_id), secrets))


def request_id_of(headers: Mapping[str, str], secrets: Collection[str] = ()) -> str | None:
    """Return the request id in the headers of a response, None if there is none or it contains a secret."""
    return _drop_if_secret(_request_id(_stated_request_id(headers)), secrets)


def _stated_request_id(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)


def parse_json(body: bytes | str) -> object:
    """Return the JSON value of a body, None if it is not JSON (or null).

    One strange value must not spoil the rest of a response: bytes that are not UTF-8 become lone surrogates, which
    `json_fields` refuses, a number of more than _DIGITS digits becomes infinite, and values below _NESTING levels
    become null.
    """
    try:
        return cast("object", json.loads(body))
    except RecursionError:
        content = _cut_nesting(_decode(body))
    except ValueError:
        content = _decode(body)
    try:
        return cast("object", json.loads(content, parse_int=_parse_int))
    except (ValueError, RecursionError):
        return None


def _decode(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode("utf-8", "surrogateescape")


def _parse_int(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS else inf


def _cut_nesting(text: str) -> str:
    """Return the text of a JSON value with null in place of values below _NESTING levels."""
    pieces: list[str] = []
    depth, copied = 0, 0
    for match in _BRACKET.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth == _NESTING + 1:
                pieces.append(text[copied : match.start()])
        elif match[0] in "]}":
            if depth == _NESTING + 1:
                pieces.append("null")
                copied = match.end()
            depth -= 1
    return "".join((*pieces, text[copied:] if depth <= _NESTING else ""))


def sanitize(text: str, secrets: Collection[str] = ()) -> str | None:
    """Return a text of the cloud as one bounded, printable line without markup and secrets; None if it is empty."""
    printable = "".join(letter for letter in text[: 8 * MESSAGE_CHARS] if letter.isprintable() or letter.isspace())
    # Redact before the markup is removed, since that may split a secret, and well beyond the final length, so that the
    # cut leaves no beginning of a secret.
    words = _TAG.sub(" ", redact(printable, secrets)[: 4 * MESSAGE_CHARS]).split()
    return " ".join(words)[:MESSAGE_CHARS] or None


def retry_after_s(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Return the Retry-After of a response in seconds, None if absent or unreadable. It may be a date (RFC 9110)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), CLOSURE_STATED_MAX_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        return None
    return min(max((until - clock.now()).total_seconds(), 0.0), CLOSURE_STATED_MAX_S)


def stated_limit(message: str | None) -> tuple[int, float] | None:
    """Return the limit in the message of a 429 as (requests, seconds), None without one: `limit:200,time:5 minute`."""
    match = _LIMIT.search(message) if message else None
    if match is None:
        return None
    requests, window_s = int(match[1]), int(match[2]) * _UNIT_S[(match[3] or "second").lower()]
    return (requests, window_s) if requests > 0 and window_s > 0 else None


class _Search:
    """Bounded search of an error body for its code and its message."""

    def __init__(self) -> None:
        self._left = ERROR_FIELDS

    def find(self, node: object, depth: int = 0, name: str | None = None) -> tuple[str | None, str | None]:
        """Return (code, message) of the first part that has either; an outer code wins over an inner one."""
        if depth > ERROR_NESTING or self._left <= 0:
            return None, None
        self._left -= 1
        if isinstance(node, list):
            return self._find_in_parts(((None, part) for part in cast("list[object]", node)), depth)
        if not isinstance(node, dict):
            return None, None
        fields = cast("dict[str, object]", node)
        code, message = self._find_in_fields(fields, depth)
        if name is not None and name not in _WRAPPERS and message is not None and (code is None or code.isdigit()):
            # Nova: the name of the body is the code; the number in it only repeats the status.
            code = name if _CODE.fullmatch(name) else None
        if code is None and message is None:
            return self._find_in_parts(fields.items(), depth)
        return code, message

    def _find_in_fields(self, fields: Mapping[str, object], depth: int) -> tuple[str | None, str | None]:
        for code_key, message_key in _PAIRS:
            code, message = _code(fields.get(code_key)), fields.get(message_key)
            text = message if isinstance(message, str) and message.strip() else None
            if code is None and text is None:
                continue
            if text is not None and text.lstrip().startswith("{") and len(text) <= ERROR_BODY_BYTES:
                inner_code, inner_text = self.find(parse_json(text), depth + 1)
                return code or inner_code, inner_text or text
            return code, text
        return None, None

    def _find_in_parts(self, parts: Iterable[tuple[str | None, object]], depth: int) -> tuple[str | None, str | None]:
        for name, part in parts:
            if _is_tree(part):
                code, message = self.find(part, depth + 1, name)
                if code is not None or message is not None:
                    return code, message
        return None, None


def _is_tree(value: object) -> bool:
    return isinstance(value, dict | list)


def _code(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**9 else None
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def _drop_if_secret(value: str | None, secrets: Collection[str]) -> str | None:
    """Return the value, None if it contains a secret: a redacted code or id would be another one."""
    return None if value is not None and holds_secret(value, secrets) else value


def _request_id(value: object) -> str | None:
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None
