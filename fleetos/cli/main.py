"""The `fleetos` command: register commands, map errors to exit codes."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from fleetos import __version__
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.help_text import PlainCommand, PlainGroup
from fleetos.cli.streams import close_streams, open_streams
from fleetos.cli.usage import maintenance, plans, requests, runs
from fleetos.cli.usage.options import Output
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
        typer.echo(f"fleetos {__version__}")
        raise Leave(ExitCode.OK)


@app.callback()
def fleetos(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Log to stderr: requests, leases, moves of a run. Not where apply, resume, retry or abort draw on the "
            "terminal: FLEETOS_LOG=FILE in the environment appends the log to a file, as JSON lines.",
        ),
    ] = False,
) -> None:
    """Change the OS of whole cloud server fleets, and never wipe a disk twice.

    Start with: fleetos apply plans/demo.yaml
    """
    del version
    file = os.environ.get("FLEETOS_LOG")
    if verbose or file:
        from fleetos.cli.log_output import start_log

        start_log(context, file, verbose=verbose, output=output_asked(sys.argv[1:]))


_MAINTENANCE = "Maintenance"
_PANELS: Mapping[str, Sequence[Callable[..., None]]] = {
    "Plans": (plans.validate, plans.plan, plans.rehearse, plans.apply, plans.drift, plans.schema),
    "Runs": (
        requests.pause,
        runs.resume,
        runs.retry,
        requests.hold,
        requests.release,
        requests.skip,
        requests.change_setting,
        requests.approve,
        runs.abort,
        runs.runs,
        runs.status,
        runs.explain,
        runs.events,
    ),
    _MAINTENANCE: (maintenance.doctor,),
}
# A command is named after its function, but for those whose name Python keeps for itself.
_NAMES: Mapping[Callable[..., None], str] = {requests.change_setting: "set"}
for _panel, _commands in _PANELS.items():
    for _command in _commands:
        app.command(cls=PlainCommand, name=_NAMES.get(_command), rich_help_panel=_panel)(_command)
app.add_typer(requests.wave, name="wave", rich_help_panel="Runs")
app.add_typer(maintenance.sim, name="sim", rich_help_panel=_MAINTENANCE)
app.add_typer(maintenance.db, name="db", rich_help_panel=_MAINTENANCE)


def main() -> None:
    """Run the command and exit with its exit code."""
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
        from fleetos.cli.output import print_error

        # The parser knows no JSON; it only leaves its errors to us when a program is to read them.
        print_error(UsageError(error.format_message(), "fleetos --help names all commands"), output)
        raise Leave(ExitCode.USAGE) from None
    raise SystemExit(code)


def output_asked(arguments: Sequence[str]) -> Output:
    """Return the output that a command line asks for, even if the rest of it is wrong."""
    outputs = _OUTPUT.findall(" ".join(arguments))
    return Output(outputs[-1]) if outputs else Output.TABLE
