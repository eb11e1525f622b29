"""What is found about one server and the image that it is to get. Pure.

What the cloud is documented to refuse refuses the server here too; what it only may refuse, or what somebody should
know, is a warning. Sources: API page ecs_02_0202 (constraints), the appendix "error codes", IMS "querying images".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleetos.model.findings import Check, Finding, Level
from fleetos.model.inventory import Disk, Flavor, Image, KeyState, Server, Traits
from fleetos.planning.preflight.orders import WINDOWS
from fleetos.planning.preflight.project_facts import ProjectFacts

_CHANGEABLE = frozenset({"ACTIVE", "SHUTOFF", "ERROR"})
# Where a server stays until somebody fetches it back; every other status passes by itself.
_STUCK = frozenset({"PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "VERIFY_RESIZE", "DELETED", "SOFT_DELETED"})
_YEARLY_MONTHLY, _SPOT = "1", "2"
_MARKET = "market"
_IN_USE = "in-use"
_ENCRYPTED, _KEY = "__system__encrypted", "__system__cmkid"


@dataclass(frozen=True, slots=True)
class ServerCheckInput:
    """A server, the image that it is to get with which metadata, and what surrounds them.

    `again`: it is to be changed even if it runs the image already.
    `allowed`: the plan says by name that it may be changed although it belongs to another service. `no_windows`: the
    cloud changes no server to Windows.
    """

    server: Server
    image: Image
    metadata: Mapping[str, str]
    around: ProjectFacts
    again: bool = False
    allowed: bool = False
    no_windows: bool = False

    @property
    def flavor(self) -> Flavor | None:
        """The server's flavor, None where flavors were not read or do not have it."""
        return (self.around.flavors or {}).get(self.server.flavor or "")

    def found(self, level: Level, check: Check, text: str, hint: str | None = None) -> Finding:
        """A finding about the server."""
        return Finding(level, check, self.server.name or self.server.id, text, hint, self.server.id)

    def refused(self, check: Check, text: str, hint: str | None = None) -> Finding:
        """A finding for which the server is not touched."""
        return self.found(Level.REFUSED, check, text, hint)

    def warned(self, check: Check, text: str, hint: str | None = None) -> Finding:
        """A finding that somebody should know of."""
        return self.found(Level.WARNING, check, text, hint)


def server_findings(pairing: ServerCheckInput) -> Iterator[Finding]:
    """All that is found, what refuses the server and what does not."""
    if pairing.server.unread is not None:
        text, hint = f"could not be read: {pairing.server.unread}", "see in the cloud's console what is odd about it"
        yield pairing.refused(Check.UNREADABLE, text, hint)
        return
    yield from _state(pairing)
    yield from _contract(pairing)
    yield from _disk(pairing)
    yield from _keys(pairing)
    yield from _machine(pairing)


def _state(pairing: ServerCheckInput) -> Iterator[Finding]:
    picture, traits = pairing.server.picture, pairing.server.traits
    if picture.disk is None:
        hint = "attach one; after a failed change ask the support desk"
        yield pairing.refused(Check.NO_SYSTEM_DISK, "has no system disk", hint)
    if picture.locked:
        yield pairing.refused(Check.LOCKED, "is locked", "unlock it")
    if picture.metered is not None and picture.image == pairing.image.id and not pairing.again:
        # If it is true of image.id, the disk may be the work of an earlier run.
        text = f"may run the image already: image.id says so, while metering.image_id is {picture.metered}"
        hint = "see in the cloud's console what it runs; `force: true` in the plan changes it all the same"
        yield pairing.refused(Check.IMAGE_UNCLEAR, text, hint)
    if picture.status in _STUCK:
        yield pairing.refused(Check.WRONG_STATE, f"is in status {picture.status}", "bring it to running or stopped")
    elif picture.status not in _CHANGEABLE:
        yield pairing.warned(Check.PASSING_STATE, f"is in status {picture.status}", "it is waited for, then held")
    elif picture.status == "ERROR":
        text = "is in status ERROR: the cloud changes it only if a failed change left it so"
        yield pairing.warned(Check.ERROR_STATE, text)
    if picture.task is not None:
        yield pairing.warned(Check.PASSING_STATE, f"is busy: {picture.task}", "it is waited for, then held")
    if traits.host_status not in (None, "UP"):
        yield pairing.warned(Check.HOST_DOWN, f"is on a host that is {traits.host_status}")


def _contract(pairing: ServerCheckInput) -> Iterator[Finding]:
    """Who may do what with it: error codes Ecs.0030 and Ecs.0510; spot servers are excluded by the API page."""
    traits, image = pairing.server.traits, pairing.image
    if traits.bare_metal:
        text = "is a bare-metal server, whose OS is changed by another service"
        yield pairing.refused(Check.BARE_METAL, text, "exclude it")
    if traits.managed_by is not None:
        yield _managed(pairing, traits.managed_by)
    if traits.frozen:
        yield pairing.refused(Check.FROZEN, "is frozen by the cloud", _thaw(traits))
    if traits.charging == _SPOT:
        hint = "create a new server from the image, and exclude this one"
        yield pairing.refused(Check.SPOT, "is a spot server, whose OS cannot be changed", hint)
    if traits.charging == _YEARLY_MONTHLY:
        if _MARKET in (traits.image_kind, image.kind):
            text = "is paid by year or month, and the marketplace has one of its two images"
            yield pairing.refused(
                Check.MARKETPLACE, text, "the cloud changes these only from its console, or not at all"
            )
        else:
            text = "is paid by year or month: if the new image has another price, the order waits to be paid"
            yield pairing.warned(Check.YEARLY_MONTHLY, text)
    elif image.kind == _MARKET:
        yield pairing.warned(Check.MARKETPLACE, f"gets {image.name} of the marketplace, which may have a price")


def _thaw(traits: Traits) -> str:
    """What ends a freeze, by its cause, which the cloud does not tell (Huawei Cloud, ecs_faq_0303)."""
    pay = "renew or pay its order" if traits.charging == _YEARLY_MONTHLY else "pay what the account owes"
    return f"{pay}; if it is frozen for a violation or by the authorities, ask the cloud's support desk"


def _managed(pairing: ServerCheckInput, service: str) -> Finding:
    """A change of a node's OS behind the back of CCE takes the node out (CCE user guide, "high-risk operations")."""
    if pairing.allowed:
        return pairing.warned(Check.MANAGED, f"belongs to {service}; the plan allows its change")
    hint = f"change it in {service}, or name it under `allow_managed`"
    return pairing.refused(Check.MANAGED, f"belongs to {service}, and a change of its OS behind that breaks it", hint)


def _disk(pairing: ServerCheckInput) -> Iterator[Finding]:
    disks, own = pairing.around.disks, pairing.server.picture.disk
    disk = None if disks is None or own is None else disks.known.get(own)
    least_gib = pairing.image.min_disk_gib or 0
    if disk is None:
        return
    if disk.size_gib < least_gib:
        yield _too_small(pairing, disk.size_gib, least_gib)
    if disk.status != _IN_USE:
        yield _not_at_rest(pairing, disk)
    if disk.encrypted and pairing.metadata.get(_ENCRYPTED) != "1":
        text = "has an encrypted system disk, and the new one will not be"
        yield pairing.warned(
            Check.DISK_ENCRYPTION, text, f'set {_ENCRYPTED}: "1" and __system__cmkid in the metadata of the change'
        )


def _keys(pairing: ServerCheckInput) -> Iterator[Finding]:
    """The key of the new disk, and that of an encrypted image (KMS API, key_state; error codes Ecs.0119, Ecs.0912)."""
    keys, image, hint = pairing.around.keys, pairing.image, "name a key that is enabled, or enable this one"
    key_id = pairing.metadata.get(_KEY)
    state = keys.get(key_id or "", KeyState.UNKNOWN)
    if state not in (KeyState.ENABLED, KeyState.UNKNOWN):
        yield pairing.refused(Check.ENCRYPTION_KEY, f"gets a disk encrypted with key {key_id}, which {state}", hint)
    # The key of a shared image is its owner's, and nothing that we can see.
    state = keys.get(image.key_id or "", KeyState.UNKNOWN)
    if image.key_id != key_id and state not in (KeyState.ENABLED, KeyState.UNKNOWN, KeyState.ABSENT):
        text = f"gets {image.name}, which is encrypted with key {image.key_id}, and that {state}"
        yield pairing.refused(Check.ENCRYPTION_KEY, text, "have the key enabled, or choose another image")


def _too_small(pairing: ServerCheckInput, size_gib: int, least_gib: int) -> Finding:
    """The disk of a server that is paid by use grows; one that is paid by year or month cannot (ecs_02_0202)."""
    text = f"has a system disk of {size_gib} GiB, and {pairing.image.name} needs {least_gib}"
    if pairing.server.traits.charging == _YEARLY_MONTHLY:
        hint = "detach, extend and attach the disk again first: it is paid by year or month and does not grow by itself"
        return pairing.refused(Check.MIN_DISK, text, hint)
    return pairing.warned(Check.DISK_GROWS, f"{text}: it grows, and so does its price")


def _not_at_rest(pairing: ServerCheckInput, disk: Disk) -> Finding:
    text = f"has a system disk in status {disk.status}"
    if disk.status.startswith("error"):
        return pairing.refused(Check.DISK_STATUS, text, "have the disk repaired")
    return pairing.warned(Check.DISK_STATUS, text, "the cloud changes it once the disk is in-use")


def _machine(pairing: ServerCheckInput) -> Iterator[Finding]:
    server, image = pairing.server, pairing.image
    old = pairing.around.images.get(server.picture.likely_image or "")
    yield from _processor(pairing, old)
    flavor = pairing.flavor
    for level, check, text, hint in () if flavor is None else hardware_findings(flavor, image):
        yield pairing.found(level, check, text, hint)
    ram_mib = server.traits.ram_mib
    if ram_mib is not None and not image.min_ram_mib <= ram_mib <= (image.max_ram_mib or ram_mib):
        bounds = (
            f"{image.min_ram_mib} MiB or more" if ram_mib < image.min_ram_mib else f"at most {image.max_ram_mib} MiB"
        )
        text = f"has {ram_mib} MiB of memory, and {image.name} is for {bounds}"
        yield pairing.refused(Check.MEMORY, text, "choose another image or flavor")
    if old is not None:
        yield from _firmware(pairing, old)
    if pairing.no_windows and image.os_type == WINDOWS:
        text = f"gets {image.name}, which is Windows; here the cloud changes no server to Windows"
        yield pairing.refused(Check.OS_TYPE, text, "make a new server from that image")
    elif server.os_type and image.os_type and server.os_type.casefold() != image.os_type.casefold():
        text = f"goes from {server.os_type} to {image.os_type}"
        yield pairing.warned(Check.OS_TYPE, text)


def _processor(pairing: ServerCheckInput, old: Image | None) -> Iterator[Finding]:
    """The flavor knows best; where flavors are not read, the old image runs on the server and so tells as much.

    An image that names no architecture is one for x86: only ARM is named (IMS, field __support_arm).
    """
    known = pairing.flavor
    if known is not None:
        own, told = known.architecture, f"flavor {known.id}"
    elif old is not None and old.architecture is not None:
        own, told = old.architecture, f"image {old.name}"
    else:
        return
    wanted = pairing.image.architecture or "x86"
    if own != wanted:
        text = f"is an {own} server ({told}), and {pairing.image.name} is for {wanted}"
        yield pairing.refused(Check.ARCHITECTURE, text, f"choose an image for {own}")


def _firmware(pairing: ServerCheckInput, old: Image) -> Iterator[Finding]:
    """BIOS and UEFI do not go together (ecs_02_0202). That an image that does not say boots by BIOS is inferred."""
    before, after = old.firmware, pairing.image.firmware
    if (before or "bios") == (after or "bios"):
        return
    text = f"boots by {before or 'BIOS, it seems'}, and {pairing.image.name} by {after or 'BIOS, it seems'}"
    if before is None or after is None:
        yield pairing.warned(Check.FIRMWARE, text, "the cloud refuses another firmware")
    else:
        yield pairing.refused(Check.FIRMWARE, text, f"choose an image for {before}")


_SPOKEN = {"kvm": "KVM", "xen": "Xen"}


# Classes of flavors that have a field of their own with images, and how they are called.
_CLASSES = {
    "diskintensive": ("diskintensive", "disk-intensive servers"),
    "saphana": ("largememory", "servers with large memory"),
    "ultracpu": ("highperformance", "high-performance servers"),
}


_GPU, _HANA = frozenset({"kvm_gpu_type", "xen_gpu_type"}), frozenset({"xen_hana"})


_PLAIN = frozenset({"kvm", "xen"})


HardwareNeeds = tuple[Level, Check, str, str]


def hardware_findings(flavor: Flavor, image: Image) -> Iterator[HardwareNeeds]:
    """What is found about a server of that flavor that gets the image; nothing where the image does not say.

    Refused is what the documents exclude: another platform, and an image that is for special servers alone. That an
    image does not claim what the flavor is may only be an owner who has not said so, and is a warning.
    """
    platforms = {kind.partition("_")[0] for kind in image.supports} & _SPOKEN.keys()
    if not platforms:
        return
    if flavor.platform is not None and flavor.platform not in platforms:
        own, others = _SPOKEN[flavor.platform], " and ".join(_SPOKEN[one] for one in sorted(platforms))
        text = f"runs on {own} (flavor {flavor.id}), and {image.name} is for {others}"
        yield Level.REFUSED, Check.PLATFORM, text, f"choose an image for {own}"
        return
    yield from _gpu(flavor, image)
    if image.supports & _HANA and not image.supports & _PLAIN and flavor.performance not in (None, "saphana"):
        text = f"is no server for HANA (flavor {flavor.id}), and {image.name} is for these alone"
        yield Level.REFUSED, Check.HARDWARE, text, "choose another image"
    kind, called = _CLASSES.get(flavor.performance or "", (None, ""))
    if kind is not None and kind not in image.supports and not (kind == "largememory" and image.supports & _HANA):
        text = f"is one of the {called} (flavor {flavor.id}), and {image.name} does not say that it is for these"
        yield Level.WARNING, Check.HARDWARE, text, "try one server first"


def _gpu(flavor: Flavor, image: Image) -> Iterator[HardwareNeeds]:
    """An image for GPUs names their type, and cannot be one for plain servers too."""
    for_gpu = bool(image.supports & _GPU)
    if flavor.gpu and not for_gpu:
        text = f"has a GPU (flavor {flavor.id}), and {image.name} does not say that it is for one"
        yield Level.WARNING, Check.HARDWARE, text, "it may lack the driver: try one server first"
    elif for_gpu and not flavor.gpu and not image.supports & _PLAIN and flavor.performance is not None:
        text = f"has no GPU (flavor {flavor.id}), and {image.name} is for servers with one alone"
        yield Level.REFUSED, Check.HARDWARE, text, "choose another image"
