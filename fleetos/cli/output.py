"""Write results to stdout as a table, JSON or JSON lines; messages go to stderr."""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fleetos.app.results import DriveResult
from fleetos.cli.exit_codes import ExitCode, Leave, code_of
from fleetos.cli.options import Output
from fleetos.clock import SystemClock
from fleetos.errors import FleetosError, InputError
from fleetos.model.progress import Progress
from fleetos.store import queries
from fleetos.store.database.database import Database
from fleetos.views.documents.run import Document, error_document, status_document
from fleetos.views.terminal.console import Shown, height_of, put, put_question, put_wrapped, view_on, width_of
from fleetos.views.terminal.errors import defect, failure
from fleetos.views.terminal.frame import Spent
from fleetos.views.terminal.summary import summary
from fleetos.views.view import JsonLinesView, View

P = ParamSpec("P")
R = TypeVar("R")


def say(text: Shown) -> None:
    """Print a message that is not data. Nobody reads it where its pipe is closed, and then it is not missed."""
    with read_or_not():
        put_wrapped(text, sys.stderr)


def show(text: Shown) -> None:
    """Print data for people."""
    put(text, sys.stdout)


def show_wrapped(text: Shown) -> None:
    """Print data for people, with long lines broken between words on a terminal."""
    put_wrapped(text, sys.stdout)


def width() -> int | None:
    """Return the width to print tables in; None where no terminal limits it."""
    return width_of(sys.stdout)


def height() -> int | None:
    """Return the rows that a table should fit in; None where no terminal limits them."""
    return height_of(sys.stdout)


def write(
    output: Output, document: Callable[[], Document], items: str, table: Callable[[], Shown], *, wrap: bool = False
) -> None:
    """Print a result: as a table for people, or as `write_document` does.

    `wrap`: break long lines of the table between words on a terminal.
    """
    if output is not Output.TABLE:
        write_document(output, document(), items)
        return
    with read_or_not():
        (show_wrapped if wrap else show)(table())


def write_document(output: Output, document: Document, items: str) -> None:
    """Print a result for programs: as one JSON document, or as one line of JSON for each of its `items`."""
    with read_or_not():
        if output is Output.JSON:
            print_json(document)
            return
        for item in document[items]:
            print_line(item)


def print_json(document: Any) -> None:
    """Print data for programs: one JSON document, indented."""
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    sys.stdout.flush()


def print_line(document: Any) -> None:
    """Print data for programs: one JSON document in one line."""
    sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def view_for(output: Output) -> View:
    """Return the view that shows a run being driven: on stdout for people, beside the data for programs."""
    if output is Output.JSONL:
        return JsonLinesView(sys.stdout, sys.stderr)
    return view_on(sys.stdout if output is Output.TABLE else sys.stderr)


async def show_drive(database: Database, result: DriveResult, output: Output) -> None:
    """Show how a run was left. The view has shown people the end of a run that was driven."""
    if not result.driven:
        say("this run has ended meanwhile:")
        show_end(result.progress, output)
    elif output is not Output.TABLE:
        show_end(await queries.load(database, result.progress.run.id), output)


def show_end(progress: Progress, output: Output) -> None:
    """Show how a run ended: the summary to people, the status document to programs.

    Where events are asked for, the summary is no data, so it goes beside them.
    """
    run, now = progress.run, SystemClock().now()
    took_s = ((run.ended_at or now) - (run.started_at or run.created_at)).total_seconds()
    with read_or_not():
        if output is Output.JSON:
            print_json(status_document(progress, now, exit_code=code_of(progress)))
        else:
            (show if output is Output.TABLE else say)(summary(progress, Spent(took_s)))


# Commands that may leave a run behind.
_BEGIN = frozenset({"apply", "resume", "retry"})


def reporting(command: Callable[P, R]) -> Callable[P, R]:
    """Return the command, with its errors printed and turned into exit codes; as JSON when its output is JSON."""

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the command returns; leave with the exit code of its error."""
        try:
            return command(*args, **kwargs)
        except FleetosError as error:
            report(error, kwargs.get("output"))
            raise Leave(error.exit_code) from None
        except BrokenPipeError:
            # Whoever read our output has enough of it.
            raise Leave(ExitCode.OK) from None
        except KeyboardInterrupt:
            # While a run is driven the first signals are heeded in an orderly way; this is before or after that.
            begun = "; `fleetos status` shows what was begun, and that can be resumed"
            say(f"stopped by Ctrl-C{begun if command.__name__ in _BEGIN else ''}")
            raise Leave(ExitCode.SIGINT) from None
        except Exception as error:  # noqa: BLE001 - the last resort: any defect leaves with its own code
            with read_or_not():
                put(defect(traceback.format_exc()), sys.stderr)
            told = FleetosError(
                f"fleetos itself failed: {type(error).__name__}", "the run, if there was one, can be resumed"
            )
            report(told, kwargs.get("output"))
            raise Leave(ExitCode.DEFECT) from None

    return reported


def report(error: FleetosError, output: object) -> None:
    """Print an error: for people to stderr, as JSON to stdout when the command's output is JSON."""
    if output in (Output.JSON, Output.JSONL):
        with read_or_not():
            print_json(error_document(error)) if output is Output.JSON else print_line(error_document(error))
    if output is not Output.JSON or not isinstance(error, InputError):
        say(failure(error))


@contextlib.contextmanager
def read_or_not() -> Generator[None]:
    """Ignore a closed pipe: that nobody reads what is printed ends no run and changes no exit code."""
    with contextlib.suppress(BrokenPipeError):
        yield


def open_streams() -> None:
    """Give output that was closed before we began a place to go."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False))


def close_streams() -> None:
    """Write what is left, and forget it where nobody reads; the interpreter would leave with a code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def on_terminal() -> bool:
    """Return whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> str:
    """Return what somebody at the terminal types; empty at end of input. Raise KeyboardInterrupt at Ctrl-C."""
    # An event loop hears of Ctrl-C only when it runs, and here it waits: from before the question is seen.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        put_question(question, sys.stderr)
        answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            # What is printed next would go on in the line of the question.
            sys.stderr.write("\n")
        return answer.strip()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
