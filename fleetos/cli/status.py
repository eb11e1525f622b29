"""`fleetos runs`, `status`: past runs and current state. They only read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import anyio
import typer

from fleetos.cli.exit_codes import code_of
from fleetos.cli.options import AnyRunArgument, CloudOption, DbOption, Output, OutputOption, ServerOption
from fleetos.cli.output import height, print_json, print_line, reporting, say, show, width
from fleetos.cli.wiring import existing_database, no_runs_yet, watcher
from fleetos.clock import SystemClock
from fleetos.errors import UnknownRun, UsageError
from fleetos.limits import RUNS_SUGGESTED
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import TargetState
from fleetos.store import queries
from fleetos.store.database import Database
from fleetos.store.holder import Life
from fleetos.store.queries import RunSummary
from fleetos.text import did_you_mean
from fleetos.views.condition import Driver
from fleetos.views.documents import RunLine, runs_document, status_document
from fleetos.views.status import Status, status_screen
from fleetos.views.tables import runs_table


def lease_of(summary: RunSummary) -> Driver | None:
    """The process that has the lease of the run, or had it when it vanished; None: it was given back."""
    found = summary.driver or summary.lost
    if found is None:
        return None
    life = "gone" if summary.driver is None else "stopped" if found.life is Life.STOPPED else "alive"
    return Driver(str(found.holder), found.holder.pid, found.renewed_at, life)


def line_of(summary: RunSummary) -> RunLine:
    """The run as a list shows it."""
    return RunLine(summary.run, summary.counts, lease_of(summary))


@dataclass(frozen=True, slots=True)
class Asked:
    """What names a run on the command line: the run, or the cloud that it works in, and the database."""

    run: str | None
    cloud: str | None
    db: str | None

    def of_cloud(self, found: Sequence[RunSummary]) -> Sequence[RunSummary]:
        """Return those that work in the cloud that is asked for."""
        return [one for one in found if self.cloud is None or one.run.scope.cloud == self.cloud]


async def chosen_run(opened: Database, asked: Asked) -> str:
    """Return the id of the run that is meant: the given one, else the newest unfinished, else the newest.

    Raises UnknownRun for a given one that is not there, and where the cloud that is asked for has none. The database
    holds a run.
    """
    if asked.run is not None:
        return await queries.find_run(opened, asked.run)
    unfinished = asked.of_cloud(await queries.unfinished_runs(opened, watcher()))
    found = unfinished or asked.of_cloud(await queries.newest_runs(opened, watcher()))
    if not found:
        where = f" in cloud {asked.cloud}" if asked.cloud else ""
        raise UnknownRun(f"there are no runs{where} in {opened.location.shown}", "start one with: fleetos apply PLAN")
    return found[0].run.id


async def has_none(opened: Database | None, asked: Asked, output: Output, empty: Mapping[str, object]) -> bool:
    """Return whether there is no run at all, after saying so; `empty` is the JSON of it.

    Raises UnknownRun if one was asked for by its name.
    """
    if opened is not None and await queries.has_runs(opened):
        return False
    if asked.run is not None:
        raise UnknownRun(f"there is no run {asked.run[:32]!r}", no_runs_yet(asked.db))
    if output is Output.JSON:
        print_json({"v": 1, **empty})
    else:
        say(no_runs_yet(asked.db))
    return True


@reporting
def runs(output: OutputOption = Output.TABLE, db: DbOption = None, cloud: CloudOption = None) -> None:
    """List all runs, the newest first.

    Wherever a command takes a RUN, the name of its plan works as well: its only unfinished run, else its newest.

    Examples:

      fleetos runs

      fleetos runs -o json | jq -r '.runs[] | select(.state == "running") | .id'
    """
    anyio.run(_runs, output, Asked(None, cloud, db))


async def _runs(output: Output, asked: Asked) -> None:
    async with existing_database(asked.db) as opened:
        if await has_none(opened, asked, output, {"runs": []}) or opened is None:
            return
        found = asked.of_cloud(await queries.newest_runs(opened, watcher()))
        lines = [line_of(summary) for summary in found]
    if output is Output.JSON:
        print_json(runs_document(lines))
    elif output is Output.JSONL:
        for one in runs_document(lines)["runs"]:
            print_line(one)
    elif lines:
        show(runs_table(lines, SystemClock().now(), width()))
    else:
        say(f"there are no runs in cloud {asked.cloud}; fleetos runs lists those in others")


@reporting
def status(
    run: AnyRunArgument = None,
    server: ServerOption = None,
    state: Annotated[
        list[TargetState] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only servers in this state. Repeat it for more.", show_default=False
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every server, also those that do not fit the terminal.")
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Show how a run stands, where its servers are, and what to do next.

    On a terminal it fits the screen: powered-off servers come first, then what moves or needs you. In a pipe every
    server has its line. `--server` and `--state` choose servers in every output.

    Examples:

      fleetos status

      fleetos status web-tier --state held --state failed --all

      fleetos status RUN -o json | jq -r '.targets[] | select(.state == "held") | .name + " " + .reason'
    """
    anyio.run(_status, Asked(run, cloud, db), _Filter(server or (), state or (), every), output)


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which servers of a run are shown; empty: all of them."""

    servers: Sequence[str]
    states: Sequence[TargetState]
    every: bool

    def chosen(self, progress: Progress) -> Sequence[Target]:
        """The targets to be shown, in plan order. Raises UsageError for a server that the run does not have."""
        ids = servers_of(progress, self.servers)
        return [
            target
            for target in progress.targets.values()
            if (ids is None or target.server_id in ids) and (not self.states or target.state in self.states)
        ]


async def _status(asked: Asked, chosen: _Filter, output: Output) -> None:
    async with existing_database(asked.db) as opened:
        nothing: Mapping[str, object] = {"run": None, "counts": {"total": 0}, "targets": []}
        if await has_none(opened, asked, output, nothing) or opened is None:
            return
        run_id = await chosen_run(opened, asked)
        progress = await queries.load(opened, run_id)
        lease = lease_of(await queries.summary(opened, run_id, watcher()))
    targets, now = chosen.chosen(progress), SystemClock().now()
    if output is Output.TABLE:
        rows = None if chosen.every else height()
        show(status_screen(Status(progress, lease, now, width()), targets, rows))
        return
    document = status_document(progress, now, lease, exit_code=code_of(progress), targets=targets)
    if output is Output.JSON:
        print_json(document)
    else:
        for one in document["targets"]:
            print_line(one)


def servers_of(progress: Progress, given: Sequence[str]) -> frozenset[str] | None:
    """The ids of the run's servers that are meant by names or ids; None where none is given, so that all are meant.

    Raises UsageError for one that the run does not have.
    """
    if not given:
        return None
    ids: set[str] = set()
    for one in given:
        found = {target.server_id for target in progress.targets.values() if one in (target.server_id, target.name)}
        if not found:
            names = {target.name for target in progress.targets.values()}
            hint = did_you_mean(one, names, RUNS_SUGGESTED) or f"fleetos status {progress.run.id} --all names them"
            raise UsageError(f"run {progress.run.id} has no server {one!r}", hint)
        ids |= found
    return frozenset(ids)
