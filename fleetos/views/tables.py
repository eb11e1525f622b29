"""Tables for people: the runs, one run's status, its events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from rich.cells import cell_len
from rich.text import Text

from fleetos.model.events import Record, RunEvent
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import ENDS, RUN_ENDS, TargetState
from fleetos.rules.schedule import WaitReason, why_waiting
from fleetos.views.documents import RunLine
from fleetos.views.event_documents import event_document
from fleetos.views.event_types import COMMON_FIELDS
from fleetos.views.frame import STYLES
from fleetos.views.notes import code_words, note_of
from fleetos.views.reasons import REASONS, run_words
from fleetos.views.summary import end_words, lying_stopped, next_commands
from fleetos.views.watch import DOUBTFUL, TROUBLED
from fleetos.views.wording import called, clip, counted, printable, short_stamp, span

# Servers that a status table shows; all of them are in `-o json`.
TARGETS_SHOWN = 50
_GAP = "  "

Row = Sequence[str | Text]


def grid(head: Sequence[str], rows: Sequence[Row], width: int | None) -> Text:
    """The rows in columns under their heads. Lines are cut at `width` cells; None: as long as they need to be."""
    cells = [[one if isinstance(one, Text) else Text(printable(one)) for one in row] for row in rows]
    heads = [Text(one, style="bold") for one in head]
    widths = [max(text.cell_len for text in column) for column in zip(heads, *cells, strict=True)]
    lines = [_line(row, widths, width) for row in (heads, *cells)]
    return Text("\n", no_wrap=True).join(lines)


def runs_table(lines: Iterable[RunLine], now: datetime, width: int | None = None) -> Text:
    """The runs, in the order given."""
    rows = [_run_row(line, now) for line in lines]
    if not rows:
        return Text("no runs")
    return grid(("RUN", "NAME", "STATE", "CREATED", "SERVERS", "DRIVER"), rows, width)


def status_table(
    progress: Progress,
    now: datetime,
    width: int | None = None,
    *,
    driver: str | None = None,
    shown: int | None = TARGETS_SHOWN,
) -> Text:
    """The run, its counts, and its targets: those that need a human first, then those that move, then the others."""
    run = progress.run
    lines = [
        Text(_cut(f"{printable(run.name)} {printable(run.id)}: {_state_words(progress, driver, now)}", width)),
        Text(_cut(f"{counted(len(progress.targets), 'server')}: {count_words(progress.counts)}", width)),
    ]
    if run.reason is not None:
        lines.append(Text(_cut(run_words(run.reason), width)))
    stopped = len(lying_stopped(progress))
    if driver is None and stopped:
        lines.append(
            Text(_cut(f"{counted(stopped, 'server')} may lie stopped by this run", width), style="bold yellow")
        )
    if driver is None:
        lines += [Text(_cut(f"next: {command}", width)) for command in next_commands(progress)]
    targets = sorted(progress.targets.values(), key=_interest)
    hidden = 0 if shown is None else max(0, len(targets) - shown)
    driven = driver is not None
    rows = [_target_row(progress, target, now, driven=driven) for target in targets[: len(targets) - hidden]]
    lines += [Text(""), grid(("SERVER", "STATE", "SINCE", "TRIES", "NOTE"), rows, width)]
    if hidden:
        lines.append(Text(_cut(f"and {counted(hidden, 'server')} more; -o json shows all", width), style="dim"))
    return Text("\n", no_wrap=True).join(lines)


def events_table(records: Iterable[Record], run_id: str, names: Mapping[str, str], width: int | None = None) -> Text:
    """The records, one a line. `names` are the servers' names by id."""
    rows = [_event_row(record, run_id, names) for record in records]
    if not rows:
        return Text("no events")
    return grid(("SEQ", "AT", "TYPE", "SERVER", "DETAIL"), rows, width)


def event_text(record: Record, run_id: str, names: Mapping[str, str], width: int | None = None) -> Text:
    """The record as one line, in columns that are the same for every record: for a table that goes on and on."""
    seq, at, kind, server, detail = (str(cell) for cell in _event_row(record, run_id, names))
    return Text(_cut(f"{seq:>6}  {at}  {kind:<22}  {server}  {detail}".rstrip(), width), no_wrap=True)


def count_words(counts: Mapping[TargetState, int]) -> str:
    """The counts by state in the order of the way, without those that are zero: `3 waiting, 97 done`."""
    return ", ".join(f"{counts[state]:,} {state}" for state in TargetState if counts.get(state))


def _line(cells: Sequence[Text], widths: Sequence[int], width: int | None) -> Text:
    line = Text()
    for index, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
        line.append_text(cell)
        if index < len(cells) - 1:
            line.append(" " * (wide - cell.cell_len) + _GAP)
    line.rstrip()
    if width is not None:
        line.truncate(width, overflow="ellipsis")
    return line


def _cut(text: str, width: int | None) -> str:
    return text if width is None or cell_len(text) <= width else clip(text, width)


def _run_row(line: RunLine, now: datetime) -> Row:
    run = line.run
    why = end_words(run, line.counts) if run.state in RUN_ENDS else REASONS[run.reason].short if run.reason else ""
    state = f"{run.state}: {why}" if why else str(run.state)
    age = f"{short_stamp(run.created_at)} ({span((now - run.created_at).total_seconds())} ago)"
    return (run.id, run.name, state, age, count_words(line.counts), line.driver or "")


def _state_words(progress: Progress, driver: str | None, now: datetime) -> str:
    run = progress.run
    words = str(run.state)
    if run.ended_at is not None:
        began = run.started_at or run.created_at
        short = end_words(run, progress.counts)
        return f"{words} after {span((run.ended_at - began).total_seconds())}{f': {short}' if short else ''}"
    if driver is not None:
        return f"{words}, driven by {printable(driver)}"
    since = f", created {span((now - run.created_at).total_seconds())} ago"
    return f"{words}, driven by nobody{since}"


def _interest(target: Target) -> tuple[int, int]:
    """Sorts the targets that need a human first, then the unsure, the moving, the waiting and the ended."""
    groups: Sequence[Callable[[TargetState], bool]] = (
        lambda state: state in TROUBLED,
        lambda state: state in DOUBTFUL,
        lambda state: state not in ENDS and state is not TargetState.WAITING,
        lambda state: state is TargetState.WAITING,
    )
    place = next((index for index, belongs in enumerate(groups) if belongs(target.state)), len(groups))
    return place, target.position


def _target_row(progress: Progress, target: Target, now: datetime, *, driven: bool) -> Row:
    state = Text(str(target.state), STYLES.get(target.state, ""))
    since = span((now - target.since).total_seconds()) if target.since else ""
    tries = f"{len(target.attempts)}/{max(target.attempts_allowed, len(target.attempts))}"
    # A target of which nothing is told has no story; what it waits for is the one thing to say of it.
    note = note_of(target, progress.run.settings, now)
    silent = target.state is TargetState.WAITING or (target.state is TargetState.READY and not note)
    waiting = why_waiting(progress, target, now) if silent else None
    # Where nobody drives the run, nobody's turn comes.
    if waiting is not None and (driven or waiting.reason is not WaitReason.PACE):
        note = waiting.words
    return (called(target), state, since, tries, note)


def _event_row(record: Record, run_id: str, names: Mapping[str, str]) -> Row:
    fields = event_document(record, run_id)
    server_id = None if isinstance(record.event, RunEvent) else record.event.server_id
    server = printable(names.get(server_id) or server_id) if server_id else ""
    return (str(record.seq), short_stamp(record.at), fields["type"], server, _event_words(fields))


def _event_words(fields: Mapping[str, object]) -> str:
    hidden = {*COMMON_FIELDS, "server_id", "name"}
    return " ".join(f"{name}={_shown(name, value)}" for name, value in fields.items() if name not in hidden)


def _shown(name: str, value: object) -> str:
    """A field's value for people; in quotes where it has spaces, so that it is clear where it ends."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value)
        return ",".join(f"{_shown('', key)}:{_shown('', one)}" for key, one in pairs.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    words = code_words(str(value)) if name == "error_code" else printable(str(value))
    return f'"{words}"' if " " in words else words
