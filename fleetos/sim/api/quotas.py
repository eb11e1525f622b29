"""What a project may have in the simulated cloud: flavors, quotas, encryption keys, enterprise projects."""

import json

from fleetos.sim.api.access import REGION
from fleetos.sim.api.reads import PAGE_MAX, Answer, ReadQuery, number
from fleetos.sim.api.request_bodies import BodyError, DescribeKey, parse, read
from fleetos.sim.wire.error_codes import refusal
from fleetos.sim.wire.quota_types import EnterpriseShown, FlavorListed, KeyShown
from fleetos.sim.world.servers import stamp
from fleetos.sim.world.world import World, disks_in_use

# KMS API, field key_state.
_KEY_STATES = {"waiting": "1", "enabled": "2", "disabled": "3", "deletion": "4", "import": "5"}


def flavors(world: World, look: ReadQuery) -> Answer:
    """Return the flavors; only those of ARM servers name their architecture (ECS, "querying details about flavors")."""
    del look
    shown: list[FlavorListed] = []
    for flavor in world.flavors.values():
        extra = {"ecs:performancetype": flavor.performance, "cond:operation:status": "normal"}
        extra["ecs:virtualization_env_types"] = "CloudCompute" if flavor.platform == "kvm" else "FusionCompute"
        if flavor.gpu:
            extra["pci_passthrough:enable_gpu"] = "true"
        if flavor.arm:
            extra |= {"ecs:performancetype": "kunpeng_computing", "ecs:instance_architecture": "arm64"}
        shown.append(
            {"id": flavor.id, "name": flavor.id, "vcpus": str(flavor.vcpus), "ram": flavor.ram_mb, "disk": "0",
             "swap": "", "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": False,
             "os-flavor-access:is_public": True, "os_extra_specs": extra}
        )  # fmt: skip
    return json.dumps({"flavors": shown})


def disk_quota(world: World, look: ReadQuery) -> Answer:
    """Return what the project may have of disks, and what it has (EVS, "querying tenant quotas")."""
    quota = world.scenario.quota
    used, used_gb = disks_in_use(world)

    def of(limit: int, in_use: int) -> dict[str, int]:
        return {"limit": limit, "in_use": in_use, "reserved": 0}

    quotas = {"id": look.at_id, "volumes": of(quota.volumes, used), "gigabytes": of(quota.gigabytes, used_gb)}
    return json.dumps({"quota_set": quotas})


def limits(world: World, look: ReadQuery) -> Answer:
    """Return what the project may have of servers, and what it has (ECS, "querying tenant quotas")."""
    del look
    there = [server for server in world.servers.values() if server.vm_state != "deleted"]
    absolute = {
        "maxTotalInstances": world.scenario.quota.servers,
        "maxTotalCores": -1,
        "maxTotalRAMSize": -1,
        "totalInstancesUsed": len(there),
        "totalCoresUsed": sum(server.body.flavor.vcpus for server in there),
        "totalRAMUsed": sum(server.body.flavor.ram_mb for server in there),
    }
    return json.dumps({"absolute": absolute})


def enterprise_projects(world: World, look: ReadQuery) -> Answer:
    """Return a page of enterprise projects; a name fits all that have it in theirs (EPS, "listing ...")."""
    limit, offset = number(look.query.get("limit"), PAGE_MAX), number(look.query.get("offset"), 0)
    if limit is None or offset is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", message="limit or offset is not valid.")
    found = [
        one
        for one in world.scenario.enterprise_projects
        if look.query.get("id", one.id) == one.id and look.query.get("name", "") in one.name
    ]
    born = stamp(world.born_at)
    shown: list[EnterpriseShown] = [
        {"id": one.id, "name": one.name, "description": "", "status": 1, "created_at": born, "updated_at": born,
         "type": "prod"}
        for one in found[offset : offset + limit]
    ]  # fmt: skip
    return json.dumps({"enterprise_projects": shown, "total_count": len(found)})


def key(world: World, look: ReadQuery) -> Answer:
    """Return one encryption key. That there is none of that id is answered like an id that is not valid."""
    try:
        key_id = read(DescribeKey, parse(look.body)).key_id
    except BodyError as error:
        return error.refused
    found = next((one for one in world.scenario.encryption_keys if one.id == key_id), None)
    if found is None:
        return refusal("KMS.0205")
    shown: KeyShown = {
        "key_id": found.id,
        "domain_id": world.chance.hex("domain"),
        "key_alias": f"key-{found.id[:8]}",
        "realm": REGION,
        "key_description": "",
        "key_spec": "AES_256",
        "key_usage": "ENCRYPT_DECRYPT",
        "creation_date": str(int(world.born_at * 1000)),
        "scheduled_deletion_date": str(int(world.born_at * 1000) + 7 * 86_400_000) if found.state == "deletion" else "",
        "key_state": _KEY_STATES[found.state],
        "default_key_flag": "0",
        "key_type": "1",
        "origin": "external" if found.state == "import" else "kms",
    }
    return json.dumps({"key_info": shown})
