"""Huge plans and CSV files: whatever they hold, they take a bounded time and a bounded memory.

Each is loaded in a process that may have a gigabyte and a minute of the processor's time, many times what is needed.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fleetos.limits import PLAN_MAX_SERVERS, ROWS_MAX_BYTES
from fleetos.planning.plan_file.csv_servers import ROW_PROBLEMS_LISTED, ROWS_EMPTY_MAX, ROWS_LINE_LETTERS
from fleetos.planning.plan_file.load import PLAN_MAX_ALIASES, PLAN_MAX_BYTES, PLAN_MAX_DEPTH, PLAN_MAX_VALUES
from fleetos.planning.plan_file.validation import INPUT_PROBLEMS_LISTED
from tests.hostile.large_plans import CPU_S, MEMORY_BYTES

HEAD = "version: 1\nname: x\nchange: {image: a}\n"
SOME = 4 * 2**20
LINKS = 100
ROWS = b"".join(b"web-%06d\n" % number for number in range(PLAN_MAX_SERVERS))


@dataclass(frozen=True)
class LargePlan:
    """What is written, and what must come of it: so many servers, or a first problem that begins so."""

    plan: Callable[[], str]
    csv: Callable[[], bytes] | None = None
    servers: int = 0
    problems: int = 1
    first: str = ""


def rows(content: Callable[[], bytes], **expected: Any) -> LargePlan:
    """A small plan with a huge CSV file, the same for every giant until it is replaced."""
    return LargePlan(lambda: HEAD + "servers: [{file: CSV}]\n", content, **expected)


def filled(begin: bytes, unit: bytes, size: int = ROWS_MAX_BYTES) -> bytes:
    """A file of that size, or a little less."""
    return begin + unit * ((size - len(begin)) // len(unit))


def of_size(size: int, suffix: str) -> Mapping[str, LargePlan]:
    """CSV files of that size: what comes of them is the same for every size beyond the bounds of rows and lines."""
    bad_rows: dict[str, Any] = {"problems": ROW_PROBLEMS_LISTED + 1, "first": "99001 more problems"}
    return {
        f"csv-bad-rows{suffix}": rows(lambda: filled(b"id\n", b"x\n", size), **bad_rows),
        # One such letter, and Python keeps four bytes of each.
        f"csv-wide-letters{suffix}": rows(lambda: filled(b"name,a\n\xf0\x9f\x98\x80\n", b"x\n", size), **bad_rows),
        f"csv-blank{suffix}": rows(
            lambda: filled(b"name\n", b"\n", size), first=f"the file has more than {ROWS_EMPTY_MAX:,} empty rows"
        ),
        f"csv-header{suffix}": rows(
            lambda: filled(b"name", b",a", size), first=f"this is no CSV: a line is longer than {ROWS_LINE_LETTERS}"
        ),
    }


def bomb() -> str:
    """Aliases of aliases: ten thousand million values in some hundred bytes."""
    levels = [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, 10)]
    return "\n".join(["l0: &l0 [x]", *levels])


def user_data_with_v1() -> str:
    change = "{api: v1, user_data: {text: x}}"
    return HEAD + "servers:\n" + "".join(f"- {{name: s{number}, change: {change}}}\n" for number in range(3_000))


GIANTS: Mapping[str, LargePlan] = {
    "too-large": LargePlan(lambda: "#" * (PLAN_MAX_BYTES + 1), first="is larger than"),
    "bomb": LargePlan(bomb, first=f"the plan has more than {PLAN_MAX_VALUES} values"),
    "aliases": LargePlan(
        lambda: "a: &a x\nb: [" + "*a," * 900_000 + "]", first=f"the plan has more than {PLAN_MAX_ALIASES} aliases"
    ),
    "deep": LargePlan(lambda: "[" * 4_000_000, first=f"the plan has more than {PLAN_MAX_DEPTH} levels"),
    "tag": LargePlan(lambda: HEAD + "servers: !" + "a" * 2_000_000, first="a tag is not supported"),
    "tag-escapes": LargePlan(lambda: HEAD + "servers: !<" + "%41" * 700_000 + "> x", first="a tag is not supported"),
    "quoted": LargePlan(lambda: HEAD + 'servers: [{name: "' + "a" * 3_000_000 + '"}]', first="1 to 255 letters"),
    "long-key": LargePlan(
        lambda: HEAD + "? " + "k" * 1_000_000 + "\n: 1\nservers: [{name: a}]", first="the key is not known"
    ),
    "number": LargePlan(lambda: HEAD + "servers: [{name: a}]\nx: " + "9" * 1_000_000, first="the key is not known"),
    "keys": LargePlan(
        lambda: HEAD + "servers: [{name: a}]\n" + "".join(f"k{number}: 1\n" for number in range(8_000)),
        problems=INPUT_PROBLEMS_LISTED + 1,
        first="the key is not known",
    ),
    "user-data": LargePlan(user_data_with_v1, problems=INPUT_PROBLEMS_LISTED + 1, first="no user data with"),
    "one-file-often": LargePlan(
        lambda: HEAD + "servers:\n" + "- file: CSV\n" * 1_000, lambda: b"name\n" + ROWS, servers=PLAN_MAX_SERVERS
    ),
    "many-files": LargePlan(
        lambda: HEAD + "servers:\n" + "".join(f"- file: link-{number}.csv\n" for number in range(LINKS)),
        lambda: b"name\n" + ROWS[: 7 * len(ROWS) // 10],
        first=f"at most {PLAN_MAX_SERVERS} servers",
    ),
    "csv-good": rows(lambda: b"name,note\n" + ROWS.replace(b"\n", b"," + b"n" * 250 + b"\n"), servers=PLAN_MAX_SERVERS),
    "csv-too-large": rows(lambda: b"name\n" + b"x" * ROWS_MAX_BYTES, first="CSV files of at most"),
    "csv-duplicates": rows(lambda: filled(b"name\n", b"x\r\n", 60_000), servers=1),
    "csv-returns": rows(
        lambda: filled(b"name\r", b"\r", SOME), first=f"the file has more than {ROWS_EMPTY_MAX:,} empty rows"
    ),
    "csv-field": rows(lambda: filled(b'name\n"', b"x\n", SOME), first="this is no CSV: field larger than"),
    "csv-quotes": rows(lambda: filled(b"name\n", b'""', SOME), first="this is no CSV: a line is longer than"),
    "csv-nul": rows(lambda: filled(b"name\n", b"x\n", SOME) + b"\0", first="control character U+0000"),
    **of_size(SOME, ""),
    **of_size(ROWS_MAX_BYTES, "-largest"),
    "csv-utf-16": rows(lambda: ROWS.decode().encode("utf-16"), first="the file must be UTF-8"),
    "csv-latin-1": rows(lambda: b"name\n" + ROWS + b"\xfc\n", first="the file must be UTF-8"),
}

# These take long. Of each there is a smaller one, here or among the tests of CSV files (tests/unit/planning).
LONGEST = frozenset({"many-files", "csv-good", "one-file-often", "user-data", *of_size(ROWS_MAX_BYTES, "-largest")})

Load = Callable[[Path], Mapping[str, Any]]


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    """What comes of a plan: it is loaded in a fork of one process that has everything imported."""
    command = [sys.executable, "-m", "tests.hostile.large_plans"]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answered = process.stdin, process.stdout

        def loaded(plan: Path) -> Mapping[str, Any]:
            print(plan, file=asked, flush=True)
            return json.loads(answered.readline())

        yield loaded
        asked.close()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.proof) if name in LONGEST else name for name in GIANTS]
)
def test_a_giant_is_loaded_or_refused_within_bounds(load: Load, tmp_path: Path, name: str) -> None:
    giant, plan, csv = GIANTS[name], tmp_path / "giant.yaml", tmp_path / "giant.csv"
    plan.write_text(giant.plan().replace("CSV", csv.name), encoding="utf-8")
    if giant.csv is not None:
        csv.write_bytes(giant.csv())
    for number in range(LINKS if name == "many-files" else 0):
        (tmp_path / f"link-{number}.csv").symlink_to(csv)
    outcome = load(plan)
    for file in tmp_path.iterdir():
        file.unlink()
    assert "died" not in outcome, outcome
    if giant.servers:
        assert (outcome["servers"], outcome["first"]) == (giant.servers, "")
    else:
        assert giant.first in outcome["first"]
        assert outcome["problems"] == giant.problems
    assert outcome["cpu_s"] < CPU_S
    assert outcome["peak_bytes"] < MEMORY_BYTES
