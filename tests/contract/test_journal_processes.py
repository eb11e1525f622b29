"""Real processes that want the same run: one wins, a dead one is followed at once, a stopped one is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fleetos.store import runs
from fleetos.store.connect import open_database
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate
from fleetos.store.integrity import find_problems
from fleetos.store.leases import read_lease
from tests.support.postgres import fresh_database, server_ends
from tests.unit.store.samples import START, HandClock, dead_process, make_run, make_targets, watcher

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)
RUN = make_run()
ROOT = Path(__file__).parents[2]
Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "fleetos.db") if request.param == "sqlite" else fresh_database()


@pytest.fixture
def start(where: str) -> Iterator[Start]:
    """Starts a driver of the run. All are killed at the end."""
    with ExitStack() as stack:

        def begin(*more: str) -> Process:
            command = [sys.executable, "-m", "tests.contract.driver_process", where, RUN.id, *more]
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def order(process: Process, what: str = "append") -> str:
    """What the process says to one more order."""
    assert process.stdin is not None
    process.stdin.write(f"{what}\n")
    process.stdin.flush()
    return line(process)


def close(process: Process) -> str:
    """What the process says when it gets no more orders."""
    assert process.stdin is not None
    process.stdin.close()
    return line(process)


def halt(process: Process) -> None:
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


def kill(process: Process) -> None:
    process.kill()
    process.wait()


async def open_with_run(where: str) -> Database:
    """The database with a run whose driver has died."""
    database = await open_database(locate(where), watcher(HandClock()))
    await runs.create_run(database, RUN, make_targets(3), [], START, watcher(HandClock(), dead_process()))
    return database


async def epoch_of(database: Database) -> int:
    async with database.reading() as connection:
        return (await read_lease(connection, RUN.id, HandClock())).epoch


@pytest.mark.slow
async def test_of_racing_processes_one_drives(where: str, start: Start) -> None:
    database = await open_with_run(where)
    racing = [start() for _ in range(4)]
    said = sorted(line(process) for process in racing)
    assert [one.split()[0] for one in said] == ["RunDriven", "RunDriven", "RunDriven", "taken"]
    assert said[-1] == "taken 2"
    assert {one.split()[1] for one in said[:-1]} == {"21"}
    assert await epoch_of(database) == 2
    await database.close()


async def test_a_killed_process_is_followed_at_once(where: str, start: Start) -> None:
    database = await open_with_run(where)
    first = start()
    assert line(first) == "taken 2"
    assert order(first, "flood") == "appended"
    kill(first)
    second = start()
    assert line(second) == "taken 3"
    assert order(second) == "appended"
    assert close(second) == "released"
    assert await find_problems(database) == []
    await database.close()


async def test_a_stopped_process_keeps_its_run(where: str, start: Start) -> None:
    database = await open_with_run(where)
    first = start()
    assert line(first) == "taken 2"
    assert order(first) == "appended"
    halt(first)
    told = line(start())
    assert told.startswith("RunDriven 21"), told
    assert f"process {first.pid}" in told
    assert "stopped by a signal" in told
    first.send_signal(signal.SIGCONT)
    assert order(first) == "appended"
    await database.close()


async def test_a_process_that_wakes_up_after_it_was_taken_over_writes_nothing(where: str, start: Start) -> None:
    database = await open_with_run(where)
    first = start()
    assert line(first) == "taken 2"
    assert order(first) == "appended"
    halt(first)
    second = start("elsewhere")
    assert line(second) == "taken 3"
    first.send_signal(signal.SIGCONT)
    assert order(first).startswith("LeaseLost 21")
    assert order(second) == "appended"
    assert close(second) == "released"
    await database.close()


@pytest.mark.slow
async def test_a_new_database_is_made_once(where: str, start: Start) -> None:
    # There is no run in it, so each that comes through the opening says so.
    said = [line(process) for process in [start() for _ in range(4)]]
    assert [one.split()[0] for one in said] == ["UnknownRun"] * 4
    database = await open_database(locate(where), watcher(HandClock()))
    assert await find_problems(database) == []
    await database.close()
