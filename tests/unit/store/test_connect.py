"""Opening a database: what is made, what is refused, and in which words."""

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from fleetos.errors import DatabaseUnavailable, DatabaseUnusable, JournalUnwritable, RunDriven, UsageError
from fleetos.store import queries, runs
from fleetos.store.connect import open_database, upgrade
from fleetos.store.database import sqlite_files
from fleetos.store.database.database import Database
from fleetos.store.database.database_file import back_up
from fleetos.store.database.location import locate
from fleetos.store.database.migration import REVISION
from fleetos.store.integrity import find_problems
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.support.postgres import fresh_database
from tests.unit.store.stored_runs import watcher


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def set_mode(path: Path, to: int) -> None:
    path.chmod(to)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
async def test_files_are_private_whatever_the_umask(tmp_path: Path, clock: ManualClock, umask: int) -> None:
    path = tmp_path / "state" / "fleetos" / "fleetos.db"
    before = os.umask(umask)
    try:
        database = await open_database(locate(path), watcher(clock))
        await runs.create_run(database, a_run(), some_targets(3), [], START, watcher(clock))
        assert [mode(path.with_name(path.name + end)) for end in ("", "-wal", "-shm")] == [0o600 & ~(umask & 0o200)] * 3
        assert [mode(folder) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]
        await back_up(database.location, tmp_path / "copy.db")
        await database.close()
        assert mode(tmp_path / "copy.db") == 0o600 & ~(umask & 0o200)
    finally:
        os.umask(before)


async def test_a_file_that_others_could_read_is_closed_to_them(sqlite: Database, clock: ManualClock) -> None:
    path = sqlite.location.path
    assert path is not None
    await sqlite.close()
    set_mode(path, 0o644)
    await (await open_database(sqlite.location, watcher(clock))).close()
    assert mode(path) == 0o600


async def test_what_a_killed_process_left_beside_the_file_is_closed_to_others(
    sqlite: Database, clock: ManualClock, tmp_path: Path
) -> None:
    await runs.create_run(sqlite, a_run(), some_targets(3), [], START, watcher(clock))
    path = sqlite.location.path
    assert path is not None
    # As after a kill, and after somebody has given it all away.
    left = tmp_path / "left" / path.name
    left.parent.mkdir(mode=0o755)
    for suffix in ("", "-wal", "-shm"):
        shutil.copyfile(path.with_name(path.name + suffix), left.with_name(left.name + suffix))
        set_mode(left.with_name(left.name + suffix), 0o664)
    database = await open_database(locate(left), watcher(clock))
    assert (await queries.summary(database, a_run().id, watcher(clock))).run.id == a_run().id
    assert {one: mode(left.parent / one) for one in names(left.parent)} == {
        f"{left.name}{suffix}": 0o600 for suffix in ("", "-wal", "-shm")
    }
    await database.close()


async def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path, clock: ManualClock) -> None:
    set_mode(tmp_path, 0o755)
    await (await open_database(locate(tmp_path / "x.db"), watcher(clock))).close()
    assert mode(tmp_path) == 0o755


async def test_the_writer_is_durable_and_guards_foreign_keys(sqlite: Database) -> None:
    async with sqlite.writing() as connection:
        pragmas = [
            (await connection.rows(f"PRAGMA {name}"))[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


async def test_a_postgres_session_gives_up_before_the_lease_is_over(clock: ManualClock) -> None:
    database = await open_database(locate(fresh_database()), watcher(clock))
    names = ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout")
    async with database.writing() as connection:
        assert [(await connection.rows(f"SHOW {name}"))[0][0] for name in names] == ["on", "15s", "10s"]
    async with database.reading() as connection:
        assert await connection.rows("SHOW transaction_isolation") == [("repeatable read",)]
    await database.close()


async def test_readers_cannot_write(sqlite: Database) -> None:
    with pytest.raises(DatabaseUnusable, match="readonly"):
        async with sqlite.reading() as connection:
            await connection.execute(text("DELETE FROM runs"))


async def test_opening_again_changes_nothing(database: Database, clock: ManualClock) -> None:
    again = await open_database(database.location, watcher(clock))
    done = await upgrade(again, watcher(clock))
    await again.close()
    assert (done.before, done.after, done.copy) == (REVISION, REVISION, None)


async def test_a_newer_database_is_refused_with_both_revisions(database: Database, clock: ManualClock) -> None:
    async with database.writing() as connection:
        await connection.execute(text("UPDATE fleetos_revision SET version_num = '9999'"))
    with pytest.raises(DatabaseUnusable) as refused:
        await open_database(database.location, watcher(clock))
    assert "9999" in refused.value.message
    assert REVISION in refused.value.message


async def test_a_foreign_database_is_refused_untouched(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE photos (id)")
        other.commit()
    with pytest.raises(DatabaseUnusable, match="another program"):
        await open_database(locate(path), watcher(clock))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]


async def test_a_postgres_database_is_shared_unless_a_name_is_taken(clock: ManualClock) -> None:
    url = fresh_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE photos (id integer)")
    await (await open_database(locate(url), watcher(clock))).close()
    url = fresh_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE targets (id integer)")
    with pytest.raises(DatabaseUnusable, match="another program"):
        await open_database(locate(url), watcher(clock))


async def test_what_is_no_database_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "fleetos.db"
    path.write_text("servers:\n" * 1000)
    with pytest.raises(DatabaseUnusable) as refused:
        await open_database(locate(path), watcher(clock))
    assert "damaged" in refused.value.message
    assert refused.value.hint
    assert path.read_text() == "servers:\n" * 1000
    with pytest.raises(DatabaseUnusable, match="not a file"):
        await open_database(locate(tmp_path), watcher(clock))


async def test_a_damaged_database_names_its_newest_copy(sqlite: Database, clock: ManualClock) -> None:
    path = sqlite.location.path
    assert path is not None
    await runs.create_run(sqlite, a_run(), some_targets(300), [], START, watcher(clock))
    for revision, day in (("0002", 1), ("0001", 7)):
        await back_up(sqlite.location, sqlite_files.backup_name(path, revision, START.replace(day=day)))
    await sqlite.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusable) as refused:
        await open_and_load(sqlite, clock)
    assert refused.value.hint is not None
    assert "fleetos.db.backup-0001-20260307T120000Z" in refused.value.hint


async def open_and_load(damaged: Database, clock: ManualClock) -> None:
    opened = await open_database(damaged.location, watcher(clock))
    try:
        await queries.load(opened, a_run().id)
    finally:
        await opened.close()


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def locker(sqlite: Database) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, in the middle of a transaction on the database."""
    command = [sys.executable, "-c", LOCK, str(sqlite.location.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


async def test_a_locked_database_names_who_holds_it(
    sqlite: Database, locker: subprocess.Popen[bytes], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetos.store.database.dialects.DATABASE_BUSY_S", 0.1)
    opened = await open_database(sqlite.location, watcher(clock))
    with pytest.raises(RunDriven) as refused:
        await runs.create_run(opened, a_run(), some_targets(1), [], START, watcher(clock))
    stop(locker)
    with pytest.raises(RunDriven) as stopped:
        await runs.create_run(opened, a_run(), some_targets(1), [], START, watcher(clock))
    await opened.close()
    assert f"process {locker.pid}" in refused.value.message
    assert "stopped" not in refused.value.message
    assert f"process {locker.pid}, which is stopped" in stopped.value.message


@pytest.mark.parametrize("doing", ["SELECT * FROM sqlite_master", "BEGIN IMMEDIATE", "CREATE TABLE other (id)"])
async def test_who_looks_at_a_new_file_is_waited_for(tmp_path: Path, clock: ManualClock, doing: str) -> None:
    location = locate(tmp_path / "fleet.db")
    sqlite_files.make_private(tmp_path / "fleet.db")
    with closing(sqlite3.connect(tmp_path / "fleet.db", isolation_level=None)) as other:
        if not doing.startswith("BEGIN"):
            other.execute("BEGIN")
        other.execute(doing).fetchall()
        opening = asyncio.create_task(open_database(location, watcher(clock)))
        await asyncio.sleep(0.1)
        assert not opening.done()
        other.execute("ROLLBACK")
        database = await opening
    await runs.create_run(database, a_run(), some_targets(1), [], START, watcher(clock))
    await database.close()


async def test_a_locked_postgres_is_21(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fresh_database()
    database = await open_database(locate(url), watcher(clock))
    async with database.writing() as connection:
        await connection.execute(text("SET lock_timeout = '50ms'"))
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE runs")
        with pytest.raises(RunDriven):
            await runs.create_run(database, a_run(), some_targets(1), [], START, watcher(clock))
    await database.close()


async def test_an_unreachable_postgres_shows_no_password(clock: ManualClock) -> None:
    location = locate("postgresql://fleet:geheim-42@127.0.0.1:1/runs")
    with pytest.raises(DatabaseUnavailable) as refused:
        await open_database(location, watcher(clock))
    assert "postgresql://fleet@127.0.0.1:1/runs" in refused.value.message
    assert "geheim-42" not in f"{refused.value} {refused.value.__cause__!r} {Database(location)!r}"


async def test_a_copy_is_complete_and_never_overwrites(sqlite: Database, tmp_path: Path, clock: ManualClock) -> None:
    await runs.create_run(sqlite, a_run(), some_targets(5), [], START, watcher(clock))
    copy = tmp_path / "copy.db"
    await back_up(sqlite.location, copy)
    with pytest.raises(UsageError, match="exists already"):
        await back_up(sqlite.location, copy)
    with pytest.raises(JournalUnwritable):
        await back_up(sqlite.location, tmp_path / "nowhere" / "copy.db")
    assert [name for name in names(tmp_path) if name.startswith("copy.db")] == ["copy.db"]
    opened = await open_database(locate(copy), watcher(clock))
    assert len((await queries.load(opened, a_run().id)).targets) == 5
    assert await find_problems(opened) == []
    await opened.close()


async def test_a_postgres_is_not_copied(clock: ManualClock, tmp_path: Path) -> None:
    database = await open_database(locate(fresh_database()), watcher(clock))
    with pytest.raises(UsageError, match="SQLite"):
        await back_up(database.location, tmp_path / "copy")
    await database.close()


OPEN_AS_NOBODY = """
import asyncio, os, sys
from fleetos.errors import DatabaseUnusable
from fleetos.store.database.location import locate
from fleetos.store.connect import open_database
from tests.unit.store.stored_runs import ManualClock, watcher
clock = watcher(ManualClock())
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
for path in sys.argv[1:]:
    try:
        print(asyncio.run(open_database(locate(path), clock)))
    except DatabaseUnusable as error:
        print(error.message, "|", error.hint)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are their owner's alone."""
    (folder := Path(tempfile.mkdtemp())).chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "700", folder], check=True)
    shutil.rmtree(folder)


def test_what_may_not_be_written_is_refused(open_folder: Path) -> None:
    paths: list[Path] = []
    for folder_mode, file_mode in ((0o755, 0o444), (0o555, 0o666), (0o555, None), (0o000, None)):
        paths.append(path := open_folder / f"{folder_mode:o}-{file_mode}" / "fleetos.db")
        path.parent.mkdir()
        if file_mode is not None:
            path.touch()
            path.chmod(file_mode)
        path.parent.chmod(folder_mode)
    command = (sys.executable, "-c", OPEN_AS_NOBODY, *paths)
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert [("cannot be opened" in line, "--db" in line) for line in done.stdout.splitlines()] == 4 * [(True, True)]


FILL_UP = """
import asyncio, resource, signal, sys
from fleetos.errors import JournalUnwritable
from fleetos.store import runs
from fleetos.store.journal import SqlJournal
from fleetos.store.database.location import locate
from fleetos.store.connect import open_database
from tests.support.builders import a_run, some_targets
from tests.unit.store.stored_runs import START, ManualClock, watcher
async def main():
    clock = ManualClock()
    database = await open_database(locate(sys.argv[1]), watcher(clock))
    lease = await runs.create_run(database, a_run(), some_targets(1), [], START, watcher(clock))
    journal = SqlJournal(database, lease, clock)
    await journal.append(a_run(), [], [], START)
    # A file that may not grow behaves as a full disk does.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    for number in range(100):
        try:
            await journal.append(a_run(), [], some_targets(100), START)
        except JournalUnwritable as error:
            print("refused:", error.message)
            break
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        await journal.append(a_run(), [], [], START)
    except JournalUnwritable:
        print("still refused")
    await database.close()

asyncio.run(main())
"""


def test_a_full_disk_ends_the_journal_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fleetos.db"
    command = [sys.executable, "-c", FILL_UP, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert told.stdout.startswith("refused: "), told
    assert told.stdout.endswith("still refused\n"), told
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (2,)
