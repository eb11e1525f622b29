"""What the simulated cloud answers, as types: its pictures are made by them, and its description is written from them.

The sources are the API pages that the makers of the pictures name.
"""

from typing import Literal, NotRequired

# The standard library's are understood by pydantic from Python 3.12 on.
from typing_extensions import TypedDict

JobStatus = Literal["INIT", "RUNNING", "SUCCESS", "FAIL"]


class FaultShown(TypedDict):
    """Why a server is in ERROR, or why a list by ids does not have it."""

    code: int
    created: str
    message: str
    details: NotRequired[str]


class ImageOfServer(TypedDict):
    """The image that a server was made from."""

    id: str


class FlavorShown(TypedDict):
    """The flavor of a server; numbers are texts."""

    id: str
    name: str
    vcpus: str
    ram: str
    disk: str


AddressFields = TypedDict("AddressFields", {"addr": str, "OS-EXT-IPS:type": str, "OS-EXT-IPS-MAC:mac_addr": str})


class AddressShown(AddressFields):
    """An address of a server; here its version is a text."""

    version: str


class AttachedShown(TypedDict):
    """A disk of a server; its place is a text, as is what becomes of it."""

    id: str
    bootIndex: str
    device: str
    delete_on_termination: Literal["true", "false"]


class TagShown(TypedDict):
    """A tag of the platform."""

    key: str
    value: str


# What the ECS API and Nova show of a server alike.
ServerFields = TypedDict(
    "ServerFields",
    {
        "id": str,
        "name": str,
        "status": str,
        "tenant_id": str,
        "user_id": str,
        "created": str,
        "updated": str,
        "OS-SRV-USG:launched_at": str,
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:vm_state": str,
        "OS-EXT-STS:task_state": str | None,
        "OS-EXT-STS:power_state": int,
        "OS-EXT-AZ:availability_zone": str,
        "OS-EXT-SRV-ATTR:root_device_name": str,
        "metadata": dict[str, str],
        "key_name": str | None,
        "locked": bool,
        "tags": list[str],
        "host_status": str,
        "hostId": str,
        "description": str,
        "config_drive": str,
        "progress": int,
    },
)
# A key with such letters has no other way into a class.
_Attached = TypedDict("_Attached", {"os-extended-volumes:volumes_attached": list[AttachedShown]})


class ServerShown(ServerFields, _Attached):
    """A server as the ECS API shows it."""

    image: ImageOfServer
    flavor: FlavorShown
    addresses: dict[str, list[AddressShown]]
    fault: FaultShown | None
    sys_tags: list[TagShown]
    enterprise_project_id: str


class UnknownShown(TypedDict):
    """What a list by ids shows for an id that is no server's."""

    id: str
    fault: FaultShown


class TemporaryShown(TypedDict):
    """The server that the platform works with during a change."""

    id: str
    name: str
    status: Literal["BUILD"]


class ServerAnswer(TypedDict):
    """One server."""

    server: ServerShown


class ServersAnswer(TypedDict):
    """A page of servers; `count` is how many there are on all pages."""

    count: int
    servers: list[ServerShown | UnknownShown | TemporaryShown]


class JobAnswer(TypedDict):
    """What was accepted."""

    job_id: str


class OneServer(TypedDict):
    """What a job on one server is about."""

    server_id: str


class ServerOfTask(TypedDict):
    """What the part of a job is about, and why it failed."""

    server_id: str
    errorcode_message: str


class TaskShown(TypedDict):
    """The part of a job that belongs to one server."""

    job_id: str
    job_type: str
    status: JobStatus
    begin_time: str
    end_time: str
    error_code: str | None
    fail_reason: str | None
    entities: ServerOfTask


class SeveralServers(TypedDict):
    """What a job on several servers is about."""

    sub_jobs_total: int
    sub_jobs: list[TaskShown]


class JobShown(TypedDict):
    """A job; while it runs its end is empty, and it has no error to show."""

    job_id: str
    job_type: str
    status: JobStatus
    begin_time: str
    end_time: str
    error_code: NotRequired[str | None]
    fail_reason: NotRequired[str | None]
    entities: OneServer | SeveralServers


class ActionShown(TypedDict):
    """Something that was done to a server."""

    action: str
    instance_uuid: str
    request_id: str
    start_time: str
    message: str | None
    project_id: str
    user_id: str


class ActionEventShown(TypedDict):
    """A step of an action; one that goes on has neither an end nor a result."""

    event: str
    start_time: str
    finish_time: str | None
    result: str | None
    traceback: str | None


class ActionInFullShown(ActionShown):
    """Something that was done to a server, with its steps."""

    events: list[ActionEventShown]


class ActionAnswer(TypedDict):
    """One thing that was done to a server."""

    instanceAction: ActionInFullShown


class ActionsAnswer(TypedDict):
    """What was done to a server."""

    instanceActions: list[ActionShown]


class BlockDeviceShown(TypedDict):
    """A disk of a server; here its place is a number."""

    id: str
    volumeId: str
    serverId: str
    size: int
    bus: str
    bootIndex: int
    device: str
    pciAddress: str


class Attachable(TypedDict):
    """How many disks more a server may have."""

    free_scsi: int
    free_blk: int
    free_disk: int


class BlockDevicesAnswer(TypedDict):
    """The disks of a server."""

    attachableQuantity: Attachable
    volumeAttachments: list[BlockDeviceShown]


class AttachmentShown(TypedDict):
    """Where a volume is attached."""

    server_id: str
    volume_id: str
    device: str


class VolumeShown(TypedDict):
    """A volume."""

    id: str
    name: str
    size: int
    status: str
    bootable: Literal["true", "false"]
    volume_type: str
    multiattach: bool
    created_at: str
    metadata: dict[str, str]
    encrypted: bool
    attachments: list[AttachmentShown]
    volume_image_metadata: dict[str, str]


class VolumeAnswer(TypedDict):
    """One volume."""

    volume: VolumeShown


class LinkShown(TypedDict):
    """An address that belongs to a thing."""

    rel: str
    href: str


class VolumesAnswer(TypedDict):
    """A page of volumes."""

    count: int
    volumes: list[VolumeShown]
    volumes_links: list[LinkShown]


class KeyPairShown(TypedDict):
    """A key pair; alone it shows its owner too."""

    name: str
    fingerprint: str
    public_key: str
    type: Literal["ssh"]
    user_id: NotRequired[str]
    deleted: NotRequired[bool]


class KeyPairAnswer(TypedDict):
    """One key pair."""

    keypair: KeyPairShown


class KeyPairsAnswer(TypedDict):
    """The key pairs of the user."""

    keypairs: list[KeyPairAnswer]
