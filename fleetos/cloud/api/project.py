"""Disks, flavors, quotas, encryption keys and enterprise projects of a project, read once before a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from fleetos.cloud.api.decode import key_pair_names, read_disk, read_flavor
from fleetos.cloud.api.reads import GrantedReads, is_gone, parse_response, segment
from fleetos.cloud.http.addresses import Origin
from fleetos.cloud.http.json_fields import Fields, InvalidJson, number, part, parts, require_text, text
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import ReadRefused
from fleetos.limits import ENTERPRISE_PAGE, ENTERPRISE_PAGES
from fleetos.model.codes import code_key
from fleetos.model.inventory import Disk, Disks, Flavor, KeyState, Quota

# Volumes on one page of EVS (its API reference: at most 1000). If DISK_PAGES_WHOLE pages do not hold all volumes of a
# project, only those that may be too small for an image are read: a plan for 10,000 servers takes one page, not ten.
DISK_PAGE = 1000
DISK_PAGES_WHOLE = 3
DISK_PAGES = 200
_PAGE = dict[str, Disk]
_KEY_STATES = {
    "1": KeyState.WAITING,
    "2": KeyState.ENABLED,
    "3": KeyState.DISABLED,
    "4": KeyState.DELETION,
    "5": KeyState.IMPORT,
}
_ENTERPRISE = "/v1.0/enterprise-projects"
_NO_KEY, _NO_KEY_PAIR = "kms.0205", "ecs.0314"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProjectEndpoints:
    """Identity of a project, and the endpoints of its services."""

    project_id: str
    region: str | None
    user_id: str | None
    """The id of the user whom the token is for; None: the login does not show it."""
    ecs: Origin
    """Servers."""
    ims: Origin
    """Images."""
    evs: Origin | None = None
    """Disks."""
    kms: Origin | None = None
    """Encryption keys."""
    eps: Origin | None = None
    """Enterprise projects."""
    project: str | None = None
    """The name of the project."""
    domain: str | None = None
    """The name of the domain."""
    user: str | None = None
    """The name of the user who is logged in."""
    access_key: str | None = None
    """The last letters of the access key, for a login by one."""


class Project:
    """Reads of everything in a project but servers and images; each raises CloudError.

    A read of a service that the project does not have returns None.
    """

    def __init__(self, session: Session, place: ProjectEndpoints) -> None:
        self._session = session
        self._volumes = GrantedReads(session)
        self._ecs = place.ecs
        self._evs = place.evs
        self._kms = place.kms
        self._eps = place.eps
        self._project_id = place.project_id
        self._key_pairs = f"/v2.1/{place.project_id}/os-keypairs"

    async def disks(self, enough_gib: int) -> Disks | None:
        """Return the volumes, smallest first (EVS API, "querying details about all disks": sort_key).

        A list of more than DISK_PAGES_WHOLE pages is read only up to volumes of `enough_gib`. If the cloud ignores the
        order, the list is read to its end, or for DISK_PAGES pages.
        """
        if self._evs is None:
            return None
        disks: dict[str, Disk] = {}
        marker: dict[str, str] = {}
        largest_gib, ordered = 0, True
        for _ in range(DISK_PAGES):
            total, page = await self._disk_page(self._evs, marker)
            sizes = [largest_gib, *(disk.size_gib for disk in page.values())]
            ordered = ordered and all(size <= next_size for size, next_size in pairwise(sizes))
            new = page.keys() - disks.keys()
            disks.update(page)
            largest_gib = sizes[-1]
            if len(page) < DISK_PAGE or not new:
                return Disks(disks)
            many = total is None or total > DISK_PAGES_WHOLE * DISK_PAGE
            if many and ordered and largest_gib >= enough_gib:
                break
            marker = {"marker": next(reversed(page))}
        return Disks(disks, whole=False, others_gib=largest_gib if ordered else 0)

    async def flavors(self) -> Mapping[str, Flavor]:
        """Return the flavors by id (ECS API, "querying details about flavors")."""

        def parse(fields: Fields) -> Mapping[str, Flavor]:
            return {flavor.id: flavor for flavor in map(read_flavor, parts(fields, "flavors"))}

        path = f"/v1/{self._project_id}/cloudservers/flavors"
        return await self._read(ReadRequest("flavors", self._ecs, path, "the flavors"), parse)

    async def disk_quota(self) -> Quota | None:
        """Return the number of disks and of GiB that may still be created (EVS API, "querying tenant quotas")."""
        if self._evs is None:
            return None

        def parse(fields: Fields) -> Quota:
            quotas = part(fields, "quota_set")
            return Quota(
                disks=_remaining_quota(part(quotas, "volumes")), disks_gib=_remaining_quota(part(quotas, "gigabytes"))
            )

        path = f"/v2/{self._project_id}/os-quota-sets/{self._project_id}"
        read = ReadRequest("disk-quota", self._evs, path, "the quota of disks", {"usage": "True"})
        return await self._read(read, parse)

    async def server_quota(self) -> Quota:
        """Return the number of servers that may still be created (ECS API, "querying tenant quotas")."""

        def parse(fields: Fields) -> Quota:
            absolute = part(fields, "absolute")
            return Quota(
                servers=_remaining(number(absolute, "maxTotalInstances"), number(absolute, "totalInstancesUsed"))
            )

        path = f"/v1/{self._project_id}/cloudservers/limits"
        return await self._read(ReadRequest("limits", self._ecs, path, "the quota of servers"), parse)

    async def key_state(self, key_id: str) -> KeyState | None:
        """Return the state of an encryption key (KMS API, "querying the information about a CMK").

        KMS.0205 means an invalid id; that the service also answers it for a key that does not exist is inferred.
        """
        if self._kms is None:
            return None

        def parse(fields: Fields) -> KeyState:
            return _KEY_STATES.get(text(part(fields, "key_info"), "key_state") or "", KeyState.UNKNOWN)

        path, about = f"/v1.0/{self._project_id}/kms/describe-key", f"encryption key {key_id}"
        try:
            return await self._read(ReadRequest("key", self._kms, path, about, body={"key_id": key_id}), parse)
        except ReadRefused as error:
            if error.code is not None and error.code.casefold() == _NO_KEY:
                return KeyState.ABSENT
            raise

    async def enterprise_projects(self) -> Mapping[str, str] | None:
        """Return the names of the enterprise projects by id (EPS API, "listing enterprise projects").

        The API pages use a token of the whole account; that a token of a project is enough is inferred.
        """
        if self._eps is None:
            return None

        def parse(fields: Fields) -> Mapping[str, str]:
            return {
                require_text(entry, "id"): text(entry, "name") or "" for entry in parts(fields, "enterprise_projects")
            }

        names: dict[str, str] = {}
        for page_number in range(ENTERPRISE_PAGES):
            params = {"limit": str(ENTERPRISE_PAGE), "offset": str(page_number * ENTERPRISE_PAGE)}
            read = ReadRequest("enterprise-projects", self._eps, _ENTERPRISE, "the enterprise projects", params)
            page_names = await self._read(read, parse)
            new = page_names.keys() - names.keys()
            names.update(page_names)
            if len(page_names) < ENTERPRISE_PAGE or not new:
                break
        return names

    async def has_key_pair(self, name: str) -> bool:
        """Return whether the token's user has a key pair of that name; the key pairs of other users are invisible.

        Besides the body that Nova answers, Ecs.0314 says that there is none: "not found, or not owned by the user".
        """
        path = f"{self._key_pairs}/{segment(name)}"
        try:
            await self._session.read(ReadRequest("keypair", self._ecs, path, f"key pair {name!r}"))
        except ReadRefused as error:
            if is_gone(error) or code_key(error.code or "") == _NO_KEY_PAIR:
                return False
            raise
        return True

    async def key_pairs(self) -> tuple[str, ...]:
        """Return the names of the key pairs of the token's user."""
        return await self._read(ReadRequest("keypairs", self._ecs, self._key_pairs, "the key pairs"), key_pair_names)

    async def _disk_page(self, evs: Origin, marker: Mapping[str, str]) -> tuple[int | None, _PAGE]:
        def parse(fields: Fields) -> tuple[int | None, _PAGE]:
            return number(fields, "count"), {disk.id: disk for disk in map(read_disk, parts(fields, "volumes"))}

        params = {"limit": str(DISK_PAGE), "sort_key": "size", "sort_dir": "asc", **marker}
        path = f"/v2/{self._project_id}/cloudvolumes/detail"
        read = ReadRequest("volumes", evs, path, "the list of disks", params)
        return parse_response(read.about, await self._volumes.read(read), parse)

    async def _read(self, read: ReadRequest, parse: Callable[[Fields], T]) -> T:
        return parse_response(read.about, await self._session.read(read), parse)


def _remaining_quota(quota: Fields) -> int | None:
    reserved = number(quota, "reserved") or 0
    used = number(quota, "in_use")
    return _remaining(number(quota, "limit"), None if used is None else used + reserved)


def _remaining(limit: int | None, used: int | None) -> int | None:
    """Return the rest of a limit, None if it is unknown or -1, which means unlimited."""
    if limit is None or used is None or limit < 0:
        return None
    if used < 0:
        raise InvalidJson("a quota of which less than nothing is used")
    return max(0, limit - used)
