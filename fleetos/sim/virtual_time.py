"""Virtual time: an event loop that jumps to its next timer instead of waiting for it.

Everything that sleeps by anyio or asyncio does so in no time at all, in the order in which it would have happened.
Nothing may block in a thread or wait for a socket there: the loop would never hear of it, and says so.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Everybody waits, and no timer will ever wake anybody."""


class _Selector(selectors.BaseSelector):
    """Knows the files that the loop registers and never waits for them; its waiting is what moves time on."""

    def __init__(self, round_s: float) -> None:
        self.now_s = 0.0
        self._round_s = round_s
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("everybody waits, and nothing will ever happen")
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
    """A loop whose time begins at second 0 and passes only while everybody waits.

    `round_s` is how long a round of callbacks takes at least: with 0, whoever asks again and again without waiting
    stops time itself.
    """

    def __init__(self, round_s: float = 0.0) -> None:
        self._virtual = _Selector(round_s)
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual.now_s


def run(main: Callable[[], Coroutine[Any, Any, T]], make_loop: Callable[[], VirtualLoop] = VirtualLoop) -> T:
    """Return what `main` returns. Raises Deadlock when it can never come to an end."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main())


def now_s() -> float:
    """Return the running loop's time."""
    return asyncio.get_running_loop().time()
