"""One server: what is asked, and what is made of the answer. In virtual time."""

from datetime import UTC, datetime

import pytest

from fleetos.cloud.api.decode import ADDRESSES_SEEN, read_server
from fleetos.cloud.client import CloudClient
from fleetos.errors import ReadRefused
from fleetos.model.inventory import Server, ServerSnapshot, Traits
from fleetos.model.plan import ApiLimits
from tests.support.clocks import run
from tests.support.clouds.scripted import (
    PROJECT,
    Answer,
    ScriptedCloud,
    Seen,
    answer,
    error,
    opened,
    server_body,
    with_cloud,
)


def test_a_server_is_read_with_all_that_counts() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.server("s1") == Server(
            id="s1",
            name="name-s1",
            snapshot=ServerSnapshot("SHUTOFF", "stopped", None, 4, "disk-1", "image-1"),
            az="eu-de-01",
            flavor="s3.medium.2",
            key_name="KeyPair-1",
            os_type="Linux",
            tags={"role": "web", "plain": ""},
            image_name="Debian",
            addresses=("192.168.0.7", "80.158.0.7"),
            enterprise_project="0",
            traits=Traits(ram_mib=2048),
        )
        assert cloud.calls == [
            Seen(0.0, "GET", "ecs.eu-de.cloud.invalid", f"/v1/{PROJECT}/cloudservers/s1", {}, "t1", None)
        ]

    with_cloud(answer(200, {"server": server_body("s1")}), then=then)


@pytest.mark.parametrize(
    ("date", "cloud_time"),
    [
        ("Sun, 01 Mar 2026 12:00:05 GMT", datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)),
        ("Sun, 01 Mar 2026 12:00:05 -0000", datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)),
        ("Sun, 01 Mar 2026 12:00:05 +0100", datetime(2026, 3, 1, 11, 0, 5, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("Sun, 01 Mar 99999999999 12:00:05 GMT", None),
        ("Sun, 41 Mar 2026 12:00:05 GMT" * 1000, None),
    ],
)
def test_a_server_has_the_time_at_which_the_cloud_told_of_it(date: str, cloud_time: datetime | None) -> None:
    async def then(client: CloudClient, _: ScriptedCloud) -> None:
        server = await client.server("s1")
        assert server is not None
        assert server.cloud_time == cloud_time
        (listed,) = (await client.list_servers()).servers.values()
        assert listed.cloud_time == cloud_time

    page = answer(200, {"servers": [server_body("s1")], "count": 1}, date=date)
    with_cloud(answer(200, {"server": server_body("s1")}, date=date), page, then=then)


ATTACHED = "os-extended-volumes:volumes_attached"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({ATTACHED: [{"id": "d", "bootIndex": 0}]}, {"disk": "d"}),
        ({ATTACHED: [{"id": "d", "bootIndex": "-1"}]}, {"disk": None}),
        ({ATTACHED: []}, {"disk": None}),
        ({ATTACHED: None}, {"disk": None}),
        ({ATTACHED: [{"id": "a", "bootIndex": "0"}, {"id": "b", "bootIndex": 0}]}, {"disk": None}),
        (
            {
                ATTACHED: [{"id": "a", "device": "/dev/vdb"}, {"id": "b", "device": "/dev/vda"}],
                "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            },
            {"disk": "b"},
        ),
        ({ATTACHED: [{"id": "a", "device": "/dev/vda"}]}, {"disk": None}),
        (
            {
                ATTACHED: [{"id": "a", "device": "/dev/vda", "bootIndex": "1"}, {"id": "b", "device": "/dev/vdb"}],
                "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            },
            {"disk": None},
        ),
        ({"image": ""}, {"image": "image-1"}),
        ({"image": {"id": ""}}, {"image": "image-1"}),
        ({"image": None, "metadata": {"metering.image_id": "old"}}, {"image": "old"}),
        ({"image": None, "metadata": {}}, {"image": None}),
        ({"image": {"id": "new"}, "metadata": {"metering.image_id": "old"}}, {"image": "new", "metered": "old"}),
        ({"image": {"id": "new"}, "metadata": {"metering.image_id": "new"}}, {"image": "new", "metered": None}),
        ({"image": {"id": "new"}, "metadata": {"metering.image_id": ""}}, {"image": "new", "metered": None}),
        ({"OS-EXT-STS:task_state": ""}, {"task": None}),
        ({"OS-EXT-STS:task_state": "rebuilding"}, {"task": "rebuilding"}),
        ({"OS-EXT-STS:power_state": "1"}, {"power": 1}),
        ({"OS-EXT-STS:power_state": None}, {"power": None}),
        ({"locked": True}, {"locked": True}),
        ({"fault": {"code": 500, "message": "No valid\nhost", "created": "x"}}, {"fault": "No valid host"}),
        ({"fault": {"code": 500}}, {"fault": "fault"}),
        ({"something": {"new": [1, 2]}, "status": "FROZEN"}, {"status": "FROZEN"}),
    ],
)
def test_pictures_of_servers(more: dict[str, object], expected: dict[str, object]) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        server = await client.server("s1")
        assert server is not None
        assert {key: getattr(server.snapshot, key) for key in expected} == expected

    with_cloud(answer(200, {"server": server_body("s1", **more)}), then=then)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"addresses": {}}, {"addresses": ()}),
        ({"addresses": None}, {"addresses": ()}),
        (
            {"addresses": {"a": [{"addr": "10.0.0.1"}], "b": [{}, {"addr": "fd00::1"}]}},
            {"addresses": ("10.0.0.1", "fd00::1")},
        ),
        ({"addresses": {"a": [{"addr": "10.0.0.1"}] * 1000}}, {"addresses": ("10.0.0.1",) * ADDRESSES_SEEN}),
        ({"enterprise_project_id": "ep-1", "sys_tags": []}, {"enterprise_project": "ep-1"}),
        (
            {
                "enterprise_project_id": None,
                "sys_tags": [{"key": "a"}, {"key": "_sys_enterprise_project_id", "value": "ep-2"}],
            },
            {"enterprise_project": "ep-2"},
        ),
        ({"enterprise_project_id": "", "sys_tags": None}, {"enterprise_project": None}),
        ({"metadata": {"image_name": "De\nbian"}}, {"image_name": "De\ufffdbian"}),
        ({"name": "db\u200b\u2011gold "}, {"name": "db\u200b\u2011gold "}),
        ({"name": "mu\u0308nchen\u00a0"}, {"name": "m\u00fcnchen\u00a0"}),
        ({"name": "a\x00\ud800b"}, {"name": "a\ufffd\ufffdb"}),
        ({"tags": ["ro\u200ble=we\u0308b"]}, {"tags": {"ro\u200ble": "w\u00ebb"}}),
        ({"flavor": {}}, {"flavor": None}),
        ({"tags": None}, {"tags": {}}),
        ({"tags": ["a=b=c", "d", "e="]}, {"tags": {"a": "b=c", "d": "", "e": ""}}),
    ],
)
def test_by_what_servers_are_selected(more: dict[str, object], expected: dict[str, object]) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        server = await client.server("s1")
        assert server is not None
        assert {key: getattr(server, key) for key in expected} == expected

    with_cloud(answer(200, {"server": server_body("s1", **more)}), then=then)


def test_a_server_that_says_next_to_nothing_is_read() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.server("s1") == Server("s1", "", ServerSnapshot("UNKNOWN", "", None, None, None, None))

    with_cloud(answer(200, {"server": {"id": "s1"}}), then=then)


@pytest.mark.parametrize(
    "more",
    [
        {"status": 5},
        {"status": ["ACTIVE"]},
        {"OS-EXT-STS:task_state": {"a": 1}},
        {"OS-EXT-STS:vm_state": "x" * 300},
        {"OS-EXT-STS:power_state": "on"},
        {"OS-EXT-STS:power_state": True},
        {"OS-EXT-STS:power_state": 10**30},
        {"metadata": "text"},
        {"image": [1]},
        {ATTACHED: {"id": "d"}},
        {ATTACHED: ["d"]},
        {ATTACHED: [{"bootIndex": "0"}]},
        {ATTACHED: [{"id": "d\n", "bootIndex": "0"}]},
        {"locked": "yes"},
        {"fault": "text"},
        {"tags": "a=b"},
        {"tags": [5]},
        {"flavor": "s3"},
        {"flavor": {"id": 5}},
        {"addresses": ["192.168.0.7"]},
        {"addresses": {"vpc-1": "192.168.0.7"}},
        {"addresses": {"vpc-1": ["192.168.0.7"]}},
        {"addresses": {"vpc-1": [{"addr": 7}]}},
        {"addresses": {"vpc-1": [{"addr": "1" * 65}]}},
        {"enterprise_project_id": 0},
        {"sys_tags": {"key": "_sys_enterprise_project_id"}},
        {"metadata": {"image_name": 5}},
        {"name": 5},
        {"id": ""},
        {"id": None},
        {"id": "another"},
    ],
)
def test_what_has_the_wrong_type_is_no_server(more: dict[str, object]) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(ReadRefused, match="server s1"):
            await client.server("s1")
        assert len(cloud.calls) == 1

    with_cloud(answer(200, {"server": server_body("s1", **more)}, x_request_id="r"), then=then)


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        (answer(404, {"itemNotFound": {"message": "gone", "code": 404}}), True),
        (error(404, "Ecs.0114"), True),
        (error(404, "ECS.0614"), True),
        (error(400, "Ecs.0114"), False),
        (error(404, "APIGW.0101"), False),
        (error(404, "Ecs.4711"), False),
        (answer(404, b"<html>not found</html>"), False),
        (answer(404, b""), False),
    ],
)
def test_gone_takes_more_than_a_404(given: Answer, gone: bool) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        if gone:
            assert await client.server("s1") is None
        else:
            with pytest.raises(ReadRefused):
                await client.server("s1")

    with_cloud(given, then=then)


def test_an_id_stays_one_segment_of_the_path() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.server("../x?y#z") is None
        assert cloud.calls[0].path == f"/v1/{PROJECT}/cloudservers/../x?y#z"
        assert cloud.calls[0].params == {}

    with_cloud(error(404, "Ecs.0114"), then=then)


def test_a_server_is_as_old_as_the_request_that_left_and_not_as_the_wish_to_read_it() -> None:
    """Where the pace makes a read wait a minute, what it shows is fresh all the same."""

    async def main() -> None:
        cloud = ScriptedCloud(*(answer(200, {"server": server_body("s1")}) for _ in range(2)))
        async with opened(cloud, limits=ApiLimits(rate_per_s=1 / 60, burst=1)) as client:
            first, second = await client.server("s1"), await client.server("s1")
        assert first is not None
        assert second is not None
        assert first.asked is not None
        assert second.asked is not None
        assert second.asked.since_s(first.asked) >= 59.0
        assert second.asked.elapsed_s == cloud.calls[-1].at_s

    run(main)


@pytest.mark.parametrize(
    ("more", "bare_metal", "managed_by"),
    [
        ({"tags": ["__type_baremetal"]}, True, None),
        ({"metadata": {"metering.resourcetype": "hws.resource.type.pm"}}, True, None),
        ({"metadata": {"metering.resourcetype": "1"}}, False, None),
        ({"metadata": {"metering.resourcetype": 1}}, False, None),
        ({"tags": ["CCE-Cluster-ID=1"]}, False, "CCE"),
        ({"tags": ["a=b", "CCE-Dynamic-Provisioning-Node"]}, False, "CCE"),
        ({"tags": ["cce-cluster-id=1", "role=CCE-Cluster-ID"]}, False, None),
    ],
)
def test_whose_a_server_is(more: dict[str, object], bare_metal: bool, managed_by: str | None) -> None:
    traits = read_server({"id": "a", **more}).traits
    assert (traits.bare_metal, traits.managed_by) == (bare_metal, managed_by)
