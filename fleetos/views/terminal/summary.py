"""Summary at the end of a run: how it ended, which servers need a human and why, and what to type next."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.text import Text

from fleetos.model.progress import Progress
from fleetos.model.run import LeftBy, Run, Target
from fleetos.model.states import RETRIABLE, RUN_ENDS, Reason, RunState, TargetState
from fleetos.rules.budgets import Failures, forgiveness
from fleetos.text import counted
from fleetos.views.terminal.frame import STYLES, Spent
from fleetos.views.text.format import printable, short_duration
from fleetos.views.text.reasons import REASONS, run_todo_of, run_words, todo_of
from fleetos.views.text.run_condition import left_words, powered_off, resume_command
from fleetos.views.text.server_names import server_name_and_id
from fleetos.views.text.target_notes import own_words, support_words

# Servers named in each list of a summary; `status -o json` names all.
NAMES_SHOWN = 20


def summary(progress: Progress, spent: Spent, *, shown: int = NAMES_SHOWN) -> Text:
    """Return the summary, in lines of any width. Each of its lists names at most `shown` servers."""
    lines = [
        _headline(progress, spent),
        *_indented([counts_line(progress), *report(progress, shown)]),
        *_indented(_stopped(progress, shown)),
        *([Text(f"  {_calls(progress, spent)}")] if spent.calls else []),
        *([Text(f"  {words}")] if (words := _pace(spent)) else []),
        *(Text.assemble("  next: ", (command, "bold")) for command in next_commands(progress)),
    ]
    return Text("\n").join(lines)


def report(progress: Progress, shown: int) -> list[Text]:
    """Return what needs a human: servers by reason, unknown outcomes, overdue changes, and why the run is paused.

    Each list names at most `shown` servers.
    """
    return [
        *_troubles(progress, shown),
        *_unsettled(progress, shown),
        *_overdue(progress, shown),
        *_reason_of_run(progress),
    ]


def stopped_words(count: int) -> str:
    """Return the number of servers that may be powered off, as the beginning of a sentence."""
    if count == 0:
        return "No server is powered off"
    return f"{'Up to ' if count > 1 else ''}{counted(count, 'server')} may be powered off"


def next_commands(progress: Progress) -> Sequence[str]:
    """Return the commands that the operator can type next, the best first; empty if nothing is left to do."""
    run_id = printable(progress.run.id)
    if progress.run.state not in RUN_ENDS:
        no_wait = " --no-wait" if _rests(progress.run) else ""
        return (resume_command(progress.run) + no_wait,)
    commands: list[str] = []
    if any(target.retriable for target in progress.targets.values()):
        commands.append(f"fleetos retry {run_id}")
    elif any(target.unsettled for target in progress.targets.values()):
        commands.append(f"fleetos abort {run_id} --release")
    if progress.counts.get(TargetState.CANCELLED, 0):
        commands.append(f"fleetos apply {shlex.quote(printable(progress.run.plan_path))} --new-run")
    return commands


def _headline(progress: Progress, spent: Spent) -> Text:
    run, short = progress.run, sum(progress.counts.get(state, 0) for state in RETRIABLE)
    style = "bold green" if run.state is RunState.DONE and not short else "bold yellow"
    text = Text().append(f"{printable(run.name)} {printable(run.id)}: ", style="bold")
    text.append(_run_words(run), style=style)
    text.append(f" after {short_duration(spent.elapsed_s)}")
    never = progress.counts.get(TargetState.CANCELLED, 0)
    if never and run.state in RUN_ENDS:
        done = progress.counts.get(TargetState.DONE, 0)
        text.append(f": {done:,} done, {never:,} never changed", style=style)
    if short and run.state in RUN_ENDS:
        need = "needs" if short == 1 else "need"
        text.append(f", but {short:,} of {counted(len(progress.targets), 'server')} {need} you", style=style)
    return text


def _reason_of_run(progress: Progress) -> Iterator[Text]:
    """Yield why the run is paused or was aborted, with its detail, which may be the cloud's words."""
    run = progress.run
    if run.left is not None and _rests(run):
        yield Text("waiting: ", "bold yellow").append(printable(left_words(run.left)))
        yield Text("  to do: only what that names; a timer that calls apply or resume then goes on by itself")
    if run.reason is None:
        return
    words = printable(run_words(run.state, run.reason, run.detail))
    if run.state is RunState.PAUSED and run.reason is Reason.BUDGET:
        failed = Failures.of(run, progress.targets.values()).failed
        words = f"{words}; {forgiveness(failed, progress.flight)}"
    yield Text(f"{run.state}: ", "bold yellow").append(words)
    if run.state not in RUN_ENDS:
        yield Text(f"  to do: {run_todo_of(run)}")


def _rests(run: Run) -> bool:
    """Return whether the last driver left because only time or people help."""
    return run.state is RunState.RUNNING and run.left is not None and run.left.why is LeftBy.WAIT


def _run_words(run: Run) -> str:
    match run.state:
        case RunState.RUNNING if _rests(run):
            return "waiting, left"
        case RunState.RUNNING:
            return "unfinished, left"
        case RunState.FINISHING:
            return "aborted, left before its changes in flight had ended,"
        case RunState.FAILED:
            return "stopped by the failure budget"
        case _:
            return str(run.state)


def counts_line(progress: Progress) -> Text:
    """Return the number of servers in each state."""
    text = Text(counted(len(progress.targets), "server"))
    for index, state in enumerate(state for state in TargetState if progress.counts.get(state)):
        text.append(": " if index == 0 else ", ")
        text.append(f"{progress.counts[state]:,} {state}", style=STYLES.get(state, ""))
    return text


def _troubles(progress: Progress, shown: int) -> Iterator[Text]:
    """Yield failed and held targets by reason: each reason once, its servers below it."""
    troubled = [target for target in progress.targets.values() if target.state in RETRIABLE]
    troubled.sort(key=lambda target: (target.state, target.reason or "", target.position))
    for (state, reason), grouped in groupby(troubled, key=lambda target: (target.state, target.reason)):
        targets = list(grouped)
        yield from _reason_lines(progress.run, state, reason, targets)
        for target in targets[:shown]:
            words = "; ".join(part for part in (support_words(target), own_words(target)) if part)
            yield Text(f"  {server_name_and_id(target)}{': ' if words else ''}{words}")
        yield from _and_more(len(targets) - shown, shown)


def _reason_lines(run: Run, state: TargetState, reason: Reason | None, targets: Sequence[Target]) -> Iterator[Text]:
    text = Text(f"{len(targets):,} {state}", style=STYLES[state])
    if reason is None:
        yield text
        return
    yield text.append(f", {REASONS[reason].short}. {REASONS[reason].what}")
    yield Text(f"  to do: {todo_of(reason, run, targets)}")


def _unsettled(progress: Progress, shown: int) -> Iterator[Text]:
    unsettled = [target for target in progress.targets.values() if target.ended and target.unsettled]
    if unsettled and progress.run.state in RUN_ENDS:
        run_id = printable(progress.run.id)
        yield Text(
            f"{counted(len(unsettled), 'server')} with an unknown outcome: no other run touches "
            f"{'it' if len(unsettled) == 1 else 'them'} until "
            f"`fleetos retry {run_id}` or `fleetos abort {run_id} --release`"
        )
        yield from _names(unsettled, shown)


def _stopped(progress: Progress, shown: int) -> Iterator[Text]:
    stopped = powered_off(progress)
    if stopped:
        text = Text(f"{stopped_words(len(stopped))} because of this run", style="bold yellow")
        if progress.run.state in RUN_ENDS:
            them = "it" if len(stopped) == 1 else "them"
            text.append(f"; power {them} on yourself, unless you call `fleetos retry {printable(progress.run.id)}`")
        yield text.append(":")
        yield from _names(stopped, shown)


def _overdue(progress: Progress, shown: int) -> Iterator[Text]:
    overdue = [target for target in progress.targets.values() if target.overdue]
    if overdue:
        yield Text(f"{counted(len(overdue), 'change')} overdue:")
        yield from _names(overdue, shown)


def _names(targets: Sequence[Target], shown: int) -> Iterator[Text]:
    yield from (Text(f"  {server_name_and_id(target)}") for target in targets[:shown])
    yield from _and_more(len(targets) - shown, shown)


def _and_more(hidden: int, shown: int) -> Iterator[Text]:
    if hidden > 0 and shown:
        yield Text(f"  and {hidden:,} more; `fleetos status --all` names all", style="dim")


def _indented(lines: Iterable[Text]) -> Iterator[Text]:
    return (Text("  ").append_text(line) for line in lines)


def _calls(progress: Progress, spent: Spent) -> str:
    words = f"API calls: {spent.calls:,}"
    changed = _changed(progress.targets.values())
    if changed and progress.run.sessions <= 1:
        words += f", {spent.calls / changed:.1f} for each server that was changed or tried"
    else:
        words += " by this process"
    kinds = ", ".join(f"{printable(kind)} {count:,}" for kind, count in Counter(spent.requests).most_common() if count)
    return f"{words} ({kinds})" if kinds else words


def _pace(spent: Spent) -> str:
    """Return the share of slots in use while servers were queued; empty if none were."""
    used, stopped_s = spent.pace.slots_used, spent.pace.stopped_s
    if used is None:
        return ""
    words = f"slot use {100 * used:.0f} % while servers were queued"
    return words if stopped_s is None else f"{words}; median downtime before a change {short_duration(stopped_s)}"


def _changed(targets: Iterable[Target]) -> int:
    return sum(bool(target.attempts) for target in targets)
