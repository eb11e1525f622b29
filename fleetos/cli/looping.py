"""The event loop of the commands that drive a run."""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar, TypeVarTuple

import anyio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def run(main: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
    """What `main` returns. It runs on uvloop where the extra `speed` has installed it, else on asyncio's own loop."""
    return anyio.run(main, *arguments, backend_options={"use_uvloop": find_spec("uvloop") is not None})
