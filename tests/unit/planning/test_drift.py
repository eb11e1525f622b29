"""Drift: what each server runs beside what its plan names, and of whom nobody can say."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleetos.errors import InputError
from fleetos.model.drift import Cause, DriftState
from fleetos.model.inventory import Image, ServerSnapshot, Traits
from fleetos.planning.drift import drift, missing_servers
from fleetos.planning.preflight.project_facts import ProjectFacts, Unread
from tests.unit.planning.desk import HEAD, NEW, OLD, Desk, a_server, inventory, picture, server_id

PLAN = HEAD + "servers: [{name: web-01}, {name: web-02}]\n"


def an_image(image_id: str, name: str, day: int) -> Image:
    return Image(image_id, name, "active", created_at=datetime(2026, 1, day, tzinfo=UTC))


WANTED = an_image(NEW, "Debian", 5)


def verdict(desk: Desk, seen: ServerSnapshot, *others: Image, frozen: bool = False) -> tuple[DriftState, Cause | None]:
    """How the first server stands when it looks like this; the images are there beside the wanted one."""
    first = replace(a_server(1, seen), traits=Traits(frozen=frozen), image_name="Debian")
    around = ProjectFacts(images={one.id: one for one in (WANTED, *others)})
    found = drift(desk.plan(PLAN), inventory([first, a_server(2)]), [WANTED], {}, around)
    return found.servers[0].verdict, found.servers[0].cause


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (picture(image=NEW), (DriftState.SAME, None)),
        (picture("SHUTOFF", image=NEW), (DriftState.SAME, None)),
        (picture(image=NEW, task="powering-off"), (DriftState.SAME, None)),
        (picture(image=NEW, disk=None), (DriftState.SAME, None)),
        (picture(image=None), (DriftState.UNKNOWN, Cause.NO_IMAGE)),
        (picture("ERROR", image=NEW), (DriftState.UNKNOWN, Cause.UNSETTLED)),
        (picture("REBUILD", image=NEW), (DriftState.UNKNOWN, Cause.UNSETTLED)),
        (picture("DELETED", image=NEW), (DriftState.UNKNOWN, Cause.DELETED)),
        (picture("SOFT_DELETED", image=OLD), (DriftState.UNKNOWN, Cause.DELETED)),
    ],
)
def test_a_server_by_what_it_shows(desk: Desk, seen: ServerSnapshot, expected: tuple[DriftState, Cause | None]) -> None:
    assert verdict(desk, seen) == expected


def test_a_frozen_server_is_unknown_whatever_it_shows(desk: Desk) -> None:
    assert verdict(desk, picture(image=NEW), frozen=True) == (DriftState.UNKNOWN, Cause.FROZEN)


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        ([an_image(OLD, "Debian", 4)], Cause.OLDER),
        # A sister of the same name, made later.
        ([an_image(OLD, "Debian", 6)], Cause.NEWER),
        ([an_image(OLD, "Alma", 6)], Cause.OTHER),
        # The image is gone; what the server remembers of it is its name, which tells no age.
        ([], Cause.OTHER),
    ],
)
def test_another_image_may_be_newer_than_the_plan_s(desk: Desk, other: list[Image], cause: Cause) -> None:
    assert verdict(desk, picture(), *other) == (DriftState.DRIFTED, cause)


def test_who_was_known_was_deleted_and_who_was_not_is_misspelled(desk: Desk) -> None:
    plan = desk.plan(HEAD + f"servers: [{{name: web-02}}, {{id: {server_id(1)}}}, {{name: old-web}}]\n")
    there = inventory([a_server(2)])
    assert missing_servers(plan, there) == ({server_id(1)}, {"old-web"})
    former = {server_id(1): "web-01", server_id(7): "old-web"}
    found = drift(plan, there, [WANTED], former, ProjectFacts())
    assert [(one.name, one.cause) for one in found.servers[1:]] == [
        ("web-01", Cause.DELETED),
        ("old-web", Cause.DELETED),
    ]
    with pytest.raises(InputError) as caught:
        drift(plan, there, [], {server_id(1): "web-01"}, ProjectFacts())
    assert [one.key for one in caught.value.problems] == ["change.image", "servers[2].name"]


def test_what_could_not_be_read_is_told(desk: Desk) -> None:
    around = ProjectFacts(unread=(Unread("images", "no", "names are", denied=True),))
    found = drift(desk.plan(PLAN), inventory([a_server(1), a_server(2)]), [WANTED], {}, around)
    assert [str(one.level) for one in found.findings] == ["warning"]
    assert [one.verdict for one in found.servers] == [DriftState.DRIFTED] * 2
