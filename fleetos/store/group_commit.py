"""Group commit: whatever waits while one commit is under way becomes durable together in the next.

There is no task of its own: the first that finds nobody committing commits for all that wait. A failure leaves nobody
knowing what is durable, so it is final: everything that waits and everything later fails as well.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from fleetos.errors import JournalUnwritable, StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    results: list[Result]


class GroupCommit(Generic[Item, Result]):
    """Runs `commit(items)`, which makes all of them durable or raises, never twice at a time, in the order of calls."""

    def __init__(self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._commit = commit
        self._turn = anyio.Lock()
        self._waiting: list[_Waiting[Item, Result]] = []
        self._ended: StoreError | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing can be made durable here any more."""
        return self._ended is not None

    def end(self, error: StoreError) -> None:
        """Makes this and every later call fail with the error, unless an earlier one did already."""
        self._ended = self._ended or error

    async def durable(self, item: Item) -> Result:
        """What `commit` returned for the item, once it is durable. Raises LeaseLost or JournalUnwritable.

        A caller that is cancelled before the item's commit has begun can be sure that it is not made durable.
        """
        self._refuse_when_ended()
        mine = _Waiting[Item, Result](item, [])
        self._waiting.append(mine)
        try:
            async with self._turn:
                # Whoever committed before us has taken everything that waited, perhaps with our item.
                if not mine.results:
                    self._refuse_when_ended()
                    await self._commit_all()
        finally:
            # Cancelled before anybody took it: nobody may make it durable later, behind its caller's back.
            self._waiting = [one for one in self._waiting if one is not mine]
        return mine.results[0]

    async def _commit_all(self) -> None:
        group, self._waiting = self._waiting, []
        results: Sequence[Result] = ()
        try:
            # A cancelled caller must not tear the commit of the others apart.
            with anyio.CancelScope(shield=True):
                results = await self._commit([one.item for one in group])
        except StoreError as error:
            self.end(error)
            raise
        except BaseException as error:
            self.end(JournalUnwritable(f"a commit was broken off: {type(error).__name__}"))
            raise
        for one, result in zip(group, results, strict=True):
            one.results.append(result)

    def _refuse_when_ended(self) -> None:
        if self._ended is not None:
            again = type(self._ended)(self._ended.message, self._ended.hint)
            raise again from self._ended
