"""Servers from a CSV file: a header with id or name and then labels, one server a row."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fleetos.errors import Problem
from fleetos.limits import (
    LABELS_MAX,
    PLAN_MAX_SERVERS,
    ROW_PROBLEMS_LISTED,
    ROWS_EMPTY_MAX,
    ROWS_LINE_LETTERS,
    ROWS_MAX_BYTES,
)
from fleetos.model.plan import ChangeSpec, Place, ServerRef
from fleetos.planning.reading import decoded, read_bounded
from fleetos.planning.spelling import (
    GLOB_HINT,
    ID_PATTERN,
    LABEL_PATTERN,
    LABEL_VALUE_PATTERN,
    MEANINGS,
    TEXT_PATTERN,
    is_glob,
)

_ID = re.compile(ID_PATTERN)
_TEXT = re.compile(TEXT_PATTERN)
_LABEL = re.compile(LABEL_PATTERN)
_LABEL_VALUE = re.compile(LABEL_VALUE_PATTERN)
_NO_CHANGE = ChangeSpec()
_NO_ROW: tuple[int, list[str]] = (1, [])


@dataclass(slots=True)
class Rows:
    """The servers of one CSV file of `size` bytes, and what is wrong with it.

    `unlisted` counts problems beyond the bound.
    """

    size: int
    servers: list[ServerRef] = field(default_factory=list[ServerRef])
    problems: list[Problem] = field(default_factory=list[Problem])
    unlisted: int = 0

    @property
    def refused(self) -> int:
        """How many problems there are."""
        return len(self.problems) + self.unlisted

    def refuse(self, place: Place, expected: str, hint: str | None = None) -> None:
        """Adds a problem."""
        if len(self.problems) < ROW_PROBLEMS_LISTED:
            self.problems.append(place.problem(expected, hint))
        else:
            self.unlisted += 1


class _NotCsv(Exception):
    """The text is no CSV from this line on."""

    def __init__(self, line: int, said: str) -> None:
        super().__init__(said)
        self.line = line


def _numbered(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the line where each begins: a quoted cell may hold line breaks."""
    begins = 1
    reader = csv.reader(_lines(text), strict=True)
    try:
        for cells in reader:
            yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _NotCsv(begins, str(error)) from None


def _lines(text: str) -> Iterator[str]:
    """The lines, each bounded: the reader would make a cell of every comma of an endless one."""
    for line in io.StringIO(text, newline=""):
        if len(line) > ROWS_LINE_LETTERS:
            raise csv.Error(f"a line is longer than {ROWS_LINE_LETTERS} letters")
        yield line


def read_rows(path: Path, most_bytes: int = ROWS_MAX_BYTES) -> Rows:
    """The servers of the CSV file. Raises Unreadable if it cannot be read as text."""
    data = read_bounded(path, most_bytes)
    rows = Rows(size=len(data))
    text = decoded(data)
    del data
    file = str(path)
    lines = _numbered(text)
    try:
        columns = _columns(rows, file, next(lines, _NO_ROW)[1])
        if columns is not None:
            _read(rows, file, lines, columns)
    except _NotCsv as error:
        place = Place(file, error.line, None, "")
        rows.refuse(place, f"a CSV file: {error}", "a text with a comma or a quote stands in double quotes")
    if rows.unlisted:
        rows.problems.append(Problem(file, None, None, "", f"{rows.unlisted} more problems are not listed"))
    return rows


@dataclass(frozen=True, slots=True)
class _Columns:
    kind: Literal["id", "name"]
    labels: tuple[str, ...]


def _columns(rows: Rows, file: str, header: list[str]) -> _Columns | None:
    """What the columns are, by the header; None, with the problems in `rows`, if it is none."""
    names = [cell.strip() for cell in header]
    place = Place(file, 1, 1, "")
    first = names[0] if names else ""
    if first not in ("id", "name"):
        hint = "separate the columns by commas" if ";" in first or "\t" in first else None
        rows.refuse(place, "a header that begins with the column `id` or `name`", hint)
        return None
    labels = tuple(names[1:])
    if "id" in labels or "name" in labels:
        rows.refuse(place, "one column that names the server, `id` or `name`, and labels after it", "drop the other")
    if len(set(labels)) != len(labels):
        rows.refuse(place, "each label once in the header")
    if len(labels) > LABELS_MAX:
        rows.refuse(place, f"at most {LABELS_MAX} labels")
    if not all(_LABEL.fullmatch(label) for label in labels):
        rows.refuse(place, f"in the header {MEANINGS[LABEL_PATTERN]}")
    return None if rows.problems else _Columns("id" if first == "id" else "name", labels)


def _read(rows: Rows, file: str, lines: Iterator[tuple[int, list[str]]], columns: _Columns) -> None:
    width, empty = 1 + len(columns.labels), 0
    for line, cells in lines:
        # Spreadsheets leave rows of empty cells behind.
        if not any(cell.strip() for cell in cells):
            empty += 1
            if empty > ROWS_EMPTY_MAX:
                rows.refuse(Place(file, line, 1, ""), f"at most {ROWS_EMPTY_MAX} empty rows", "remove them")
                return
            continue
        place = Place(file, line, 1, columns.kind)
        if len(rows.servers) + rows.refused >= PLAN_MAX_SERVERS:
            rows.refuse(place, f"at most {PLAN_MAX_SERVERS} servers in a plan")
            return
        if len(cells) != width:
            rows.refuse(place, f"{width} columns, as in the header", "a text with a comma stands in double quotes")
            continue
        _take(rows, place, columns, [cell.strip() for cell in cells])


def _take(rows: Rows, place: Place, columns: _Columns, cells: list[str]) -> None:
    server = cells[0]
    labels = {label: value for label, value in zip(columns.labels, cells[1:], strict=True) if value}
    if not all(_LABEL_VALUE.fullmatch(value) for value in labels.values()):
        rows.refuse(place, MEANINGS[LABEL_VALUE_PATTERN])
    elif columns.kind == "id":
        if _ID.fullmatch(server):
            rows.servers.append(ServerRef(server.lower(), None, _NO_CHANGE, labels, place))
        else:
            rows.refuse(place, MEANINGS[ID_PATTERN])
    elif is_glob(server):
        rows.refuse(place, "the exact name of a server", GLOB_HINT)
    elif _TEXT.fullmatch(server):
        rows.servers.append(ServerRef(None, server, _NO_CHANGE, labels, place))
    else:
        rows.refuse(place, MEANINGS[TEXT_PATTERN])
