"""Findings about one server, its image and its hardware. Pure.

A server is refused if the documents say that the cloud refuses it; what the cloud may refuse, or what somebody should
know, is a warning. Sources: API page ecs_02_0202 (constraints), the appendix "error codes", IMS "querying images".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleetos.model.findings import Check, Finding, Level
from fleetos.model.inventory import Disk, Flavor, Image, KeyState, Server, Traits
from fleetos.planning.preflight.orders import WINDOWS
from fleetos.planning.preflight.project_facts import ProjectFacts

_CHANGEABLE = frozenset({"ACTIVE", "SHUTOFF", "ERROR"})
# Statuses in which a server stays until somebody acts; every other one passes by itself.
_STUCK = frozenset({"PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "VERIFY_RESIZE", "DELETED", "SOFT_DELETED"})
_YEARLY_MONTHLY, _SPOT = "1", "2"
_MARKET = "market"
# Tag by which the owner of a server keeps it from every plan that does not name it.
PROTECT_TAG = "fleetos-protect"
_IN_USE = "in-use"
_ENCRYPTED, _KEY = "__system__encrypted", "__system__cmkid"
_PLATFORM_NAMES = {"kvm": "KVM", "xen": "Xen"}
# Classes of flavors for which images have a field of their own: that field, and the name in messages.
_CLASSES = {
    "diskintensive": ("diskintensive", "disk-intensive servers"),
    "saphana": ("largememory", "servers with large memory"),
    "ultracpu": ("highperformance", "high-performance servers"),
}
_GPU, _HANA = frozenset({"kvm_gpu_type", "xen_gpu_type"}), frozenset({"xen_hana"})
_PLAIN = frozenset({"kvm", "xen"})


@dataclass(frozen=True, slots=True)
class ServerCheckInput:
    """A server, the image and metadata that it is to get, and the project around them."""

    server: Server
    image: Image
    metadata: Mapping[str, str]
    project: ProjectFacts
    again: bool = False
    """The server is changed even if it runs the image already."""
    allowed: bool = False
    """The plan allows by name to change the server although it belongs to another service."""
    unprotected: bool = False
    """The plan allows by name to change the server although its tag protects it."""
    no_windows: bool = False
    """The cloud changes no server to Windows."""

    @property
    def flavor(self) -> Flavor | None:
        """The server's flavor; None if flavors were not read or do not have it."""
        return (self.project.flavors or {}).get(self.server.flavor or "")

    def finding(self, level: Level, check: Check, text: str, hint: str | None = None) -> Finding:
        """Return a finding about the server."""
        return Finding(level, check, self.server.name or self.server.id, text, hint, self.server.id)

    def refusal(self, check: Check, text: str, hint: str | None = None) -> Finding:
        """Return a finding that keeps the run from touching the server."""
        return self.finding(Level.REFUSED, check, text, hint)

    def warning(self, check: Check, text: str, hint: str | None = None) -> Finding:
        """Return a finding that somebody should know of."""
        return self.finding(Level.WARNING, check, text, hint)


def server_findings(subject: ServerCheckInput) -> Iterator[Finding]:
    """Yield all findings about the server: refusals and warnings."""
    if subject.server.unread is not None:
        text, hint = f"could not be read: {subject.server.unread}", "see in the cloud's console what is odd about it"
        yield subject.refusal(Check.UNREADABLE, text, hint)
        return
    yield from _check_state(subject)
    yield from _check_contract(subject)
    yield from _check_disk(subject)
    yield from _check_keys(subject)
    yield from _check_machine(subject)


def _check_state(subject: ServerCheckInput) -> Iterator[Finding]:
    snapshot, traits = subject.server.snapshot, subject.server.traits
    if snapshot.disk is None:
        hint = "attach one; after a failed change ask the support desk"
        yield subject.refusal(Check.NO_SYSTEM_DISK, "has no system disk", hint)
    if snapshot.locked:
        yield subject.refusal(Check.LOCKED, "is locked", "unlock it")
    if snapshot.metered is not None and snapshot.image == subject.image.id and not subject.again:
        # If image.id is right, an earlier run may have written this disk.
        text = f"may run the image already: image.id says so, while metering.image_id is {snapshot.metered}"
        hint = "see in the cloud's console what it runs; `force: true` in the plan changes it all the same"
        yield subject.refusal(Check.IMAGE_UNCLEAR, text, hint)
    if snapshot.status in _STUCK:
        yield subject.refusal(Check.WRONG_STATE, f"is in status {snapshot.status}", "bring it to running or stopped")
    elif snapshot.status not in _CHANGEABLE:
        yield subject.warning(Check.PASSING_STATE, f"is in status {snapshot.status}", "it is waited for, then held")
    elif snapshot.status == "ERROR":
        text = "is in status ERROR: the cloud changes it only if a failed change left it so"
        yield subject.warning(Check.ERROR_STATE, text)
    if snapshot.task is not None:
        yield subject.warning(Check.PASSING_STATE, f"is busy: {snapshot.task}", "it is waited for, then held")
    if traits.host_status not in (None, "UP"):
        yield subject.warning(Check.HOST_DOWN, f"is on a host that is {traits.host_status}")


def _check_contract(subject: ServerCheckInput) -> Iterator[Finding]:
    """Check the owner and the payment: error codes Ecs.0030 and Ecs.0510; the API page excludes spot servers."""
    traits, image = subject.server.traits, subject.image
    if traits.bare_metal:
        text = "is a bare-metal server, whose OS is changed by another service"
        yield subject.refusal(Check.BARE_METAL, text, "exclude it")
    if traits.managed_by is not None:
        yield _managed_finding(subject, traits.managed_by)
    if PROTECT_TAG in subject.server.tags:
        yield _protected_finding(subject)
    if traits.frozen:
        yield subject.refusal(Check.FROZEN, "is frozen by the cloud", _thaw_hint(traits))
    if traits.charging == _SPOT:
        hint = "create a new server from the image, and exclude this one"
        yield subject.refusal(Check.SPOT, "is a spot server, whose OS cannot be changed", hint)
    if traits.charging == _YEARLY_MONTHLY:
        if _MARKET in (traits.image_kind, image.kind):
            text = "is paid by year or month, and the marketplace has one of its two images"
            yield subject.refusal(
                Check.MARKETPLACE, text, "the cloud changes these only from its console, or not at all"
            )
        else:
            text = "is paid by year or month: if the new image has another price, the order waits to be paid"
            yield subject.warning(Check.YEARLY_MONTHLY, text)
    elif image.kind == _MARKET:
        yield subject.warning(Check.MARKETPLACE, f"gets {image.name} of the marketplace, which may have a price")


def _thaw_hint(traits: Traits) -> str:
    """Return what ends a freeze, by its cause, which the cloud does not tell (Huawei Cloud, ecs_faq_0303)."""
    pay = "renew or pay its order" if traits.charging == _YEARLY_MONTHLY else "pay what the account owes"
    return f"{pay}; if it is frozen for a violation or by the authorities, ask the cloud's support desk"


def _managed_finding(subject: ServerCheckInput, service: str) -> Finding:
    """Return the finding about a server that belongs to another service.

    A change of a node's OS that CCE does not know of takes the node out (CCE user guide, "high-risk operations").
    """
    if subject.allowed:
        return subject.warning(Check.MANAGED, f"belongs to {service}; the plan allows its change")
    hint = f"change it in {service}, or name it under `allow_managed`"
    return subject.refusal(Check.MANAGED, f"belongs to {service}, and a change of its OS behind that breaks it", hint)


def _protected_finding(subject: ServerCheckInput) -> Finding:
    if subject.unprotected:
        return subject.warning(Check.PROTECTED, f"has the tag {PROTECT_TAG}; the plan allows its change")
    hint = f"ask its owner; then remove the tag {PROTECT_TAG}, or name the server under `allow_protected`"
    return subject.refusal(Check.PROTECTED, f"is protected by its tag {PROTECT_TAG}", hint)


def _check_disk(subject: ServerCheckInput) -> Iterator[Finding]:
    disks, disk_id = subject.project.disks, subject.server.snapshot.disk
    disk = None if disks is None or disk_id is None else disks.known.get(disk_id)
    least_gib = subject.image.min_disk_gib or 0
    if disk is None:
        return
    if disk.size_gib < least_gib:
        yield _small_disk_finding(subject, disk.size_gib, least_gib)
    if disk.status != _IN_USE:
        yield _disk_status_finding(subject, disk)
    if disk.encrypted and subject.metadata.get(_ENCRYPTED) != "1":
        text = "has an encrypted system disk, and the new one will not be"
        yield subject.warning(
            Check.DISK_ENCRYPTION, text, f'set {_ENCRYPTED}: "1" and __system__cmkid in the metadata of the change'
        )


def _check_keys(subject: ServerCheckInput) -> Iterator[Finding]:
    """Check the key of the new disk and of an encrypted image (KMS API, key_state; error codes Ecs.0119, Ecs.0912)."""
    keys, image, hint = subject.project.keys, subject.image, "name a key that is enabled, or enable this one"
    key_id = subject.metadata.get(_KEY)
    state = keys.get(key_id or "", KeyState.UNKNOWN)
    if state not in (KeyState.ENABLED, KeyState.UNKNOWN):
        yield subject.refusal(Check.ENCRYPTION_KEY, f"gets a disk encrypted with key {key_id}, which {state}", hint)
    # The key of a shared image belongs to its owner, so we cannot see it.
    state = keys.get(image.key_id or "", KeyState.UNKNOWN)
    if image.key_id != key_id and state not in (KeyState.ENABLED, KeyState.UNKNOWN, KeyState.ABSENT):
        text = f"gets {image.name}, which is encrypted with key {image.key_id}, and that {state}"
        yield subject.refusal(Check.ENCRYPTION_KEY, text, "have the key enabled, or choose another image")


def _small_disk_finding(subject: ServerCheckInput, size_gib: int, least_gib: int) -> Finding:
    """Return the finding about a disk that is smaller than the image needs.

    The disk of a server that is paid by use grows; one that is paid by year or month cannot (ecs_02_0202).
    """
    text = f"has a system disk of {size_gib} GiB, and {subject.image.name} needs {least_gib}"
    if subject.server.traits.charging == _YEARLY_MONTHLY:
        hint = "detach, extend and attach the disk again first: it is paid by year or month and does not grow by itself"
        return subject.refusal(Check.MIN_DISK, text, hint)
    return subject.warning(Check.DISK_GROWS, f"{text}: it grows, and so does its price")


def _disk_status_finding(subject: ServerCheckInput, disk: Disk) -> Finding:
    text = f"has a system disk in status {disk.status}"
    if disk.status.startswith("error"):
        return subject.refusal(Check.DISK_STATUS, text, "have the disk repaired")
    return subject.warning(Check.DISK_STATUS, text, "the cloud changes it once the disk is in-use")


def _check_machine(subject: ServerCheckInput) -> Iterator[Finding]:
    server, image = subject.server, subject.image
    old = subject.project.images.get(server.snapshot.likely_image or "")
    yield from _check_architecture(subject, old)
    if subject.flavor is not None:
        yield from _check_hardware(subject, subject.flavor)
    ram_mib = server.traits.ram_mib
    if ram_mib is not None and not image.min_ram_mib <= ram_mib <= (image.max_ram_mib or ram_mib):
        bounds = (
            f"{image.min_ram_mib} MiB or more" if ram_mib < image.min_ram_mib else f"at most {image.max_ram_mib} MiB"
        )
        text = f"has {ram_mib} MiB of memory, and {image.name} is for {bounds}"
        yield subject.refusal(Check.MEMORY, text, "choose another image or flavor")
    if old is not None:
        yield from _check_firmware(subject, old)
    if subject.no_windows and image.os_type == WINDOWS:
        text = f"gets {image.name}, which is Windows; here the cloud changes no server to Windows"
        yield subject.refusal(Check.OS_TYPE, text, "make a new server from that image")
    elif server.os_type and image.os_type and server.os_type.casefold() != image.os_type.casefold():
        text = f"goes from {server.os_type} to {image.os_type}"
        yield subject.warning(Check.OS_TYPE, text)


def _check_architecture(subject: ServerCheckInput, old: Image | None) -> Iterator[Finding]:
    """Refuse an image for another architecture.

    The flavor knows best; where flavors are not read, the old image says as much, since it runs on the server. An image
    that names no architecture is one for x86: only ARM is named (IMS, field __support_arm).
    """
    flavor = subject.flavor
    if flavor is not None:
        architecture, source = flavor.architecture, f"flavor {flavor.id}"
    elif old is not None and old.architecture is not None:
        architecture, source = old.architecture, f"image {old.name}"
    else:
        return
    wanted = subject.image.architecture or "x86"
    if architecture != wanted:
        text = f"is an {architecture} server ({source}), and {subject.image.name} is for {wanted}"
        yield subject.refusal(Check.ARCHITECTURE, text, f"choose an image for {architecture}")


def _check_firmware(subject: ServerCheckInput, old: Image) -> Iterator[Finding]:
    """Check the firmware: BIOS and UEFI do not go together (ecs_02_0202).

    That an image which names no firmware boots by BIOS is inferred.
    """
    before, after = old.firmware, subject.image.firmware
    if (before or "bios") == (after or "bios"):
        return
    text = f"boots by {before or 'BIOS, it seems'}, and {subject.image.name} by {after or 'BIOS, it seems'}"
    if before is None or after is None:
        yield subject.warning(Check.FIRMWARE, text, "the cloud refuses another firmware")
    else:
        yield subject.refusal(Check.FIRMWARE, text, f"choose an image for {before}")


def _check_hardware(subject: ServerCheckInput, flavor: Flavor) -> Iterator[Finding]:
    """Compare the flavor with what the image supports; yield nothing if the image names no platform.

    The documents exclude another platform, and an image that is for special servers alone: these are refused. An image
    that does not claim to suit the flavor's class gets a warning: its owner may only have left that out.
    """
    image = subject.image
    platforms = {kind.partition("_")[0] for kind in image.supports} & _PLATFORM_NAMES.keys()
    if not platforms:
        return
    if flavor.platform is not None and flavor.platform not in platforms:
        platform = _PLATFORM_NAMES[flavor.platform]
        supported = " and ".join(_PLATFORM_NAMES[name] for name in sorted(platforms))
        text = f"runs on {platform} (flavor {flavor.id}), and {image.name} is for {supported}"
        yield subject.refusal(Check.PLATFORM, text, f"choose an image for {platform}")
        return
    yield from _check_gpu(subject, flavor)
    if image.supports & _HANA and not image.supports & _PLAIN and flavor.performance not in (None, "saphana"):
        text = f"is no server for HANA (flavor {flavor.id}), and {image.name} is for these alone"
        yield subject.refusal(Check.HARDWARE, text, "choose another image")
    field, class_name = _CLASSES.get(flavor.performance or "", (None, ""))
    if field is not None and field not in image.supports and not (field == "largememory" and image.supports & _HANA):
        text = f"is one of the {class_name} (flavor {flavor.id}), and {image.name} does not say that it is for these"
        yield subject.warning(Check.HARDWARE, text, "try one server first")


def _check_gpu(subject: ServerCheckInput, flavor: Flavor) -> Iterator[Finding]:
    """Compare the GPU. An image for GPUs names their type, and cannot be one for plain servers too."""
    image = subject.image
    for_gpu = bool(image.supports & _GPU)
    if flavor.gpu and not for_gpu:
        text = f"has a GPU (flavor {flavor.id}), and {image.name} does not say that it is for one"
        yield subject.warning(Check.HARDWARE, text, "it may lack the driver: try one server first")
    elif for_gpu and not flavor.gpu and not image.supports & _PLAIN and flavor.performance is not None:
        text = f"has no GPU (flavor {flavor.id}), and {image.name} is for servers with one alone"
        yield subject.refusal(Check.HARDWARE, text, "choose another image")
