"""Whether an image is for the hardware that a flavor gives a server: KVM or Xen, a GPU, local disks. Pure.

Sources: IMS API, "image attributes" (the fields `__support_...`, and which of them an image cannot have together); ECS
API, "querying details about flavors" (os_extra_specs). The cloud refuses a mismatch with Ecs.0005, as users report.
"""

from collections.abc import Iterator

from fleetos.model.findings import Check, Level
from fleetos.model.inventory import Flavor, Image

_SPOKEN = {"kvm": "KVM", "xen": "Xen"}
# Classes of flavors that have a field of their own with images, and how they are called.
_CLASSES = {
    "diskintensive": ("diskintensive", "disk-intensive servers"),
    "saphana": ("largememory", "servers with large memory"),
    "ultracpu": ("highperformance", "high-performance servers"),
}
_GPU, _HANA = frozenset({"kvm_gpu_type", "xen_gpu_type"}), frozenset({"xen_hana"})
_PLAIN = frozenset({"kvm", "xen"})

Told = tuple[Level, Check, str, str]


def hardware_findings(flavor: Flavor, image: Image) -> Iterator[Told]:
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


def _gpu(flavor: Flavor, image: Image) -> Iterator[Told]:
    """An image for GPUs names their type, and cannot be one for plain servers too."""
    for_gpu = bool(image.supports & _GPU)
    if flavor.gpu and not for_gpu:
        text = f"has a GPU (flavor {flavor.id}), and {image.name} does not say that it is for one"
        yield Level.WARNING, Check.HARDWARE, text, "it may lack the driver: try one server first"
    elif for_gpu and not flavor.gpu and not image.supports & _PLAIN and flavor.performance is not None:
        text = f"has no GPU (flavor {flavor.id}), and {image.name} is for servers with one alone"
        yield Level.REFUSED, Check.HARDWARE, text, "choose another image"
