"""CPU time and memory of a command that does next to nothing, beside an interpreter that does nothing at all."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arithmetic import median
from benchmarks.report import ROOT, Section, Table, number, say
from fleetos.clock import SystemClock
from fleetos.store.connect import open_database
from fleetos.store.database.location import locate
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.process import this_process
from fleetos.store.runs import create_run
from tests.support.builders import a_run, some_targets

RUNS_PER_MEDIAN, QUICK_RUNS = 7, 1
TIMEOUT_S = 60
_MB = 1e6
_FLEETOS = ("-m", "fleetos")
# A process inherits the peak memory of the one that starts it, so a small interpreter starts the command.
_WATCH = """
import json, os, sys
quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A call of the interpreter."""

    name: str
    arguments: Sequence[str]
    env: Mapping[str, str]


def start_up(runs: int, *, quick: bool) -> Section:
    """Return the section."""
    times = QUICK_RUNS if quick else runs * RUNS_PER_MEDIAN
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        asyncio.run(_make_database(Path(folder, "fleetos.db")))
        seen = {case.name: _medians(case, times) for case in _cases(Path(folder))}
    bare_s = next(iter(seen.values()))[0]
    rows = [
        [name, number(cpu_s, 3), number(cpu_s - bare_s, 3), number(rss / _MB)] for name, (cpu_s, rss) in seen.items()
    ]
    table = Table(
        f"Start-up, medians of {times}", ("command", "CPU s", "above bare Python, s", "peak memory, MB"), rows, (_NOTE,)
    )
    return Section("start-up", [table], {"times": times, "commands": seen})


_NOTE = (
    "User and system time of one process, and the most memory that it had. `status` shows a run of three servers in an "
    "SQLite file; completion offers the options of `apply`."
)


def _cases(folder: Path) -> Sequence[Case]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "100"}
    completion = {**env, "_FLEETOS_COMPLETE": "complete_bash", "COMP_WORDS": "fleetos apply --", "COMP_CWORD": "2"}
    return (
        Case("python -c pass", ("-c", "pass"), env),
        Case("fleetos --version", (*_FLEETOS, "--version"), env),
        Case("fleetos --help", (*_FLEETOS, "--help"), env),
        Case("fleetos apply --help", (*_FLEETOS, "apply", "--help"), env),
        Case("shell completion", _FLEETOS, completion),
        Case("fleetos validate", (*_FLEETOS, "validate", "plans/first-server.yaml"), env),
        Case("fleetos status", (*_FLEETOS, "status", "--db", str(folder / "fleetos.db")), env),
    )


def _medians(case: Case, times: int) -> tuple[float, float]:
    """Return CPU seconds and bytes of peak memory. The first call is left out: it may write byte code."""
    say(f"start-up: {case.name}")
    _measure(case)
    pairs = [_measure(case) for _ in range(times)]
    return median(cpu_s for cpu_s, _ in pairs), median(peak_bytes for _, peak_bytes in pairs)


def _measure(case: Case) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, sys.executable, *case.arguments],
        cwd=ROOT,
        env=case.env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    code, cpu_s, peak_bytes = json.loads(done.stdout)
    if code:
        raise RuntimeError(f"{case.name} left with {code}")
    return cpu_s, peak_bytes


async def _make_database(path: Path) -> None:
    clock = SystemClock()
    watcher = LeaseRequester(this_process(), clock)
    database = await open_database(locate(path), watcher, None)
    try:
        now = clock.now()
        await create_run(database, a_run(created_at=now), some_targets(3), (), now, watcher)
    finally:
        await database.close()
