"""Servers from a CSV file: a header with a column id or name and columns for labels, one server a row.

Also what spreadsheets and `openstack server list -f csv` make of one.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fleetos.errors import Problem
from fleetos.files import decode_text, read_bounded
from fleetos.limits import (
    LABELS_MAX,
    PLAN_MAX_SERVERS,
    ROW_PROBLEMS_LISTED,
    ROWS_EMPTY_MAX,
    ROWS_LINE_LETTERS,
    ROWS_MAX_BYTES,
    TEXT_MAX_LETTERS,
)
from fleetos.model.plan import ChangeSpec, ServerRef, SourcePosition
from fleetos.names import composed
from fleetos.planning.plan_file.value_types import (
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
# The line by which spreadsheets tell each other what separates the columns.
_SEPARATOR_LINE = re.compile(r'(\s*)"?sep=([,;|\t])"?[ \t]*(?=[\r\n]|\Z)', re.IGNORECASE)
_FIRST_LINE = re.compile(r"\s*([^\r\n]*)")
# Columns of `openstack server list -f csv`, also with --long, that say how a server is now. As labels they would make
# another plan of the same file each time that it is exported.
_EXPORTED = frozenset(
    """
    status|task state|power state|networks|image|image name|image id|flavor|flavor name|flavor id|availability zone
    |pinned availability zone|host|properties|security groups|project id|user id|created at
    """.replace("\n", "")
    .replace("    ", "")
    .split("|")
)
_HEADER_HINT = "begin it with a header such as `name,role`: a column `id` or `name`, and one for each label"
_QUOTE_HINT = "put a text with a separator or a quote in double quotes"


@dataclass(slots=True)
class CsvServers:
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

    def refuse(self, place: SourcePosition, text: str, hint: str | None = None) -> None:
        """Adds a problem, which the text says. No cell is ever quoted: the file may be a wrong one, with secrets."""
        if len(self.problems) < ROW_PROBLEMS_LISTED:
            self.problems.append(place.fault(text, hint))
        else:
            self.unlisted += 1


class _NotCsv(Exception):
    """The text is no CSV from this line on."""

    def __init__(self, line: int, said: str) -> None:
        super().__init__(said)
        self.line = line


def _numbered(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows, cells stripped, with the line where each begins: a quoted cell may hold line breaks."""
    begins = 1
    told = _SEPARATOR_LINE.match(text)
    if told is not None:
        # The line stays as an empty one, so that all others keep their numbers.
        text = text[: told.end(1)] + text[told.end() :]
    reader = csv.reader(_lines(text), strict=True, delimiter=_separator(text) if told is None else told.group(2))
    try:
        for cells in reader:
            yield begins, [cell.strip() for cell in cells]
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _NotCsv(begins, str(error)) from None


def _separator(text: str) -> str:
    """What separates the columns: a comma, or what the header has in its place."""
    header = _FIRST_LINE.match(text)
    line = "" if header is None else header.group(1)
    return next((one for one in ",;\t|" if one in line), ",")


def _lines(text: str) -> Iterator[str]:
    """The lines, each bounded: the reader would make a cell of every comma of an endless one."""
    for line in io.StringIO(text, newline=""):
        if len(line) > ROWS_LINE_LETTERS:
            raise csv.Error(f"a line is longer than {ROWS_LINE_LETTERS} letters")
        yield line


def read_rows(path: Path, most_bytes: int = ROWS_MAX_BYTES) -> CsvServers:
    """The servers of the CSV file. Raises UnreadableFile if it cannot be read as text."""
    data = read_bounded(path, most_bytes)
    rows = CsvServers(size=len(data))
    text = decode_text(data)
    del data
    file = str(path)
    lines = _filled(rows, file, _numbered(text))
    try:
        header = next(lines, None)
        if header is None:
            if not rows.problems:
                rows.refuse(SourcePosition(file, 1, 1, ""), "the file is empty", _HEADER_HINT)
        else:
            columns = _columns(rows, SourcePosition(file, header[0], 1, ""), header[1])
            if columns is not None:
                _read(rows, file, lines, columns)
    except _NotCsv as error:
        rows.refuse(SourcePosition(file, error.line, None, ""), f"this is no CSV: {error}", _QUOTE_HINT)
    if rows.unlisted:
        rows.problems.append(Problem(file, None, None, "", f"{rows.unlisted} more problems are not listed"))
    return rows


def _filled(rows: CsvServers, file: str, lines: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty: spreadsheets leave rows of empty cells behind."""
    empty = 0
    for line, cells in lines:
        if any(cells):
            yield line, cells
            continue
        empty += 1
        if empty > ROWS_EMPTY_MAX:
            text = f"the file has more than {ROWS_EMPTY_MAX:,} empty rows"
            rows.refuse(SourcePosition(file, line, 1, ""), text, "remove them")
            return


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column names the server, and which are labels; `width`: how many cells a row has at least.

    `called` is the column with the server's name where another one has its id.
    """

    kind: Literal["id", "name"]
    server: int
    called: int | None
    labels: Mapping[int, str]
    passed: frozenset[int]

    @property
    def width(self) -> int:
        """How many cells each row has."""
        return 1 + max([self.server, *self.labels, *self.passed])


def _columns(rows: CsvServers, place: SourcePosition, header: list[str]) -> _Columns | None:
    """What the columns are, by the header; None, with the problems in `rows`, if it is none."""
    ids, names = ([at for at, cell in enumerate(header) if cell.casefold() == kind] for kind in ("id", "name"))
    if not ids and not names:
        rows.refuse(place, "no column of the header is called `id` or `name`", _HEADER_HINT)
        return None
    if len(ids) > 1 or len(names) > 1:
        rows.refuse(place, f"two columns of the header are called `{'id' if len(ids) > 1 else 'name'}`", "remove one")
        return None
    # A list that a tool has exported has both. The id says which server it is, the name is held against it; what
    # changes by itself is no label.
    exported = bool(ids and names)
    passed = frozenset(
        at for at, cell in enumerate(header) if exported and (at in names or cell.casefold() in _EXPORTED)
    )
    server = (ids or names)[0]
    labels = {at: cell for at, cell in enumerate(header) if cell and at != server and at not in passed}
    if len(set(labels.values())) != len(labels):
        rows.refuse(place, "a label stands twice in the header", "remove one of the columns")
    if len(labels) > LABELS_MAX:
        rows.refuse(place, f"the header has {len(labels):,} labels, more than {LABELS_MAX}", "remove columns")
    if not all(_LABEL.fullmatch(label) for label in labels.values()):
        text = "a column of the header has a name that no label can have"
        rows.refuse(place, text, f"{MEANINGS[LABEL_PATTERN]}; rename the column, or remove it")
    called = names[0] if exported else None
    return None if rows.problems else _Columns("id" if ids else "name", server, called, labels, passed)


def _read(rows: CsvServers, file: str, lines: Iterator[tuple[int, list[str]]], columns: _Columns) -> None:
    for line, cells in lines:
        place = SourcePosition(file, line, 1, columns.kind)
        if len(rows.servers) + rows.refused >= PLAN_MAX_SERVERS:
            rows.refuse(place, f"a plan has at most {PLAN_MAX_SERVERS} servers")
            return
        if len(cells) < columns.width:
            text = f"the row has {len(cells)} of the {columns.width} columns that the header names"
            rows.refuse(place, text, "leave a cell empty, but keep its separator")
        elif any(cell for at, cell in enumerate(cells) if cell and not _is_named(at, columns)):
            rows.refuse(place, "the row has a value in a column without a name in the header", _QUOTE_HINT)
        else:
            _take(rows, place, columns, cells)


def _is_named(at: int, columns: _Columns) -> bool:
    return at == columns.server or at in columns.labels or at in columns.passed


def _take(rows: CsvServers, place: SourcePosition, columns: _Columns, cells: list[str]) -> None:
    server = composed(cells[columns.server])
    labels = {label: composed(cells[at]) for at, label in columns.labels.items() if cells[at]}
    if not all(_LABEL_VALUE.fullmatch(value) for value in labels.values()):
        rows.refuse(place, f"a label's value is longer than {TEXT_MAX_LETTERS} letters, or holds control characters")
    elif not server:
        rows.refuse(place, f"the cell of `{columns.kind}` is empty", "give it a value, or remove the row")
    elif columns.kind == "id":
        if _ID.fullmatch(server):
            called = None if columns.called is None else composed(cells[columns.called]) or None
            rows.servers.append(ServerRef(server.lower(), None, _NO_CHANGE, labels, place, called=called))
        else:
            rows.refuse(place, "the cell of `id` is no id", MEANINGS[ID_PATTERN])
    elif is_glob(server):
        rows.refuse(place, "the cell of `name` is a pattern", GLOB_HINT)
    elif _TEXT.fullmatch(server):
        rows.servers.append(ServerRef(None, server, _NO_CHANGE, labels, place))
    else:
        text = f"the cell of `name` is longer than {TEXT_MAX_LETTERS} letters, or holds control characters"
        rows.refuse(place, text)
