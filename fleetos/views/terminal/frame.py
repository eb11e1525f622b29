"""One picture of a run for a terminal of a given size. Pure: the same facts and size give the same text.

No line is ever wider than the terminal, and there are never more lines than it has rows, less one for the cursor.
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
from fleetos.views.text.format import called, clip, fill, printable, span
from fleetos.views.text.reasons import REASONS
from fleetos.views.text.target_notes import note_of

STYLES: Mapping[TargetState, str] = {
    TargetState.DONE: "green",
    TargetState.FAILED: "bold red",
    TargetState.HELD: "bold magenta",
    TargetState.INSPECTING: "yellow",
    TargetState.BACKOFF: "yellow",
    TargetState.CHANGING: "cyan",
}

_NARROW = 60
_STATE_WIDTH = max(len(state) for state in TargetState)
_SINCE_WIDTH = 6
# What asks for a human stands first among the counts, then the other ends, then the way there.
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
    """What this process has used up so far: seconds, requests by operation, and how well it filled the slots."""

    elapsed_s: float
    requests: Mapping[str, int] = field(default_factory=dict[str, int])
    pace: SlotUsage = field(default_factory=SlotUsage)

    @property
    def calls(self) -> int:
        """How many requests were sent in all."""
        return sum(self.requests.values())


def frame(watch: Highlights, spent: Spent, now: datetime, width: int, height: int) -> Text:
    """The picture of the run, for a terminal `width` cells wide and `height` rows high."""
    room = max(1, height - 1)
    head = [_title(watch, spent, width), _bar(watch, width)]
    counts = _packed(_counts(watch), width, lines_max=2 if room < 12 else 4)
    facts = _packed(_facts(watch, spent, now), width, lines_max=1 if room < 12 else 2)
    lines = [*head, *counts, *facts][:room]
    lines += _rows(watch, now, width, room - len(lines))
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)


def _title(watch: Highlights, spent: Spent, width: int) -> Text:
    run = watch.progress.run
    state = str(run.state) if run.reason is None else f"{run.state}: {REASONS[run.reason].short}"
    name, run_id, elapsed = printable(run.name), printable(run.id), span(spent.elapsed_s)
    # On a narrow terminal the id goes first, since the summary tells it again, and then the end of the name.
    if cell_len(f"{name}  {run_id}  {state}  {elapsed}") <= width:
        name = f"{name}  {run_id}"
    text = Text().append(clip(name, max(8, width - cell_len(f"  {state}  {elapsed}"))), style="bold")
    text.append(f"  {state}", style="" if run.state is RunState.RUNNING else "bold yellow")
    return _cut(text.append(f"  {elapsed}"), width)


def _bar(watch: Highlights, width: int) -> Text:
    total, ended = watch.total, watch.ended
    # Rounded down: a run shows 100 % only when every target has ended.
    numbers = f" {100 * ended // total if total else 100:3} % {ended:,}/{total:,}"
    cells = min(60, width - len(numbers) - 2)
    if cells < 4:
        return _cut(Text(numbers.strip()), width)
    full = cells * ended // total if total else cells
    bad = sum(watch.progress.counts.get(state, 0) for state in (TargetState.FAILED, TargetState.HELD))
    red = min(full, -(-cells * bad // total)) if total else 0
    bar = Text("[").append("#" * (full - red), style="green").append("#" * red, style="red")
    return bar.append("-" * (cells - full), style="dim").append("]").append(numbers)


def _counts(watch: Highlights) -> Sequence[Text]:
    counts = watch.progress.counts
    return [Text(f"{state} {counts[state]:,}", STYLES.get(state, "")) for state in _COUNT_ORDER if counts.get(state)]


def _facts(watch: Highlights, spent: Spent, now: datetime) -> Sequence[Text]:
    progress = watch.progress
    facts = [f"in flight {progress.slots_taken:,}/{progress.run.settings.concurrency:,}"]
    left_s = watch.left_s(now)
    if left_s is not None and progress.run.state is RunState.RUNNING and watch.ended < watch.total:
        facts.append(f"about {span(left_s)} left" if left_s >= 60 else "less than 1m left")
    if progress.overdue:
        facts.append(f"overdue {progress.overdue:,}")
    facts.append(f"API calls {spent.calls:,}")
    return [Text(fact) for fact in facts]


def _packed(items: Sequence[Text], width: int, *, lines_max: int) -> list[Text]:
    """The items in as few lines as they fit in, at most `lines_max`; what does not fit is left out."""
    lines: list[Text] = []
    for item in items:
        if lines and lines[-1].cell_len + 2 + item.cell_len <= width:
            lines[-1].append("  ").append_text(item)
        elif len(lines) < lines_max:
            lines.append(_cut(Text().append_text(item), width))
    return lines


def _rows(watch: Highlights, now: datetime, width: int, room: int) -> list[Text]:
    if room < 1 or not any(watch.sizes):
        return []
    given = shares(watch.sizes, room)
    hidden = sum(watch.sizes) - sum(given)
    if hidden:
        given = shares(watch.sizes, room - 1)
        hidden = sum(watch.sizes) - sum(given)
    troubled, doubtful, moving = given
    shown = [*watch.troubled(troubled), *watch.doubtful(doubtful), *watch.moving(moving)]
    name_width = min(max((cell_len(called(target)) for target in shown), default=0), max(8, width // 3))
    settings = watch.progress.run.settings
    lines = [row(target, settings, now, width, name_width) for target in shown]
    if hidden:
        sizes = zip(("failed or held", "unsure or waiting", "moving"), watch.sizes, given, strict=True)
        more = ", ".join(f"{size - share:,} {what}" for what, size, share in sizes if size > share)
        lines.append(Text(clip(f"and {more}", width), style="dim"))
    return lines


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """How many rows each group gets: the first ones come first, but leave a third to those behind them."""
    given: list[int] = []
    for index, size in enumerate(sizes):
        free = max(0, room - sum(given))
        wanted = min(sum(sizes[index + 1 :]), free // 3)
        given.append(min(size, free - wanted))
    return given


def row(target: Target, settings: Settings, now: datetime, width: int, name_width: int) -> Text:
    """One line on one target: name, state, time in the state where there is room, and a note. Never wider."""
    text = Text(fill(shown(target.name) or target.server_id, name_width)).append(" ")
    text.append(f"{target.state:<{_STATE_WIDTH}} ", style=STYLES.get(target.state, ""))
    if width >= _NARROW:
        in_state_s = (now - target.since).total_seconds() if target.since else 0.0
        text.append(f"{span(in_state_s):>{_SINCE_WIDTH}}  ", style="dim")
    text.append(clip(note_of(target, settings, now), width - text.cell_len))
    return _cut(text, width)


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    text.rstrip()
    return text
