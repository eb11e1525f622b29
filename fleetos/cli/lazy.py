"""Import the work of a command only when the command is called: help and completion need none of it."""

import gc
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import ParamSpec

P = ParamSpec("P")


def implemented_in(module: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator for a command without a body: its namesake in that module of `fleetos.cli.commands` works."""

    def bind(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def call(*args: P.args, **kwargs: P.kwargs) -> None:
            """Import the work, and do it."""
            work = getattr(import_module(f"fleetos.cli.commands.{module}"), command.__name__)
            _collect_garbage()
            work(*args, **kwargs)

        return call

    return bind


def _collect_garbage() -> None:
    """Turn on the collection of garbage that `fleetos.__main__` turned off, and leave out what was imported."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
