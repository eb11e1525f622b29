"""`fleetos retry`."""

import anyio

from fleetos.app import control
from fleetos.app.context import AppContext, loop_options, operator_name
from fleetos.app.lookup import find_run
from fleetos.app.requests import Asked
from fleetos.app.results import DriveResult
from fleetos.cli.commands.requests import ask
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_drive
from fleetos.cli.output import handle_errors, print_message
from fleetos.cli.run_end import show_drive, show_end
from fleetos.cli.usage.options import Output
from fleetos.errors import UsageError
from fleetos.model.journal.requests import RequestKind
from fleetos.model.states import RUN_ENDS
from fleetos.planning.agreement import Agreement
from fleetos.store import queries
from fleetos.store.database.database import Database
from fleetos.store.queries import RunSummary


@handle_errors
def retry(
    run: str,
    servers: list[str] | None,
    yes: bool,
    expect_wipes: int | None,
    reason: str | None,
    operator: str | None,
    no_wait: bool,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Give the targets of a run that failed or are held one more attempt each; lists them and asks."""
    terminal = TerminalOperator(output, Agreement(expect_wipes), yes, waits=not no_wait)
    asked = Asked(operator_name(operator), reason or "", servers or ())
    context = AppContext(db, print_message)
    raise Leave(anyio.run(_retry, context, run, cloud, terminal, asked, backend_options=loop_options()))


async def _retry(
    context: AppContext, given: str, cloud: str | None, operator: TerminalOperator, asked: Asked
) -> ExitCode:
    async with context.sound_database() as database:
        summary = await find_run(context, database, given, cloud)
        if summary.run.state not in RUN_ENDS and asked.servers:
            return await _retry_at_once(context, database, summary, operator, asked)
        result = await control.retry(context, database, summary.run.id, operator, asked)
        if isinstance(result, DriveResult):
            await show_drive(database, result, operator.output)
            return code_of_drive(result)
        if operator.output is Output.JSON:
            show_end(result, operator.output)
        return code_of(result)


async def _retry_at_once(
    context: AppContext, database: Database, summary: RunSummary, operator: TerminalOperator, asked: Asked
) -> ExitCode:
    """Ask whoever drives the run for one more attempt, with the disks that the operator agrees to."""
    if not asked.reason:
        raise UsageError(f"run {summary.run.id} goes on, so that a retry must say why", 'add --reason "..."')
    progress = await queries.load(database, summary.run.id)
    agreed = control.agree_to_retry_at_once(context, progress, operator, asked)
    return await ask(context, database, summary, operator, agreed, RequestKind.RETRY)
