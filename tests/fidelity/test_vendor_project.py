"""What fleetos reads of a project for its preflight: asked for as the vendor's SDK does, and understood alike."""

from collections.abc import Mapping

import pytest

from fleetos.cloud.client import CloudClient
from fleetos.cloud.http.addresses import parse_origin
from fleetos.model.inventory import Flavor, KeyState
from fleetos.sim.api.access import ACCESS_KEY
from fleetos.sim.scenario.scenario import DEFAULT_KEY
from tests.fidelity.conftest import OLD_KEY
from tests.fidelity.relay import Relay
from tests.fidelity.sent_requests import KEY, sent, without
from tests.fidelity.sim_process import before_login, fleetos_client
from tests.fidelity.vendor import Vendor, ecs, eps, evs, exceptions, iam, kms

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore"),
    # Without a library that it does not ask for, the SDK leaves times as they are.
    pytest.mark.filterwarnings("ignore:Unable to convert string to datetime:ImportWarning:huaweicloudsdkcore"),
]
PAGE = 1000


async def test_the_flavors(vendor: Vendor, signed: CloudClient, wire: Relay) -> None:
    read = await signed.project.flavors()
    mine = sent(wire.last)
    listed = vendor.ecs.list_flavors(ecs.ListFlavorsRequest()).flavors
    assert mine == sent(wire.last)
    assert len(listed) == 2
    for one in listed:
        told = one.os_extra_specs
        assert told.ecsvirtualization_env_types == "CloudCompute"
        assert (told.ecsinstance_architecture, told.pci_passthroughenable_gpu) == (None, None)
        assert read[one.id] == Flavor(one.id, "x86", "kvm", told.ecsperformancetype)


async def test_the_quota_of_servers(vendor: Vendor, signed: CloudClient, wire: Relay) -> None:
    read = await signed.project.server_quota()
    mine = sent(wire.last)
    absolute = vendor.ecs.show_server_limits(ecs.ShowServerLimitsRequest()).absolute
    assert mine == sent(wire.last)
    assert absolute.max_total_instances == -1
    assert read.servers is None


async def test_the_quota_of_disks(vendor: Vendor, signed: CloudClient, wire: Relay) -> None:
    read = await signed.project.disk_quota()
    mine = sent(wire.last)
    project_id = signed.place.project_id
    quota = vendor.evs.cinder_list_quotas(evs.CinderListQuotasRequest(project_id, usage="True")).quota_set
    assert mine == sent(wire.last)
    assert read is not None
    # Another test may have changed a server meanwhile, which swaps a disk for another.
    assert read.disks == quota.volumes.limit - quota.volumes.in_use
    assert read.disks_gib == quota.gigabytes.limit - quota.gigabytes.in_use


async def test_the_disks(vendor: Vendor, signed: CloudClient, wire: Relay) -> None:
    read = await signed.project.disks(1)
    mine = sent(wire.last)
    listed = vendor.evs.list_volumes(evs.ListVolumesRequest(limit=PAGE, sort_key="size", sort_dir="asc")).volumes
    assert mine == sent(wire.last)
    assert read is not None
    assert {one.id: (one.size_gib, one.status) for one in read.known.values()} == {
        one.id: (one.size, one.status) for one in listed
    }


@pytest.mark.parametrize(("key_id", "state"), [(DEFAULT_KEY, KeyState.ENABLED), (OLD_KEY, KeyState.DISABLED)])
async def test_an_encryption_key(
    key_id: str, state: KeyState, vendor: Vendor, signed: CloudClient, wire: Relay
) -> None:
    assert await signed.project.key_state(key_id) is state
    mine = sent(wire.last)
    body = kms.OperateKeyRequestBody(key_id=key_id)
    key = vendor.kms.list_key_detail(kms.ListKeyDetailRequest(body=body)).key_info
    assert mine == sent(wire.last)
    assert (key.key_id, key.key_state) == (key_id, {KeyState.ENABLED: "2", KeyState.DISABLED: "3"}[state])


async def test_an_encryption_key_that_there_is_not(vendor: Vendor, signed: CloudClient, wire: Relay) -> None:
    assert await signed.project.key_state("no-key") is KeyState.ABSENT
    mine = sent(wire.last)
    body = kms.OperateKeyRequestBody(key_id="no-key")
    with pytest.raises(exceptions.ClientRequestException) as refused:
        vendor.kms.list_key_detail(kms.ListKeyDetailRequest(body=body))
    assert mine == sent(wire.last)
    assert refused.value.error_code == "KMS.0205"


async def test_the_enterprise_projects(vendor: Vendor, signed: CloudClient, wire: Relay) -> None:
    read = await signed.project.enterprise_projects()
    mine = sent(wire.last)
    listed = vendor.eps.list_enterprise_project(eps.ListEnterpriseProjectRequest(limit=PAGE, offset=0))
    # The SDK signs for the whole account, fleetos for a project of it.
    assert without(mine, "x-project-id") == without(sent(wire.last), "x-domain-id")
    assert listed.total_count == 2
    assert read == {one.id: one.name for one in listed.enterprise_projects}


async def test_the_user_of_an_access_key(vendor: Vendor, signed: CloudClient, wire: Relay) -> None:
    assert await signed.user_id() is not None
    mine = sent(wire.last)
    vendor.iam.show_permanent_access_key(iam.ShowPermanentAccessKeyRequest(access_key=ACCESS_KEY))
    assert without(mine, "x-project-id") == without(sent(wire.last), "x-project-id")


async def test_the_trial_of_an_access_key(vendor: Vendor, wire: Relay, env: Mapping[str, str]) -> None:
    async with fleetos_client(env, KEY):
        mine = sent(wire.last)
    vendor.ecs.list_servers_details(ecs.ListServersDetailsRequest(limit=1, offset=1))
    assert mine == sent(wire.last)


async def test_the_knock_at_a_service(vendor: Vendor, wire: Relay, env: Mapping[str, str]) -> None:
    iam_at = parse_origin(env["OS_AUTH_URL"], "auth_url", insecure_http=False)
    async with before_login(env) as session:
        assert (await session.probe_endpoint(iam_at)).cloud_time is not None
    mine = sent(wire.last)
    vendor.iam.keystone_list_versions(iam.KeystoneListVersionsRequest())
    # The SDK shows who it is even where nobody asks.
    assert mine == without(sent(wire.last), "authorization", "x-sdk-date", "x-project-id")
