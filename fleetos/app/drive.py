"""Drive a run until it ends or pauses, or a signal asks to leave: lease, engine, observer and signals together."""

import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, Signals, getsignal
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from fleetos.app.calendar_reader import CalendarReader
from fleetos.app.context import AppContext, scope_key
from fleetos.app.notifications import earlier_records, open_notifier
from fleetos.app.results import DriveResult
from fleetos.app.survey import scope_of
from fleetos.cloud.client import CloudClient
from fleetos.engine.engine import Dependencies, Engine
from fleetos.engine.protocols import Listener
from fleetos.engine.undriven import answer_requests
from fleetos.errors import FleetosError, StoreError
from fleetos.ids import SystemChance, token
from fleetos.model.experience import Experience
from fleetos.model.journal.events import Record, RunDriverEnded
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.progress import Progress
from fleetos.model.run import LeftBy, Order
from fleetos.model.states import RUN_ENDS, Command
from fleetos.model.wipes import Wipes, wipes_of
from fleetos.notify.notifier import Notifier
from fleetos.planning.agreement import Agreement, NotConfirmed, disagreement
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.preflight.preflight import Preflight
from fleetos.planning.secrets import PlanSecrets
from fleetos.store import history, queries
from fleetos.store.database.database import Database
from fleetos.store.journal import SqlJournal
from fleetos.store.leases import Lease
from fleetos.store.process import this_process
from fleetos.views.observer import ViewObserver
from fleetos.views.terminal.summary import stopped_words
from fleetos.views.text.run_condition import powered_off, resume_command, where_words
from fleetos.views.view import View

# Interval at which the view shows that time passes while nothing happens.
TICK_S = 0.25


class Operator(Protocol):
    """Operator for whom a run is driven: agrees to what is wiped, and watches."""

    @property
    def agreement(self) -> Agreement:
        """Agreement made before the command began."""
        ...

    @property
    def waits(self) -> bool:
        """False if the driver leaves once only time or people help."""
        ...

    @property
    def streams_events(self) -> bool:
        """True if the view gets every event, also those written before the engine begins."""
        ...

    def show_preflight(self, preflight: Preflight, frozen: FrozenRun) -> None:
        """Show what preflight found for a new run, before the operator agrees to anything."""
        ...

    def show_wipes(self, wipes: Wipes, command: Command, frozen: FrozenRun | None) -> None:
        """Show what the command would wipe; `frozen` is the run if it makes a new one."""
        ...

    def confirm(self, wipes: Wipes, command: Command, frozen: FrozenRun | None) -> None:
        """Return if the operator agrees to what was shown. Raise NotConfirmed, or UsageError without a terminal."""
        ...

    def confirm_abort(self, progress: Progress, driver: str | None) -> None:
        """Return if the operator agrees to end the run, which `driver` drives. Raise as `confirm` does."""
        ...

    def open_view(self) -> View:
        """Return the view that shows the run while it is driven."""
        ...


@dataclass(slots=True)
class _Departure:
    """Departure of this process from a run that has not ended: a signal or an error, if there is one."""

    signal: Signals | None = None
    """The first signal that asked fleetos to leave; SIGHUP only if no other did."""
    words: str = ""
    """The signals that count, by name."""
    at_once: bool = False
    """True after the second SIGINT or SIGTERM."""
    error: FleetosError | None = None
    """The error that ended the engine."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """Scope of the engine, which the second SIGINT or SIGTERM cancels."""


@dataclass(frozen=True, slots=True)
class _Listeners:
    """Listeners to the turns of a run: those who watch it, and the notifier."""

    observer: ViewObserver
    notifier: Notifier

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        self.observer.turned(progress, records, requests)
        self.notifier.turned(progress, records, requests)


def agree(operator: Operator, wipes: Wipes, command: Command, frozen: FrozenRun | None = None) -> None:
    """Return if the operator agrees to what the command would wipe, both in advance and at the question.

    `frozen` is the run if the command makes a new one. Raise what `disagreement` finds, or what `confirm` raises.
    """
    refused = disagreement(operator.agreement, wipes, command, frozen)
    if refused is None or isinstance(refused, NotConfirmed):
        operator.show_wipes(wipes, command, frozen)
    if refused is not None:
        raise refused
    if wipes.left or wipes.under_way:
        operator.confirm(wipes, command, frozen)


async def drive(
    context: AppContext,
    database: Database,
    lease: Lease,
    cloud: CloudClient,
    operator: Operator,
    command: Command,
    fresh: int = 0,
) -> DriveResult:
    """Drive the run of the lease until it ends or pauses, or this process leaves; then release the lease.

    `fresh`: number of the newest records that this command wrote when it took the lease; the view shows them too. An
    apply that wrote none carries on a run that it has not asked about, so the operator agrees to what is left now that
    no other process drives the run. Raise LeaseLost or JournalUnwritable if this process cannot drive it any further.
    """
    async with _open_journal(context, database, lease) as journal:
        progress = await queries.load(database, lease.run_id)
        carried_on = command is Command.APPLY and not fresh
        if not fresh and not carried_on:
            # Other commands show the cloud together with what they ask.
            context.say(where_words(scope_of(progress.run.scope.cloud, cloud)))
        if progress.run.state in RUN_ENDS:
            # Another process drove it to its end while this one logged in.
            return DriveResult(progress, driven=False)
        if carried_on:
            agree(operator, wipes_of(progress.run, progress.targets.values()), command)
        # What was asked comes first: an aborted or paused run is not shown as one that is about to wipe disks.
        asked = command in (Command.ABORT, Command.REQUEST)
        written = await answer_requests(journal, progress, context.clock.now()) if asked else 0
        observer = ViewObserver(operator.open_view(), context.clock)
        if operator.streams_events:
            await _show_written(database, progress, observer, lease.last_seq - fresh, lease.last_seq + written)
        experience = await history.experience(database, scope_key(progress.run.scope))
        notifier = open_notifier(context, progress, journal, observer.forward_record)
        earlier = earlier_records(database, progress.run.id, lease.last_seq + written)
        listeners = _Listeners(observer, notifier)
        engine = _build_engine(context, journal, progress, cloud, listeners, experience)
        departure = _Departure()
        async with _attend(engine, journal, cloud, listeners, departure) as tasks:
            tasks.start_soon(notifier.run, earlier)
            await engine.drive(str(this_process()), command, waits=operator.waits)
        await _remember(database, engine, cloud, experience, departure)
        if departure.error is not None:
            departure.error.hint = departure.error.hint or resume_hint(progress)
            raise departure.error
        why = None if engine.trouble is None else engine.trouble.reason
        return DriveResult(engine.progress, signal=departure.signal, at_once=departure.at_once, trouble=why)


@contextlib.asynccontextmanager
async def _open_journal(context: AppContext, database: Database, lease: Lease) -> AsyncGenerator[SqlJournal]:
    """Yield the journal of the run, and release the lease at the end, however that comes."""
    journal = SqlJournal(database, lease, context.clock)
    try:
        yield journal
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(StoreError):
            await journal.release()


async def _show_written(database: Database, progress: Progress, observer: ViewObserver, after: int, last: int) -> None:
    """Show the records with numbers above `after`, up to `last`."""
    while after < last:
        page = await queries.events(database, progress.run.id, after, last - after)
        observer.turned(progress, page, {})
        after = page[-1].seq


def _build_engine(
    context: AppContext,
    journal: SqlJournal,
    progress: Progress,
    cloud: CloudClient,
    listener: Listener,
    experience: Experience,
) -> Engine:
    """Return the engine of the run. The cloud knows by then which limits and which passwords there were before."""
    cloud.recall(experience.limits)
    secrets = PlanSecrets()
    # An earlier process may have sent them, and the cloud may quote them only now.
    for password in secrets.passwords(_orders(progress)):
        cloud.hide(password)
    dependencies = Dependencies(
        cloud, journal, secrets, listener, context.clock, SystemChance(), token, CalendarReader()
    )
    return Engine(progress, dependencies, experience)


def _orders(progress: Progress) -> Iterator[Order]:
    """Yield the orders of all targets; last those of the ended ones, which a release or a retry may take up again."""
    yield from (target.order for target in sorted(progress.targets.values(), key=lambda target: target.ended))


@contextlib.asynccontextmanager
async def _attend(
    engine: Engine, journal: SqlJournal, cloud: CloudClient, listeners: _Listeners, departure: _Departure
) -> AsyncGenerator[TaskGroup]:
    """Attend to view and signals while the engine drives; then release the lease and record why this process leaves.

    Yield the group of the tasks beside the engine, which end with it.

    An error of fleetos that ends the engine is not raised but noted in `departure`.
    """
    progress, observer, notifier = engine.progress, listeners.observer, listeners.notifier
    observer.started(progress, engine.rollout)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tick, observer)
            tasks.start_soon(_handle_signals, engine, listeners, departure)
            with departure.scope:
                try:
                    yield tasks
                    await notifier.drain(ended=progress.run.state in RUN_ENDS)
                except FleetosError as error:
                    departure.error = error
            # Signals are still handled here: one that comes now must not end the process before this is written.
            await _release_lease(journal, progress, observer, _leave_event(engine, departure))
            tasks.cancel_scope.cancel()
    except BaseException as defect:
        await _release_lease(journal, progress, observer, _driver_ended(LeftBy.ERROR, type(defect).__name__))
        raise
    finally:
        observer.ended(cloud.requests)


async def _remember(
    database: Database, engine: Engine, cloud: CloudClient, earlier: Experience, departure: _Departure
) -> None:
    """Store what this process learned: it helps the next one, however the run was left."""
    learned = engine.experience.with_limits(cloud.learned())
    if learned == earlier:
        return
    try:
        await history.add_experience(database, scope_key(engine.progress.run.scope), learned, earlier)
    except StoreError:
        # The error that ended the run says more than the failure to remember.
        if departure.error is None:
            raise


def resume_hint(progress: Progress) -> str:
    """Return the hint for an unfinished run: its powered-off servers, and the command that resumes it."""
    stopped, run = stopped_words(len(powered_off(progress))), progress.run
    return f"{stopped} because of run {run.id}. Continue with: {resume_command(run)}"


def _leave_event(engine: Engine, departure: _Departure) -> RunDriverEnded:
    """Return the event that says why this process leaves a run that has not ended."""
    if departure.signal is not None:
        return _driver_ended(LeftBy.SIGNAL, departure.words)
    if departure.error is not None:
        return _driver_ended(LeftBy.ERROR, departure.error.message)
    if engine.trouble is not None:
        return _driver_ended(LeftBy.ERROR, engine.trouble.detail)
    if engine.rest is not None:
        return _driver_ended(LeftBy.WAIT, engine.rest.words)
    return _driver_ended(LeftBy.PAUSE)


def _driver_ended(why: LeftBy, detail: str = "") -> RunDriverEnded:
    return RunDriverEnded(str(this_process()), why, detail)


async def _release_lease(journal: SqlJournal, progress: Progress, observer: ViewObserver, last: RunDriverEnded) -> None:
    """Release the lease and record why. Ignore errors of the database: the lease expires in any case."""
    with anyio.CancelScope(shield=True), contextlib.suppress(StoreError):
        for record in await journal.release(last):
            progress.update_targets(fold_run(progress.run, last, record.at), ())
            observer.forward_record(progress, record)


async def _tick(observer: ViewObserver) -> None:
    while True:
        await anyio.sleep(TICK_S)
        observer.tick()


def _leave_signals() -> list[Signals]:
    """Return the signals that ask fleetos to leave: not SIGHUP where it is ignored, as under nohup."""
    return [SIGINT, SIGTERM, *([] if getsignal(SIGHUP) is SIG_IGN else [SIGHUP])]


async def _handle_signals(engine: Engine, listeners: _Listeners, departure: _Departure) -> None:
    """Let the requests on the wire end after a signal, and leave at once after the second SIGINT or SIGTERM.

    SIGHUP counts as neither of the two, whenever it comes: a terminal that closes sends it more than once, systemd
    sends it right behind SIGTERM (systemd.kill, SendSIGHUP), and of signals that come together any may be taken first.
    """
    with anyio.open_signal_receiver(*_leave_signals()) as signals:
        async for signal in signals:
            if departure.signal is not None and signal is SIGHUP:
                continue
            if departure.signal not in (None, SIGHUP):
                departure.at_once = True
                departure.words = f"{departure.words}, then {signal.name}"
                departure.scope.cancel()
                return
            departure.signal, departure.words = signal, signal.name
            listeners.observer.note(
                f"{signal.name}: starting no more servers, waiting for answers to the requests in flight. Another "
                f"SIGINT or SIGTERM exits at once. {resume_hint(engine.progress)}"
            )
            engine.leave()
            listeners.notifier.leave()
