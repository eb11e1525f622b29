"""Servers from a CSV file: a header with a column id or name and columns for labels, one server a row.

It also reads the files that spreadsheets and `openstack server list -f csv` write.
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
from fleetos.limits import LABELS_MAX, PLAN_MAX_SERVERS, ROWS_MAX_BYTES, TEXT_MAX_LETTERS
from fleetos.model.plan import ChangeSpec, ServerRef, SourcePosition
from fleetos.names import to_nfc
from fleetos.planning.plan_file.value_types import (
    GLOB_HINT,
    ID_PATTERN,
    LABEL_PATTERN,
    LABEL_VALUE_PATTERN,
    MEANINGS,
    TEXT_PATTERN,
    is_glob,
)

# A line of a CSV file: all its labels at their longest, every letter a quote.
ROWS_LINE_LETTERS = 32 * 1024
# Empty rows of a CSV file: spreadsheets leave them behind, and have 1,048,576 rows in all.
ROWS_EMPTY_MAX = 1_100_000
# Problems that are listed of one CSV file; the others are counted. A wrong file has a problem in every row.
ROW_PROBLEMS_LISTED = 1_000
_ID = re.compile(ID_PATTERN)
_TEXT = re.compile(TEXT_PATTERN)
_LABEL = re.compile(LABEL_PATTERN)
_LABEL_VALUE = re.compile(LABEL_VALUE_PATTERN)
_NO_CHANGE = ChangeSpec()
# Spreadsheets name the separator of the columns in such a first line.
_SEPARATOR_LINE = re.compile(r'(\s*)"?sep=([,;|\t])"?[ \t]*(?=[\r\n]|\Z)', re.IGNORECASE)
_FIRST_LINE = re.compile(r"\s*([^\r\n]*)")
# Columns of `openstack server list -f csv`, also with --long, that show a server's current state. As labels they would
# make each export of the same servers another plan.
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
    """The servers of one CSV file, and its problems."""

    size: int
    """Bytes of the file."""
    servers: list[ServerRef] = field(default_factory=list[ServerRef])
    problems: list[Problem] = field(default_factory=list[Problem])
    unlisted: int = 0
    """Number of problems beyond ROW_PROBLEMS_LISTED."""

    @property
    def problem_count(self) -> int:
        """Number of all problems."""
        return len(self.problems) + self.unlisted

    def add_problem(self, place: SourcePosition, text: str, hint: str | None = None) -> None:
        """Add a problem. Never quote a cell: the file may be a wrong one, with secrets."""
        if len(self.problems) < ROW_PROBLEMS_LISTED:
            self.problems.append(place.fault(text, hint))
        else:
            self.unlisted += 1


class _NotCsv(Exception):
    """Error: the text is no CSV from this line on."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def _parse_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows, cells stripped, with the line where each begins: a quoted cell may hold line breaks."""
    begins = 1
    separator_line = _SEPARATOR_LINE.match(text)
    if separator_line is not None:
        # Keep the line as an empty one, so that all others keep their numbers.
        text = text[: separator_line.end(1)] + text[separator_line.end() :]
    reader = csv.reader(
        _bounded_lines(text),
        strict=True,
        delimiter=_find_separator(text) if separator_line is None else separator_line.group(2),
    )
    try:
        for cells in reader:
            yield begins, [cell.strip() for cell in cells]
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _NotCsv(begins, str(error)) from None


def _find_separator(text: str) -> str:
    """Return the separator of the columns: a comma, or the character that the header has in its place."""
    header = _FIRST_LINE.match(text)
    line = "" if header is None else header.group(1)
    return next((separator for separator in ",;\t|" if separator in line), ",")


def _bounded_lines(text: str) -> Iterator[str]:
    """Yield the lines, each bounded: the reader would make a cell of every comma of an endless one."""
    for line in io.StringIO(text, newline=""):
        if len(line) > ROWS_LINE_LETTERS:
            raise csv.Error(f"a line is longer than {ROWS_LINE_LETTERS} letters")
        yield line


def read_csv_servers(path: Path, most_bytes: int = ROWS_MAX_BYTES) -> CsvServers:
    """Read the servers of a CSV file. Raise UnreadableFile if it cannot be read as text."""
    data = read_bounded(path, most_bytes)
    rows = CsvServers(size=len(data))
    text = decode_text(data)
    del data
    file = str(path)
    lines = _skip_empty_rows(rows, file, _parse_rows(text))
    try:
        header = next(lines, None)
        if header is None:
            if not rows.problems:
                rows.add_problem(SourcePosition(file, 1, 1, ""), "the file is empty", _HEADER_HINT)
        else:
            columns = _parse_header(rows, SourcePosition(file, header[0], 1, ""), header[1])
            if columns is not None:
                _read_servers(rows, file, lines, columns)
    except _NotCsv as error:
        rows.add_problem(SourcePosition(file, error.line, None, ""), f"this is no CSV: {error}", _QUOTE_HINT)
    if rows.unlisted:
        rows.problems.append(Problem(file, None, None, "", f"{rows.unlisted} more problems are not listed"))
    return rows


def _skip_empty_rows(
    rows: CsvServers, file: str, lines: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty: spreadsheets leave rows of empty cells behind."""
    empty = 0
    for line, cells in lines:
        if any(cells):
            yield line, cells
            continue
        empty += 1
        if empty > ROWS_EMPTY_MAX:
            text = f"the file has more than {ROWS_EMPTY_MAX:,} empty rows"
            rows.add_problem(SourcePosition(file, line, 1, ""), text, "remove them")
            return


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a CSV file: which one names the server, and which are labels."""

    kind: Literal["id", "name"]
    """Meaning of the column `server`."""
    server: int
    called: int | None
    """The column with the server's name, where `server` is its id."""
    labels: Mapping[int, str]
    """Names of labels by column."""
    ignored: frozenset[int]
    """Columns with a name that are neither `server` nor labels."""

    @property
    def width(self) -> int:
        """Number of cells that each row has at least."""
        return 1 + max([self.server, *self.labels, *self.ignored])


def _parse_header(rows: CsvServers, place: SourcePosition, header: list[str]) -> _Columns | None:
    """Return the columns that the header names; None, with the problems in `rows`, if it is no header."""
    ids, names = ([column for column, cell in enumerate(header) if cell.casefold() == kind] for kind in ("id", "name"))
    if not ids and not names:
        rows.add_problem(place, "no column of the header is called `id` or `name`", _HEADER_HINT)
        return None
    if len(ids) > 1 or len(names) > 1:
        rows.add_problem(
            place, f"two columns of the header are called `{'id' if len(ids) > 1 else 'name'}`", "remove one"
        )
        return None
    # A list that a tool exported has both columns: the id identifies the server, and the name is compared with it.
    # Columns that change by themselves are no labels.
    exported = bool(ids and names)
    ignored = frozenset(
        column for column, cell in enumerate(header) if exported and (column in names or cell.casefold() in _EXPORTED)
    )
    server = (ids or names)[0]
    labels = {column: cell for column, cell in enumerate(header) if cell and column != server and column not in ignored}
    if len(set(labels.values())) != len(labels):
        rows.add_problem(place, "a label stands twice in the header", "remove one of the columns")
    if len(labels) > LABELS_MAX:
        rows.add_problem(place, f"the header has {len(labels):,} labels, more than {LABELS_MAX}", "remove columns")
    if not all(_LABEL.fullmatch(label) for label in labels.values()):
        text = "a column of the header has a name that no label can have"
        rows.add_problem(place, text, f"{MEANINGS[LABEL_PATTERN]}; rename the column, or remove it")
    called = names[0] if exported else None
    return None if rows.problems else _Columns("id" if ids else "name", server, called, labels, ignored)


def _read_servers(rows: CsvServers, file: str, lines: Iterator[tuple[int, list[str]]], columns: _Columns) -> None:
    for line, cells in lines:
        place = SourcePosition(file, line, 1, columns.kind)
        if len(rows.servers) + rows.problem_count >= PLAN_MAX_SERVERS:
            rows.add_problem(place, f"a plan has at most {PLAN_MAX_SERVERS} servers")
            return
        if len(cells) < columns.width:
            text = f"the row has {len(cells)} of the {columns.width} columns that the header names"
            rows.add_problem(place, text, "leave a cell empty, but keep its separator")
        elif any(cell for column, cell in enumerate(cells) if cell and not _is_named(column, columns)):
            rows.add_problem(place, "the row has a value in a column without a name in the header", _QUOTE_HINT)
        else:
            _add_server(rows, place, columns, cells)


def _is_named(column: int, columns: _Columns) -> bool:
    return column == columns.server or column in columns.labels or column in columns.ignored


def _add_server(rows: CsvServers, place: SourcePosition, columns: _Columns, cells: list[str]) -> None:
    server = to_nfc(cells[columns.server])
    labels = {label: to_nfc(cells[column]) for column, label in columns.labels.items() if cells[column]}
    if not all(_LABEL_VALUE.fullmatch(value) for value in labels.values()):
        rows.add_problem(
            place, f"a label's value is longer than {TEXT_MAX_LETTERS} letters, or holds control characters"
        )
    elif not server:
        rows.add_problem(place, f"the cell of `{columns.kind}` is empty", "give it a value, or remove the row")
    elif columns.kind == "id":
        if _ID.fullmatch(server):
            called = None if columns.called is None else to_nfc(cells[columns.called]) or None
            rows.servers.append(ServerRef(server.lower(), None, _NO_CHANGE, labels, place, called=called))
        else:
            rows.add_problem(place, "the cell of `id` is no id", MEANINGS[ID_PATTERN])
    elif is_glob(server):
        rows.add_problem(place, "the cell of `name` is a pattern", GLOB_HINT)
    elif _TEXT.fullmatch(server):
        rows.servers.append(ServerRef(None, server, _NO_CHANGE, labels, place))
    else:
        text = f"the cell of `name` is longer than {TEXT_MAX_LETTERS} letters, or holds control characters"
        rows.add_problem(place, text)
