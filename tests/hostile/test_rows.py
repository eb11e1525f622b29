"""CSV files: what was written is read back, however it was written, and whatever else stands there is refused."""

import csv
import io
from pathlib import Path
from random import Random

import pytest
from hypothesis import given

from fleetos.files import FileTooLarge, UnreadableFile
from fleetos.planning.plan_file.csv_servers import (
    ROW_PROBLEMS_LISTED,
    ROWS_EMPTY_MAX,
    ROWS_LINE_LETTERS,
    CsvServers,
    read_csv_servers,
)
from tests.support.hostile_values import NASTY_TEXTS, mangled, randoms
from tests.support.seeded_examples import examples

CELLS = ("a", "web 1", "x,y", 'say "no"', "\u00fc", "\U0001f600", "'", ";", "\ttab", "#", "=1+1", "x" * 255, "no", "0")
# A cell that holds a line end is one cell, and no label.
BROKEN = "two\nlines"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "s.csv"


def rows_of(file: Path, data: bytes, **bounds: int) -> CsvServers | UnreadableFile:
    """The rows, or why there are none; problems with lines, in bounded messages."""
    file.write_bytes(data)
    try:
        rows = read_csv_servers(file, **bounds)
    except UnreadableFile as error:
        return error
    assert len(rows.problems) <= ROW_PROBLEMS_LISTED + 1
    for problem in rows.problems:
        assert problem.line is None or 1 <= problem.line <= data.count(b"\n") + data.count(b"\r") + 2
        assert len(str(problem)) < 1_000
    for server in rows.servers:
        for text in (server.name or server.id or "", *server.labels, *server.labels.values()):
            assert len(text) <= 255
            assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in text), ascii(text)
    return rows


def table(random: Random) -> tuple[list[list[str]], bytes]:
    """Rows of a name and two labels, and how somebody might write them: quotes, line ends, blanks and empty rows."""
    cells = [
        [f"s{number}", random.choice(("", *CELLS)), random.choice(CELLS)] for number in range(random.randint(0, 30))
    ]
    out = io.StringIO(newline="")
    all_quoted = random.random() < 0.5
    ends = [random.choice(["\n", "\r\n", "\r"])] if random.random() < 0.7 else ["\n", "\r\n"]
    for row in [["name", "pair", "rack"], *cells]:
        writer = csv.writer(
            out, quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL, lineterminator=random.choice(ends)
        )
        writer.writerow(
            [random.choice(["", "", " "]) + cell if not all_quoted and '"' not in cell else cell for cell in row]
        )
        if random.random() < 0.1 and not all_quoted:
            writer.writerow(random.choice([[], ["", "", ""], [" ", ""]]))
    return cells, out.getvalue().encode(random.choice(["utf-8", "utf-8-sig"]))


@examples(16)
@given(randoms)
def test_what_was_written_is_read_back(file: Path, random: Random) -> None:
    cells, data = table(random)
    rows = rows_of(file, data)
    assert isinstance(rows, CsvServers), rows
    assert not rows.problems
    read = [(one.name, one.labels) for one in rows.servers]
    labelled = [{"pair": pair.strip(), "rack": rack.strip()} for _, pair, rack in cells]
    assert read == [
        (name, {label: value for label, value in labels.items() if value})
        for (name, _, _), labels in zip(cells, labelled, strict=True)
    ]


@examples(40)
@given(randoms)
def test_a_mangled_file_is_rows_or_problems(file: Path, random: Random) -> None:
    rows_of(file, mangled(random, table(random)[1], depths=(20, 2_000)))


@pytest.mark.parametrize("header", ["id", "name"])
def test_every_cell_may_be_anything(file: Path, header: str) -> None:
    for text in (*NASTY_TEXTS, BROKEN, "x" * 200_000):
        out = io.StringIO(newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows([[header, "label"], ["ok", "ok"], [text, "ok"], ["ok", text]])
        rows_of(file, out.getvalue().encode("utf-8", "surrogatepass"))
        rows_of(file, f"{header},{text}\nok,ok\n".encode("utf-8", "surrogatepass"))
        rows_of(file, f"{header},label\n{text},{text}\n".encode("utf-8", "surrogatepass"))


def test_a_line_may_be_so_long_and_no_longer(file: Path) -> None:
    fits = b"name\nx" + b" " * (ROWS_LINE_LETTERS - 2) + b"\n"
    rows = rows_of(file, fits)
    assert isinstance(rows, CsvServers)
    assert [one.name for one in rows.servers] == ["x"]
    rows = rows_of(file, fits.replace(b"x", b"xx"))
    assert isinstance(rows, CsvServers)
    assert [one.line for one in rows.problems] == [2]


def test_what_a_spreadsheet_leaves_behind_is_no_problem(file: Path) -> None:
    rows = rows_of(file, b"name,a\nx,y\n" + b",\n" * ROWS_EMPTY_MAX)
    assert isinstance(rows, CsvServers)
    assert (len(rows.servers), rows.problems) == (1, [])


def test_the_bound_in_bytes_is_the_callers(file: Path) -> None:
    assert isinstance(rows_of(file, b"name\nx\n", most_bytes=7), CsvServers)
    assert isinstance(rows_of(file, b"name\nx\n\n", most_bytes=7), FileTooLarge)
