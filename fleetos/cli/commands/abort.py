"""`fleetos abort`."""

import anyio

from fleetos.app import control
from fleetos.app.context import AppContext, loop_options, operator_name
from fleetos.app.lookup import find_run
from fleetos.app.requests import Asked
from fleetos.app.results import AbortResult, Release
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_abort
from fleetos.cli.output import handle_errors, print_json, print_message
from fleetos.cli.run_end import show_drive
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.text import counted
from fleetos.views.documents.run import status_document


@handle_errors
def abort(
    run: str,
    release: bool,
    yes: bool,
    reason: str | None,
    operator: str | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """End a run early: start no more servers, let running changes finish, power on stopped servers."""
    context, terminal = AppContext(db, print_message), TerminalOperator(output, yes=yes)
    asked = Asked(operator_name(operator), reason or "")
    raise Leave(anyio.run(_abort, context, run, cloud, terminal, asked, release, backend_options=loop_options()))


async def _abort(
    context: AppContext, given: str, cloud: str | None, operator: TerminalOperator, asked: Asked, release: bool
) -> ExitCode:
    async with context.sound_database() as database:
        summary = await find_run(context, database, given, cloud)
        result = await control.abort(context, database, summary, operator, asked, release=release)
        if result.drive is not None:
            await show_drive(database, result.drive, operator.output)
    if result.driver is not None:
        _say_asked(result, release)
    elif result.release is not None:
        _say_released(result.progress.run.id, result.release)
    elif release:
        run_id = result.progress.run.id
        print_message(f"nothing was released: run {run_id} has not ended; call abort --release again when it has")
    elif result.drive is None:
        print_message(f"nothing to abort: run {result.progress.run.id} has ended ({result.progress.run.state})")
    if result.drive is None and operator.output is Output.JSON:
        code = code_of(result.progress)
        print_json(status_document(result.progress, SystemClock().now(), result.driver, exit_code=code))
    return code_of_abort(result)


def _say_asked(result: AbortResult, release: bool) -> None:
    run_id, driver = result.progress.run.id, result.driver and result.driver.present
    print_message(f"{driver} was asked to abort the run; watch it with: fleetos events {run_id} -f")
    if release:
        print_message("nothing is released while it is driven; call abort --release again when it has ended")


def _say_released(run_id: str, release: Release) -> None:
    released, kept = release.released, release.kept
    if not released and not kept:
        print_message(f"run {run_id} holds no server with an unknown outcome")
    if released:
        names = control.names_of(released)
        print_message(f"released {counted(len(released), 'server')} with an unknown outcome: {names}")
    if kept:
        names = control.names_of(kept)
        print_message(f"not released: the outcome of {counted(len(kept), 'server')} became unknown only now: {names}")
        print_message(f"check them, then: fleetos abort {run_id} --release")
