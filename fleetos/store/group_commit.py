"""Group commit: items that wait during a commit become durable together with the next one.

There is no task of its own: the first caller that finds no commit under way commits for all that wait. After a failed
commit it is unknown what is durable, so the failure is final: every waiting and every later call fails as well.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from fleetos.errors import JournalUnwritable, LeaseLost, StoreError
from fleetos.logs import fields

_log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _PendingItem(Generic[Item, Result]):
    item: Item
    results: list[Result]


class GroupCommit(Generic[Item, Result]):
    """Queue in front of `commit(items)`, which makes all items durable or raises.

    It never runs twice at a time, and gets the items in the order of the calls.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._commit = commit
        self._lock = anyio.Lock()
        self._pending: list[_PendingItem[Item, Result]] = []
        self._error: StoreError | None = None

    @property
    def closed(self) -> bool:
        """True once nothing can be made durable here any more."""
        return self._error is not None

    def close(self, error: StoreError) -> None:
        """Make this and every later call fail with the error, unless an earlier error was set."""
        self._error = self._error or error

    async def make_durable(self, item: Item) -> Result:
        """Make the item durable and return what `commit` returned for it. Raise LeaseLost or JournalUnwritable.

        A caller that is cancelled before the item's commit has begun can be sure that the item does not become durable.
        """
        self._refuse_when_closed()
        pending = _PendingItem[Item, Result](item, [])
        self._pending.append(pending)
        try:
            async with self._lock:
                # The commit before ours may have taken our item along.
                if not pending.results:
                    self._refuse_when_closed()
                    await self._commit_all()
        finally:
            # Cancelled before a commit took it: no later commit may make it durable behind its caller's back.
            self._pending = [other for other in self._pending if other is not pending]
        return pending.results[0]

    async def _commit_all(self) -> None:
        group, self._pending = self._pending, []
        results: Sequence[Result] = ()
        try:
            # The cancellation of one caller must not interrupt the commit of the others.
            with anyio.CancelScope(shield=True):
                results = await self._commit([pending.item for pending in group])
        except StoreError as error:
            self.close(error)
            message = "lease lost" if isinstance(error, LeaseLost) else "journal unwritable"
            _log.warning(message, extra=fields(failure=error.message))
            raise
        except BaseException as error:
            self.close(JournalUnwritable(f"a commit was interrupted: {type(error).__name__}"))
            raise
        for pending, result in zip(group, results, strict=True):
            pending.results.append(result)

    def _refuse_when_closed(self) -> None:
        if self._error is not None:
            copy = type(self._error)(self._error.message, self._error.hint)
            raise copy from self._error
