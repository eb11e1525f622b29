"""Tables of runs, and of the events of one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from rich.cells import cell_len
from rich.text import Text

from fleetos.model.journal.events import Record, RunEvent
from fleetos.model.states import TargetState
from fleetos.views.documents.event_types import COMMON_FIELDS
from fleetos.views.documents.events import event_document
from fleetos.views.documents.run import RunLine
from fleetos.views.text.code_words import code_words
from fleetos.views.text.format import clip, printable, short_duration, short_timestamp
from fleetos.views.text.run_condition import short_words

_GAP = "  "
# Columns of the list of runs that a narrow terminal leaves out, in this order.
_DISPENSABLE = ("CREATED", "DRIVER", "CLOUD", "SERVERS")

Row = Sequence[str | Text]


def grid(head: Sequence[str], rows: Sequence[Row], width: int | None) -> Text:
    """Return the rows in columns under their heads. Lines are cut at `width` cells; None: no limit."""
    cells = [[cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row] for row in rows]
    heads = [Text(cell, style="bold") for cell in head]
    widths = [max(text.cell_len for text in column) for column in zip(heads, *cells, strict=True)]
    lines = [_line(row, widths, width) for row in (heads, *cells)]
    return Text("\n", no_wrap=True).join(lines)


def runs_table(lines: Iterable[RunLine], now: datetime, width: int | None = None) -> Text:
    """Return the table of runs, in the order given."""
    rows = [_run_row(line, now) for line in lines]
    if not rows:
        return Text("no runs")
    head = list(rows[0])
    for column in _DISPENSABLE:
        if width is None or _width(head, rows) <= width:
            break
        head.remove(column)
    return grid(head, [[row[column] for column in head] for row in rows], width)


def _width(head: Sequence[str], rows: Sequence[Mapping[str, str]]) -> int:
    """Return the width of a table of these columns, in cells."""
    widths = [max(cell_len(printable(text)) for text in (column, *(row[column] for row in rows))) for column in head]
    return sum(widths) + len(_GAP) * (len(head) - 1)


def event_text(record: Record, run_id: str, names: Mapping[str, str], width: int | None = None) -> Text:
    """Return the record as one line, in columns of fixed width: the lines of a followed run must align."""
    seq, time, kind, server, detail = (str(cell) for cell in _event_row(record, run_id, names))
    return Text(_cut(f"{seq:>6}  {time}  {kind:<22}  {server}  {detail}".rstrip(), width), no_wrap=True)


def count_words(counts: Mapping[TargetState, int]) -> str:
    """Return the counts that are not zero, in the order of the states: `3 waiting, 97 done`."""
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


def _run_row(line: RunLine, now: datetime) -> Mapping[str, str]:
    run = line.run
    return {
        "RUN": run.id,
        "NAME": run.name,
        "STATE": short_words(run, line.counts, line.lease),
        "SERVERS": count_words(line.counts),
        "CLOUD": run.scope.cloud or "OS_*",
        "CREATED": f"{short_timestamp(run.created_at)} ({short_duration((now - run.created_at).total_seconds())} ago)",
        "DRIVER": (line.lease.present or "") if line.lease else "",
    }


def _event_row(record: Record, run_id: str, names: Mapping[str, str]) -> Row:
    server_id = None if isinstance(record.event, RunEvent) else record.event.server_id
    fields = event_document(record, run_id)
    server = printable(names.get(server_id) or server_id) if server_id else ""
    return (str(record.seq), short_timestamp(record.at), fields["type"], server, _event_words(fields))


def _event_words(fields: Mapping[str, object]) -> str:
    hidden = {*COMMON_FIELDS, "server_id", "server", "name"}
    return " ".join(f"{name}={_shown(name, value)}" for name, value in fields.items() if name not in hidden)


def _shown(name: str, value: object) -> str:
    """Return a field's value for people; in quotes if it has spaces, so that it is clear where it ends."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value)
        return ",".join(f"{_shown('', key)}:{_shown('', item)}" for key, item in pairs.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    words = code_words(str(value)) if name == "error_code" else printable(str(value))
    return f'"{words}"' if " " in words else words
