"""What surrounds the servers of a project: disks from the smallest on, flavors, quotas, images. In virtual time."""

import httpx
import pytest

from fleetos.cloud.api.images import IMAGE_PAGE, IMAGE_PAGES
from fleetos.cloud.api.project import DISK_PAGE, DISK_PAGES_WHOLE
from fleetos.cloud.client import CloudClient
from fleetos.errors import PermissionDenied, ReadRefused
from fleetos.model.inventory import Flavor, KeyState, Quota
from tests.support.clouds.scripted import Answer, Script, ScriptedCloud, answer, error, with_cloud


def volumes(sizes: list[int], *, sort: bool = True, count: bool = True) -> Script:
    """A list of volumes of these sizes, as a cloud shows it that heeds the order, or does not."""
    ordered = [(f"v{place:05}", size) for place, size in enumerate(sorted(sizes) if sort else sizes)]

    def script(request: httpx.Request) -> Answer:
        params = request.url.params
        assert (params["sort_key"], params["sort_dir"], params["limit"]) == ("size", "asc", str(DISK_PAGE))
        first = next((at + 1 for at, (own, _) in enumerate(ordered) if own == params.get("marker")), 0)
        shown = [{"id": own, "size": size, "status": "in-use"} for own, size in ordered[first : first + DISK_PAGE]]
        return answer(200, {"volumes": shown, **({"count": len(sizes)} if count else {})})

    return script


@pytest.mark.parametrize(
    ("sizes", "sort", "asked", "whole", "others_gib"),
    [
        ([], True, 1, True, 0),
        ([40] * 5, True, 1, True, 0),
        ([40] * (2 * DISK_PAGE + 1), True, 3, True, 0),
        ([40] * 10_000, True, 1, False, 40),
        ([20] * 1500 + [40] * 8500, True, 2, False, 40),
        ([100, 20] * 5_000, False, 11, True, 0),
        ([20] * 5_000, True, 6, True, 0),
    ],
)
def test_disks_are_read_until_none_can_be_too_small(
    sizes: list[int], sort: bool, asked: int, whole: bool, others_gib: int
) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        disks = await client.project.disks(40)
        assert disks is not None
        assert (len(cloud.calls), disks.whole, disks.others_gib) == (asked, whole, others_gib)
        small = sum(disk.size_gib < 40 for disk in disks.known.values())
        assert small == sum(size < 40 for size in sizes)

    assert DISK_PAGES_WHOLE == 3
    with_cloud(volumes(sizes, sort=sort), then=then)


def test_flavors_name_arm_or_are_x86() -> None:
    arm: object = {"id": "kc1", "os_extra_specs": {"ecs:instance_architecture": "arm64"}}
    x86: object = {"id": "s3", "os_extra_specs": {"ecs:virtualization_env_types": "FusionCompute", "x": 1}}
    gpu = {"ecs:virtualization_env_types": "CloudCompute", "pci_passthrough:enable_gpu": "true"}
    special: object = {"id": "p1", "os_extra_specs": {**gpu, "ecs:performancetype": "computing"}}
    found = answer(200, {"flavors": [x86, arm, {"id": "old"}, special]})

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.project.flavors() == {
            "s3": Flavor("s3", "x86", "xen"), "kc1": Flavor("kc1", "arm"), "old": Flavor("old", "x86"),
            "p1": Flavor("p1", "x86", "kvm", "computing", gpu=True),
        }  # fmt: skip

    with_cloud(found, then=then)


def test_quotas_say_what_is_left() -> None:
    quota_set = {"volumes": {"limit": 10, "in_use": 7, "reserved": 1}, "gigabytes": {"limit": -1, "in_use": 3}}
    absolute = {"maxTotalInstances": 5, "totalInstancesUsed": 9}

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.project.disk_quota() == Quota(disks=2)
        assert await client.project.server_quota() == Quota(servers=0)

    with_cloud(answer(200, {"quota_set": quota_set}), answer(200, {"absolute": absolute}), then=then)


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        (error(403, "Pdp.0001"), PermissionDenied),
        (error(404, "APIGW.0101"), ReadRefused),
        (answer(200, {"volumes": [{"id": "v1"}]}), ReadRefused),
        (answer(200, {"volumes": [{"id": "v1", "size": "large"}]}), ReadRefused),
    ],
)
def test_disks_that_cannot_be_read(said: Answer, raised: type[Exception]) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(raised):
            await client.project.disks(40)

    with_cloud(said, then=then)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        *((answer(200, {"key_info": {"key_state": str(one)}}), state) for one, state in enumerate(
            [KeyState.UNKNOWN, KeyState.WAITING, KeyState.ENABLED, KeyState.DISABLED, KeyState.DELETION,
             KeyState.IMPORT, KeyState.UNKNOWN]
        )),
        (answer(200, {}), KeyState.UNKNOWN),
        (error(400, "KMS.0205"), KeyState.ABSENT),
    ],
)  # fmt: skip
def test_a_key_is_asked_for_by_a_post_that_changes_nothing(said: Answer, state: KeyState) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.project.key_state("k-1") is state
        (call,) = cloud.calls
        assert (call.method, call.host, call.body) == ("POST", "kms.eu-de.cloud.invalid", {"key_id": "k-1"})
        assert call.path.endswith("/kms/describe-key")

    with_cloud(said, then=then)


def test_enterprise_projects_are_walked_by_pages() -> None:
    def script(request: httpx.Request) -> Answer:
        first, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        shown = [{"id": f"ep-{number}", "name": f"n-{number}"} for number in range(first, min(first + limit, 1500))]
        return answer(200, {"enterprise_projects": shown, "total_count": 1500})

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        names = await client.project.enterprise_projects()
        assert names is not None
        assert (len(names), names["ep-1499"], len(cloud.calls)) == (1500, "n-1499", 2)
        assert (cloud.calls[0].host, cloud.calls[0].path) == ("eps.cloud.invalid", "/v1.0/enterprise-projects")

    with_cloud(script, then=then)


def test_a_key_that_cannot_be_read_is_no_answer() -> None:
    async def refused(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(PermissionDenied):
            await client.project.key_state("k-1")

    with_cloud(error(403, "Pdp.0001"), then=refused)


def test_images_are_walked_to_their_end_or_to_a_bound() -> None:
    def script(most: int) -> Script:
        def one(request: httpx.Request) -> Answer:
            first = int(request.url.params.get("marker", "i-1")[1:]) + 1
            shown = [{"id": f"i{number}", "name": "x"} for number in range(first, min(first + IMAGE_PAGE, most))]
            return answer(200, {"images": shown})

        return one

    async def all_of_them(client: CloudClient, cloud: ScriptedCloud) -> None:
        images, whole = await client.images.all()
        assert (len(images), whole, len(cloud.calls)) == (700, True, 2)

    async def too_many(client: CloudClient, cloud: ScriptedCloud) -> None:
        images, whole = await client.images.all()
        assert (len(images), whole, len(cloud.calls)) == (IMAGE_PAGE * IMAGE_PAGES, False, IMAGE_PAGES)

    with_cloud(script(700), then=all_of_them)
    with_cloud(script(10_000), then=too_many)
