"""Read endpoints of servers, jobs, disks, images and key pairs. Each returns JSON text or a refusal."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fleetos.sim.api.grants import ALL_GRANTED, is_visible
from fleetos.sim.scenario import images
from fleetos.sim.scenario.scenario import DEFAULT_KEY
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.wire.response_types import (
    AttachmentShown,
    BlockDeviceShown,
    KeyPairShown,
    TemporaryShown,
    UnknownShown,
    VolumeShown,
)
from fleetos.sim.world import jobs
from fleetos.sim.world.servers import SimDisk, SimServer, attached_disks, device_name, format_time
from fleetos.sim.world.world import World

_SERVER_IDS_MAX = 100
PAGE_MAX = 1000
# The status filter matches the stable state (ECS API, "listing details about ECSs").
_ALSO_SHOWN: dict[str, frozenset[str]] = {
    "ACTIVE": frozenset({"ACTIVE", "REBOOT", "HARD_REBOOT", "REBUILD", "MIGRATING", "RESIZE"}),
    "SHUTOFF": frozenset({"SHUTOFF", "RESIZE", "REBUILD"}),
    "ERROR": frozenset({"ERROR", "REBUILD"}),
}
_DISK_ORDERS: dict[str, Callable[[SimDisk], tuple[float | str, ...]]] = {
    "id": lambda disk: (disk.id,),
    "status": lambda disk: (disk.status, disk.id),
    "size": lambda disk: (disk.size_gb, disk.id),
    "created_at": lambda disk: (disk.made_at, disk.id),
}
T = TypeVar("T")
ReadResult = str | ApiError


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """Time, parameters and resource of a read."""

    now: float
    parameters: Mapping[str, str]
    """Query of the URL."""
    stale_s: float = 0.0
    """Age of the snapshot to return."""
    resource_id: str = ""
    body: bytes = b""
    base_url: str = ""
    """URL by which the client reached the cloud."""
    subresource_id: str = ""
    """Id of a part of the resource, for example an action of a server."""


def detail(world: World, query: ReadQuery) -> ReadResult:
    """Return one server with its details."""
    server = world.find_server(query.resource_id)
    if server is None:
        return refusal("Ecs.0114", form="nova", message=f"Instance {query.resource_id} could not be found.")
    return f'{{"server": {server.snapshot_at(query.now - query.stale_s)}}}'


def listing(world: World, query: ReadQuery) -> ReadResult:
    """Return a page of servers with details. `offset` is the number of the page, from 1."""
    options, parameters = world.scenario.list, query.parameters
    limit = parse_number(parameters.get("limit"), 25)
    offset = parse_number(parameters.get("offset"), 1)
    if limit is None or offset is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", message="limit or offset is not valid.")
    if options.server_id_filter and "server_id" in parameters:
        return _list_by_id(world, query)
    limit = min(limit, options.page)
    existing = (server for server in world.servers.values() if server.vm_state != "deleted")
    servers = [server for server in existing if is_visible(world, server)]
    filters = _parse_filters(parameters)
    servers = [server for server in servers if all(matches(server) for matches in filters)]
    if options.marker and parameters.get("marker"):
        page = page_after(servers, parameters["marker"], limit, lambda server: server.id)
    else:
        start = (max(offset, 1) - 1) * limit
        page = servers[start : start + limit]
    shown = [server.snapshot_at(query.now - query.stale_s) for server in page]
    if world.scenario.temporary_servers and offset <= 1:
        shown += [_show_temporary_server(server) for server in page if server.changes]
    return f'{{"count": {len(servers)}, "servers": [{", ".join(shown)}]}}'


def _list_by_id(world: World, query: ReadQuery) -> ReadResult:
    ids = query.parameters["server_id"].split(",")
    if len(ids) > _SERVER_IDS_MAX:
        return refusal("Ecs.0005", message=f"at most {_SERVER_IDS_MAX} ids in server_id.")
    shown: list[str] = []
    for server_id in ids:
        server = world.find_server(server_id)
        unknown: UnknownShown = {
            "id": server_id,
            "fault": {"code": 404, "message": "not found", "created": format_time(query.now)},
        }
        if server is not None and is_visible(world, server):
            shown.append(server.snapshot_at(query.now - query.stale_s))
        else:
            shown.append(json.dumps(unknown))
    return f'{{"count": {len(ids)}, "servers": [{", ".join(shown)}]}}'


def _parse_filters(parameters: Mapping[str, str]) -> list[Callable[[SimServer], bool]]:
    filters: list[Callable[[SimServer], bool]] = []
    if name := parameters.get("name"):
        # "." matches any character, every other character only itself.
        pattern = re.compile(".".join(re.escape(part) for part in name.split(".")))
        filters.append(lambda server: pattern.search(server.spec.name) is not None)
    if status := parameters.get("status"):
        statuses = _ALSO_SHOWN.get(status, frozenset({status}))
        filters.append(lambda server: server.status in statuses)
    if tags := parameters.get("tags"):
        filters.append(lambda server: all(_has_tag(server, tag) for tag in tags.split(",")))
    if excluded_tags := parameters.get("not-tags"):
        filters.append(lambda server: not any(_has_tag(server, tag) for tag in excluded_tags.split(",")))
    if address := parameters.get("ip"):
        filters.append(lambda server: address in server.spec.address)
    if exact_address := parameters.get("ip_eq"):
        filters.append(lambda server: exact_address == server.spec.address)
    if parameters.get("reservation_id"):
        filters.append(_is_of_batch)
    if flavor := parameters.get("flavor"):
        filters.append(lambda server: server.spec.flavor.id == flavor)
    if (project := parameters.get("enterprise_project_id", ALL_GRANTED)) != ALL_GRANTED:
        filters.append(lambda server: server.spec.enterprise_project == project)
    return filters


def _is_of_batch(server: SimServer) -> bool:
    """Return whether a server was created in a batch with others: here none was."""
    del server
    return False


def _has_tag(server: SimServer, tag: str) -> bool:
    return any(tag in (server_tag, server_tag.partition("=")[0]) for server_tag in server.spec.tags)


def _show_temporary_server(server: SimServer) -> str:
    """Return the temporary server of the platform during a change; clients must ignore it."""
    shown: TemporaryShown = {"id": f"{server.id[:-4]}feed", "name": f"temp-{server.id[:8]}", "status": "BUILD"}
    return json.dumps(shown)


def job(world: World, query: ReadQuery) -> ReadResult:
    """Return a job. An unknown, not yet visible or purged one gives Common.0011, with HTTP 400."""
    sim_job = world.jobs.get(query.resource_id)
    if sim_job is None or not sim_job.is_visible(query.now):
        return refusal("Common.0011")
    return json.dumps(jobs.show_job(sim_job, query.now))


def block_device(world: World, query: ReadQuery) -> ReadResult:
    """Return the disks of a server with their sizes; here `bootIndex` is a number."""
    server = world.find_server(query.resource_id)
    if server is None:
        return refusal("Ecs.0114")
    disks: list[BlockDeviceShown] = [
        {"id": disk.id, "volumeId": disk.id, "serverId": server.id, "size": disk.size_gb, "bus": "virtio",
         "bootIndex": 0 if disk.boot else -1, "device": device_name(index), "pciAddress": ""}
        for index, disk in enumerate(attached_disks(server))
    ]  # fmt: skip
    free = {"free_scsi": 23, "free_blk": 23, "free_disk": 23}
    return json.dumps({"attachableQuantity": free, "volumeAttachments": disks})


def volumes(world: World, query: ReadQuery) -> ReadResult:
    """Return a page of disks, sorted by `sort_key` and `sort_dir` (EVS, "querying details about all disks")."""
    limit = parse_number(query.parameters.get("limit"), PAGE_MAX)
    if limit is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", message="limit is not valid.")
    disks = (disk for disk in world.ledger.disks.values() if disk.destroyed_at is None)
    visible_disks = [disk for disk in disks if is_visible(world, world.servers[disk.server_id])]
    if server_id := query.parameters.get("server_id"):
        visible_disks = [disk for disk in visible_disks if disk.server_id == server_id]
    if (order := _DISK_ORDERS.get(query.parameters.get("sort_key", ""))) is not None:
        visible_disks.sort(key=order, reverse=query.parameters.get("sort_dir", "desc") == "desc")
    page = page_after(visible_disks, query.parameters.get("marker", ""), limit, lambda disk: disk.id)
    return json.dumps(
        {"count": len(visible_disks), "volumes": [_show_volume(world, disk) for disk in page], "volumes_links": []}
    )


def volume(world: World, query: ReadQuery) -> ReadResult:
    """Return one disk."""
    disk = world.ledger.disks.get(query.resource_id)
    if disk is None or disk.destroyed_at is not None:
        return refusal("Ecs.0114", form="nova", message=f"Volume {query.resource_id} could not be found.")
    return json.dumps({"volume": _show_volume(world, disk)})


def _show_volume(world: World, disk: SimDisk) -> VolumeShown:
    server = world.find_server(disk.server_id)
    index = attached_disks(server).index(disk) if server is not None and disk in attached_disks(server) else None
    attachments: list[AttachmentShown] = []
    if index is not None:
        attachments = [{"server_id": disk.server_id, "volume_id": disk.id, "device": device_name(index)}]
    metadata = {"__system__encrypted": "1", "__system__cmkid": disk.key_id or DEFAULT_KEY}
    return {
        "id": disk.id,
        "name": f"{world.server_name(disk.server_id)}-volume",
        "size": disk.size_gb,
        "status": disk.status if attachments else "available",
        "bootable": "true" if disk.boot else "false",
        "volume_type": "SSD",
        "multiattach": False,
        "created_at": format_time(disk.made_at)[:-1] + ".000000",
        "metadata": metadata if disk.encrypted else {},
        "encrypted": disk.encrypted,
        "attachments": attachments,
        "volume_image_metadata": {"image_id": disk.image_id} if disk.image_id is not None else {},
    }


def image_page(world: World, query: ReadQuery) -> ReadResult:
    """Return a page of images; every filter must equal the image's field (IMS, "querying images")."""
    limit = parse_number(query.parameters.get("limit"), 500)
    if limit is None or limit < 0:
        return refusal("Ecs.0005", message="limit is not valid.")
    matches = matching_images(world, query.parameters)
    return json.dumps(
        {"images": page_after(matches, query.parameters.get("marker", ""), limit, lambda image: str(image["id"]))}
    )


def matching_images(world: World, parameters: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the images whose fields equal all parameters, except those for paging and sorting."""
    created = format_time(world.born_at)
    paging = {"limit", "marker", "sort_key", "sort_dir", "enterprise_project_id", "offset"}
    filters = {key: value for key, value in parameters.items() if key not in paging}
    all_images = [images.show_image(image, created) for image in world.images.values()]
    return [image for image in all_images if all(_equals(image.get(key), value) for key, value in filters.items())]


def _equals(value: object, wanted: str) -> bool:
    return str(value).lower() == wanted.lower() if isinstance(value, bool) else str(value) == wanted


def key_pairs(world: World, query: ReadQuery) -> ReadResult:
    """Return the key pairs of the user."""
    del query
    return json.dumps({"keypairs": [{"keypair": _show_key_pair(world, name)} for name in world.scenario.key_pairs]})


def key_pair(world: World, query: ReadQuery) -> ReadResult:
    """Return one key pair."""
    if query.resource_id not in world.scenario.key_pairs:
        return refusal("Ecs.0114", form="nova", message=f"Keypair {query.resource_id} not found.")
    key_pair_shown: KeyPairShown = {
        **_show_key_pair(world, query.resource_id),
        "user_id": world.user_id,
        "deleted": False,
    }
    return json.dumps({"keypair": key_pair_shown})


def _show_key_pair(world: World, name: str) -> KeyPairShown:
    digits = world.draws.hex("key", name)
    fingerprint = ":".join(digits[index : index + 2] for index in range(0, 32, 2))
    return {"name": name, "fingerprint": fingerprint, "public_key": f"ssh-rsa {digits} sim", "type": "ssh"}


def parse_number(text: str | None, default: int) -> int | None:
    """Return the number in a parameter, `default` if the parameter is missing, None if it is not a number."""
    if text is None:
        return default
    return int(text) if text.isdecimal() and len(text) < 10 else None


def page_after(items: Sequence[T], marker: str, limit: int, id_of: Callable[[T], str]) -> list[T]:
    """Return the page after the item with the id `marker`, or the first page for an empty or unknown marker."""
    ids: Iterable[str] = map(id_of, items)
    start = next((index + 1 for index, item_id in enumerate(ids) if item_id == marker), 0) if marker else 0
    return list(items[start : start + limit])
