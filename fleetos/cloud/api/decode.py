"""From the cloud's JSON to servers, jobs and images (API pages ecs_02_0104, ecs_02_0901; IMS, querying images)."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar, cast

from fleetos.clock import Moment
from fleetos.cloud.http.error_body import plain
from fleetos.cloud.http.json_fields import Fields, InvalidJson, need, number, part, parts, stamp, text, truth
from fleetos.limits import ADDRESS_CHARS, ADDRESSES_SEEN, DURATION_MAX_S, ID_CHARS
from fleetos.model.inventory import Disk, Flavor, Image, Job, JobStatus, Server, ServerSnapshot, SubJob, Traits
from fleetos.names import composed

# A tag's key and value have at most 36 and 43 characters on one cloud, 128 and 255 on another.
_TAG_CHARS = 512
_ENTERPRISE_PROJECT = "_sys_enterprise_project_id"
# A server that is a whole machine (ECS API, "listing details about ECSs", query not-tags).
_BARE_METAL_TAG = "__type_baremetal"
# What the metadata of such a machine says besides (BMS API, "querying details about BMSs", metering.resourcetype).
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
# Control characters and lone surrogates: no plan can hold them, nor can every database.
_UNKEPT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# The longest list of features that is looked at.
_FEATURES_CHARS = 4096
T = TypeVar("T")


def read_server(
    fields: Fields, secrets: Collection[str] = (), asked: Moment | None = None, told_at: datetime | None = None
) -> Server:
    """Return a server, without the secrets in the words about its fault; the times as they are. Raises Unreadable."""
    metadata, tags = part(fields, "metadata"), _tags(fields)
    image, metered = text(part(fields, "image"), "id"), text(metadata, "metering.image_id")
    picture = ServerSnapshot(
        status=text(fields, "status") or "UNKNOWN",
        vm_state=text(fields, "OS-EXT-STS:vm_state") or "",
        task=text(fields, "OS-EXT-STS:task_state"),
        power=number(fields, "OS-EXT-STS:power_state"),
        disk=_system_disk(fields),
        image=image or metered,
        fault=_fault(part(fields, "fault"), secrets),
        locked=truth(fields, "locked"),
        metered=metered if image is not None and metered != image else None,
    )
    return Server(
        id=need(fields, "id"),
        name=_name(fields, "name"),
        picture=picture,
        az=text(fields, "OS-EXT-AZ:availability_zone"),
        flavor=text(part(fields, "flavor"), "id"),
        key_name=text(fields, "key_name"),
        os_type=text(metadata, "os_type"),
        tags=tags,
        image_name=_name(metadata, "image_name") or None,
        addresses=_addresses(part(fields, "addresses")),
        enterprise_project=_enterprise_project(fields),
        traits=_traits(fields, metadata, tags),
        asked=asked,
        told_at=told_at,
    )


def read_job(fields: Fields, job_id: str, secrets: Collection[str] = ()) -> Job:
    """Return a job, without the secrets in the words about its failure. Raises Unreadable.

    A status that is not in the documents counts as running.
    """
    entities = part(fields, "entities")
    return Job(
        id=job_id,
        status=_job_status(need(fields, "status")),
        error_code=_error_code(fields),
        fail_reason=_reason(fields, secrets),
        sub_jobs=tuple(_sub_jobs(parts(entities, "sub_jobs"), secrets)),
        took_s=_took_s(fields),
    )


def read_image(fields: Fields) -> Image:
    """Return an image. Raises Unreadable."""
    return Image(
        id=need(fields, "id"),
        name=_name(fields, "name"),
        status=text(fields, "status") or "",
        os_type=text(fields, "__os_type"),
        min_disk_gib=number(fields, "min_disk"),
        inject_flag=text(fields, "__support_fc_inject"),
        virtual_env_type=text(fields, "virtual_env_type"),
        kind=_told(text, fields, "__imagetype"),
        architecture=_image_architecture(fields),
        firmware=_told(text, fields, "hw_firmware_type"),
        min_ram_mib=_told(number, fields, "min_ram") or 0,
        max_ram_mib=_told(number, fields, "max_ram") or 0,
        key_id=_told(text, fields, "__system__cmkid"),
        member_status=_told(text, fields, "member_status"),
        withdrawn=_told(text, fields, "__is_offshelved") == "true",
        takes_password=_takes_password(fields.get("__os_feature_list")),
        created_at=stamp(_told(text, fields, "created_at")),
        supports=_supports(fields),
    )


def key_pair_names(fields: Fields) -> tuple[str, ...]:
    """Return the names in a list of key pairs (ECS API, "querying SSH key pairs"). Raises Unreadable."""
    return tuple(_name(part(one, "keypair"), "name") for one in parts(fields, "keypairs"))


def read_disk(fields: Fields) -> Disk:
    """Return a volume (EVS API, "querying details about all disks"). Raises Unreadable."""
    metadata = part(fields, "metadata")
    size_gib = number(fields, "size")
    if size_gib is None or size_gib < 0:
        raise InvalidJson("size is missing")
    encrypted = text(metadata, "__system__encrypted") == "1"
    return Disk(need(fields, "id"), size_gib, text(fields, "status") or "unknown", encrypted)


def read_flavor(fields: Fields) -> Flavor:
    """Return a flavor (ECS API, "querying details about flavors"). Raises Unreadable.

    Only flavors of ARM servers name their architecture. FusionCompute stands for Xen, CloudCompute for KVM.
    """
    specs = part(fields, "os_extra_specs")
    passed_through = (_told(text, specs, "pci_passthrough:enable_gpu"), _told(text, specs, "pci_passthrough:gpu_specs"))
    performance = _told(text, specs, "ecs:performancetype")
    return Flavor(
        id=need(fields, "id"),
        architecture="arm" if _is_arm(text(specs, "ecs:instance_architecture")) else "x86",
        platform=_PLATFORMS.get(_told(text, specs, "ecs:virtualization_env_types") or ""),
        performance=performance,
        gpu=performance == "gpu" or any(told not in (None, "false") for told in passed_through),
    )


def _told(read: Callable[[Fields, str], T | None], fields: Fields, key: str) -> T | None:
    """What preflight would like to know; of the wrong type it is as good as not told, and no other read may fail."""
    try:
        return read(fields, key)
    except InvalidJson:
        return None


def _traits(fields: Fields, metadata: Fields, tags: Mapping[str, str]) -> Traits:
    return Traits(
        ram_mib=_told(number, _told(part, fields, "flavor") or {}, "ram"),
        charging=_told(text, metadata, "charging_mode"),
        frozen=_told(text, metadata, "EcmResStatus") == "freeze",
        image_kind=_told(text, metadata, "metering.imagetype"),
        host_status=_told(text, fields, "host_status"),
        bare_metal=_BARE_METAL_TAG in tags or _told(text, metadata, "metering.resourcetype") == _BARE_METAL_RESOURCE,
        managed_by=next((service for tag, service in _SERVICE_TAGS.items() if tag in tags), None),
    )


def _image_architecture(fields: Fields) -> str | None:
    if _told(text, fields, "__support_arm") == "true":
        return "arm"
    architecture = _told(text, fields, "architecture")
    return None if architecture is None else "arm" if _is_arm(architecture) else "x86"


def _supports(fields: Fields) -> frozenset[str]:
    """The kinds of hardware that an image is for (IMS API, "image attributes"): a yes, or for a GPU its type."""
    told = {kind: _told(text, fields, f"{_SUPPORT}{kind}") for kind in _KINDS}
    return frozenset(kind for kind, value in told.items() if (value or "false").casefold() != "false")


def _is_arm(architecture: str | None) -> bool:
    return (architecture or "").casefold().startswith(("arm", "aarch"))


def _takes_password(features: object) -> bool:
    """Whether the feature list, which is JSON in a text, says so."""
    if not isinstance(features, str):
        return False
    try:
        listed: object = json.loads(features[:_FEATURES_CHARS])
    except (ValueError, RecursionError):
        return False
    return isinstance(listed, dict) and cast("Fields", listed).get("onekey_resetpasswd") in ("true", True)


def _name(fields: Fields, key: str) -> str:
    """The name as it is but for letters that cannot be kept: a strange name of a stranger's server is no fault."""
    name = fields.get(key)
    if name is not None and not isinstance(name, str):
        raise InvalidJson(f"{key} is no text")
    return kept((name or "")[:ID_CHARS])[:ID_CHARS]


def kept(text: str) -> str:
    """Return a text in the form in which names are compared. What no plan can hold, nor every database, is replaced.

    All other letters stay, those included that cannot be seen: two names that only look the same are two names.
    """
    return composed(_UNKEPT.sub("\ufffd", text))


def _system_disk(fields: Fields) -> str | None:
    """The id of the one attached volume with boot index 0; where no index is given, of the one at the root device."""
    attached = parts(fields, "os-extended-volumes:volumes_attached")
    indexes = [number(volume, "bootIndex") for volume in attached]
    first = [volume for volume, index in zip(attached, indexes, strict=True) if index == 0]
    if not first and all(index is None for index in indexes):
        root = text(fields, "OS-EXT-SRV-ATTR:root_device_name")
        first = [volume for volume in attached if root is not None and text(volume, "device") == root]
    # Two first disks are none: which one would be wiped cannot be told.
    return need(first[0], "id") if len(first) == 1 else None


def _fault(fault: Fields, secrets: Collection[str]) -> str | None:
    message = fault.get("message")
    return plain(message, secrets) if isinstance(message, str) else ("fault" if fault else None)


def _tags(fields: Fields) -> dict[str, str]:
    listed = fields.get("tags")
    if listed is None:
        return {}
    if not isinstance(listed, list):
        raise InvalidJson("tags is no list")
    found: dict[str, str] = {}
    for entry in cast("list[object]", listed):
        if not isinstance(entry, str) or len(entry) > _TAG_CHARS:
            raise InvalidJson("tags holds what is no text")
        key, _, value = kept(entry).partition("=")
        found[key] = value
    return found


def _addresses(networks: Fields) -> tuple[str, ...]:
    """The addresses in all networks of a server, fixed and floating."""
    listed = (text(entry, "addr", ADDRESS_CHARS) for network in networks for entry in parts(networks, network))
    return tuple(islice((address for address in listed if address is not None), ADDRESSES_SEEN))


def _enterprise_project(fields: Fields) -> str | None:
    """The id of the enterprise project: a field of its own on one cloud, a tag of the system on the other."""
    tagged = (text(tag, "value") for tag in parts(fields, "sys_tags") if tag.get("key") == _ENTERPRISE_PROJECT)
    return text(fields, "enterprise_project_id") or next(tagged, None)


def _job_status(status: str) -> JobStatus:
    return JobStatus(status) if status in JobStatus.__members__ else JobStatus.RUNNING


def _took_s(fields: Fields) -> float | None:
    """The seconds from the begin to the end of a job, None where they are not told or cannot be true."""
    began, ended = fields.get("begin_time"), fields.get("end_time")
    began_at = stamp(began) if isinstance(began, str) else None
    ended_at = stamp(ended) if isinstance(ended, str) else None
    if began_at is None or ended_at is None:
        return None
    took_s = (ended_at - began_at).total_seconds()
    return took_s if 0.0 <= took_s <= DURATION_MAX_S else None


def _error_code(fields: Fields) -> str | None:
    code = fields.get("error_code")
    if isinstance(code, int) and not isinstance(code, bool):
        return str(code)[:64]
    return text(fields, "error_code")


def _reason(fields: Fields, secrets: Collection[str]) -> str | None:
    reason = fields.get("fail_reason")
    if reason is None or reason == "":
        return None
    if not isinstance(reason, str):
        raise InvalidJson("fail_reason is no text")
    return plain(reason, secrets)


def _sub_jobs(listed: Sequence[Fields], secrets: Collection[str]) -> "list[SubJob]":
    found: list[SubJob] = []
    for one in listed:
        entities = part(one, "entities")
        server_id = text(entities, "server_id")
        if server_id is None:
            continue
        told = entities.get("errorcode_message")
        found.append(
            SubJob(
                server_id=server_id,
                job_id=text(one, "job_id") or "",
                status=_job_status(need(one, "status")),
                error_code=_error_code(one),
                fail_reason=_reason(one, secrets) or (plain(told, secrets) if isinstance(told, str) else None),
                took_s=_took_s(one),
            )
        )
    return found
