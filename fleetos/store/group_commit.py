"""Group commit: appends that wait during a commit become durable together with the next one.

There is no task of its own: the first caller that finds no commit under way commits for all that wait. After a failed
commit it is unknown what is durable, so the failure is final: every waiting and every later call fails as well.
"""

import logging
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime

import anyio

from fleetos.errors import JournalUnwritable, LeaseLost, StoreError
from fleetos.logs import fields
from fleetos.model.journal.events import Event, QueuedAgain, Record
from fleetos.model.run import Run, Target

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PendingAppend:
    """One append to a journal, until it is durable."""

    run: Run | None
    """None: the lease is renewed, and events that do not change the run are written."""
    events: Sequence[Event]
    changed: Sequence[Target]
    """New values of the targets that the events changed."""
    at: datetime
    answered: Sequence[int]
    """Ids of the requests that are done."""
    records: Sequence[Record] = ()
    """Records of the events, as the commit numbers them."""
    refused: StoreError | None = None
    """Why it was left out of its commit: another run has a server that it takes up again."""
    durable: bool = False

    @property
    def queued_again(self) -> Sequence[Target]:
        """The targets that the events queue again: their claims are to be taken anew."""
        again = {event.server_id for event in self.events if isinstance(event, QueuedAgain)}
        return [target for target in self.changed if target.server_id in again]


class GroupCommit:
    """Queue of appends in front of a commit, which never runs twice at a time."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._pending: list[PendingAppend] = []
        self._error: StoreError | None = None

    @property
    def closed(self) -> bool:
        """True once nothing can be made durable here any more."""
        return self._error is not None

    def close(self, error: StoreError) -> None:
        """Make this and every later call fail with the error, unless an earlier error was set."""
        self._error = self._error or error

    @asynccontextmanager
    async def commit(self, pending: PendingAppend) -> AsyncGenerator[Sequence[PendingAppend]]:
        """Yield the appends that the caller makes durable, in the order of the calls; none if another caller did so.

        `pending` is durable afterwards. Raise LeaseLost or JournalUnwritable. A caller that is cancelled before the
        commit has begun can be sure that its append does not become durable.
        """
        self.refuse_when_closed()
        self._pending.append(pending)
        try:
            async with self._lock:
                if pending.durable:
                    # The commit before ours has taken our append along.
                    yield ()
                    return
                self.refuse_when_closed()
                group, self._pending = self._pending, []
                # The cancellation of one caller must not interrupt the commit of the others.
                with self._close_on_error(), anyio.CancelScope(shield=True):
                    yield group
                for other in group:
                    other.durable = True
        finally:
            # Cancelled before a commit took it: no later commit may make it durable behind its caller's back.
            self._pending = [other for other in self._pending if other is not pending]

    def refuse_when_closed(self) -> None:
        """Raise a copy of the error that closed this, if one did."""
        if self._error is not None:
            copy = type(self._error)(self._error.message, self._error.hint)
            raise copy from self._error

    @contextmanager
    def _close_on_error(self) -> Generator[None]:
        try:
            yield
        except StoreError as error:
            self.close(error)
            message = "lease lost" if isinstance(error, LeaseLost) else "journal unwritable"
            _log.warning(message, extra=fields(failure=error.message))
            raise
        except BaseException as error:
            self.close(JournalUnwritable(f"a commit was interrupted: {type(error).__name__}"))
            raise
