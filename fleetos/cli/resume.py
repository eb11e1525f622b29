"""`fleetos resume`."""

from typing import Annotated

import typer

from fleetos.app import control
from fleetos.app.context import AppContext, run_loop
from fleetos.app.lookup import find_resumable
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_drive
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption
from fleetos.cli.output import reporting, say, show_drive, show_end
from fleetos.model.states import RUN_ENDS
from fleetos.store import queries


@reporting
def resume(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="The run's id, or the beginning of it. Default: the only unfinished run.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Carry on with a run after a crash, a signal or a pause.

    Examples:

      fleetos resume

      fleetos resume 0c4k2m7 -o jsonl
    """
    raise Leave(run_loop(_resume, AppContext(db, say), run, cloud, output))


async def _resume(context: AppContext, given: str | None, cloud: str | None, output: Output) -> ExitCode:
    if given is None and context.is_missing():
        say(context.no_runs_yet())
        return ExitCode.OK
    async with context.sound_database() as database:
        found = await find_resumable(context, database, given, cloud)
        if found is None:
            say(context.no_runs_yet())
            return ExitCode.OK
        if found.run.state in RUN_ENDS:
            say("there are no unfinished runs; the newest one:" if given is None else "this run has ended:")
            progress = await queries.load(database, found.run.id)
            show_end(progress, output)
            return code_of(progress)
        result = await control.resume(context, database, found.run.id, TerminalOperator(output))
        await show_drive(database, result, output)
        return code_of_drive(result)
