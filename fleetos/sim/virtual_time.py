"""Event loop that jumps to its next timer instead of waiting for it.

Code that sleeps by anyio or asyncio wakes at once, in the order of its timers. It must not block in a thread or wait
for a socket: the loop never sees either end, and raises Deadlock.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Error: every task waits, and no timer is left to wake one."""


class _Selector(selectors.BaseSelector):
    """Selector that keeps the registered files but never waits for them; each `select` advances virtual time."""

    def __init__(self, round_s: float) -> None:
        self.now_s = 0.0
        self._round_s = round_s
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits, and no timer is left to wake one")
        self.now_s += max(timeout, self._round_s)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, number, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop whose time starts at 0 and advances only while every task waits.

    A round of callbacks takes at least `round_s`. With 0, a task that polls without sleeping stops time.
    """

    def __init__(self, round_s: float = 0.0) -> None:
        self._virtual = _Selector(round_s)
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the virtual seconds since the loop was created."""
        return self._virtual.now_s


def run(main: Callable[[], Coroutine[Any, Any, T]], make_loop: Callable[[], VirtualLoop] = VirtualLoop) -> T:
    """Run `main` in virtual time and return its result. Raises Deadlock if it can never finish."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main())


def now_s() -> float:
    """Return the running loop's time."""
    return asyncio.get_running_loop().time()
