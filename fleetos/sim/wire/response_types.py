"""Types of the responses. The OpenAPI description is generated from them.

The functions that build the responses name the API pages.
"""

from typing import Literal, NotRequired

# pydantic understands those of the standard library only from Python 3.12 on.
from typing_extensions import TypedDict

JobStatus = Literal["INIT", "RUNNING", "SUCCESS", "FAIL"]


class FaultShown(TypedDict):
    """Reason why a server is in ERROR, or missing in a list by ids."""

    code: int
    created: str
    message: str
    details: NotRequired[str]


class ImageOfServer(TypedDict):
    """The image that a server was made from."""

    id: str


class FlavorShown(TypedDict):
    """The flavor of a server; its numbers are strings."""

    id: str
    name: str
    vcpus: str
    ram: str
    disk: str


AddressFields = TypedDict("AddressFields", {"addr": str, "OS-EXT-IPS:type": str, "OS-EXT-IPS-MAC:mac_addr": str})


class AddressShown(AddressFields):
    """An address of a server; here its version is a string."""

    version: str


class AttachedShown(TypedDict):
    """A disk of a server; `bootIndex` and `delete_on_termination` are strings."""

    id: str
    bootIndex: str
    device: str
    delete_on_termination: Literal["true", "false"]


class TagShown(TypedDict):
    """A tag of the platform."""

    key: str
    value: str


# Fields of a server that the ECS API and Nova have in common.
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
# The class syntax cannot have this key.
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
    """Entry of a list by ids for an unknown id."""

    id: str
    fault: FaultShown


class TemporaryShown(TypedDict):
    """Temporary server of the platform during a change."""

    id: str
    name: str
    status: Literal["BUILD"]


class ServerAnswer(TypedDict):
    """One server."""

    server: ServerShown


class ServersAnswer(TypedDict):
    """A page of servers; `count` is the number on all pages."""

    count: int
    servers: list[ServerShown | UnknownShown | TemporaryShown]


class JobAnswer(TypedDict):
    """Job of an accepted write."""

    job_id: str


class OneServer(TypedDict):
    """Server of a job on one server."""

    server_id: str


class ServerOfTask(TypedDict):
    """Server of a sub-job, and the reason why it failed."""

    server_id: str
    errorcode_message: str


class TaskShown(TypedDict):
    """Sub-job of one server."""

    job_id: str
    job_type: str
    status: JobStatus
    begin_time: str
    end_time: str
    error_code: str | None
    fail_reason: str | None
    entities: ServerOfTask


class SeveralServers(TypedDict):
    """Sub-jobs of a job on several servers."""

    sub_jobs_total: int
    sub_jobs: list[TaskShown]


class JobShown(TypedDict):
    """A job. While it runs, `end_time` is empty and the error fields are missing."""

    job_id: str
    job_type: str
    status: JobStatus
    begin_time: str
    end_time: str
    error_code: NotRequired[str | None]
    fail_reason: NotRequired[str | None]
    entities: OneServer | SeveralServers


class ActionShown(TypedDict):
    """An action on a server."""

    action: str
    instance_uuid: str
    request_id: str
    start_time: str
    message: str | None
    project_id: str
    user_id: str


class ActionEventShown(TypedDict):
    """A step of an action; without end and result while it runs."""

    event: str
    start_time: str
    finish_time: str | None
    result: str | None
    traceback: str | None


class ActionInFullShown(ActionShown):
    """An action on a server, with its steps."""

    events: list[ActionEventShown]


class ActionAnswer(TypedDict):
    """One action on a server."""

    instanceAction: ActionInFullShown


class ActionsAnswer(TypedDict):
    """The actions on a server."""

    instanceActions: list[ActionShown]


class BlockDeviceShown(TypedDict):
    """A disk of a server; here `bootIndex` is a number."""

    id: str
    volumeId: str
    serverId: str
    size: int
    bus: str
    bootIndex: int
    device: str
    pciAddress: str


class Attachable(TypedDict):
    """Number of disks that a server can still attach."""

    free_scsi: int
    free_blk: int
    free_disk: int


class BlockDevicesAnswer(TypedDict):
    """The disks of a server."""

    attachableQuantity: Attachable
    volumeAttachments: list[BlockDeviceShown]


class AttachmentShown(TypedDict):
    """Server and device of an attached volume."""

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
    """A link of a resource."""

    rel: str
    href: str


class VolumesAnswer(TypedDict):
    """A page of volumes."""

    count: int
    volumes: list[VolumeShown]
    volumes_links: list[LinkShown]


class KeyPairShown(TypedDict):
    """A key pair; a response with only one also shows its owner."""

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
