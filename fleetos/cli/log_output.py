"""Start the log that `-v` or $FLEETOS_LOG asks for."""

import sys
from pathlib import Path

import typer

from fleetos import logs
from fleetos.cli.output import handle_errors
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.errors import InputError, UsageError
from fleetos.files import UnreadableFile, append_private

# Commands that may draw a live view.
_LIVE = frozenset({"apply", "resume", "retry", "abort"})


@handle_errors
def start_log(context: typer.Context, file: str | None, *, verbose: bool, output: Output) -> None:
    """Write the log to the file, and with `verbose` to stderr, until the command ends. Raise UsageError, InputError."""
    del output  # `handle_errors` prints errors in it
    if verbose and context.invoked_subcommand in _LIVE and sys.stderr.isatty():
        raise UsageError(
            f"-v would disturb the live view of {context.invoked_subcommand}",
            "write the log to a file: FLEETOS_LOG=FILE, or -v with 2>FILE",
        )
    handlers = [logs.short_lines(sys.stderr, SystemClock())] if verbose else []
    if file:
        try:
            out = context.with_resource(append_private(Path(file)))
        except UnreadableFile as error:
            raise InputError((error.problem(Path(file)),)) from None
        handlers.append(logs.json_lines(out, SystemClock()))
    context.with_resource(logs.written_to(handlers))
