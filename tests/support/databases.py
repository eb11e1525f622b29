"""Databases with fleetos's tables, for tests that are not about how a database comes to be.

The product makes one in each test process, by its own migration; each test gets a copy of it.
"""

import functools
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio

from fleetos.store.connect import open_database
from fleetos.store.database.location import locate
from tests.support import postgres
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import watcher


def sqlite_file(path: Path) -> Path:
    """Make a SQLite file with empty tables at the path."""
    path.touch(0o600)
    path.write_bytes(_sqlite_template())
    return path


def postgres_url() -> str:
    """Return the URL of a PostgreSQL database with empty tables."""
    return postgres.fresh_database(_postgres_template())


@functools.cache
def _sqlite_template() -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        _create(folder / "fleetos.db")
        return (folder / "fleetos.db").read_bytes()
    finally:
        shutil.rmtree(folder)


@functools.cache
def _postgres_template() -> str:
    url = postgres.fresh_database()
    _create(url)
    return url


def _create(where: str | Path) -> None:
    async def create() -> None:
        database = await open_database(locate(where), watcher(ManualClock()))
        await database.close()

    # A test that asks for one may have a loop of its own in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(anyio.run, create).result()
