"""Virtual time: an event loop that jumps to its next timer instead of waiting, and a clock that shows its time."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import anyio

from fleetos.clock import Moment

T = TypeVar("T")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class _Selector(selectors.SelectSelector):
    now_s = 0.0

    def select(self, timeout: float | None = None) -> "list[tuple[selectors.SelectorKey, int]]":
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Return what `main` returns, run from second 0 of virtual time."""
    return anyio.run(main, backend_options={"loop_factory": _Loop})


def now_s() -> float:
    """Return the running loop's time."""
    return asyncio.get_running_loop().time()


class VirtualClock:
    """The clocks of the running loop."""

    def now(self) -> datetime:
        return START + timedelta(seconds=now_s())

    def moment(self) -> Moment:
        return Moment(self.now(), now_s(), now_s())


class FixedChance:
    """Chance that always draws the same."""

    def __init__(self, fraction: float = 0.0) -> None:
        self._fraction = fraction

    def fraction(self) -> float:
        return self._fraction
