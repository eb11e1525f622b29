"""One simulated server and its disks: what is true, and the pictures that reads show of it."""

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleetos.sim.scenario.images import SimImage
from fleetos.sim.wire.response_types import AddressShown, AttachedShown, FaultShown, FlavorShown, ServerShown

# Stale reads look at most this far back; older pictures are forgotten.
FRAMES_KEPT_S = 90.0

# (vm_state, task_state) -> status; "*" is any state. Source: appendix "ECS statuses" of the ECS API reference.
_REBUILDING = ("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning")
_REBOOTING = ("rebooting", "reboot_pending", "reboot_started")
_HARD = ("rebooting_hard", "reboot_pending_hard", "reboot_started_hard")
_STATUS: dict[tuple[str, str | None], str] = {
    **{("active", task): "ACTIVE" for task in (None, "powering-off", "deleting")},
    **{("stopped", task): "SHUTOFF" for task in (None, "powering-on", "deleting")},
    **{("error", task): "ERROR" for task in (None, "deleting")},
    **{("active", task): "REBOOT" for task in _REBOOTING},
    **{("active", task): "HARD_REBOOT" for task in _HARD},
    **{(vm, task): "REBUILD" for vm in ("active", "stopped", "error") for task in _REBUILDING},
    ("deleted", None): "DELETED",
}
_POWER = {"active": 1, "stopped": 4, "error": 0, "deleted": 0}


@dataclass(slots=True)
class SimDisk:
    """One volume, also after it was destroyed. `made_by` and `destroyed_by` are numbers of writes in the ledger."""

    id: str
    server_id: str
    boot: bool
    image_id: str | None
    size_gb: int
    made_at: float
    made_by: int | None = None
    successful: bool | None = None
    status: str = "in-use"
    encrypted: bool = False
    key_id: str | None = None
    destroyed_at: float | None = None
    destroyed_by: int | None = None


# How a server is paid for, as `metadata.charging_mode` says it (ECS API, "querying details about ECSs").
CHARGING_MODES = {"by-use": "0", "yearly-monthly": "1", "spot": "2"}


@dataclass(frozen=True, slots=True)
class SimFlavor:
    """The size of a server, and which hardware it runs on; `platform` is kvm or xen, `performance` its class."""

    id: str
    vcpus: int
    ram_mb: int
    arm: bool
    platform: str = "kvm"
    performance: str = "normal"
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What never changes of a server. `charging` is a key of CHARGING_MODES."""

    name: str
    az: str
    enterprise_project: str
    address: str
    mac: str
    tags: tuple[str, ...]
    created: float
    user_id: str
    project_id: str
    flavor: SimFlavor
    charging: str
    frozen: bool
    host_status: str
    shows_image: bool
    image_id: str | None = None
    shows: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(slots=True)
class SimServer:
    """One server as it is. `changes` are the numbers of the OS changes in progress, whatever the picture shows."""

    id: str
    body: ServerSpec
    image: SimImage | None
    system_disk: SimDisk | None
    data_disks: tuple[SimDisk, ...]
    vm_state: str
    updated: float
    launched_at: float
    task_state: str | None = None
    key_name: str | None = None
    locked: bool = False
    failed_change: bool = False
    endless: bool = False
    fault: FaultShown | None = None
    changes: list[int] = field(default_factory=list[int])
    stopped_by: int | None = None
    frames: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    @property
    def status(self) -> str:
        """The coarse state, as the cloud computes it."""
        return _STATUS.get((self.vm_state, self.task_state), "UNKNOWN")

    @property
    def busy(self) -> bool:
        """Whether the platform works on it."""
        return bool(self.changes) or self.endless or self.task_state is not None

    def show(self, at: float) -> None:
        """Take the picture that reads show from now on."""
        self.updated = at
        text = json.dumps({**picture(self), **self.body.shows})
        self.frames.append((at, text))
        if len(self.frames) > 8 and self.frames[1][0] < at - FRAMES_KEPT_S:
            first = bisect_right(self.frames, at - FRAMES_KEPT_S, key=_moment) - 1
            del self.frames[: max(first, 0)]

    def frame(self, at: float) -> str:
        """Return the JSON that a read at that time showed: the newest picture not younger than `at`."""
        if self.frames[-1][0] <= at:
            return self.frames[-1][1]
        return self.frames[max(bisect_right(self.frames, at, key=_moment) - 1, 0)][1]


def _moment(frame: tuple[float, str]) -> float:
    return frame[0]


def stamp(at: float) -> str:
    """Return a time as the ECS API writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_us(at: float) -> str:
    """Return a time with microseconds and no zone, as `OS-SRV-USG:launched_at` has it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def attached(server: SimServer) -> list[SimDisk]:
    """Return the disks of a server, the system disk first."""
    system = [server.system_disk] if server.system_disk is not None else []
    return [*system, *server.data_disks]


def device(place: int) -> str:
    """Return the name of the disk at this place of a server's disks, counted from 0; there are at most 23."""
    return f"/dev/vd{'abcdefghijklmnopqrstuvw'[place]}"


def picture(server: SimServer) -> ServerShown:
    """Return a server as `GET cloudservers/{id}` shows it (structure: ECS API, "querying details about ECSs")."""
    body, image = server.body, server.image if server.body.shows_image else None
    metadata = {"charging_mode": CHARGING_MODES[body.charging], "vpc_id": "00000000-0000-4000-8000-00000000vpc0"}
    metadata |= {"EcmResStatus": "freeze" if body.frozen else ""}
    metadata["metering.resourcespeccode"] = f"{body.flavor.id}.linux"
    if image is not None:
        metadata |= {
            "metering.image_id": image.id,
            "metering.imagetype": image.imagetype,
            "image_name": image.name,
            "os_type": image.os_type,
            "os_bit": "64",
        }
    address: AddressShown = {
        "addr": body.address,
        "version": "4",
        "OS-EXT-IPS:type": "fixed",
        "OS-EXT-IPS-MAC:mac_addr": body.mac,
    }
    volumes: list[AttachedShown] = [
        {"id": disk.id, "bootIndex": "0" if disk.boot else "-1", "device": device(place),
         "delete_on_termination": "true" if disk.boot else "false"}
        for place, disk in enumerate(attached(server))
    ]  # fmt: skip
    return {
        "id": server.id,
        "name": body.name,
        "status": server.status,
        "tenant_id": body.project_id,
        "user_id": body.user_id,
        "created": stamp(body.created),
        "updated": stamp(server.updated),
        "OS-SRV-USG:launched_at": stamp_us(server.launched_at),
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:power_state": _POWER.get(server.vm_state, 0),
        "OS-EXT-AZ:availability_zone": body.az,
        "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
        "image": {"id": body.image_id or image.id if image is not None else ""},
        "flavor": _flavor(body.flavor),
        "metadata": metadata,
        "addresses": {"00000000-0000-4000-8000-00000000vpc0": [address]},
        "os-extended-volumes:volumes_attached": volumes,
        "key_name": server.key_name,
        "locked": server.locked,
        "fault": server.fault,
        "tags": list(body.tags),
        "sys_tags": [{"key": "_sys_enterprise_project_id", "value": body.enterprise_project}],
        "enterprise_project_id": body.enterprise_project,
        "host_status": body.host_status,
        "hostId": body.mac.replace(":", ""),
        "description": "",
        "config_drive": "",
        "progress": 0,
    }


def _flavor(flavor: SimFlavor) -> FlavorShown:
    vcpus, ram = str(flavor.vcpus), str(flavor.ram_mb)
    return {"id": flavor.id, "name": flavor.id, "vcpus": vcpus, "ram": ram, "disk": "0"}
