"""Commands that ask something of a run: what each takes, and its help."""

from typing import Annotated

import typer

from fleetos.cli.help_text import PlainCommand, PlainGroup
from fleetos.cli.lazy import implemented_in
from fleetos.cli.usage.options import (
    AsOption,
    CloudOption,
    DbOption,
    Output,
    OutputOption,
    RequiredReasonOption,
    RunArgument,
)
from fleetos.limits import PLAN_MAX_SERVERS

_ServersArgument = Annotated[
    list[str], typer.Argument(metavar="SERVER...", help="Names or ids of servers of the run.", show_default=False)
]


def _check_wave(number: int) -> int:
    """Return the number of a wave. Raise BadParameter for one that no run has."""
    if not 1 <= number <= PLAN_MAX_SERVERS:
        raise typer.BadParameter("waves are numbered from 1")
    return number


@implemented_in("requests")
def pause(
    run: RunArgument,
    reason: RequiredReasonOption,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Pause a run: start no more servers, take back those that were made ready, let running changes finish.

    The process that drives the run answers, follows what is in flight to its end, and leaves with 20. A run with no
    driver is paused by this command. No apply ends the pause; resume does, for a reason.

    Examples:

      fleetos pause 0c4k2m7 --reason "the shop has a sale until noon"

      fleetos pause web-tier --as anna --reason "two servers look odd" -o json
    """


@implemented_in("requests")
def hold(
    run: RunArgument,
    servers: _ServersArgument,
    reason: RequiredReasonOption,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Hold servers back whose change was not sent yet. They count towards no failure budget.

    One that is being made ready is started again first, if the run has stopped it. It is refused, for all of the
    servers, if the change of one of them was sent.

    Examples:

      fleetos hold 0c4k2m7 web-07 web-08 --reason "in use until Friday"
    """


@implemented_in("requests")
def release(
    run: RunArgument,
    servers: _ServersArgument,
    reason: RequiredReasonOption,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Let servers go on that an operator holds: they wait for their turn again, with the order that they had.

    It is refused, for all of the servers, if one of them is not held by an operator, or is in another run by now.

    Examples:

      fleetos release 0c4k2m7 web-07 web-08 --reason "no longer in use"
    """


@implemented_in("requests")
def skip(
    run: RunArgument,
    servers: _ServersArgument,
    reason: RequiredReasonOption,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Take servers out of a run: those that wait, are being made ready, failed or are held end as skipped.

    It is refused, for all of the servers, if one of them is being changed or has an unknown outcome.

    Examples:

      fleetos skip 0c4k2m7 web-07 --reason "it is replaced next week"
    """


@implemented_in("requests")
def change_setting(
    run: RunArgument,
    setting: Annotated[
        str, typer.Argument(metavar="concurrency=N", help="OS changes in flight at once.", show_default=False)
    ],
    reason: RequiredReasonOption,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Change how many OS changes of a run are in flight at once. It interrupts nothing.

    A lower number lets what is in flight finish; a higher one is used at once.

    Examples:

      fleetos set 0c4k2m7 concurrency=40 --reason "the night is short"
    """


@implemented_in("requests")
def approve(
    run: RunArgument,
    wave: Annotated[
        int,
        typer.Option("--wave", metavar="N", callback=_check_wave, help="The wave that may open.", show_default=False),
    ],
    reason: RequiredReasonOption,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Approve the wave that is to open next, where the plan asks for an approval. The wave before must be finished.

    The plan says who may approve, how many of them must, and how long that holds. Names guard against haste, and not
    against malice: whoever reaches the database can give any name.

    Examples:

      fleetos approve 0c4k2m7 --wave 2 --reason "the canary ran fine all night"

      fleetos approve web-tier --wave 3 --as berta --reason "change CHG-1042"
    """


wave = typer.Typer(cls=PlainGroup, help="Open the next wave earlier than the plan says.", no_args_is_help=True)


@wave.command(cls=PlainCommand)
@implemented_in("requests")
def promote(
    run: RunArgument,
    reason: RequiredReasonOption,
    incomplete: Annotated[
        int | None,
        typer.Option(
            "--incomplete",
            min=1,
            max=PLAN_MAX_SERVERS,
            metavar="N",
            help="Open the next wave although exactly N servers of this one have not ended.",
            show_default=False,
        ),
    ] = None,
    operator: AsOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """End the bake of the wave that has finished last. It stands for no approval.

    Of a wave that is not finished it opens the next one if --incomplete says how many servers are left; they go on.

    Examples:

      fleetos wave promote 0c4k2m7 --reason "the graphs are flat, and the night is short"

      fleetos wave promote 0c4k2m7 --incomplete 2 --reason "support looks after web-07 and web-08"
    """
