"""A thread for what may hang: it is left behind when its caller is cancelled, and no process waits for it."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

import anyio
import anyio.from_thread
from anyio.lowlevel import current_token

T = TypeVar("T")


async def run_abandonable(function: Callable[[], T]) -> T:
    """Return what the function returns in a thread of its own, or raise what it raises.

    An interpreter that ends waits for each thread of anyio, also for one that was abandoned.
    """
    outcome: Future[T] = Future()
    ended, token = anyio.Event(), current_token()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            outcome.set_exception(error)
        # Nobody waits any more where the event loop has ended.
        with contextlib.suppress(RuntimeError):
            anyio.from_thread.run_sync(ended.set, token=token)

    Thread(target=work, daemon=True).start()
    await ended.wait()
    return outcome.result()
