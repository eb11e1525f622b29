"""How the costs grow with the fleet: in virtual time to 100,000 servers, in real time to 10,000.

The same part of the fleet is changed at a time in every size, so that only the size differs.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.arithmetic import growth_exponent
from benchmarks.clients.ways import FLEETOS, Task
from benchmarks.cloud_process import CloudProcess, cloud_process
from benchmarks.peers import image_id
from benchmarks.process_tree import Command, TimedOut, Usage, run
from benchmarks.relay import relay
from benchmarks.report import ROOT, Section, Table, number, say
from benchmarks.scaled import world
from fleetos.sim.api.access import Access

VIRTUAL_SIZES, REAL_SIZES = (100, 1_000, 10_000, 100_000), (100, 1_000, 10_000)
QUICK_VIRTUAL_SIZES, QUICK_REAL_SIZES = (20, 40), (8, 16)
# In real time of so many servers one is changed at a time.
SHARE, QUICK_SHARE = 20, 4
# A minute, scaled: with the ten seconds of the peers, thousands of changes at once would ask for more requests a
# second than one process of the simulated cloud answers, and it is not the cloud that is measured.
POLL_S, POLL_MAX_S = 60.0, 120.0
# For each server, and for all of them; a client that takes longer is given up.
_EACH_S, _AT_LEAST_S = 1.0, 600.0

Row = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Manner:
    """How fleets are changed in real time: X times as fast, and one of so many servers at a time."""

    scale: float
    share: int


def scaling(servers: int | None, scale: float, *, quick: bool) -> Section:
    """The section: a table for virtual time, one for real time, and how long a resume takes to get going."""
    virtual_sizes = _up_to(servers, QUICK_VIRTUAL_SIZES if quick else VIRTUAL_SIZES)
    real_sizes = _up_to(servers, QUICK_REAL_SIZES if quick else REAL_SIZES)
    manner = Manner(scale, QUICK_SHARE if quick else SHARE)
    virtual = {size: _virtual(size) for size in virtual_sizes}
    real = {size: _real(size, manner) for size in real_sizes}
    resumed = _resumed(real_sizes[-1], manner)
    tables = [
        _table("Growth in virtual time, one in ten at a time", virtual, _VIRTUAL, _VIRTUAL_NOTES),
        _table(f"Growth in real time, one in {manner.share} at a time, time 1/{scale:g}", real, _REAL, _REAL_NOTES),
        Table(
            f"fleetos resume after a kill -9 half-way through {real_sizes[-1]:,} servers",
            ("", "s"),
            [[name, number(value, 2)] for name, value in resumed.items()],
            ("From the start of the process, Python and its imports included.",),
        ),
    ]
    return Section("scaling", tables, {"scale": scale, "virtual": virtual, "real": real, "resume": resumed})


def _up_to(servers: int | None, sizes: Sequence[int]) -> Sequence[int]:
    if servers is None:
        return sizes
    return [*(size for size in sizes if size < servers), servers]


def _virtual(size: int) -> Row:
    say(f"scaling: {size:,} servers in virtual time")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        said = Path(folder, "said.txt")
        command = Command([sys.executable, "-m", "benchmarks.probe", str(size)], ROOT, os.environ, said)
        used = run(command, _AT_LEAST_S + _EACH_S * size)
        if used.exit_code != 0:
            raise RuntimeError(f"the rollout of {size} servers failed: {said.read_text(encoding='utf-8')[-500:]}")
        return {**json.loads(said.read_text(encoding="utf-8")), "wall_s": used.wall_s}


def _prepared(cloud: CloudProcess, size: int, manner: Manner) -> None:
    ids = [str(server["id"]) for server in cloud.servers()]
    image = image_id(world(1, manner.scale))
    task = Task(ids, image, max(1, size // manner.share), manner.scale, poll_s=POLL_S, poll_max_s=POLL_MAX_S)
    FLEETOS.prepare(cloud.folder, task)


def _real(size: int, manner: Manner) -> Row:
    say(f"scaling: {size:,} servers in real time")
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        cloud_process(Path(folder), world(size, manner.scale)) as cloud,
    ):
        _prepared(cloud, size, manner)
        used = run(FLEETOS.command(cloud), _AT_LEAST_S + _EACH_S * size)
        if used.exit_code != 0:
            raise RuntimeError(f"fleetos left with {used.exit_code} after {size} servers")
        ledger = cloud.ledger()
        return {
            "calls": sum(ledger.requests.values()),
            "client_cpu_s": used.cpu_s,
            "memory_bytes": used.peak_rss_bytes,
            "journal_bytes": sum(file.stat().st_size for file in Path(folder, "state").rglob("fleetos.db*")),
            "wall_s": used.wall_s,
        }


def _resumed(size: int, manner: Manner) -> Row:
    """Seconds from the start of `fleetos resume` to its requests, by name."""
    say(f"scaling: fleetos resume of {size:,} servers after a kill -9")
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        cloud_process(Path(folder), world(size, manner.scale)) as cloud,
        relay(cloud.url) as passed,
    ):
        _prepared(cloud, size, manner)
        through = replace(cloud, env={**cloud.env, **Access(passed.url).environment()})
        timeout_s = _AT_LEAST_S + _EACH_S * size
        _killed(run(FLEETOS.command(through), timeout_s, lambda: passed.seen("/changeos") * 2 >= size))
        passed.requests.clear()
        began_s = time.monotonic()
        again = FLEETOS.command(through, again=True)
        _killed(run(again, timeout_s, lambda: passed.first_s(began_s, but="/auth/tokens") is not None))
        login_s, first_s = passed.first_s(began_s), passed.first_s(began_s, but="/auth/tokens")
        if login_s is None or first_s is None:
            raise TimedOut("fleetos resume sent nothing")
        return {"to the first request, its login": login_s - began_s, "to the first one after it": first_s - began_s}


def _killed(used: Usage) -> None:
    if used.exit_code is not None:
        raise RuntimeError(f"fleetos left with {used.exit_code} before it could be killed")


@dataclass(frozen=True, slots=True)
class Column:
    """One cost: how it is taken from a row, and how much of it is one unit of the table, for each server."""

    name: str
    cost: str
    unit: float = 1.0
    digits: int = 1


_VIRTUAL = (
    Column("calls/server", "calls"),
    Column("records/server", "records"),
    Column("freeze CPU ms/server", "freeze_cpu_s", 1e-3, 2),
    Column("client CPU ms/server", "client_cpu_s", 1e-3),
    Column("memory KiB/server", "memory_bytes", 1024.0),
)
_REAL = (
    Column("calls/server", "calls"),
    Column("client CPU ms/server", "client_cpu_s", 1e-3),
    Column("peak RSS KiB/server", "memory_bytes", 1024.0),
    Column("journal bytes/server", "journal_bytes", 1.0, 0),
)
_EXPONENT = "Exponent: the b of cost = a * servers ** b, by the whole costs; 1 is growth in step with the fleet."
_VIRTUAL_NOTES = (
    _EXPONENT,
    "Memory is what the process has at most beyond what it had before: client and world, its ledger and its journal.",
    "The client paces itself as on a real cloud of which nothing is known.",
)
_REAL_NOTES = (
    _EXPONENT,
    "CPU and memory are those of the real command, Python and its imports included: they weigh on small fleets.",
    "The journal is the SQLite file with what lies beside it, when the command has ended.",
)


def _table(title: str, rows: Mapping[int, Row], columns: Sequence[Column], notes: Sequence[str]) -> Table:
    cells = [
        [f"{size:,}", *(number(row[one.cost] / one.unit / size, one.digits) for one in columns), number(row["wall_s"])]
        for size, row in rows.items()
    ]
    fits = [growth_exponent([(size, row[one.cost]) for size, row in rows.items()]) for one in columns]
    walls = growth_exponent([(size, row["wall_s"]) for size, row in rows.items()])
    exponents = ["exponent", *(number(fit, 2) for fit in (*fits, walls))]
    return Table(title, ("servers", *(one.name for one in columns), "wall s"), [*cells, exponents], notes)
