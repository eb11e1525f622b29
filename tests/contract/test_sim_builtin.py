"""The process behind `cloud: sim`: found again, kept, started again where it was, and dropped by a reset."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fleetos.errors import CloudUnreachable, InputError
from fleetos.sim.api.access import Access
from fleetos.sim.server import builtin
from fleetos.sim.server.state_folder import StateFolder
from tests.unit.sim.harness import LOGIN

pytestmark = pytest.mark.slow

SCENARIO = """
servers: [{count: 3, name: "web-###", state: stopped}]
durations: {change: [0.3, 0.3], job_init: [0, 0]}
"""


def fetch(access: Access, method: str, path: str, body: object = None, token: str = "") -> tuple[Any, str]:
    content = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(access.base_url + path, content, {"X-Auth-Token": token}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read()), answer.headers.get("X-Subject-Token") or ""


def change(access: Access, name: str) -> str:
    described, token = fetch(access, "POST", "/v3/auth/tokens", LOGIN)
    project = described["token"]["project"]["id"]
    server = next(s for s in fetch(access, "GET", "/admin/servers")[0]["servers"] if s["name"] == name)
    image = fetch(access, "GET", "/v2/cloudimages?name=Standard_Debian_12_latest", None, token)[0]["images"][0]["id"]
    path = f"/v2/{project}/cloudservers/{server['id']}/changeos"
    return fetch(access, "POST", path, {"os-change": {"imageid": image}}, token)[0]["job_id"]


async def _left(home: StateFolder) -> None:
    if home.server_pid() is not None:
        await asyncio.sleep(0.1)
        await _left(home)


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[Path]:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    yield tmp_path
    await builtin.reset(tmp_path, tmp_path / "s.yaml")
    await builtin.reset(tmp_path)


async def test_a_killed_process_comes_back_with_its_world_at_its_address(state: Path) -> None:
    scenario = state / "s.yaml"
    access = await builtin.ensure(state, scenario)
    job_id = await asyncio.to_thread(change, access, "web-002")
    pid = builtin.folder_for(state, scenario).server_pid()
    assert pid is not None
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    again = await builtin.ensure(state, scenario)
    assert again == access
    assert builtin.folder_for(state, scenario).server_pid() != pid
    await asyncio.sleep(0.4)
    ledger, _ = await asyncio.to_thread(fetch, again, "GET", "/admin/ledger")
    assert [(w["job_id"], w["ended"]) for w in ledger["writes"]] == [(job_id, "success")]
    truth, _ = await asyncio.to_thread(fetch, again, "GET", "/admin/servers")
    assert [s["status"] for s in truth["servers"]] == ["SHUTOFF", "ACTIVE", "SHUTOFF"]


async def test_callers_that_race_get_one_process(state: Path) -> None:
    scenario = state / "s.yaml"
    found = await asyncio.gather(*(builtin.ensure(state, scenario) for _ in range(5)))
    assert len(set(found)) == 1
    other = await builtin.ensure(state)
    assert other.base_url != found[0].base_url
    truth, _ = await asyncio.to_thread(fetch, other, "GET", "/admin/servers")
    assert len(truth["servers"]) == 200


async def test_another_process_at_the_old_address_is_not_taken_for_ours(state: Path) -> None:
    scenario = state / "s.yaml"
    access = await builtin.ensure(state, scenario)
    home = builtin.folder_for(state, scenario)
    os.kill(home.server_pid() or 0, signal.SIGKILL)
    address = access.base_url.removeprefix("http://")
    command = [sys.executable, "-m", "fleetos.sim.server.serve", "--listen", address, "--servers", "2"]
    stranger = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert stranger.stdout is not None
    assert json.loads(await stranger.stdout.readline())["base_url"] == access.base_url
    again = await builtin.ensure(state, scenario)
    assert again.base_url != access.base_url
    stranger.terminate()
    assert await stranger.wait() == 0


async def test_a_reset_makes_a_new_world(state: Path) -> None:
    scenario = state / "s.yaml"
    access = await builtin.ensure(state, scenario)
    await asyncio.to_thread(change, access, "web-001")
    await builtin.reset(state, scenario)
    assert builtin.folder_for(state, scenario).server_pid() is None
    again = await builtin.ensure(state, scenario)
    ledger, _ = await asyncio.to_thread(fetch, again, "GET", "/admin/ledger")
    assert ledger["writes"] == []


async def test_an_idle_process_ends_and_is_started_again(state: Path) -> None:
    scenario = state / "s.yaml"
    access = await builtin.ensure(state, scenario, idle_exit_s=0.2)
    await asyncio.to_thread(change, access, "web-001")
    home = builtin.folder_for(state, scenario)
    async with asyncio.timeout(20):
        await _left(home)
    again = await builtin.ensure(state, scenario)
    assert again == access
    ledger, _ = await asyncio.to_thread(fetch, again, "GET", "/admin/ledger")
    assert [w["ended"] for w in ledger["writes"]] == ["success"]


async def test_a_bad_scenario_and_a_world_that_cannot_be_read(state: Path) -> None:
    bad = state / "bad.yaml"
    bad.write_text("severs: []")
    with pytest.raises(InputError, match="severs"):
        await builtin.ensure(state, bad)
    home = builtin.folder_for(state, None)
    home.create()
    home.journal.write_text("nonsense\n")
    with pytest.raises(CloudUnreachable, match="cannot be read as the journal"):
        await builtin.ensure(state)
