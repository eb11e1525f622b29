"""One rollout in virtual time: the real engine and client, and the simulated cloud, in one process without sockets.

Hours of the cloud take seconds, and the same call gives the same numbers, but for those of the machine.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import anyio
import httpx

from fleetos.clock import Moment
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.engine.engine import Dependencies, Engine
from fleetos.errors import AnswerLost, NotSent
from fleetos.model.journal.events import Enlisted, Record, RunCreated
from fleetos.model.plan import ApiLimits, ChangeSpec, Plan, Polling, Rollout, Share
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Scope, Secrets
from fleetos.model.states import Command
from fleetos.planning.freeze import freeze as freeze_plan
from fleetos.planning.preflight.preflight import Preflight, ResolvedServer
from fleetos.planning.settings import CloudFacts
from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.api.routes import find_route
from fleetos.sim.in_process import SimTransport
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.virtual_time import VirtualLoop, now_s, run
from fleetos.sim.wire.messages import SimRequest, WireOutcome
from fleetos.store.memory_journal import MemoryRun, freeze
from tests.support.chance import SeededChance
from tests.support.ledger import Ledger

BORN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "Standard_Debian_12_latest"
# What the names of the servers that are changed begin with; all others are somebody else's.
FLEET = "web-"
# Whoever asks again without waiting must not stop time itself.
_ROUND_S = 1e-6


@dataclass(frozen=True, slots=True)
class Manner:
    """How the fleet is changed. `near`: the client takes the cloud for one on this machine, and sets itself no pace."""

    concurrency: int
    polling: Polling = field(default_factory=Polling)
    limits: ApiLimits = field(default_factory=ApiLimits)
    near: bool = False


@dataclass(slots=True)
class Outlay:
    """What a rollout in virtual time took. Only the first four are virtual; CPU and wall times are this machine's."""

    ledger: Ledger
    asked: Counter[str]
    refused: Counter[str]
    requests_s: list[float]
    ends: Counter[str]
    records: int
    virtual_s: float
    freeze_cpu_s: float
    client_cpu_s: float
    cloud_cpu_s: float

    @property
    def calls(self) -> int:
        """All requests, refused ones included."""
        return self.asked.total()


class VirtualClock:
    """The clock of a client on the virtual loop."""

    def now(self) -> datetime:
        """The time of day."""
        return BORN + timedelta(seconds=now_s())

    def moment(self) -> Moment:
        """This instant; the machine never sleeps."""
        at_s = now_s()
        return Moment(BORN + timedelta(seconds=at_s), at_s, at_s)


class MeteredCloud(SimulatedCloud):
    """A simulated cloud that knows its own CPU time, so that the client's is the rest."""

    cpu_s = 0.0

    def handle(self, request: SimRequest) -> WireOutcome:
        """How the request ends."""
        began_s = time.process_time()
        outcome = super().handle(request)
        self.cpu_s += time.process_time() - began_s
        return outcome


class CountingTransport(httpx.AsyncBaseTransport):
    """Counts the requests that reach the cloud, and those that it refuses for their number."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.asked: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.requests_s: list[float] = []
        self._inner = SimTransport(
            cloud, anyio.sleep, lambda _: NotSent("cannot connect"), lambda _: AnswerLost("connection reset by peer")
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The cloud's answer."""
        operation = _operation(request, await request.aread())
        self.asked[operation] += 1
        self.requests_s.append(now_s())
        response = await self._inner.handle_async_request(request)
        if response.status_code == 429:
            self.refused[operation] += 1
        return response


class NoSecrets:
    """Where the secrets of a plan without any are."""

    def resolve(self, order: Order) -> Secrets:
        """None of them."""
        del order
        return Secrets(adminpass=None)


class Nobody:
    """Whoever does not want to know how the run goes on."""

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        """Nothing."""


def roll_out(scenario: Scenario, manner: Manner) -> Outlay:
    """What it takes to change every server of the scenario whose name begins with FLEET."""
    return run(lambda: _roll_out(scenario, manner), lambda: VirtualLoop(_ROUND_S))


async def _roll_out(scenario: Scenario, manner: Manner) -> Outlay:
    loop = asyncio.get_running_loop()
    world = MeteredCloud(scenario, BORN.timestamp(), lambda: BORN.timestamp() + loop.time())
    transport, clock, chance = CountingTransport(world), VirtualClock(), SeededChance(scenario.seed)
    began_s = time.process_time()
    opening = open_cloud(
        _credentials(manner), clock=clock, chance=chance, limits=manner.limits, env={}, inner=transport
    )
    async with opening as cloud:
        store = await _frozen(cloud, world, clock, manner)
        frozen_s, cloud_before_s = time.process_time(), world.cpu_s
        numbers = count(1)
        journal = store.open_journal(clock)
        edge = Dependencies(cloud, journal, NoSecrets(), Nobody(), clock, chance, lambda: f"call-{next(numbers)}")
        await Engine(store.progress(), edge).drive("machine-1:1", Command.APPLY)
    ended_s = time.process_time()
    world.advance()
    told = world.world.ledger
    return Outlay(
        ledger=Ledger(
            tuple(told.writes),
            tuple(told.disks.values()),
            told.requests,
            told.max_changes_in_flight,
            told.changes_in_flight,
        ),
        asked=transport.asked,
        refused=transport.refused,
        requests_s=transport.requests_s,
        ends=Counter(str(target.state) for target in store.targets.values()),
        records=len(store.records),
        virtual_s=now_s(),
        freeze_cpu_s=frozen_s - began_s - cloud_before_s,
        client_cpu_s=ended_s - frozen_s - (world.cpu_s - cloud_before_s),
        cloud_cpu_s=world.cpu_s,
    )


def _credentials(manner: Manner) -> Credentials:
    host = "127.0.0.1:9" if manner.near else "cloud.example"
    return Credentials(
        f"http://{host}/v3",
        Password(USER, PASSWORD, DOMAIN),
        project_name=PROJECT,
        region=REGION,
        insecure_http=True,
    )


async def _frozen(cloud: CloudClient, world: SimulatedCloud, clock: VirtualClock, manner: Manner) -> MemoryRun:
    """The run, frozen by what the cloud shows, as `fleetos apply` does it."""
    inventory, place = await cloud.list_servers(), cloud.place
    image = world.world.find_image(IMAGE)
    if image is None:
        raise ValueError(f"the world has no image {IMAGE}")
    order = Order(image.id, image.name, "v2", keyname=world.world.scenario.key_pairs[0])
    fleet = [one for one, server in world.world.servers.items() if server.spec.name.startswith(FLEET)]
    servers = tuple(ResolvedServer(inventory.servers[one], order) for one in fleet)
    plan = Plan(
        path=Path("plan.yaml"),
        name="benchmark",
        change=ChangeSpec(image=IMAGE),
        servers=(),
        digest="0" * 64,
        rollout=Rollout(Share(manner.concurrency)),
        polling=manner.polling,
        api=manner.limits,
    )
    frozen = freeze_plan(
        plan,
        Preflight(servers, {IMAGE: image.id}, (), {}, frozenset()),
        scope=Scope("sim", place.region, place.project_id, str(place.ecs)),
        facts=CloudFacts(loopback=manner.near),
        run_id="benchmark",
        now=clock.now(),
    )
    targets = [event.target for event in frozen.events if isinstance(event, Enlisted)]
    more = [event for event in frozen.events if not isinstance(event, Enlisted | RunCreated)]
    return freeze(frozen.run, targets, more, clock.now())


def _operation(request: httpx.Request, body: bytes) -> str:
    route = find_route(request.method, request.url.path)
    if route is None:
        return "unknown"
    if route.operation != "power":
        return route.operation
    return next((verb for verb in ("stop", "start") if f'"os-{verb}"'.encode() in body), "reboot")


def per_server(counts: Counter[str], servers: int) -> Sequence[tuple[str, float]]:
    """How often each operation was asked for, for each server of the fleet; the most frequent first."""
    return [(operation, times / servers) for operation, times in counts.most_common()]
