"""`fleetos db`: the database's upkeep."""

from pathlib import Path
from typing import Annotated

import anyio
import typer

from fleetos.cli.exits import ExitCode, Leave
from fleetos.cli.options import CloudOption, DbOption
from fleetos.cli.terminal import reporting, say, show
from fleetos.cli.wiring import database, located, watcher
from fleetos.store import checking, opening

app = typer.Typer(help="Upgrade, check or copy the database.", no_args_is_help=True)


@app.command()
@reporting
def upgrade(db: DbOption = None, cloud: CloudOption = None) -> None:
    """Bring the tables to what this program needs, after a copy; only while no run is driven.

    Example:

      fleetos db upgrade
    """
    del cloud
    anyio.run(_upgrade, db)


async def _upgrade(db: str | None) -> None:
    opened = opening.at(located(db))
    try:
        done = await opening.upgrade(opened, watcher())
    finally:
        await opened.close()
    if done.before == done.after:
        show(f"nothing to do: the database has revision {done.after}")
    elif done.before is None:
        show(f"made the tables of revision {done.after}: the database had none")
    else:
        copy = f"; the copy from before is {done.copy}" if done.copy else ""
        show(f"upgraded from {done.before} to {done.after}{copy}")


@app.command()
@reporting
def check(db: DbOption = None, cloud: CloudOption = None) -> None:
    """Prove that the file is sound and that each journal tells what the tables say.

    Example:

      fleetos db check
    """
    del cloud
    anyio.run(_check, db)


async def _check(db: str | None) -> None:
    async with database(db) as opened:
        problems = await checking.check(opened)
    for problem in problems:
        show(problem)
    if problems:
        say(f"{len(problems)} problems; `fleetos db backup` copies what is there")
        raise Leave(ExitCode.DEFECT)
    show("the database is sound")


@app.command()
@reporting
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; must not exist yet.")],
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Copy the database while it is in use.

    Example:

      fleetos db backup /var/backups/fleetos.db
    """
    del cloud
    anyio.run(_backup, to, db)


async def _backup(to: Path, db: str | None) -> None:
    async with database(db) as opened:
        await opened.backup(to)
    show(f"copied to {to}")
