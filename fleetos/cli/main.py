"""The `fleetos` command: parses, and exits with the contract's exit codes."""

import re
import shutil
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from fleetos import __version__
from fleetos.cli import (
    abort,
    apply,
    db,
    doctor,
    drift,
    events,
    plan,
    resume,
    retry,
    sim,
    status,
    validate,
)
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.help_text import PlainGroup
from fleetos.cli.options import Output
from fleetos.cli.output import close_streams, open_streams, report, show
from fleetos.errors import UsageError

# What the option parser exits with when a command is called wrongly; ours is 64.
_PARSER_USAGE = 2
_OUTPUT = re.compile(rf"(?:^| )(?:-o ?|--output[ =])({'|'.join(Output)})(?= |$)")

# Panels cut the names of options on a terminal that is narrower than this; plain help breaks lines instead.
_PANELS_NEED = 80
_COLUMNS = shutil.get_terminal_size().columns
_MARKUP: Literal["rich"] | None = "rich" if _COLUMNS >= _PANELS_NEED else None

app = typer.Typer(
    name="fleetos",
    help="Change the OS of whole cloud server fleets, and never wipe a disk twice.",
    cls=PlainGroup,
    no_args_is_help=True,
    rich_markup_mode=_MARKUP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": _COLUMNS},
)


def _version(value: bool) -> None:
    if value:
        show(f"fleetos {__version__}")
        raise Leave(ExitCode.OK)


@app.callback()
def fleetos(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Change the OS of whole cloud server fleets, and never wipe a disk twice.

    Start with: fleetos apply plans/demo.yaml
    """
    del version


_PLANS, _RUNS, _TOOLS = "Plans", "Runs", "Tools"

app.command(rich_help_panel=_PLANS)(validate.validate)
app.command(rich_help_panel=_PLANS)(plan.plan)
app.command(rich_help_panel=_PLANS)(apply.apply)
app.command(rich_help_panel=_PLANS)(drift.drift)
app.command(rich_help_panel=_PLANS)(validate.schema)
app.command(rich_help_panel=_RUNS)(resume.resume)
app.command(rich_help_panel=_RUNS)(retry.retry)
app.command(rich_help_panel=_RUNS)(abort.abort)
app.command(rich_help_panel=_RUNS)(status.runs)
app.command(rich_help_panel=_RUNS)(status.status)
app.command(rich_help_panel=_RUNS)(events.events)
app.command(rich_help_panel=_TOOLS)(doctor.doctor)
app.add_typer(sim.app, name="sim", rich_help_panel=_TOOLS)
app.add_typer(db.app, name="db", rich_help_panel=_TOOLS)


def main() -> None:
    """Runs the command and exits with its exit code."""
    open_streams()
    try:
        _run()
    finally:
        close_streams()


def _run() -> None:
    output = output_asked(sys.argv[1:])
    try:
        code = app(prog_name="fleetos", standalone_mode=output is Output.TABLE)
    except Leave:
        raise
    except SystemExit as left:
        raise SystemExit(ExitCode.USAGE if left.code == _PARSER_USAGE else left.code) from None
    except TyperException as error:
        # The parser knows no JSON; it only leaves its errors to us when a program is to read them.
        report(UsageError(error.format_message(), "fleetos --help names all commands"), output)
        raise Leave(ExitCode.USAGE) from None
    raise SystemExit(code)


def output_asked(arguments: Sequence[str]) -> Output:
    """The output that the words of a command line ask for, right or wrong as the rest of them may be."""
    found = _OUTPUT.findall(" ".join(arguments))
    return Output(found[-1]) if found else Output.TABLE
