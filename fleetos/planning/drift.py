"""Compare servers with the images that a plan names for them. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fleetos.errors import InputError
from fleetos.model.drift import Cause, Drift, DriftState, ServerDrift
from fleetos.model.inventory import Image, Inventory, Server, ServerSnapshot
from fleetos.model.plan import Plan, ServerRef
from fleetos.planning.plan_file.validation import sort_problems
from fleetos.planning.preflight.image_pins import ImagePins
from fleetos.planning.preflight.project_checks import is_newer, newer_images, unread_findings, unread_servers
from fleetos.planning.preflight.project_facts import ProjectFacts
from fleetos.planning.preflight.server_selection import matched_before_change, select

_GONE = ServerSnapshot("DELETED", "deleted", None, None, None, None)
# A list may show a deleted server for a while.
_DELETED = frozenset({"DELETED", "SOFT_DELETED"})
# During a change of its OS, or after one that failed, a server may show an image that it does not run.
_UNSETTLED = frozenset({"REBUILD", "ERROR"})


def missing_servers(plan: Plan, inventory: Inventory) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids and the names in the plan, exclusions included, that no server of the project has."""
    entries = (*plan.servers, *plan.exclude)
    names = {server.name for server in inventory.servers.values()}
    ids = {entry.id for entry in entries if entry.id is not None} - inventory.servers.keys()
    return frozenset(ids), frozenset({entry.name for entry in entries if entry.name is not None} - names)


def drift(
    plan: Plan,
    inventory: Inventory,
    images: Sequence[Image],
    former: Mapping[str, str],
    project: ProjectFacts,
    members: Collection[str] = (),
) -> Drift:
    """Compare each server of the plan with the image that the plan names for it.

    Selectors match without image and status, which a change alters: a server that was changed, or that runs a third
    image, still belongs to the plan. A selector that has no other key matches the `members` of the plan's runs, by
    their ids. `images` are those that the cloud has for the plan's words. `former` are the names, by id, of servers
    that earlier runs had and that are gone: these are known to be deleted, while any other missing server may be
    misspelled. Raise InputError with everything that does not resolve, each at its place.
    """
    ghosts = {server_id: Server(server_id, name, _GONE) for server_id, name in former.items()}
    selection = select(plan, replace(inventory, servers={**ghosts, **inventory.servers}))
    image_pins = ImagePins(images, project.images.values())
    listed: dict[str, tuple[Server, tuple[ServerRef, ...]]] = {}
    listed.update((server.id, (server, (ref,))) for server, ref in selection.servers)
    for server, refs in matched_before_change(plan, inventory, members):
        listed.setdefault(server.id, (server, refs))
    servers: list[ServerDrift] = []
    for server, refs in listed.values():
        changes = ((ref.change.over(plan.change), ref.place) for ref in refs)
        wanted = [image_pins.resolve(change, place) for change, place in changes if not change.reinstall]
        known = [image for image in wanted if image is not None]
        if known or not wanted:
            # Several entries may have changed it: of their images, prefer the one that it runs.
            running = [image for image in known if image.id == server.snapshot.likely_image]
            servers.append(_compare_server(server, next(iter([*running, *known]), None), project))
    matched = {ref.place for _, refs in listed.values() for ref in refs}
    unmatched = dict.fromkeys(entry.problem for entry in selection.unmatched if entry.ref.place not in matched)
    problems = (*selection.problems, *unmatched, *image_pins.problems)
    if problems:
        raise InputError(sort_problems(problems))
    unread = (*unread_findings(project), *unread_servers(plan, inventory))
    findings = (*newer_images(image_pins.pinned.values(), project), *unread)
    return Drift(tuple(servers), image_pins.pinned, findings)


def _compare_server(server: Server, wanted: Image | None, project: ProjectFacts) -> ServerDrift:
    snapshot = server.snapshot
    current = _current_image(server, project)
    verdict, cause = DriftState.UNKNOWN, _uncertainty(server)
    if cause is None and current is not None:
        cause = None if wanted is None or current.id == wanted.id else _drift_cause(current, wanted)
        verdict = DriftState.SAME if cause is None else DriftState.DRIFTED
    return ServerDrift(
        server_id=server.id,
        name=server.name,
        verdict=verdict,
        wanted=wanted,
        image_id=snapshot.likely_image,
        image_name=None if current is None else current.name or None,
        cause=cause,
    )


def _uncertainty(server: Server) -> Cause | None:
    """Return why the server's image is not certain; None if it is."""
    if server.unread is not None:
        return Cause.UNREADABLE
    if server.snapshot.status in _DELETED:
        return Cause.DELETED
    if server.traits.frozen:
        return Cause.FROZEN
    if server.snapshot.status in _UNSETTLED:
        return Cause.UNSETTLED
    return Cause.NO_IMAGE if server.snapshot.likely_image is None else None


def _current_image(server: Server, project: ProjectFacts) -> Image | None:
    """Return the image that the server shows; if that image is gone, what the server remembers of it."""
    image_id = server.snapshot.likely_image
    if image_id is None:
        return None
    return project.images.get(image_id) or Image(image_id, server.image_name or "", "")


def _drift_cause(current: Image, wanted: Image) -> Cause:
    if is_newer(current, wanted):
        return Cause.NEWER
    return Cause.OLDER if is_newer(wanted, current) else Cause.OTHER
