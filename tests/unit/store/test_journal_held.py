"""A journal whose file another process holds ends with the exit code for that."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleetos.errors import DatabaseHeld
from fleetos.model.journal.events import RunDriverStarted
from fleetos.store import runs
from fleetos.store.connect import open_database
from fleetos.store.database.location import locate
from fleetos.store.journal import SqlJournal
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import watcher


async def test_a_file_that_another_process_holds_ends_the_journal_with_its_own_code(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetos.store.database.dialects.DATABASE_BUSY_S", 0.05)
    path = tmp_path / "fleet.db"
    database = await open_database(locate(path), watcher(clock))
    run = a_run()
    lease = await runs.create_run(database, run, some_targets(1), [], START, watcher(clock))
    journal = SqlJournal(database, lease, clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseHeld) as refused:
            await journal.append(run, [RunDriverStarted("x")], [], START)
    assert refused.value.exit_code == 21
    with pytest.raises(DatabaseHeld):
        await journal.append(run, [RunDriverStarted("x")], [], START)
    await database.close()
