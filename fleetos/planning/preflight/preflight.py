"""Preflight: a plan held against what the cloud says. Pure: nothing is read here, nothing is changed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fleetos.errors import InputError
from fleetos.limits import SERVERS_NAMED
from fleetos.model.findings import Check, Finding, Level
from fleetos.model.inventory import Disks, Image, Inventory, Server, ServerSnapshot
from fleetos.model.plan import Plan, SecretRef, SourcePosition, StopMode, UserDataRef
from fleetos.model.preview import ImageChoice
from fleetos.model.run import Order
from fleetos.names import shown
from fleetos.planning.plan_file.validation import in_order
from fleetos.planning.preflight.orders import WINDOWS, Orders, pins
from fleetos.planning.preflight.project_checks import newer_images, order_findings, project_findings, unread_servers
from fleetos.planning.preflight.project_facts import NOTHING_KNOWN, ProjectFacts
from fleetos.planning.preflight.server_checks import ServerCheckInput, server_findings
from fleetos.planning.preflight.server_selection import Selection, Unmatched, select
from fleetos.planning.settings import CloudFacts, settle_problem
from fleetos.text import join_some

_QUIET = frozenset({"ACTIVE", "SHUTOFF"})


@dataclass(frozen=True, slots=True)
class Resolved:
    """A server of the inventory, and what it gets."""

    server: Server
    order: Order
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Preflight:
    """A plan that fits the cloud: its servers in the plan's order, and what an operator should know of them.

    `images` maps the plan's words for images to their ids. `secret_places` says where the plan refers to each secret;
    `windows` are the ids of the images that are Windows, which has rules of its own for passwords. `refusals` hold why
    a server cannot be changed, by its id, also of those that need no change. `choices` say which API is taken for which
    image and why; `image_names` are the names of all images that are known, by id. `selected` says how many servers
    each selector means, by its place.
    """

    servers: tuple[Resolved, ...]
    images: Mapping[str, str]
    findings: tuple[Finding, ...]
    secret_places: Mapping[SecretRef | UserDataRef, SourcePosition]
    windows: frozenset[str]
    refusals: Mapping[str, Finding] = field(default_factory=dict[str, Finding])
    choices: tuple[ImageChoice, ...] = ()
    image_names: Mapping[str, str] = field(default_factory=dict[str, str])
    selected: Mapping[SourcePosition, int] = field(default_factory=dict[SourcePosition, int])

    @property
    def orders(self) -> tuple[Order, ...]:
        """The distinct orders."""
        distinct = {id(one.order): one.order for one in self.servers}
        return tuple(distinct.values())


def preflight(
    plan: Plan,
    inventory: Inventory,
    images: Sequence[Image],
    key_pairs: Collection[str] | None,
    facts: CloudFacts,
    around: ProjectFacts = NOTHING_KNOWN,
) -> Preflight:
    """The plan resolved against the cloud.

    `images` are those that the cloud has for `images_wanted`, `key_pairs` the names of our key pairs, None if the
    cloud does not tell. Raises InputError with everything that does not resolve, each at its place.
    """
    selection = select(plan, inventory)
    orders = Orders(plan, images, key_pairs, facts, around.images.values())
    made = [(server, orders.order(ref, server), ref.labels) for server, ref in selection.servers]
    settle = settle_problem(plan, facts)
    done = {one.ref.place: _done(one, plan, orders, around) for one in selection.unmatched}
    unmatched = dict.fromkeys(one.problem for one in selection.unmatched if not done[one.ref.place])
    problems = (*selection.problems, *unmatched, *orders.problems, *(() if settle is None else (settle,)))
    if problems:
        raise InputError(in_order(problems))
    servers = tuple(Resolved(server, order, labels) for server, order, labels in made if order is not None)
    by_id = orders.used
    again = {one.server.id: plan.rollout.force or one.order.reinstall for one in servers}
    allowed = selection.allowed
    found = [
        (one, tuple(server_findings(_pairing(one, by_id, around, allowed, facts, again=again[one.server.id]))))
        for one in servers
    ]
    changed = [
        (one, own)
        for one, own in found
        if again[one.server.id] or not runs_image(one.server.picture, one.order.image_id)
    ]
    refusals = {
        one.server.id: next(finding for finding in own if finding.level is Level.REFUSED)
        for one, own in found
        if any(finding.level is Level.REFUSED for finding in own)
    }
    return Preflight(
        servers=servers,
        images=pins(orders),
        findings=(
            *_of_plan(plan, selection, orders, facts, around),
            *unread_servers(plan, inventory),
            *(finding for findings in done.values() for finding in findings),
            *_of_orders(servers, by_id, facts),
            *newer_images(orders.pinned.values(), around),
            *_of_project(plan, [one for one, _ in changed if one.server.id not in refusals], by_id, around),
            *(finding for _, own in changed for finding in own),
        ),
        secret_places=orders.secret_places,
        windows=frozenset(image.id for image in by_id.values() if image.os_type == WINDOWS),
        refusals=refusals,
        choices=orders.choices,
        image_names={image.id: image.name for image in (*around.images.values(), *by_id.values())},
        selected=selection.selected,
    )


def _done(one: Unmatched, plan: Plan, orders: Orders, around: ProjectFacts) -> Sequence[Finding]:
    """That nothing is left to do for an entry which matches no server any more, empty if that is not so.

    Some of the servers that it matched before run their image. The others are of another image, which is told; but
    where the entry selects by an image that is not there, the name is mistyped, or nobody can tell.
    """
    image = None if plan.rollout.force or one.ref.select is None else orders.image(one.ref)
    if image is None or one.ref.select is None:
        return ()
    on_image = [server for server in one.before if server.picture.likely_image == image.id]
    others = [server for server in one.before if server.picture.likely_image != image.id]
    if not on_image:
        return ()
    known = {text for other in around.images.values() for text in (other.id, other.name)}
    if others and not known.issuperset(one.ref.select.image):
        return ()
    keys = " and ".join(f"`{key}`" for key in ("image", "status") if key in one.ref.select.written)
    key = one.ref.place.key
    text = f"nothing to do: {len(on_image):,} match without {keys} and run {image.name} already"
    told = [Finding(Level.NOTE, Check.DONE, key, text)]
    if others:
        names = join_some([shown(server.name) for server in others], SERVERS_NAMED)
        text = f"{len(others):,} match without {keys}, and run another image: {names}"
        told.append(Finding(Level.WARNING, Check.DONE, key, text, "fleetos drift tells which"))
    return told


def _of_plan(
    plan: Plan, selection: Selection, orders: Orders, facts: CloudFacts, around: ProjectFacts
) -> Iterator[Finding]:
    warning = Level.WARNING
    for doubt in plan.doubts:
        yield Finding(warning, Check.USER_DATA, doubt.key, doubt.expected, doubt.hint)
    for idle in selection.idle_exclusions:
        text = f"{shown(idle.exclusion.name or idle.exclusion.id or '')} excludes no server of the plan"
        yield Finding(warning, Check.IDLE_EXCLUSION, idle.exclusion.place.key, text, idle.hint)
    for alike in selection.look_alikes:
        text = f"is not excluded: {shown(alike.excluded)} is, and only looks the same"
        yield Finding(warning, Check.LOOK_ALIKE, shown(alike.server.name), text, None, alike.server.id)
    for key_pair in sorted(orders.foreign_key_pairs):
        why = around.key_pairs_unread.get(key_pair)
        text = "is not among our own key pairs" if why is None else f"could not be looked up: {why}"
        text = f"{key_pair} {text}; the user of `userid` must own it"
        yield Finding(warning, Check.KEY_PAIR_OWNER, "keyname", text)
    for key_pair in sorted(orders.ownerless_key_pairs):
        text = f"the owner of {key_pair} is not known: this login does not name its user, and IAM does not tell it"
        hint = "say `userid:` beside it, or the cloud may refuse each change (Ecs.0314)"
        yield Finding(warning, Check.KEY_PAIR_OWNER, "keyname", text, hint)
    if plan.rollout.stop is StopMode.API and facts.is_otc:
        text = "Open Telekom Cloud does not document the mode that stops the server itself"
        yield Finding(warning, Check.STOP_BY_API, "rollout.stop", text)


def _of_orders(servers: Sequence[Resolved], images: Mapping[str, Image], facts: CloudFacts) -> Iterator[Finding]:
    """What is odd about the distinct orders, in the order of their first server."""
    said: set[Finding] = set()
    for order in {id(one.order): one.order for one in servers}.values():
        for finding in order_findings(order, images[order.image_id], facts):
            if finding not in said:
                said.add(finding)
                yield finding


def _of_project(
    plan: Plan, changed: Sequence[Resolved], images: Mapping[str, Image], around: ProjectFacts
) -> Iterator[Finding]:
    """What the project says to the changes of those servers."""
    at_once = min(plan.rollout.concurrency.of(len(changed), at_least=1), len(changed))
    disks = around.disks or Disks({})
    known = [disks.known.get(one.server.picture.disk or "") for one in changed]
    sizes_gib = [disks.others_gib if disk is None else disk.size_gib for disk in known]
    needed_gib = [images[one.order.image_id].min_disk_gib or 0 for one in changed]
    yield from project_findings(around, at_once, max([0, *sizes_gib, *needed_gib]))


def _pairing(
    one: Resolved,
    images: Mapping[str, Image],
    around: ProjectFacts,
    allowed: Collection[str],
    facts: CloudFacts,
    *,
    again: bool,
) -> ServerCheckInput:
    return ServerCheckInput(
        one.server,
        images[one.order.image_id],
        one.order.metadata,
        around,
        again=again,
        allowed=one.server.id in allowed,
        no_windows=facts.no_windows and not one.order.reinstall,
    )


def runs_image(picture: ServerSnapshot, image_id: str) -> bool:
    """Whether a server runs the image already and nothing about it is in doubt."""
    return picture.likely_image == image_id and picture.idle and picture.fault is None and picture.status in _QUIET
