"""One server and its disks: the true state, and the snapshots that reads return."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleetos.sim.scenario.images import SimImage
from fleetos.sim.wire.response_types import AddressShown, AttachedShown, FaultShown, FlavorShown, ServerShown

# Stale reads look back at most this long; older snapshots are dropped.
SNAPSHOTS_KEPT_S = 90.0

# (vm_state, task_state) -> status. Source: appendix "ECS statuses" of the ECS API reference.
_REBUILDING = ("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning")
_REBOOTING = ("rebooting", "reboot_pending", "reboot_started")
_HARD_REBOOTING = ("rebooting_hard", "reboot_pending_hard", "reboot_started_hard")
_STATUS: dict[tuple[str, str | None], str] = {
    **{("active", task): "ACTIVE" for task in (None, "powering-off", "deleting")},
    **{("stopped", task): "SHUTOFF" for task in (None, "powering-on", "deleting")},
    **{("error", task): "ERROR" for task in (None, "deleting")},
    **{("active", task): "REBOOT" for task in _REBOOTING},
    **{("active", task): "HARD_REBOOT" for task in _HARD_REBOOTING},
    **{(vm, task): "REBUILD" for vm in ("active", "stopped", "error") for task in _REBUILDING},
    ("deleted", None): "DELETED",
}
_POWER = {"active": 1, "stopped": 4, "error": 0, "deleted": 0}


@dataclass(slots=True)
class SimDisk:
    """Volume, also after it was destroyed."""

    id: str
    server_id: str
    boot: bool
    image_id: str | None
    size_gb: int
    made_at: float
    made_by: int | None = None
    """`seq` of the write that made it; None: as old as the server."""
    successful: bool | None = None
    """Whether the change that made it succeeded; None while it runs, and for an original disk."""
    status: str = "in-use"
    encrypted: bool = False
    key_id: str | None = None
    destroyed_at: float | None = None
    destroyed_by: int | None = None
    """`seq` of the write that destroyed it."""


# How a server is paid for -> `metadata.charging_mode` (ECS API, "querying details about ECSs").
CHARGING_MODES = {"by-use": "0", "yearly-monthly": "1", "spot": "2"}


@dataclass(frozen=True, slots=True)
class SimFlavor:
    """Size and hardware of a server."""

    id: str
    vcpus: int
    ram_mb: int
    arm: bool
    platform: str = "kvm"
    """kvm or xen."""
    performance: str = "normal"
    """Class of the flavor, `ecs:performancetype`."""
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """Properties of a server that never change."""

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
    """Key of CHARGING_MODES."""
    frozen: bool
    host_status: str
    shows_image: bool
    """Whether reads show the image."""
    image_id: str | None = None
    """Value of `image.id` in reads, if it differs from the true image."""
    shows: Mapping[str, object] = field(default_factory=dict[str, object])
    """Fields that override the true ones in reads."""


@dataclass(slots=True)
class SimServer:
    """True state of one server."""

    id: str
    spec: ServerSpec
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
    """The last change failed."""
    endless: bool = False
    """A failed change left a rebuild that never ends."""
    fault: FaultShown | None = None
    changes: list[int] = field(default_factory=list[int])
    """`seq` of the OS changes in progress, whatever the snapshots show."""
    stopped_by: int | None = None
    """`seq` of the write that stopped it."""
    known_s: Mapping[str, Sequence[float]] = field(default_factory=dict[str, "Sequence[float]"])
    """Durations to draw from instead of the scenario's, by step: `change` or an operation such as `stop`."""
    snapshots: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """Time and JSON, oldest first."""

    @property
    def status(self) -> str:
        """Status that the API shows, computed from `vm_state` and `task_state`."""
        return _STATUS.get((self.vm_state, self.task_state), "UNKNOWN")

    @property
    def busy(self) -> bool:
        """True while the platform works on the server."""
        return bool(self.changes) or self.endless or self.task_state is not None

    def take_snapshot(self, time_s: float) -> None:
        """Take the snapshot that reads return from `time_s` on."""
        self.updated = time_s
        snapshot = json.dumps({**show_server(self), **self.spec.shows})
        self.snapshots.append((time_s, snapshot))
        if len(self.snapshots) > 8 and self.snapshots[1][0] < time_s - SNAPSHOTS_KEPT_S:
            first = bisect_right(self.snapshots, time_s - SNAPSHOTS_KEPT_S, key=_taken_at) - 1
            del self.snapshots[: max(first, 0)]

    def snapshot_at(self, time_s: float) -> str:
        """Return the JSON of the newest snapshot taken at or before `time_s`, else of the oldest one kept."""
        if self.snapshots[-1][0] <= time_s:
            return self.snapshots[-1][1]
        return self.snapshots[max(bisect_right(self.snapshots, time_s, key=_taken_at) - 1, 0)][1]


def _taken_at(snapshot: tuple[float, str]) -> float:
    return snapshot[0]


def format_time(time_s: float) -> str:
    """Format a time as the ECS API does: UTC, whole seconds."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_time_us(time_s: float) -> str:
    """Format a time with microseconds and without a zone, as in `OS-SRV-USG:launched_at`."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def attached_disks(server: SimServer) -> list[SimDisk]:
    """Return the disks of a server, the system disk first."""
    system = [server.system_disk] if server.system_disk is not None else []
    return [*system, *server.data_disks]


def device_name(index: int) -> str:
    """Return the device name of the disk at `index` among a server's disks, from 0 to 22."""
    return f"/dev/vd{'abcdefghijklmnopqrstuvw'[index]}"


def show_server(server: SimServer) -> ServerShown:
    """Return a server as `GET cloudservers/{id}` shows it (structure: ECS API, "querying details about ECSs")."""
    spec, image = server.spec, server.image if server.spec.shows_image else None
    metadata = {"charging_mode": CHARGING_MODES[spec.charging], "vpc_id": "00000000-0000-4000-8000-00000000vpc0"}
    metadata |= {"EcmResStatus": "freeze" if spec.frozen else ""}
    metadata["metering.resourcespeccode"] = f"{spec.flavor.id}.linux"
    if image is not None:
        metadata |= {
            "metering.image_id": image.id,
            "metering.imagetype": image.imagetype,
            "image_name": image.name,
            "os_type": image.os_type,
            "os_bit": "64",
        }
    address: AddressShown = {
        "addr": spec.address,
        "version": "4",
        "OS-EXT-IPS:type": "fixed",
        "OS-EXT-IPS-MAC:mac_addr": spec.mac,
    }
    volumes: list[AttachedShown] = [
        {"id": disk.id, "bootIndex": "0" if disk.boot else "-1", "device": device_name(index),
         "delete_on_termination": "true" if disk.boot else "false"}
        for index, disk in enumerate(attached_disks(server))
    ]  # fmt: skip
    return {
        "id": server.id,
        "name": spec.name,
        "status": server.status,
        "tenant_id": spec.project_id,
        "user_id": spec.user_id,
        "created": format_time(spec.created),
        "updated": format_time(server.updated),
        "OS-SRV-USG:launched_at": format_time_us(server.launched_at),
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:power_state": _POWER.get(server.vm_state, 0),
        "OS-EXT-AZ:availability_zone": spec.az,
        "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
        "image": {"id": spec.image_id or image.id if image is not None else ""},
        "flavor": _show_flavor(spec.flavor),
        "metadata": metadata,
        "addresses": {"00000000-0000-4000-8000-00000000vpc0": [address]},
        "os-extended-volumes:volumes_attached": volumes,
        "key_name": server.key_name,
        "locked": server.locked,
        "fault": server.fault,
        "tags": list(spec.tags),
        "sys_tags": [{"key": "_sys_enterprise_project_id", "value": spec.enterprise_project}],
        "enterprise_project_id": spec.enterprise_project,
        "host_status": spec.host_status,
        "hostId": spec.mac.replace(":", ""),
        "description": "",
        "config_drive": "",
        "progress": 0,
    }


def _show_flavor(flavor: SimFlavor) -> FlavorShown:
    vcpus, ram = str(flavor.vcpus), str(flavor.ram_mb)
    return {"id": flavor.id, "name": flavor.id, "vcpus": vcpus, "ram": ram, "disk": "0"}
