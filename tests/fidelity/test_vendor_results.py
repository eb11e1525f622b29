"""The vendor's SDK and fleetos' own client read the same out of the same cloud, field by field."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fleetos.cloud.client import CloudClient
from fleetos.model.inventory import Delivered, Image, Job, JobStatus, Reply, Server, SubJob, Traits
from fleetos.model.run import Order, Secrets
from fleetos.sim.api.access import ACCESS_KEY
from tests.fidelity.relay import Relay
from tests.fidelity.server_fields import server_of
from tests.fidelity.sim_process import permit
from tests.fidelity.vendor import Vendor, ecs, evs, exceptions, iam, ims
from tests.support.commands import CommandRunner

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore"),
    pytest.mark.filterwarnings("ignore:Method 'nova_:DeprecationWarning:huaweicloudsdk"),
]
PATIENCE_S = 10


def shown(vendor: Vendor, name: str = "") -> list[Any]:
    """The servers as the SDK lists them, those whose name holds that.

    Without those that the platform has while it changes others, as a test before this one may have asked for.
    """
    request = ecs.ListServersDetailsRequest(limit=1000, name=name or None)
    listed = vendor.ecs.list_servers_details(request).servers
    return [one for one in listed if one.os_extended_volumesvolumes_attached is not None]


def as_server(seen: Any) -> Server:
    """A server of the SDK in fleetos' terms."""
    volumes = seen.os_extended_volumesvolumes_attached
    return server_of(
        seen,
        state=(seen.os_ext_st_svm_state, seen.os_ext_st_stask_state, seen.os_ext_st_spower_state),
        disk=next((one.id for one in volumes if one.boot_index == "0"), None),
        locked=seen.locked,
        addresses=(one.addr for network in seen.addresses.values() for one in network),
        az=seen.os_ext_a_zavailability_zone,
        enterprise_project=seen.enterprise_project_id,
        traits=Traits(
            ram_mib=int(seen.flavor.ram),
            charging=seen.metadata["charging_mode"],
            frozen=seen.metadata["EcmResStatus"] == "freeze",
            image_kind=seen.metadata.get("metering.imagetype"),
            host_status=seen.host_status,
        ),
    )


SUPPORTS = ("kvm", "kvm_gpu_type", "xen", "xen_gpu_type", "largememory", "diskintensive", "highperformance")


def as_image(seen: Any) -> Image:
    """An image of the SDK in fleetos' terms."""
    return Image(
        id=seen.id,
        name=seen.name,
        status=seen.status,
        os_type=seen.os_type,
        min_disk_gib=seen.min_disk,
        inject_flag=seen.support_fc_inject,
        virtual_env_type=seen.virtual_env_type,
        kind=seen.imagetype,
        firmware=seen.hw_firmware_type,
        min_ram_mib=seen.min_ram or 0,
        max_ram_mib=int(seen.max_ram or 0),
        key_id=seen.system__cmkid,
        withdrawn=seen.is_offshelved == "true",
        takes_password="onekey_resetpasswd" in (seen.os_feature_list or ""),
        created_at=datetime.fromisoformat(seen.created_at),
        supports=frozenset(kind for kind in SUPPORTS if getattr(seen, f"support_{kind}") not in (None, "false")),
    )


def as_job(seen: Any) -> Job:
    """A job of the SDK in fleetos' terms."""
    parts = [
        SubJob(
            server_id=one.entities.server_id,
            job_id=one.job_id,
            status=JobStatus(one.status),
            error_code=one.error_code,
            fail_reason=one.fail_reason or one.entities.errorcode_message or None,
            took_s=took_s(one),
        )
        for one in seen.entities.sub_jobs or ()
    ]
    return Job(
        id=seen.job_id,
        status=JobStatus(seen.status),
        error_code=seen.error_code,
        fail_reason=seen.fail_reason,
        sub_jobs=tuple(parts),
        took_s=took_s(seen),
    )


def took_s(seen: Any) -> float | None:
    """How long a job of the SDK took, None while it runs."""
    if not seen.end_time:
        return None
    return (datetime.fromisoformat(seen.end_time) - datetime.fromisoformat(seen.begin_time)).total_seconds()


async def ended(own: CloudClient, job_id: str) -> Job:
    """The job, once it has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            job = await own.job(job_id)
            if job is not None and job.status.final:
                return job
            await asyncio.sleep(0.02)


def job_id_of(reply: Reply) -> str:
    """The job of a write that was taken."""
    assert isinstance(reply, Delivered)
    assert reply.job_id is not None
    return reply.job_id


async def test_servers(vendor: Vendor, own: CloudClient) -> None:
    listed = {one.id: as_server(one) for one in shown(vendor)}
    assert {one.snapshot.status for one in listed.values()} >= {"ACTIVE", "SHUTOFF", "ERROR"}, (
        "the cloud has servers of each kind"
    )
    read = (await own.list_servers()).servers
    assert {key: one for key, one in read.items() if key in listed} == listed
    assert {(read[key].snapshot.status, read[key].snapshot.disk) for key in read.keys() - listed.keys()} <= {
        ("BUILD", None)
    }
    assert dict(await own.sweep(list(listed))) == listed
    for name in ("web-001", "locked", "failed", "diskless"):
        server_id = shown(vendor, name)[0].id
        alone = vendor.ecs.show_server(ecs.ShowServerRequest(server_id=server_id)).server
        assert await own.server(server_id) == as_server(alone) == listed[server_id]


async def test_servers_by_id(vendor: Vendor, own: CloudClient) -> None:
    ids = [one.id for one in shown(vendor, "off-0")]
    request = ecs.ListServersDetailsRequest(server_id=",".join([*ids, "nobody"]))
    found = vendor.ecs.list_servers_details(request).servers
    assert [one.id for one in found if one.status is None] == ["nobody"]
    by_id = {one.id: as_server(one) for one in found if one.status is not None}
    assert dict(await own.sweep([*ids, "nobody"])) == by_id


async def test_pages(vendor: Vendor, own: CloudClient) -> None:
    by_page: list[str] = []
    by_marker: list[str] = []
    for page in range(1, 5):
        request = ecs.ListServersDetailsRequest(limit=10, offset=page)
        by_page += [one.id for one in vendor.ecs.list_servers_details(request).servers]
        request = ecs.ListServersDetailsRequest(limit=10, marker=by_marker[-1] if by_marker else None)
        by_marker += [one.id for one in vendor.ecs.list_servers_details(request).servers]
    assert by_page == by_marker == list((await own.list_servers()).servers)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"name": "b-00"}, [f"web-00{number}" for number in range(1, 10)]),
        ({"name": "lo.ked"}, ["locked"]),
        ({"status": "ERROR"}, ["failed"]),
        ({"tags": "role=web", "limit": 2}, ["web-001", "web-002"]),
        ({"not_tags": "plain", "limit": 1}, ["off-001"]),
        ({"ip": "192.168.0.2", "limit": 2}, ["web-001", "off-007"]),
        ({"ip_eq": "192.168.0.3"}, ["web-002"]),
        ({"reservation_id": "r-nothing"}, []),
        ({"flavor": "s3.xlarge.4"}, ["big-1", "big-2"]),
        ({"enterprise_project_id": "ep-of-its-own"}, ["big-1", "big-2"]),
        ({"enterprise_project_id": "all_granted_eps", "limit": 1}, ["web-001"]),
    ],
)
def test_filters_of_the_list(query: dict[str, Any], wanted: Sequence[str], vendor: Vendor) -> None:
    found = vendor.ecs.list_servers_details(ecs.ListServersDetailsRequest(**query))
    assert [one.name for one in found.servers][: len(wanted) + 1] == wanted


async def test_images(vendor: Vendor, own: CloudClient) -> None:
    images = vendor.ims.list_images(ims.ListImagesRequest()).images
    assert len({one.status for one in images}) == 2
    for one in images:
        assert await own.images.by_id(one.id) == as_image(one)
        (alone,) = vendor.ims.list_images(ims.ListImagesRequest(id=one.id, limit=1)).images
        assert as_image(alone) == as_image(one)
        active = vendor.ims.list_images(ims.ListImagesRequest(name=one.name, status="active")).images
        assert await own.images.named(one.name) == tuple(map(as_image, active))
    assert await own.images.by_id("nobody") is None
    assert vendor.ims.list_images(ims.ListImagesRequest(id="nobody", limit=1)).images == []


async def test_key_pairs(vendor: Vendor, own: CloudClient) -> None:
    (pair,) = vendor.ecs.nova_list_keypairs(ecs.NovaListKeypairsRequest()).keypairs
    assert await own.project.has_key_pair(pair.keypair.name)
    alone = vendor.ecs.nova_show_keypair(ecs.NovaShowKeypairRequest(keypair_name=pair.keypair.name)).keypair
    assert (alone.name, alone.fingerprint, alone.user_id) == (
        pair.keypair.name, pair.keypair.fingerprint, own.place.user_id,
    )  # fmt: skip
    assert not await own.project.has_key_pair("nobody")
    with pytest.raises(exceptions.ClientRequestException) as refused:
        vendor.ecs.nova_show_keypair(ecs.NovaShowKeypairRequest(keypair_name="nobody"))
    assert refused.value.status_code == 404


async def test_volumes(vendor: Vendor, own: CloudClient) -> None:
    server = await own.server(shown(vendor, "web-001")[0].id)
    assert server is not None
    volumes = vendor.evs.list_volumes(evs.ListVolumesRequest(server_id=server.id)).volumes
    assert len(volumes) == 2
    blocks = vendor.ecs.list_server_block_devices(ecs.ListServerBlockDevicesRequest(server_id=server.id))
    by_id = {one.volume_id: one for one in blocks.volume_attachments}
    for one in volumes:
        assert one.size == by_id[one.id].size
        assert [at.device for at in one.attachments] == [by_id[one.id].device]
        alone = vendor.evs.show_volume(evs.ShowVolumeRequest(volume_id=one.id)).volume
        assert alone.to_dict() == one.to_dict()
    assert [one.id for one in volumes if one.bootable == "true"] == [server.snapshot.disk]
    assert [one.volume_id for one in blocks.volume_attachments if one.boot_index == 0] == [server.snapshot.disk]


async def test_stop_and_start(vendor: Vendor, own: CloudClient) -> None:
    mine, theirs = (as_server(one) for one in shown(vendor, "web-01")[:2])
    reply = await own.stop([mine.id], hard=False, permit=permit(own), last_check=lambda: None)
    option = ecs.BatchStopServersOption(servers=[ecs.ServerId(id=theirs.id)], type="SOFT")
    body = ecs.BatchStopServersRequestBody(os_stop=option)
    stopped = vendor.ecs.batch_stop_servers(ecs.BatchStopServersRequest(body=body)).job_id
    for job_id in (job_id_of(reply), stopped):
        job = await ended(own, job_id)
        assert job == as_job(vendor.ecs.show_job(ecs.ShowJobRequest(job_id=job_id)))
        assert job.sub_jobs
    assert [one.status for one in shown(vendor, "web-01")[:2]] == ["SHUTOFF", "SHUTOFF"]
    reply = await own.start([mine.id], permit=permit(own), last_check=lambda: None)
    start = ecs.BatchStartServersOption(servers=[ecs.ServerId(id=theirs.id)])
    request = ecs.BatchStartServersRequest(body=ecs.BatchStartServersRequestBody(os_start=start))
    started = vendor.ecs.batch_start_servers(request).job_id
    for job_id in (job_id_of(reply), started):
        assert await ended(own, job_id) == as_job(vendor.ecs.show_job(ecs.ShowJobRequest(job_id=job_id)))
    assert [one.status for one in shown(vendor, "web-01")[:2]] == ["ACTIVE", "ACTIVE"]


async def test_a_reboot_is_a_batch_too(vendor: Vendor, own: CloudClient) -> None:
    server_id = shown(vendor, "web-009")[0].id
    option = ecs.BatchRebootSeversOption(servers=[ecs.ServerId(id=server_id)], type="SOFT")
    body = ecs.BatchRebootServersRequestBody(reboot=option)
    job_id = vendor.ecs.batch_reboot_servers(ecs.BatchRebootServersRequest(body=body)).job_id
    job = await own.job(job_id)
    assert job is not None
    assert [one.server_id for one in job.sub_jobs] == [server_id]


async def test_changes_of_the_os(vendor: Vendor, own: CloudClient) -> None:
    mine, theirs, old = (as_server(one) for one in shown(vendor, "off-0")[3:6])
    image_id = vendor.ims.list_images(ims.ListImagesRequest(name="Standard_Debian_12_latest")).images[0].id
    order = Order(image_id, "Standard_Debian_12_latest", "v2", keyname="KeyPair-350b")
    reply = await own.change_os(
        mine.id, order, Secrets(), stop_first=False, permit=permit(own), last_check=lambda: None
    )
    option = ecs.ChangeServerOsWithCloudInitOption(keyname="KeyPair-350b", imageid=image_id)
    body = ecs.ChangeServerOsWithCloudInitRequestBody(os_change=option)
    request = ecs.ChangeServerOsWithCloudInitRequest(server_id=theirs.id, body=body)
    changed = vendor.ecs.change_server_os_with_cloud_init(request).job_id
    option = ecs.ChangeServerOsWithoutCloudInitOption(keyname="KeyPair-350b", imageid=image_id)
    body = ecs.ChangeServerOsWithoutCloudInitRequestBody(os_change=option)
    request = ecs.ChangeServerOsWithoutCloudInitRequest(server_id=old.id, body=body)
    changed_v1 = vendor.ecs.change_server_os_without_cloud_init(request).job_id
    for job_id, before in ((job_id_of(reply), mine), (changed, theirs), (changed_v1, old)):
        job = await ended(own, job_id)
        seen = vendor.ecs.show_job(ecs.ShowJobRequest(job_id=job_id))
        assert job == as_job(seen)
        assert (seen.job_type, seen.entities.server_id) == ("changeOS", before.id)
        after = await own.server(before.id)
        assert after == as_server(vendor.ecs.show_server(ecs.ShowServerRequest(server_id=before.id)).server)
        assert after is not None
        assert after.snapshot.image == image_id
        assert after.snapshot.disk != before.snapshot.disk


@pytest.mark.parametrize(("name", "picture"), [("doomed-1", "error"), ("doomed-2", "endless"), ("doomed-3", "no-disk")])
async def test_a_change_that_fails(
    name: str, picture: str, vendor: Vendor, own: CloudClient, wire: Relay, tmp_path: Path
) -> None:
    cloud = CommandRunner(tmp_path, f"http://{wire.cloud}")
    before = as_server(shown(vendor, name)[0])
    image_id = vendor.ims.list_images(ims.ListImagesRequest(name="Standard_Debian_12_latest")).images[0].id
    fault = {"on": "changeos", "do": "fail", "code": "Ecs.0202", "picture": picture}
    cloud.post("/admin/faults", [fault])
    try:
        option = ecs.ChangeServerOsWithCloudInitOption(keyname="KeyPair-350b", imageid=image_id)
        body = ecs.ChangeServerOsWithCloudInitRequestBody(os_change=option)
        request = ecs.ChangeServerOsWithCloudInitRequest(server_id=before.id, body=body)
        job_id = vendor.ecs.change_server_os_with_cloud_init(request).job_id
        busy = await own.server(before.id)
        assert busy is not None
        assert not busy.snapshot.idle
        job = await ended(own, job_id)
    finally:
        cloud.post("/admin/heal", {})
    assert job == as_job(vendor.ecs.show_job(ecs.ShowJobRequest(job_id=job_id)))
    assert (job.status, job.error_code) == (JobStatus.FAIL, "Ecs.0202")
    after = await own.server(before.id)
    assert after == as_server(vendor.ecs.show_server(ecs.ShowServerRequest(server_id=before.id)).server)
    assert after is not None
    assert after.snapshot.changing == (picture == "endless")
    assert after.snapshot.in_error == (picture == "error")
    assert (after.snapshot.disk is None) == (picture == "no-disk")


async def test_the_user_of_an_access_key(vendor: Vendor, own: CloudClient) -> None:
    shown = vendor.iam.show_permanent_access_key(iam.ShowPermanentAccessKeyRequest(access_key=ACCESS_KEY)).credential
    assert (shown.access, shown.user_id, shown.status) == (ACCESS_KEY, own.place.user_id, "active")
