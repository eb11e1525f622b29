"""Notifier: follow the records of a run, and send what people are told of in the background.

At least once: the end of each notification is recorded when it is known, and the next process that drives the run sends
again what has no record. Whatever goes wrong here is logged and recorded; it never reaches the engine.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Protocol

import anyio

from fleetos.clock import Clock
from fleetos.errors import StoreError
from fleetos.logs import fields
from fleetos.model.journal.events import Record, RunEvent, RunNotified
from fleetos.model.plan import Occasion
from fleetos.model.progress import Progress
from fleetos.notify import apprise_services
from fleetos.notify.destination import Destination
from fleetos.notify.message import GATHERED, Message, compose
from fleetos.notify.occasions import Key, Notice, NoticeFinder, budget_notices, key_of, run_notices, target_notices
from fleetos.notify.webhook import Delivery, post
from fleetos.rules.budgets import Failures
from fleetos.threads import run_abandonable

_log = logging.getLogger(__name__)

# Tries for each message, and the wait before the second one, which doubles: a receiver may be away for half a minute.
TRIES = 5
FIRST_WAIT_S = 1.0
# A service may have several hosts, each of which apprise gives some 8 s.
SERVICE_TRY_S = 30.0
# Time for what is still to be sent when the driver leaves.
DRAIN_S = 10.0


class NotificationJournal(Protocol):
    """Journal that keeps the ends of notifications beside what the engine writes."""

    async def note(self, events: Sequence[RunNotified]) -> Sequence[Record]:
        """Write the events, and return their records once they are durable. Raise LeaseLost or JournalUnwritable."""
        ...


@dataclass(slots=True)
class Outbox:
    """Notices that one receiver is still to get, the oldest first."""

    destination: Destination
    occasions: Collection[Occasion]
    queue: deque[Notice] = field(default_factory=deque[Notice])
    filled: anyio.Event = field(default_factory=anyio.Event)
    halves: set[str] = field(default_factory=set[str])
    """Budgets of which it was told that half is used: each once."""

    def add(self, notices: Sequence[Notice]) -> None:
        """Add the notices that this receiver is to get."""
        for notice in notices:
            if notice.occasion is Occasion.BUDGET_HALF:
                if notice.subject in self.halves:
                    continue
                self.halves.add(notice.subject)
            if notice.occasion in self.occasions:
                self.queue.append(notice)
        self._signal()

    def put_first(self, owed: Sequence[Notice], told: Collection[Key]) -> None:
        """Put what was owed before this process in front, without what was `told` or is here already."""
        new = [notice for notice in self.queue if notice.key not in told]
        known = {*told, *(notice.key for notice in new)}
        self.queue.clear()
        self.halves = {subject for occasion, subject, _ in known if occasion is Occasion.BUDGET_HALF}
        self.add([notice for notice in owed if notice.key not in known])
        self.queue.extend(new)
        self._signal()

    def next_batch(self) -> list[Notice]:
        """Return the notices of the next message: one, or several of the same kind about single servers."""
        first = self.queue[0]
        if first.occasion not in GATHERED:
            return [first]
        return list(takewhile(lambda notice: notice.occasion is first.occasion, self.queue))

    def drop(self, number: int) -> None:
        """Forget so many notices, whose end is recorded."""
        for _ in range(number):
            self.queue.popleft()
        self._signal()

    def _signal(self) -> None:
        """Let whoever serves the box go on, or wait."""
        if self.queue:
            self.filled.set()
        elif self.filled.is_set():
            # Nobody waits for it. One that is not set yet stays: it may be waited for.
            self.filled = anyio.Event()


class Notifier:
    """Notifier of one run. `on_record` gets each record that it writes."""

    def __init__(
        self,
        progress: Progress,
        outboxes: Sequence[Outbox],
        journal: NotificationJournal,
        clock: Clock,
        on_record: Callable[[Progress, Record], None],
    ) -> None:
        self._progress = progress
        self._outboxes = outboxes
        self._journal = journal
        self._clock = clock
        self._on_record = on_record
        self._finder = NoticeFinder(progress) if outboxes else None
        self._caught_up = not outboxes
        self._leaving = False
        self._hurry = anyio.Event()
        self._quiet = anyio.Event()
        self._stopped = anyio.Event()
        self._scope = anyio.CancelScope()

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        """Take note of a turn of the engine, which must not fail because of this."""
        del requests
        if self._finder is None or not records:
            return
        with self._contain_defects():
            notices = self._finder.find(progress, records)
            for outbox in self._outboxes:
                outbox.add(notices)

    async def run(self, earlier: AsyncIterator[Sequence[Record]]) -> None:
        """Send what there is to tell until cancelled. `earlier` yields the records from before this process."""
        try:
            with self._contain_defects(), self._scope:
                await self._catch_up(earlier)
                async with anyio.create_task_group() as tasks:
                    for outbox in self._outboxes:
                        tasks.start_soon(self._serve, outbox)
        finally:
            self._stopped.set()
            self.leave()

    def leave(self) -> None:
        """Wait for nothing any more: what is not sent yet is left to the next process that drives the run."""
        self._leaving = True
        self._look()

    async def drain(self, *, ended: bool) -> None:
        """Wait until all is sent, for DRAIN_S at most, and stop. If the run has `ended`, record what was not sent."""
        self._quiet = anyio.Event()
        self._look()
        if ended:
            self._hurry.set()
        with anyio.move_on_after(DRAIN_S):
            await self._quiet.wait()
        self._scope.cancel()
        await self._stopped.wait()
        if ended:
            # No process drives it again, so that nobody else would send them.
            late = Delivery(f"fleetos left before it was sent, up to {DRAIN_S:.0f} s after the end of the run")
            with self._contain_defects():
                for outbox in self._outboxes:
                    await self._record(outbox, list(outbox.queue), late, 0)

    @contextmanager
    def _contain_defects(self) -> Generator[None]:
        """Log an error and go on: no defect here may stop the rollout."""
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("the notifier failed", extra=fields(run=self._progress.run.id))

    def _look(self) -> None:
        """Note whether there is anything to wait for before this process leaves."""
        if self._leaving or (self._caught_up and not any(outbox.queue for outbox in self._outboxes)):
            self._quiet.set()

    async def _catch_up(self, earlier: AsyncIterator[Sequence[Record]]) -> None:
        """Put what an earlier process owes each receiver in front of what is new."""
        if not self._outboxes:
            return
        try:
            records = [record async for page in earlier for record in page]
            owed = list(_owed_notices(records, self._progress))
        except Exception as error:  # noqa: BLE001 - the engine meets the same database, and says what is wrong with it
            _log.warning("what was owed was not found", extra=fields(failure=type(error).__name__))
            records, owed = [], []
        for outbox in self._outboxes:
            outbox.put_first(owed, set(_told(records, outbox.destination.number)))
        self._caught_up = True
        self._look()

    async def _serve(self, outbox: Outbox) -> None:
        while True:
            await outbox.filled.wait()
            batch = outbox.next_batch()
            delivery, tries = await self._send(outbox, batch)
            # The record must not be lost to a cancellation once the message is out.
            with anyio.CancelScope(shield=True):
                await self._record(outbox, batch, delivery, tries)

    async def _send(self, outbox: Outbox, batch: Sequence[Notice]) -> tuple[Delivery, int]:
        """Send the message about the notices; return the last outcome, and the number of tries."""
        tries, wait_s = 0, FIRST_WAIT_S
        while True:
            delivery = await self._try(outbox.destination, batch)
            tries += 1
            # At the end of a run, how it ended matters more than what is told before that.
            gives_way = self._hurry.is_set() and len(outbox.queue) > len(batch)
            if delivery.failure is None or delivery.final or tries == TRIES or gives_way:
                return delivery, tries
            await self._wait(wait_s)
            wait_s *= 2

    async def _wait(self, wait_s: float) -> None:
        """Wait for so long, but not beyond the end of the run."""
        if self._hurry.is_set():
            await anyio.sleep(wait_s)
        else:
            with anyio.move_on_after(wait_s):
                await self._hurry.wait()

    async def _try(self, destination: Destination, batch: Sequence[Notice]) -> Delivery:
        try:
            message = compose(batch, self._progress, destination.number)
            if destination.webhook:
                return await post(destination, message.id, int(self._clock.now().timestamp()), message.body)
            return await _send_by_apprise(destination, message)
        except Exception as error:  # noqa: BLE001 - no defect here, nor in a library, may stop the rollout
            return Delivery(type(error).__name__)

    async def _record(self, outbox: Outbox, batch: Sequence[Notice], delivery: Delivery, tries: int) -> None:
        """Record the end of a message, once for each of its notices, and take them out of the box."""
        destination = outbox.destination
        events = [_event(destination, notice, delivery, tries) for notice in batch]
        outbox.drop(len(batch))
        extra = fields(run=self._progress.run.id, entry=destination.number, failure=delivery.failure, tries=tries)
        _log.info("notified" if delivery.failure is None else "not notified", extra=extra)
        if not events:
            return
        try:
            records = await self._journal.note(events)
        except StoreError as error:
            _log.warning("a notification is not on record", extra=fields(failure=error.message))
            return
        finally:
            self._look()
        for record in records:
            self._on_record(self._progress, record)


async def _send_by_apprise(destination: Destination, message: Message) -> Delivery:
    taken = None
    with anyio.move_on_after(SERVICE_TRY_S):
        taken = await run_abandonable(lambda: apprise_services.send(destination.url, message.title, message.text))
    if taken is None:
        return Delivery(f"no answer within {SERVICE_TRY_S:g} s")
    return Delivery(None if taken else "apprise could not deliver it")


def _event(destination: Destination, notice: Notice, delivery: Delivery, tries: int) -> RunNotified:
    outcome = "sent" if delivery.failure is None else "failed"
    return RunNotified(
        entry=destination.number,
        service=destination.service,
        occasion=notice.occasion,
        subject=notice.subject,
        about=notice.about,
        outcome=outcome,
        tries=tries,
        detail=delivery.failure or "",
    )


def _told(records: Sequence[Record], number: int) -> Iterator[Key]:
    """Yield the keys of what the receiver of that number was told."""
    for record in records:
        if isinstance(record.event, RunNotified) and record.event.entry == number:
            yield key_of(record.event)


def _owed_notices(records: Sequence[Record], progress: Progress) -> Iterator[Notice]:
    """Yield what there was to tell of the run before this process, by its records and by how it stands now."""
    run = progress.run
    for record in records:
        if isinstance(record.event, RunEvent):
            yield from run_notices(record, run)
    if not records:
        return
    for target in progress.targets.values():
        yield from target_notices(target, run, target.since or run.created_at)
    failures = Failures.of(run, progress.targets.values())
    yield from budget_notices(run, failures, records[-1].at)
