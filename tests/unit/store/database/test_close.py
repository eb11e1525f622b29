"""A database that is closed keeps others away until the last of its commits is in the file."""

import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetos.errors import RunDriven
from fleetos.store import runs
from fleetos.store.database import open_file
from fleetos.store.database.database import Database
from fleetos.store.database.open_file import OpenFile
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import watcher

RUN = a_run()


@pytest.fixture
async def path(sqlite: Database, clock: ManualClock) -> Path:
    """A database whose only run is in its log."""
    await runs.create_run(sqlite, RUN, some_targets(2), [], START, watcher(clock))
    assert sqlite.location.path is not None
    return sqlite.location.path


def delete_logs(path: Path) -> None:
    for suffix in open_file.LOGS:
        path.with_name(path.name + suffix).unlink()


def leave_alone(path: Path) -> None:
    assert path.exists()


# SQLite shares the index of a log among the connections of one process: who comes is a process of its own.
READS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*connection.execute("SELECT count(*) FROM claims").fetchone(), flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(path: Path) -> Generator[int]:
    """Yield how many claims another process reads, which keeps the database open meanwhile."""
    line = [sys.executable, "-c", READS, str(path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@pytest.mark.parametrize("misfortune", [leave_alone, delete_logs])
async def test_who_comes_when_the_lock_is_released_reads_every_commit(
    sqlite: Database, path: Path, monkeypatch: pytest.MonkeyPatch, misfortune: Callable[[Path], None]
) -> None:
    misfortune(path)
    counts: list[int] = []
    release = OpenFile.release

    def release_to_another(file: OpenFile, *, idle: bool = False) -> None:
        release(file, idle=idle)
        with another_process(path) as count:
            counts.append(count)

    monkeypatch.setattr(OpenFile, "release", release_to_another)
    await sqlite.close()
    monkeypatch.undo()
    assert counts == [2]


async def test_who_only_looks_meanwhile_costs_no_commit(sqlite: Database, path: Path) -> None:
    delete_logs(path)
    # That one sees none of them, and keeps SQLite from writing them to the file when the last writer closes it.
    with another_process(path) as count:
        assert count == 0
        await sqlite.close()
    with another_process(path) as count:
        assert count == 2


async def test_nobody_connects_while_the_logs_of_another_are_lost(sqlite: Database, path: Path) -> None:
    delete_logs(path)
    second = Database(sqlite.location)
    with pytest.raises(RunDriven, match="another process still uses"):
        async with second.writing():
            pass
    assert not path.with_name(f"{path.name}-wal").exists()
    await second.close()
