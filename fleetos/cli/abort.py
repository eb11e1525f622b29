"""`fleetos abort`."""

from typing import Annotated

import typer

from fleetos.app import control
from fleetos.app.context import AppContext, run_loop
from fleetos.app.lookup import find_run
from fleetos.app.results import AbortResult, Release
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_abort
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, RunArgument
from fleetos.cli.output import print_json, reporting, say, show_drive
from fleetos.clock import SystemClock
from fleetos.text import counted
from fleetos.views.documents.run import status_document


@reporting
def abort(
    run: RunArgument,
    release: Annotated[
        bool,
        typer.Option("--release", help="Also release servers with unknown outcomes. Check them first."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Without a terminal nothing is asked.")] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """End a run early: start no more servers, let running changes finish, power on servers that were stopped but not
    changed. It wipes nothing and cannot be undone; on a terminal it says what it will do, and asks.

    A run that another process drives is ended by that process; a run that nobody drives is ended by this command.
    --release frees the servers whose outcome was unknown before the command began, and none that it came to itself.

    Examples:

      fleetos abort 0c4k2m7

      fleetos abort 0c4k2m7 --release --yes
    """
    operator = TerminalOperator(output, yes=yes)
    raise Leave(run_loop(_abort, AppContext(db, say), run, cloud, operator, release))


async def _abort(
    context: AppContext, given: str, cloud: str | None, operator: TerminalOperator, release: bool
) -> ExitCode:
    async with context.sound_database() as database:
        found = await find_run(context, database, given, cloud)
        result = await control.abort(context, database, found, operator, release=release)
        if result.drive is not None:
            await show_drive(database, result.drive, operator.output)
    if result.driver is not None:
        _say_asked(result, release)
    elif result.release is not None:
        _say_released(result.progress.run.id, result.release)
    elif release:
        run_id = result.progress.run.id
        say(f"nothing was released: run {run_id} has not ended; call abort --release again when it has")
    elif result.drive is None:
        say(f"nothing to abort: run {result.progress.run.id} has ended ({result.progress.run.state})")
    if result.drive is None and operator.output is Output.JSON:
        code = code_of(result.progress)
        print_json(status_document(result.progress, SystemClock().now(), result.driver, exit_code=code))
    return code_of_abort(result)


def _say_asked(result: AbortResult, release: bool) -> None:
    run_id, driver = result.progress.run.id, result.driver and result.driver.present
    say(f"{driver} was asked to abort the run; watch it with: fleetos events {run_id} -f")
    if release:
        say("nothing is released while it is driven; call abort --release again when it has ended")


def _say_released(run_id: str, release: Release) -> None:
    released, kept = release.released, release.kept
    if not released and not kept:
        say(f"run {run_id} holds no server with an unknown outcome")
    if released:
        names = control.names_of(released)
        say(f"released {counted(len(released), 'server')} with an unknown outcome: {names}")
    if kept:
        names = control.names_of(kept)
        say(f"not released: the outcome of {counted(len(kept), 'server')} became unknown only now: {names}")
        say(f"check them, then: fleetos abort {run_id} --release")
