"""What fleetos sends is what the vendor's SDK sends for the same intent, as both left on the wire."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from fleetos.cloud.auth.credentials import GivenToken
from fleetos.cloud.client import CloudClient
from fleetos.model.run import Order, Secrets
from tests.fidelity.relay import Relay
from tests.fidelity.sent_requests import KEY, sent, without
from tests.fidelity.sim_process import fleetos_client, permit
from tests.fidelity.vendor import Vendor, ecs, evs, exceptions, iam, ims, login, with_token

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore"),
    pytest.mark.filterwarnings("ignore:Method 'nova_:DeprecationWarning:huaweicloudsdk"),
]
# Servers that there are not: what is sent to them is looked at, and nothing comes of it.
IDS = ("8d1c66b0-9d2b-4b4c-9d55-4a1d7ef51111", "8d1c66b0-9d2b-4b4c-9d55-4a1d7ef52222")


@pytest.fixture
def own(signed: CloudClient) -> CloudClient:
    """fleetos' client, which signs like the SDK."""
    return signed


def refused(call: Callable[[], Any]) -> None:
    """Makes a call that the cloud refuses, since it has no such servers."""
    with pytest.raises(exceptions.ServiceResponseException):
        call()


async def test_the_login(vendor: Vendor, wire: Relay, env: Mapping[str, str]) -> None:
    async with fleetos_client(env):
        mine = sent(wire.last)
    login(vendor, env)
    # The SDK sends its other credentials with the password, which IAM does not look at.
    assert mine == without(sent(wire.last), "authorization", "x-sdk-date", "x-project-id")


async def test_the_project_of_an_access_key(vendor: Vendor, wire: Relay, env: Mapping[str, str]) -> None:
    first = len(wire.kept)
    async with fleetos_client(env, KEY):
        mine = sent(wire.since(first)[0])
    vendor.iam.keystone_list_projects(iam.KeystoneListProjectsRequest(name=env["OS_PROJECT_NAME"]))
    # The project that the SDK names is the one that fleetos asks for.
    assert mine == without(sent(wire.last), "x-project-id")


async def test_requests_with_a_token(vendor: Vendor, wire: Relay, env: Mapping[str, str]) -> None:
    granted = login(vendor, env)
    token, project_id = granted.x_subject_token, granted.token.project.id
    carrying = Vendor(wire.url, with_token(token, project_id))
    async with fleetos_client(env, GivenToken(token)) as client:
        mine = [sent(wire.last)]
        carrying.iam.keystone_validate_token(iam.KeystoneValidateTokenRequest(x_subject_token=token))
        theirs = [sent(wire.last)]
        await client.list_servers()
        mine.append(sent(wire.last))
        carrying.ecs.list_servers_details(ecs.ListServersDetailsRequest(limit=1000, offset=1))
        theirs.append(sent(wire.last))
    # A signature is for a project that must be named; a token has its project in itself.
    assert mine == [without(one, "x-project-id") for one in theirs]


async def test_reads_of_servers(vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    await own.list_servers()
    mine = sent(wire.last)
    vendor.ecs.list_servers_details(ecs.ListServersDetailsRequest(limit=1000, offset=1))
    assert mine == sent(wire.last)
    await own.server(IDS[0])
    mine = sent(wire.last)
    with pytest.raises(exceptions.ClientRequestException):
        vendor.ecs.show_server(ecs.ShowServerRequest(server_id=IDS[0]))
    assert mine == sent(wire.last)
    assert mine.path.endswith(f"/cloudservers/{IDS[0]}")


async def test_a_sweep_by_ids(vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    listed = list((await own.list_servers()).servers)
    first = len(wire.kept)
    await own.sweep(listed[:3])
    mine = [sent(one) for one in wire.since(first)]
    first = len(wire.kept)
    vendor.ecs.list_servers_details(
        ecs.ListServersDetailsRequest(limit=1000, offset=1, server_id=",".join(sorted(listed[:3])))
    )
    assert mine == [sent(one) for one in wire.since(first)]


async def test_a_read_of_a_job(vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    job_id = "ff80808288d41e1b018990260955686a"
    assert await own.job(job_id) is None
    mine = sent(wire.last)
    with pytest.raises(exceptions.ClientRequestException):
        vendor.ecs.show_job(ecs.ShowJobRequest(job_id=job_id))
    assert mine == sent(wire.last)


@pytest.mark.parametrize("name", ["KeyPair-350b", "a key pair: ü~*+%"])
async def test_a_read_of_a_key_pair(name: str, vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    found = await own.project.has_key_pair(name)
    mine = sent(wire.last)
    request = ecs.NovaShowKeypairRequest(keypair_name=name)
    if found:
        vendor.ecs.nova_show_keypair(request)
    else:
        with pytest.raises(exceptions.ClientRequestException):
            vendor.ecs.nova_show_keypair(request)
    assert mine == sent(wire.last)
    assert mine.path.endswith(f"/os-keypairs/{name}")


@pytest.mark.parametrize("name", ["Standard_Debian_11_latest", "a name: ü&=+ ~*/"])
async def test_reads_of_images(name: str, vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    first = len(wire.kept)
    await own.images.named(name)
    mine = [sent(one) for one in wire.since(first)]
    first = len(wire.kept)
    request = {"name": name, "status": "active"}
    if not vendor.ims.list_images(ims.ListImagesRequest(**request)).images:
        vendor.ims.list_images(ims.ListImagesRequest(**request, enterprise_project_id="all_granted_eps"))
    assert mine == [sent(one) for one in wire.since(first)]
    await own.images.by_id(IDS[0])
    mine = [sent(one) for one in wire.kept[-2:]]
    vendor.ims.list_images(ims.ListImagesRequest(id=IDS[0], limit=1))
    vendor.ims.list_images(ims.ListImagesRequest(id=IDS[0], limit=1, enterprise_project_id="all_granted_eps"))
    assert mine == [sent(one) for one in wire.kept[-2:]]


async def test_a_read_of_volumes(vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    await own.traces(IDS[0], datetime.now(UTC))
    mine = sent(wire.last)
    vendor.evs.list_volumes(evs.ListVolumesRequest(server_id=IDS[0], limit=1000))
    assert mine == sent(wire.last)


@pytest.mark.parametrize("hard", [False, True])
async def test_a_stop(hard: bool, vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    await own.stop(IDS, hard=hard, permit=permit(own), last_check=lambda: None)
    mine = sent(wire.last)
    servers = [ecs.ServerId(id=one) for one in IDS]
    option = ecs.BatchStopServersOption(servers=servers, type="HARD" if hard else "SOFT")
    body = ecs.BatchStopServersRequestBody(os_stop=option)
    refused(lambda: vendor.ecs.batch_stop_servers(ecs.BatchStopServersRequest(body=body)))
    assert mine == sent(wire.last)


async def test_a_start(vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    await own.start(IDS, permit=permit(own), last_check=lambda: None)
    mine = sent(wire.last)
    option = ecs.BatchStartServersOption(servers=[ecs.ServerId(id=one) for one in IDS])
    body = ecs.BatchStartServersRequestBody(os_start=option)
    refused(lambda: vendor.ecs.batch_start_servers(ecs.BatchStartServersRequest(body=body)))
    assert mine == sent(wire.last)


CHANGES: list[tuple[str, dict[str, Any], Secrets, bool, dict[str, Any]]] = [
    ("v2", {"keyname": "k", "userid": "u"}, Secrets(), False, {"keyname": "k", "userid": "u"}),
    ("v2", {"keyname": "k", "userid": "u"}, Secrets(), True, {"keyname": "k", "userid": "u", "mode": "withStopServer"}),
    ("v2", {}, Secrets(adminpass="A-pass-3-ü\"'&"), False, {"adminpass": "A-pass-3-ü\"'&"}),
    ("v1", {}, Secrets(adminpass="A-pass-3"), True, {"adminpass": "A-pass-3", "mode": "withStopServer"}),
    ("v1", {"keyname": "k", "userid": "u"}, Secrets(), False, {"keyname": "k", "userid": "u"}),
    (
        "v2",
        {"metadata": {"BYOL": "true", "__system__encrypted": "1", "__system__cmkid": "c"}},
        Secrets(user_data=b"#!/bin/sh\xff"),
        False,
        {
            "metadata": {
                "byol": "true",
                "system__encrypted": "1",
                "system__cmkid": "c",
                "user_data": b64encode(b"#!/bin/sh\xff").decode(),
            }
        },
    ),
]


@pytest.mark.parametrize(("api", "order", "secrets", "stop_first", "options"), CHANGES)
async def test_a_change_of_the_os(
    api: Any,
    order: dict[str, Any],
    secrets: Secrets,
    stop_first: bool,
    options: dict[str, Any],
    vendor: Vendor,
    own: CloudClient,
    wire: Relay,
) -> None:
    wanted = Order("an-image", "its name", api, **order)
    await own.change_os(IDS[0], wanted, secrets, stop_first=stop_first, permit=permit(own), last_check=lambda: None)
    mine = sent(wire.last)
    way = "WithCloudInit" if api == "v2" else "WithoutCloudInit"
    if "metadata" in options:
        options = {**options, "metadata": ecs.ChangeSeversOsMetadata(**options["metadata"])}
    option = getattr(ecs, f"ChangeServerOs{way}Option")(imageid="an-image", **options)
    body = getattr(ecs, f"ChangeServerOs{way}RequestBody")(os_change=option)
    request = getattr(ecs, f"ChangeServerOs{way}Request")(server_id=IDS[0], body=body)
    call = (
        vendor.ecs.change_server_os_with_cloud_init if api == "v2" else vendor.ecs.change_server_os_without_cloud_init
    )
    refused(lambda: call(request))
    assert mine == sent(wire.last)
    assert mine.path.startswith(f"/{api}/")


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_a_reinstall(api: Any, vendor: Vendor, own: CloudClient, wire: Relay) -> None:
    wanted = Order("an-image", "its name", api, keyname="k", userid="u", reinstall=True)
    await own.change_os(IDS[0], wanted, Secrets(), stop_first=True, permit=permit(own), last_check=lambda: None)
    mine = sent(wire.last)
    way = "with_cloud_init" if api == "v2" else "without_cloud_init"
    name = f"ReinstallServer{way.title().replace('_', '')}"
    option = getattr(ecs, f"{name}Option")(keyname="k", userid="u", mode="withStopServer")
    request = getattr(ecs, f"{name}Request")(
        server_id=IDS[0], body=getattr(ecs, f"{name}RequestBody")(os_reinstall=option)
    )
    refused(lambda: getattr(vendor.ecs, f"reinstall_server_{way}")(request))
    assert mine == sent(wire.last)
    assert mine.path == f"/{api}/{own.place.project_id}/cloudservers/{IDS[0]}/reinstallos"
