"""Connections of SQLAlchemy read what those of the standard library read: one moment, and nothing is written."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from fleetos.errors import DatabaseUnusable
from fleetos.store import queries
from fleetos.store.database.database import Database
from fleetos.store.database.database_file import DatabaseFile
from fleetos.store.database.migration import revision_of, table_names
from fleetos.store.database.reader import Readable
from fleetos.store.lease_rows import LeaseRequester, read_lease
from fleetos.store.runs import create_run
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import create, watcher

COUNT = "SELECT count(*) FROM runs"


def database_file(database: Database) -> DatabaseFile:
    assert database.location.path is not None
    return DatabaseFile(database.location, database.location.path)


@pytest.fixture(params=["of SQLAlchemy", "of the standard library"])
async def readable(request: pytest.FixtureRequest, sqlite: Database) -> AsyncIterator[Readable]:
    opened = Database(sqlite.location) if request.param == "of SQLAlchemy" else database_file(sqlite)
    yield opened
    await opened.close()


async def test_a_reader_sees_one_moment_in_all_its_statements(
    sqlite: Database, readable: Readable, clock: ManualClock
) -> None:
    async with readable.reading() as reader:
        before = await reader.rows(COUNT)
        await create_run(sqlite, a_run(), some_targets(1), [], START, watcher(clock))
        after = await reader.rows(COUNT)
    async with readable.reading() as reader:
        now = await reader.rows("SELECT id FROM runs WHERE id IN :ids", {"ids": [a_run().id, "another"]})
    assert (before[0][0], after[0][0], now[0][0]) == (0, 0, a_run().id)


async def test_more_may_read_at_once_than_connections_are_kept(readable: Readable) -> None:
    counts: list[int] = []

    async def read() -> None:
        async with readable.reading() as reader:
            await anyio.sleep(0.01)
            counts.append((await reader.rows(COUNT))[0][0])

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(read)
    assert counts == [0] * 6


async def test_a_reader_writes_nothing(readable: Readable) -> None:
    with pytest.raises(DatabaseUnusable, match="readonly"):
        async with readable.reading() as reader:
            await reader.rows("DELETE FROM runs")


async def test_a_reader_that_is_cancelled_runs_no_further_statement(readable: Readable) -> None:
    async with readable.reading() as reader:
        await reader.rows(COUNT)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await reader.rows(COUNT)
        assert scope.cancelled_caught


async def loaded(database: Readable) -> tuple[Any, ...]:
    progress = await queries.load(database, a_run(1).id)
    return progress.run, *progress.targets.values()


READS: list[Callable[[Readable, LeaseRequester], Any]] = [
    lambda database, _: queries.find_run(database, a_run(1).id[:-1]),
    lambda database, _: queries.find_run(database, a_run(1).id),
    lambda database, _: queries.has_runs(database),
    queries.newest_runs,
    lambda database, asking: queries.newest_runs(database, asking, limit=1),
    queries.unfinished_runs,
    lambda database, asking: queries.runs_of_digest(database, a_run(1).digest, asking),
    lambda database, asking: queries.summary(database, a_run(1).id, asking),
    lambda database, _: loaded(database),
    lambda database, _: queries.events(database, a_run(1).id),
    lambda database, _: queries.events(database, a_run(1).id, 2, 1, since=START),
    lambda database, _: queries.events(database, a_run(1).id, servers=["server-0001", "none"]),
    lambda database, _: queries.events(database, a_run(1).id, servers=[]),
    lambda database, _: queries.events_of_kinds(database, a_run(1).id, ("run-created", "run-moved"), 0, 99),
]


async def test_every_query_answers_the_same_through_each(sqlite: Database, clock: ManualClock) -> None:
    await create(sqlite, a_run(1), some_targets(3), clock)
    asking = watcher(clock)
    for read in READS:
        assert await read(sqlite, asking) == await read(database_file(sqlite), asking)


async def test_tables_and_leases_are_the_same_through_each(
    readable: Readable, sqlite: Database, clock: ManualClock
) -> None:
    await create(sqlite, a_run(), some_targets(1), clock)
    clock.move(3)
    async with sqlite.reading() as expected, readable.reading() as reader:
        assert await table_names(reader) == await table_names(expected)
        assert await revision_of(reader) == await revision_of(expected)
        lease = await read_lease(reader, a_run().id, clock)
        assert lease == await read_lease(expected, a_run().id, clock)
    assert lease.age_s == 3
