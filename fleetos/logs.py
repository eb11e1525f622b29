"""Log for whoever looks into fleetos: nothing unless asked for, then JSON lines in a file, or short lines on stderr.

Modules use `logging.getLogger(__name__)` and give the values of a record by `fields`. Only loggers of fleetos are
written: libraries may log headers, and with them a token. Texts of the cloud are redacted where the secrets are known,
before they come here.
"""

import json
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TextIO, cast

from fleetos.clock import Clock

Value = str | int | float | bool | None

_ROOT = logging.getLogger("fleetos")
# Without a handler, logging would write warnings to stderr.
_ROOT.addHandler(logging.NullHandler())


def fields(**values: Value) -> dict[str, dict[str, Value]]:
    """Return the values of a record as the argument `extra` of a logging call."""
    return {"fields": values}


@contextmanager
def written_to(handlers: Sequence[logging.Handler]) -> Generator[None]:
    """Write the records of fleetos to these handlers until the context ends."""
    # A log that cannot be written, on a full disk or a closed pipe, loses records; it must not disturb the run.
    before, logging.raiseExceptions = logging.raiseExceptions, False
    for handler in handlers:
        _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.INFO)
    try:
        yield
    finally:
        _ROOT.setLevel(logging.NOTSET)
        for handler in handlers:
            _ROOT.removeHandler(handler)
            handler.close()
        logging.raiseExceptions = before


def json_lines(out: TextIO, clock: Clock) -> logging.Handler:
    """Return a handler that writes one JSON object a record, with the time of the clock."""
    return _handler(out, _JsonLine(clock))


def short_lines(out: TextIO, clock: Clock) -> logging.Handler:
    """Return a handler that writes one line for people a record, with the time of the clock."""
    return _handler(out, _ShortLine(clock))


def _handler(out: TextIO, formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    return handler


class _Timed(logging.Formatter):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def time(self) -> str:
        return f"{self._clock.now().replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


class _JsonLine(_Timed):
    def format(self, record: logging.LogRecord) -> str:
        head = {"time": self.time(), "level": record.levelname.lower(), "logger": record.name}
        return json.dumps({**head, "message": record.getMessage(), **_fields(record)}, separators=(",", ":"))


class _ShortLine(_Timed):
    def format(self, record: logging.LogRecord) -> str:
        # JSON escapes what could break a terminal.
        pairs = (f"{name}={json.dumps(value)}" for name, value in _fields(record).items() if value is not None)
        return " ".join((self.time(), record.levelname.lower(), f"{record.getMessage()}:", *pairs))


def _fields(record: logging.LogRecord) -> dict[str, Value]:
    return cast("dict[str, Value]", getattr(record, "fields", {}))
