"""Preflight: a plan held against what the cloud says. Pure: nothing is read here, nothing is changed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fleetos.errors import InputError
from fleetos.model.inventory import Image, Inventory, Picture, Server
from fleetos.model.plan import Place, Plan, SecretRef, StopMode, UserDataRef
from fleetos.model.run import Order
from fleetos.planning.orders import Orders, pins
from fleetos.planning.problems import in_order
from fleetos.planning.select import Selection, select
from fleetos.planning.settings import CloudFacts, settle_problem

_CHANGEABLE = frozenset({"ACTIVE", "SHUTOFF", "ERROR"})
_QUIET = frozenset({"ACTIVE", "SHUTOFF"})
_WINDOWS = "Windows"


class Level(StrEnum):
    """How bad a finding is. `fatal` ends the target that it is about, not the run."""

    WARNING = "warning"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of preflight. `subject` is a server's name, an image's, or a key of the plan."""

    level: Level
    subject: str
    text: str
    server_id: str | None = None


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
    `windows` are the ids of the images that are Windows, which has rules of its own for passwords. `selected` says how
    many servers each selector means, by its place.
    """

    servers: tuple[Resolved, ...]
    images: Mapping[str, str]
    findings: tuple[Finding, ...]
    secret_places: Mapping[SecretRef | UserDataRef, Place]
    windows: frozenset[str]
    selected: Mapping[Place, int] = field(default_factory=dict[Place, int])

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
) -> Preflight:
    """The plan resolved against the cloud.

    `images` are those that the cloud has for `images_wanted`, `key_pairs` the names of our key pairs, None if the
    cloud does not tell. Raises InputError with everything that does not resolve, each at its place.
    """
    selection = select(plan, inventory)
    orders = Orders(plan, images, key_pairs, facts)
    made = [(server, orders.order(ref, server), ref.labels) for server, ref in selection.servers]
    settle = settle_problem(plan, facts)
    problems = (*selection.problems, *orders.problems, *(() if settle is None else (settle,)))
    if problems:
        raise InputError(in_order(problems))
    servers = tuple(Resolved(server, order, labels) for server, order, labels in made if order is not None)
    by_id = orders.used
    return Preflight(
        servers=servers,
        images=pins(orders),
        findings=(
            *_of_plan(plan, selection, orders, facts),
            *_of_orders(servers, by_id, facts),
            *(
                finding
                for one in servers
                if plan.rollout.force or one.order.reinstall or not runs_image(one.server.picture, one.order.image_id)
                for finding in _of_server(one, by_id[one.order.image_id])
            ),
        ),
        secret_places=orders.secret_places,
        windows=frozenset(image.id for image in by_id.values() if image.os_type == _WINDOWS),
        selected=selection.selected,
    )


def _warning(subject: str, text: str) -> Finding:
    return Finding(Level.WARNING, subject, text)


def _of_plan(plan: Plan, selection: Selection, orders: Orders, facts: CloudFacts) -> Iterator[Finding]:
    for exclusion in selection.idle_exclusions:
        yield _warning(exclusion.place.key, f"{exclusion.name or exclusion.id} leaves no listed server out")
    for key_pair in sorted(orders.foreign_key_pairs):
        yield _warning("keyname", f"{key_pair} is not among our own key pairs; the user of `userid` must own it")
    if plan.rollout.stop is StopMode.API and facts.is_otc:
        yield _warning("rollout.stop", "Open Telekom Cloud does not document the mode that stops the server itself")


def _of_orders(servers: Sequence[Resolved], images: Mapping[str, Image], facts: CloudFacts) -> Iterator[Finding]:
    """What is odd about the distinct orders, in the order of their first server."""
    said: set[Finding] = set()
    for order in {id(one.order): one.order for one in servers}.values():
        for finding in _of_order(order, images[order.image_id], facts):
            if finding not in said:
                said.add(finding)
                yield finding


def _of_order(order: Order, image: Image, facts: CloudFacts) -> Iterator[Finding]:
    subject = order.image_name
    if order.api == "v1" and facts.is_otc:
        yield _warning(subject, "Open Telekom Cloud documents only v2 of the change; v1 may not be there")
    elif image.inject_flag == "true" and not facts.is_otc:
        text = f"the image says that it has no cloud-init, which is not always true; it is changed with {order.api}"
        yield _warning(subject, text)
    if order.adminpass is None and order.keyname is None and order.user_data is None:
        text = "no keyname, adminpass or user_data: only an image with a login of its own can be entered afterwards"
        yield _warning(subject, text)
    if order.adminpass is not None and order.api == "v2":
        if facts.is_otc:
            yield _warning(subject, "Open Telekom Cloud does not document adminpass for v2; a key pair is safer")
        if order.user_data is not None and image.os_type != _WINDOWS:
            yield _warning(subject, "adminpass has no effect on Linux beside user_data")


def _of_server(one: Resolved, image: Image) -> Iterator[Finding]:
    server, picture = one.server, one.server.picture
    if picture.disk is None:
        yield Finding(Level.FATAL, server.name, "has no system disk; it will be held", server.id)
    if picture.locked:
        yield Finding(Level.FATAL, server.name, "is locked; it will be held", server.id)
    if picture.status not in _CHANGEABLE:
        yield Finding(Level.WARNING, server.name, f"is in status {picture.status}", server.id)
    elif picture.status == "ERROR":
        text = "is in status ERROR: the cloud changes it only if a failed change left it so"
        yield Finding(Level.WARNING, server.name, text, server.id)
    if picture.task is not None:
        yield Finding(Level.WARNING, server.name, f"is busy: {picture.task}", server.id)
    if server.os_type and image.os_type and server.os_type.casefold() != image.os_type.casefold():
        text = f"goes from {server.os_type} to {image.os_type}"
        yield Finding(Level.WARNING, server.name, text, server.id)


def runs_image(picture: Picture, image_id: str) -> bool:
    """Whether a server runs the image already and nothing about it is in doubt."""
    return picture.image == image_id and picture.idle and picture.fault is None and picture.status in _QUIET
