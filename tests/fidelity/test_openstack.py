"""openstacksdk finds its way into the simulated cloud by itself, and reads there what fleetos reads."""

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleetos.cloud.client import CloudClient
from fleetos.model.inventory import NO_TRAITS, Server
from fleetos.model.run import Order, Secrets
from fleetos.model.traces import LoggedEnd
from tests.fidelity.relay import Relay
from tests.fidelity.server_fields import server_of
from tests.fidelity.sim_process import permit
from tests.fidelity.vendor import Vendor

# What openstacksdk says of its own inside.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for InfluxDB:openstack.warnings.RemovedInSDK60Warning"),
    pytest.mark.filterwarnings("ignore:The 'service_type' parameter:openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore:The _compute_attributes method:openstack.warnings.RemovedInSDK50Warning"),
]
# It comes without types.
openstack: Any = importlib.import_module("openstack")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of the only clouds.yaml that is looked at, which is not there yet; no cloud is in the environment."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    # The usual places are fixed when the library is imported.
    path = tmp_path / "clouds.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    return path


def auth_of(env: Mapping[str, str]) -> Mapping[str, str]:
    """Who asks, as openstacksdk calls it."""
    return {
        "auth_url": env["OS_AUTH_URL"],
        "username": env["OS_USERNAME"],
        "password": env["OS_PASSWORD"],
        "user_domain_name": env["OS_USER_DOMAIN_NAME"],
        "project_name": env["OS_PROJECT_NAME"],
    }


# Who brings a token has logged in with a password of the same file before.
@pytest.fixture(
    params=[
        "password in the environment",
        pytest.param("password in clouds.yaml", marks=pytest.mark.proof),
        "token in clouds.yaml",
    ]
)
def connection(
    request: pytest.FixtureRequest,
    bare: Path,
    env: Mapping[str, str],
    vendor: Vendor,
    wire: Relay,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """A connection that was made in one of the ways in which users have their credentials."""
    del vendor  # for the proxies of this machine, which it takes out of the way
    first = len(wire.kept)
    if request.param == "password in the environment":
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        connected = openstack.connect()
    else:
        entry: dict[str, Any] = {"auth": auth_of(env), "region_name": env["OS_REGION_NAME"]}
        bare.write_text(json.dumps({"clouds": {"sim": entry}}), encoding="utf-8")
        connected = openstack.connect(cloud="sim")
        if request.param == "token in clouds.yaml":
            entry["auth_type"] = "v3token"
            entry["auth"] = {
                "auth_url": env["OS_AUTH_URL"],
                "token": connected.auth_token,
                "project_name": env["OS_PROJECT_NAME"],
                "project_domain_name": env["OS_USER_DOMAIN_NAME"],
            }
            connected.close()
            bare.write_text(json.dumps({"clouds": {"sim": entry}}), encoding="utf-8")
            connected = openstack.connect(cloud="sim")
    try:
        yield connected
    finally:
        connected.close()
    assert all(one.status < 500 for one in wire.since(first))


def as_server(seen: Any) -> Server:
    """A server of openstacksdk in fleetos' terms.

    The native API does not say which disk is the first, knows no enterprise projects, and tells a preflight little.
    """
    return server_of(
        seen,
        state=(seen.vm_state, seen.task_state, seen.power_state),
        disk=seen.attached_volumes[0].id if seen.attached_volumes else None,
        locked=seen.is_locked,
        addresses=(one["addr"] for network in seen.addresses.values() for one in network),
        az=seen.availability_zone,
    )


async def test_servers_images_and_key_pairs(connection: Any, own: CloudClient) -> None:
    servers = {one.id: as_server(one) for one in connection.compute.servers(details=True)}
    listed = (await own.list_servers()).servers
    known_here = {"enterprise_project": None, "traits": NO_TRAITS}
    assert {key: replace(one, **known_here) for key, one in listed.items()} == servers
    paged = [one.id for one in connection.compute.servers(details=True, limit=10)]
    assert paged == list(servers)
    assert [one.name for one in connection.compute.servers(name="b-00")] == [f"web-00{place}" for place in range(1, 10)]

    images = list(connection.image.images())
    assert [one.id for one in connection.image.images(limit=1)] == [one.id for one in images]
    for one in images:
        image = await own.images.by_id(one.id)
        assert image is not None
        assert (image.name, image.status, image.min_disk_gib) == (one.name, one.status, one.min_disk)
        assert image.inject_flag == one.properties.get("__support_fc_inject")
    (windows,) = connection.image.images(name="Windows")
    assert windows.properties["__os_type"] == "Windows"

    (pair,) = connection.compute.keypairs()
    assert await own.project.has_key_pair(pair.name)
    assert connection.compute.get_keypair(pair.name).fingerprint == pair.fingerprint
    with pytest.raises(openstack.exceptions.NotFoundException):
        connection.compute.get_keypair("nobody")


async def test_the_actions_on_a_server(bare: Path, env: Mapping[str, str], own: CloudClient, wire: Relay) -> None:
    del bare  # for the environment, which it takes out of the way
    connection = openstack.connect(**auth_of(env), region_name=env["OS_REGION_NAME"])
    try:
        (server,) = connection.compute.servers(name="off-010")
        (image,) = connection.image.images(name="Standard_Debian_12_latest")
        since = datetime.now(UTC)
        order = Order(image.id, image.name, "v2", keyname="KeyPair-350b")
        await own.change_os(server.id, order, Secrets(), stop_first=False, permit=permit(own), last_check=lambda: None)
        traces = await own.traces(server.id, since)
        assert traces is not None
        (action,) = connection.compute.server_actions(server)
        begun = datetime.fromisoformat(action.start_time).replace(tzinfo=UTC)
        assert traces.words[0] == f"action {action.action} at {begun.isoformat(timespec='seconds')}"
        assert action.project_id == own.place.project_id
        shown = connection.compute.get_server_action(action.request_id, server)
        assert traces.change is not None
        # The change may end between the two looks.
        assert (traces.change.started_at, traces.change.end in (LoggedEnd.RUNNING, LoggedEnd.SUCCESS)) == (begun, True)
        (step,) = shown.events
        assert traces.change.end is LoggedEnd.RUNNING or step["finish_time"] is not None
    finally:
        connection.close()
