"""Which servers and images do not go together: what the cloud refuses a change for whatever state the server is in.

Law: API page ecs_02_0202 and the appendix "error codes". Where no code is documented, that of an invalid parameter.
"""

from fleetos.sim.scenario.images import SimImage, firmware, is_arm, platforms
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.world.servers import SimDisk, SimServer
from fleetos.sim.world.world import World, disks_in_use

_MARKET = "market"


def misfit(world: World, server: SimServer, image: SimImage) -> ApiError | None:
    """Return the refusal of a change of the server to the image, None if they go together."""
    return _by_contract(server, image) or _by_disk(world, server, image) or _by_flavor(server, image)


def _by_contract(server: SimServer, image: SimImage) -> ApiError | None:
    body = server.body
    if body.frozen:
        return refusal("Ecs.0030")
    if body.charging == "spot":
        return refusal("Ecs.0005", message="The OS of a spot server cannot be changed.")
    kinds = {image.imagetype, server.image.imagetype if server.image is not None else ""}
    if body.charging == "yearly-monthly" and _MARKET in kinds:
        return refusal("Ecs.0510")
    return None


def _by_disk(world: World, server: SimServer, image: SimImage) -> ApiError | None:
    disk = server.system_disk
    if disk is not None and disk.status != "in-use":
        return refusal("Ecs.0073" if disk.status == "backing-up" else "Ecs.0101")
    if disk is not None and server.body.charging == "yearly-monthly" and image.min_disk_gb > disk.size_gb:
        return refusal("Ecs.0120")
    return refusal("Ecs.0021") if _over_quota(world, disk, image) else None


def _over_quota(world: World, disk: SimDisk | None, image: SimImage) -> bool:
    """Whether there is no room for the new disk beside the old one."""
    quota = world.scenario.quota
    used, used_gb = disks_in_use(world) if quota.volumes >= 0 or quota.gigabytes >= 0 else (0, 0)
    size_gb = max(image.min_disk_gb, disk.size_gb if disk is not None else 0)
    return 0 <= quota.volumes < used + 1 or 0 <= quota.gigabytes < used_gb + size_gb


def _by_flavor(server: SimServer, image: SimImage) -> ApiError | None:
    flavor = server.body.flavor
    if image.flags.get("virtual_env_type", "FusionCompute") != "FusionCompute":
        return refusal("Ecs.0007")
    wanted = {flavor.platform, f"{flavor.platform}_gpu_type"} if flavor.gpu else {flavor.platform}
    if wanted.isdisjoint(platforms(image)):
        return refusal("Ecs.0005", message="The flavor does not match the image.")
    other_boot = server.image is not None and firmware(server.image) != firmware(image)
    memory = int(image.flags.get("min_ram", 0)), int(image.flags.get("max_ram", 0)) or flavor.ram_mb
    if is_arm(image) != flavor.arm or other_boot or not memory[0] <= flavor.ram_mb <= memory[1]:
        return refusal("Ecs.0005", message="The flavor does not match the image.")
    return None
