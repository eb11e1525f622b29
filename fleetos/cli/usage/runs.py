"""Commands of the panel "Runs": what each takes, and its help."""

from typing import Annotated

import typer

from fleetos.cli.lazy import implemented_in
from fleetos.cli.usage.options import (
    AnyRunArgument,
    AsOption,
    CloudOption,
    DbOption,
    ExpectWipesOption,
    NoWaitOption,
    Output,
    OutputOption,
    ReasonOption,
    RunArgument,
    ServerOption,
    YesOption,
)
from fleetos.model.states import TargetState


@implemented_in("resume")
def resume(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="The run's id, or the beginning of it. Default: the only unfinished run.",
            show_default=False,
        ),
    ] = None,
    reason: ReasonOption = None,
    operator: AsOption = None,
    no_wait: NoWaitOption = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Carry on with a run after a crash, a signal or a pause.

    A run that an operator or its failure budget has paused is resumed only for a --reason. The failures behind a pause
    by the budget are forgiven: they count towards no budget any more.

    Examples:

      fleetos resume

      fleetos resume 0c4k2m7 --reason "the image was corrected"

      fleetos resume 0c4k2m7 -o jsonl
    """


@implemented_in("retry")
def retry(
    run: RunArgument,
    servers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVER...]",
            help="Names or ids of servers. Default, where the run has ended: all that failed or are held.",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
    expect_wipes: ExpectWipesOption = None,
    reason: ReasonOption = None,
    operator: AsOption = None,
    no_wait: NoWaitOption = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Give the targets of a run that failed or are held one more attempt each; lists them and asks.

    In a run that has ended a server that another run has changed since is left out: a new plan is needed to change it
    again. In one that goes on name the servers, and say why with --reason: the process that drives it queues them
    again, or refuses all of them if one has an unknown outcome, has another disk than the one listed, or is in another
    run by now. A server whose new OS is proven gets no further attempt.

    Examples:

      fleetos retry 0c4k2m7

      fleetos retry 0c4k2m7 web-07 --reason "its quota was raised"

      fleetos retry 0c4k2m7 --yes --expect-wipes 2 -o json
    """


@implemented_in("abort")
def abort(
    run: RunArgument,
    release: Annotated[
        bool,
        typer.Option("--release", help="Also release servers with unknown outcomes. Check them first."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Without a terminal nothing is asked.")] = False,
    reason: ReasonOption = None,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """End a run early: start no more servers, let running changes finish, power on servers that were stopped but not
    changed. It wipes nothing and cannot be undone; on a terminal it says what it will do, and asks.

    A run that another process drives is ended by that process; a run with no driver is ended by this command.
    --release frees the servers whose outcome was unknown before the command began, and none that it came to itself.

    Examples:

      fleetos abort 0c4k2m7

      fleetos abort 0c4k2m7 --release --yes
    """


@implemented_in("status")
def runs(output: OutputOption = Output.TABLE, db: DbOption = None, cloud: CloudOption = None) -> None:
    """List all runs, the newest first.

    Wherever a command takes a RUN, the name of its plan works as well: its only unfinished run, else its newest.

    Examples:

      fleetos runs

      fleetos runs -o json | jq -r '.runs[] | select(.state == "running") | .id'
    """


@implemented_in("status")
def status(
    run: AnyRunArgument = None,
    server: ServerOption = None,
    state: Annotated[
        list[TargetState] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only servers in this state. Repeat it for more.", show_default=False
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every server, also those that do not fit the terminal.")
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Show how a run stands, where its servers are, and what to do next.

    On a terminal it fits the screen: powered-off servers come first, then what moves or needs you. In a pipe every
    server has its line. `--server` and `--state` choose servers in every output.

    Examples:

      fleetos status

      fleetos status web-tier --state held --state failed --all

      fleetos status RUN -o json | jq -r '.targets[] | select(.state == "held") | .name + " " + .reason'
    """


@implemented_in("explain")
def explain(
    run: RunArgument,
    server: Annotated[str, typer.Argument(metavar="SERVER", help="The server's name or id.", show_default=False)],
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Say why one server of a run does not move: the one reason, what ends it and when, and who may end it.

    It also names the server's wave, window and groups, what becomes of its system disk, its attempts and its last
    events. A server that is being changed, or has ended, is explained as well.

    Examples:

      fleetos explain web-tier web-07

      fleetos explain 0c4k2m7 web-07 -o json | jq -r '.why, .ends_at'
    """


@implemented_in("events")
def events(
    run: AnyRunArgument = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended, or no process drives it.")
    ] = False,
    tail: Annotated[
        int | None,
        typer.Option("--tail", min=0, metavar="N", help="Begin with the last N events.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="AGO|TIME", help="Only events since then: 90s, 1h30m, or a time in RFC 3339."),
    ] = None,
    server: ServerOption = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="TYPE", help="Only events of this type. Repeat it for more.", show_default=False
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Show the event log of a run.

    `--follow` exits with 0 when the run has ended, and with 20 when no process drives it: then it says since when and
    why. On a terminal it begins with the last 10 events.

    Examples:

      fleetos events

      fleetos events RUN --since 1h --type target.failed --type target.held

      fleetos events RUN --follow -o jsonl
    """
