from typing import Any, cast

import pytest

from fleetos.sim.api.request_bodies import BodyError, parse_body
from fleetos.sim.wire.messages import SimResponse
from fleetos.sim.world.servers import SNAPSHOTS_KEPT_S
from tests.unit.sim.harness import LOGIN, SimHarness, stopped

LIST = "/v1/{p}/cloudservers/detail"


def fleet(count: int = 60, **scenario: object) -> SimHarness:
    return SimHarness(servers=[{"count": count, "name": "web-###", "az": ["a", "b"], "tags": ["role=web"]}], **scenario)


def names(sim: SimHarness, **query: str) -> list[str]:
    status, content = sim.call("GET", LIST, **query)
    assert status == 200, content
    return [server["name"] for server in content["servers"]]


def test_the_list_has_25_servers_a_page_and_offset_is_a_page_number() -> None:
    sim = fleet()
    assert sim.call("GET", LIST)[1]["count"] == 60
    assert len(names(sim)) == 25
    assert names(sim, offset="0") == names(sim, offset="1") == names(sim)
    pages = [name for page in "123" for name in names(sim, limit="25", offset=page)]
    assert pages == [f"web-{number:03}" for number in range(1, 61)]
    assert names(sim, offset="4") == []


def test_a_cloud_may_show_shorter_pages_than_it_is_asked_for() -> None:
    sim = fleet(list={"page": 40})
    assert [len(names(sim, limit="1000", offset=page)) for page in "123"] == [40, 20, 0]
    assert names(sim, limit="30", offset="2") == [f"web-{number:03}" for number in range(31, 61)]


def test_the_marker_is_the_last_id_of_the_page_before() -> None:
    sim = fleet()
    assert names(sim, limit="2", marker=sim.id("web-010")) == ["web-011", "web-012"]
    assert names(fleet(list={"marker": False}), limit="1", marker=sim.id("web-010")) == ["web-001"]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "many"}, {"offset": "-1"}])
def test_pages_that_do_not_exist(query: dict[str, str]) -> None:
    assert fleet().call("GET", LIST, None, **query)[0] == 400


def test_filters_of_the_list() -> None:
    sim = SimHarness(
        flavors=[{}, {"id": "m1.large.8"}],
        servers=[
            {"count": 3, "name": "web-#", "tags": ["role=web", "gold"]},
            {"count": 2, "name": "db-#", "tags": ["role=db"], "state": "stopped", "flavor": "m1.large.8"},
            {"name": "odd", "state": "failed", "enterprise_project": "ops", "address": "10.1.0.5"},
        ],
    )
    assert names(sim, flavor="m1.large.8") == ["db-1", "db-2"]
    assert names(sim, enterprise_project_id="ops") == names(sim, ip="10.1.0.5") == ["odd"]
    assert len(names(sim, enterprise_project_id="all_granted_eps")) == 6
    assert names(sim, name="w.b") == ["web-1", "web-2", "web-3"]
    assert names(sim, name="w*b") == []
    assert names(sim, status="SHUTOFF") == ["db-1", "db-2"]
    assert names(sim, status="ERROR") == ["odd"]
    assert names(sim, tags="role=db") == ["db-1", "db-2"]
    assert names(sim, tags="gold") == ["web-1", "web-2", "web-3"]
    assert names(sim, **{"not-tags": "role"}) == ["odd"]
    sim.change("db-1")
    assert names(sim, status="SHUTOFF") == [*names(sim, status="ACTIVE")[-1:], "db-2"] == ["db-1", "db-2"]


def test_the_filter_by_id_excludes_the_others_and_shows_unknown_ones() -> None:
    sim = fleet()
    asked = ",".join([sim.id("web-050"), "unknown", sim.id("web-002")])
    status, content = sim.call("GET", LIST, server_id=asked, status="SHUTOFF", limit="1")
    assert status == 200
    assert [server.get("name") for server in content["servers"]] == ["web-050", None, "web-002"]
    assert set(content["servers"][1]) == {"id", "fault"}
    assert sim.call("GET", LIST, server_id=",".join(["x"] * 101))[0] == 400


def test_a_cloud_without_the_filter_by_id_ignores_it() -> None:
    sim = fleet(list={"server_id_filter": False})
    assert len(names(sim, server_id=sim.id("web-050"))) == 25


def test_temporary_servers_show_up_during_a_change() -> None:
    sim = stopped(temporary_servers=True)
    sim.change()
    assert [name[:4] for name in names(sim)] == ["web-", "temp"]
    sim.wait(100)
    assert names(sim) == ["web-001"]


def test_a_server_has_the_fields_that_clients_decide_by() -> None:
    sim = SimHarness(servers=[{"name": "one", "key": "KeyPair-350b", "locked": True, "data_disks": 1}])
    server = sim.server("one")
    assert server["OS-EXT-STS:power_state"] == 1
    assert server["metadata"]["metering.image_id"] == server["image"]["id"]
    assert server["metadata"]["os_type"] == "Linux"
    assert [v["bootIndex"] for v in server["os-extended-volumes:volumes_attached"]] == ["0", "-1"]
    assert (server["key_name"], server["locked"], server["fault"]) == ("KeyPair-350b", True, None)
    assert server["updated"].endswith("Z")


def test_an_unknown_server_job_volume_and_key_pair() -> None:
    sim = stopped()
    for path in ("/v1/{p}/cloudservers/x", "/v2/{p}/cloudvolumes/x", "/v2.1/{p}/os-keypairs/x"):
        status, content = sim.call("GET", path)
        assert (status, content["itemNotFound"]["code"]) == (404, 404)
    assert sim.call("GET", "/v1/{p}/jobs/x")[1]["code"] == "Common.0011"
    for path in ("/v1/{p}/cloudservers/x/block_device", "/v2.1/{p}/servers/x/os-instance-actions"):
        assert sim.call("GET", path)[0] == 404
    status, content = sim.call("GET", "/v1/{p}/cloudservers/x/nothing")
    assert (status, content["error_code"]) == (404, "APIGW.0101")


def test_images_are_found_by_name_id_and_status() -> None:
    images = [{"name": f"image-{n}", "status": "active" if n else "queued"} for n in range(4)]
    sim = SimHarness(servers=[{"image": "image-1"}], images=[*images, {"name": "image-1", "id": "twin"}])

    def found(**query: str) -> list[str]:
        return [image["name"] for image in sim.call("GET", "/v2/cloudimages", **query)[1]["images"]]

    assert found(name="image-2") == ["image-2"]
    assert found(name="image-1") == ["image-1", "image-1"]
    assert found(id="twin", limit="1") == ["image-1"]
    assert found(status="queued", __imagetype="gold") == ["image-0"]
    assert found(limit="2", marker=sim.image("image-1")) == ["image-2", "image-3"]
    assert found(name="image-2", status="queued") == []


def test_disks_key_pairs_and_actions() -> None:
    sim = SimHarness(servers=[{"count": 2, "data_disks": 1, "state": "stopped"}])
    sim.change()
    sim.wait(100)
    path = "/v2/{p}/cloudvolumes"
    disks = sim.call("GET", f"{path}/detail", server_id=sim.id())[1]["volumes"]
    assert {disk["id"] for disk in disks} >= {sim.disk()}
    assert sim.call("GET", f"{path}/detail", limit="3")[1]["count"] == 4
    volume: dict[str, Any] = sim.call("GET", f"{path}/{sim.disk()}")[1]["volume"]
    assert (volume["status"], volume["size"], volume["volume_image_metadata"]["image_id"]) == (
        "in-use",
        40,
        sim.image(),
    )
    pairs = sim.call("GET", "/v2.1/{p}/os-keypairs")[1]["keypairs"]
    assert [pair["keypair"]["name"] for pair in pairs] == ["KeyPair-350b"]
    assert sim.call("GET", "/v2.1/{p}/os-keypairs/KeyPair-350b")[1]["keypair"]["user_id"]
    done = sim.call("GET", f"/v2.1/{{p}}/servers/{sim.id()}/os-instance-actions")[1]["instanceActions"]
    assert [action["action"] for action in done] == ["rebuild"]


def test_the_token_names_its_project_expiry_and_endpoints() -> None:
    sim = SimHarness(tokens={"lifetime_s": 60, "length": 5000})
    assert len(sim.token) == 5000
    ending = sim.send("POST", "/v3/auth/tokens", LOGIN).ending
    assert isinstance(ending, SimResponse)
    token = cast("dict[str, Any]", parse_body(ending.body)["token"])
    assert ending.status == 201
    assert token["project"]["id"] == sim.cloud.world.project_id
    assert token["expires_at"] == "2027-01-15T08:01:00.000000Z"
    urls = {entry["type"]: entry["endpoints"][0]["url"] for entry in token["catalog"]}
    assert urls["ecs"] == f"http://sim.test/v1/{sim.cloud.world.project_id}"
    assert urls["ims"] == "http://sim.test"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"password": "wrong"}, 401),
        ({"name": "somebody"}, 401),
        ({"domain": {"name": "other"}}, 401),
        ({"domain": {"id": "other"}}, 401),
        ({"password": None, "name": 7}, 400),
    ],
)
def test_a_wrong_login(change: dict[str, object], status: int) -> None:
    sim = stopped()
    user: dict[str, object] = {"name": "sim", "password": "sim-password", "domain": {"name": "sim-domain"}}
    identity = {"methods": ["password"], "password": {"user": {**user, **change}}}
    assert sim.call("POST", "/v3/auth/tokens", {"auth": {"identity": identity}})[0] == status


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", {"auth": 7}, {"auth": {"identity": []}}, b"[" * 100_000])
def test_a_login_that_cannot_be_read(body: object) -> None:
    assert stopped().call("POST", "/v3/auth/tokens", body)[0] == 400


def test_old_pictures_are_forgotten() -> None:
    sim = stopped()
    for _ in range(200):
        sim.power("os-start")
        sim.wait(20)
        sim.power("os-stop")
        sim.wait(20)
    assert len(sim.cloud.world.servers[sim.id()].snapshots) < 4 * SNAPSHOTS_KEPT_S / 20


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(BodyError) as caught:
        parse_body(b"3")
    assert caught.value.api_error.code == "Ecs.0005"


def test_a_cloud_without_logs_offers_neither_actions_nor_disks() -> None:
    sim = SimHarness(servers=[{"state": "stopped"}], logs=False)
    for path in ("/v2.1/{p}/servers/x/os-instance-actions", "/v2/{p}/cloudvolumes/detail", "/v2/{p}/cloudvolumes/x"):
        status, content = sim.call("GET", path)
        assert (status, content["error_code"]) == (404, "APIGW.0101")
    assert sim.look() == ("SHUTOFF", "stopped", None)


def test_a_server_that_shows_no_image_shows_none_after_its_change_either() -> None:
    sim = SimHarness(servers=[{"state": "stopped", "shows_image": False}])
    sim.change()
    sim.wait(100)
    server = sim.server()
    assert (server["status"], server["image"], "metering.image_id" in server["metadata"]) == (
        "ACTIVE",
        {"id": ""},
        False,
    )
    (write,) = sim.ledger().writes
    assert (write.ended, write.image_before, write.image_id) == ("success", None, sim.image())
