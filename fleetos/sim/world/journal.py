"""Journal of a world: one JSON line per order, with its time and its faults. Replaying it gives the world again."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from fleetos.errors import InputError, Problem
from fleetos.files import write_private
from fleetos.sim.scenario.fault_table import FaultDecision
from fleetos.sim.scenario.faults import NO_EFFECT, FaultEffect, Model
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.orders import WorldOrder

# A replay takes 0.1 ms a write: with this many a start takes much less than SIM_READY_S. A world with more is full.
SIM_WRITES_MAX = 100_000
# Raise it when the same orders would give another world.
FORMAT = 1


class JournalLine(Model):
    """Order, its time, and the effects that the fault rules had on it."""

    at: float
    order: WorldOrder
    request_id: str = ""
    fate: FaultEffect | None = None
    fates: dict[str, FaultEffect] = Field(default_factory=dict[str, FaultEffect])

    @classmethod
    def of_write(cls, at: float, order: WorldOrder, decision: FaultDecision, request_id: str) -> Self:
        """Return the line of a write and its fault decision."""
        whole = decision.whole if decision.whole is not NO_EFFECT else None
        fates = {server_id: fate for server_id, fate in decision.servers.items() if fate is not NO_EFFECT}
        return cls(at=at, order=order, request_id=request_id, fate=whole, fates=fates)


class Header(Model):
    """First line of a journal: the initial state of the world. `world` is the id of the world."""

    format: int
    world: str
    born_at: float
    scenario: Scenario


class WorldJournal:
    """Journal file of one world. Each line is one write(2), so a killed process loses no order that it answered."""

    def __init__(self, path: Path, header: Header, line_count: int) -> None:
        self.header = header
        self.line_count = line_count
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def append_line(self, line: JournalLine) -> None:
        """Append a line. It survives a crash of the process, not of the machine."""
        content = (line.model_dump_json(exclude_defaults=True) + "\n").encode()
        if os.write(self._file, content) != len(content):
            # Lines after half a line could not be read again: better no world than a wrong one.
            self.line_count = SIM_WRITES_MAX
            raise OSError("the journal of the simulated world could not be written")
        self.line_count += 1

    @property
    def is_full(self) -> bool:
        """True once the journal has SIM_WRITES_MAX lines: the world then refuses writes."""
        return self.line_count >= SIM_WRITES_MAX

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def create_journal(path: Path, header: Header) -> WorldJournal:
    """Create the journal of a new world in a new file."""
    write_private(path, f"{header.model_dump_json()}\n".encode())
    return WorldJournal(path, header, 0)


def load_journal(path: Path) -> tuple[WorldJournal, Iterator[JournalLine]]:
    """Open the journal in a file and return it with its lines. Raises InputError for another kind of file or format.

    It cuts off a last line without its end: the process died while writing it, so no client got a response.
    """
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        os.truncate(path, end)
    lines = content[:end].splitlines()
    try:
        stored_format = json.loads(lines[0])["format"]
        if stored_format != FORMAT:
            raise _invalid_journal(path, f"the world of another version (format {stored_format}, not {FORMAT})")
        header = Header.model_validate_json(lines[0])
        journal_lines = [JournalLine.model_validate_json(line) for line in lines[1:]]
    except (ValidationError, ValueError, KeyError, IndexError, TypeError) as error:
        raise _invalid_journal(path, "cannot be read as the journal of a world") from error
    return WorldJournal(path, header, len(journal_lines)), iter(journal_lines)


def _invalid_journal(path: Path, problem: str) -> InputError:
    return InputError((Problem(str(path), None, None, "", problem, "fleetos sim reset makes a new world"),))
