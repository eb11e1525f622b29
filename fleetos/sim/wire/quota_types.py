"""Types of the responses about flavors, quotas, encryption keys and enterprise projects."""

from typing_extensions import TypedDict

FlavorListed = TypedDict(
    "FlavorListed",
    {
        "id": str,
        "name": str,
        "vcpus": str,
        "ram": int,
        "disk": str,
        "swap": str,
        "OS-FLV-EXT-DATA:ephemeral": int,
        "OS-FLV-DISABLED:disabled": bool,
        "os-flavor-access:is_public": bool,
        "os_extra_specs": dict[str, str],
    },
)


class FlavorsAnswer(TypedDict):
    """The flavors that a project may use."""

    flavors: list[FlavorListed]


class AbsoluteShown(TypedDict):
    """Quotas of servers, -1 for unlimited, and their use."""

    maxTotalInstances: int
    maxTotalCores: int
    maxTotalRAMSize: int
    totalInstancesUsed: int
    totalCoresUsed: int
    totalRAMUsed: int


class LimitsAnswer(TypedDict):
    """The quotas of servers."""

    absolute: AbsoluteShown


class EnterpriseShown(TypedDict):
    """An enterprise project; a status of 1 is enabled."""

    id: str
    name: str
    description: str
    status: int
    created_at: str
    updated_at: str
    type: str


class EnterpriseAnswer(TypedDict):
    """A page of enterprise projects."""

    enterprise_projects: list[EnterpriseShown]
    total_count: int


class KeyShown(TypedDict):
    """An encryption key; its state and the times are texts."""

    key_id: str
    domain_id: str
    key_alias: str
    realm: str
    key_description: str
    key_spec: str
    key_usage: str
    creation_date: str
    scheduled_deletion_date: str
    key_state: str
    default_key_flag: str
    key_type: str
    origin: str


class KeyAnswer(TypedDict):
    """One encryption key."""

    key_info: KeyShown


class QuotaShown(TypedDict):
    """A quota of disks, and how much of it is used."""

    limit: int
    in_use: int
    reserved: int


class DiskQuotaShown(TypedDict):
    """The quotas of disks of a project."""

    id: str
    volumes: QuotaShown
    gigabytes: QuotaShown


class DiskQuotaAnswer(TypedDict):
    """The quotas of disks."""

    quota_set: DiskQuotaShown
