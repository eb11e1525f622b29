"""One frame for a given terminal size. Pure: the same facts and size give the same text.

No line is wider than the terminal, and a frame has at most as many lines as the terminal has rows, less one for the
cursor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.cells import cell_len
from rich.text import Text

from fleetos.model.run import Settings, Target
from fleetos.model.states import ENDS, QUEUED, RunState, TargetState
from fleetos.names import shown
from fleetos.views.slot_usage import SlotUsage
from fleetos.views.terminal.highlights import Highlights
from fleetos.views.text.format import clip, fill, printable, short_duration
from fleetos.views.text.reasons import REASONS
from fleetos.views.text.server_names import server_name
from fleetos.views.text.target_notes import note_of
from fleetos.views.text.wrap import wrap_lines

STYLES: Mapping[TargetState, str] = {
    TargetState.DONE: "green",
    TargetState.FAILED: "bold red",
    TargetState.HELD: "bold magenta",
    TargetState.INSPECTING: "yellow",
    TargetState.BACKOFF: "yellow",
    TargetState.CHANGING: "cyan",
}

_NARROW = 60
# Rows about servers that lines about the rollout leave room for.
_ROWS_LEAST = 3
_STATE_WIDTH = max(len(state) for state in TargetState)
_SINCE_WIDTH = 6
# States that need a human come first among the counts, then the other ends, then the states before them.
_COUNT_ORDER = (
    TargetState.FAILED,
    TargetState.HELD,
    TargetState.DONE,
    TargetState.SKIPPED,
    TargetState.CANCELLED,
    *(state for state in TargetState if state not in ENDS and state not in QUEUED),
    TargetState.BACKOFF,
    TargetState.WAITING,
)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds, requests by operation, and use of slots by this process so far."""

    elapsed_s: float
    requests: Mapping[str, int] = field(default_factory=dict[str, int])
    pace: SlotUsage = field(default_factory=SlotUsage)

    @property
    def calls(self) -> int:
        """Number of requests sent."""
        return sum(self.requests.values())


def frame(
    highlights: Highlights, spent: Spent, now: datetime, width: int, height: int, rollout: Sequence[str] = ()
) -> Text:
    """Return the frame for a terminal of `width` cells and `height` rows. `rollout`: lines about waves and windows."""
    room = max(1, height - 1)
    head = [_title(highlights, spent, width), _bar(highlights, width)]
    counts = _pack(_counts(highlights), width, lines_max=2 if room < 12 else 4)
    facts = _pack(_facts(highlights, spent, now), width, lines_max=1 if room < 12 else 2)
    steered = wrap_lines([Text(line) for line in rollout], width)
    left = max(0, room - len(head) - len(counts) - len(facts) - _ROWS_LEAST)
    lines = [*head, *counts, *facts, *steered[:left]][:room]
    lines += _rows(highlights, now, width, room - len(lines))
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)


def _title(highlights: Highlights, spent: Spent, width: int) -> Text:
    run = highlights.progress.run
    state = str(run.state) if run.reason is None else f"{run.state}: {REASONS[run.reason].short}"
    name, run_id, elapsed = printable(run.name), printable(run.id), short_duration(spent.elapsed_s)
    # On a narrow terminal the id is left out first, since the summary has it too, and then the end of the name.
    if cell_len(f"{name}  {run_id}  {state}  {elapsed}") <= width:
        name = f"{name}  {run_id}"
    text = Text().append(clip(name, max(8, width - cell_len(f"  {state}  {elapsed}"))), style="bold")
    text.append(f"  {state}", style="" if run.state is RunState.RUNNING else "bold yellow")
    return _cut(text.append(f"  {elapsed}"), width)


def _bar(highlights: Highlights, width: int) -> Text:
    total, ended = highlights.total, highlights.ended
    # Rounded down: a run shows 100 % only when every target has ended.
    numbers = f" {100 * ended // total if total else 100:3} % {ended:,}/{total:,}"
    cells = min(60, width - len(numbers) - 2)
    if cells < 4:
        return _cut(Text(numbers.strip()), width)
    full = cells * ended // total if total else cells
    bad = sum(highlights.progress.counts.get(state, 0) for state in (TargetState.FAILED, TargetState.HELD))
    red = min(full, -(-cells * bad // total)) if total else 0
    bar = Text("[").append("#" * (full - red), style="green").append("#" * red, style="red")
    return bar.append("-" * (cells - full), style="dim").append("]").append(numbers)


def _counts(highlights: Highlights) -> Sequence[Text]:
    counts = highlights.progress.counts
    return [Text(f"{state} {counts[state]:,}", STYLES.get(state, "")) for state in _COUNT_ORDER if counts.get(state)]


def _facts(highlights: Highlights, spent: Spent, now: datetime) -> Sequence[Text]:
    progress = highlights.progress
    facts = [f"in flight {progress.slots_taken:,}/{progress.run.settings.concurrency:,}"]
    remaining_s = highlights.remaining_s(now)
    if remaining_s is not None and progress.run.state is RunState.RUNNING and highlights.ended < highlights.total:
        facts.append(f"about {short_duration(remaining_s)} left" if remaining_s >= 60 else "less than 1m left")
    if progress.overdue:
        facts.append(f"overdue {progress.overdue:,}")
    facts.append(f"API calls {spent.calls:,}")
    return [Text(fact) for fact in facts]


def _pack(items: Sequence[Text], width: int, *, lines_max: int) -> list[Text]:
    """Return the items in as few lines as possible, at most `lines_max`; leave out what does not fit."""
    lines: list[Text] = []
    for item in items:
        if lines and lines[-1].cell_len + 2 + item.cell_len <= width:
            lines[-1].append("  ").append_text(item)
        elif len(lines) < lines_max:
            lines.append(_cut(Text().append_text(item), width))
    return lines


def _rows(highlights: Highlights, now: datetime, width: int, room: int) -> list[Text]:
    if room < 1 or not any(highlights.sizes):
        return []
    rows_given = shares(highlights.sizes, room)
    hidden = sum(highlights.sizes) - sum(rows_given)
    if hidden:
        rows_given = shares(highlights.sizes, room - 1)
        hidden = sum(highlights.sizes) - sum(rows_given)
    troubled, doubtful, moving = rows_given
    shown = [*highlights.troubled(troubled), *highlights.doubtful(doubtful), *highlights.moving(moving)]
    name_width = min(max((cell_len(server_name(target)) for target in shown), default=0), max(8, width // 3))
    settings = highlights.progress.run.settings
    lines = [row(target, settings, now, width, name_width) for target in shown]
    if hidden:
        sizes = zip(("failed or held", "unsure or waiting", "moving"), highlights.sizes, rows_given, strict=True)
        hidden_words = ", ".join(f"{size - share:,} {group}" for group, size, share in sizes if size > share)
        lines.append(Text(clip(f"and {hidden_words}", width), style="dim"))
    return lines


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """Return the number of rows for each group: earlier groups come first, but leave a third for those behind them."""
    given: list[int] = []
    for index, size in enumerate(sizes):
        free = max(0, room - sum(given))
        wanted = min(sum(sizes[index + 1 :]), free // 3)
        given.append(min(size, free - wanted))
    return given


def row(target: Target, settings: Settings, now: datetime, width: int, name_width: int) -> Text:
    """Return one line about a target, at most `width` cells: name, state, time in the state if there is room, note."""
    text = Text(fill(shown(target.name) or target.server_id, name_width)).append(" ")
    text.append(f"{target.state:<{_STATE_WIDTH}} ", style=STYLES.get(target.state, ""))
    if width >= _NARROW:
        in_state_s = (now - target.since).total_seconds() if target.since else 0.0
        text.append(f"{short_duration(in_state_s):>{_SINCE_WIDTH}}  ", style="dim")
    text.append(clip(note_of(target, settings, now), width - text.cell_len))
    return _cut(text, width)


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    text.rstrip()
    return text
