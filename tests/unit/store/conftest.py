"""A database in a folder of its own, and the clock that its watcher looks at."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetos.store.connect import open_database
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate
from tests.support.clocks import ManualClock
from tests.support.databases import postgres_url, sqlite_file
from tests.support.postgres import server_ends
from tests.unit.store.stored_runs import watcher

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def sqlite(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Database]:
    opened = await open_database(locate(sqlite_file(tmp_path / "fleetos.db")), watcher(clock))
    yield opened
    await opened.close()


@pytest.fixture
async def postgres(clock: ManualClock) -> AsyncIterator[Database]:
    opened = await open_database(locate(postgres_url()), watcher(clock))
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Database]:
    where = sqlite_file(tmp_path / "fleetos.db") if request.param == "sqlite" else postgres_url()
    opened = await open_database(locate(where), watcher(clock))
    yield opened
    await opened.close()
