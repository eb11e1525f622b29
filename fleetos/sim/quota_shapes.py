"""The answers about flavors and quotas, as types."""

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
    """What a project may have of servers, -1 for as many as it likes, and what it has."""

    maxTotalInstances: int
    maxTotalCores: int
    maxTotalRAMSize: int
    totalInstancesUsed: int
    totalCoresUsed: int
    totalRAMUsed: int


class LimitsAnswer(TypedDict):
    """The quotas of servers."""

    absolute: AbsoluteShown


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
