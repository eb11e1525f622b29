"""`reinstall: true`: the image that each server runs, pinned like any other, and never a reason to skip."""

from dataclasses import replace
from typing import Any

import pytest

from fleetos.errors import InputError, Problem
from fleetos.model.findings import Check
from fleetos.model.inventory import Image, Traits
from fleetos.model.states import TargetState
from fleetos.planning.freeze import freeze
from fleetos.planning.preflight.orders import reinstalled_images
from fleetos.planning.preflight.preflight import Preflight, preflight
from fleetos.planning.preflight.server_selection import newly_selected
from fleetos.planning.settings import CloudFacts
from tests.support.builders import DEBIAN, NEW_IMAGE, OLD_IMAGE, SCOPE, START, a_server, a_snapshot, an_inventory
from tests.unit.planning.plan_folder import PlanFolder

HEAD = "version: 1\nname: try\nchange: {reinstall: true, keyname: key}\n"
PLAN = HEAD + 'servers: [{select: {name: "web-*"}}]\n'
OLD_DEBIAN = replace(DEBIAN, id=OLD_IMAGE, name="Debian 11")
WEB = [a_server(1), a_server(2, a_snapshot(image=NEW_IMAGE)), a_server(3)]
LOOPBACK = CloudFacts(loopback=True)


def found(plans: PlanFolder, text: str, *images: Image, servers: object = WEB) -> Preflight:
    return preflight(plans.plan(text), an_inventory(WEB), images or (OLD_DEBIAN, DEBIAN), ("key", "own"), LOOPBACK)


def refused(plans: PlanFolder, text: str, *images: Image) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        found(plans, text, *images)
    return caught.value.problems


def test_each_server_gets_the_image_that_it_runs(plans: PlanFolder) -> None:
    result = found(plans, PLAN)
    orders = [one.order for one in result.servers]
    assert [(order.image_id, order.image_name) for order in orders] == [
        (OLD_IMAGE, "Debian 11"),
        (NEW_IMAGE, "Debian"),
        (OLD_IMAGE, "Debian 11"),
    ]
    assert all(order.reinstall for order in orders)
    assert orders[0] is orders[2], "one order for all servers that run one image"
    assert len(result.orders) == 2
    assert result.images == {}, "the plan has no word for an image"
    run = freeze(plans.plan(PLAN), result, scope=SCOPE, facts=LOOPBACK, run_id="r1", now=START)
    assert {target.state for target in run.targets} == {TargetState.WAITING}
    assert run.wipes == 3


def test_a_server_may_get_an_image_instead_and_the_other_way_round(plans: PlanFolder) -> None:
    text = (
        HEAD
        + "servers: [{name: web-01, change: {image: Debian}}, {name: web-02}, {name: web-03, change: {keyname: own}}]\n"
    )
    assert [(one.order.image_id, one.order.reinstall, one.order.keyname) for one in found(plans, text).servers] == [
        (NEW_IMAGE, False, "key"),
        (NEW_IMAGE, True, "key"),
        (OLD_IMAGE, True, "own"),
    ]
    other = HEAD.replace("reinstall: true", "image: Debian") + (
        "servers: [{name: web-01, change: {reinstall: true}}, {name: web-02}]\n"
    )
    assert [(one.order.image_id, one.order.reinstall) for one in found(plans, other).servers] == [
        (OLD_IMAGE, True),
        (NEW_IMAGE, False),
    ]


def test_the_images_that_are_asked_for_are_those_that_servers_run(plans: PlanFolder) -> None:
    assert reinstalled_images(plans.plan(PLAN), an_inventory(WEB)) == {OLD_IMAGE, NEW_IMAGE}
    named = plans.plan(PLAN.replace("reinstall: true", "image: Debian"))
    assert reinstalled_images(named, an_inventory(WEB)) == frozenset()
    some = plans.plan(PLAN.replace("}}]", "}, change: {image: x}}, {name: db}]"))
    assert reinstalled_images(some, an_inventory([*WEB, a_server(9, a_snapshot(image="third"), name="db")])) == {
        "third"
    }


def test_a_server_without_an_image_is_refused_and_all_such_are_named(plans: PlanFolder) -> None:
    bare = [a_server(number, a_snapshot(image=None)) for number in range(1, 9)]
    with pytest.raises(InputError) as caught:
        preflight(plans.plan(PLAN), an_inventory(bare), (), ("key",), LOOPBACK)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (3, "change.reinstall")
    names = "web-01, web-02, web-03, web-04, web-05 and 3 more"
    assert problem.expected == f"servers whose image the cloud shows: it shows none for {names}"


def test_an_image_that_is_gone_or_not_active_is_refused_once(plans: PlanFolder) -> None:
    gone, deleted = refused(plans, PLAN, replace(DEBIAN, status="deleted"))
    assert gone.expected == f"servers whose image is active; web-01 runs {OLD_IMAGE}, which is there no longer"
    assert deleted.expected == f"servers whose image is active; web-02 runs {NEW_IMAGE}, which is deleted"
    assert {gone.key, deleted.key} == {"change.reinstall"}


@pytest.mark.parametrize(
    ("change", "key", "expected"),
    [
        ("{image: a, reinstall: true}", "change.reinstall", "at most one of image and reinstall"),
        ("{image: a, reinstall: false}", "change.reinstall", "true"),
        ("{reinstall: 1}", "change.reinstall", "true"),
        ('{reinstall: "true"}', "change.reinstall", "true"),
        ("{keyname: k}", "change.image", "the image that the servers get"),
        ("{reinstall: true, api: v1, user_data: {text: a}}", "change.user_data", "no user data with `api: v1`"),
    ],
)
def test_what_is_refused_in_the_plan(plans: PlanFolder, change: str, key: str, expected: str) -> None:
    problem = plans.problem(f"version: 1\nname: x\nchange: {change}\nservers: [{{name: a}}]\n")
    assert (problem.key, problem.expected) == (key, expected)


def test_an_image_and_a_reinstall_for_one_server_contradict_each_other(plans: PlanFolder) -> None:
    text = HEAD + "servers:\n  - {name: a, change: {image: x}}\n  - {name: a, change: {reinstall: true}}\n"
    problem = plans.problem(text)
    assert problem.line == 6
    assert problem.expected.startswith("the same image or reinstall as at ")


def test_the_digest_tells_a_reinstall_from_a_change(plans: PlanFolder) -> None:
    digests = {plans.plan(PLAN.replace("reinstall: true", what)).digest for what in ("reinstall: true", "image: a")}
    assert len(digests) == 2


def test_servers_that_came_later_count_whatever_they_run(plans: PlanFolder) -> None:
    assert len(newly_selected(plans.plan(PLAN), an_inventory(WEB), {WEB[0].id}, {})) == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"withdrawn": True}, "servers that run an image that is still offered; web-01 runs Debian 11, which was"),
        ({"member_status": "pending"}, "is shared with us and pending"),
        ({"virtual_env_type": "DataImage"}, "is one for DataImage"),
    ],
)
def test_an_image_that_may_not_be_installed_is_not_installed_again_either(
    plans: PlanFolder, change: dict[str, Any], why: str
) -> None:
    (problem,) = refused(plans, PLAN, replace(OLD_DEBIAN, **change), DEBIAN)
    assert problem.key == "change.reinstall"
    assert why in problem.expected


def test_findings_are_made_of_servers_that_run_the_image_too(plans: PlanFolder) -> None:
    servers = [replace(one, traits=Traits(frozen=True)) for one in WEB]
    result = preflight(plans.plan(PLAN), an_inventory(servers), (OLD_DEBIAN, DEBIAN), ("key",), LOOPBACK)
    assert result.refusals.keys() == {one.id for one in servers}
    assert {finding.server_id for finding in result.findings if finding.check is Check.FROZEN} == result.refusals.keys()
    assert {choice.id for choice in result.choices} == {OLD_IMAGE, NEW_IMAGE}
