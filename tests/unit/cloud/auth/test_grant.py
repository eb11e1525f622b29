"""A user who may see some enterprise projects: refused unless the query is for these. In virtual time."""

import httpx
import pytest

from fleetos.cloud.client import CloudClient
from fleetos.errors import PermissionDenied
from tests.support.clouds.scripted import Answer, ScriptedCloud, answer, error, server_body, with_cloud

ALL = "all_granted_eps"
DENIED = error(403, "Pdp.0001")
IMAGE = {"id": "i1", "name": "Debian", "status": "active"}
VOLUME = {"id": "v1", "size": 40, "status": "in-use"}


def granted(request: httpx.Request) -> Answer:
    """Lists are for whoever asks for the enterprise projects that he may see."""
    path, params = request.url.path, request.url.params
    listed = path.endswith(("/cloudservers/detail", "/cloudimages", "/cloudvolumes/detail"))
    if listed and params.get("enterprise_project_id") != ALL:
        return DENIED
    if path.endswith("/cloudimages"):
        return answer(200, {"images": [IMAGE] if params.get("id") in (None, "i1") else []})
    if path.endswith("/cloudvolumes/detail"):
        return answer(200, {"volumes": [VOLUME]})
    if path.endswith("/cloudservers/detail"):
        return answer(200, {"count": 2, "servers": [server_body("s1"), server_body("s2")]})
    if path.endswith(("/flavors", "/limits")):
        return DENIED
    own = path.rpartition("/")[2]
    return DENIED if own == "s9" else answer(200, {"server": server_body(own)})


def narrowed(cloud: ScriptedCloud) -> list[bool]:
    return ["enterprise_project_id" in one.params for one in cloud.calls]


def test_the_list_is_asked_once_more_and_then_as_it_is_allowed() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert len((await client.list_servers()).servers) == 2
        assert len((await client.list_servers()).servers) == 2
        assert set(await client.sweep(["s1", "s2"])) == {"s1", "s2"}
        assert narrowed(cloud) == [False, True, True, True]

    with_cloud(granted, then=then)


def test_a_process_that_begins_with_a_sweep_learns_it_too() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert set(await client.sweep(["s1", "s2"])) == {"s1", "s2"}
        assert set(await client.sweep(["s1", "s2"])) == {"s1", "s2"}
        assert narrowed(cloud) == [False, True, True]

    with_cloud(granted, then=then)


def test_a_list_by_ids_that_is_refused_all_the_same_is_walked() -> None:
    def script(request: httpx.Request) -> Answer:
        return DENIED if "server_id" in request.url.params else granted(request)

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for _ in range(2):
            assert set(await client.sweep(["s1", "s2"])) == {"s1", "s2"}
        assert ["server_id" in one.params for one in cloud.calls] == [True, True, False, False, False]

    with_cloud(script, then=then)


@pytest.mark.parametrize("second", [DENIED, error(400, "Ecs.0005"), error(404, "APIGW.0101")])
def test_who_may_see_nothing_is_told_what_the_first_answer_said(second: Answer) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for _ in range(2):
            with pytest.raises(PermissionDenied, match=r"Pdp\.0001"):
                await client.list_servers()
        assert narrowed(cloud) == [False, True, False, True]

    with_cloud(DENIED, second, DENIED, second, then=then)


@pytest.mark.parametrize("code", ["Ecs.0023", "Common.0018"])
def test_another_project_is_no_matter_of_enterprise_projects(code: str) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(PermissionDenied):
            await client.list_servers()
        assert narrowed(cloud) == [False]

    with_cloud(error(400, code), then=then)


def test_images_and_disks_are_read_in_the_same_way() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert (await client.images.all())[1]
        assert await client.images.by_id("i1") is not None
        assert await client.images.by_id("i2") is None
        assert len(await client.images.named("Debian")) == 1
        disks = await client.project.disks(40)
        assert disks is not None
        assert disks.known.keys() == {"v1"}
        # A token costs a call of its own; each kind of list is refused once.
        assert narrowed(cloud) == [False, True, True, True, True, False, True]

    with_cloud(granted, then=then)


def test_a_single_server_elsewhere_stays_refused() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.server("s1") is not None
        with pytest.raises(PermissionDenied):
            await client.server("s9")

    with_cloud(granted, then=then)
