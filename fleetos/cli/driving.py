"""Driving a run from the command line: engine, view and signals together, and the exit code."""

import contextlib
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from fleetos.cli.exit_codes import ExitCode, code_of, code_of_reason
from fleetos.cli.wiring import scope_key
from fleetos.clock import SystemClock
from fleetos.cloud.ecs import EcsCloud
from fleetos.engine.drive import Edge, Engine
from fleetos.errors import FleetosError, StoreError
from fleetos.ids import SystemChance, token
from fleetos.model.events import RunDriverEnded
from fleetos.model.fold_run import fold_run
from fleetos.model.progress import Progress
from fleetos.model.run import LeftBy
from fleetos.model.states import Command
from fleetos.planning.secrets import PlanSecrets
from fleetos.store import history
from fleetos.store.database import Database
from fleetos.store.holder import this_process
from fleetos.store.journal import SqlJournal
from fleetos.views.onlooker import Onlooker
from fleetos.views.summary import powered_off, stopped_words
from fleetos.views.view import View

# The view lets time pass at this beat while nothing happens.
TICK_S = 0.25
_SIGNALS = {signal.SIGHUP: ExitCode.SIGHUP, signal.SIGINT: ExitCode.SIGINT, signal.SIGTERM: ExitCode.SIGTERM}


@dataclass(slots=True)
class Interruption:
    """The first signal that asked fleetos to leave, if one did; `at_once` after the second."""

    code: ExitCode | None = None
    signal: str = ""
    at_once: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


async def drive(
    database: Database, journal: SqlJournal, progress: Progress, cloud: EcsCloud, view: View, command: Command
) -> int:
    """The exit code, once the run has ended, paused, or was left alone after a signal.

    Raises LeaseLost or JournalUnwritable when the run can be driven no further by this process.
    """
    clock = SystemClock()
    onlooker = Onlooker(view, clock)
    scope = scope_key(progress.run.scope)
    began = await history.experience(database, scope)
    cloud.recall(began.limits)
    secrets = PlanSecrets()
    # An earlier process may have sent them, and the cloud may quote them only now.
    for password in secrets.passwords(target.order for target in progress.targets.values() if not target.ended):
        cloud.hide(password)
    edge = Edge(cloud, journal, secrets, onlooker, clock, SystemChance(), token)
    engine = Engine(progress, edge, began)
    interruption = Interruption()
    trouble: FleetosError | None = None
    onlooker.started(progress)
    try:
        async with _company(engine, onlooker, interruption):
            with interruption.scope:
                try:
                    await engine.drive(str(this_process()), command)
                except FleetosError as error:
                    trouble = error
            # Still in company: a signal that comes now must not end the process before this is written.
            await _give_back(journal, progress, onlooker, _ending(engine, interruption, trouble))
    except BaseException as defect:
        await _give_back(journal, progress, onlooker, _driver_ended(LeftBy.ERROR, type(defect).__name__))
        raise
    finally:
        onlooker.ended(cloud.requests)
    try:
        # However the run was left: what it has learned holds for the next one.
        learned = engine.experience.with_limits(cloud.learned())
        if learned != began:
            await history.remember(database, scope, learned, began)
    except StoreError:
        # What ended the run says more than that it could not be remembered either.
        if trouble is None:
            raise
    if trouble is not None:
        trouble.hint = trouble.hint or as_it_was(progress)
        raise trouble
    if interruption.at_once and interruption.code is not None:
        return interruption.code
    return _code(engine, interruption)


def as_it_was(progress: Progress) -> str:
    """What to know of an unfinished run that cannot be driven now."""
    stopped, run_id = len(powered_off(progress)), progress.run.id
    return f"{stopped_words(stopped)} because of run {run_id}. Continue with: fleetos resume {run_id}"


def _ending(engine: Engine, interruption: Interruption, trouble: FleetosError | None) -> RunDriverEnded:
    """Why this process drives the run no longer, for a run that has not ended."""
    if interruption.code is not None:
        return _driver_ended(LeftBy.SIGNAL, interruption.signal)
    if trouble is not None:
        return _driver_ended(LeftBy.ERROR, trouble.message)
    if engine.trouble is not None:
        return _driver_ended(LeftBy.ERROR, engine.trouble.detail)
    return _driver_ended(LeftBy.PAUSE)


def _driver_ended(why: LeftBy, detail: str = "") -> RunDriverEnded:
    return RunDriverEnded(str(this_process()), why, detail)


async def _give_back(journal: SqlJournal, progress: Progress, onlooker: Onlooker, last: RunDriverEnded) -> None:
    """Give the lease back and say why, as far as the database takes it: the lease runs out in any case."""
    with anyio.CancelScope(shield=True), contextlib.suppress(StoreError):
        for record in await journal.release(last):
            progress.absorb(fold_run(progress.run, last, record.at), ())
            onlooker.told(progress, record)


def _code(engine: Engine, interruption: Interruption) -> int:
    code = code_of(engine.progress)
    if interruption.code is not None and code is ExitCode.RESUMABLE:
        return interruption.code
    return code if engine.trouble is None else code_of_reason(engine.trouble.reason)


@contextlib.asynccontextmanager
async def _company(engine: Engine, onlooker: Onlooker, interruption: Interruption) -> AsyncGenerator[None]:
    """Signals and the passing of time, for as long as the engine drives."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_tick, onlooker)
        tasks.start_soon(_heed, engine, onlooker, interruption)
        yield
        _end(tasks)


def _end(tasks: TaskGroup) -> None:
    tasks.cancel_scope.cancel()


async def _tick(onlooker: Onlooker) -> None:
    while True:
        await anyio.sleep(TICK_S)
        onlooker.tick()


def _heeded() -> list[signal.Signals]:
    """Return the signals that ask fleetos to leave: not SIGHUP where it is ignored, as under nohup."""
    return [
        number
        for number in _SIGNALS
        if number is not signal.SIGHUP or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    ]


async def _heed(engine: Engine, onlooker: Onlooker, interruption: Interruption) -> None:
    """Let the requests on the wire end at the first signal, and leave at once at the second.

    A terminal that closes sends SIGHUP more than once, and systemd sends it right behind SIGTERM (systemd.kill,
    SendSIGHUP): it is never the second.
    """
    with anyio.open_signal_receiver(*_heeded()) as signals:
        async for one in signals:
            if interruption.code is not None:
                if one is signal.SIGHUP:
                    continue
                interruption.at_once = True
                interruption.signal = f"{interruption.signal}, then {one.name}"
                interruption.scope.cancel()
                return
            interruption.code, interruption.signal = _SIGNALS[one], one.name
            onlooker.note(
                f"{one.name}: starting no more servers, waiting for answers to the requests in flight. Another "
                f"SIGINT or SIGTERM exits at once. {as_it_was(engine.progress)}"
            )
            engine.leave()
