"""Run alembic over the connection that fleetos passes, else over `-x db=PATH-OR-URL`.

The second way is for developers who write a migration: `alembic revision --autogenerate`.
"""

import anyio
from alembic import context
from sqlalchemy import Connection

from fleetos.store.database.dialects import Role, engine_for
from fleetos.store.database.location import locate
from fleetos.store.database.migration import VERSION_TABLE
from fleetos.store.database.tables import metadata


def migrate(connection: Connection) -> None:
    # SQLite can alter a table only by making a new one, as a batch does.
    batch = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection, target_metadata=metadata, version_table=VERSION_TABLE, render_as_batch=batch
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_named() -> None:
    engine = engine_for(locate(context.get_x_argument(as_dictionary=True)["db"]), Role.WRITER, stops=[])
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    migrate(given)
else:
    anyio.run(migrate_named)
