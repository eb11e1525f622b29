"""A thread for what may hang: it is left behind when its caller is cancelled, and no process waits for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def run_abandonable(function: Callable[[], T]) -> T:
    """Return what the function returns in a thread of its own, or raise what it raises.

    An interpreter that ends waits for each thread of anyio, also for one that was abandoned.
    """
    outcome: Future[T] = Future()
    # From here on the future cannot be cancelled, so the thread can always set it.
    outcome.set_running_or_notify_cancel()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            outcome.set_exception(error)

    Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(outcome)
