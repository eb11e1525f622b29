"""What the cloud refuses a change for, whatever state the server is in, and the reads that would have told."""

from typing import Any

import pytest

from tests.unit.sim.harness import SimHarness

ARM = {"id": "kc1.large.2", "vcpus": 2, "ram_mb": 4096, "architecture": "arm"}
FLAVORS = [{"id": "s3.medium.2"}, ARM, {"id": "gpu", "gpu": True}, {"id": "xen", "platform": "xen"}]
EVS = "/v2/{p}/cloudvolumes/detail"


def sim(group: dict[str, Any], image: dict[str, Any] | None = None, **more: Any) -> SimHarness:
    return SimHarness(
        servers=[{"state": "stopped", "image": "before", **group}],
        images=[
            {"name": "before"},
            {"name": "market", "imagetype": "market"},
            {"name": "Standard_Debian_12_latest", **(image or {})},
        ],
        flavors=FLAVORS,
        **more,
    )


@pytest.mark.parametrize(
    ("group", "image", "code"),
    [
        ({"frozen": True}, {}, "Ecs.0030"),
        ({"charging": "spot"}, {}, "Ecs.0005"),
        ({"charging": "yearly-monthly", "image": "market"}, {}, "Ecs.0510"),
        ({"charging": "yearly-monthly"}, {"imagetype": "market"}, "Ecs.0510"),
        ({"charging": "yearly-monthly"}, {"min_disk_gb": 100}, "Ecs.0120"),
        ({"system_disk_status": "backing-up"}, {}, "Ecs.0073"),
        ({"system_disk_status": "error"}, {}, "Ecs.0101"),
        ({"flavor": "kc1.large.2"}, {}, "Ecs.0005"),
        ({}, {"flags": {"__support_arm": "true"}}, "Ecs.0005"),
        ({}, {"flags": {"hw_firmware_type": "uefi"}}, "Ecs.0005"),
        ({}, {"flags": {"__support_kvm": "false", "__support_xen": "true"}}, "Ecs.0005"),
        ({}, {"flags": {"__support_kvm": "false", "__support_kvm_gpu_type": "T4"}}, "Ecs.0005"),
        ({"flavor": "xen"}, {}, "Ecs.0005"),
        ({}, {"flags": {"min_ram": 4096}}, "Ecs.0005"),
        ({}, {"flags": {"max_ram": 1024}}, "Ecs.0005"),
        ({}, {"flags": {"virtual_env_type": "IsoImage"}}, "Ecs.0007"),
    ],
)
def test_what_does_not_go_together(group: dict[str, Any], image: dict[str, Any], code: str) -> None:
    status, answer = sim(group, image).change()
    assert (status, answer["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("group", "image"),
    [
        ({}, {"min_disk_gb": 100}),
        ({"charging": "yearly-monthly"}, {}),
        ({"image": "market"}, {"imagetype": "market"}),
        ({"flavor": "kc1.large.2"}, {"flags": {"__support_arm": "true"}}),
        ({"flavor": "gpu"}, {}),
        ({"flavor": "gpu"}, {"flags": {"__support_kvm": "false", "__support_kvm_gpu_type": "T4"}}),
        ({"flavor": "xen"}, {"flags": {"__support_xen": "true"}}),
    ],
)
def test_what_goes_together(group: dict[str, Any], image: dict[str, Any]) -> None:
    assert sim(group, image).change()[0] == 200


@pytest.mark.parametrize(
    ("quota", "status"),
    [({"volumes": 1}, 400), ({"volumes": 2}, 200), ({"gigabytes": 79}, 400), ({"gigabytes": 80}, 200)],
)
def test_the_new_disk_needs_room_beside_the_old_one(quota: dict[str, int], status: int) -> None:
    assert sim({}, quota=quota).change()[0] == status


def test_the_quotas_tell_what_is_there() -> None:
    cloud = sim({"count": 3}, quota={"volumes": 5, "gigabytes": 200, "servers": 9})
    quota = cloud.call("GET", "/v2/{p}/os-quota-sets/{p}", usage="True")[1]["quota_set"]
    assert quota["volumes"] == {"limit": 5, "in_use": 3, "reserved": 0}
    assert quota["gigabytes"] == {"limit": 200, "in_use": 120, "reserved": 0}
    absolute = cloud.call("GET", "/v1/{p}/cloudservers/limits")[1]["absolute"]
    assert (absolute["maxTotalInstances"], absolute["totalInstancesUsed"]) == (9, 3)


def test_disks_come_in_the_order_that_was_asked_for() -> None:
    sizes = [80, 20, 40]
    cloud = SimHarness(servers=[{"name": f"s{size}", "system_disk_gb": size} for size in sizes])
    shown = [one["size"] for one in cloud.call("GET", EVS, sort_key="size", sort_dir="asc")[1]["volumes"]]
    assert shown == sorted(sizes)
    assert [one["size"] for one in cloud.call("GET", EVS, sort_key="size")[1]["volumes"]] == shown[::-1]
    assert [one["size"] for one in cloud.call("GET", EVS)[1]["volumes"]] == sizes


def test_a_new_disk_is_encrypted_only_when_asked() -> None:
    for metadata, encrypted in (({"__system__encrypted": "1"}, True), ({}, False)):
        cloud = sim({"system_disk_encrypted": True})
        cloud.change(metadata=metadata)
        cloud.wait(100)
        (disk,) = cloud.call("GET", EVS)[1]["volumes"]
        assert disk["encrypted"] is encrypted
        assert (disk["metadata"] != {}) is encrypted


@pytest.mark.parametrize(
    ("key", "state", "code"),
    [
        ("k1", "enabled", None),
        ("k1", "disabled", "Ecs.0119"),
        ("k1", "deletion", "Ecs.0119"),
        ("k2", "enabled", "Ecs.0912"),
    ],
)
def test_a_disk_is_encrypted_with_a_key_that_is_enabled(key: str, state: str, code: str | None) -> None:
    cloud = sim({}, encryption_keys=[{"id": "k1", "state": state}])
    shown = cloud.call("POST", "/v1.0/{p}/kms/describe-key", {"key_id": "k1"})[1]["key_info"]
    assert (shown["key_id"], shown["key_state"] == "2") == ("k1", state == "enabled")
    answer = cloud.call("POST", "/v1.0/{p}/kms/describe-key", {"key_id": "k2"})
    assert (answer[0], answer[1]["error"]["code"]) == (400, "KMS.0205")
    status, answer = cloud.change(metadata={"__system__encrypted": "1", "__system__cmkid": key})
    assert status == 200 if code is None else answer["error"]["code"] == code
    if code is None:
        cloud.wait(1000)
        (disk,) = cloud.call("GET", EVS)[1]["volumes"]
        assert disk["metadata"]["__system__cmkid"] == key


def test_only_flavors_of_arm_servers_name_their_architecture() -> None:
    shown = sim({}).call("GET", "/v1/{p}/cloudservers/flavors")[1]["flavors"]
    specs = {one["id"]: one["os_extra_specs"].get("ecs:instance_architecture") for one in shown}
    assert specs == {"s3.medium.2": None, "kc1.large.2": "arm64", "gpu": None, "xen": None}


def test_a_server_shows_how_it_is_paid_for_and_what_it_is() -> None:
    cloud = sim({"flavor": "kc1.large.2", "charging": "spot", "frozen": True, "host_status": "DOWN"})
    server = cloud.server()
    assert (server["metadata"]["charging_mode"], server["metadata"]["EcmResStatus"]) == ("2", "freeze")
    assert (server["flavor"]["id"], server["flavor"]["ram"], server["host_status"]) == ("kc1.large.2", "4096", "DOWN")
