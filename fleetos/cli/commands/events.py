"""`fleetos events`."""

import sys
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio

from fleetos.app.context import AppContext
from fleetos.app.lookup import RunChoice, choose_run, driver_of, find_servers
from fleetos.cli.commands.status import has_none
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.output import handle_errors, print_data, print_json, print_message, width
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.errors import UsageError
from fleetos.limits import RECORDS_PER_PAGE, RUNS_SUGGESTED
from fleetos.model.journal.events import Record
from fleetos.model.run import Target
from fleetos.model.states import RUN_ENDS
from fleetos.planning.plan_file.units import parse_duration_s
from fleetos.store import queries
from fleetos.store.database.reader import Readable
from fleetos.store.queries import RunSummary
from fleetos.text import did_you_mean
from fleetos.views.documents.event_types import EVENT_TYPES
from fleetos.views.documents.events import event_document, type_of
from fleetos.views.terminal.tables import event_text
from fleetos.views.text.run_condition import condition_words, driven
from fleetos.views.view import event_line, name_of

FOLLOW_EVERY_S = 0.5
# Events that `--follow` shows a person of what was before.
TAIL_ON_TERMINAL = 10


@dataclass(frozen=True, slots=True)
class _Filter:
    """Filter of the events that are shown; None leaves out nothing."""

    since: datetime | None = None
    servers: Collection[str] | None = None
    types: frozenset[str] | None = None
    tail: int | None = None

    def has(self, record: Record) -> bool:
        """Return whether the record is of a type that is shown."""
        return self.types is None or type_of(record.event) in self.types


@dataclass(slots=True)
class _Log:
    """Event log of one run as it is read on."""

    context: AppContext
    database: Readable
    run_id: str
    targets: Mapping[str, Target]
    chosen: _Filter
    output: Output
    after: int = 0

    async def read(self) -> list[Record]:
        """Return the records that have come since, without those that are not wanted."""
        found: list[Record] = []
        while True:
            page = await queries.events(
                self.database, self.run_id, self.after, since=self.chosen.since, servers=self.chosen.servers
            )
            found += [record for record in page if self.chosen.has(record)]
            if page:
                self.after = page[-1].seq
            if len(page) < RECORDS_PER_PAGE:
                return found

    def show(self, records: Sequence[Record]) -> None:
        """Print the records, each on its line, at once."""
        names = {one.server_id: one.name for one in self.targets.values()}
        for record in records:
            if self.output is Output.JSONL:
                sys.stdout.write(event_line(record, self.run_id, name_of(record, self.targets)))
            else:
                print_data(event_text(record, self.run_id, names, width()))
        sys.stdout.flush()


@handle_errors
def events(
    run: str | None,
    follow: bool,
    tail: int | None,
    since: str | None,
    server: list[str] | None,
    kind: list[str] | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Show the event log of a run."""
    terminal = output is Output.TABLE and sys.stdout.isatty()
    if tail is None and follow and since is None and terminal:
        tail = TAIL_ON_TERMINAL
    chosen = _Filter(_since(since), None, _types(kind or ()), tail)
    raise Leave(
        anyio.run(_events, AppContext(db, print_message), RunChoice(run, cloud), follow, chosen, server or (), output)
    )


def _since(given: str | None) -> datetime | None:
    if given is None:
        return None
    ago_s = parse_duration_s(given)
    if ago_s is not None:
        return SystemClock().now() - timedelta(seconds=ago_s)
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UsageError(
            f"--since {given} is neither a duration nor a time with a zone", "1h30m or 2026-03-01T12:00:00Z"
        )
    return at


def _types(given: Sequence[str]) -> frozenset[str] | None:
    for type_name in given:
        if type_name not in EVENT_TYPES:
            hint = did_you_mean(type_name, EVENT_TYPES, RUNS_SUGGESTED) or "docs/reference/outputs.md lists all types"
            raise UsageError(f"there is no type of event {type_name!r}", hint)
    return frozenset(given) or None


async def _events(
    context: AppContext, choice: RunChoice, follow: bool, chosen: _Filter, servers: Sequence[str], output: Output
) -> ExitCode:
    async with context.existing_database() as database:
        if await has_none(context, database, choice, output, {"events": []}) or database is None:
            return ExitCode.OK
        run_id = await choose_run(context, database, choice)
        progress = await queries.load(database, run_id)
        chosen = replace(chosen, servers=find_servers(progress, servers))
        log = _Log(context, database, run_id, progress.targets, chosen, output)
        if follow and output is not Output.JSON:
            return await _follow(log)
        records = await log.read()
        # Of a run that is followed the last state is waited for first, since a document cannot be written in pieces.
        code = await _follow(replace(log, chosen=replace(chosen, types=frozenset(), tail=0))) if follow else ExitCode.OK
        records = _last(records + await log.read(), chosen.tail)
    if output is Output.JSON:
        documents = [event_document(record, run_id, name_of(record, progress.targets)) for record in records]
        print_json({"v": 1, "events": documents})
    else:
        log.show(records)
    return code


def _last(records: Sequence[Record], count: int | None) -> Sequence[Record]:
    return records if count is None else list(deque(records, maxlen=count))


async def _follow(log: _Log) -> ExitCode:
    """Print all that comes until the run has ended or no process drives it; return the exit code."""
    begun = False
    while True:
        # Asked before the records are read: what was written before the end is among them.
        summary = await queries.summary(log.database, log.run_id, log.context.watcher())
        records = await log.read()
        log.show(records if begun else _last(records, log.chosen.tail))
        begun = True
        if summary.run.state in RUN_ENDS:
            return ExitCode.OK
        if not driven(summary.run, driver_of(summary)):
            _say_undriven(summary)
            return ExitCode.RESUMABLE
        await anyio.sleep(FOLLOW_EVERY_S)


def _say_undriven(summary: RunSummary) -> None:
    run = summary.run
    words = condition_words(run, summary.counts, driver_of(summary), SystemClock().now())
    print_message(f"no process drives run {run.id}: {words}; continue with: fleetos resume {run.id}")
