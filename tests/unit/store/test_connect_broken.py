"""What is refused of an SQLite file because something happened to it, and which copy is named in its place."""

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleetos.errors import DatabaseUnusable
from fleetos.store import queries, runs
from fleetos.store.connect import open_database
from fleetos.store.database import open_file, sqlite_files
from fleetos.store.database.database import Database
from fleetos.store.integrity import check_integrity
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import watcher


@pytest.fixture
async def path(sqlite: Database, clock: ManualClock) -> Path:
    """The file of a database that holds a run and was closed."""
    await runs.create_run(sqlite, a_run(), some_targets(300), [], START, watcher(clock))
    await sqlite.close()
    assert sqlite.location.path is not None
    return sqlite.location.path


async def refusal(sqlite: Database, clock: ManualClock) -> DatabaseUnusable:
    with pytest.raises(DatabaseUnusable) as refused:
        await use(sqlite, clock)
    return refused.value


async def use(sqlite: Database, clock: ManualClock) -> None:
    opened = await open_database(sqlite.location, watcher(clock))
    try:
        await check_integrity(opened)
        await queries.load(opened, a_run().id)
    finally:
        await opened.close()


def remove(path: Path) -> None:
    path.unlink()


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def test_an_empty_file_is_not_taken_for_a_new_database(sqlite: Database, path: Path, clock: ManualClock) -> None:
    os.truncate(path, 0)
    wal = path.with_name(f"{path.name}-wal")
    wal.write_bytes(b"the newest commits")
    refused = await refusal(sqlite, clock)
    assert f"{path} is empty" in refused.message
    assert wal.read_bytes() == b"the newest commits"


async def test_a_log_without_its_file_is_no_reason_to_begin_anew(
    sqlite: Database, path: Path, clock: ManualClock
) -> None:
    shutil.copy(path, path.with_name("fleetos.db.bak"))
    remove(path)
    wal = path.with_name(f"{path.name}-wal")
    wal.write_bytes(b"the newest commits")
    refused = await refusal(sqlite, clock)
    assert f"{path} is gone" in refused.message
    assert refused.hint is not None
    assert "fleetos.db.bak" in refused.hint
    assert path.name not in names(path.parent)
    os.truncate(wal, 0)
    # The log is empty, but the run of this database still holds its servers.
    refused = await refusal(sqlite, clock)
    assert f"{path} is gone" in refused.message
    remove(open_file.lock_path(path))
    await (await open_database(sqlite.location, watcher(clock))).close()


async def test_a_database_that_holds_no_server_may_be_deleted(sqlite: Database, clock: ManualClock) -> None:
    async with sqlite.writing():
        pass
    await sqlite.close()
    assert sqlite.location.path is not None
    remove(sqlite.location.path)
    await (await open_database(sqlite.location, watcher(clock))).close()


async def test_a_page_that_is_no_page_is_found_before_it_is_needed(
    sqlite: Database, path: Path, clock: ManualClock
) -> None:
    with closing(sqlite3.connect(path)) as whole:
        (page,) = whole.execute("SELECT rootpage FROM sqlite_master WHERE name = 'requests'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    refused = await refusal(sqlite, clock)
    assert f"{path} is damaged: " in refused.message


async def test_text_that_is_none_is_damage(sqlite: Database, path: Path, clock: ManualClock) -> None:
    with closing(sqlite3.connect(path)) as whole:
        whole.execute("UPDATE targets SET body = CAST(x'22ff22' AS TEXT) WHERE position = 7")
        whole.commit()
    assert "is damaged" in (await refusal(sqlite, clock)).message


async def test_a_value_that_cannot_be_read_back_names_the_copy(
    sqlite: Database, path: Path, clock: ManualClock
) -> None:
    shutil.copy(path, path.with_name("fleetos.db.before"))
    with closing(sqlite3.connect(path)) as whole:
        whole.execute("UPDATE targets SET body = '{}' WHERE position = 7")
        whole.commit()
    refused = await refusal(sqlite, clock)
    assert refused.hint is not None
    assert "fleetos.db.before" in refused.hint


def older(path: Path, seconds: int) -> None:
    at = path.stat().st_mtime - seconds
    os.utime(path, (at, at))


def test_the_newest_sound_copy_is_named_whoever_made_it(path: Path) -> None:
    assert sqlite_files.newest_backup(path) is None
    for number, name in enumerate(("fleetos.db.backup-0001-20260301T120000Z", "fleetos-monday.db", "fleetos.db.bak")):
        shutil.copy(path, path.with_name(name))
        older(path.with_name(name), 1000 - number)
    assert sqlite_files.newest_backup(path) == path.with_name("fleetos.db.bak")
    # Newer than all of them, and none of them worth being named.
    path.with_name("fleetos.db.empty").touch()
    path.with_name("fleetos.db.torn").write_bytes(path.read_bytes()[:10_000])
    path.with_name("fleetos.log").write_text("no database")
    path.with_name("fleetos.folder").mkdir()
    path.with_name("fleetos.db.link").hardlink_to(path)
    shutil.copy(path, path.with_name("another.db"))
    with closing(sqlite3.connect(path.with_name("fleetos-photos.db"))) as other:
        other.execute("CREATE TABLE photos (id)")
    assert sqlite_files.newest_backup(path) == path.with_name("fleetos.db.bak")
    assert "fleetos.db.bak" in sqlite_files.damage_hint(path)
    left = sorted(one for one in names(path.parent) if one.endswith(("-wal", "-shm", "-journal")))
    assert left == []


def test_a_file_system_without_hard_links_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "fleetos.db"
    sqlite_files.make_private(path)
    assert names(tmp_path) == ["fleetos.db"]
    assert path.stat().st_size > 0
    sqlite_files.make_private(path)


def test_a_new_file_is_a_whole_database_from_its_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "fleetos.db"
    sqlite_files.make_private(path)
    assert names(tmp_path) == ["fleetos.db"]
    with closing(sqlite3.connect(path)) as made:
        assert made.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert made.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert path.stat().st_size > 0
