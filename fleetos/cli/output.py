"""Write results to stdout as a table, JSON or JSON lines; messages go to stderr."""

import contextlib
import json
import select
import signal
import sys
import traceback
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.usage.options import Output
from fleetos.errors import FleetosError, InputError
from fleetos.views.documents.document import Document
from fleetos.views.documents.errors import error_document
from fleetos.views.terminal.console import Shown, height_of, put, put_question, put_wrapped, width_of
from fleetos.views.terminal.errors import defect, failure

P = ParamSpec("P")
R = TypeVar("R")


def print_message(text: Shown) -> None:
    """Print a message that is not data. Ignore a closed pipe."""
    with ignore_broken_pipe():
        put_wrapped(text, sys.stderr)


def print_data(text: Shown) -> None:
    """Print data for people."""
    put(text, sys.stdout)


def print_wrapped(text: Shown) -> None:
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
    with ignore_broken_pipe():
        (print_wrapped if wrap else print_data)(table())


def write_document(output: Output, document: Document, items: str) -> None:
    """Print a result for programs: as one JSON document, or as one line of JSON for each of its `items`."""
    with ignore_broken_pipe():
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


# Longest time until a Ctrl-C at a question is heard.
CTRL_C_HEARD_S = 0.2
# Commands that may leave a run behind.
_BEGIN = frozenset({"apply", "resume", "retry"})


def handle_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Return the command, with its errors printed and turned into exit codes; as JSON when its output is JSON."""

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the command returns; leave with the exit code of its error."""
        try:
            return command(*args, **kwargs)
        except FleetosError as error:
            print_error(error, kwargs.get("output"))
            raise Leave(error.exit_code) from None
        except BrokenPipeError:
            # The reader of our output has closed the pipe.
            raise Leave(ExitCode.OK) from None
        except KeyboardInterrupt:
            # While a run is driven, `drive` handles the first signals; this one came before or after that.
            begun = "; `fleetos status` shows what was begun, and that can be resumed"
            print_message(f"stopped by Ctrl-C{begun if command.__name__ in _BEGIN else ''}")
            raise Leave(ExitCode.SIGINT) from None
        except Exception as error:  # noqa: BLE001 - the last resort: any defect leaves with its own code
            with ignore_broken_pipe():
                put(defect(traceback.format_exc()), sys.stderr)
            told = FleetosError(
                f"fleetos itself failed: {type(error).__name__}", "the run, if there was one, can be resumed"
            )
            print_error(told, kwargs.get("output"))
            raise Leave(ExitCode.DEFECT) from None

    return reported


def print_error(error: FleetosError, output: object) -> None:
    """Print an error: for people to stderr, as JSON to stdout when the command's output is JSON."""
    if output in (Output.JSON, Output.JSONL):
        with ignore_broken_pipe():
            print_json(error_document(error)) if output is Output.JSON else print_line(error_document(error))
    if output is not Output.JSON or not isinstance(error, InputError):
        print_message(failure(error))


@contextlib.contextmanager
def ignore_broken_pipe() -> Generator[None]:
    """Ignore a closed pipe: output that is not read ends no run and changes no exit code."""
    with contextlib.suppress(BrokenPipeError):
        yield


def on_terminal() -> bool:
    """Return whether there is a terminal to ask on."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> str:
    """Return what the operator types at the terminal; empty at end of input. Raise KeyboardInterrupt at Ctrl-C."""
    # An event loop handles Ctrl-C only when it runs, and here it waits. So set the handler before the question shows.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        put_question(question, sys.stderr)
        # A Ctrl-C that comes just before a read begins is heard only when that read ends. So none begins in vain.
        while not select.select([sys.stdin], [], [], CTRL_C_HEARD_S)[0]:
            pass
        answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            # Otherwise the next output would continue the line of the question.
            sys.stderr.write("\n")
        return answer.strip()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
