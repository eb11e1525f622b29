"""A database that exists is opened to be read, unless it is of another program or of another revision."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleetos.errors import DatabaseUnusable
from fleetos.store.database.database_file import DatabaseFile
from fleetos.store.database.location import Location, locate
from fleetos.store.database.schema_check import open_to_read
from tests.support.databases import postgres_url, sqlite_file


def altered(path: Path, statement: str) -> Location:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    return locate(path)


async def test_no_file_and_no_tables_are_no_database(tmp_path: Path) -> None:
    assert await open_to_read(locate(tmp_path / "fleet.db")) is None
    assert not (tmp_path / "fleet.db").exists()
    assert await open_to_read(altered(tmp_path / "fleet.db", "PRAGMA user_version = 1")) is None


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE fleetos_revision SET version_num = '9999'", "newer than this program"),
        ("DROP TABLE fleetos_revision", "belongs to another program"),
    ],
)
async def test_a_newer_and_a_foreign_file_are_refused(tmp_path: Path, statement: str, reason: str) -> None:
    with pytest.raises(DatabaseUnusable, match=reason):
        await open_to_read(altered(sqlite_file(tmp_path / "fleet.db"), statement))


async def test_a_file_is_read_without_sqlalchemy_and_a_server_with_it(tmp_path: Path) -> None:
    for given in (sqlite_file(tmp_path / "fleet.db"), postgres_url()):
        opened = await open_to_read(locate(given))
        assert opened is not None
        assert isinstance(opened, DatabaseFile) == (opened.dialect == "sqlite")
        async with opened.reading() as reader:
            assert await reader.rows("SELECT count(*) FROM runs") == [(0,)]
        await opened.close()
