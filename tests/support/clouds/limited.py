"""A simulated cloud that allows so many requests in a time, and clients that ask it all the time, in virtual time."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx

from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.errors import AnswerLost, NotSent
from fleetos.model.plan import ApiLimits
from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.in_process import SimTransport
from fleetos.sim.scenario.scenario import Scenario
from tests.support.chance import SeededChance
from tests.support.clocks import VIRTUAL_START, VirtualClock, now_s

# A request takes up to this long to reach the cloud, and an answer between these.
ON_THE_WAY_S = 0.05
LATENCY_S = (0.02, 0.08)
HERE, ELSEWHERE = "127.0.0.1:9", "cloud.example"


class Counted(httpx.AsyncBaseTransport):
    """The way of one client to the cloud, which counts what comes back."""

    def __init__(self, cloud: SimulatedCloud, seed: int) -> None:
        self._chance = SeededChance(seed)
        self.statuses: Counter[int] = Counter()
        self.times: list[float] = []
        self._inner = SimTransport(
            cloud, anyio.sleep, lambda request: NotSent(str(request.url)), lambda request: AnswerLost(str(request.url))
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep(ON_THE_WAY_S * self._chance.fraction())
        response = await self._inner.handle_async_request(request)
        if not request.url.path.endswith("/auth/tokens"):
            self.statuses[response.status_code] += 1
            self.times.append(now_s())
        return response

    @property
    def asked(self) -> int:
        """How many requests came back."""
        return self.statuses.total()

    @property
    def refused_share(self) -> float:
        """Which part of all requests was refused for being too many."""
        return self.statuses[429] / max(1, self.asked)


def limited(requests: int, per_s: float, *, stated: bool = False) -> SimulatedCloud:
    """A cloud that allows so many requests in every such time, whoever sends them."""
    rules = [
        {"do": "throttle", "on": ["read", "write"], "requests": requests, "per_s": per_s, "stated": stated},
        {"do": "latency", "on": "any", "seconds": LATENCY_S},
    ]
    scenario = Scenario.model_validate({"servers": [{"count": 10, "name": "web-###"}], "faults": rules})
    return SimulatedCloud(scenario, VIRTUAL_START.timestamp(), lambda: VIRTUAL_START.timestamp() + now_s())


@asynccontextmanager
async def client(
    cloud: SimulatedCloud, host: str, seed: int, limits: ApiLimits
) -> AsyncGenerator[tuple[CloudClient, Counted]]:
    """One process's client, and what is counted of it."""
    counted = Counted(cloud, seed)
    credentials = Credentials(
        f"http://{host}/v3",
        Password(USER, PASSWORD, DOMAIN),
        project_name=PROJECT,
        region=REGION,
        insecure_http=True,
    )
    opening = open_cloud(
        credentials, clock=VirtualClock(), chance=SeededChance(seed), limits=limits, env={}, inner=counted
    )
    async with opening as opened:
        yield opened, counted


async def ask_on(opened: CloudClient, server_id: str, until_s: float, done: Callable[[], None] = lambda: None) -> None:
    """Ask for a server again and again."""
    while now_s() < until_s:
        await opened.server(server_id)
        done()


async def busy(
    cloud: SimulatedCloud,
    for_s: float,
    *,
    host: str = HERE,
    seed: int = 1,
    limits: ApiLimits | None = None,
    askers: int = 16,
) -> Counted:
    """What comes back to a client whose many askers never rest, for so long."""
    server_id = next(iter(cloud.world.servers))
    until_s = now_s() + for_s
    async with (
        client(cloud, host, seed, limits or ApiLimits()) as (opened, counted),
        anyio.create_task_group() as group,
    ):
        for _ in range(askers):
            group.start_soon(ask_on, opened, server_id, until_s)
    return counted
