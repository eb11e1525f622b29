"""Real processes that want the same run: one wins, a dead one is followed at once, a stopped one is not."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import pytest

from fleetos.store import runs
from fleetos.store.connect import open_database
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate
from fleetos.store.integrity import find_problems
from fleetos.store.lease_rows import read_lease
from fleetos.store.process import is_stopped
from tests.contract.driver_process import Pipe, run_driver
from tests.integration.signal_points import context
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.support.commands import until
from tests.support.postgres import fresh_database, server_ends
from tests.unit.store.stored_runs import dead_process, watcher

pytestmark = pytest.mark.slow

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)
RUN = a_run()
ANSWER_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Process:
    """A driver, forked from a process that has everything imported, and the pipe to it."""

    process: BaseProcess
    pipe: Pipe

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self.process.pid is not None
        return self.process.pid


Start = Callable[..., Process]


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "fleetos.db") if request.param == "sqlite" else fresh_database()


@pytest.fixture
def start(where: str) -> Iterator[Start]:
    """Starts a driver of the run. All are killed at the end."""
    with ExitStack() as stack:

        def begin(*more: str) -> Process:
            pipe, theirs = cast("tuple[Pipe, Pipe]", context().Pipe())
            process = context().Process(target=run_driver, args=(where, RUN.id, theirs, *more), daemon=True)
            process.start()
            theirs.close()
            begun = Process(process, stack.enter_context(pipe))
            stack.callback(kill, begun)
            return begun

        yield begin


def line(process: Process) -> str:
    assert process.pipe.poll(ANSWER_TIMEOUT_S)
    return str(process.pipe.recv())


def order(process: Process, what: str = "append") -> str:
    """What the process says to one more order."""
    process.pipe.send(what)
    return line(process)


def close(process: Process) -> str:
    """What the process says when it gets no more orders."""
    process.pipe.send("")
    return line(process)


def halt(process: Process) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: is_stopped(process.pid))


def kill(process: Process) -> None:
    process.process.kill()
    process.process.join()


async def open_with_run(where: str) -> Database:
    """The database with a run whose driver has died."""
    database = await open_database(locate(where), watcher(ManualClock()))
    await runs.create_run(database, RUN, some_targets(3), [], START, watcher(ManualClock(), dead_process()))
    return database


async def epoch_of(database: Database) -> int:
    async with database.reading() as connection:
        return (await read_lease(connection, RUN.id, ManualClock())).epoch


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
    os.kill(first.pid, signal.SIGCONT)
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
    os.kill(first.pid, signal.SIGCONT)
    assert order(first).startswith("LeaseLost 21")
    assert order(second) == "appended"
    assert close(second) == "released"
    await database.close()


async def test_a_new_database_is_made_once(where: str, start: Start) -> None:
    # There is no run in it, so each that comes through the opening says so.
    said = [line(process) for process in [start() for _ in range(4)]]
    assert [one.split()[0] for one in said] == ["UnknownRun"] * 4
    database = await open_database(locate(where), watcher(ManualClock()))
    assert await find_problems(database) == []
    await database.close()
