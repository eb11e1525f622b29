"""The revision of a database's tables, and the way to the one that this program needs."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

import fleetos

# The revision that this program's statements are written for; a test holds it equal to the newest migration.
REVISION = "0002"
VERSION_TABLE = "fleetos_revision"


def migrations_folder(package: Path | None = None) -> Path:
    """The folder of the migrations: inside the installed package, or beside it in a checkout.

    Raises FileNotFoundError when the installation has neither.
    """
    package = package or Path(fleetos.__file__).parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file() and (folder / "versions").is_dir():
            return folder
    raise FileNotFoundError(f"no migrations inside or beside {package}: the installation is not complete")


def known_revisions() -> frozenset[str]:
    """All revisions that this program knows."""
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory(str(migrations_folder())).walk_revisions())


async def revision_of(connection: AsyncConnection) -> str | None:
    """The revision that the database says it has; None if it holds no table of fleetos."""
    if not await connection.run_sync(_has_version_table):
        return None
    return await connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant


def _has_version_table(connection: Connection) -> bool:
    return inspect(connection).has_table(VERSION_TABLE)


async def table_names(connection: AsyncConnection) -> frozenset[str]:
    """The names of all tables in the database."""
    return frozenset(await connection.run_sync(lambda one: inspect(one).get_table_names()))


async def migrate(connection: AsyncConnection) -> None:
    """Nothing, once the tables are those of REVISION, within the transaction that is under way."""
    await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
