"""The simulated cloud over real sockets: what a client meets when answers are lost on the wire."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fleetos.errors import UsageError
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.server.serve import ListenAddress, serve
from tests.unit.sim.harness import LOGIN


class Wire:
    """A served cloud and a client that writes HTTP by hand."""

    def __init__(self, cloud: SimulatedCloud, url: str) -> None:
        self.cloud = cloud
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.token = ""

    async def raw(self, method: str, path: str, body: object = None) -> bytes:
        content = json.dumps(body).encode() if body is not None else b""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n"
            head += f"X-Auth-Token: {self.token}\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, str], Any]:
        head, _, content = (await self.raw(method, path, body)).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        return int(lines[0].split()[1]), headers, json.loads(content)

    @property
    def project(self) -> str:
        return self.cloud.world.project_id

    @property
    def server(self) -> str:
        return next(iter(self.cloud.world.servers))

    def stop_path(self) -> str:
        return f"/v1/{self.project}/cloudservers/action"

    def stop_body(self) -> object:
        return {"os-stop": {"servers": [{"id": self.server}]}}


@asynccontextmanager
async def served(*faults: object, **scenario: object) -> AsyncGenerator[Wire]:
    now = 1_800_000_000.0
    cloud = SimulatedCloud(Scenario.model_validate({**scenario, "faults": faults}), now, lambda: now)
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(cloud, ListenAddress(), listening.set_result))
    try:
        wire = Wire(cloud, await listening)
        _, headers, _ = await wire.call("POST", "/v3/auth/tokens", LOGIN)
        wire.token = headers.get("x-subject-token", "")
        yield wire
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_login_a_list_and_a_request_id() -> None:
    async with served(servers=[{"count": 3}]) as wire:
        status, headers, token = await wire.call("POST", "/v3/auth/tokens", LOGIN)
        assert status == 201
        assert headers["x-subject-token"]
        urls = [entry["endpoints"][0]["url"] for entry in token["token"]["catalog"]]
        assert all(url.startswith(wire.url) for url in urls)
        status, headers, content = await wire.call("GET", f"/v1/{wire.project}/cloudservers/detail?name=web")
        assert (status, content["count"]) == (200, 3)
        assert headers["x-request-id"]


@pytest.mark.parametrize(("do", "acted"), [("cut-before", 0), ("cut-after", 1)])
async def test_a_cut_is_a_reset_without_one_byte(do: str, acted: int) -> None:
    async with served({"on": "stop", "do": do}) as wire:
        with pytest.raises(ConnectionResetError):
            await wire.raw("POST", wire.stop_path(), wire.stop_body())
        assert len(wire.cloud.world.jobs) == acted
        assert (await wire.call("GET", "/v2/cloudimages"))[0] == 200


@pytest.mark.parametrize(("do", "acted"), [("close-before", 0), ("close-after", 1)])
async def test_an_orderly_end_is_an_empty_answer(do: str, acted: int) -> None:
    async with served({"on": "stop", "do": do}) as wire:
        assert await wire.raw("POST", wire.stop_path(), wire.stop_body()) == b""
        assert len(wire.cloud.world.jobs) == acted


async def test_a_hang_ends_with_a_reset_after_its_time() -> None:
    async with served({"on": "stop", "do": "hang-after", "seconds": 0.05}) as wire:
        with pytest.raises(ConnectionResetError):
            await wire.raw("POST", wire.stop_path(), wire.stop_body())


async def test_a_client_may_leave_a_request_that_hangs() -> None:
    async with served({"on": "stop", "do": "hang-before"}) as wire:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wire.raw("POST", wire.stop_path(), wire.stop_body())
        assert (await wire.call("GET", "/v2/cloudimages"))[0] == 200


async def test_an_oversized_answer_arrives_whole() -> None:
    async with served({"on": "images", "do": "garble", "body": "oversized"}) as wire:
        assert len(await wire.raw("GET", "/v2/cloudimages")) > 2**25


async def test_a_body_over_the_limit_is_refused() -> None:
    async with served() as wire:
        status, _, content = await wire.call("POST", wire.stop_path(), "x" * 400_000)
        assert (status, content["error_code"]) == (413, "APIGW.0201")


async def test_the_back_door() -> None:
    async with served({"on": "images", "do": "refuse"}) as wire:
        assert (await wire.call("GET", "/v2/cloudimages"))[0] == 500
        assert (await wire.call("POST", "/admin/heal"))[0] == 200
        assert (await wire.call("GET", "/v2/cloudimages"))[0] == 200
        rules = {"faults": [{"on": "images", "do": "refuse", "code": "Ecs.0003"}]}
        assert (await wire.call("POST", "/admin/faults", rules))[2] == {"rules": 1}
        assert (await wire.call("GET", "/v2/cloudimages"))[0] == 403
        status, _, content = await wire.call("POST", "/admin/faults", [{"on": "images", "do": "explode"}])
        assert status == 400
        assert content["error"][0]["at"][:2] == ["rules", "0"]
        assert (await wire.call("GET", "/v2/cloudimages"))[0] == 403

        act = f"/admin/servers/{wire.server}"
        disk = (await wire.call("GET", "/admin/servers"))[2]["servers"][0]["system_disk"]
        change = {"act": "change", "image": "Standard_Debian_12_latest"}
        for body, status in [({"act": "lock"}, 200), (change, 200), ({"act": "stop"}, 200), ({"act": "fly"}, 400)]:
            assert (await wire.call("POST", act, body))[0] == status
        truth = (await wire.call("GET", "/admin/servers"))[2]["servers"][0]
        assert (truth["locked"], truth["status"], truth["stopped_by"]) == (True, "SHUTOFF", None)
        assert truth["system_disk"] != disk
        ledger = (await wire.call("GET", "/admin/ledger"))[2]
        assert [(w["operation"], w["actor"]) for w in ledger["writes"]] == [
            ("lock", "foreign"), ("change", "foreign"), ("stop", "foreign"),
        ]  # fmt: skip
        assert ledger["writes"][1]["disks_destroyed"] == [disk]
        assert ledger["requests"] == {"images": 4, "token": 1}
        assert (await wire.call("POST", act, {"act": "delete"}))[0] == 200
        assert (await wire.call("POST", act, {"act": "start"}))[0] == 409
        assert (await wire.call("GET", "/admin/nothing"))[0] == 404
        assert (await wire.call("GET", "/admin/health"))[2]["changes_in_flight"] == 0
        assert (await wire.call("GET", f"/v1/{wire.project}/cloudservers/{wire.server}"))[0] == 404


async def test_an_idle_process_ends_but_not_while_a_change_is_in_flight() -> None:
    now = [1_800_000_000.0]
    cloud = SimulatedCloud(Scenario.model_validate({"servers": [{"state": "stopped"}]}), now[0], lambda: now[0])
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(cloud, ListenAddress(), listening.set_result, idle_exit_s=0.1))
    wire = Wire(cloud, await listening)
    wire.token = (await wire.call("POST", "/v3/auth/tokens", LOGIN))[1]["x-subject-token"]
    image = next(iter(cloud.world.images))
    path = f"/v2/{wire.project}/cloudservers/{wire.server}/changeos"
    assert (await wire.call("POST", path, {"os-change": {"imageid": image}}))[0] == 200
    await asyncio.sleep(0.5)
    assert not serving.done()
    now[0] += 1000
    async with asyncio.timeout(5):
        await serving


@pytest.mark.parametrize("text", ["0.0.0.0:80", "10.0.0.1:80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ""])
def test_only_loopback_is_served(text: str) -> None:
    with pytest.raises(UsageError):
        ListenAddress.parse(text)


def test_addresses() -> None:
    assert ListenAddress.parse("localhost:0") == ListenAddress("127.0.0.1", 0)
    assert ListenAddress.parse("[::1]:8080") == ListenAddress("::1", 8080)


async def test_long_tokens_pass() -> None:
    async with served(tokens={"length": 30_000}) as wire:
        assert len(wire.token) == 30_000
        assert (await wire.call("GET", "/v2/cloudimages"))[0] == 200
