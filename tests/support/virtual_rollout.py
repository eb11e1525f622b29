"""A plan file, rolled out in virtual time: the real plan, preflight, freeze, engine and client on the simulated cloud.

Days of the cloud take seconds. No sockets, no threads, no database.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, count
from pathlib import Path

import anyio

from fleetos.app.survey import survey
from fleetos.clock import Moment
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.engine.engine import Dependencies, Engine, Intervals
from fleetos.errors import AnswerLost, NotSent
from fleetos.model.journal.events import Enlisted, Record, RunCreated
from fleetos.model.plan import Plan
from fleetos.model.progress import Progress
from fleetos.model.run import Scope
from fleetos.model.states import Command
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.freeze import freeze as freeze_plan
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.secrets import PlanSecrets
from fleetos.planning.settings import CloudFacts
from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.in_process import SimTransport
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.virtual_time import VirtualLoop, now_s, run
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.store.memory_journal import MemoryRun, freeze
from tests.support.chance import SeededChance
from tests.support.ledger import CHANGES

Watch = Callable[[MemoryRun, Sequence[Record]], None]
"""Watcher of what a turn wrote; it may ask the run for something."""

# A task that asks again without a wait must not stop time itself.
_ROUND_S = 1e-6
# A rollout that waits for longer waits for ever.
_DAYS_MAX = 10
# Most of the time nothing happens for hours.
_SELDOM = Intervals(turn_s=60.0, requests_s=60.0)


@dataclass
class DatedClock:
    """Clock of the virtual loop, which began at that time of day."""

    begin: datetime

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=now_s())

    def moment(self) -> Moment:
        return Moment(self.now(), now_s(), now_s())


class FilesAtOnce:
    """Calendar files, read without a thread."""

    async def read(self, path: str) -> str | None:
        return _read(path)


@dataclass
class _Listener:
    store: MemoryRun
    watch: Watch

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        del progress, requests
        self.watch(self.store, records)


@dataclass(frozen=True)
class PlayedRollout:
    """What is left of a rollout: its run, and the cloud as it was in truth."""

    store: MemoryRun
    cloud: SimulatedCloud

    def changes(self) -> Iterator[tuple[datetime, str]]:
        """Yield when each accepted change was sent, and the name of its server, in their order."""
        for write in self.cloud.world.ledger.writes:
            if write.operation in CHANGES and write.came == "accepted":
                yield _time(write), self.cloud.world.servers[write.servers[0]].spec.name

    def outages(self) -> Iterator[tuple[str, float, float]]:
        """Yield the id of each server that was changed, and from when to when it was out: from its stop on."""
        down: dict[str, float] = {}
        for write in self.cloud.world.ledger.writes:
            if write.operation == "stop" and write.at is not None:
                down.update(dict.fromkeys(write.acted_on, write.at))
            elif write.operation in CHANGES and write.ended_at is not None:
                yield write.servers[0], down[write.servers[0]], write.ended_at


def _read(path: str) -> str:
    return Path(path).read_text("utf-8")


def most_at_once(spans: Collection[tuple[float, float]]) -> int:
    """Return the largest number of spans that overlap. One that begins where another ends does not overlap it."""
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return max(accumulate(step for _, step in edges), default=0)


def _time(write: LedgerEntry) -> datetime:
    return datetime.fromtimestamp(write.sent_at, UTC)


def roll_out(path: Path, scenario: Scenario, begin: datetime, watch: Watch) -> PlayedRollout:
    """Play the plan from that time on, until its driver leaves; `watch` sees each turn."""
    return run(lambda: _roll_out(load_plan(path), scenario, begin, watch), lambda: VirtualLoop(_ROUND_S))


def freeze_in_virtual_time(path: Path, scenario: Scenario, begin: datetime) -> tuple[Plan, FrozenRun]:
    """Return the plan, and the run that it is at that time, in the cloud of that scenario."""
    plan = load_plan(path)
    return plan, run(lambda: _freeze(plan, scenario, begin), lambda: VirtualLoop(_ROUND_S))


async def _freeze(plan: Plan, scenario: Scenario, begin: datetime) -> FrozenRun:
    async with _begun(plan, scenario, begin) as (_, _, frozen):
        return frozen


@asynccontextmanager
async def _begun(
    plan: Plan, scenario: Scenario, begin: datetime
) -> AsyncGenerator[tuple[SimulatedCloud, CloudClient, FrozenRun]]:
    """Yield the cloud, a client that is logged in, and the run that the plan is there."""
    loop, clock = asyncio.get_running_loop(), DatedClock(begin)
    cloud = SimulatedCloud(scenario, begin.timestamp(), lambda: begin.timestamp() + loop.time())
    transport = SimTransport(cloud, anyio.sleep, lambda _: NotSent("refused"), lambda _: AnswerLost("reset"))
    login = Credentials(
        "http://cloud.example/v3",
        Password(USER, PASSWORD, DOMAIN),
        project_name=PROJECT,
        region=REGION,
        insecure_http=True,
    )
    chance = SeededChance(scenario.seed)
    async with open_cloud(login, clock=clock, chance=chance, limits=plan.api, env={}, inner=transport) as client:
        facts, place = CloudFacts(names_user=client.place.user_id is not None), client.place
        found = await survey(plan, client, facts)
        scope = Scope(plan.cloud, place.region, place.project_id, str(place.ecs))
        yield cloud, client, freeze_plan(plan, found, scope=scope, facts=facts, run_id="play", now=clock.now())


async def _roll_out(plan: Plan, scenario: Scenario, begin: datetime, watch: Watch) -> PlayedRollout:
    clock = DatedClock(begin)
    async with _begun(plan, scenario, begin) as (cloud, client, frozen):
        targets = [event.target for event in frozen.events if isinstance(event, Enlisted)]
        further = [event for event in frozen.events if not isinstance(event, Enlisted | RunCreated)]
        store = freeze(frozen.run, targets, further, clock.now())
        numbers, journal = count(1), store.open_journal(clock)
        edge = Dependencies(
            client,
            journal,
            PlanSecrets(),
            _Listener(store, watch),
            clock,
            SeededChance(scenario.seed),
            lambda: f"c{next(numbers)}",
            FilesAtOnce(),
        )
        with anyio.fail_after(_DAYS_MAX * 86_400):
            await Engine(store.progress(), edge, beats=_SELDOM).drive("machine-1:1", Command.APPLY)
    cloud.advance()
    return PlayedRollout(store, cloud)
