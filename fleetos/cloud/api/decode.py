"""Decode servers, jobs and images from JSON (API pages ecs_02_0104, ecs_02_0901; IMS, querying images)."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar, cast

from fleetos.clock import Moment
from fleetos.cloud.http.error_body import sanitize
from fleetos.cloud.http.json_fields import (
    Fields,
    InvalidJson,
    boolean,
    number,
    parse_time,
    part,
    parts,
    require_text,
    text,
)
from fleetos.limits import DURATION_MAX_S, ID_CHARS
from fleetos.model.inventory import Disk, Flavor, Image, Job, JobStatus, Server, ServerSnapshot, SubJob, Traits
from fleetos.names import to_nfc

# Length of an address of a server, and addresses that are read of one server: it has some ten network cards.
ADDRESS_CHARS = 64
ADDRESSES_SEEN = 128
# A tag's key and value have at most 36 and 43 characters on one cloud, 128 and 255 on another.
_TAG_CHARS = 512
_ENTERPRISE_PROJECT = "_sys_enterprise_project_id"
# A server that is a whole machine (ECS API, "listing details about ECSs", query not-tags).
_BARE_METAL_TAG = "__type_baremetal"
# Metadata of such a machine (BMS API, "querying details about BMSs", metering.resourcetype).
_BARE_METAL_RESOURCE = "hws.resource.type.pm"
# Tags that a service of the platform puts on the servers that it has made (CCE user guide, "creating a node"; both are
# left out of a node's own tags by the vendors' terraform providers).
_SERVICE_TAGS = {"CCE-Cluster-ID": "CCE", "CCE-Dynamic-Provisioning-Node": "CCE"}
_SUPPORT = "__support_"
_KINDS = (
    "kvm",
    "kvm_gpu_type",
    "kvm_infiniband",
    "xen",
    "xen_gpu_type",
    "xen_hana",
    "largememory",
    "diskintensive",
    "highperformance",
)
_PLATFORMS = {"CloudCompute": "kvm", "FusionCompute": "xen"}
# Control characters and lone surrogates: no plan can contain them, and not every database can store them.
_UNKEPT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Longest feature list that is parsed.
_FEATURES_CHARS = 4096
T = TypeVar("T")


def read_server(
    fields: Fields, secrets: Collection[str] = (), requested: Moment | None = None, cloud_time: datetime | None = None
) -> Server:
    """Return a server, with the secrets redacted from its fault. Raise InvalidJson.

    `requested` is when the request left, `cloud_time` the cloud's clock when it answered.
    """
    metadata, tags = part(fields, "metadata"), _tags(fields)
    image, metered_image = text(part(fields, "image"), "id"), text(metadata, "metering.image_id")
    snapshot = ServerSnapshot(
        status=text(fields, "status") or "UNKNOWN",
        vm_state=text(fields, "OS-EXT-STS:vm_state") or "",
        task=text(fields, "OS-EXT-STS:task_state"),
        power=number(fields, "OS-EXT-STS:power_state"),
        disk=_system_disk(fields),
        image=image or metered_image,
        fault=_fault(part(fields, "fault"), secrets),
        locked=boolean(fields, "locked"),
        metered=metered_image if image is not None and metered_image != image else None,
    )
    return Server(
        id=require_text(fields, "id"),
        name=_name(fields, "name"),
        snapshot=snapshot,
        az=text(fields, "OS-EXT-AZ:availability_zone"),
        flavor=text(part(fields, "flavor"), "id"),
        key_name=text(fields, "key_name"),
        os_type=text(metadata, "os_type"),
        tags=tags,
        image_name=_name(metadata, "image_name") or None,
        addresses=_addresses(part(fields, "addresses")),
        enterprise_project=_enterprise_project(fields),
        traits=_traits(fields, metadata, tags),
        asked=requested,
        cloud_time=cloud_time,
    )


def read_job(fields: Fields, job_id: str, secrets: Collection[str] = ()) -> Job:
    """Return a job, with the secrets redacted from its failure. Raise InvalidJson.

    A status that is not in the documents counts as running.
    """
    entities = part(fields, "entities")
    return Job(
        id=job_id,
        status=_job_status(require_text(fields, "status")),
        error_code=_error_code(fields),
        fail_reason=_fail_reason(fields, secrets),
        sub_jobs=tuple(_sub_jobs(parts(entities, "sub_jobs"), secrets)),
        took_s=_duration_s(fields),
    )


def read_image(fields: Fields) -> Image:
    """Return an image. Raise InvalidJson."""
    return Image(
        id=require_text(fields, "id"),
        name=_name(fields, "name"),
        status=text(fields, "status") or "",
        os_type=text(fields, "__os_type"),
        min_disk_gib=number(fields, "min_disk"),
        inject_flag=text(fields, "__support_fc_inject"),
        virtual_env_type=text(fields, "virtual_env_type"),
        kind=_read_optional(text, fields, "__imagetype"),
        architecture=_image_architecture(fields),
        firmware=_read_optional(text, fields, "hw_firmware_type"),
        min_ram_mib=_read_optional(number, fields, "min_ram") or 0,
        max_ram_mib=_read_optional(number, fields, "max_ram") or 0,
        key_id=_read_optional(text, fields, "__system__cmkid"),
        member_status=_read_optional(text, fields, "member_status"),
        withdrawn=_read_optional(text, fields, "__is_offshelved") == "true",
        takes_password=_takes_password(fields.get("__os_feature_list")),
        created_at=parse_time(_read_optional(text, fields, "created_at")),
        supports=_supports(fields),
    )


def key_pair_names(fields: Fields) -> tuple[str, ...]:
    """Return the names in a list of key pairs (ECS API, "querying SSH key pairs"). Raise InvalidJson."""
    return tuple(_name(part(entry, "keypair"), "name") for entry in parts(fields, "keypairs"))


def read_disk(fields: Fields) -> Disk:
    """Return a volume (EVS API, "querying details about all disks"). Raise InvalidJson."""
    metadata = part(fields, "metadata")
    size_gib = number(fields, "size")
    if size_gib is None or size_gib < 0:
        raise InvalidJson("size is missing")
    encrypted = text(metadata, "__system__encrypted") == "1"
    return Disk(require_text(fields, "id"), size_gib, text(fields, "status") or "unknown", encrypted)


def read_flavor(fields: Fields) -> Flavor:
    """Return a flavor (ECS API, "querying details about flavors"). Raise InvalidJson.

    Only flavors of ARM servers name their architecture. FusionCompute stands for Xen, CloudCompute for KVM.
    """
    specs = part(fields, "os_extra_specs")
    passed_through = (
        _read_optional(text, specs, "pci_passthrough:enable_gpu"),
        _read_optional(text, specs, "pci_passthrough:gpu_specs"),
    )
    performance = _read_optional(text, specs, "ecs:performancetype")
    return Flavor(
        id=require_text(fields, "id"),
        architecture="arm" if _is_arm(text(specs, "ecs:instance_architecture")) else "x86",
        platform=_PLATFORMS.get(_read_optional(text, specs, "ecs:virtualization_env_types") or ""),
        performance=performance,
        gpu=performance == "gpu" or any(value not in (None, "false") for value in passed_through),
    )


def _read_optional(read: Callable[[Fields, str], T | None], fields: Fields, key: str) -> T | None:
    """Read a field that only preflight uses: a wrong type counts as absent, so that no other read fails by it."""
    try:
        return read(fields, key)
    except InvalidJson:
        return None


def _traits(fields: Fields, metadata: Fields, tags: Mapping[str, str]) -> Traits:
    return Traits(
        ram_mib=_read_optional(number, _read_optional(part, fields, "flavor") or {}, "ram"),
        charging=_read_optional(text, metadata, "charging_mode"),
        frozen=_read_optional(text, metadata, "EcmResStatus") == "freeze",
        image_kind=_read_optional(text, metadata, "metering.imagetype"),
        host_status=_read_optional(text, fields, "host_status"),
        bare_metal=_BARE_METAL_TAG in tags
        or _read_optional(text, metadata, "metering.resourcetype") == _BARE_METAL_RESOURCE,
        managed_by=next((service for tag, service in _SERVICE_TAGS.items() if tag in tags), None),
    )


def _image_architecture(fields: Fields) -> str | None:
    if _read_optional(text, fields, "__support_arm") == "true":
        return "arm"
    architecture = _read_optional(text, fields, "architecture")
    return None if architecture is None else "arm" if _is_arm(architecture) else "x86"


def _supports(fields: Fields) -> frozenset[str]:
    """Return the kinds of hardware that an image supports (IMS API, "image attributes": true, or the type of a GPU)."""
    values = {kind: _read_optional(text, fields, f"{_SUPPORT}{kind}") for kind in _KINDS}
    return frozenset(kind for kind, value in values.items() if (value or "false").casefold() != "false")


def _is_arm(architecture: str | None) -> bool:
    return (architecture or "").casefold().startswith(("arm", "aarch"))


def _takes_password(features: object) -> bool:
    """Return whether the feature list, which is JSON inside a string, allows setting a password."""
    if not isinstance(features, str):
        return False
    try:
        parsed: object = json.loads(features[:_FEATURES_CHARS])
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and cast("Fields", parsed).get("onekey_resetpasswd") in ("true", True)


def _name(fields: Fields, key: str) -> str:
    """Return the normalized name, cut to ID_CHARS: a strange name of somebody else's server must not fail the list."""
    name = fields.get(key)
    if name is not None and not isinstance(name, str):
        raise InvalidJson(f"{key} is no text")
    return normalize_name((name or "")[:ID_CHARS])[:ID_CHARS]


def normalize_name(text: str) -> str:
    """Return a name in the form in which names are compared. Letters that cannot be stored are replaced.

    Invisible letters stay: two names that only look the same are two names.
    """
    return to_nfc(_UNKEPT.sub("\ufffd", text))


def _system_disk(fields: Fields) -> str | None:
    """Return the id of the one volume with boot index 0, or of the one at the root device if none has an index."""
    attached = parts(fields, "os-extended-volumes:volumes_attached")
    indexes = [number(volume, "bootIndex") for volume in attached]
    boot_volumes = [volume for volume, index in zip(attached, indexes, strict=True) if index == 0]
    if not boot_volumes and all(index is None for index in indexes):
        root = text(fields, "OS-EXT-SRV-ATTR:root_device_name")
        boot_volumes = [volume for volume in attached if root is not None and text(volume, "device") == root]
    # With two such volumes, the one that a change of the OS would wipe is unknown.
    return require_text(boot_volumes[0], "id") if len(boot_volumes) == 1 else None


def _fault(fault: Fields, secrets: Collection[str]) -> str | None:
    message = fault.get("message")
    return sanitize(message, secrets) if isinstance(message, str) else ("fault" if fault else None)


def _tags(fields: Fields) -> dict[str, str]:
    listed = fields.get("tags")
    if listed is None:
        return {}
    if not isinstance(listed, list):
        raise InvalidJson("tags is no list")
    tags: dict[str, str] = {}
    for entry in cast("list[object]", listed):
        if not isinstance(entry, str) or len(entry) > _TAG_CHARS:
            raise InvalidJson("tags holds what is no text")
        key, _, value = normalize_name(entry).partition("=")
        tags[key] = value
    return tags


def _addresses(networks: Fields) -> tuple[str, ...]:
    """Return the addresses in all networks of a server, fixed and floating, at most ADDRESSES_SEEN."""
    addresses = (text(entry, "addr", ADDRESS_CHARS) for network in networks for entry in parts(networks, network))
    return tuple(islice((address for address in addresses if address is not None), ADDRESSES_SEEN))


def _enterprise_project(fields: Fields) -> str | None:
    """Return the id of the enterprise project: one cloud has a field for it, the other a system tag."""
    tagged = (text(tag, "value") for tag in parts(fields, "sys_tags") if tag.get("key") == _ENTERPRISE_PROJECT)
    return text(fields, "enterprise_project_id") or next(tagged, None)


def _job_status(status: str) -> JobStatus:
    return JobStatus(status) if status in JobStatus.__members__ else JobStatus.RUNNING


def _duration_s(fields: Fields) -> float | None:
    """Return the duration of a job, None if its times are absent or implausible."""
    began, ended = fields.get("begin_time"), fields.get("end_time")
    began_at = parse_time(began) if isinstance(began, str) else None
    ended_at = parse_time(ended) if isinstance(ended, str) else None
    if began_at is None or ended_at is None:
        return None
    duration_s = (ended_at - began_at).total_seconds()
    return duration_s if 0.0 <= duration_s <= DURATION_MAX_S else None


def _error_code(fields: Fields) -> str | None:
    code = fields.get("error_code")
    if isinstance(code, int) and not isinstance(code, bool):
        return str(code)[:64]
    return text(fields, "error_code")


def _fail_reason(fields: Fields, secrets: Collection[str]) -> str | None:
    reason = fields.get("fail_reason")
    if reason is None or reason == "":
        return None
    if not isinstance(reason, str):
        raise InvalidJson("fail_reason is no text")
    return sanitize(reason, secrets)


def _sub_jobs(listed: Sequence[Fields], secrets: Collection[str]) -> "list[SubJob]":
    sub_jobs: list[SubJob] = []
    for entry in listed:
        entities = part(entry, "entities")
        server_id = text(entities, "server_id")
        if server_id is None:
            continue
        message = entities.get("errorcode_message")
        sub_jobs.append(
            SubJob(
                server_id=server_id,
                job_id=text(entry, "job_id") or "",
                status=_job_status(require_text(entry, "status")),
                error_code=_error_code(entry),
                fail_reason=_fail_reason(entry, secrets)
                or (sanitize(message, secrets) if isinstance(message, str) else None),
                took_s=_duration_s(entry),
            )
        )
    return sub_jobs
