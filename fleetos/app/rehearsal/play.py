"""Play a frozen run once, in virtual time: the real engine, rules and client on a simulated cloud.

No sockets, no threads, no database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

import anyio

from fleetos.app.rehearsal.approver import Approver
from fleetos.app.rehearsal.record import describe_play
from fleetos.app.rehearsal.script import HORIZON, Script
from fleetos.app.rehearsal.world import make_cloud
from fleetos.clock import Moment
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.connect import open_cloud
from fleetos.engine.engine import Dependencies, Engine, Intervals
from fleetos.errors import AnswerLost, NotSent
from fleetos.limits import LEASE_TERM_S
from fleetos.model.journal.events import Record
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Run, Secrets
from fleetos.model.states import Command
from fleetos.model.steering.rehearsal import Play, Supposition
from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.in_process import SimTransport
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.virtual_time import VirtualLoop, now_s, run
from fleetos.store.memory_journal import freeze

# A task that asks again without a wait must not stop time itself.
_ROUND_S = 1e-6
# Most of the time nothing happens for hours, so that people look, and turns come, as seldom as the result allows.
_LOOK_MAX_S = 60.0
_LOOK_MIN_S = 1.0
_LOOKS_PER_WAIT = 15
# Nobody else takes the lease, which holds for LEASE_TERM_S.
_BEAT_S = LEASE_TERM_S * 0.8
# The client tells a simulated cloud by its address, and then waits less for lost requests.
_LOOPBACK, _ELSEWHERE = "http://127.0.0.1/v3", "http://cloud.example/v3"


@dataclass(frozen=True, slots=True)
class _VirtualClock:
    """Clock of the virtual loop, which began at that time of day."""

    begin: datetime

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=now_s())

    def moment(self) -> Moment:
        elapsed_s = now_s()
        return Moment(self.begin + timedelta(seconds=elapsed_s), elapsed_s, elapsed_s)


class _SeedChance:
    """Chance by the seed of the play."""

    def __init__(self, seed: int) -> None:
        self._draws, self._numbers = RandomDraws(seed), count()

    def fraction(self) -> float:
        return self._draws.unit("chance", next(self._numbers))


class _NoSecrets:
    """Source of orders that were stripped of their secrets."""

    def resolve(self, order: Order) -> Secrets:
        del order
        return Secrets()


@dataclass(frozen=True, slots=True)
class _Calendars:
    """Calendar files as they were at the freeze."""

    texts: Mapping[str, str | None]

    async def read(self, path: str) -> str | None:
        return self.texts.get(path)


class _Nobody:
    """Listener who takes note of nothing."""

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        del progress, records, requests


def play(script: Script, supposition: Supposition, seed: int) -> Play:
    """Return how one play of the run went. The same seed gives the same play."""
    return run(lambda: _play(script, supposition, seed), lambda: VirtualLoop(_ROUND_S))


async def _play(script: Script, supposition: Supposition, seed: int) -> Play:
    clock, chance, begin_s = _VirtualClock(script.begin), _SeedChance(seed), script.begin.timestamp()
    cloud = make_cloud(script, seed, supposition.failure_rate, lambda: begin_s + now_s())
    store = freeze(_supposed_run(script, supposition), script.targets, script.further_events, script.begin)
    inner = SimTransport(cloud, anyio.sleep, lambda _: NotSent("refused"), lambda _: AnswerLost("reset"))
    login = _login(script)
    async with open_cloud(login, clock=clock, chance=chance, limits=script.limits, env={}, inner=inner) as client:
        client.recall(script.known.limits)
        journal, calendars, calls = store.open_journal(clock, beat_s=_BEAT_S), _Calendars(script.calendars), count()
        edge = Dependencies(
            client, journal, _NoSecrets(), _Nobody(), clock, chance, lambda: f"call-{next(calls)}", calendars
        )
        look_s = _look_s(supposition)
        engine = Engine(store.progress(), edge, script.known, Intervals(_LOOK_MAX_S, look_s))
        await _drive(engine, Approver(store, clock, supposition.approve_after_s, look_s))
        cloud.advance()
        return describe_play(store, engine, cloud, script, (client.read_rate_per_s(), client.write_rate_per_s()))


def _login(script: Script) -> Credentials:
    """Return the login to the simulated cloud, at an address of the kind that the run was frozen for."""
    address = _LOOPBACK if script.run.settings.loopback else _ELSEWHERE
    proof = Password(USER, PASSWORD, DOMAIN)
    return Credentials(address, proof, project_name=PROJECT, region=REGION, insecure_http=True)


def _supposed_run(script: Script, supposition: Supposition) -> Run:
    run = script.run
    if supposition.concurrency is None:
        return run
    return replace(run, settings=replace(run.settings, concurrency=supposition.concurrency))


def _look_s(supposition: Supposition) -> float:
    """Return how often approvers look at the run, and the run at what they say."""
    return min(max(supposition.approve_after_s / _LOOKS_PER_WAIT, _LOOK_MIN_S), _LOOK_MAX_S)


async def _drive(engine: Engine, approver: Approver) -> None:
    """Drive the run until it ends or pauses, or the horizon is reached."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(approver.watch)
        with anyio.move_on_after(HORIZON.total_seconds()):
            await engine.drive("rehearsal", Command.APPLY)
        tasks.cancel_scope.cancel()
