"""Commands that ask something of a run: what each takes, and its help."""

from typing import Annotated

import typer

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

_ServersArgument = Annotated[
    list[str], typer.Argument(metavar="SERVER...", help="Names or ids of servers of the run.", show_default=False)
]


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
