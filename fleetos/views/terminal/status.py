"""Status of one run for people: it fits the terminal, with what matters first and last."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import QUEUED, RUN_ENDS, TargetState
from fleetos.rules.admission.journal_facts import rollout_of, standing_of
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.text import counted, join_some
from fleetos.views.terminal.frame import STYLES, shares
from fleetos.views.terminal.summary import NAMES_SHOWN, counts_line, next_commands, report, stopped_words
from fleetos.views.terminal.tables import grid
from fleetos.views.text.format import clock_time, printable, short_duration
from fleetos.views.text.rollout_words import rollout_lines, schedule_lines
from fleetos.views.text.run_condition import (
    Condition,
    Driver,
    condition,
    condition_words,
    driven,
    powered_off,
    where_words,
)
from fleetos.views.text.server_names import server_name
from fleetos.views.text.target_notes import note_of, resting_note
from fleetos.views.text.wait_words import waits_for
from fleetos.views.text.wrap import wrap_lines

# A narrower terminal has no room for the columns SINCE and TRIES.
_NARROW = 64
# On a screen with fewer rows the line about who made the run is left out.
_SHORT = 24
# Lines that the table keeps; for them the report below it names fewer servers.
_TABLE_LEAST = 6
# Names in each list of the report; the first number that leaves room for the table is used.
_NAMES = (10, 5, 2, 1, 0)
# Names of powered-off servers that are shown on every wide screen: they are what somebody who is woken must know.
_POWERED_OFF_NAMES = 10
# Number of servers that wait from which on they are counted by what they wait for.
_COUNTED_FROM = 10
_OF_RUN = frozenset({WaitReason.NOT_DRIVEN, WaitReason.PAUSED, WaitReason.ABORTED})


def status_screen(status: "Status", targets: Sequence[Target], height: int | None = None) -> Text:
    """Return the run, a table of `targets`, and the report, which ends with what to do and what to type next.

    `height` None: show everything. Otherwise leave out targets that do not fit, and say how many.
    """
    head = status.head(short=height is not None and height < _SHORT)
    if height is None:
        table, tail = status.table(targets, None), status.tail(NAMES_SHOWN)
    else:
        # One row is for the prompt, and two are the blank lines around the table.
        free = height - 1 - len(head) - 2
        tails = [status.tail(names) for names in _NAMES]
        needed = min(len(targets) + 1, _TABLE_LEAST)
        tail = next((candidate for candidate in tails if free - len(candidate) >= needed), tails[-1])
        table = status.table(targets, max(0, free - len(tail)))
    blank = [Text("")]
    return Text("\n", no_wrap=True).join([*head, *(blank + table if table else []), *blank, *tail])


@dataclass(frozen=True, slots=True)
class Status:
    """Run as it looks now. `lease` None: no process has it. `width` in cells; None: no limit."""

    progress: Progress
    lease: Driver | None
    now: datetime
    width: int | None = None
    standing: Standing | None = None
    """Standing of the run, if more of it is known than its journal says."""

    @property
    def driven(self) -> bool:
        """True while a process drives the run."""
        return driven(self.progress.run, self.lease)

    @property
    def _narrow(self) -> bool:
        return self.width is not None and self.width < _NARROW

    def head(self, *, short: bool) -> list[Text]:
        """Return the condition, project and rollout of the run and, where there is room, who created it."""
        run, counts, now = self.progress.run, self.progress.counts, self.now
        fine = condition(run, counts, self.lease) in (Condition.RUNNING, Condition.DONE)
        title = Text(f"{printable(run.name)} {printable(run.id)}: ", "bold")
        who = f" by {printable(_creator(run))}" if run.created_by else ""
        rollout = self._rollout()
        lines = [
            title.append(condition_words(run, counts, self.lease, now), "bold" if fine else "bold yellow"),
            Text(where_words(run.scope)),
            *rollout,
            Text(f"created {clock_time(run.created_at, now)}{who} from {printable(run.plan_path)}"),
        ]
        return wrap_lines(lines[:-1] if short or (rollout and self._narrow) else lines, self.width)

    def _rollout(self) -> list[Text]:
        """Return the lines about waves and windows and, on a wide screen, budgets and groups; none after the end."""
        if self.progress.run.state in RUN_ENDS:
            return []
        standing = self.standing or standing_of(self.progress, self.now)
        facts = rollout_of(self.progress, standing)
        return [Text(line) for line in (schedule_lines(facts) if self._narrow else rollout_lines(facts))]

    def tail(self, names: int) -> list[Text]:
        """Return what needs a human and what to type next, with at most `names` servers in each list."""
        lines = [counts_line(self.progress), *self._waits(names), *self._standstill(), *report(self.progress, names)]
        off = sorted(powered_off(self.progress), key=_powered_off_order)
        # A run with a driver stops servers for their change all the time.
        if off and not self.driven:
            limit = names if self._narrow else max(names, _POWERED_OFF_NAMES)
            shown = join_some([server_name(target) for target in off], limit) if limit else ""
            text = Text(f"{stopped_words(len(off))} because of this run", "bold yellow")
            lines.append(text.append(f": {shown}" if shown else ""))
        return wrap_lines([*lines, *self._next()], self.width)

    def _waits(self, kinds: int) -> list[Text]:
        """Return for what how many servers wait, in at most `kinds` lines, the most frequent first; none for a few."""
        standing = self.standing or standing_of(self.progress, self.now)
        targets = self.progress.targets.values()
        waits = [waiting for target in targets if (waiting := waits_for(standing, target, self.lease))]
        if len(waits) < _COUNTED_FROM or self._narrow or not _differ(waits):
            return []
        numbers = Counter(waiting.reason for waiting in waits).most_common(kinds)
        lines = [Text(f"{number:>7,} {reason:<11} {_words_of(reason, waits)}") for reason, number in numbers]
        return [Text(f"{len(waits):,} servers wait:"), *lines] if lines else []

    def _standstill(self) -> list[Text]:
        """Return the line that says why nothing moves in an unfinished run without a driver."""
        run, counts = self.progress.run, self.progress.counts
        if self.driven or self._narrow or run.state in RUN_ENDS:
            return []
        waiting = sum(counts.get(state, 0) for state in QUEUED)
        changing = counts.get(TargetState.CHANGING, 0)
        unwatched = f"{counted(changing, 'change')} in the cloud unwatched" if changing else ""
        unstarted = f"{counted(waiting, 'server')} not started" if waiting else ""
        words = ", ".join(part for part in (unwatched, unstarted) if part)
        return [Text(f"not driven: {words}", "yellow")] if words else []

    def _next(self) -> list[Text]:
        """Return what to type next; for an unfinished run without a driver also how to end it."""
        run_id = printable(self.progress.run.id)
        if self.lease is not None and self.driven:
            pid, then = self.lease.pid, f"then fleetos resume {run_id}"
            words = f"kill -CONT {pid} to let it go on; or kill -9 {pid}, {then}"
            return [Text(f"next: {words if self.lease.life == 'stopped' else f'fleetos events {run_id} --follow'}")]
        lines = [Text.assemble("next: ", (command, "bold")) for command in next_commands(self.progress)]
        if self.progress.run.state not in RUN_ENDS:
            lines.append(Text(f"or end the run and wipe no further disk: fleetos abort {run_id}"))
        return lines

    def table(self, targets: Sequence[Target], room: int | None) -> list[Text]:
        """Return the table of targets in at most `room` lines, its head included; empty if none fits."""
        groups = _group(targets)
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
        standing = self.standing or standing_of(self.progress, self.now)
        waits = [waits_for(standing, target, self.lease) for target in targets]
        narrow, waiting_column = self._narrow, _differ(waits) and not self._narrow
        columns = ("SINCE", "TRIES", *(("WAITS FOR",) if waiting_column else ()))
        head = ("SERVER", "STATE", *(() if narrow else columns), "NOTE")
        rows: list[Sequence[str | Text]] = []
        for target, waiting in zip(targets, waits, strict=True):
            state = Text(str(target.state), STYLES.get(target.state, ""))
            since = short_duration((self.now - target.since).total_seconds()) if target.since else ""
            tries = f"{len(target.attempts)}/{max(target.attempts_allowed, len(target.attempts))}"
            reason = ((str(waiting.reason) if waiting else ""),) if waiting_column else ()
            more = () if narrow else (since, tries, *reason)
            rows.append((server_name(target), state, *more, self._note(target, waiting)))
        return list(grid(head, rows, self.width).split("\n"))

    def _note(self, target: Target, waiting: Waiting | None) -> str:
        if waiting is not None and not self.driven:
            return resting_note(target, waiting.words)
        note = note_of(target, self.progress.run.settings, self.now)
        if target.ended and target.stopped_at is not None:
            note = f"may be powered off; {note}" if note else "may be powered off"
        # Of a target without a note, only what it waits for can be said.
        silent = target.state is TargetState.WAITING or (target.state is TargetState.READY and not note)
        return waiting.words if waiting is not None and silent else note


def _differ(waits: Iterable[Waiting | None]) -> bool:
    """Return whether anybody waits for something else than the whole run does, which is said above the table."""
    return any(waiting is not None and waiting.reason not in _OF_RUN for waiting in waits)


def _words_of(reason: WaitReason, waits: Iterable[Waiting]) -> str:
    """Return the words that most waits of a reason have, and how many other words there are."""
    words = Counter(waiting.words for waiting in waits if waiting.reason is reason)
    return words.most_common(1)[0][0] + (f" (and {counted(len(words) - 1, 'other wait')})" if len(words) > 1 else "")


def _powered_off_order(target: Target) -> tuple[bool, int]:
    """Return the sort key: plan order, but changing servers last, as the cloud starts them by itself."""
    return target.state is TargetState.CHANGING, target.position


def _group(targets: Sequence[Target]) -> Sequence[Sequence[Target]]:
    """Return five groups: powered off, unsure or moving, failed or held, waiting, and ended."""
    belongs: Sequence[Callable[[Target], bool]] = (
        lambda target: target.stopped_at is not None,
        lambda target: not target.ended and target.state is not TargetState.WAITING,
        lambda target: target.state in (TargetState.FAILED, TargetState.HELD),
        lambda target: target.state is TargetState.WAITING,
    )
    groups: list[list[Target]] = [[] for _ in range(len(belongs) + 1)]
    for target in sorted(targets, key=_powered_off_order):
        groups[next((place for place, fits in enumerate(belongs) if fits(target)), len(belongs))].append(target)
    return groups


def _creator(run: Run) -> str:
    """Return who created the run: the owner, and the user and machine if these do not begin with that name."""
    user = run.created_by
    return user if not run.owner or user.startswith(run.owner) else f"{run.owner} ({user})"
