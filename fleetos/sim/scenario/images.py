"""Images of the simulated cloud."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SimImage:
    """Image of the cloud."""

    id: str
    name: str
    status: str = "active"
    min_disk_gb: int = 40
    os_type: str = "Linux"
    imagetype: str = "gold"
    flags: dict[str, str | int | bool] = field(default_factory=dict[str, "str | int | bool"])
    """Further fields of its IMS response; values of `__*` flags are strings."""


def show_image(image: SimImage, created: str) -> dict[str, object]:
    """Return an image in the format of `GET /v2/cloudimages` (IMS API, "querying images")."""
    return {
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "min_disk": image.min_disk_gb,
        "min_ram": 0,
        "__imagetype": image.imagetype,
        "__os_type": image.os_type,
        "__os_bit": "64",
        "__platform": image.name.split("_")[1] if image.name.count("_") else "Other",
        "__isregistered": "true",
        "__image_source_type": "uds",
        "__os_feature_list": '{"onekey_resetpasswd": "true"}',
        "__support_kvm": "true",
        "virtual_env_type": "FusionCompute",
        "visibility": "public" if image.imagetype == "gold" else "private",
        "protected": True,
        "disk_format": "zvhd2",
        "container_format": "bare",
        "created_at": created,
        "updated_at": created,
        **image.flags,
    }


def is_arm(image: SimImage) -> bool:
    """Return whether the image is for ARM servers."""
    return image.flags.get("__support_arm") == "true" or image.flags.get("architecture") == "arm"


def platforms(image: SimImage) -> frozenset[str]:
    """Return the platforms that the image supports, each without and with a GPU: kvm, kvm_gpu_type."""
    flags = {"__support_kvm": "true", **image.flags}
    kinds = ("kvm", "xen", "kvm_gpu_type", "xen_gpu_type")
    return frozenset(kind for kind in kinds if flags.get(f"__support_{kind}", "false") not in ("", "false"))


def firmware(image: SimImage) -> object:
    """Return the firmware type of the image, BIOS if it states none."""
    return image.flags.get("hw_firmware_type", "bios")
