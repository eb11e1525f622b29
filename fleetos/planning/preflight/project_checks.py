"""Findings about images and the project. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from fleetos.limits import SERVERS_NAMED
from fleetos.model.findings import Check, Finding, Level
from fleetos.model.inventory import Image, Inventory
from fleetos.model.plan import Plan
from fleetos.model.run import Order
from fleetos.planning.preflight.orders import WINDOWS
from fleetos.planning.preflight.project_facts import ProjectFacts
from fleetos.planning.settings import CloudFacts
from fleetos.text import join_some

_NUMBER = re.compile(r"\d+")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def order_findings(order: Order, image: Image, facts: CloudFacts) -> Iterator[Finding]:
    """Yield the findings about an order and its image."""
    subject = order.image_name
    if order.api == "v1" and facts.is_otc:
        yield _warning(Check.API, subject, "Open Telekom Cloud documents only v2 of the change; v1 may not be there")
    elif image.inject_flag == "true" and not facts.is_otc:
        text = f"the image says that it has no cloud-init, which is not always true; it is changed with {order.api}"
        other = "`api: v2` if it has cloud-init" if order.api == "v1" else "`api: v1` if it is true"
        yield _warning(Check.API, subject, text, f"say {other}, and try one server first")
    yield from _login_findings(order, image, facts)
    encrypted = order.metadata.get("__system__encrypted") == "1"
    if image.key_id is not None and not encrypted:
        text = "the image is encrypted, and the plan does not ask for an encrypted system disk"
        yield _warning(Check.IMAGE_ENCRYPTION, subject, text, 'set __system__encrypted: "1" in the metadata')
    if encrypted and "__system__cmkid" not in order.metadata:
        text = "an encrypted system disk is asked for without __system__cmkid, the key to encrypt it with"
        yield _warning(Check.IMAGE_ENCRYPTION, subject, text, "add the id of a key that is enabled")


def _login_findings(order: Order, image: Image, facts: CloudFacts) -> Iterator[Finding]:
    subject = order.image_name
    if order.adminpass is None and order.keyname is None and order.user_data is None:
        text = "no keyname, adminpass or user_data: only an image with a login of its own can be entered afterwards"
        hint = "a password can be set for this image once it runs" if image.takes_password else None
        yield Finding(Level.NOTE if image.kind == "private" else Level.WARNING, Check.LOGIN, subject, text, hint)
    if order.adminpass is not None and order.api == "v2":
        if facts.is_otc:
            text = "Open Telekom Cloud does not document adminpass for v2; a key pair is safer"
            yield _warning(Check.LOGIN, subject, text)
        if order.user_data is not None and image.os_type != WINDOWS:
            yield _warning(Check.LOGIN, subject, "adminpass has no effect on Linux beside user_data")


def newer_images(pinned: Collection[Image], project: ProjectFacts) -> Iterator[Finding]:
    """Yield a note for each pinned image that has a newer active one whose name differs in numbers only."""
    for image in {image.id: image for image in pinned}.values():
        alike = [other for other in project.images.values() if other.status == "active" and is_newer(other, image)]
        if alike:
            newest = max(alike, key=lambda other: (_numbers(other.name), other.created_at or _EARLIEST))
            text = f"there is a newer image of this kind: {newest.name} ({newest.id})"
            yield Finding(Level.NOTE, Check.NEWER_IMAGE, image.name, text, "nothing is chosen anew by itself")


def project_findings(project: ProjectFacts, at_once: int, largest_gib: int) -> Iterator[Finding]:
    """Yield what may hinder `at_once` changes at once, if the largest new disk has `largest_gib`."""
    yield from unread_findings(project)
    if project.disks is not None and not project.disks.whole:
        text = f"too many to read all: beyond the {len(project.disks.known):,} smallest, only their size was looked at"
        yield Finding(Level.NOTE, Check.NOT_CHECKED, "disks", text)
    yield from _quota_findings(project, at_once, largest_gib)


def unread_findings(project: ProjectFacts) -> Iterator[Finding]:
    """Yield what could not be read, and so was not checked."""
    for unread in project.unread:
        level = Level.WARNING if unread.denied else Level.NOTE
        text = f"{unread.lost} not checked: {unread.why}"
        hint = "fleetos doctor shows which permission the user lacks" if unread.denied else None
        yield Finding(level, Check.NOT_CHECKED, unread.what, text, hint)


def unread_servers(plan: Plan, inventory: Inventory) -> Iterator[Finding]:
    """Warn about unreadable servers if the plan has selectors: any of them may be one that was meant."""
    unread = inventory.unread
    if not unread or not plan.selects:
        return
    are = "server could not be read, and is" if len(unread) == 1 else "servers could not be read, and are"
    text = f"{len(unread):,} {are} matched by no selector: {join_some(unread, SERVERS_NAMED)}"
    yield _warning(Check.UNREADABLE, "select", text, "see in the cloud's console whether the plan should have them")


def claim_findings(holders: Mapping[str, str], names: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a warning for each run that holds servers of the plan. `holders` are run ids by server id."""
    for run_id in sorted(set(holders.values())):
        held = sorted(names[server_id] for server_id, holder in holders.items() if holder == run_id)
        text = f"holds {join_some(held, SERVERS_NAMED)}, so that apply would not begin"
        hint = f"why, and what to do about it: fleetos status {run_id}"
        yield _warning(Check.CLAIMED, f"run {run_id}", text, hint)


def _quota_findings(project: ProjectFacts, at_once: int, largest_gib: int) -> Iterator[Finding]:
    """Warn about quotas that are too small.

    A change makes the new disk while the old one exists, and a temporary server (ecs_02_0202; Ecs.0021, 0001).
    """
    disks, servers = project.disk_quota, project.server_quota
    hint = "raise the quota, or lower rollout.concurrency" if at_once > 1 else "raise the quota"
    if disks is not None and disks.disks is not None and disks.disks < at_once:
        text = f"the quota leaves room for {disks.disks:,} more, and {at_once:,} changes at once need one each"
        yield _warning(Check.DISK_QUOTA, "disks", text, hint)
    if disks is not None and disks.disks_gib is not None and disks.disks_gib < at_once * largest_gib:
        text = f"the quota leaves {disks.disks_gib:,} GiB, and {at_once:,} changes at once need up to "
        yield _warning(Check.DISK_QUOTA, "disks", f"{text}{at_once * largest_gib:,}", hint)
    if servers is not None and servers.servers is not None and servers.servers < at_once:
        text = (
            f"the quota leaves room for {servers.servers:,} more, and each of {at_once:,} changes at once may make one"
        )
        yield _warning(Check.SERVER_QUOTA, "servers", text, hint)


def is_newer(other: Image, image: Image) -> bool:
    """Return whether `other` is a newer image of the same kind as `image`.

    Their names differ in numbers only; it is behind neither in these nor in age, and ahead in one of them.
    """
    numbers, image_numbers = _numbers(other.name), _numbers(image.name)
    if _pattern(other.name) != _pattern(image.name) or numbers < image_numbers or other.id == image.id:
        return False
    if other.created_at is None or image.created_at is None:
        return numbers > image_numbers
    return other.created_at >= image.created_at and (numbers, other.created_at) > (image_numbers, image.created_at)


def _pattern(name: str) -> str:
    return _NUMBER.sub("#", name)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(name))


def _warning(check: Check, subject: str, text: str, hint: str | None = None) -> Finding:
    return Finding(Level.WARNING, check, subject, text, hint)
