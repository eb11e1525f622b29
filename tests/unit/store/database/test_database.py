"""A read that is cancelled leaves nothing behind that the process would wait for."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from fleetos.store.database.database import Database
from fleetos.store.database.location import locate

ROOT = Path(__file__).parents[4]
HANGS_S = 60.0
# It takes some hundredths of a second.
BRIEF = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000) SELECT max(x) FROM c"
# The statement keeps the thread of its connection busy for half a second, and for longer on a loaded machine.
LEAVES = """
import sys
import anyio
from sqlalchemy import text
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate

LONG = text("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000000) SELECT max(x) FROM c")

async def read_and_leave():
    database = Database(locate(sys.argv[1]))
    with anyio.move_on_after(0.05):
        async with database.reading() as connection:
            await connection.execute(LONG)
    await database.close()

anyio.run(read_and_leave, backend_options={"use_uvloop": sys.argv[2] == "True"})
"""


@pytest.mark.parametrize("uvloop", [False, True])
def test_a_process_ends_while_a_cancelled_statement_still_runs(tmp_path: Path, *, uvloop: bool) -> None:
    file = tmp_path / "fleetos.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("PRAGMA user_version = 1")
    line = [sys.executable, "-c", LEAVES, str(file), str(uvloop)]
    assert subprocess.run(line, cwd=ROOT, timeout=HANGS_S, check=False).returncode == 0


async def test_whoever_closes_waits_for_a_statement_that_was_cancelled(tmp_path: Path) -> None:
    """Its thread would speak to an event loop that is closed, and print a traceback."""
    file = tmp_path / "fleetos.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("PRAGMA user_version = 1")
    database = Database(locate(str(file)))
    with anyio.CancelScope() as scope:
        async with database.reading() as reader:
            scope.cancel()
            await reader.rows(BRIEF)
    assert scope.cancelled_caught
    await database.close()
    assert [asyncio.isfuture(stop) and stop.done() for stop in database._stops] == [True]
