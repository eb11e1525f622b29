"""Migrate tables to the revision that this program needs."""

from pathlib import Path
from typing import TYPE_CHECKING

import fleetos
from fleetos.store.database.reader import Reader

if TYPE_CHECKING:
    from sqlalchemy import Connection as SyncConnection

    from fleetos.store.database.connection import Connection

# Revision that the statements of this program are written for; a test compares it with the newest migration.
REVISION = "0001"
VERSION_TABLE = "fleetos_revision"
_READ_REVISION = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 - a constant
# Ordinary and partitioned tables that a name without a schema finds (PostgreSQL manual, pg_class).
_TABLE_NAMES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'",
    "postgresql": "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid)",
}


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


async def revision_of(reader: Reader) -> str | None:
    """Read the revision from the database; None if it holds no table of fleetos."""
    if VERSION_TABLE not in await table_names(reader):
        return None
    revisions = await reader.rows(_READ_REVISION)
    return revisions[0][0] if revisions else None


async def table_names(reader: Reader) -> frozenset[str]:
    """Return the names of all tables in the database."""
    return frozenset(name for (name,) in await reader.rows(_TABLE_NAMES[reader.dialect]))


async def migrate(connection: "Connection") -> None:
    """Bring the tables to REVISION, within the transaction that is under way."""
    await connection.run_sync(_upgrade)


def _upgrade(connection: "SyncConnection") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
