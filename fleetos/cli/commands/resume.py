"""`fleetos resume`."""

import anyio

from fleetos.app import control
from fleetos.app.context import AppContext, loop_options, operator_name
from fleetos.app.lookup import find_resumable
from fleetos.app.notifications import send_owed
from fleetos.app.requests import Asked
from fleetos.cli.commands.requests import ask
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_drive
from fleetos.cli.output import handle_errors, print_message
from fleetos.cli.run_end import show_drive, show_end
from fleetos.cli.usage.options import Output
from fleetos.model.journal.requests import RequestKind
from fleetos.model.states import RUN_ENDS
from fleetos.store import queries


@handle_errors
def resume(
    run: str | None,
    reason: str | None,
    operator: str | None,
    no_wait: bool,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Carry on with a run after a crash, a signal or a pause."""
    context = AppContext(db, print_message)
    asked = None if reason is None else Asked(operator_name(operator), reason)
    driven_for = TerminalOperator(output, waits=not no_wait)
    raise Leave(anyio.run(_resume, context, run, asked, cloud, driven_for, backend_options=loop_options()))


async def _resume(
    context: AppContext, given: str | None, asked: Asked | None, cloud: str | None, operator: TerminalOperator
) -> ExitCode:
    if given is None and context.is_missing():
        print_message(context.no_runs_yet())
        return ExitCode.OK
    async with context.sound_database() as database:
        summary = await find_resumable(context, database, given, cloud)
        if summary is None:
            print_message(context.no_runs_yet())
            return ExitCode.OK
        if summary.run.state in RUN_ENDS:
            print_message("there are no unfinished runs; the newest one:" if given is None else "this run has ended:")
            progress = await queries.load(database, summary.run.id)
            await send_owed(context, database, progress)
            show_end(progress, operator.output)
            return code_of(progress)
        if asked is not None:
            return await ask(context, database, summary, operator, asked, RequestKind.RESUME)
        result = await control.resume(context, database, summary.run.id, operator)
        await show_drive(database, result, operator.output)
        return code_of_drive(result)
