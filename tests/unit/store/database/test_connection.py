"""Readers that block do what those for asyncio do: they see one moment, write nothing, and notice Ctrl-C."""

from collections.abc import AsyncIterator

import anyio
import pytest
from sqlalchemy import func, select, text

from fleetos.errors import DatabaseUnusable
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import DATABASE_READERS
from fleetos.store.database.tables import runs
from fleetos.store.runs import create_run
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import watcher

COUNT = select(func.count()).select_from(runs)


@pytest.fixture(params=["for asyncio", "blocking"])
async def reader(request: pytest.FixtureRequest, sqlite: Database) -> AsyncIterator[Database]:
    opened = Database(sqlite.location, read_only=request.param == "blocking")
    yield opened
    await opened.close()


async def test_a_reader_sees_one_moment_in_all_its_statements(
    sqlite: Database, reader: Database, clock: ManualClock
) -> None:
    async with reader.reading() as connection:
        before = await connection.scalar(COUNT)
        await create_run(sqlite, a_run(), some_targets(1), [], START, watcher(clock))
        after = (await connection.execute(COUNT)).scalar_one()
    async with reader.reading() as connection:
        now = (await connection.scalars(select(runs.c.id))).all()
    assert (before, after, now) == (0, 0, [a_run().id])


async def test_more_may_read_at_once_than_connections_are_kept(sqlite: Database) -> None:
    reader, counts = Database(sqlite.location, read_only=True), list[int | None]()

    async def read() -> None:
        async with reader.reading() as connection:
            await anyio.sleep(0.01)
            counts.append(await connection.scalar(COUNT))

    async with anyio.create_task_group() as tasks:
        for _ in range(DATABASE_READERS + 2):
            tasks.start_soon(read)
    await reader.close()
    assert counts == [0] * (DATABASE_READERS + 2)


async def test_a_reader_writes_nothing(sqlite: Database, reader: Database) -> None:
    with pytest.raises(DatabaseUnusable, match="readonly"):
        async with reader.reading() as connection:
            await connection.execute(text("DELETE FROM runs"))
    only_reads = Database(sqlite.location, read_only=True)
    with pytest.raises(RuntimeError, match="read only"):
        async with only_reads.writing():
            pass
    await only_reads.close()


async def test_a_reader_that_is_cancelled_runs_no_further_statement(reader: Database) -> None:
    async with reader.reading() as connection:
        await connection.scalar(COUNT)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await connection.scalar(COUNT)
        assert scope.cancelled_caught
