"""What an operator reads before a run may begin: what is wiped, with which image, by which rules."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import AHEAD, QUEUED, Reason, RunState
from fleetos.model.wipes import Wipes
from fleetos.text import counted
from fleetos.views.text.format import called, called_fully, limit_span, printable, short_stamp
from fleetos.views.text.reasons import REASONS
from fleetos.views.text.run_condition import where_words

# System disks named before the question; beyond them the number alone is told. With all that is said below them they
# fit on a terminal of 24 rows.
DISKS_SHOWN = 12

_STOP_WORDS: Mapping[StopMode, str] = {
    StopMode.SOFT: "A running server is asked to shut down; one that does not is held.",
    StopMode.HARD: "A running server is switched off without a shutdown.",
    StopMode.SOFT_THEN_HARD: "A running server is asked to shut down, and switched off if it does not.",
    StopMode.API: "The cloud itself stops each server as a part of the change; an unknown outcome is then never "
    "sent again, but held.",
}


def confirmation(run: Run, wiped: Sequence[Target], spared: Mapping[Reason, int], *, shown: int = DISKS_SHOWN) -> Text:
    """The text before the question of `apply`. `wiped`: targets that would be changed; `spared`: why others are not.

    A target's `disk` is the system disk that would be wiped. At most `shown` are named. The sum and the rules come
    last, where a small screen still has them.
    """
    lines = [
        *_disks(run, wiped, shown),
        _warning(len(wiped)),
        Text(f"  {where_words(run.scope)}"),
        *(Text(f"  {line}") for line in (*image_lines(run), *reinstall_lines(wiped))),
        *(Text(f"  spared: {count:,}, {REASONS[reason].short}") for reason, count in spared.items() if count),
        *(Text(f"  {rule}") for rule in rules(run)),
    ]
    return Text("\n").join(lines)


def retry_confirmation(run: Run, wiped: Sequence[Target]) -> Text:
    """The text before the question of `retry`: one more attempt for each of the targets, all of which are named."""
    warned = _warning(len(wiped)).append(" Each gets one more attempt.")
    return Text("\n").join(
        [
            *_disks(run, wiped, None),
            warned,
            Text(f"  {where_words(run.scope)}"),
            *(Text(f"  {line}") for line in (*image_lines(run), *reinstall_lines(wiped))),
        ]
    )


def carry_on_confirmation(wipes: Wipes, *, shown: int = DISKS_SHOWN) -> Text:
    """The text before an unfinished run is carried on: what it is, what is left to be wiped, and where."""
    run = wipes.run
    state = f"{run.state}: {REASONS[run.reason].short}" if run.reason is not None else str(run.state)
    lines = [
        Text(
            f"run {printable(run.id)} of plan {printable(run.name)} is unfinished ({state}), "
            f"created {short_stamp(run.created_at)}"
        ),
        *_disks(run, wipes.left, shown),
        _warning(len(wipes.left)).append(f" The run was created to wipe {run.wipes:,}."),
        *([Text(f"  {counted(wipes.under_way, 'server')} under way already")] if wipes.under_way else []),
        *(Text(f"  {line}") for line in (*image_lines(run), *reinstall_lines(wipes.left), where_words(run.scope))),
    ]
    return Text("\n").join(lines)


def carry_on_question(wipes: Wipes) -> str:
    """The prompt that asks whether an unfinished run is carried on, with the number of disks and the images."""
    run = wipes.run
    if run.state is RunState.FINISHING or not wipes.left:
        return f"Carry on with run {run.id}? It wipes no further system disk."
    images = ", ".join(sorted({printable(one.order.image_name or one.order.image_id) for one in wipes.left}))
    return f"Carry on with run {run.id}? It wipes {counted(len(wipes.left), 'system disk')} for {images}."


def abort_confirmation(progress: Progress, driver: str | None) -> Text:
    """The text before a run is aborted: whose run it is, and what becomes of its servers. An abort wipes nothing."""
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
    """The prompt that asks for the number of system disks."""
    return f"Type the number of system disks that will be wiped ({counted(count, 'server')}) to go on: "


def image_lines(run: Run) -> Sequence[str]:
    """One line for each image of the run: the name in the plan, and the id that it is pinned to."""
    return [f"image {printable(name)} pinned to {printable(image_id)}" for name, image_id in run.images.items()]


def reinstall_lines(wiped: Sequence[Target]) -> Sequence[str]:
    """One line for each image that servers get once more: its name and id, and how many they are."""
    again = Counter((one.order.image_name, one.order.image_id) for one in wiped if one.order.reinstall)
    return [
        f"image {printable(name)} pinned to {printable(image_id)}, once more for {counted(count, 'server')} on it"
        for (name, image_id), count in again.items()
    ]


def rules(run: Run) -> Sequence[str]:
    """The run's numbers, each as a sentence that says what it is a number of."""
    settings = run.settings
    sentences = [
        f"At most {settings.concurrency:,} at once.",
        f"Each server is tried {'once' if settings.attempts == 1 else f'at most {settings.attempts:,} times'}.",
        _STOP_WORDS[settings.stop],
        f"An unknown outcome is watched for {limit_span(settings.settle_s)} before that server is sent anything again.",
        f"A change that takes longer than {limit_span(settings.change_timeout_s)} is overdue and ends up held.",
    ]
    if settings.attempts > 1:
        first, most = limit_span(settings.backoff_s), limit_span(settings.max_backoff_s)
        sentences.insert(2, f"After a failure the next try waits {first}, then twice as long each time, up to {most}.")
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
    """A line for each disk: with its server's id where the name is not the only one, its image where there are more."""
    named = wiped[:shown]
    names = Counter(target.name for target in wiped)
    several = len({target.order.image_id for target in wiped} | set(run.images.values())) > 1
    for target in named:
        disk = printable(target.disk) if target.disk else "(none known)"
        server = called(target) if names[target.name] == 1 else called_fully(target)
        image = f" for {printable(target.order.image_name or target.order.image_id)}" if several else ""
        yield Text("  ").append("WIPES system disk", style="red").append(f" {disk} of {server}{image}")
    if len(wiped) > len(named):
        yield Text(f"  and {counted(len(wiped) - len(named), 'system disk')} more")
