"""Images and key pairs. In virtual time."""

import pytest

from fleetos.cloud.client import CloudClient
from fleetos.errors import ReadRefused
from fleetos.model.inventory import Image
from tests.support.clouds.scripted import (
    PROJECT,
    Answer,
    ScriptedCloud,
    answer,
    error,
    with_cloud,
)


def image_body(image_id: str, name: str, status: str = "active") -> dict[str, object]:
    return {
        "id": image_id,
        "name": name,
        "status": status,
        "min_disk": 40,
        "__os_type": "Linux",
        "__support_fc_inject": "true",
        "virtual_env_type": "FusionCompute",
    }


def test_an_image_is_found_by_its_id() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.images.by_id("i1") == Image("i1", "Debian", "active", "Linux", 40, "true", "FusionCompute")
        assert (cloud.calls[0].host, cloud.calls[0].path) == ("ims.eu-de.cloud.invalid", "/v2/cloudimages")
        assert cloud.calls[0].params == {"id": "i1", "limit": "1"}

    with_cloud(answer(200, {"images": [image_body("i1", "Debian")]}), then=then)


@pytest.mark.parametrize(
    ("flags", "supports"),
    [
        ({}, set[str]()),
        ({"__support_kvm": "true", "__support_xen": "false", "__support_arm": "true"}, {"kvm"}),
        (
            {"__support_kvm_gpu_type": "V100_vGPU", "__support_highperformance": "True"},
            {"kvm_gpu_type", "highperformance"},
        ),
        ({"__support_kvm": 1, "__support_xen_hana": "", "__support_diskintensive": None}, set[str]()),
    ],
)
def test_what_an_image_is_for_is_read_from_its_flags(flags: dict[str, object], supports: set[str]) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        image = await client.images.by_id("i1")
        assert image is not None
        assert image.supports == supports

    with_cloud(answer(200, {"images": [{**image_body("i1", "Debian"), **flags}]}), then=then)


def test_another_image_than_the_one_asked_for_is_none() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.images.by_id("i1") is None

    with_cloud(answer(200, {"images": [image_body("i2", "Debian")]}), then=then)


def test_images_of_a_name_are_exact_and_active() -> None:
    listed = [
        image_body("i1", "Debian"),
        image_body("i2", "Debian 12"),
        image_body("i3", "Debian", "deleted"),
        image_body("i4", "debian"),
        image_body("i5", "Debian"),
    ]

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert [image.id for image in await client.images.named("Debian")] == ["i1", "i5"]
        assert cloud.calls[0].params == {"name": "Debian", "status": "active"}

    with_cloud(answer(200, {"images": listed}), then=then)


@pytest.mark.parametrize(
    ("second", "found"),
    [
        (answer(200, {"images": [image_body("i1", "Debian")]}), True),
        (answer(200, {"images": []}), False),
        (error(400, "IMG.0001"), False),
        (error(403, "Pdp.0001"), False),
    ],
)
def test_images_of_other_enterprise_projects_are_asked_for_second(second: Answer, found: bool) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert (await client.images.by_id("i1") is not None) is found
        assert cloud.calls[1].params["enterprise_project_id"] == "all_granted_eps"

    with_cloud(answer(200, {"images": []}), second, then=then)


@pytest.mark.parametrize(
    "body", [{"images": 5}, {"images": [{"name": "x"}]}, {"images": [{"id": "i", "min_disk": "x"}]}]
)
def test_images_that_cannot_be_read_are_refused(body: object) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(ReadRefused, match="image"):
            await client.images.named("Debian")

    with_cloud(answer(200, body), then=then)


def test_the_names_of_key_pairs() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.project.key_pairs() == ("KeyPair-1", "two")
        assert await client.project.key_pairs() == ()
        with pytest.raises(ReadRefused, match="the key pairs"):
            await client.project.key_pairs()
        assert cloud.calls[0].path == f"/v2.1/{PROJECT}/os-keypairs"

    pairs = {"keypairs": [{"keypair": {"name": "KeyPair-1"}}, {"keypair": {"name": "two"}}]}
    answers = answer(200, pairs), answer(200, {"keypairs": []}), answer(200, {"keypairs": [{"keypair": 5}]})
    with_cloud(*answers, then=then)


def test_key_pairs() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.project.has_key_pair("KeyPair-1")
        assert not await client.project.has_key_pair("no such/key")
        with pytest.raises(ReadRefused, match="key pair 'x'"):
            await client.project.has_key_pair("x")
        assert cloud.calls[1].path == f"/v2.1/{PROJECT}/os-keypairs/no such/key"

    gone = answer(404, {"itemNotFound": {"message": "no", "code": 404}})
    with_cloud(answer(200, {"keypair": {"name": "KeyPair-1"}}), gone, error(404, "APIGW.0101"), then=then)
