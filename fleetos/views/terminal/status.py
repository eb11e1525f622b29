"""The status of one run for people: what matters stands first and last, and fits the terminal."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import RUN_ENDS, TargetState
from fleetos.text import join_some
from fleetos.views.terminal.frame import STYLES, shares
from fleetos.views.terminal.summary import NAMES_SHOWN, counts_line, next_commands, report, stopped_words
from fleetos.views.terminal.tables import grid
from fleetos.views.text.format import called, clock_time, printable, span
from fleetos.views.text.run_condition import (
    Condition,
    Driver,
    condition,
    condition_words,
    driven,
    powered_off,
    where_words,
)
from fleetos.views.text.target_notes import note_of, resting_note
from fleetos.views.text.waiting import waits_for
from fleetos.views.text.wrap import wrapped

# On a narrower terminal some columns leave their place to the note.
_NARROW = 64
# A screen of fewer rows does not say who made the run.
_SHORT = 24
# Before a table gets fewer lines than this, names in the report below it give way.
_TABLE_LEAST = 6
# How many names the report may have in each list; the first number that leaves room for the table is taken.
_NAMES = (10, 5, 2, 1, 0)


def status_screen(status: "Status", targets: Sequence[Target], height: int | None = None) -> Text:
    """The run, the given of its targets, and the report: what is to do and what to type next stand last.

    `height` None: everything is shown. Else servers are left out that do not fit, and how many is said.
    """
    head = status.head(short=height is not None and height < _SHORT)
    if height is None:
        table, tail = status.table(targets, None), status.tail(NAMES_SHOWN)
    else:
        # One row is the prompt's, and a blank line stands on either side of the table.
        free = height - 1 - len(head) - 2
        tails = [status.tail(names) for names in _NAMES]
        needed = min(len(targets) + 1, _TABLE_LEAST)
        tail = next((one for one in tails if free - len(one) >= needed), tails[-1])
        table = status.table(targets, max(0, free - len(tail)))
    blank = [Text("")]
    return Text("\n", no_wrap=True).join([*head, *(blank + table if table else []), *blank, *tail])


@dataclass(frozen=True, slots=True)
class Status:
    """A run as it looks now. `lease` None: no process has it. `width` in cells, None for no limit."""

    progress: Progress
    lease: Driver | None
    now: datetime
    width: int | None = None

    @property
    def driven(self) -> bool:
        """Whether a process drives it."""
        return driven(self.progress.run, self.lease)

    def head(self, *, short: bool) -> list[Text]:
        """How it stands, where it works, and, unless it is to be short, who made it."""
        run, counts, now = self.progress.run, self.progress.counts, self.now
        fine = condition(run, counts, self.lease) in (Condition.RUNNING, Condition.DONE)
        title = Text(f"{printable(run.name)} {printable(run.id)}: ", "bold")
        who = f" by {printable(run.created_by)}" if run.created_by else ""
        lines = [
            title.append(condition_words(run, counts, self.lease, now), "bold" if fine else "bold yellow"),
            Text(where_words(run.scope)),
            Text(f"created {clock_time(run.created_at, now)}{who} from {printable(run.plan_path)}"),
        ]
        return wrapped(lines[:2] if short else lines, self.width)

    def tail(self, names: int) -> list[Text]:
        """What needs a human and what to type next, with at most so many names in each list."""
        lines = [counts_line(self.progress), *report(self.progress, names)]
        off = sorted(powered_off(self.progress), key=_urgency)
        # While a run is driven servers are stopped for their change all the time.
        if off and not self.driven:
            shown = join_some([called(target) for target in off], names) if names else ""
            text = Text(f"{stopped_words(len(off))} because of this run", "bold yellow")
            lines.append(text.append(f": {shown}" if shown else ""))
        return wrapped([*lines, *self._next()], self.width)

    def _next(self) -> list[Text]:
        """What to type next; in a run that nobody drives also how to end it."""
        run_id = printable(self.progress.run.id)
        if self.lease is not None and self.driven:
            pid, then = self.lease.pid, f"then fleetos resume {run_id}"
            words = f"kill -CONT {pid} to let it go on; or kill -9 {pid}, {then}"
            return [Text(f"next: {words if self.lease.life == 'stopped' else f'fleetos events {run_id} --follow'}")]
        lines = [Text.assemble("next: ", (command, "bold")) for command in next_commands(self.progress)]
        if self.progress.run.state not in RUN_ENDS:
            lines.append(Text(f"or end the run: fleetos abort {run_id}"))
        return lines

    def table(self, targets: Sequence[Target], room: int | None) -> list[Text]:
        """The targets in at most `room` lines, the head of the table included; empty where none fits."""
        groups = _grouped(targets)
        shown = [target for group in groups for target in group]
        hidden: Mapping[TargetState, int] = {}
        if room is not None and len(shown) + 1 > room:
            sizes = shares([len(group) for group in groups], max(0, room - 2))
            shown = [target for group, size in zip(groups, sizes, strict=True) for target in group[:size]]
            hidden = Counter(target.state for target in targets) - Counter(target.state for target in shown)
        lines = self._rows(shown) if shown else []
        if hidden:
            states = ", ".join(f"{hidden[state]:,} {state}" for state in TargetState if hidden.get(state))
            words = f"--all shows {sum(hidden.values()):,} more"
            fits = self.width is None or len(f"{words}: {states}") <= self.width
            lines.append(Text(f"{words}: {states}" if fits else words, "dim"))
        return lines if room is None else lines[:room]

    def _rows(self, targets: Sequence[Target]) -> list[Text]:
        narrow = self.width is not None and self.width < _NARROW
        head = ("SERVER", "STATE", "NOTE") if narrow else ("SERVER", "STATE", "SINCE", "TRIES", "NOTE")
        rows: list[Sequence[str | Text]] = []
        for target in targets:
            state = Text(str(target.state), STYLES.get(target.state, ""))
            since = span((self.now - target.since).total_seconds()) if target.since else ""
            tries = f"{len(target.attempts)}/{max(target.attempts_allowed, len(target.attempts))}"
            rows.append((called(target), state, *(() if narrow else (since, tries)), self._note(target)))
        return list(grid(head, rows, self.width).split("\n"))

    def _note(self, target: Target) -> str:
        waiting = waits_for(self.progress, target, self.lease, self.now)
        if waiting is not None and not self.driven:
            return resting_note(target, waiting.words)
        note = note_of(target, self.progress.run.settings, self.now)
        if target.ended and target.stopped_at is not None:
            note = f"may be powered off; {note}" if note else "may be powered off"
        # A target of which nothing is told has no story; what it waits for is the one thing to say of it.
        silent = target.state is TargetState.WAITING or (target.state is TargetState.READY and not note)
        return waiting.words if waiting is not None and silent else note


def _urgency(target: Target) -> tuple[bool, int]:
    """Sorts by position; a server whose change is under way comes later, as the cloud starts it by itself."""
    return target.state is TargetState.CHANGING, target.position


def _grouped(targets: Sequence[Target]) -> Sequence[Sequence[Target]]:
    """Powered-off servers first, then what is unsure or moves, what needs a human, the queue, and what has ended."""
    belongs: Sequence[Callable[[Target], bool]] = (
        lambda one: one.stopped_at is not None,
        lambda one: not one.ended and one.state is not TargetState.WAITING,
        lambda one: one.state in (TargetState.FAILED, TargetState.HELD),
        lambda one: one.state is TargetState.WAITING,
    )
    groups: list[list[Target]] = [[] for _ in range(len(belongs) + 1)]
    for target in sorted(targets, key=_urgency):
        groups[next((place for place, fits in enumerate(belongs) if fits(target)), len(belongs))].append(target)
    return groups
