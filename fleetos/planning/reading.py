"""Reading the files that a plan is made of: regular, bounded, UTF-8."""

import codecs
import re
import stat
from pathlib import Path

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Tabs and line ends are none here; U+0085 is one of the latter.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")


class Unreadable(Exception):
    """A file cannot be used: what was expected of it and, where it is known, the line and column (from 1)."""

    def __init__(
        self, expected: str, hint: str | None = None, *, line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.line = line
        self.column = column


class TooLarge(Unreadable):
    """A file is larger than its bound."""


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file of at most so many bytes.

    Raises Unreadable. A pipe or a device is refused: it cannot be read again when a run is resumed.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable(f"{path} is not a regular file")
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or 'unknown error'}") from None
    except ValueError:
        raise Unreadable("the path holds a character that no path can hold") from None
    if len(data) > most_bytes:
        raise TooLarge(f"{path} is larger than {most_bytes} bytes")
    return data


def decoded(data: bytes) -> str:
    """The text of UTF-8 bytes, without a byte order mark.

    Raises Unreadable, with the place, for other encodings and for control characters.
    """
    if data.startswith(_UTF16):
        raise Unreadable("the file must be UTF-8, it is UTF-16", "save it as UTF-8", line=1, column=1)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode("utf-8-sig", "replace"))
        raise Unreadable("the file must be UTF-8", "save it as UTF-8", line=line, column=column) from None
    control = _CONTROL.search(text)
    if control is not None:
        line, column = _place(text[: control.start()])
        raise Unreadable(f"control character U+{ord(control.group()):04X}", "remove it", line=line, column=column)
    return text


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
