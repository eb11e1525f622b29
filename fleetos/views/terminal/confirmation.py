"""Text shown before the operator confirms: the disks to be wiped, the images, and the rules."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import AHEAD, QUEUED, Reason, RunState
from fleetos.model.wipes import Wipes
from fleetos.text import counted
from fleetos.views.text.format import exact_duration, printable, short_timestamp
from fleetos.views.text.reasons import REASONS
from fleetos.views.text.run_condition import where_words
from fleetos.views.text.server_names import server_name, server_name_and_id

# System disks named before the question; of the others only the number is shown. With the lines below them they fit a
# terminal of 24 rows.
DISKS_SHOWN = 12

_STOP_WORDS: Mapping[StopMode, str] = {
    StopMode.SOFT: "A running server is asked to shut down; one that does not is held.",
    StopMode.HARD: "A running server is switched off without a shutdown.",
    StopMode.SOFT_THEN_HARD: "A running server is asked to shut down, and switched off if it does not.",
    StopMode.API: "The cloud itself stops each server as a part of the change; an unknown outcome is then never "
    "sent again, but held.",
}


def confirmation(
    run: Run,
    wiped: Sequence[Target],
    spared: Mapping[Reason, int],
    steering: Sequence[str] = (),
    *,
    shown: int = DISKS_SHOWN,
) -> Text:
    """Return the text before the question of `apply`. `wiped`: targets to be changed; `spared`: reasons of the others.

    A target's `disk` is the system disk that would be wiped; at most `shown` are named. `steering`: rules of waves,
    groups, budgets and windows. The sum and the rules come last, where a small screen still shows them.
    """
    lines = [
        *_disks(run, wiped, shown),
        _warning(len(wiped)),
        Text(f"  {where_words(run.scope)}"),
        *(Text(f"  {line}") for line in (*image_lines(run), *reinstall_lines(wiped))),
        *(Text(f"  spared: {count:,}, {REASONS[reason].short}") for reason, count in spared.items() if count),
        *(Text(f"  {rule}") for rule in (*rules(run), *map(printable, steering))),
    ]
    return Text("\n").join(lines)


def retry_confirmation(run: Run, wiped: Sequence[Target]) -> Text:
    """Return the text before the question of `retry`, which names all targets: each gets one more attempt."""
    warning = _warning(len(wiped)).append(" Each gets one more attempt.")
    return Text("\n").join(
        [
            *_disks(run, wiped, None),
            warning,
            Text(f"  {where_words(run.scope)}"),
            *(Text(f"  {line}") for line in (*image_lines(run), *reinstall_lines(wiped))),
        ]
    )


def carry_on_confirmation(wipes: Wipes, *, shown: int = DISKS_SHOWN) -> Text:
    """Return the text before an unfinished run is resumed: the run, the disks still to be wiped, and the project."""
    run = wipes.run
    state = f"{run.state}: {REASONS[run.reason].short}" if run.reason is not None else str(run.state)
    lines = [
        Text(
            f"run {printable(run.id)} of plan {printable(run.name)} is unfinished ({state}), "
            f"created {short_timestamp(run.created_at)}"
        ),
        *_disks(run, wipes.left, shown),
        _warning(len(wipes.left)).append(f" The run was created to wipe {run.wipes:,}."),
        *([Text(f"  {counted(wipes.under_way, 'server')} under way already")] if wipes.under_way else []),
        *(Text(f"  {line}") for line in (*image_lines(run), *reinstall_lines(wipes.left), where_words(run.scope))),
    ]
    return Text("\n").join(lines)


def carry_on_question(wipes: Wipes) -> str:
    """Return the prompt that asks whether to resume an unfinished run, with the number of disks and the images."""
    run = wipes.run
    if run.state is RunState.FINISHING or not wipes.left:
        return f"Carry on with run {run.id}? It wipes no further system disk."
    images = ", ".join(sorted({printable(target.order.image_name or target.order.image_id) for target in wipes.left}))
    return f"Carry on with run {run.id}? It wipes {counted(len(wipes.left), 'system disk')} for {images}."


def abort_confirmation(progress: Progress, driver: str | None) -> Text:
    """Return the text before a run is aborted: the run, its driver, and what happens to its servers."""
    run, counts = progress.run, progress.counts
    queued = sum(counts.get(state, 0) for state in QUEUED)
    ahead = sum(counts.get(state, 0) for state in AHEAD)
    in_flight = sum(not target.ended for target in progress.targets.values()) - queued - ahead
    head = f"aborting run {printable(run.id)} of plan {printable(run.name)} ({printable(run.plan_path)}) wipes nothing:"
    ends_it = "this command ends it" if driver is None else f"{printable(driver)} drives it, and ends it"
    parts = [
        (queued, "not started yet: left unchanged"),
        (ahead, "about to be changed: left unchanged, and powered on if this run stopped it"),
        (in_flight, "in flight: waited for until the outcome is known"),
    ]
    lines = [head, *(f"  {counted(count, 'server')} {words}" for count, words in parts if count)]
    return Text("\n").join(Text(line) for line in (*lines, f"  {ends_it}; an aborted run cannot be carried on"))


def question(count: int) -> str:
    """Return the prompt that asks for the number of system disks."""
    return f"Type the number of system disks that will be wiped ({counted(count, 'server')}) to go on: "


def image_lines(run: Run) -> Sequence[str]:
    """Return a line for each image of the run: its name in the plan, and the id that it is pinned to."""
    return [f"image {printable(name)} pinned to {printable(image_id)}" for name, image_id in run.images.items()]


def reinstall_lines(wiped: Sequence[Target]) -> Sequence[str]:
    """Return a line for each image that servers get again: its name and id, and the number of servers."""
    counts = Counter((target.order.image_name, target.order.image_id) for target in wiped if target.order.reinstall)
    return [
        f"image {printable(name)} pinned to {printable(image_id)}, once more for {counted(count, 'server')} on it"
        for (name, image_id), count in counts.items()
    ]


def rules(run: Run) -> Sequence[str]:
    """Return the run's rules, one sentence each."""
    settings, settle = run.settings, exact_duration(run.settings.settle_s)
    sentences = [
        f"At most {settings.concurrency:,} at once.",
        f"Each server is tried {'once' if settings.attempts == 1 else f'at most {settings.attempts:,} times'}.",
        _STOP_WORDS[settings.stop],
        f"An unknown outcome is watched for {settle} before that server is sent anything again.",
        f"A change that takes longer than {exact_duration(settings.change_timeout_s)} is overdue and ends up held.",
    ]
    if settings.attempts > 1:
        first, most = exact_duration(settings.backoff_s), exact_duration(settings.max_backoff_s)
        sentences.insert(2, f"After a failure the next try waits {first}, then twice as long each time, up to {most}.")
    if settings.failure_first is not None:
        which = "server" if settings.failure_first == 1 else f"{settings.failure_first:,} servers that end all"
        sentences.append(f"The run pauses when the first {which} failed; what is in flight then finishes.")
    if settings.power_after is PowerAfter.AS_BEFORE:
        sentences.append("A server that was stopped before is stopped again after its change.")
    if settings.force:
        sentences.append("Servers that run the image already are changed all the same.")
    return sentences


def _warning(count: int) -> Text:
    if not count:
        return Text("No system disk will be wiped.")
    wipes = Text().append(f"WIPES {counted(count, 'system disk')}", style="bold red")
    them = "it" if count == 1 else "them"
    return wipes.append(f". What is on {them} is lost; data disks are kept.")


def _disks(run: Run, wiped: Sequence[Target], shown: int | None) -> Iterator[Text]:
    """Yield a line for each disk. It has the server's id if the name is not unique, the image if there are several."""
    named = wiped[:shown]
    names = Counter(target.name for target in wiped)
    several = len({target.order.image_id for target in wiped} | set(run.images.values())) > 1
    for target in named:
        disk = printable(target.disk) if target.disk else "(none known)"
        server = server_name(target) if names[target.name] == 1 else server_name_and_id(target)
        image = f" for {printable(target.order.image_name or target.order.image_id)}" if several else ""
        yield Text("  ").append("WIPES system disk", style="red").append(f" {disk} of {server}{image}")
    if len(wiped) > len(named):
        yield Text(f"  and {counted(len(wiped) - len(named), 'system disk')} more")
