"""Drift: what each server runs beside what its plan names, and of whom nobody can say."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleetos.errors import InputError
from fleetos.model.drift import Cause, DriftState
from fleetos.model.inventory import Image, ServerSnapshot, Traits
from fleetos.planning.drift import drift, missing_servers
from fleetos.planning.preflight.project_facts import ProjectFacts, Unread
from tests.support.builders import NEW_IMAGE, OLD_IMAGE, a_server, a_snapshot, an_inventory, server_id
from tests.unit.planning.plan_folder import HEAD, PlanFolder

PLAN = HEAD + "servers: [{name: web-01}, {name: web-02}]\n"


def an_image(image_id: str, name: str, day: int) -> Image:
    return Image(image_id, name, "active", created_at=datetime(2026, 1, day, tzinfo=UTC))


WANTED = an_image(NEW_IMAGE, "Debian", 5)


def verdict(
    plans: PlanFolder, seen: ServerSnapshot, *others: Image, frozen: bool = False
) -> tuple[DriftState, Cause | None]:
    """How the first server stands when it looks like this; the images are there beside the wanted one."""
    first = replace(a_server(1, seen), traits=Traits(frozen=frozen), image_name="Debian")
    around = ProjectFacts(images={one.id: one for one in (WANTED, *others)})
    found = drift(plans.plan(PLAN), an_inventory([first, a_server(2)]), [WANTED], {}, around)
    return found.servers[0].verdict, found.servers[0].cause


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (a_snapshot(image=NEW_IMAGE), (DriftState.SAME, None)),
        (a_snapshot("SHUTOFF", image=NEW_IMAGE), (DriftState.SAME, None)),
        (a_snapshot(image=NEW_IMAGE, task="powering-off"), (DriftState.SAME, None)),
        (a_snapshot(image=NEW_IMAGE, disk=None), (DriftState.SAME, None)),
        (a_snapshot(image=None), (DriftState.UNKNOWN, Cause.NO_IMAGE)),
        (a_snapshot("ERROR", image=NEW_IMAGE), (DriftState.UNKNOWN, Cause.UNSETTLED)),
        (a_snapshot("REBUILD", image=NEW_IMAGE), (DriftState.UNKNOWN, Cause.UNSETTLED)),
        (a_snapshot("DELETED", image=NEW_IMAGE), (DriftState.UNKNOWN, Cause.DELETED)),
        (a_snapshot("SOFT_DELETED", image=OLD_IMAGE), (DriftState.UNKNOWN, Cause.DELETED)),
    ],
)
def test_a_server_by_what_it_shows(
    plans: PlanFolder, seen: ServerSnapshot, expected: tuple[DriftState, Cause | None]
) -> None:
    assert verdict(plans, seen) == expected


def test_a_frozen_server_is_unknown_whatever_it_shows(plans: PlanFolder) -> None:
    assert verdict(plans, a_snapshot(image=NEW_IMAGE), frozen=True) == (DriftState.UNKNOWN, Cause.FROZEN)


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        ([an_image(OLD_IMAGE, "Debian", 4)], Cause.OLDER),
        # A sister of the same name, made later.
        ([an_image(OLD_IMAGE, "Debian", 6)], Cause.NEWER),
        ([an_image(OLD_IMAGE, "Alma", 6)], Cause.OTHER),
        # The image is gone; what the server remembers of it is its name, which tells no age.
        ([], Cause.OTHER),
    ],
)
def test_another_image_may_be_newer_than_the_plan_s(plans: PlanFolder, other: list[Image], cause: Cause) -> None:
    assert verdict(plans, a_snapshot(), *other) == (DriftState.DRIFTED, cause)


def test_who_was_known_was_deleted_and_who_was_not_is_misspelled(plans: PlanFolder) -> None:
    plan = plans.plan(HEAD + f"servers: [{{name: web-02}}, {{id: {server_id(1)}}}, {{name: old-web}}]\n")
    there = an_inventory([a_server(2)])
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


def test_what_could_not_be_read_is_told(plans: PlanFolder) -> None:
    around = ProjectFacts(unread=(Unread("images", "no", "names are", denied=True),))
    found = drift(plans.plan(PLAN), an_inventory([a_server(1), a_server(2)]), [WANTED], {}, around)
    assert [str(one.level) for one in found.findings] == ["warning"]
    assert [one.verdict for one in found.servers] == [DriftState.DRIFTED] * 2
