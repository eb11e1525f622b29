"""Standard output and error that were closed before the command began, or that nobody reads."""

import os
import sys


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
