"""One simulated cloud for each process that runs tests, behind a relay that keeps what passes."""

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
import pytest_asyncio

from fleetos.cloud.client import CloudClient
from fleetos.sim.scenario.scenario import DEFAULT_KEY
from tests.fidelity.relay import Relay, wire_to
from tests.fidelity.sent_requests import KEY
from tests.fidelity.sim_process import fleetos_client, served
from tests.fidelity.vendor import Vendor, project_of, signing

OLD_KEY = "12345678-9ebf-4469-9cfa-e7b5b80da846"
# One of each kind that answers show differently; a test that changes servers has some of its own among the others.
SCENARIO = {
    "seed": 23,
    "flavors": [{}, {"id": "s3.xlarge.4", "vcpus": 4, "ram_mb": 16384}],
    "servers": [
        {"count": 12, "name": "web-###", "tags": ["role=web", "plain"], "key": "KeyPair-350b", "data_disks": 1},
        {"count": 12, "name": "off-###", "state": "stopped"},
        {
            "count": 2,
            "name": "big-#",
            "flavor": "s3.xlarge.4",
            "enterprise_project": "ep-of-its-own",
            "address": "10.1.2.3",
        },
        {"count": 8, "name": "fuzz-#"},
        {"count": 3, "name": "doomed-#", "state": "stopped"},
        {"name": "locked", "locked": True},
        {"name": "failed", "state": "failed"},
        {"name": "diskless", "state": "stopped", "system_disk": False},
    ],
    "images": [
        {"name": "Standard_Debian_11_latest"},
        {"name": "Standard_Debian_12_latest", "flags": {"__support_fc_inject": "true", "hw_firmware_type": "bios"}},
        {"name": "Windows", "os_type": "Windows", "imagetype": "private", "min_disk_gb": 60},
        {"name": "Queued", "status": "queued"},
    ],
    "quota": {"volumes": 200, "gigabytes": 10000, "servers": -1},
    "encryption_keys": [{"id": DEFAULT_KEY}, {"id": OLD_KEY, "state": "disabled"}],
    "enterprise_projects": [{"id": "0", "name": "default"}, {"id": "ep-of-its-own", "name": "of its own"}],
    "temporary_servers": True,
    "durations": {
        "stop": [0.05, 0.1],
        "start": [0.05, 0.1],
        "reboot": [0.05, 0.1],
        "change": [0.1, 0.2],
        "job_init": [0, 0.02],
    },
}


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of somebody who may use the cloud."""
    folder = tmp_path_factory.mktemp("fidelity")
    scenario = folder / "scenario.json"
    scenario.write_text(json.dumps(SCENARIO), encoding="utf-8")
    with served(folder, scenario) as env:
        yield env


@pytest.fixture(scope="session")
def wire(sim: Mapping[str, str]) -> Iterator[Relay]:
    """The way to the cloud on which everything is kept."""
    with wire_to(sim["OS_AUTH_URL"].removesuffix("/v3")) as relay:
        yield relay


@pytest.fixture(scope="session")
def env(sim: Mapping[str, str], wire: Relay) -> Mapping[str, str]:
    """The environment of somebody who uses the cloud by way of the relay."""
    return {**sim, "OS_AUTH_URL": f"{wire.url}/v3"}


@pytest.fixture(scope="session")
def vendor(env: Mapping[str, str], wire: Relay) -> Iterator[Vendor]:
    """The vendor's SDK, which signs what it sends. What this machine's user has set as proxies is not for loopback."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        yield Vendor(wire.url, signing(project_of(wire.url, env["OS_PROJECT_NAME"])))


@pytest_asyncio.fixture
async def own(env: Mapping[str, str], vendor: Vendor) -> AsyncIterator[CloudClient]:
    """fleetos' client."""
    async with fleetos_client(env) as client:
        yield client


@pytest_asyncio.fixture
async def signed(env: Mapping[str, str], vendor: Vendor) -> AsyncIterator[CloudClient]:
    """fleetos' client, which signs with the access key of the SDK."""
    del vendor  # for the proxies of this machine, which it takes out of the way
    async with fleetos_client(env, KEY) as client:
        yield client
