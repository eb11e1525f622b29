"""Answers of the cloud as data: servers, jobs, images, and replies to writes. Each is old by the time it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleetos.clock import Moment


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """Those fields of a server by which fleetos judges it. Two reads agree if their snapshots are equal.

    The first four fields hold the cloud's own words (API page ecs_02_0104).
    """

    status: str
    """The field `status`."""
    vm_state: str
    """The field `OS-EXT-STS:vm_state`."""
    task: str | None
    """The field `OS-EXT-STS:task_state`."""
    power: int | None
    """The field `OS-EXT-STS:power_state`."""
    disk: str | None
    """Id of the attached volume with boot index 0, None if there is none."""
    image: str | None
    """`image.id`, else `metadata["metering.image_id"]`; None if both are absent: not verifiable."""
    fault: str | None = None
    locked: bool = False
    metered: str | None = None
    """`metadata["metering.image_id"]` if `image.id` names another image, else None.

    Some clouds show one `image.id` for all servers (the example of ecs_02_0104 does), others may be late with either.
    """

    @property
    def images(self) -> frozenset[str]:
        """Ids of the images that the cloud says it runs: one, two that contradict each other, or none."""
        return frozenset(image_id for image_id in (self.image, self.metered) if image_id is not None)

    @property
    def likely_image(self) -> str | None:
        """Id of the image to show and to select by: of two the metered one, which the cloud keeps for each server."""
        return self.metered or self.image

    @property
    def idle(self) -> bool:
        """True if the cloud shows no task on the server."""
        return self.task is None

    @property
    def stopped(self) -> bool:
        """True if the server is stopped and idle (ACTIVE may be powering off, SHUTOFF may be powering on)."""
        return self.status == "SHUTOFF" and self.vm_state == "stopped" and self.idle

    @property
    def running(self) -> bool:
        """True if the server runs and is idle."""
        return self.status == "ACTIVE" and self.idle

    @property
    def in_error(self) -> bool:
        """True if the cloud shows the server as failed and idle."""
        return self.status == "ERROR" and self.idle

    @property
    def changing(self) -> bool:
        """True if the cloud shows a rebuild or a task on the server."""
        return self.status == "REBUILD" or not self.idle


@dataclass(frozen=True, slots=True)
class Traits:
    """Fields of a server that only preflight needs (API page ecs_02_0104). None or False: the cloud does not say."""

    ram_mib: int | None = None
    charging: str | None = None
    """The cloud's `charging_mode`: "0" by use, "1" by year or month, "2" spot."""
    frozen: bool = False
    """Frozen with its account, or by the police."""
    image_kind: str | None = None
    """Kind of the image that the server was created from (`market`: from the marketplace)."""
    host_status: str | None = None
    bare_metal: bool = False
    managed_by: str | None = None
    """The service of the platform that owns the server, such as "CCE"."""


NO_TRAITS = Traits()


@dataclass(frozen=True, slots=True)
class Server:
    """One cloud server as the list or a single read shows it.

    `name` and `tags` hold the cloud's own letters in NFC, invisible ones included: fleetos compares them as they are,
    and `fleetos.names.shown` spells them out where a person reads them.
    """

    id: str
    name: str
    snapshot: ServerSnapshot
    az: str | None = None
    flavor: str | None = None
    key_name: str | None = None
    os_type: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Keys and values; the value is empty for a tag without one."""
    image_name: str | None = None
    """Name of the image as the cloud remembers it."""
    addresses: tuple[str, ...] = ()
    """Addresses in all networks of the server, in the cloud's spelling."""
    enterprise_project: str | None = None
    """Id, "0" for the default project; None: the cloud does not say."""
    enterprise_project_name: str | None = None
    """Set only if the caller asked for it."""
    traits: Traits = NO_TRAITS
    asked: Moment | None = field(default=None, compare=False)
    """Moment at which the request left."""
    cloud_time: datetime | None = field(default=None, compare=False)
    """Time of the answer by the cloud's own clock."""
    unread: str | None = None
    """Reason why the entry of the list could not be read; then only `id` is known, and `name` unless it is empty."""


UNKNOWN_SNAPSHOT = ServerSnapshot("UNKNOWN", "", None, None, None, None)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All servers of a project by id. `unidentified` describes those whose id could not be read."""

    servers: Mapping[str, Server]
    unidentified: tuple[str, ...] = ()

    @property
    def unread(self) -> tuple[str, ...]:
        """Descriptions of the servers that could not be read."""
        known = (server for server in self.servers.values() if server.unread is not None)
        return (*(f"{server.name or server.id} ({server.unread})" for server in known), *self.unidentified)


_NO_HARDWARE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Image:
    """One image as IMS lists it. None: the cloud does not say."""

    id: str
    name: str
    status: str
    os_type: str | None = None
    min_disk_gib: int | None = None
    inject_flag: str | None = None
    """The raw `__support_fc_inject`, a hint for the choice of API."""
    virtual_env_type: str | None = None
    kind: str | None = None
    """gold (public), private, shared or market."""
    architecture: str | None = None
    """arm or x86."""
    firmware: str | None = None
    """bios or uefi."""
    min_ram_mib: int = 0
    """0: no limit."""
    max_ram_mib: int = 0
    """0: no limit."""
    key_id: str | None = None
    """The key of an encrypted image."""
    member_status: str | None = None
    """Tells whether the project accepted a shared image."""
    withdrawn: bool = False
    """The marketplace no longer offers the image."""
    takes_password: bool = False
    """A password can be set after the installation."""
    created_at: datetime | None = None
    supports: frozenset[str] = _NO_HARDWARE
    """Kinds of hardware by the fields `__support_...`: kvm, xen, xen_gpu_type and the like; empty: it does not say."""


@dataclass(frozen=True, slots=True)
class Disk:
    """One volume as EVS lists it. `status` is the cloud's word: `in-use` for an attached volume without a task."""

    id: str
    size_gib: int
    status: str
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Disks:
    """Volumes of a project by id, read in ascending size."""

    known: Mapping[str, Disk]
    whole: bool = True
    """All volumes are in `known`."""
    others_gib: int = 0
    """Lower bound of the size of each volume that is not in `known`."""


@dataclass(frozen=True, slots=True)
class Flavor:
    """One flavor of the project's region. None: the cloud does not say."""

    id: str
    architecture: str
    """arm or x86."""
    platform: str | None = None
    """kvm or xen."""
    performance: str | None = None
    """The cloud's word for the class of the flavor."""
    gpu: bool = False
    """The flavor has a GPU."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Resources that the project may still create. None: no limit, or the cloud does not say."""

    disks: int | None = None
    disks_gib: int | None = None
    servers: int | None = None


class KeyState(StrEnum):
    """State of an encryption key. The values end a sentence that begins with the key."""

    ENABLED = "is enabled"
    WAITING = "is waiting to be activated"
    DISABLED = "is disabled"
    DELETION = "is scheduled for deletion"
    IMPORT = "waits for its material to be imported"
    ABSENT = "is not among the keys that we may use"
    UNKNOWN = "is in a state that is not known"


class JobStatus(StrEnum):
    """Status of an asynchronous task; an unknown one counts as RUNNING (API page ecs_02_0901)."""

    INIT = "INIT"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"

    @property
    def final(self) -> bool:
        """True if the job has ended."""
        return self in (JobStatus.SUCCESS, JobStatus.FAIL)


@dataclass(frozen=True, slots=True)
class SubJob:
    """Part of a multi-server job for one server. `took_s` is as in `Job`."""

    server_id: str
    job_id: str
    status: JobStatus
    error_code: str | None = None
    fail_reason: str | None = None
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One asynchronous task of the cloud."""

    id: str
    status: JobStatus
    error_code: str | None = None
    fail_reason: str | None = None
    sub_jobs: tuple[SubJob, ...] = ()
    """Empty for a job on a single server."""
    took_s: float | None = None
    """Duration by the cloud's own clock; None: the job still runs, or the cloud does not say."""

    def sub_job_of(self, server_id: str) -> "SubJob | None":
        """Return the sub-job of the server, None if there is none. The parent alone never judges a server."""
        return next((part for part in self.sub_jobs if part.server_id == server_id), None)

    def status_of(self, server_id: str) -> JobStatus:
        """Return the status for the server: of its sub-job, or of the whole job if the server has no sub-job."""
        part = self.sub_job_of(server_id)
        return self.status if part is None else part.status


@dataclass(frozen=True, slots=True)
class Delivered:
    """The cloud's answer to a write."""

    status: int
    job_id: str | None = None
    code: str | None = None
    """The cloud's error code in its own spelling, None on success."""
    message: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Proof that the write never left this machine."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Lack of a usable answer: the cloud may or may not have done the write."""

    detail: str


Reply = Delivered | Undelivered | Unanswered
