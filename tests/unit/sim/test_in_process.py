from typing import Any

import httpx
import pytest

from fleetos.sim.in_process import SimTransport
from tests.unit.sim.harness import LOGIN, SimHarness


class NeverSentError(Exception):
    """Made for a request that did not leave."""


class NoAnswerError(Exception):
    """Made for an answer that did not come."""


class Sleeper:
    """Sleeps by turning the cloud's clock."""

    def __init__(self, sim: SimHarness) -> None:
        self._bench = sim
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._bench.wait(seconds)


def client(sim: SimHarness, sleeper: Sleeper) -> httpx.AsyncClient:
    transport = SimTransport(
        sim.cloud, sleeper, lambda request: NeverSentError(request.url), lambda request: NoAnswerError(request.url)
    )
    return httpx.AsyncClient(transport=transport, base_url="http://sim.test", headers={"X-Auth-Token": sim.token})


async def test_an_httpx_client_talks_to_the_world() -> None:
    sim = SimHarness(servers=[{"count": 3, "name": "web-###"}])
    async with client(sim, Sleeper(sim)) as http:
        token = await http.post("/v3/auth/tokens", json=LOGIN)
        assert token.status_code == 201
        project = token.json()["token"]["project"]["id"]
        http.headers["X-Auth-Token"] = token.headers["x-subject-token"]
        listed = await http.get(f"/v1/{project}/cloudservers/detail", params={"name": "web", "limit": "2"})
        assert [server["name"] for server in listed.json()["servers"]] == ["web-001", "web-002"]
        assert listed.headers["x-request-id"]
        body = {"os-stop": {"servers": [{"id": sim.id()}]}}
        assert (await http.post(f"/v1/{project}/cloudservers/action", json=body)).json()["job_id"]
    assert sim.look() == ("ACTIVE", "active", "powering-off")


@pytest.mark.parametrize(
    ("do", "error", "slept"),
    [
        ("unreachable", NeverSentError, []),
        ("cut-before", NoAnswerError, []),
        ("cut-after", NoAnswerError, []),
        ("hang-before", NoAnswerError, [50.0]),
        ("hang-after", NoAnswerError, [50.0]),
    ],
)
async def test_lost_requests_raise_what_the_caller_gives(do: str, error: type[Exception], slept: list[float]) -> None:
    rule: dict[str, Any] = {"on": "images", "do": do}
    if slept:
        rule["seconds"] = 50
    sim = SimHarness(faults=[rule])
    sleeper = Sleeper(sim)
    async with client(sim, sleeper) as http:
        with pytest.raises(error):
            await http.get("/v2/cloudimages")
    assert sleeper.slept == slept


async def test_latency_is_slept() -> None:
    sim = SimHarness(faults=[{"on": "images", "do": "latency", "seconds": [3, 3]}])
    sleeper = Sleeper(sim)
    async with client(sim, sleeper) as http:
        assert (await http.get("/v2/cloudimages")).status_code == 200
    assert sleeper.slept == [3.0]
