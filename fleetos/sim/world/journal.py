"""The journal of a world: each order with its time and its fate, one JSON line each. A world is the fold of it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from fleetos.errors import InputError, Problem
from fleetos.files import write_private
from fleetos.limits import SIM_WRITES_MAX
from fleetos.sim.scenario.fault_table import FaultDecision
from fleetos.sim.scenario.faults import NO_FATE, FaultEffect, Model
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.orders import Order

# Changed whenever the same orders would give another world.
FORMAT = 1


class JournalLine(Model):
    """One order: when it came, what was asked, and what the fault rules made of it."""

    at: float
    order: Order
    request_id: str = ""
    fate: FaultEffect | None = None
    fates: dict[str, FaultEffect] = Field(default_factory=dict[str, FaultEffect])

    @classmethod
    def of(cls, at: float, order: Order, decision: FaultDecision, request_id: str) -> Self:
        """Return the entry of a write with what was decided about it."""
        whole = decision.whole if decision.whole is not NO_FATE else None
        fates = {server_id: fate for server_id, fate in decision.servers.items() if fate is not NO_FATE}
        return cls(at=at, order=order, request_id=request_id, fate=whole, fates=fates)


class Header(Model):
    """The first line: what the world began as. `world` tells worlds apart."""

    format: int
    world: str
    born_at: float
    scenario: Scenario


class WorldJournal:
    """The file of one world. Appending is one write to the file, so that a killed process loses nothing it answered."""

    def __init__(self, path: Path, header: Header, entries: int) -> None:
        self.header = header
        self.entries = entries
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def append(self, entry: JournalLine) -> None:
        """Store an entry; it survives the death of the process, not that of the machine."""
        line = (entry.model_dump_json(exclude_defaults=True) + "\n").encode()
        if os.write(self._file, line) != len(line):
            # What follows half a line could not be read again: better no world than a wrong one.
            self.entries = SIM_WRITES_MAX
            raise OSError("the journal of the simulated world could not be written")
        self.entries += 1

    @property
    def full(self) -> bool:
        """Whether the world has had so many writes that it takes no more."""
        return self.entries >= SIM_WRITES_MAX

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def create(path: Path, header: Header) -> WorldJournal:
    """Return the journal of a new world, in a file that was not there."""
    write_private(path, f"{header.model_dump_json()}\n".encode())
    return WorldJournal(path, header, 0)


def load(path: Path) -> tuple[WorldJournal, Iterator[JournalLine]]:
    """Return the journal in a file and its entries. Raises InputError for a file of another kind or format.

    A line without its end is what was being written when the process died: nobody has had an answer to it.
    """
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.truncate(path, whole)
    lines = text[:whole].splitlines()
    try:
        found = json.loads(lines[0])["format"]
        if found != FORMAT:
            raise _unusable(path, f"the world of another version (format {found}, not {FORMAT})")
        header = Header.model_validate_json(lines[0])
        entries = [JournalLine.model_validate_json(line) for line in lines[1:]]
    except (ValidationError, ValueError, KeyError, IndexError, TypeError) as error:
        raise _unusable(path, "cannot be read as the journal of a world") from error
    return WorldJournal(path, header, len(entries)), iter(entries)


def _unusable(path: Path, what: str) -> InputError:
    return InputError((Problem(str(path), None, None, "", what, "fleetos sim reset makes a new world"),))
