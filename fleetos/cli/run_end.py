"""Show how a run ended, or was left."""

from fleetos.app.results import DriveResult
from fleetos.cli.exit_codes import code_of
from fleetos.cli.output import ignore_broken_pipe, print_data, print_json, print_message
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.model.progress import Progress
from fleetos.store import queries
from fleetos.store.database.database import Database
from fleetos.views.documents.run import status_document
from fleetos.views.terminal.frame import Spent
from fleetos.views.terminal.summary import summary


async def show_drive(database: Database, result: DriveResult, output: Output) -> None:
    """Show how a run was left. The view has shown people the end of a run that was driven."""
    if not result.driven:
        print_message("this run has ended meanwhile:")
        show_end(result.progress, output)
    elif output is not Output.TABLE:
        show_end(await queries.load(database, result.progress.run.id), output)


def show_end(progress: Progress, output: Output) -> None:
    """Show how a run ended: the summary to people, the status document to programs.

    Where events are asked for, the summary is no data, so it goes beside them.
    """
    run, now = progress.run, SystemClock().now()
    took_s = ((run.ended_at or now) - (run.started_at or run.created_at)).total_seconds()
    with ignore_broken_pipe():
        if output is Output.JSON:
            print_json(status_document(progress, now, exit_code=code_of(progress)))
        else:
            (print_data if output is Output.TABLE else print_message)(summary(progress, Spent(took_s)))
