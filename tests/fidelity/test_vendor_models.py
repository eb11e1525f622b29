"""Every answer of the simulated cloud fits the models of the vendor's SDK: no key that they lack, no other type."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest

from fleetos.sim.api.access import ACCESS_KEY
from fleetos.sim.scenario.scenario import DEFAULT_KEY
from tests.fidelity.relay import Relay
from tests.fidelity.vendor import Vendor, ecs, eps, evs, iam, ims, kms, login, plain

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore"),
    # Without a library that it does not ask for, the SDK leaves times as they are.
    pytest.mark.filterwarnings("ignore:Unable to convert string to datetime:ImportWarning:huaweicloudsdkcore"),
    # The SDK wants its users to leave the native APIs, which the cloud still has.
    pytest.mark.filterwarnings("ignore:Method '(nova|glance)_:DeprecationWarning:huaweicloudsdk"),
]

# What the models lack, by the operation and the place in its answer, and why the simulated cloud shows it all the same.
LACKING: Mapping[tuple[str, str], str] = {}


class Ask:
    """One question after another, each by the SDK. It needs a server, and a job about several servers."""

    def __init__(self, vendor: Vendor, env: Mapping[str, str]) -> None:
        self._vendor = vendor
        self._env = env

    def named(self, name: str) -> str:
        """The id of a server."""
        found = self._vendor.ecs.list_servers_details(ecs.ListServersDetailsRequest(name=name, limit=1))
        return found.servers[0].id

    def servers(self) -> Any:
        return self._vendor.ecs.list_servers_details(ecs.ListServersDetailsRequest(limit=1000))

    def servers_by_id(self) -> Any:
        ids = f"{self.named('web-001')},nobody"
        return self._vendor.ecs.list_servers_details(ecs.ListServersDetailsRequest(server_id=ids))

    def native_servers(self) -> Any:
        return self._vendor.ecs.nova_list_servers_details(ecs.NovaListServersDetailsRequest(limit=1000))

    def native_page_of_servers(self) -> Any:
        return self._vendor.ecs.nova_list_servers_details(ecs.NovaListServersDetailsRequest(limit=1))

    def server(self) -> Any:
        return self._vendor.ecs.show_server(ecs.ShowServerRequest(server_id=self.named("failed")))

    def stop(self) -> Any:
        option = ecs.BatchStopServersOption(servers=[ecs.ServerId(id=self.named("off-001"))])
        body = ecs.BatchStopServersRequestBody(os_stop=option)
        return self._vendor.ecs.batch_stop_servers(ecs.BatchStopServersRequest(body=body))

    def change(self) -> Any:
        image = self._vendor.ims.list_images(ims.ListImagesRequest(name="Standard_Debian_12_latest")).images[0].id
        option = ecs.ChangeServerOsWithCloudInitOption(imageid=image, keyname="KeyPair-350b")
        body = ecs.ChangeServerOsWithCloudInitRequestBody(os_change=option)
        request = ecs.ChangeServerOsWithCloudInitRequest(server_id=self.named("off-002"), body=body)
        return self._vendor.ecs.change_server_os_with_cloud_init(request)

    def job_of_several(self) -> Any:
        return self._vendor.ecs.show_job(ecs.ShowJobRequest(job_id=self.stop().job_id))

    def job_of_one(self) -> Any:
        option = ecs.ReinstallServerWithCloudInitOption(keyname="KeyPair-350b")
        body = ecs.ReinstallServerWithCloudInitRequestBody(os_reinstall=option)
        request = ecs.ReinstallServerWithCloudInitRequest(server_id=self.named("off-003"), body=body)
        accepted = self._vendor.ecs.reinstall_server_with_cloud_init(request)
        return self._vendor.ecs.show_job(ecs.ShowJobRequest(job_id=accepted.job_id))

    def block_devices(self) -> Any:
        request = ecs.ListServerBlockDevicesRequest(server_id=self.named("web-001"))
        return self._vendor.ecs.list_server_block_devices(request)

    def key_pairs(self) -> Any:
        return self._vendor.ecs.nova_list_keypairs(ecs.NovaListKeypairsRequest())

    def key_pair(self) -> Any:
        return self._vendor.ecs.nova_show_keypair(ecs.NovaShowKeypairRequest(keypair_name="KeyPair-350b"))

    def native_version(self) -> Any:
        return self._vendor.ecs.nova_show_version(ecs.NovaShowVersionRequest(api_version="v2.1"))

    def identity_version(self) -> Any:
        return self._vendor.iam.keystone_show_version(iam.KeystoneShowVersionRequest())

    def images(self) -> Any:
        return self._vendor.ims.list_images(ims.ListImagesRequest())

    def native_images(self) -> Any:
        return self._vendor.ims.glance_list_images(ims.GlanceListImagesRequest())

    def native_page_of_images(self) -> Any:
        return self._vendor.ims.glance_list_images(ims.GlanceListImagesRequest(limit=1))

    def image_versions(self) -> Any:
        return self._vendor.ims.list_versions(ims.ListVersionsRequest())

    def volumes(self) -> Any:
        return self._vendor.evs.list_volumes(evs.ListVolumesRequest(server_id=self.named("web-001")))

    def volume(self) -> Any:
        volume_id = self.volumes().volumes[0].id
        return self._vendor.evs.show_volume(evs.ShowVolumeRequest(volume_id=volume_id))

    def page_of_volumes(self) -> Any:
        return self._vendor.evs.list_volumes(evs.ListVolumesRequest(limit=5, sort_key="size", sort_dir="asc"))

    def flavors(self) -> Any:
        return self._vendor.ecs.list_flavors(ecs.ListFlavorsRequest())

    def limits(self) -> Any:
        return self._vendor.ecs.show_server_limits(ecs.ShowServerLimitsRequest())

    def quota_of_disks(self) -> Any:
        project_id = self._vendor.credentials.project_id
        return self._vendor.evs.cinder_list_quotas(evs.CinderListQuotasRequest(project_id, usage="True"))

    def encryption_key(self) -> Any:
        body = kms.OperateKeyRequestBody(key_id=DEFAULT_KEY)
        return self._vendor.kms.list_key_detail(kms.ListKeyDetailRequest(body=body))

    def enterprise_projects(self) -> Any:
        return self._vendor.eps.list_enterprise_project(eps.ListEnterpriseProjectRequest())

    def access_key(self) -> Any:
        return self._vendor.iam.show_permanent_access_key(iam.ShowPermanentAccessKeyRequest(access_key=ACCESS_KEY))

    def token(self) -> Any:
        return login(self._vendor, self._env)

    def token_shown(self) -> Any:
        request = iam.KeystoneValidateTokenRequest(x_subject_token=self.token().x_subject_token)
        return self._vendor.iam.keystone_validate_token(request)

    def projects(self) -> Any:
        return self._vendor.iam.keystone_list_projects(iam.KeystoneListProjectsRequest())


QUESTIONS = [name for name, one in vars(Ask).items() if callable(one) and not name.startswith("_") and name != "named"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_passes_through_the_model_unchanged(
    question: str, vendor: Vendor, wire: Relay, env: Mapping[str, str]
) -> None:
    ask: Callable[[], Any] = getattr(Ask(vendor, env), question)
    understood = plain(ask())
    # What the SDK takes from the headers is no part of the body.
    understood.pop("X-Subject-Token", None)
    told = told_values(wire.last.told)
    expected = {place: value for place, value in told.items() if (question, place) not in LACKING}
    assert told_values(understood) == expected
    stale = [place for operation, place in LACKING if operation == question and place not in told]
    assert not stale, "what is no longer shown is no exception"


def told_values(content: Any) -> dict[str, Any]:
    """Every value of a JSON document by its place; null counts as absent."""
    return dict(_walk(content, ""))


def _walk(content: object, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict) and content:
        for key, value in cast("dict[str, object]", content).items():
            yield from _walk(value, f"{place}/{key}")
    elif isinstance(content, list) and content:
        for number, value in enumerate(cast("list[object]", content)):
            yield from _walk(value, f"{place}/{number}")
    elif content is not None:
        # 1 is neither "1" nor true. Where dateutil is installed the SDK writes times of UTC in another form.
        value = cast("object", content)
        shown = re.sub(r"(?<=:\d\d)\+00:00$", "Z", value) if isinstance(value, str) else value
        yield place, (type(value).__name__, shown)
