"""A plan's servers held against the images that it names for them. Pure: it only compares."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fleetos.errors import InputError
from fleetos.model.drift import Cause, Drift, DriftState, ServerDrift
from fleetos.model.inventory import Image, Inventory, Server, ServerSnapshot
from fleetos.model.plan import Plan, ServerRef
from fleetos.planning.plan_file.validation import in_order
from fleetos.planning.preflight.image_pins import Pinning
from fleetos.planning.preflight.project_checks import is_newer, newer_images, unread_findings, unread_servers
from fleetos.planning.preflight.project_facts import ProjectFacts
from fleetos.planning.preflight.server_selection import changed_since, select

_GONE = ServerSnapshot("DELETED", "deleted", None, None, None, None)
# A list may show a server that is gone for a while yet.
_DELETED = frozenset({"DELETED", "SOFT_DELETED"})
# While its OS is being changed, or after a change that failed, a server may show an image that it does not run.
_UNSETTLED = frozenset({"REBUILD", "ERROR"})


def missing_of(plan: Plan, inventory: Inventory) -> tuple[frozenset[str], frozenset[str]]:
    """The ids and the names in the plan that no server of the project has, exclusions among them."""
    said = (*plan.servers, *plan.exclude)
    names = {server.name for server in inventory.servers.values()}
    ids = {one.id for one in said if one.id is not None} - inventory.servers.keys()
    return frozenset(ids), frozenset({one.name for one in said if one.name is not None} - names)


def drift(
    plan: Plan,
    inventory: Inventory,
    images: Sequence[Image],
    former: Mapping[str, str],
    around: ProjectFacts,
    members: Collection[str] = (),
) -> Drift:
    """How each server of the plan stands to its image.

    Selectors match without image and status, which a change alters: who was changed, and who runs a third image, is of
    the plan all the same. One that has no other key matches the `members` of the plan's runs, by their ids.
    `images` are those that the cloud has for the plan's words. `former` are the names of servers by their ids that
    earlier runs had and that are not there: these are known to be deleted, while any other that is not there may be
    misspelled. Raises InputError with everything that does not resolve, each at its place.
    """
    ghosts = {server_id: Server(server_id, name, _GONE) for server_id, name in former.items()}
    found = select(plan, replace(inventory, servers={**ghosts, **inventory.servers}))
    pinning = Pinning(images, around.images.values())
    listed: dict[str, tuple[Server, tuple[ServerRef, ...]]] = {}
    listed.update((server.id, (server, (ref,))) for server, ref in found.servers)
    for server, refs in changed_since(plan, inventory, members):
        listed.setdefault(server.id, (server, refs))
    servers: list[ServerDrift] = []
    for server, refs in listed.values():
        changes = ((ref.change.over(plan.change), ref.place) for ref in refs)
        wanted = [pinning.image(change, place) for change, place in changes if not change.reinstall]
        known = [image for image in wanted if image is not None]
        if known or not wanted:
            # Of several images that it may have been changed to, the one that it runs.
            of_own = [image for image in known if image.id == server.picture.likely_image]
            servers.append(_standing(server, next(iter([*of_own, *known]), None), around))
    matched = {ref.place for _, refs in listed.values() for ref in refs}
    unmatched = dict.fromkeys(one.problem for one in found.unmatched if one.ref.place not in matched)
    problems = (*found.problems, *unmatched, *pinning.problems)
    if problems:
        raise InputError(in_order(problems))
    unread = (*unread_findings(around), *unread_servers(plan, inventory))
    findings = (*newer_images(pinning.pinned.values(), around), *unread)
    return Drift(tuple(servers), pinning.pinned, findings)


def _standing(server: Server, wanted: Image | None, around: ProjectFacts) -> ServerDrift:
    picture = server.picture
    seen = _seen(server, around)
    verdict, cause = DriftState.UNKNOWN, _doubt(server)
    if cause is None and seen is not None:
        cause = None if wanted is None or seen.id == wanted.id else _cause(seen, wanted)
        verdict = DriftState.SAME if cause is None else DriftState.DRIFTED
    return ServerDrift(
        server_id=server.id,
        name=server.name,
        verdict=verdict,
        wanted=wanted,
        image_id=picture.likely_image,
        image_name=None if seen is None else seen.name or None,
        cause=cause,
    )


def _doubt(server: Server) -> Cause | None:
    """Why nobody can say what the server runs, None if one can."""
    if server.unread is not None:
        return Cause.UNREADABLE
    if server.picture.status in _DELETED:
        return Cause.DELETED
    if server.traits.frozen:
        return Cause.FROZEN
    if server.picture.status in _UNSETTLED:
        return Cause.UNSETTLED
    return Cause.NO_IMAGE if server.picture.likely_image is None else None


def _seen(server: Server, around: ProjectFacts) -> Image | None:
    """The image that the server shows; of one that is there no longer, what the server remembers of it."""
    image_id = server.picture.likely_image
    if image_id is None:
        return None
    return around.images.get(image_id) or Image(image_id, server.image_name or "", "")


def _cause(seen: Image, wanted: Image) -> Cause:
    if is_newer(seen, wanted):
        return Cause.NEWER
    return Cause.OLDER if is_newer(wanted, seen) else Cause.OTHER
