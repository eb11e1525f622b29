"""What a measurement says, as Markdown for people and JSON for programs, with what it was measured on."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import fleetos

ROOT = Path(__file__).resolve().parent.parent
# What the numbers depend on besides the code of fleetos.
LIBRARIES = (
    "aiohttp", "aiosqlite", "anyio", "httpx", "pydantic", "sqlalchemy", "uvicorn", "uvloop", "huaweicloudsdkecs",
    "ansible-core",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head, the first column in words and the others in numbers, with what must be known to read them."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table, padded so that it can be read as it stands."""
        cells = [list(self.head), *(list(row) for row in self.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.head))]
        lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in cells]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines.insert(1, "| " + " | ".join(rule) + " |")
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"### {self.title}", "", *lines, *(["", *notes] if notes else [])])


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement: its tables, and the numbers behind them as they go into the JSON."""

    name: str
    tables: Sequence[Table]
    data: Mapping[str, object]


@dataclass(slots=True)
class Report:
    """All measurements of one call."""

    command: str
    began_at: datetime
    sections: list[Section] = field(default_factory=list[Section])

    def markdown(self) -> str:
        """The whole report."""
        facts = [f"- {name}: {value}" for name, value in _facts(self).items()]
        tables = [table.markdown() for section in self.sections for table in section.tables]
        return "\n\n".join(["## fleetos measured", "\n".join(facts), *tables]) + "\n"

    def json(self) -> str:
        """The same for programs."""
        sections = {section.name: section.data for section in self.sections}
        return json.dumps({"v": 1, **_facts(self), "sections": sections}, indent=2, default=str) + "\n"

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The paths of the Markdown and the JSON, once written."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.began_at:%Y%m%dT%H%M%SZ}-{'-'.join(section.name for section in self.sections)}"
        markdown, numbers = folder / f"{name}.md", folder / f"{name}.json"
        markdown.write_text(self.markdown(), encoding="utf-8")
        numbers.write_text(self.json(), encoding="utf-8")
        return markdown, numbers


def say(text: str) -> None:
    """Tells whoever waits how far the measurement has come."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def number(value: float, digits: int = 1) -> str:
    """A number as tables show it."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def percent(share: float) -> str:
    """A share in percent."""
    return f"{number(100 * share)} %"


def _padded(row: Iterable[str], widths: Sequence[int]) -> Iterable[str]:
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(width) if place else cell.ljust(width)


def _facts(report: Report) -> dict[str, str]:
    return {
        "date": f"{report.began_at:%Y-%m-%d %H:%M} UTC",
        "command": report.command,
        "machine": _machine(),
        "python": platform.python_version(),
        "fleetos": f"{fleetos.__version__} ({_commit()})",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    }


def _machine() -> str:
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{_processor()}, {os.cpu_count()} cores, {pages * page / 2**30:.0f} GiB, load {load}, {platform.release()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "no checkout"
    return done.stdout.strip() or "no checkout"
