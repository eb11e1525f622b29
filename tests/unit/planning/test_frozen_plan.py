"""A frozen plan in a file: whole, private, proof against changes, and held against what the cloud shows later."""

import json
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetos.errors import InputError
from fleetos.model.inventory import Server, Traits
from fleetos.planning.freeze import FrozenRun, freeze
from fleetos.planning.frozen_plan import (
    PlanOutdated,
    check_plan,
    differences,
    differences_left,
    is_frozen_plan,
    make_frozen_plan,
    read_frozen_plan,
    write_frozen_plan,
)
from fleetos.planning.preflight.preflight import preflight
from fleetos.planning.settings import CloudFacts
from tests.support.builders import DEBIAN, NEW_IMAGE, SCOPE, START, a_server, a_snapshot, an_inventory, server_id
from tests.unit.planning.plan_folder import HEAD, PlanFolder

LOOPBACK = CloudFacts(loopback=True)
TEXT = HEAD + "servers: [{name: web-01}, {name: web-02}, {name: web-03}]\n"
SERVERS = (a_server(1), replace(a_server(2), traits=Traits(frozen=True)), a_server(3, a_snapshot(image=NEW_IMAGE)))


def frozen(
    plans: PlanFolder, *servers: Server, text: str = TEXT, image_id: str = NEW_IMAGE, project: str = "0a1b2c"
) -> FrozenRun:
    plan = plans.plan(text)
    checked = preflight(plan, an_inventory(servers), (replace(DEBIAN, id=image_id),), None, LOOPBACK)
    scope = replace(SCOPE, project_id=project)
    return freeze(plan, checked, scope=scope, facts=LOOPBACK, run_id="r1", now=START)


def written(plans: PlanFolder) -> Path:
    path = plans.folder / "frozen.json"
    write_frozen_plan(make_frozen_plan(plans.plan(TEXT), frozen(plans, *SERVERS)), path)
    return path


def test_the_file_is_private_and_reads_as_it_was_written(plans: PlanFolder) -> None:
    path = written(plans)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in plans.folder.iterdir() if one.name.startswith(".")] == []
    assert is_frozen_plan(path)
    content = read_frozen_plan(path)
    assert content == make_frozen_plan(plans.plan(TEXT), frozen(plans, *SERVERS))
    assert [(one.name, one.action, one.reason) for one in content.servers] == [
        ("web-01", "change", None),
        ("web-02", "refuse", "unsuitable"),
        ("web-03", "skip", None),
    ]
    assert content.servers[0].system_disk == SERVERS[0].snapshot.disk
    check_plan(content, plans.plan(TEXT))
    assert list(differences(content, frozen(plans, *SERVERS))) == []


def test_it_is_known_however_it_is_written_and_a_plan_is_none(plans: PlanFolder) -> None:
    path = written(plans)
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert is_frozen_plan(path)
    assert read_frozen_plan(path).name == "try"
    assert not is_frozen_plan(plans.write("plan.json", '{"version": 1}'))
    assert not is_frozen_plan(plans.folder / "missing.json")
    assert not is_frozen_plan(plans.folder)


def test_an_older_file_is_replaced_whole_and_a_bad_place_is_told(plans: PlanFolder) -> None:
    path = written(plans)
    path.write_text(path.read_text().replace("try", "before"))
    path.chmod(0o644)
    written(plans)
    assert read_frozen_plan(path).name == "try"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(InputError) as caught:
        write_frozen_plan(read_frozen_plan(path), plans.folder / "none" / "frozen.json")
    assert "cannot be written" in caught.value.problems[0].expected


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("servers",), []),
        (("servers", 0, "system_disk"), "another"),
        (("servers", 0, "action"), "wipe"),
        (("images",), {"Debian": "another"}),
        (("sha256",), "0" * 64),
        (("v",), 2),
        (("more",), 1),
    ],
)
def test_a_file_that_somebody_changed_is_refused(
    plans: PlanFolder, place: tuple[str | int, ...], value: object
) -> None:
    path = written(plans)
    content: Any = json.loads(path.read_text())
    within = content
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_frozen_plan(path)
    assert "--out" in str(caught.value.problems[0].hint)


def test_half_a_file_is_refused(plans: PlanFolder) -> None:
    path = written(plans)
    path.write_text(path.read_text()[:-100])
    with pytest.raises(InputError):
        read_frozen_plan(path)


def test_a_plan_that_says_something_else_is_refused(plans: PlanFolder) -> None:
    content = read_frozen_plan(written(plans))
    with pytest.raises(PlanOutdated):
        check_plan(content, plans.plan(TEXT + "rollout: {concurrency: 3}\n"))


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ((replace(SERVERS[0], snapshot=a_snapshot(disk="other")), *SERVERS[1:]), "web-01 .*system disk is other, not"),
        ((replace(SERVERS[0], snapshot=a_snapshot(image="third")), *SERVERS[1:]), "web-01 .*its image is third, not"),
        ((SERVERS[0], a_server(2), SERVERS[2]), r"web-02 .*now: change, then: refuse \(unsuitable\)"),
        ((*SERVERS[:2], replace(SERVERS[2], snapshot=a_snapshot())), "web-03 .*now: change, then: skip"),
        ((replace(SERVERS[0], id=server_id(9)), *SERVERS[1:]), "is not among the servers of the plan any more"),
    ],
)
def test_what_differs_is_told(plans: PlanFolder, now: tuple[Server, ...], words: str) -> None:
    content = read_frozen_plan(written(plans))
    assert any(re.search(words, line) for line in differences(content, frozen(plans, *now)))


def test_power_and_time_do_not_count_but_image_and_project_do(plans: PlanFolder) -> None:
    content = read_frozen_plan(written(plans))
    stopped = replace(SERVERS[0], snapshot=a_snapshot("SHUTOFF"))
    assert list(differences(content, frozen(plans, stopped, *SERVERS[1:]))) == []
    moved = list(
        differences(content, frozen(plans, *SERVERS[:2], a_server(3, a_snapshot(image="next")), image_id="next"))
    )
    assert "the image Debian now means next, not image-new" in moved
    (elsewhere,) = differences(content, frozen(plans, *SERVERS, project="other"))
    assert elsewhere == "the project is other, not 0a1b2c"


def test_the_start_of_a_run_does_not_count(plans: PlanFolder) -> None:
    """It is given when the plan is applied: the file holds for any."""
    content, run = read_frozen_plan(written(plans)), frozen(plans, *SERVERS)
    begins_later = replace(run.run, steering=replace(run.run.steering, not_before=START))
    assert list(differences(content, replace(run, run=begins_later))) == []
    assert list(differences_left(content, begins_later, run.targets)) == []


def test_a_reinstall_is_pinned_as_one(plans: PlanFolder) -> None:
    again = TEXT.replace("{name: web-03}", "{name: web-03, change: {reinstall: true}}")
    content = make_frozen_plan(plans.plan(again), frozen(plans, *SERVERS, text=again))
    assert [(one.action, one.reinstall) for one in content.servers] == [
        ("change", False),
        ("refuse", False),
        ("change", True),
    ]
    assert content.servers[2].image_before == content.servers[2].image_after == NEW_IMAGE
    assert list(differences(content, frozen(plans, *SERVERS, text=again))) == []
    *_, other = differences(content, frozen(plans, *SERVERS))
    assert "the plan no longer reinstalls it; now: skip, then: change" in other


def test_a_server_that_comes_to_another_login_is_told(plans: PlanFolder) -> None:
    """As when its tags have moved it to another selector of the same plan."""
    content = read_frozen_plan(written(plans))
    other_key = TEXT.replace("{name: web-01}", "{name: web-01, change: {keyname: KeyPair-dmz}}")
    assert other_key != TEXT
    *_, told = differences(content, frozen(plans, *SERVERS, text=other_key))
    assert told.startswith("web-01 ")
    assert told.endswith("its login, user data or metadata are not those of the frozen plan")
