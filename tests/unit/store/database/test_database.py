"""A read that is cancelled leaves nothing behind that the process would wait for."""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread
from threading import enumerate as threads

import anyio
import pytest
from sqlalchemy import text

from fleetos.store.database.database import Database
from fleetos.store.database.location import locate

# Keeps the thread of a connection busy for half a second, and for as long as it takes on a loaded machine.
LONG = text("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000000) SELECT max(x) FROM c")
HANGS_S = 60.0


# The thread of the connection, which outlives the event loop here, cannot tell it that it has ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("uvloop", [False, True])
def test_a_process_ends_while_a_cancelled_statement_still_runs(tmp_path: Path, *, uvloop: bool) -> None:
    with closing(sqlite3.connect(tmp_path / "fleetos.db")) as made:
        made.execute("PRAGMA user_version = 1")

    async def read_and_leave() -> None:
        database = Database(locate(str(tmp_path / "fleetos.db")))
        with anyio.move_on_after(0.05):
            async with database.reading() as connection:
                await connection.execute(LONG)
        await database.close()

    process = Thread(
        target=anyio.run, args=(read_and_leave,), kwargs={"backend_options": {"use_uvloop": uvloop}}, daemon=True
    )
    process.start()
    process.join(HANGS_S)
    assert not process.is_alive()
    for thread in threads():
        if "_connection_worker_thread" in thread.name:
            thread.join(HANGS_S)
