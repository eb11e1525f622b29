"""One file, one name: what is refused when a database is opened, and what ends a driver that has it open."""

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from fleetos.errors import DatabaseReplaced, DatabaseUnusable, LeaseLost, RunDriven, UsageError
from fleetos.store import runs
from fleetos.store.connect import open_database
from fleetos.store.database import open_file, sqlite_files
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate
from fleetos.store.journal import SqlJournal
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import watcher

RUN = a_run()


@pytest.fixture
def path(sqlite: Database) -> Path:
    assert sqlite.location.path is not None
    return sqlite.location.path


def files_in(path: Path) -> list[Path]:
    return sorted(one for one in path.parent.iterdir() if not one.name.endswith(open_file.LOGS))


async def begin(database: Database, clock: ManualClock) -> SqlJournal:
    lease = await runs.create_run(database, RUN, some_targets(2), [], START, watcher(clock))
    return SqlJournal(database, lease, clock)


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def link(path: Path) -> None:
    path.with_name("two.db").hardlink_to(path)


def replace_log(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    log.rename(path.with_name("log"))
    shutil.copy(path.with_name("log"), log)


def delete_index(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink()


@pytest.mark.parametrize("misfortune", [move, replace, link, replace_log, delete_index])
async def test_a_lease_is_worth_nothing_when_its_file_is_another(
    sqlite: Database, path: Path, clock: ManualClock, misfortune: Callable[[Path], None]
) -> None:
    journal = await begin(sqlite, clock)
    assert journal.lease_valid(clock.moment())
    misfortune(path)
    # The last check before a send asks for it, without a commit in between.
    assert not journal.lease_valid(clock.moment())
    with pytest.raises(DatabaseReplaced, match=str(path)) as refused:
        await journal.append(RUN, [], [], START)
    assert isinstance(refused.value, LeaseLost)
    with pytest.raises(LeaseLost):
        await journal.requests()


def test_who_has_the_old_log_open_keeps_others_away_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    for one in (path, *(tmp_path / f"fleet.db{suffix}" for suffix in open_file.LOGS)):
        one.touch()
    first, second = open_file.OpenFile(path), open_file.OpenFile(path)
    first.share()
    first.note_logs()
    replace_log(path)
    with pytest.raises(RunDriven, match="another process still uses"):
        second.share()
    assert not second.locked
    first.release()
    second.share()
    second.note_logs()
    assert second.locked
    assert first.describe_loss()
    second.release()


async def test_who_comes_while_another_one_closes_waits_and_is_not_refused(
    sqlite: Database, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(sqlite, clock)
    second = Database(sqlite.location)
    disconnect = Database._disconnect

    async def come_now(database: Database) -> None:
        await disconnect(database)
        # The lock file still names the logs that are gone.
        tasks.start_soon(write_nothing, second)
        await anyio.wait_all_tasks_blocked()

    monkeypatch.setattr(Database, "_disconnect", come_now)
    async with anyio.create_task_group() as tasks:
        await sqlite.close()
    monkeypatch.undo()
    assert second.in_place
    await second.close()


async def write_nothing(database: Database) -> None:
    async with database.writing():
        pass


async def test_who_waits_in_vain_for_another_one_to_open_it_is_refused(
    sqlite: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_file, "CONNECT_LOCK_S", 0.0)
    async with open_file.OpenFile(path).connect_lock():
        with pytest.raises(RunDriven, match="from being opened"):
            await write_nothing(sqlite)
    await write_nothing(sqlite)


async def test_several_writers_share_the_file(sqlite: Database, clock: ManualClock) -> None:
    others = [await open_database(sqlite.location, watcher(clock)) for _ in range(3)]
    for one in (sqlite, *others):
        await write_nothing(one)
    assert all(one.in_place for one in (sqlite, *others))
    for one in others:
        await one.close()


async def test_no_file_is_made_where_the_database_was(sqlite: Database, path: Path, clock: ManualClock) -> None:
    await begin(sqlite, clock)
    move(path)
    with pytest.raises(DatabaseReplaced):
        async with sqlite.reading():
            pass
    await sqlite.close()
    locks = [open_file.connect_lock_path(path).name, open_file.lock_path(path).name]
    assert [one.name for one in files_in(path)] == [*locks, "moved.db"]


async def test_a_restored_copy_is_taken_once_it_is_confirmed(sqlite: Database, path: Path, clock: ManualClock) -> None:
    await begin(sqlite, clock)
    await sqlite.close()
    replace(path)
    with pytest.raises(DatabaseUnusable, match="was replaced") as refused:
        await open_database(sqlite.location, watcher(clock))
    lock = open_file.lock_path(path)
    assert str(lock) in str(refused.value.hint)
    remove(lock)
    await (await open_database(sqlite.location, watcher(clock))).close()


def remove(path: Path) -> None:
    path.unlink()


def test_a_hard_link_is_refused_by_either_name(tmp_path: Path) -> None:
    sqlite_files.make_private(tmp_path / "one.db")
    link(tmp_path / "one.db")
    for name in ("one.db", "two.db"):
        for opened in (sqlite_files.make_private, sqlite_files.exists):
            with pytest.raises(UsageError, match="a hard link"):
                opened(tmp_path / name)


def test_the_name_that_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "fleet [1].db"
    sqlite_files.make_private(path)
    (tmp_path / f".{path.name}.k2j3h4").hardlink_to(path)
    sqlite_files.make_private(path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("point", ["fleet.db", "a b/fleet.db"])
def test_a_file_that_is_mounted_by_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    path = tmp_path / point
    sqlite_files.make_private(path)
    (tmp_path / "self").mkdir()
    told = tmp_path / "self" / "mountinfo"
    monkeypatch.setattr(open_file, "PROC", tmp_path)
    told.write_text(f"40 22 8:1 / {str(path.parent).replace(' ', chr(92) + '040')} rw - ext4 /dev/sda1 rw\n")
    sqlite_files.make_private(path)
    told.write_text(f"40 22 8:1 /x {str(path).replace(' ', chr(92) + '040')} rw - ext4 /dev/sda1 rw\n")
    with pytest.raises(UsageError, match="mount point of its own"):
        sqlite_files.make_private(path)


@pytest.mark.parametrize(
    "written", ["file:/tmp/x.db?mode=ro", "FILE:x.db", "sqlite:///x.db?mode=ro", "sqlite:///file:x.db"]
)
def test_options_of_sqlite_are_refused_and_not_passed_over(written: str) -> None:
    with pytest.raises(UsageError) as refused:
        locate(written)
    assert refused.value.hint
