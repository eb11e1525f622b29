"""A file that is only looked into is never made, and never another one than at first."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import insert

from fleetos.errors import DatabaseReplaced, DatabaseUnusable
from fleetos.store.database.database import Database
from fleetos.store.database.database_file import DatabaseFile
from fleetos.store.database.location import locate
from fleetos.store.database.tables import clouds
from tests.support.databases import sqlite_file


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path / "fleetos.db")
    opened = DatabaseFile(locate(path), path)
    path.unlink()
    with pytest.raises(DatabaseReplaced):
        async with opened.reading():
            pass
    assert not path.exists()


async def test_a_file_that_takes_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path / "fleetos.db")
    opened = DatabaseFile(locate(path), path)
    with pytest.raises(DatabaseReplaced):
        async with opened.reading():
            sqlite_file(tmp_path / "other.db").replace(path)


async def test_the_path_may_hold_any_letters(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path / "a b?c#d%20:e.db")
    async with DatabaseFile(locate(path), path).reading() as reader:
        assert await reader.rows("SELECT :answer", {"answer": "any"}) == [("any",)]


async def test_a_text_that_is_none_is_damage(sqlite: Database) -> None:
    assert sqlite.location.path is not None
    with pytest.raises(DatabaseUnusable, match="damaged"):
        async with DatabaseFile(sqlite.location, sqlite.location.path).reading() as reader:
            await reader.rows("SELECT CAST(x'ff' AS TEXT)")


async def test_who_reads_beside_a_writer_waits_for_nothing_and_leaves_no_file(sqlite: Database) -> None:
    path = sqlite.location.path
    assert path is not None
    async with sqlite.writing() as connection:
        await connection.execute(insert(clouds), [{"scope": "any", "body": "{}"}])
        beside = sorted(path.parent.iterdir())
        async with DatabaseFile(sqlite.location, path).reading() as reader:
            assert await reader.rows("SELECT count(*) FROM clouds") == [(0,)]
        assert sorted(path.parent.iterdir()) == beside
    async with DatabaseFile(sqlite.location, path).reading() as reader:
        assert await reader.rows("SELECT scope FROM clouds WHERE scope IN :ids", {"ids": ["any"]}) == [("any",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reader.rows("DELETE FROM clouds")
