"""What a project may have in the simulated cloud: its flavors, and its quotas of servers and disks."""

import json

from fleetos.sim.quota_shapes import FlavorListed
from fleetos.sim.reads import Answer, Look
from fleetos.sim.world import World


def flavors(world: World, look: Look) -> Answer:
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


def disk_quota(world: World, look: Look) -> Answer:
    """Return what the project may have of disks, and what it has (EVS, "querying tenant quotas")."""
    quota = world.scenario.quota
    used, used_gb = disks_in_use(world)

    def of(limit: int, in_use: int) -> dict[str, int]:
        return {"limit": limit, "in_use": in_use, "reserved": 0}

    quotas = {"id": look.at_id, "volumes": of(quota.volumes, used), "gigabytes": of(quota.gigabytes, used_gb)}
    return json.dumps({"quota_set": quotas})


def limits(world: World, look: Look) -> Answer:
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


def disks_in_use(world: World) -> tuple[int, int]:
    """Return how many disks the project has, and their GB together."""
    there = [disk for disk in world.ledger.disks.values() if disk.destroyed_at is None]
    return len(there), sum(disk.size_gb for disk in there)
