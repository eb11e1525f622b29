"""The relay passes requests on unchanged, and notes each when it leaves."""

import asyncio
import time

import httpx

from benchmarks.canned import JOB_ID, Canned
from benchmarks.relay import relay
from fleetos.clock import SystemClock
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.scenario.scenario import Scenario


async def test_requests_are_passed_on_and_noted() -> None:
    clock = SystemClock()
    cloud = SimulatedCloud(Scenario(), clock.now().timestamp(), lambda: clock.now().timestamp())
    server = await asyncio.get_running_loop().create_server(lambda: Canned(cloud), "127.0.0.1", 0)
    began_s = time.monotonic()
    async with server:
        with relay(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as passed:
            async with httpx.AsyncClient(base_url=passed.url, trust_env=False) as client:
                first = await client.get("/v1/project/jobs/one")
                await client.get("/v1/project/jobs/two")
            assert passed.first_s(time.monotonic()) is None
    assert first.json()["job_id"] == JOB_ID
    assert [path for _, path in passed.requests] == ["/v1/project/jobs/one", "/v1/project/jobs/two"]
    assert passed.seen("/jobs/") == 2
    noted_s, later_s = passed.first_s(began_s), passed.first_s(began_s, but="/one")
    assert noted_s is not None
    assert later_s is not None
    assert began_s <= noted_s < later_s
