"""`fleetos db`."""

from pathlib import Path

import anyio

from fleetos.app.context import AppContext
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.output import read_or_not, reporting, say, show
from fleetos.errors import UnknownRun
from fleetos.store import connect, integrity


@reporting
def upgrade(db: str | None) -> None:
    """Upgrade the schema, after a backup; no run may be active."""
    anyio.run(_upgrade, AppContext(db, say))


async def _upgrade(context: AppContext) -> None:
    if context.is_missing():
        say(context.no_runs_yet())
        return
    opened = connect.prepare_database(context.location())
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


@reporting
def check(db: str | None) -> None:
    """Check the file, and that each journal agrees with the tables."""
    anyio.run(_check, AppContext(db, say))


async def _check(context: AppContext) -> None:
    async with context.existing_database() as opened:
        if opened is None:
            say(context.no_runs_yet())
            return
        problems = await integrity.find_problems(opened)
    with read_or_not():
        for problem in problems:
            show(problem)
    if problems:
        say(f"{len(problems)} problems; `fleetos db backup` copies what is there")
        raise Leave(ExitCode.INPUT)
    show(f"{context.location().shown} is sound")


@reporting
def backup(to: Path, db: str | None) -> None:
    """Copy the database while it is in use."""
    anyio.run(_backup, AppContext(db, say), to)


async def _backup(context: AppContext, to: Path) -> None:
    async with context.existing_database() as opened:
        if opened is None:
            raise UnknownRun("there is nothing to copy", context.no_runs_yet())
        await opened.backup(to)
    show(f"copied {context.location().shown} to {to}")
