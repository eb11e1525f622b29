"""`fleetos runs` and `fleetos status`."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from fleetos.app.context import AppContext
from fleetos.app.lookup import RunChoice, choose_run, driver_of, find_servers, find_standing
from fleetos.cli.exit_codes import code_of
from fleetos.cli.output import handle_errors, height, print_json, print_message, width, write
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.errors import UnknownRun
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import TargetState
from fleetos.store import queries
from fleetos.store.database.reader import Readable
from fleetos.views.documents.document import Document
from fleetos.views.documents.run import RunLine, runs_document, status_document
from fleetos.views.terminal.status import Status, status_screen
from fleetos.views.terminal.tables import runs_table


async def has_none(
    context: AppContext, database: Readable | None, choice: RunChoice, output: Output, empty: Document
) -> bool:
    """Return whether there is no run at all, after saying so; `empty` is the JSON of it.

    Raise UnknownRun if one was asked for by its name.
    """
    if database is not None and await queries.has_runs(database):
        return False
    if choice.run is not None:
        raise UnknownRun(f"there is no run {choice.run[:32]!r}", context.no_runs_yet())
    if output is Output.JSON:
        print_json({"v": 1, **empty})
    else:
        print_message(context.no_runs_yet())
    return True


@handle_errors
def runs(output: Output, db: str | None, cloud: str | None) -> None:
    """List all runs, the newest first."""
    anyio.run(_runs, AppContext(db, print_message), RunChoice(None, cloud), output)


async def _runs(context: AppContext, choice: RunChoice, output: Output) -> None:
    async with context.existing_database() as database:
        if await has_none(context, database, choice, output, {"runs": []}) or database is None:
            return
        summaries = choice.in_cloud(await queries.newest_runs(database, context.watcher()))
    lines = [RunLine(summary.run, summary.counts, driver_of(summary)) for summary in summaries]
    if not lines and output is Output.TABLE:
        print_message(f"there are no runs in cloud {choice.cloud}; fleetos runs lists those in others")
        return
    write(output, lambda: runs_document(lines), "runs", lambda: runs_table(lines, SystemClock().now(), width()))


@handle_errors
def status(
    run: str | None,
    server: list[str] | None,
    state: list[TargetState] | None,
    every: bool,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Show how a run stands, where its servers are, and what to do next."""
    anyio.run(
        _status, AppContext(db, print_message), RunChoice(run, cloud), _Filter(server or (), state or (), every), output
    )


@dataclass(frozen=True, slots=True)
class _Filter:
    """Filter of the servers that are shown; empty: all of them."""

    servers: Sequence[str]
    states: Sequence[TargetState]
    every: bool

    def chosen(self, progress: Progress) -> Sequence[Target]:
        """Return the targets to be shown, in plan order. Raise UsageError for a server that the run does not have."""
        ids = find_servers(progress, self.servers)
        return [
            target
            for target in progress.targets.values()
            if (ids is None or target.server_id in ids) and (not self.states or target.state in self.states)
        ]


async def _status(context: AppContext, choice: RunChoice, chosen: _Filter, output: Output) -> None:
    nothing: Document = {"run": None, "counts": {"total": 0}, "targets": []}
    async with context.existing_database() as database:
        if await has_none(context, database, choice, output, nothing) or database is None:
            return
        run_id = await choose_run(context, database, choice)
        progress = await queries.load(database, run_id)
        driver = driver_of(await queries.summary(database, run_id, context.watcher()))
        targets, now = chosen.chosen(progress), SystemClock().now()
        standing = await find_standing(database, progress, now)
    write(
        output,
        lambda: status_document(progress, now, driver, exit_code=code_of(progress), targets=targets, standing=standing),
        "targets",
        lambda: status_screen(
            Status(progress, driver, now, width(), standing), targets, None if chosen.every else height()
        ),
    )
