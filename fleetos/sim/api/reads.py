"""The reads of the simulated cloud: each returns the JSON text of its answer, or a refusal."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fleetos.sim.api.grants import ALL_GRANTED, visible
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
from fleetos.sim.world.servers import SimDisk, SimServer, attached, device, stamp
from fleetos.sim.world.world import World

_SERVER_IDS_MAX = 100
PAGE_MAX = 1000
# The status filter works on the stable state (ECS API, "listing details about ECSs").
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
Answer = str | ApiError


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """One read: at which time, with which query, of a picture how old (`stale_s`), and of what.

    `base_url` is the address by which the client has found the cloud, `part_id` names a part of what is looked at.
    """

    now: float
    query: Mapping[str, str]
    stale_s: float = 0.0
    at_id: str = ""
    body: bytes = b""
    base_url: str = ""
    part_id: str = ""


def detail(world: World, look: ReadQuery) -> Answer:
    """Return one server."""
    server = world.server(look.at_id)
    if server is None:
        return refusal("Ecs.0114", form="nova", message=f"Instance {look.at_id} could not be found.")
    return f'{{"server": {server.frame(look.now - look.stale_s)}}}'


def listing(world: World, look: ReadQuery) -> Answer:
    """Return a page of servers with details. `offset` is a page number, from 1."""
    rules, query = world.scenario.list, look.query
    limit = number(query.get("limit"), 25)
    offset = number(query.get("offset"), 1)
    if limit is None or offset is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", message="limit or offset is not valid.")
    if rules.server_id_filter and "server_id" in query:
        return _by_id(world, look)
    limit = min(limit, rules.page)
    found = [one for one in world.servers.values() if one.vm_state != "deleted" and visible(world, one)]
    wanted = _filter(query)
    if isinstance(wanted, ApiError):
        return wanted
    found = [server for server in found if all(fits(server) for fits in wanted)]
    if rules.marker and query.get("marker"):
        page = after(found, query["marker"], limit, lambda server: server.id)
    else:
        first = (max(offset, 1) - 1) * limit
        page = found[first : first + limit]
    shown = [server.frame(look.now - look.stale_s) for server in page]
    if world.scenario.temporary_servers and offset <= 1:
        shown += [_temporary(server) for server in page if server.changes]
    return f'{{"count": {len(found)}, "servers": [{", ".join(shown)}]}}'


def _by_id(world: World, look: ReadQuery) -> Answer:
    ids = look.query["server_id"].split(",")
    if len(ids) > _SERVER_IDS_MAX:
        return refusal("Ecs.0005", message=f"at most {_SERVER_IDS_MAX} ids in server_id.")
    shown: list[str] = []
    for server_id in ids:
        server = world.server(server_id)
        unknown: UnknownShown = {
            "id": server_id,
            "fault": {"code": 404, "message": "not found", "created": stamp(look.now)},
        }
        there = server is not None and visible(world, server)
        shown.append(server.frame(look.now - look.stale_s) if server is not None and there else json.dumps(unknown))
    return f'{{"count": {len(ids)}, "servers": [{", ".join(shown)}]}}'


def _filter(query: Mapping[str, str]) -> list[Callable[[SimServer], bool]] | ApiError:
    wanted: list[Callable[[SimServer], bool]] = []
    if name := query.get("name"):
        # "." matches any character, everything else is meant as it stands.
        pattern = re.compile(".".join(re.escape(part) for part in name.split(".")))
        wanted.append(lambda server: pattern.search(server.body.name) is not None)
    if status := query.get("status"):
        shown = _ALSO_SHOWN.get(status, frozenset({status}))
        wanted.append(lambda server: server.status in shown)
    if tags := query.get("tags"):
        wanted.append(lambda server: all(_tagged(server, tag) for tag in tags.split(",")))
    if without := query.get("not-tags"):
        wanted.append(lambda server: not any(_tagged(server, tag) for tag in without.split(",")))
    if address := query.get("ip"):
        wanted.append(lambda server: address in server.body.address)
    if exactly := query.get("ip_eq"):
        wanted.append(lambda server: exactly == server.body.address)
    if query.get("reservation_id"):
        wanted.append(_of_a_batch)
    if flavor := query.get("flavor"):
        wanted.append(lambda server: server.body.flavor.id == flavor)
    if (project := query.get("enterprise_project_id", ALL_GRANTED)) != ALL_GRANTED:
        wanted.append(lambda server: server.body.enterprise_project == project)
    return wanted


def _of_a_batch(server: SimServer) -> bool:
    """Return whether a server was made together with others: here none was."""
    del server
    return False


def _tagged(server: SimServer, tag: str) -> bool:
    return any(tag in (own, own.partition("=")[0]) for own in server.body.tags)


def _temporary(server: SimServer) -> str:
    """Return the server that the platform works with during a change; clients are to ignore it."""
    shown: TemporaryShown = {"id": f"{server.id[:-4]}feed", "name": f"temp-{server.id[:8]}", "status": "BUILD"}
    return json.dumps(shown)


def job(world: World, look: ReadQuery) -> Answer:
    """Return a job; an unknown, not yet visible or purged one is Common.0011, with HTTP 400."""
    found = world.jobs.get(look.at_id)
    if found is None or not found.known(look.now):
        return refusal("Common.0011")
    return json.dumps(jobs.picture(found, look.now))


def block_device(world: World, look: ReadQuery) -> Answer:
    """Return the disks of a server with their sizes; here `bootIndex` is a number."""
    server = world.server(look.at_id)
    if server is None:
        return refusal("Ecs.0114")
    disks: list[BlockDeviceShown] = [
        {"id": disk.id, "volumeId": disk.id, "serverId": server.id, "size": disk.size_gb, "bus": "virtio",
         "bootIndex": 0 if disk.boot else -1, "device": device(place), "pciAddress": ""}
        for place, disk in enumerate(attached(server))
    ]  # fmt: skip
    free = {"free_scsi": 23, "free_blk": 23, "free_disk": 23}
    return json.dumps({"attachableQuantity": free, "volumeAttachments": disks})


def volumes(world: World, look: ReadQuery) -> Answer:
    """Return a page of disks, in the order asked for (EVS, "querying details about all disks")."""
    limit = number(look.query.get("limit"), PAGE_MAX)
    if limit is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", message="limit is not valid.")
    disks = (disk for disk in world.ledger.disks.values() if disk.destroyed_at is None)
    found = [disk for disk in disks if visible(world, world.servers[disk.server_id])]
    if server_id := look.query.get("server_id"):
        found = [disk for disk in found if disk.server_id == server_id]
    if (order := _DISK_ORDERS.get(look.query.get("sort_key", ""))) is not None:
        found.sort(key=order, reverse=look.query.get("sort_dir", "desc") == "desc")
    page = after(found, look.query.get("marker", ""), limit, lambda disk: disk.id)
    return json.dumps({"count": len(found), "volumes": [_volume(world, disk) for disk in page], "volumes_links": []})


def volume(world: World, look: ReadQuery) -> Answer:
    """Return one disk."""
    disk = world.ledger.disks.get(look.at_id)
    if disk is None or disk.destroyed_at is not None:
        return refusal("Ecs.0114", form="nova", message=f"Volume {look.at_id} could not be found.")
    return json.dumps({"volume": _volume(world, disk)})


def _volume(world: World, disk: SimDisk) -> VolumeShown:
    server = world.server(disk.server_id)
    place = attached(server).index(disk) if server is not None and disk in attached(server) else None
    attachments: list[AttachmentShown] = []
    if place is not None:
        attachments = [{"server_id": disk.server_id, "volume_id": disk.id, "device": device(place)}]
    metadata = {"__system__encrypted": "1", "__system__cmkid": disk.key_id or DEFAULT_KEY}
    return {
        "id": disk.id,
        "name": f"{world.name_of(disk.server_id)}-volume",
        "size": disk.size_gb,
        "status": disk.status if attachments else "available",
        "bootable": "true" if disk.boot else "false",
        "volume_type": "SSD",
        "multiattach": False,
        "created_at": stamp(disk.made_at)[:-1] + ".000000",
        "metadata": metadata if disk.encrypted else {},
        "encrypted": disk.encrypted,
        "attachments": attachments,
        "volume_image_metadata": {"image_id": disk.image_id} if disk.image_id is not None else {},
    }


def image_page(world: World, look: ReadQuery) -> Answer:
    """Return a page of images; every other key of the query must equal the image's field (IMS, "querying images")."""
    limit = number(look.query.get("limit"), 500)
    if limit is None or limit < 0:
        return refusal("Ecs.0005", message="limit is not valid.")
    found = images_asked_for(world, look.query)
    return json.dumps({"images": after(found, look.query.get("marker", ""), limit, lambda image: str(image["id"]))})


def images_asked_for(world: World, query: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the images whose fields equal what the query says of them."""
    made = stamp(world.born_at)
    paging = {"limit", "marker", "sort_key", "sort_dir", "enterprise_project_id", "offset"}
    asked = {key: value for key, value in query.items() if key not in paging}
    shown = [images.picture(image, made) for image in world.images.values()]
    return [image for image in shown if all(_same(image.get(key), value) for key, value in asked.items())]


def _same(value: object, asked: str) -> bool:
    return str(value).lower() == asked.lower() if isinstance(value, bool) else str(value) == asked


def key_pairs(world: World, look: ReadQuery) -> Answer:
    """Return the key pairs of the user."""
    del look
    return json.dumps({"keypairs": [{"keypair": _key_pair(world, name)} for name in world.scenario.key_pairs]})


def key_pair(world: World, look: ReadQuery) -> Answer:
    """Return one key pair."""
    if look.at_id not in world.scenario.key_pairs:
        return refusal("Ecs.0114", form="nova", message=f"Keypair {look.at_id} not found.")
    alone: KeyPairShown = {**_key_pair(world, look.at_id), "user_id": world.user_id, "deleted": False}
    return json.dumps({"keypair": alone})


def _key_pair(world: World, name: str) -> KeyPairShown:
    digits = world.chance.hex("key", name)
    fingerprint = ":".join(digits[place : place + 2] for place in range(0, 32, 2))
    return {"name": name, "fingerprint": fingerprint, "public_key": f"ssh-rsa {digits} sim", "type": "ssh"}


def number(text: str | None, default: int) -> int | None:
    """Return a number of a query, the default where there is none, None for what is no number."""
    if text is None:
        return default
    return int(text) if text.isdecimal() and len(text) < 10 else None


def after(things: Sequence[T], marker: str, limit: int, id_of: Callable[[T], str]) -> list[T]:
    """Return a page: what follows the thing with the id that `marker` names, or the first for none."""
    ids: Iterable[str] = map(id_of, things)
    first = next((place + 1 for place, own in enumerate(ids) if own == marker), 0) if marker else 0
    return list(things[first : first + limit])
