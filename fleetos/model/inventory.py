"""What the cloud says: servers, jobs, images, and its answers to writes. Data with a time, known to be old."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleetos.clock import Moment


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """Those parts of a server by which fleetos judges it; two reads are equal when their pictures are.

    `status`, `vm_state`, `task` and `power` are the cloud's own words (API page ecs_02_0104, fields status and
    OS-EXT-STS:*). `disk` is the id of the attached volume with boot index 0, None when there is none.
    `image` is `image.id`, else `metadata["metering.image_id"]`; None when both are absent: unverifiable. `metered` is
    the latter where it names another image than the former: some clouds show one `image.id` for all servers (the
    example of ecs_02_0104 does), others may be late with either.
    """

    status: str
    vm_state: str
    task: str | None
    power: int | None
    disk: str | None
    image: str | None
    fault: str | None = None
    locked: bool = False
    metered: str | None = None

    @property
    def images(self) -> frozenset[str]:
        """The ids of the images that it is said to run: one, two that contradict each other, or none."""
        return frozenset(one for one in (self.image, self.metered) if one is not None)

    @property
    def likely_image(self) -> str | None:
        """The id of the image to show and to select it by; of two the metered one, which is kept for each server."""
        return self.metered or self.image

    @property
    def idle(self) -> bool:
        """Whether the cloud says that nothing is being done to the server."""
        return self.task is None

    @property
    def stopped(self) -> bool:
        """Whether it is stopped and idle (ACTIVE may be powering off, SHUTOFF may be powering on)."""
        return self.status == "SHUTOFF" and self.vm_state == "stopped" and self.idle

    @property
    def running(self) -> bool:
        """Whether it runs and is idle."""
        return self.status == "ACTIVE" and self.idle

    @property
    def in_error(self) -> bool:
        """Whether the cloud shows it as failed and idle."""
        return self.status == "ERROR" and self.idle

    @property
    def changing(self) -> bool:
        """Whether something is visibly being done to it."""
        return self.status == "REBUILD" or not self.idle


@dataclass(frozen=True, slots=True)
class Traits:
    """What preflight asks of a server beyond its picture (API page ecs_02_0104); None and False where it is not told.

    `charging` is the cloud's `charging_mode`: "0" by use, "1" by year or month, "2" spot. `frozen` is an account's or
    the police's freeze, `image_kind` the kind of the image that it was made of (`market`: from the marketplace).
    `managed_by` is another service of the platform whose server it is, such as "CCE".
    """

    ram_mib: int | None = None
    charging: str | None = None
    frozen: bool = False
    image_kind: str | None = None
    host_status: str | None = None
    bare_metal: bool = False
    managed_by: str | None = None


NO_TRAITS = Traits()


@dataclass(frozen=True, slots=True)
class Server:
    """One cloud server as the list or a single read shows it.

    `name` and `tags` are the cloud's own letters in NFC, those included that cannot be seen: they are compared as they
    are, and `fleetos.names.shown` spells them out where somebody reads them.
    `image_name` is what the cloud remembers of the image, `addresses` are those of all its networks, as the cloud
    writes them. `tags` maps keys to values, empty for a tag without one. `enterprise_project` is an id, "0" for the
    default one, None where the cloud tells none; its name is there only where it was asked for. `asked`: when the
    request left that it answers; `told_at`: when the cloud answered, by its own clock. `unread`: why what the list
    shows of it could not be read; nothing but the id is known then, and the name if it is not empty.
    """

    id: str
    name: str
    picture: ServerSnapshot
    az: str | None = None
    flavor: str | None = None
    key_name: str | None = None
    os_type: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    image_name: str | None = None
    addresses: tuple[str, ...] = ()
    enterprise_project: str | None = None
    enterprise_project_name: str | None = None
    traits: Traits = NO_TRAITS
    asked: Moment | None = field(default=None, compare=False)
    told_at: datetime | None = field(default=None, compare=False)
    unread: str | None = None


NOTHING_SEEN = ServerSnapshot("UNKNOWN", "", None, None, None, None)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All servers of a project, by id, as the cloud listed them from `requested_at` on.

    `unidentified` are those whose ids could not be read, in words.
    """

    servers: Mapping[str, Server]
    requested_at: datetime
    unidentified: tuple[str, ...] = ()

    @property
    def unread(self) -> tuple[str, ...]:
        """The servers that could not be read, in words."""
        known = (server for server in self.servers.values() if server.unread is not None)
        return (*(f"{server.name or server.id} ({server.unread})" for server in known), *self.unidentified)


_UNTOLD: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Image:
    """One image as IMS lists it. `inject_flag` is the raw `__support_fc_inject`, a hint for the choice of API.

    `kind` is gold (public), private, shared or market. `architecture` is arm or x86, `firmware` bios or uefi; None:
    not told. Memory of 0: no limit. `key_id` is the key of an encrypted image, `member_status` whether a shared one
    was accepted. `withdrawn`: the marketplace no longer offers it. `takes_password`: a password can be set afterwards.
    `supports` are the kinds of hardware that it says it is for, each as in the field `__support_...`: kvm, xen,
    xen_gpu_type, diskintensive and the like; empty: it does not say.
    """

    id: str
    name: str
    status: str
    os_type: str | None = None
    min_disk_gib: int | None = None
    inject_flag: str | None = None
    virtual_env_type: str | None = None
    kind: str | None = None
    architecture: str | None = None
    firmware: str | None = None
    min_ram_mib: int = 0
    max_ram_mib: int = 0
    key_id: str | None = None
    member_status: str | None = None
    withdrawn: bool = False
    takes_password: bool = False
    created_at: datetime | None = None
    supports: frozenset[str] = _UNTOLD


@dataclass(frozen=True, slots=True)
class Disk:
    """One volume as EVS lists it; `status` is the cloud's word, `in-use` for an attached one that rests."""

    id: str
    size_gib: int
    status: str
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Disks:
    """The volumes of a project, by id, read from the smallest on.

    `whole`: all of them. Else those that are not `known` have at least `others_gib`, and nothing more is known of them.
    """

    known: Mapping[str, Disk]
    whole: bool = True
    others_gib: int = 0


@dataclass(frozen=True, slots=True)
class Flavor:
    """One flavor of the project's region; `architecture` is arm or x86.

    `platform` is kvm or xen, `performance` the cloud's word for its class; None: not told. `gpu`: it has one.
    """

    id: str
    architecture: str
    platform: str | None = None
    performance: str | None = None
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """What the project may still make; None: no limit, or not told."""

    disks: int | None = None
    disks_gib: int | None = None
    servers: int | None = None


class KeyState(StrEnum):
    """What is known of an encryption key. The values end a sentence that begins with the key."""

    ENABLED = "is enabled"
    WAITING = "is waiting to be activated"
    DISABLED = "is disabled"
    DELETION = "is scheduled for deletion"
    IMPORT = "waits for its material to be imported"
    ABSENT = "is not among the keys that we may use"
    UNKNOWN = "is in a state that is not known"


class JobStatus(StrEnum):
    """The cloud's word for an asynchronous task; anything unknown counts as RUNNING (API page ecs_02_0901)."""

    INIT = "INIT"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobStatus.SUCCESS, JobStatus.FAIL)


@dataclass(frozen=True, slots=True)
class SubJob:
    """The part of a multi-server job that concerns one server."""

    server_id: str
    job_id: str
    status: JobStatus
    error_code: str | None = None
    fail_reason: str | None = None
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One asynchronous task of the cloud. `sub_jobs` is empty for a job on a single server.

    `took_s`: the seconds from its begin to its end by the cloud's own clock, None while it runs or is not told.
    """

    id: str
    status: JobStatus
    error_code: str | None = None
    fail_reason: str | None = None
    sub_jobs: tuple[SubJob, ...] = ()
    took_s: float | None = None

    def part_of(self, server_id: str) -> "SubJob | None":
        """The sub-job of that server, if the job has one; the parent alone never judges a server."""
        return next((part for part in self.sub_jobs if part.server_id == server_id), None)

    def status_of(self, server_id: str) -> JobStatus:
        """How far it is for that server: by its sub-job, or by the whole where there is none for it."""
        part = self.part_of(server_id)
        return self.status if part is None else part.status


@dataclass(frozen=True, slots=True)
class Delivered:
    """The cloud answered a write. `code` is its error code as given, None on success; `job_id` None when absent."""

    status: int
    job_id: str | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Proven: the write never left this machine."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The write may have been done; no usable answer came."""

    detail: str


Reply = Delivered | Undelivered | Unanswered
