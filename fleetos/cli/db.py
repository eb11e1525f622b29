"""`fleetos db`."""

from pathlib import Path
from typing import Annotated

import anyio
import typer

from fleetos.app.context import AppContext
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.help_text import PlainGroup
from fleetos.cli.options import DbOption
from fleetos.cli.output import read_or_not, reporting, say, show
from fleetos.errors import UnknownRun
from fleetos.store import connect, integrity

app = typer.Typer(cls=PlainGroup, help="Upgrade, check or copy the database.", no_args_is_help=True)


@app.command()
@reporting
def upgrade(db: DbOption = None) -> None:
    """Upgrade the schema, after a backup; no run may be active.

    Example:

      fleetos db upgrade
    """
    anyio.run(_upgrade, AppContext(db, say))


async def _upgrade(context: AppContext) -> None:
    if context.is_missing():
        say(context.no_runs_yet())
        return
    opened = connect.at(context.location())
    try:
        done = await connect.upgrade(opened, context.watcher())
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
def check(db: DbOption = None) -> None:
    """Check the file, and that each journal agrees with the tables.

    Example:

      fleetos db check
    """
    anyio.run(_check, AppContext(db, say))


async def _check(context: AppContext) -> None:
    async with context.existing_database() as opened:
        if opened is None:
            say(context.no_runs_yet())
            return
        problems = await integrity.check(opened)
    with read_or_not():
        for problem in problems:
            show(problem)
    if problems:
        say(f"{len(problems)} problems; `fleetos db backup` copies what is there")
        raise Leave(ExitCode.INPUT)
    show(f"{context.location().shown} is sound")


@app.command()
@reporting
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; must not exist yet.")],
    db: DbOption = None,
) -> None:
    """Copy the database while it is in use.

    Example:

      fleetos db backup /var/backups/fleetos.db
    """
    anyio.run(_backup, AppContext(db, say), to)


async def _backup(context: AppContext, to: Path) -> None:
    async with context.existing_database() as opened:
        if opened is None:
            raise UnknownRun("there is nothing to copy", context.no_runs_yet())
        await opened.backup(to)
    show(f"copied {context.location().shown} to {to}")
