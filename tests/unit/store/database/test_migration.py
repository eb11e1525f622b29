"""The migrations: where they are found, what they lead to, and how an old database is brought along."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

import fleetos
from fleetos.errors import DatabaseUnusable, JournalUnwritable, RunDriven
from fleetos.store import connect, queries, runs
from fleetos.store.connect import Upgraded, open_database, upgrade
from fleetos.store.database import migration, schema_check
from fleetos.store.database.database import Database
from fleetos.store.database.migration import REVISION, VERSION_TABLE, migrations_folder
from fleetos.store.database.tables import metadata
from fleetos.store.process import Holder, this_process
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import dead_process, foreign_process, watcher

NEXT = """
from alembic import op
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("note", sa.Text))
    op.execute("UPDATE runs SET note = 'told'")
"""
BROKEN = NEXT + '    op.execute("SELECT nonsense FROM nowhere")\n'


def test_the_folder_is_found_in_a_checkout_and_in_an_installation(tmp_path: Path) -> None:
    here = migrations_folder()
    assert (here / "env.py").is_file()
    for place in (tmp_path / "installed" / "fleetos" / "migrations", tmp_path / "checkout" / "migrations"):
        shutil.copytree(here, place)
    assert migrations_folder(tmp_path / "installed" / "fleetos") == tmp_path / "installed" / "fleetos" / "migrations"
    assert migrations_folder(tmp_path / "checkout" / "fleetos") == tmp_path / "checkout" / "migrations"
    with pytest.raises(FileNotFoundError, match="not complete"):
        migrations_folder(tmp_path / "nowhere" / "fleetos")


def test_the_wheel_takes_the_migrations_along() -> None:
    settings = (Path(fleetos.__file__).parents[1] / "pyproject.toml").read_text()
    assert 'migrations = "fleetos/migrations"' in settings


def test_the_program_wants_the_newest_revision_and_knows_no_way_down() -> None:
    scripts = ScriptDirectory(str(migrations_folder()))
    assert scripts.get_heads() == [REVISION]
    assert not [one.revision for one in scripts.walk_revisions() if hasattr(one.module, "downgrade")]


async def test_the_migrations_lead_to_the_tables(database: Database) -> None:
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(primary_keys) == {f"pk_{name}" for name in metadata.tables}


def differences(connection: Connection) -> Sequence[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
    )
    return compare_metadata(context, metadata)


def primary_keys(connection: Connection) -> set[str | None]:
    return {inspect(connection).get_pk_constraint(name)["name"] for name in metadata.tables}


@pytest.fixture
def newer_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This program one revision later. The folder of its migrations."""
    folder = tmp_path / "newer" / "migrations"
    shutil.copytree(migrations_folder(), folder)
    (folder / "versions" / "r0002_note.py").write_text(NEXT)
    monkeypatch.setattr(migration, "migrations_folder", lambda: folder)
    for module in (connect, schema_check):
        monkeypatch.setattr(module, "REVISION", "0002")
    return folder


async def old_database(database: Database, clock: ManualClock, driver: Holder | None) -> None:
    lease = await runs.create_run(database, a_run(), some_targets(3), [], START, watcher(clock, driver))
    assert lease.epoch == 1


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.backup-*"))


async def test_an_old_database_is_copied_and_then_migrated(
    sqlite: Database, clock: ManualClock, newer_program: Path, tmp_path: Path
) -> None:
    await old_database(sqlite, clock, dead_process())
    told: list[Upgraded] = []
    opened = await open_database(sqlite.location, watcher(clock), told.append)
    (copy,) = copies(tmp_path)
    assert told == [Upgraded("0001", "0002", copy)]
    assert copy.name == "fleetos.db.backup-0001-20260301T120000Z"
    assert copy.stat().st_mode & 0o777 == 0o600
    async with opened.reading() as connection:
        assert await connection.rows("SELECT note FROM runs") == [("told",)]
    assert len((await queries.load(opened, a_run().id)).targets) == 3
    await opened.close()
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [("0001",)]
        assert connection.execute("SELECT count(*) FROM targets").fetchall() == [(3,)]
    again = await open_database(sqlite.location, watcher(clock), told.append)
    await again.close()
    assert len(told) == 1


async def test_nothing_is_migrated_while_a_run_is_driven(
    sqlite: Database, clock: ManualClock, newer_program: Path, tmp_path: Path
) -> None:
    await old_database(sqlite, clock, this_process())
    with pytest.raises(RunDriven):
        await open_database(sqlite.location, watcher(clock))
    assert copies(tmp_path) == []
    async with sqlite.reading() as connection:
        assert await migration.revision_of(connection) == "0001"


async def test_a_lease_of_another_machine_is_watched_before_a_migration(
    sqlite: Database, clock: ManualClock, newer_program: Path
) -> None:
    await old_database(sqlite, clock, foreign_process())
    opened = await open_database(sqlite.location, watcher(clock))
    await opened.close()
    assert clock.now() > START


async def test_a_migration_that_fails_leaves_everything_as_it_was(
    sqlite: Database, clock: ManualClock, newer_program: Path
) -> None:
    (newer_program / "versions" / "r0002_note.py").write_text(BROKEN)
    await old_database(sqlite, clock, dead_process())
    with pytest.raises(JournalUnwritable):
        await open_database(sqlite.location, watcher(clock))
    async with sqlite.reading() as connection:
        assert await migration.revision_of(connection) == "0001"
        assert "note" not in await connection.run_sync(columns_of_runs)


def columns_of_runs(connection: Connection) -> list[str]:
    return [column["name"] for column in inspect(connection).get_columns("runs")]


async def test_no_copy_means_no_migration(
    sqlite: Database, clock: ManualClock, newer_program: Path, tmp_path: Path
) -> None:
    await old_database(sqlite, clock, dead_process())
    (tmp_path / "fleetos.db.backup-0001-20260301T120000Z").touch()
    with pytest.raises(JournalUnwritable, match="cannot be copied"):
        await open_database(sqlite.location, watcher(clock))
    async with sqlite.reading() as connection:
        assert await migration.revision_of(connection) == "0001"


async def test_an_old_postgres_waits_for_its_operator(
    postgres: Database, clock: ManualClock, newer_program: Path
) -> None:
    await old_database(postgres, clock, dead_process())
    with pytest.raises(DatabaseUnusable) as refused:
        await open_database(postgres.location, watcher(clock))
    assert "0001" in refused.value.message
    assert "0002" in refused.value.message
    assert refused.value.hint is not None
    assert "fleetos db upgrade" in refused.value.hint
    assert await upgrade(postgres, watcher(clock)) == Upgraded("0001", "0002", None)
    opened = await open_database(postgres.location, watcher(clock))
    assert len((await queries.load(opened, a_run().id)).targets) == 3
    await opened.close()
