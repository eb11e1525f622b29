"""The client against the simulated cloud, over real sockets: what the engine gets to hear of each fault."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from fleetos.cloud import session
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.cloud.rate import throttle
from fleetos.errors import AuthenticationFailed, CloudUnreachable
from fleetos.model.codes import AnswerClass, answer_class
from fleetos.model.inventory import Job, JobStatus, Reply
from fleetos.model.plan import ApiLimits
from fleetos.model.run import Order, Secrets
from fleetos.model.traces import NO_TRACES
from fleetos.sim.api.access import Access
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.server.serve import ListenAddress, serve
from tests.support.chance import SeededChance
from tests.support.clocks import ShiftedClock

T = TypeVar("T")
FAST: dict[str, object] = {"stop": (0, 0), "start": (0, 0), "change": (0.01, 0.02), "job_init": (0, 0)}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for real: what waits are for is tested in virtual time."""
    monkeypatch.setattr(session, "READ_WAIT_S", 0.01)
    monkeypatch.setattr(throttle, "CLOSURE_LOOPBACK_S", 0.1)


@dataclass(frozen=True, slots=True)
class ServedCloud:
    """A served cloud, and how to log in to it. The clock is the cloud's and the client's."""

    cloud: SimulatedCloud
    credentials: Credentials
    clock: ShiftedClock

    @asynccontextmanager
    async def client(self, **changes: Any) -> AsyncGenerator[CloudClient]:
        """Yield a client, logged in."""
        credentials = replace(self.credentials, **changes) if changes else self.credentials
        limits = ApiLimits()
        async with open_cloud(
            credentials,
            clock=self.clock,
            chance=SeededChance(1),
            limits=limits,
            env={"HTTPS_PROXY": "http://x.invalid"},
        ) as client:
            yield client

    @property
    def ids(self) -> list[str]:
        """The ids of the servers."""
        return list(self.cloud.world.servers)

    def images(self) -> list[str]:
        """The ids of the images."""
        return list(self.cloud.world.images)


@asynccontextmanager
async def served_cloud(*faults: object, **scenario: object) -> AsyncGenerator[ServedCloud]:
    described = {"durations": FAST, "servers": [{"count": 4}], **scenario, "faults": faults}
    clock = ShiftedClock()
    cloud = SimulatedCloud(Scenario.model_validate(described), clock.now().timestamp(), lambda: clock.now().timestamp())
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(cloud, ListenAddress(), listening.set_result))
    try:
        access = Access(await listening)
        credentials = Credentials(
            auth_url=access.auth_url,
            proof=Password(access.username, access.password, access.user_domain),
            project_name=access.project_name,
            region=access.region,
        )
        yield ServedCloud(cloud, credentials, clock)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def soon(read: Callable[[], Awaitable[T]], right: Callable[[T], bool]) -> T:
    """What a read shows as soon as it is right."""
    async with asyncio.timeout(10):
        while True:
            if right(found := await read()):
                return found
            await asyncio.sleep(0.01)


async def stop(client: CloudClient, ids: list[str]) -> Reply:
    permit = client.permit()
    assert permit is not None
    return await client.stop(ids, hard=True, permit=permit, last_check=lambda: None)


async def change(client: CloudClient, server_id: str, image_id: str, **order: str) -> Reply:
    permit = client.permit()
    assert permit is not None
    wanted = replace(Order(image_id, "name", "v2"), **order)
    return await client.change_os(
        server_id, wanted, Secrets(user_data=b"#!/bin/sh"), stop_first=False, permit=permit, last_check=lambda: None
    )


async def test_a_server_goes_the_whole_way() -> None:
    async with served_cloud() as served, served.client() as client:
        own, image = served.ids[0], served.images()[1]
        since = served.clock.now()
        before = await client.server(own)
        assert before is not None
        assert before.snapshot.running
        stopped = await stop(client, [own])
        assert answer_class(stopped)[0] is AnswerClass.ACCEPTED
        await soon(lambda: client.server(own), lambda seen: seen is not None and seen.snapshot.stopped)
        assert await client.traces(own, since) == NO_TRACES
        reply = await change(client, own, image, keyname="KeyPair-350b")
        assert answer_class(reply)[0] is AnswerClass.ACCEPTED
        job_id: str = getattr(reply, "job_id", "")

        def ended(job: Job | None) -> bool:
            return job is not None and job.status is JobStatus.SUCCESS

        await soon(lambda: client.job(job_id), ended)

        after = await soon(
            lambda: client.server(own),
            lambda seen: seen is not None and seen.snapshot.running and seen.snapshot.image == image,
        )
        assert after is not None
        assert after.snapshot.disk != before.snapshot.disk
        traces = await client.traces(own, since)
        assert traces is not None
        assert any("rebuild" in words for words in traces.words)
        assert any(f"volume {after.snapshot.disk}" in words for words in traces.words)
        assert client.requests["changeos"] == 1


async def test_reading_what_is_there_and_what_is_not() -> None:
    async with served_cloud(temporary_servers=True) as served, served.client() as client:
        inventory = await client.list_servers()
        assert set(inventory.servers) == set(served.ids)
        assert set(await client.sweep([*served.ids, "nobody"])) == set(served.ids)
        assert set(await client.sweep([served.ids[0], "nobody"])) == {served.ids[0]}
        assert await client.server("nobody") is None
        assert await client.job("nobody") is None
        image_id = served.images()[0]
        image = await client.images.by_id(image_id)
        assert image is not None
        assert [one.id for one in await client.images.named(image.name)] == [image_id]
        assert await client.images.named(image.name.lower()) == ()
        assert await client.images.by_id("nobody") is None
        assert await client.project.has_key_pair("KeyPair-350b")
        assert not await client.project.has_key_pair("nobody")


@pytest.mark.parametrize(
    ("fault", "kind", "wipes"),
    [
        ({"do": "cut-before"}, AnswerClass.AMBIGUOUS, 0),
        ({"do": "close-before"}, AnswerClass.AMBIGUOUS, 0),
        ({"do": "cut-after"}, AnswerClass.AMBIGUOUS, 1),
        ({"do": "close-after"}, AnswerClass.AMBIGUOUS, 1),
        ({"do": "error-after"}, AnswerClass.AMBIGUOUS, 1),
        ({"do": "error-after", "code": "Ecs.0100", "status": 500}, AnswerClass.AMBIGUOUS, 1),
        ({"do": "error-after", "code": "APIGW.0201", "form": "html"}, AnswerClass.AMBIGUOUS, 1),
        *(
            ({"do": "garble", "body": how}, AnswerClass.AMBIGUOUS, 1)
            for how in ("html", "truncated", "oversized", "empty", "garbage", "no-job-id")
        ),
        ({"do": "refuse", "code": "Ecs.0005"}, AnswerClass.FATAL, 0),
        ({"do": "refuse", "code": "Ecs.1000", "form": "nested"}, AnswerClass.AMBIGUOUS, 0),
        ({"do": "refuse", "code": "Ecs.0114", "form": "nova"}, AnswerClass.GONE, 0),
        ({"do": "refuse", "code": "Ecs.0603"}, AnswerClass.CONFLICT, 0),
        ({"do": "refuse", "code": "Ecs.0605"}, AnswerClass.LOCKED, 0),
        ({"do": "refuse", "code": "Common.0024"}, AnswerClass.LATER, 0),
        ({"do": "refuse", "code": "APIGW.0308"}, AnswerClass.THROTTLED, 0),
        ({"do": "refuse", "code": "APIGW.0308", "form": "plain"}, AnswerClass.THROTTLED, 0),
        ({"do": "refuse", "code": "APIGW.0307"}, AnswerClass.UNAUTHENTICATED, 0),
        ({"do": "refuse", "code": "Pdp.0001"}, AnswerClass.STOP_RUN, 0),
        ({"do": "refuse", "code": "APIGW.0101"}, AnswerClass.FATAL, 0),
    ],
)
async def test_what_a_fault_on_a_change_proves(fault: dict[str, object], kind: AnswerClass, wipes: int) -> None:
    stopped = [{"count": 1, "state": "stopped"}]
    async with (
        served_cloud({"on": "changeos", "nth": [1], **fault}, servers=stopped) as served,
        served.client() as client,
    ):
        reply = await change(client, served.ids[0], served.images()[1])
        assert answer_class(reply)[0] is kind, reply
        writes = served.cloud.world.ledger.writes
        assert sum(one.operation == "changeos" and one.came == "accepted" for one in writes) == wipes
        assert served.cloud.world.ledger.requests["changeos"] == 1
        assert client.requests["changeos"] == 1


async def test_reads_live_through_faults_that_pass() -> None:
    faults = [
        {"on": "detail", "do": "refuse", "code": "Common.0001", "nth": [1]},
        {"on": "detail", "do": "cut-after", "nth": [3]},
        {"on": "detail", "do": "refuse", "code": "APIGW.0307", "nth": [6]},
    ]
    async with served_cloud(*faults) as served, served.client() as client:
        for _ in range(4):
            assert await client.server(served.ids[0]) is not None
        assert client.requests == {"token": 2, "server": 7}


async def test_a_throttled_scope_opens_again() -> None:
    fault = {"on": "detail", "do": "refuse", "code": "APIGW.0308", "nth": [2, 3]}
    async with served_cloud(fault) as served, served.client() as client:
        for _ in range(3):
            assert await client.server(served.ids[0]) is not None
        assert client.requests == {"token": 1, "server": 5}


async def test_tokens_that_live_for_seconds_carry_on() -> None:
    async with served_cloud(tokens={"lifetime_s": 4, "length": 20_000}) as served, served.client() as client:
        for _ in range(20):
            served.clock.ahead_s += 1.0
            assert await client.server(served.ids[0]) is not None
        assert client.requests["server"] == 20
        renewed = client.requests["token"]
        assert 5 <= renewed <= 8
        # Suspended for longer than a token lives: it is renewed before it is tried.
        served.clock.ahead_s += 3600.0
        assert await client.server(served.ids[0]) is not None
        assert client.requests == {"token": renewed + 1, "server": 21}


async def test_a_wrong_password_is_tried_once() -> None:
    async with served_cloud() as served:
        with pytest.raises(AuthenticationFailed, match="IAM refuses the login"):
            async with served.client(proof=Password("sim", "wrong-password", "sim-domain")):
                pass
        assert served.cloud.world.ledger.requests["token"] == 1


async def test_a_cloud_that_is_not_there_is_unreachable() -> None:
    async with served_cloud() as served:
        pass
    with pytest.raises(CloudUnreachable, match="the login"):
        async with served.client():
            pass
