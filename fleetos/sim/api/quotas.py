"""Endpoints of flavors, quotas, encryption keys and enterprise projects."""

import json

from fleetos.sim.api.access import REGION
from fleetos.sim.api.reads import PAGE_MAX, ReadQuery, ReadResult, parse_number
from fleetos.sim.api.request_bodies import BodyError, DescribeKey, parse_body, read_model
from fleetos.sim.wire.error_codes import refusal
from fleetos.sim.wire.quota_types import EnterpriseShown, FlavorListed, KeyShown
from fleetos.sim.world.servers import format_time
from fleetos.sim.world.world import World

# KMS API, field key_state.
_KEY_STATES = {"waiting": "1", "enabled": "2", "disabled": "3", "deletion": "4", "import": "5"}


def flavors(world: World, query: ReadQuery) -> ReadResult:
    """Return the flavors; only ARM flavors state their architecture (ECS, "querying details about flavors")."""
    del query
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


def disk_quota(world: World, query: ReadQuery) -> ReadResult:
    """Return the disk quota of the project and its use (EVS, "querying tenant quotas")."""
    quota = world.scenario.quota
    disks, disks_gb = world.ledger.disks_in_use()

    def quota_json(limit: int, in_use: int) -> dict[str, int]:
        return {"limit": limit, "in_use": in_use, "reserved": 0}

    quotas = {
        "id": query.resource_id,
        "volumes": quota_json(quota.volumes, disks),
        "gigabytes": quota_json(quota.gigabytes, disks_gb),
    }
    return json.dumps({"quota_set": quotas})


def limits(world: World, query: ReadQuery) -> ReadResult:
    """Return the server quota of the project and its use (ECS, "querying tenant quotas")."""
    del query
    servers = [server for server in world.servers.values() if server.vm_state != "deleted"]
    absolute = {
        "maxTotalInstances": world.scenario.quota.servers,
        "maxTotalCores": -1,
        "maxTotalRAMSize": -1,
        "totalInstancesUsed": len(servers),
        "totalCoresUsed": sum(server.spec.flavor.vcpus for server in servers),
        "totalRAMUsed": sum(server.spec.flavor.ram_mb for server in servers),
    }
    return json.dumps({"absolute": absolute})


def enterprise_projects(world: World, query: ReadQuery) -> ReadResult:
    """Return a page of enterprise projects; `name` matches a part of the name (EPS, "listing ...")."""
    limit = parse_number(query.parameters.get("limit"), PAGE_MAX)
    offset = parse_number(query.parameters.get("offset"), 0)
    if limit is None or offset is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", message="limit or offset is not valid.")
    matches = [
        project
        for project in world.scenario.enterprise_projects
        if query.parameters.get("id", project.id) == project.id and query.parameters.get("name", "") in project.name
    ]
    created = format_time(world.born_at)
    shown: list[EnterpriseShown] = [
        {"id": project.id, "name": project.name, "description": "", "status": 1, "created_at": created,
         "updated_at": created, "type": "prod"}
        for project in matches[offset : offset + limit]
    ]  # fmt: skip
    return json.dumps({"enterprise_projects": shown, "total_count": len(matches)})


def key(world: World, query: ReadQuery) -> ReadResult:
    """Return one encryption key. An unknown id is refused like an invalid one."""
    try:
        key_id = read_model(DescribeKey, parse_body(query.body)).key_id
    except BodyError as error:
        return error.api_error
    entry = next((key for key in world.scenario.encryption_keys if key.id == key_id), None)
    if entry is None:
        return refusal("KMS.0205")
    shown: KeyShown = {
        "key_id": entry.id,
        "domain_id": world.draws.hex("domain"),
        "key_alias": f"key-{entry.id[:8]}",
        "realm": REGION,
        "key_description": "",
        "key_spec": "AES_256",
        "key_usage": "ENCRYPT_DECRYPT",
        "creation_date": str(int(world.born_at * 1000)),
        "scheduled_deletion_date": str(int(world.born_at * 1000) + 7 * 86_400_000) if entry.state == "deletion" else "",
        "key_state": _KEY_STATES[entry.state],
        "default_key_flag": "0",
        "key_type": "1",
        "origin": "external" if entry.state == "import" else "kms",
    }
    return json.dumps({"key_info": shown})
