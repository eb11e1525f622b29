"""Migrate tables to the revision that this program needs."""

from pathlib import Path

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import inspect, text

import fleetos
from fleetos.store.database.connection import Connection

# Revision that the statements of this program are written for; a test compares it with the newest migration.
REVISION = "0001"
VERSION_TABLE = "fleetos_revision"


def migrations_folder(package: Path | None = None) -> Path:
    """Return the folder of the migrations: inside the installed package, or beside it in a checkout.

    Raise FileNotFoundError when the installation has neither.
    """
    package = package or Path(fleetos.__file__).parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file() and (folder / "versions").is_dir():
            return folder
    raise FileNotFoundError(f"no migrations inside or beside {package}: the installation is not complete")


def known_revisions() -> frozenset[str]:
    """Return all revisions that this program knows."""
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory(str(migrations_folder())).walk_revisions())


async def revision_of(connection: Connection) -> str | None:
    """Read the revision from the database; None if it holds no table of fleetos."""
    if not await connection.run_sync(_has_version_table):
        return None
    return await connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant


def _has_version_table(connection: SyncConnection) -> bool:
    return inspect(connection).has_table(VERSION_TABLE)


async def table_names(connection: Connection) -> frozenset[str]:
    """Return the names of all tables in the database."""
    return frozenset(await connection.run_sync(lambda sync_connection: inspect(sync_connection).get_table_names()))


async def migrate(connection: Connection) -> None:
    """Bring the tables to REVISION, within the transaction that is under way."""
    await connection.run_sync(_upgrade)


def _upgrade(connection: SyncConnection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
