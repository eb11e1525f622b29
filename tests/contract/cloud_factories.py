"""Two clouds behind the engine's protocol: the small one of its tests, and the client over the simulated one."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from fleetos.engine.protocols import Cloud
from fleetos.model.plan import ApiLimits
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.orders import SetFaults
from tests.support.builders import NEW_IMAGE, STOPPED
from tests.support.clocks import VIRTUAL_START, now_s
from tests.support.clouds.limited import HERE, client
from tests.support.clouds.small import LOST_AFTER, SmallCloud, refused

SERVERS = 3
REFUSAL = "Ecs.0005"


@dataclass(frozen=True, slots=True)
class CloudUnderTest:
    """A cloud with stopped servers, and how to let its next change go wrong."""

    cloud: Cloud
    ids: Sequence[str]
    image_id: str
    refuse: Callable[[], None]
    lose_answer: Callable[[], None]


@asynccontextmanager
async def small_cloud() -> AsyncGenerator[CloudUnderTest]:
    """Yield the cloud of the engine's tests."""
    ids = [f"server-{number:04d}" for number in range(SERVERS)]
    cloud = SmallCloud(ids, STOPPED)
    results = cloud.results["change"]
    yield CloudUnderTest(
        cloud, ids, NEW_IMAGE, lambda: results.append(refused(REFUSAL)), lambda: results.append(LOST_AFTER)
    )


@asynccontextmanager
async def simulated_cloud() -> AsyncGenerator[CloudUnderTest]:
    """Yield the client, logged in to the simulated cloud without sockets."""
    content = {"servers": [{"count": SERVERS, "state": "stopped"}], "durations": {"change": (5, 10)}}
    scenario = Scenario.model_validate(content)
    sim = SimulatedCloud(scenario, VIRTUAL_START.timestamp(), lambda: VIRTUAL_START.timestamp() + now_s())
    image = sim.world.find_image("Standard_Debian_12_latest")
    assert image is not None

    def fault(**rule: object) -> None:
        rules = Scenario.model_validate({"faults": [{"on": "changeos", **rule}]}).faults
        sim.execute_order(SetFaults(kind="faults", rules=rules))

    async with client(sim, HERE, 1, ApiLimits()) as (cloud, _):
        yield CloudUnderTest(
            cloud,
            list(sim.world.servers),
            image.id,
            lambda: fault(do="refuse", code=REFUSAL, status=400),
            lambda: fault(do="cut-after"),
        )


async def until_ended(cloud: Cloud, job_id: str) -> None:
    """Return once the job has ended. Fail if it takes longer than a change of these clouds may."""
    for _ in range(60):
        job = await cloud.job(job_id)
        if job is None or job.status.final:
            return
        await anyio.sleep(1)
    raise AssertionError(f"{job_id} does not end")
