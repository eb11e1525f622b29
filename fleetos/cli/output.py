"""What the commands print, and where: data to stdout, everything else to stderr."""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.options import Output
from fleetos.errors import FleetosError, InputError
from fleetos.views.console import Shown, height_of, put, put_question, put_wrapped, view_on, width_of
from fleetos.views.documents import error_document
from fleetos.views.failure import defect, failure
from fleetos.views.view import JsonLinesView, View

P = ParamSpec("P")
R = TypeVar("R")


def say(text: Shown) -> None:
    """Prints a message that is not data. Nobody reads it where its pipe is closed, and then it is not missed."""
    with read_or_not():
        put_wrapped(text, sys.stderr)


def show(text: Shown) -> None:
    """Prints data for people."""
    put(text, sys.stdout)


def show_wrapped(text: Shown) -> None:
    """Prints data for people, with long lines broken between words on a terminal."""
    put_wrapped(text, sys.stdout)


def width() -> int | None:
    """The width to print tables in; None where no terminal limits it."""
    return width_of(sys.stdout)


def height() -> int | None:
    """The rows that a table should fit in; None where no terminal limits them."""
    return height_of(sys.stdout)


def print_json(document: Any) -> None:
    """Prints data for programs: one JSON document, indented."""
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    sys.stdout.flush()


def print_line(document: Any) -> None:
    """Prints data for programs: one JSON document in one line."""
    sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def view_for(output: Output) -> View:
    """The view that shows a run being driven: on stdout for people, beside the data for programs."""
    if output is Output.JSONL:
        return JsonLinesView(sys.stdout, sys.stderr)
    return view_on(sys.stdout if output is Output.TABLE else sys.stderr)


# Commands that may leave a run behind.
_BEGIN = frozenset({"apply", "resume", "retry"})


def reporting(command: Callable[P, R]) -> Callable[P, R]:
    """The command, with its errors printed and turned into exit codes; as JSON when its output is JSON."""

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> R:
        """What the command returns; an error of it exits with its code."""
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
        except Exception as error:  # noqa: BLE001 - the last resort: any defect exits with its own code
            with read_or_not():
                put(defect(traceback.format_exc()), sys.stderr)
            told = FleetosError(
                f"fleetos itself failed: {type(error).__name__}", "the run, if there was one, can be resumed"
            )
            report(told, kwargs.get("output"))
            raise Leave(ExitCode.DEFECT) from None

    return reported


def report(error: FleetosError, output: object) -> None:
    """Prints an error: for people to stderr, as JSON to stdout when the command's output is JSON."""
    if output in (Output.JSON, Output.JSONL):
        with read_or_not():
            print_json(error_document(error)) if output is Output.JSON else print_line(error_document(error))
    if output is not Output.JSON or not isinstance(error, InputError):
        say(failure(error))


@contextlib.contextmanager
def read_or_not() -> Generator[None]:
    """For what is printed beside a run: that nobody reads it ends no run and changes no exit code."""
    with contextlib.suppress(BrokenPipeError):
        yield


def open_streams() -> None:
    """Gives output that was closed before we began a place to go."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False))


def close_streams() -> None:
    """Writes what is left, and forgets it where nobody reads; the interpreter would exit with a code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def on_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> str:
    """The answer that somebody at the terminal types; empty at end of input. Raises KeyboardInterrupt at Ctrl-C."""
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
