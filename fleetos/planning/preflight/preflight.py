"""Check a plan against an inventory. Pure."""

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
from fleetos.planning.plan_file.validation import sort_problems
from fleetos.planning.preflight.orders import WINDOWS, Orders, image_ids
from fleetos.planning.preflight.project_checks import newer_images, order_findings, project_findings, unread_servers
from fleetos.planning.preflight.project_facts import NOTHING_KNOWN, ProjectFacts
from fleetos.planning.preflight.server_checks import ServerCheckInput, server_findings
from fleetos.planning.preflight.server_selection import Selection, Unmatched, select
from fleetos.planning.settings import CloudFacts, settle_problem
from fleetos.text import join_some

_QUIET = frozenset({"ACTIVE", "SHUTOFF"})


@dataclass(frozen=True, slots=True)
class ResolvedServer:
    """A server of the inventory, and its order."""

    server: Server
    order: Order
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Preflight:
    """A plan that fits the cloud: its servers in the plan's order, and what the operator should know of them."""

    servers: tuple[ResolvedServer, ...]
    images: Mapping[str, str]
    """Image ids by the plan's words for images."""
    findings: tuple[Finding, ...]
    secret_places: Mapping[SecretRef | UserDataRef, SourcePosition]
    """Where the plan refers to each secret."""
    windows: frozenset[str]
    """Ids of the Windows images; Windows has its own rules for passwords."""
    refusals: Mapping[str, Finding] = field(default_factory=dict[str, Finding])
    """Why a server cannot be changed, by server id; also for servers that need no change."""
    choices: tuple[ImageChoice, ...] = ()
    """The API chosen for each image, and why."""
    image_names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of all known images, by id."""
    selected: Mapping[SourcePosition, int] = field(default_factory=dict[SourcePosition, int])
    """Number of servers that each selector means, by the selector's place."""

    @property
    def orders(self) -> tuple[Order, ...]:
        """The distinct orders."""
        distinct = {id(resolved.order): resolved.order for resolved in self.servers}
        return tuple(distinct.values())


def preflight(
    plan: Plan,
    inventory: Inventory,
    images: Sequence[Image],
    key_pairs: Collection[str] | None,
    facts: CloudFacts,
    project: ProjectFacts = NOTHING_KNOWN,
) -> Preflight:
    """Resolve the plan against the cloud and check each of its servers.

    `images` are those that the cloud has for `images_wanted`; `key_pairs` are the names of our key pairs, None if the
    cloud does not list them. Raise InputError with everything that does not resolve, each at its place.
    """
    selection = select(plan, inventory)
    orders = Orders(plan, images, key_pairs, facts, project.images.values())
    server_orders = [(server, orders.make_order(ref, server), ref.labels) for server, ref in selection.servers]
    settle = settle_problem(plan, facts)
    done = {entry.ref.place: _nothing_left_findings(entry, plan, orders, project) for entry in selection.unmatched}
    unmatched = dict.fromkeys(entry.problem for entry in selection.unmatched if not done[entry.ref.place])
    if problems := (*selection.problems, *unmatched, *orders.problems, *(() if settle is None else (settle,))):
        raise InputError(sort_problems(problems))
    servers = tuple(
        ResolvedServer(server, order, labels) for server, order, labels in server_orders if order is not None
    )
    images_used = orders.used
    checks = {
        resolved.server.id: _check_input(resolved, plan, images_used, project, selection, facts) for resolved in servers
    }
    findings = {server_id: tuple(server_findings(check)) for server_id, check in checks.items()}
    changed = [
        resolved
        for resolved in servers
        if checks[resolved.server.id].again or not runs_image(resolved.server.snapshot, resolved.order.image_id)
    ]
    refusals = {
        server_id: refusal
        for server_id, of_server in findings.items()
        if (refusal := next((finding for finding in of_server if finding.level is Level.REFUSED), None)) is not None
    }
    unrefused = [resolved for resolved in changed if resolved.server.id not in refusals]
    return Preflight(
        servers=servers,
        images=image_ids(orders),
        findings=(
            *_findings_about_plan(plan, selection, orders, facts, project),
            *unread_servers(plan, inventory),
            *(finding for of_entry in done.values() for finding in of_entry),
            *_findings_about_orders(servers, images_used, facts),
            *newer_images(orders.pinned.values(), project),
            *_findings_about_project(plan, unrefused, images_used, project),
            *(finding for resolved in changed for finding in findings[resolved.server.id]),
        ),
        secret_places=orders.secret_places,
        windows=frozenset(image.id for image in images_used.values() if image.os_type == WINDOWS),
        refusals=refusals,
        choices=orders.choices,
        image_names={image.id: image.name for image in (*project.images.values(), *images_used.values())},
        selected=selection.selected,
    )


def _nothing_left_findings(entry: Unmatched, plan: Plan, orders: Orders, project: ProjectFacts) -> Sequence[Finding]:
    """Return findings that an entry which matches no server any more has nothing left to do; empty if it may have.

    It has nothing left if servers that it matched before their change run its image. Those that run another image get a
    warning; but if the entry selects by an image that does not exist, its name may be mistyped and nothing is certain.
    """
    image = None if plan.rollout.force or entry.ref.select is None else orders.resolve_image(entry.ref)
    if image is None or entry.ref.select is None:
        return ()
    on_image = [server for server in entry.before if server.snapshot.likely_image == image.id]
    others = [server for server in entry.before if server.snapshot.likely_image != image.id]
    if not on_image:
        return ()
    known = {text for other in project.images.values() for text in (other.id, other.name)}
    if others and not known.issuperset(entry.ref.select.image):
        return ()
    keys = " and ".join(f"`{key}`" for key in ("image", "status") if key in entry.ref.select.written)
    key = entry.ref.place.key
    text = f"nothing to do: {len(on_image):,} match without {keys} and run {image.name} already"
    findings = [Finding(Level.NOTE, Check.DONE, key, text)]
    if others:
        names = join_some([shown(server.name) for server in others], SERVERS_NAMED)
        text = f"{len(others):,} match without {keys}, and run another image: {names}"
        findings.append(Finding(Level.WARNING, Check.DONE, key, text, "fleetos drift shows which"))
    return findings


def _findings_about_plan(
    plan: Plan, selection: Selection, orders: Orders, facts: CloudFacts, project: ProjectFacts
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
        why = project.key_pairs_unread.get(key_pair)
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


def _findings_about_orders(
    servers: Sequence[ResolvedServer], images: Mapping[str, Image], facts: CloudFacts
) -> Iterator[Finding]:
    """Yield the findings about the distinct orders, in the order of their first server."""
    yielded: set[Finding] = set()
    for order in {id(resolved.order): resolved.order for resolved in servers}.values():
        for finding in order_findings(order, images[order.image_id], facts):
            if finding not in yielded:
                yielded.add(finding)
                yield finding


def _findings_about_project(
    plan: Plan, changed: Sequence[ResolvedServer], images: Mapping[str, Image], project: ProjectFacts
) -> Iterator[Finding]:
    """Yield the findings about the project that concern the changes of those servers."""
    at_once = min(plan.rollout.concurrency.of(len(changed), at_least=1), len(changed))
    disks = project.disks or Disks({})
    known = [disks.known.get(resolved.server.snapshot.disk or "") for resolved in changed]
    sizes_gib = [disks.others_gib if disk is None else disk.size_gib for disk in known]
    needed_gib = [images[resolved.order.image_id].min_disk_gib or 0 for resolved in changed]
    yield from project_findings(project, at_once, max([0, *sizes_gib, *needed_gib]))


def _check_input(
    resolved: ResolvedServer,
    plan: Plan,
    images: Mapping[str, Image],
    project: ProjectFacts,
    selection: Selection,
    facts: CloudFacts,
) -> ServerCheckInput:
    return ServerCheckInput(
        resolved.server,
        images[resolved.order.image_id],
        resolved.order.metadata,
        project,
        again=plan.rollout.force or resolved.order.reinstall,
        allowed=resolved.server.id in selection.allowed,
        unprotected=resolved.server.id in selection.unprotected,
        no_windows=facts.no_windows and not resolved.order.reinstall,
    )


def runs_image(snapshot: ServerSnapshot, image_id: str) -> bool:
    """Return whether a server runs the image already and nothing about the server is in doubt."""
    return snapshot.likely_image == image_id and snapshot.idle and snapshot.fault is None and snapshot.status in _QUIET
