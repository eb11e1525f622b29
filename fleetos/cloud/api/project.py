"""What surrounds the servers of a project, read once before a run: disks, flavors, quotas, encryption keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from fleetos.cloud.api.decode import read_disk, read_flavor
from fleetos.cloud.api.reads import GrantedReads, parsed
from fleetos.cloud.http.addresses import Origin
from fleetos.cloud.http.json_fields import Fields, InvalidJson, need, number, part, parts, text
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import ReadRefused
from fleetos.limits import DISK_PAGE, DISK_PAGES, DISK_PAGES_WHOLE, ENTERPRISE_PAGE, ENTERPRISE_PAGES
from fleetos.model.inventory import Disk, Disks, Flavor, KeyState, Quota

_PAGE = dict[str, Disk]
_KEY_STATES = {
    "1": KeyState.WAITING,
    "2": KeyState.ENABLED,
    "3": KeyState.DISABLED,
    "4": KeyState.DELETION,
    "5": KeyState.IMPORT,
}
_ENTERPRISE = "/v1.0/enterprise-projects"
_NO_KEY = "kms.0205"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProjectEndpoints:
    """Where a project is: its id, its region, the user whom the token is for, and the services.

    Those for disks (EVS), encryption keys (KMS) and enterprise projects (EPS) may be absent. `project` and `domain` are
    names, `user` who is logged in, or `access_key` the end of the key; each is None where the login does not tell it.
    """

    project_id: str
    region: str | None
    user_id: str | None
    ecs: Origin
    ims: Origin
    evs: Origin | None = None
    kms: Origin | None = None
    eps: Origin | None = None
    project: str | None = None
    domain: str | None = None
    user: str | None = None
    access_key: str | None = None


class Project:
    """The reads around the servers of one project; each raises CloudError.

    What would be read of a service that the place does not have is None.
    """

    def __init__(self, session: Session, place: ProjectEndpoints) -> None:
        self._session = session
        self._volumes = GrantedReads(session)
        self._ecs = place.ecs
        self._evs = place.evs
        self._kms = place.kms
        self._eps = place.eps
        self._project_id = place.project_id

    async def disks(self, enough_gib: int) -> Disks | None:
        """Return the volumes, from the smallest on (EVS API, "querying details about all disks": sort_key).

        All of them where they fit on a few pages, else up to those of `enough_gib`. A cloud that does not heed the
        order is read to the end.
        """
        if self._evs is None:
            return None
        found: dict[str, Disk] = {}
        marker: dict[str, str] = {}
        largest_gib, ordered = 0, True
        for _ in range(DISK_PAGES):
            total, page = await self._disk_page(self._evs, marker)
            sizes = [largest_gib, *(disk.size_gib for disk in page.values())]
            ordered = ordered and all(one <= other for one, other in pairwise(sizes))
            fresh = page.keys() - found.keys()
            found.update(page)
            largest_gib = sizes[-1]
            if len(page) < DISK_PAGE or not fresh:
                return Disks(found)
            many = total is None or total > DISK_PAGES_WHOLE * DISK_PAGE
            if many and ordered and largest_gib >= enough_gib:
                break
            marker = {"marker": next(reversed(page))}
        return Disks(found, whole=False, others_gib=largest_gib if ordered else 0)

    async def flavors(self) -> Mapping[str, Flavor]:
        """Return the flavors by id (ECS API, "querying details about flavors")."""

        def parse(fields: Fields) -> Mapping[str, Flavor]:
            return {flavor.id: flavor for flavor in map(read_flavor, parts(fields, "flavors"))}

        path = f"/v1/{self._project_id}/cloudservers/flavors"
        return await self._asked(ReadRequest("flavors", self._ecs, path, "the flavors"), parse)

    async def disk_quota(self) -> Quota | None:
        """Return how many disks and how many GiB may still be made (EVS API, "querying tenant quotas")."""
        if self._evs is None:
            return None

        def parse(fields: Fields) -> Quota:
            quotas = part(fields, "quota_set")
            return Quota(disks=_left_of(part(quotas, "volumes")), disks_gib=_left_of(part(quotas, "gigabytes")))

        path = f"/v2/{self._project_id}/os-quota-sets/{self._project_id}"
        read = ReadRequest("disk-quota", self._evs, path, "the quota of disks", {"usage": "True"})
        return await self._asked(read, parse)

    async def server_quota(self) -> Quota:
        """Return how many servers may still be made (ECS API, "querying tenant quotas")."""

        def parse(fields: Fields) -> Quota:
            absolute = part(fields, "absolute")
            return Quota(servers=_left(number(absolute, "maxTotalInstances"), number(absolute, "totalInstancesUsed")))

        path = f"/v1/{self._project_id}/cloudservers/limits"
        return await self._asked(ReadRequest("limits", self._ecs, path, "the quota of servers"), parse)

    async def key_state(self, key_id: str) -> KeyState | None:
        """Return the state of an encryption key (KMS API, "querying the information about a CMK").

        That KMS.0205, an id that is not valid, is also the answer for a key that there is not is inferred.
        """
        if self._kms is None:
            return None

        def parse(fields: Fields) -> KeyState:
            return _KEY_STATES.get(text(part(fields, "key_info"), "key_state") or "", KeyState.UNKNOWN)

        path, about = f"/v1.0/{self._project_id}/kms/describe-key", f"encryption key {key_id}"
        try:
            return await self._asked(ReadRequest("key", self._kms, path, about, body={"key_id": key_id}), parse)
        except ReadRefused as error:
            if error.code is not None and error.code.casefold() == _NO_KEY:
                return KeyState.ABSENT
            raise

    async def enterprise_projects(self) -> Mapping[str, str] | None:
        """Return the names of the enterprise projects by their ids (EPS API, "listing enterprise projects").

        The pages are those of a token of the whole account; that one of a project serves is inferred.
        """
        if self._eps is None:
            return None

        def parse(fields: Fields) -> Mapping[str, str]:
            return {need(one, "id"): text(one, "name") or "" for one in parts(fields, "enterprise_projects")}

        found: dict[str, str] = {}
        for page in range(ENTERPRISE_PAGES):
            params = {"limit": str(ENTERPRISE_PAGE), "offset": str(page * ENTERPRISE_PAGE)}
            read = ReadRequest("enterprise-projects", self._eps, _ENTERPRISE, "the enterprise projects", params)
            shown = await self._asked(read, parse)
            fresh = shown.keys() - found.keys()
            found.update(shown)
            if len(shown) < ENTERPRISE_PAGE or not fresh:
                break
        return found

    async def _disk_page(self, evs: Origin, marker: Mapping[str, str]) -> tuple[int | None, _PAGE]:
        def parse(fields: Fields) -> tuple[int | None, _PAGE]:
            return number(fields, "count"), {disk.id: disk for disk in map(read_disk, parts(fields, "volumes"))}

        params = {"limit": str(DISK_PAGE), "sort_key": "size", "sort_dir": "asc", **marker}
        path = f"/v2/{self._project_id}/cloudvolumes/detail"
        read = ReadRequest("volumes", evs, path, "the list of disks", params)
        return parsed(read.about, await self._volumes.read(read), parse)

    async def _asked(self, read: ReadRequest, parse: Callable[[Fields], T]) -> T:
        return parsed(read.about, await self._session.read(read), parse)


def _left_of(quota: Fields) -> int | None:
    reserved = number(quota, "reserved") or 0
    used = number(quota, "in_use")
    return _left(number(quota, "limit"), None if used is None else used + reserved)


def _left(limit: int | None, used: int | None) -> int | None:
    """What is left of a limit, of which -1 means that there is none."""
    if limit is None or used is None or limit < 0:
        return None
    if used < 0:
        raise InvalidJson("a quota of which less than nothing is used")
    return max(0, limit - used)
