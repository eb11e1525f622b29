"""Images that do not fit a server: the refusals that do not depend on the state of the server.

Source: API page ecs_02_0202 and the appendix "error codes". Where no code is documented, the code of an invalid
parameter.
"""

from fleetos.sim.scenario.images import SimImage, firmware, is_arm, platforms
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.world.servers import SimDisk, SimServer
from fleetos.sim.world.world import World

_MARKET = "market"


def find_incompatibility(world: World, server: SimServer, image: SimImage) -> ApiError | None:
    """Return the refusal of a change of the server to the image, or None if the image fits."""
    return (
        _refuse_by_contract(server, image) or _refuse_by_disk(world, server, image) or _refuse_by_flavor(server, image)
    )


def _refuse_by_contract(server: SimServer, image: SimImage) -> ApiError | None:
    spec = server.spec
    if spec.frozen:
        return refusal("Ecs.0030")
    if spec.charging == "spot":
        return refusal("Ecs.0005", message="The OS of a spot server cannot be changed.")
    image_types = {image.imagetype, server.image.imagetype if server.image is not None else ""}
    if spec.charging == "yearly-monthly" and _MARKET in image_types:
        return refusal("Ecs.0510")
    return None


def _refuse_by_disk(world: World, server: SimServer, image: SimImage) -> ApiError | None:
    disk = server.system_disk
    if disk is not None and disk.status != "in-use":
        return refusal("Ecs.0073" if disk.status == "backing-up" else "Ecs.0101")
    if disk is not None and server.spec.charging == "yearly-monthly" and image.min_disk_gb > disk.size_gb:
        return refusal("Ecs.0120")
    return refusal("Ecs.0021") if _exceeds_quota(world, disk, image) else None


def _exceeds_quota(world: World, disk: SimDisk | None, image: SimImage) -> bool:
    """Return whether the quota has no room for the new disk beside the old one."""
    quota = world.scenario.quota
    disks, disks_gb = world.ledger.disks_in_use() if quota.volumes >= 0 or quota.gigabytes >= 0 else (0, 0)
    size_gb = max(image.min_disk_gb, disk.size_gb if disk is not None else 0)
    return 0 <= quota.volumes < disks + 1 or 0 <= quota.gigabytes < disks_gb + size_gb


def _refuse_by_flavor(server: SimServer, image: SimImage) -> ApiError | None:
    flavor = server.spec.flavor
    if image.flags.get("virtual_env_type", "FusionCompute") != "FusionCompute":
        return refusal("Ecs.0007")
    supported_by_flavor = {flavor.platform, f"{flavor.platform}_gpu_type"} if flavor.gpu else {flavor.platform}
    if supported_by_flavor.isdisjoint(platforms(image)):
        return refusal("Ecs.0005", message="The flavor does not match the image.")
    other_firmware = server.image is not None and firmware(server.image) != firmware(image)
    ram_range_mb = int(image.flags.get("min_ram", 0)), int(image.flags.get("max_ram", 0)) or flavor.ram_mb
    if is_arm(image) != flavor.arm or other_firmware or not ram_range_mb[0] <= flavor.ram_mb <= ram_range_mb[1]:
        return refusal("Ecs.0005", message="The flavor does not match the image.")
    return None
