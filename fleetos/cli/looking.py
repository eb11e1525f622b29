"""`fleetos runs`, `status`, `events`: what was, what is, what happened. They only read."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import anyio
import typer

from fleetos.cli.options import AnyRunArgument, DbOption, Output, OutputOption
from fleetos.cli.terminal import print_json, print_line, reporting, say, show, width
from fleetos.cli.wiring import existing_database, no_runs_yet, watcher
from fleetos.clock import SystemClock
from fleetos.errors import UnknownRun
from fleetos.limits import RECORDS_PER_PAGE
from fleetos.model.events import Record
from fleetos.model.states import RUN_ENDS
from fleetos.store import queries
from fleetos.store.database import Database
from fleetos.store.queries import RunSummary
from fleetos.views.documents import RunLine, runs_document, status_document
from fleetos.views.event_documents import event_document
from fleetos.views.tables import event_text, runs_table, status_table
from fleetos.views.view import event_line

FOLLOW_EVERY_S = 0.5


def line_of(summary: RunSummary) -> RunLine:
    """The run as a list shows it."""
    return RunLine(summary.run, summary.counts, str(summary.driver.holder) if summary.driver else None)


async def chosen_run(opened: Database, given: str | None) -> str:
    """The id of the run that is meant: the given one, else the newest unfinished, else the newest.

    Raises UnknownRun for a given one that is not there. The database holds a run.
    """
    if given is not None:
        return await queries.find_run(opened, given)
    unfinished = await queries.unfinished_runs(opened, watcher())
    found = unfinished or await queries.newest_runs(opened, watcher())
    return found[0].run.id


def _no_runs(given: str | None, output: Output, db: str | None, empty: Mapping[str, object]) -> None:
    """Print that there is no run yet, `empty` as the JSON of it. Raise UnknownRun if one was given."""
    if given is not None:
        raise UnknownRun(f"there is no run {given[:32]!r}", no_runs_yet(db))
    if output is Output.JSON:
        print_json({"v": 1, **empty})
    else:
        say(no_runs_yet(db))


@reporting
def runs(output: OutputOption = Output.TABLE, db: DbOption = None) -> None:
    """List all runs, the newest first.

    Examples:

      fleetos runs

      fleetos runs -o json | jq -r '.runs[] | select(.state == "running") | .id'
    """
    anyio.run(_runs, output, db)


async def _runs(output: Output, db: str | None) -> None:
    async with existing_database(db) as opened:
        if opened is None or not await queries.has_runs(opened):
            _no_runs(None, output, db, {"runs": []})
            return
        lines = [line_of(summary) for summary in await queries.newest_runs(opened, watcher())]
    if output is Output.JSON:
        print_json(runs_document(lines))
    elif output is Output.JSONL:
        for one in runs_document(lines)["runs"]:
            print_line(one)
    else:
        show(runs_table(lines, SystemClock().now(), width()))


@reporting
def status(run: AnyRunArgument = None, output: OutputOption = Output.TABLE, db: DbOption = None) -> None:
    """Show where a run and its servers are now.

    Examples:

      fleetos status

      fleetos status RUN -o json | jq -r '.targets[] | select(.state == "held") | .name + " " + .reason'
    """
    anyio.run(_status, run, output, db)


async def _status(given: str | None, output: Output, db: str | None) -> None:
    async with existing_database(db) as opened:
        if opened is None or not await queries.has_runs(opened):
            _no_runs(given, output, db, {"run": None, "counts": {"total": 0}, "targets": []})
            return
        run_id = await chosen_run(opened, given)
        progress = await queries.load(opened, run_id)
        driver = line_of(await queries.summary(opened, run_id, watcher())).driver
    if output is Output.TABLE:
        show(status_table(progress, SystemClock().now(), driver=driver, width=width()))
    elif output is Output.JSON:
        print_json(status_document(progress, driver=driver))
    else:
        for one in status_document(progress, driver=driver)["targets"]:
            print_line(one)


@reporting
def events(
    run: AnyRunArgument = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
) -> None:
    """Show what happened in a run, event by event.

    Examples:

      fleetos events

      fleetos events RUN --follow -o jsonl
    """
    anyio.run(_events, run, follow, output, db)


async def _events(given: str | None, follow: bool, output: Output, db: str | None) -> None:
    async with existing_database(db) as opened:
        if opened is None or not await queries.has_runs(opened):
            _no_runs(given, output, db, {"events": []})
            return
        run_id = await chosen_run(opened, given)
        progress = await queries.load(opened, run_id)
        names = {one.server_id: one.name for one in progress.targets.values()}
        after, all_of_them = 0, list[object]()
        while True:
            page = await queries.events(opened, run_id, after)
            if output is Output.JSON:
                all_of_them += [event_document(record, run_id) for record in page]
            else:
                _print_page(page, run_id, names, output)
            if page:
                after = page[-1].seq
            if len(page) == RECORDS_PER_PAGE:
                continue
            ended = (await queries.summary(opened, run_id, watcher())).run.state in RUN_ENDS
            if not follow or (ended and not page):
                break
            await anyio.sleep(FOLLOW_EVERY_S)
    if output is Output.JSON:
        print_json({"v": 1, "events": all_of_them})


async def print_events(opened: Database, run_id: str, after: int, last: int) -> None:
    """Prints the records after one number, up to another, one event a line."""
    while after < last:
        page = await queries.events(opened, run_id, after, last - after)
        _print_page(page, run_id, {}, Output.JSONL)
        after = page[-1].seq


def _print_page(page: Sequence[Record], run_id: str, names: dict[str, str], output: Output) -> None:
    for record in page:
        if output is Output.JSONL:
            sys.stdout.write(event_line(record, run_id))
        else:
            show(event_text(record, run_id, names, width()))
    sys.stdout.flush()
