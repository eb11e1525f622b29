"""The options that commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetos.limits import NAME_MAX_LETTERS, REASON_MAX_LETTERS


class Output(StrEnum):
    """Format in which data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def check_reason(text: str | None) -> str | None:
    """Return the reason. Raise BadParameter for one that is empty, too long or not printable."""
    if text is None:
        return None
    if not text.strip() or len(text) > REASON_MAX_LETTERS or not text.isprintable():
        raise typer.BadParameter(f"say why in 1 to {REASON_MAX_LETTERS} printable letters")
    return text.strip()


def check_name(text: str | None) -> str | None:
    """Return the name of an operator. Raise BadParameter for one that is empty, too long or not printable."""
    if text is not None and (not text.strip() or len(text) > NAME_MAX_LETTERS or not text.isprintable()):
        raise typer.BadParameter(f"a name has 1 to {NAME_MAX_LETTERS} printable letters")
    return text


DbOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="FLEETOS_DB",
        metavar="PATH|URL",
        help="The database: a file, or a postgresql:// URL. Default: fleetos.db in your state folder.",
        show_default=False,
    ),
]
CloudOption = Annotated[
    str | None,
    typer.Option(
        "--cloud",
        metavar="NAME",
        help="An entry of clouds.yaml, or `sim`. Default: the plan's, then $OS_CLOUD, then the OS_* variables.",
        show_default=False,
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print data.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can be asked.")]
ExpectWipesOption = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Refuse unless exactly N system disks would be wiped.", show_default=False),
]
ReasonOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        callback=check_reason,
        help=f"Why, for those who look at the run later: at most {REASON_MAX_LETTERS} letters.",
        show_default=False,
    ),
]
RequiredReasonOption = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        callback=check_reason,
        help=f"Why, for those who look at the run later: at most {REASON_MAX_LETTERS} letters.",
        show_default=False,
    ),
]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        callback=check_name,
        help="Who asks. Default: $FLEETOS_OPERATOR, else the user of this system.",
        show_default=False,
    ),
]
NoWaitOption = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        help="Leave with 20 as soon as only time or people help: a closed window, a bake, an approval, a later start. "
        "Nothing is lost; the next call goes on.",
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Freeze now, start then: 22:00, 2026-12-01 22:00, or with an offset; at most 7 days ahead. Local "
        "times are in the zone of the plan's `windows`, else of this machine.",
        show_default=False,
    ),
]
PlanArgument = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan, a YAML file.", show_default=False)]
ServerOption = Annotated[
    list[str] | None,
    typer.Option("--server", metavar="NAME|ID", help="Only this server. Repeat it for more.", show_default=False),
]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The run's id, the beginning of it, or the run's name.", show_default=False),
]
AnyRunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="The run's id, the beginning of it, or its name. Default: the unfinished run, else the newest.",
        show_default=False,
    ),
]
