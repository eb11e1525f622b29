"""`fleetos retry`."""

import anyio

from fleetos.app import control
from fleetos.app.context import AppContext, loop_options
from fleetos.app.lookup import find_run
from fleetos.app.results import DriveResult
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_drive
from fleetos.cli.output import handle_errors, print_message
from fleetos.cli.run_end import show_drive, show_end
from fleetos.cli.usage.options import Output
from fleetos.planning.agreement import Agreement


@handle_errors
def retry(
    run: str, yes: bool, expect_wipes: int | None, no_wait: bool, output: Output, db: str | None, cloud: str | None
) -> None:
    """Give the targets of a run that failed or are held one more attempt each; lists them and asks."""
    operator = TerminalOperator(output, Agreement(expect_wipes), yes, waits=not no_wait)
    raise Leave(anyio.run(_retry, AppContext(db, print_message), run, cloud, operator, backend_options=loop_options()))


async def _retry(context: AppContext, given: str, cloud: str | None, operator: TerminalOperator) -> ExitCode:
    async with context.sound_database() as database:
        summary = await find_run(context, database, given, cloud)
        result = await control.retry(context, database, summary.run.id, operator)
        if isinstance(result, DriveResult):
            await show_drive(database, result, operator.output)
            return code_of_drive(result)
        if operator.output is Output.JSON:
            show_end(result, operator.output)
        return code_of(result)
