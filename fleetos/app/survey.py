"""Read the cloud for a plan: run preflight before a run, or compare its servers with their images."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fleetos.app.context import SIM, scope_key
from fleetos.cloud.client import CloudClient
from fleetos.errors import AuthenticationFailed, CloudError, InputError, PermissionDenied
from fleetos.limits import KEYS_ASKED
from fleetos.model.drift import Drift, DriftState
from fleetos.model.inventory import Image, Inventory, KeyState
from fleetos.model.plan import Plan
from fleetos.model.run import Scope
from fleetos.planning.drift import drift, missing_servers
from fleetos.planning.preflight.image_pins import ACTIVE
from fleetos.planning.preflight.orders import (
    images_wanted,
    key_pairs_wanted,
    keys_wanted,
    names_key_pair,
    reinstalled_images,
)
from fleetos.planning.preflight.preflight import Preflight, preflight
from fleetos.planning.preflight.project_facts import ProjectFacts, Unread
from fleetos.planning.preflight.selectors import projects_by_name, with_project_names
from fleetos.planning.secrets import PlanSecrets
from fleetos.planning.settings import CloudFacts
from fleetos.store import history
from fleetos.store.database.reader import Readable

# Hosts of Open Telekom Cloud, whose API reference differs from the sister clouds' (its list of endpoints).
_OTC_DOMAIN = ".otc.t-systems.com"
# Huawei Cloud's international edition of the API says that changeos changes no server to Windows (page ecs_02_0204 of
# 2025-12-10; for v2 inferred). The regions of mainland China have an edition of their own, which says nothing of it.
_HUAWEI_DOMAINS = (".myhuaweicloud.com", ".myhuaweicloud.eu")
_MAINLAND = "cn-"
T = TypeVar("T")


def facts_of(name: str | None, cloud: CloudClient) -> CloudFacts:
    """Return what planning needs to know of the endpoint and the login."""
    host = cloud.place.ecs.host
    return CloudFacts(
        is_otc=host.endswith(_OTC_DOMAIN),
        loopback=cloud.simulated,
        is_sim=name == SIM,
        names_user=cloud.place.user_id is not None,
        no_windows=takes_no_windows(host, cloud.place.region),
    )


def takes_no_windows(host: str, region: str | None) -> bool:
    """Return whether the cloud at that host documents that it changes no server to Windows."""
    return host.endswith(_HUAWEI_DOMAINS) and region is not None and not region.startswith(_MAINLAND)


def scope_of(name: str | None, cloud: CloudClient) -> Scope:
    """Return the part of the cloud that a run works in."""
    place = cloud.place
    names = (place.project, place.domain, place.user, place.access_key)
    return Scope(name, place.region, place.project_id, str(place.ecs), *names)


async def list_servers(plan: Plan, cloud: CloudClient) -> Inventory:
    """Return all servers, with the names of their enterprise projects where the plan selects by such a name.

    Raise InputError where these names are needed and cannot be had with this login.
    """
    inventory = await cloud.list_servers()
    wanted = projects_by_name(plan)
    if not wanted:
        return inventory
    try:
        names, why = await cloud.project.enterprise_projects(), "the cloud's catalog has no such service"
    except CloudError as error:
        # The list of servers was read with the same login, so it is this service that does not take it.
        names, why = None, error.message
    if names is None:
        hint = f"names of enterprise projects cannot be read here: {why}"
        expected = "the id of an enterprise project, or 0 for the default one"
        raise InputError(tuple(place.problem(expected, hint) for place in dict.fromkeys(wanted.values())))
    return with_project_names(inventory, names)


async def survey(plan: Plan, cloud: CloudClient, facts: CloudFacts) -> Preflight:
    """Check the plan against the cloud, and check its secrets. Raise InputError with all that does not resolve."""
    inventory = await list_servers(plan, cloud)
    key_pairs, key_pairs_unread = await _key_pairs(cloud, plan)
    if not facts.names_user and names_key_pair(plan):
        facts = replace(facts, user_id=await cloud.user_id())
    reader = _Reader(cloud)
    known = await reader.images("newer images, firmware and the architecture of old images are")
    images = await _meant(cloud, plan, known, reinstalled_images(plan, inventory))
    await reader.ask_keys(sorted(keys_wanted(plan, images)))
    around = await reader.surroundings(known, max([0, *(image.min_disk_gib or 0 for image in images)]))
    around = replace(around, key_pairs_unread=key_pairs_unread)
    found = preflight(plan, inventory, images, key_pairs, facts, around)
    PlanSecrets().check(found.orders, found.secret_places, found.windows)
    return found


async def find_drift(plan: Plan, cloud: CloudClient, database: Readable | None, scope: Scope, digest: str) -> Drift:
    """Return the drift, with what the database knows of the servers that do not run their image.

    `database` None: there is none yet. Raise InputError with all that does not resolve.
    """
    if database is None:
        return await compare(plan, cloud, None, digest)
    cloud.recall((await history.experience(database, scope_key(scope))).limits)
    drift = await compare(plan, cloud, database, digest)
    differing_ids = [server.server_id for server in drift.servers if server.verdict is not DriftState.SAME]
    last = await history.last_changes(database, differing_ids)
    return replace(drift, servers=tuple(replace(server, last=last.get(server.server_id)) for server in drift.servers))


async def compare(plan: Plan, cloud: CloudClient, database: Readable | None, digest: str) -> Drift:
    """Return the plan's servers beside their images. Raise InputError with all that does not resolve.

    `database` tells which servers were deleted since a run had them, and which a run of that digest had; None: there
    is no database.
    """
    inventory = await list_servers(plan, cloud)
    reader = _Reader(cloud)
    known = await reader.images("names of old images, and which image is newer, are")
    images = await _meant(cloud, plan, known)
    former: Mapping[str, str] = {}
    members: Collection[str] = ()
    if database is not None:
        members = await history.servers_of_digest(database, digest)
        former = await history.former_servers(database, *missing_servers(plan, inventory))
    return drift(plan, inventory, images, former, reader.images_alone(), members)


async def images_meant(cloud: CloudClient, plan: Plan) -> Sequence[Image]:
    """Return all images that the plan's words may mean: by id, and by exact name."""
    return await _meant(cloud, plan, None)


async def _meant(
    cloud: CloudClient, plan: Plan, known: Mapping[str, Image] | None, ids: Collection[str] = ()
) -> Sequence[Image]:
    """Return all images that the plan's words may mean, and those of the ids.

    `known` are all images that there are, None if they could not all be read: what is among them needs no call.
    """
    images: dict[str, Image] = {}
    for wanted in sorted(images_wanted(plan)):
        alike = [one for one in (known or {}).values() if wanted in (one.id, one.name)]
        if not any(one.id == wanted or one.status == ACTIVE for one in alike):
            by_id = await cloud.images.by_id(wanted)
            alike = [*(() if by_id is None else (by_id,)), *await cloud.images.named(wanted)]
        images.update((one.id, one) for one in alike)
    for image_id in sorted(set(ids) - images.keys()):
        image = (known or {}).get(image_id) or await cloud.images.by_id(image_id)
        if image is not None:
            images[image.id] = image
    return list(images.values())


async def _key_pairs(cloud: CloudClient, plan: Plan) -> tuple[frozenset[str], Mapping[str, str]]:
    """Return key pairs of the user, all of the plan's among them, and why others could not be looked up, by name.

    Where the plan says whose a key pair is, it may be one that we cannot see. Raise CloudError for any other.
    """
    names: set[str] = set()
    unread: dict[str, str] = {}
    missing: set[str] = set()
    for name, owner_named in sorted(key_pairs_wanted(plan).items()):
        try:
            if await cloud.project.has_key_pair(name):
                names.add(name)
            elif not owner_named:
                missing.add(name)
        except AuthenticationFailed:
            raise
        except CloudError as error:
            if not owner_named:
                error.hint = error.hint or "say `userid:` beside `keyname`, and the plan goes on without this look-up"
                raise
            unread[name] = error.message
    # Only for suggestions: a list that does not come, or contradicts what was said of one alone, changes nothing.
    listed = await _listed_key_pairs(cloud) if missing else frozenset[str]()
    return frozenset(names) | (listed - key_pairs_wanted(plan).keys()), unread


async def _listed_key_pairs(cloud: CloudClient) -> frozenset[str]:
    try:
        return frozenset(await cloud.project.key_pairs())
    except AuthenticationFailed:
        raise
    except CloudError:
        return frozenset()


@dataclass
class _Reader:
    """Reader of what a plan can do without: what a cloud does not offer or allow is noted, and not checked."""

    cloud: CloudClient

    def __post_init__(self) -> None:
        self._unread: list[Unread] = []
        self._images: dict[str, Image] = {}
        self._keys: dict[str, KeyState] = {}

    async def images(self, lost: str) -> Mapping[str, Image] | None:
        """Return all images by id, None if not all could be read. `lost` says what is not checked without them."""
        read = await self._optional("images", lost, self.cloud.images.all())
        if read is None:
            return None
        self._images = {image.id: image for image in read[0]}
        return self._images if read[1] else None

    async def ask_keys(self, key_ids: Sequence[str]) -> None:
        """Ask for the states of encryption keys. One that is refused speaks for all."""
        lost = "whether they are there and enabled is"
        for key_id in key_ids[:KEYS_ASKED]:
            state = await self._optional("encryption keys", lost, self.cloud.project.key_state(key_id))
            if state is None:
                return
            self._keys[key_id] = state
        if len(key_ids) > KEYS_ASKED:
            self._unread.append(Unread("encryption keys", f"only {KEYS_ASKED} are asked for", lost))

    def images_alone(self) -> ProjectFacts:
        """Return of the project around the servers only the images that could be read."""
        return ProjectFacts(images=self._images, unread=tuple(self._unread))

    async def surroundings(self, known: Mapping[str, Image] | None, enough_gib: int) -> ProjectFacts:
        """Return the project around the servers, as far as it can be read."""
        project = self.cloud.project
        return ProjectFacts(
            images=self._images if known is None else known,
            disks=await self._optional("disks", "sizes, status and encryption are", project.disks(enough_gib)),
            flavors=await self._optional("flavors", "the architecture of servers is", project.flavors()),
            disk_quota=await self._optional("disk quota", "room for new disks is", project.disk_quota()),
            server_quota=await self._optional("server quota", "room for temporary servers is", project.server_quota()),
            keys=self._keys,
            unread=tuple(self._unread),
        )

    async def _optional(self, what: str, lost: str, read: Awaitable[T | None]) -> T | None:
        try:
            value = await read
        except AuthenticationFailed:
            raise
        except CloudError as error:
            self._unread.append(Unread(what, error.message, lost, denied=isinstance(error, PermissionDenied)))
            return None
        if value is None:
            self._unread.append(Unread(what, "the cloud's catalog has no such service", lost))
        return value
