"""One process of fleetos: it logs in, takes the run, drives it, and ends in one way or another."""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from itertools import count

from fleetos.clock import Moment
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.engine.engine import Dependencies, Engine, Intervals
from fleetos.engine.undriven import answer_requests
from fleetos.errors import CloudError, CloudUnreachable, FleetosError, JournalUnwritable, LeaseLost, RunDriven
from fleetos.model.inventory import Job, Reply, Server
from fleetos.model.journal.events import Event, Record
from fleetos.model.journal.requests import OperatorRequest, RequestKind
from fleetos.model.permit import LastCheck, Permit
from fleetos.model.plan import ApiLimits
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Run, Secrets, Target
from fleetos.model.states import COMES_TO_REST, QUEUED, Command, RunState
from fleetos.model.traces import Traces
from fleetos.planning.secrets import PlanSecrets
from fleetos.rules.admission.journal_facts import standing_of
from fleetos.rules.admission.why_not import find_wait
from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.virtual_time import now_s
from fleetos.store.journal import SqlJournal
from fleetos.store.memory_journal import CommitFaults, MemoryJournal
from tests.simulation.operator_acts import ask
from tests.simulation.process import Process
from tests.simulation.run_context import RunContext
from tests.simulation.run_trace import Ended, Session, StatedWait
from tests.simulation.spec_steering import CALENDAR, calendar_text
from tests.simulation.wire import Wire
from tests.support.chance import SeededChance

# Slower than a real process, since most of the play's own time goes into the seconds in which nothing happens.
BEATS = Intervals(turn_s=300.0, requests_s=120.0)
LEASE_BEAT_S = 20.0
# Share of the processes that a timer sends to a run which only an operator resumes.
_BY_TIMER = 0.3


LeasedJournal = MemoryJournal | SqlJournal


class Recorder:
    """The journal of one process, with a point to die at before and after each commit that holds records."""

    def __init__(self, process: Process, context: RunContext, inner: LeasedJournal) -> None:
        self._process = process
        self._context = context
        self._inner = inner

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """Return the records, once durable."""
        self._process.point("before commit")
        try:
            records = await self._inner.append(run, events, changed, at, answered)
        except LeaseLost:
            self._context.facts["epoch-lost-in-commit"] += 1
            raise
        self._process.point("after commit")
        return records

    async def requests(self) -> Sequence[OperatorRequest]:
        """Return the operator's requests."""
        return await self._inner.requests()

    def lease_valid(self, moment: Moment) -> bool:
        """Return whether the lease was renewed within its term."""
        return self._inner.lease_valid(moment)

    async def keep_lease(self) -> None:
        """Renew the lease until cancelled."""
        await self._inner.keep_lease()


class Watched:
    """The cloud of one process; notes each write that the last check keeps from leaving."""

    def __init__(self, inner: CloudClient, process: Process, context: RunContext) -> None:
        self._inner = inner
        self._process = process
        self._context = context

    def permit(self) -> Permit | None:
        return self._inner.permit()

    def permit_in_s(self) -> float:
        return self._inner.permit_in_s()

    def read_rate_per_s(self) -> float | None:
        return self._inner.read_rate_per_s()

    def write_rate_per_s(self) -> float | None:
        return self._inner.write_rate_per_s()

    def sweep_calls(self, servers: int) -> int:
        return self._inner.sweep_calls(servers)

    @property
    def requests(self) -> Mapping[str, int]:
        return self._inner.requests

    async def server(self, server_id: str) -> Server | None:
        return await self._inner.server(server_id)

    async def sweep(self, server_ids: Sequence[str]) -> Mapping[str, Server]:
        return await self._inner.sweep(server_ids)

    async def job(self, job_id: str) -> Job | None:
        return await self._inner.job(job_id)

    async def traces(self, server_id: str, since: datetime) -> Traces | None:
        return await self._inner.traces(server_id, since)

    async def stop(self, server_ids: Sequence[str], *, hard: bool, permit: Permit, last_check: LastCheck) -> Reply:
        return await self._inner.stop(server_ids, hard=hard, permit=permit, last_check=self._noting(last_check))

    async def start(self, server_ids: Sequence[str], *, permit: Permit, last_check: LastCheck) -> Reply:
        return await self._inner.start(server_ids, permit=permit, last_check=self._noting(last_check))

    async def change_os(
        self,
        server_id: str,
        order: Order,
        secrets: Secrets,
        *,
        stop_first: bool,
        permit: Permit,
        last_check: LastCheck,
    ) -> Reply:
        return await self._inner.change_os(
            server_id,
            order,
            secrets,
            stop_first=stop_first,
            permit=permit,
            last_check=self._noting(last_check),
        )

    def _noting(self, last_check: LastCheck) -> LastCheck:
        def check() -> str | None:
            why = last_check()
            if why is not None:
                context, number = self._context, self._process.number
                lost = context.epochs.get(number) != context.store.epoch
                context.facts["zombie-stopped-at-last-check" if lost else "stopped-at-last-check"] += 1
                context.log_line(f"  {why}")
            return why

        return check


class Calendars:
    """The calendar files of a play, which cannot be read for a while."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    async def read(self, path: str) -> str | None:
        """Return the content of the file; None if it cannot be read."""
        steering = self._context.spec.steering
        if steering is None or path != CALENDAR:
            return None
        if any(since_s <= now_s() < until_s for since_s, until_s in steering.unreadable):
            return None
        return calendar_text(steering.denied)


class Onlooker:
    """Hears of each turn, counts the slots, and asks why those in the queue wait."""

    def __init__(self, process: Process, context: RunContext) -> None:
        self._process = process
        self._context = context

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        """Note the slots that are taken, and the waits where a plan has steering."""
        context = self._context
        context.most_slots = max(context.most_slots, progress.slots_taken)
        if context.spec.steering is None:
            return
        now, last = self._process.now(), len(context.store.records)
        standing = standing_of(progress, now)
        for target in progress.targets.values():
            if target.state in QUEUED and (wait := find_wait(target, standing)) is not None:
                told = StatedWait(now_s(), now, last, target.server_id, wait.reason, wait.ends_at)
                context.waits.append(told)


@contextlib.asynccontextmanager
async def logged_in(process: Process, context: RunContext, limits: ApiLimits) -> AsyncGenerator[CloudClient]:
    """Yield the cloud as a client of this process sees it."""
    spec = context.spec
    host = "127.0.0.1:9" if spec.loopback else "cloud.example"
    credentials = Credentials(
        f"http://{host}/v3",
        Password(USER, PASSWORD, DOMAIN),
        project_name=PROJECT,
        region=REGION,
        insecure_http=True,
    )
    chance = SeededChance(spec.seed * 1000 + process.number)
    opening = open_cloud(credentials, clock=process, chance=chance, limits=limits, env={}, inner=Wire(process, context))
    async with opening as cloud:
        yield cloud


async def drive(process: Process, context: RunContext) -> None:
    """Nothing, once the process has ended; how, stands in the notes."""
    began_s = now_s()
    context.log_line("starts")
    try:
        ended, trouble = await _drive(process, context)
    except BaseException as error:  # noqa: BLE001 - a process ends by whatever it ends by, and that is the finding
        ended, trouble = _end_by(error, process)
        context.texts.append(f"{error!r} {getattr(error, 'hint', '')}")
    epoch = context.epochs.get(process.number, 0)
    if context.filed is not None and (torn := context.filed.torn()):
        context.torn.append(f"after process {process.number} at {now_s():.3f}: {torn}")
    context.sessions.append(Session(process.number, epoch, began_s, now_s(), ended, trouble))
    context.log_line(f"ends: {ended} {trouble}")


async def _drive(process: Process, context: RunContext) -> tuple[Ended, str]:
    store = context.store
    async with logged_in(process, context, _limits(store.run)) as cloud:
        if (other := context.woken()) is not None:
            raise RunDriven(f"process {other} has renewed its lease", "")
        command = await _called_for(process, context)
        journal, progress = await _taken(process, context)
        context.epochs[process.number] = context.store.epoch
        numbers = count(1)
        edge = Dependencies(
            cloud=Watched(cloud, process, context),
            journal=Recorder(process, context, journal),
            secrets=PlanSecrets(context.env),
            listener=Onlooker(process, context),
            clock=process,
            chance=SeededChance(context.spec.seed * 1000 + process.number),
            new_id=lambda: f"call-{process.number}-{next(numbers)}",
            calendars=Calendars(context),
        )
        if command is Command.REQUEST:
            await answer_requests(edge.journal, progress, process.now())
        engine = Engine(progress, edge, beats=BEATS)
        await engine.drive(f"machine-{process.number}:1", command)
        if engine.trouble is not None:
            return "left", engine.trouble.detail
        state = engine.progress.run.state
        return ("paused", engine.progress.run.detail) if state is RunState.PAUSED else ("over", "")


async def _called_for(process: Process, context: RunContext) -> Command:
    """Return what the process is called for. A timer may come before the operator to a pause that only he ends."""
    run = context.store.run
    if run.state is not RunState.PAUSED or run.reason not in COMES_TO_REST:
        return Command.RESUME
    if context.chance.unit("timer", process.number) < _BY_TIMER:
        context.facts["pause-met-by-apply"] += 1
        return Command.APPLY
    await ask(context, process, RequestKind.RESUME, "the image was mended")
    return Command.REQUEST


async def _taken(process: Process, context: RunContext) -> tuple[LeasedJournal, Progress]:
    if context.filed is not None:
        return await context.filed.take(process, LEASE_BEAT_S)
    return context.store.open_journal(
        process, CommitFaults(context.fault, context.commit_s), LEASE_BEAT_S
    ), context.store.progress()


def _limits(run: Run) -> ApiLimits:
    return ApiLimits(run.settings.rate_per_s, run.settings.burst, run.settings.connections)


def _end_by(error: BaseException, process: Process) -> tuple[Ended, str]:
    if process.dead:
        return "died", ""
    match error:
        case LeaseLost():
            return "lease-lost", error.message
        case JournalUnwritable():
            return "unwritable", error.message
        case CloudUnreachable():
            return "unreachable", error.message
        case CloudError() | FleetosError():
            return "refused", error.message
        case _:
            return "defect", repr(error)
