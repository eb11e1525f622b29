"""`fleetos retry`."""

from fleetos.app import control
from fleetos.app.context import AppContext, run_loop
from fleetos.app.lookup import find_run
from fleetos.app.results import DriveResult
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_drive
from fleetos.cli.options import CloudOption, DbOption, ExpectWipesOption, Output, OutputOption, RunArgument, YesOption
from fleetos.cli.output import reporting, say, show_drive, show_end
from fleetos.planning.agreement import Agreement


@reporting
def retry(
    run: RunArgument,
    yes: YesOption = False,
    expect_wipes: ExpectWipesOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Give the targets of a run that failed or are held one more attempt each; lists them and asks.

    A server that another run has changed since is left out: a new plan is needed to change it again.

    Examples:

      fleetos retry 0c4k2m7

      fleetos retry 0c4k2m7 --yes --expect-wipes 2 -o json
    """
    operator = TerminalOperator(output, Agreement(expect_wipes), yes)
    raise Leave(run_loop(_retry, AppContext(db, say), run, cloud, operator))


async def _retry(context: AppContext, given: str, cloud: str | None, operator: TerminalOperator) -> ExitCode:
    async with context.sound_database() as database:
        found = await find_run(context, database, given, cloud)
        result = await control.retry(context, database, found.run.id, operator)
        if isinstance(result, DriveResult):
            await show_drive(database, result, operator.output)
            return code_of_drive(result)
        if operator.output is Output.JSON:
            show_end(result, operator.output)
        return code_of(result)
