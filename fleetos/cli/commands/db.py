"""`fleetos db`."""

from pathlib import Path

import anyio

from fleetos.app.context import AppContext
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.output import handle_errors, ignore_broken_pipe, print_data, print_message
from fleetos.errors import UnknownRun
from fleetos.store import connect, integrity
from fleetos.store.database.database_file import back_up


@handle_errors
def upgrade(db: str | None) -> None:
    """Upgrade the schema, after a backup; no run may be active."""
    anyio.run(_upgrade, AppContext(db, print_message))


async def _upgrade(context: AppContext) -> None:
    if context.is_missing():
        print_message(context.no_runs_yet())
        return
    opened = connect.prepare_database(context.location())
    try:
        done = await connect.upgrade(opened, context.watcher())
    finally:
        await opened.close()
    if done.before == done.after:
        print_data(f"nothing to do: the database has revision {done.after}")
    elif done.before is None:
        print_data(f"made the tables of revision {done.after}: the database had none")
    else:
        copy = f"; the copy from before is {done.copy}" if done.copy else ""
        print_data(f"upgraded from {done.before} to {done.after}{copy}")


@handle_errors
def check(db: str | None) -> None:
    """Check the file, and that each journal agrees with the tables."""
    anyio.run(_check, AppContext(db, print_message))


async def _check(context: AppContext) -> None:
    async with context.existing_database() as opened:
        if opened is None:
            print_message(context.no_runs_yet())
            return
        problems = await integrity.find_problems(opened)
    with ignore_broken_pipe():
        for problem in problems:
            print_data(problem)
    if problems:
        print_message(f"{len(problems)} problems; `fleetos db backup` copies what is there")
        raise Leave(ExitCode.INPUT)
    print_data(f"{context.location().shown} is sound")


@handle_errors
def backup(to: Path, db: str | None) -> None:
    """Copy the database while it is in use."""
    anyio.run(_backup, AppContext(db, print_message), to)


async def _backup(context: AppContext, to: Path) -> None:
    async with context.existing_database() as opened:
        if opened is None:
            raise UnknownRun("there is nothing to copy", context.no_runs_yet())
        await back_up(opened.location, to)
    print_data(f"copied {context.location().shown} to {to}")
