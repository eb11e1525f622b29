"""Preflight: images, key pairs and APIs resolved, and what an operator is told of the servers."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from fleetos.errors import InputError, Problem
from fleetos.model.findings import Check, Finding, Level
from fleetos.model.inventory import Image, ServerSnapshot
from fleetos.model.plan import SecretRef
from fleetos.planning.preflight.orders import images_wanted
from fleetos.planning.preflight.preflight import Preflight, preflight
from fleetos.planning.preflight.project_facts import ProjectFacts
from fleetos.planning.settings import CloudFacts
from tests.support.builders import DEBIAN, NEW_IMAGE, a_server, a_snapshot, an_inventory, server_id
from tests.unit.planning.plan_folder import HEAD, PlanFolder

OTC = CloudFacts(is_otc=True)
SIM = CloudFacts(loopback=True, is_sim=True)
ELSEWHERE = CloudFacts()
WINDOWS = Image("image-win", "Windows", "active", os_type="Windows", virtual_env_type="FusionCompute")
PLAN = HEAD + "servers: [{name: web-01}, {name: web-02}]\n"
PROJECT = an_inventory([a_server(1), a_server(2)])


def found(
    plans: PlanFolder,
    text: str,
    images: Sequence[Image] = (DEBIAN,),
    keys: Collection[str] | None = ("key",),
    facts: CloudFacts = ELSEWHERE,
) -> Preflight:
    return preflight(plans.plan(text), PROJECT, images, keys, facts)


def refused(
    plans: PlanFolder,
    text: str,
    images: Sequence[Image] = (DEBIAN,),
    keys: Collection[str] | None = ("key",),
    facts: CloudFacts = ELSEWHERE,
) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        found(plans, text, images, keys, facts)
    return caught.value.problems


def about(plans: PlanFolder, seen: ServerSnapshot, os_type: str = "Linux", text: str = PLAN) -> list[tuple[Level, str]]:
    """What is found about the first server when it looks like this."""
    project = an_inventory([a_server(1, seen, os_type=os_type), a_server(2)])
    findings = preflight(plans.plan(text), project, (DEBIAN,), ("key",), ELSEWHERE).findings
    assert {one.server_id for one in findings} <= {server_id(1)}
    return [(one.level, one.text) for one in findings]


def test_an_order_is_pinned_and_shared(plans: PlanFolder) -> None:
    result = found(plans, PLAN)
    first, second = result.servers
    assert first.order is second.order
    assert (first.order.image_id, first.order.image_name, first.order.keyname) == (NEW_IMAGE, "Debian", "key")
    assert first.order.userid is None
    assert result.images == {"Debian": NEW_IMAGE}
    assert result.orders == (first.order,)
    assert result.findings == ()


@pytest.mark.parametrize(
    ("facts", "own", "userid", "warned"),
    [
        (ELSEWHERE, "", None, False),
        (CloudFacts(names_user=False, user_id="u1"), "", "u1", False),
        (CloudFacts(names_user=False), "", None, True),
        (
            CloudFacts(names_user=False),
            ", userid: 7e25b1da389f4697a79df3a0e5bd494e",
            "7e25b1da389f4697a79df3a0e5bd494e",
            False,
        ),
    ],
)
def test_a_key_pair_is_named_with_its_user_where_the_login_does_not_say(
    plans: PlanFolder, facts: CloudFacts, own: str, userid: str | None, warned: bool
) -> None:
    result = found(plans, PLAN.replace("keyname: key", f"keyname: key{own}"), facts=facts)
    assert result.servers[0].order.userid == userid
    assert [(one.level, one.check) for one in result.findings] == [(Level.WARNING, Check.KEY_PAIR_OWNER)] * warned
    assert all("userid" in (one.hint or "") for one in result.findings)
    without = found(plans, PLAN.replace("keyname: key", "adminpass: {env: PW}"), facts=facts)
    assert (without.servers[0].order.userid, without.findings) == (None, ())


def test_images_wanted_are_those_of_the_plan_and_of_its_servers(plans: PlanFolder) -> None:
    text = HEAD + "servers: [{name: a, change: {image: other}}, {name: b, change: {keyname: k}}]\n"
    assert images_wanted(plans.plan(text)) == {"Debian", "other"}


def test_an_id_wins_over_a_name(plans: PlanFolder) -> None:
    named_like_an_id = replace(DEBIAN, id="image-2", name=NEW_IMAGE)
    text = PLAN.replace("image: Debian", f"image: {NEW_IMAGE}")
    assert found(plans, text, [named_like_an_id, DEBIAN]).servers[0].order.image_id == NEW_IMAGE


def test_inactive_images_of_the_same_name_do_not_matter(plans: PlanFolder) -> None:
    old = replace(DEBIAN, id="image-0", status="deleted")
    assert found(plans, PLAN, [old, DEBIAN]).images == {"Debian": NEW_IMAGE}


@pytest.mark.parametrize(
    ("images", "expected", "hint"),
    [
        ([], "no image Debian is visible to this project", None),
        ([replace(DEBIAN, status="saving")], "image Debian is saving, not active", None),
        (
            [DEBIAN, replace(DEBIAN, id="image-2")],
            "2 active images are called Debian",
            f"use an id: {NEW_IMAGE}, image-2",
        ),
        (
            [replace(DEBIAN, virtual_env_type="IsoImage")],
            "Debian is one for IsoImage",
            "choose an image for system disks",
        ),
        (
            [replace(DEBIAN, member_status="pending")],
            "Debian is shared with us and pending: accept it first",
            "choose an image that we may use",
        ),
        (
            [replace(DEBIAN, withdrawn=True)],
            "Debian was withdrawn from the marketplace",
            "choose an image that is still offered",
        ),
    ],
)
def test_an_image_that_cannot_be_used(plans: PlanFolder, images: list[Image], expected: str, hint: str | None) -> None:
    (problem,) = refused(plans, PLAN, images)
    assert (problem.line, problem.column, problem.key) == (3, 10, "change.image")
    assert (problem.expected, problem.hint) == (expected, hint)


@pytest.mark.parametrize(
    ("known", "hint"),
    [
        (("Debain", "Ubuntu"), "did you mean Debain?"),
        (("debian\u200b",), r"did you mean debian\u200b?"),
        (("Ubuntu_24", "CentOS_7"), "there are: CentOS_7, Ubuntu_24"),
        ((), None),
    ],
)
def test_an_image_that_is_not_there_gets_candidates(
    plans: PlanFolder, known: tuple[str, ...], hint: str | None
) -> None:
    images = {name: replace(DEBIAN, id=name, name=name) for name in known}
    with pytest.raises(InputError) as caught:
        preflight(plans.plan(PLAN), PROJECT, (), ("key",), ELSEWHERE, ProjectFacts(images=images))
    (problem,) = caught.value.problems
    assert (problem.text, problem.hint) == ("no image Debian is visible to this project", hint)


def test_a_windows_image_is_refused_where_the_cloud_takes_none_but_for_a_reinstall(plans: PlanFolder) -> None:
    facts = CloudFacts(no_windows=True)
    result = found(plans, PLAN.replace("Debian", "Windows"), [WINDOWS], facts=facts)
    assert {one.check for one in result.refusals.values()} == {Check.OS_TYPE}
    again = an_inventory([a_server(1, a_snapshot(image="image-win")), a_server(2, a_snapshot(image="image-win"))])
    text = PLAN.replace("image: Debian", "reinstall: true")
    assert preflight(plans.plan(text), again, [WINDOWS], ("key",), facts).refusals == {}


def test_problems_of_servers_images_keys_and_settle_come_together(plans: PlanFolder) -> None:
    text = HEAD + (
        "servers:\n  - {name: web-01, change: {image: none}}\n  - name: web-09\n"
        "  - {name: web-02, change: {keyname: k}}\n"
        "timeouts: {settle: 1m}\n"
    )
    assert [one.key for one in refused(plans, text)] == [
        "servers[0].change.image",
        "servers[1].name",
        "servers[2].change.keyname",
        "timeouts.settle",
    ]


@pytest.mark.parametrize(
    ("choice", "flag", "facts", "api"),
    [
        ("auto", None, OTC, "v2"),
        ("auto", "true", OTC, "v2"),
        ("v1", None, OTC, "v1"),
        ("auto", None, ELSEWHERE, "v2"),
        ("auto", "false", ELSEWHERE, "v2"),
        ("auto", "true", ELSEWHERE, "v1"),
        ("v2", "true", ELSEWHERE, "v2"),
        ("auto", "true", SIM, "v1"),
        ("auto", None, SIM, "v2"),
    ],
)
def test_the_choice_of_the_api(plans: PlanFolder, choice: str, flag: str | None, facts: CloudFacts, api: str) -> None:
    text = PLAN.replace("keyname: key", f"keyname: key, api: {choice}")
    assert found(plans, text, [replace(DEBIAN, inject_flag=flag)], facts=facts).servers[0].order.api == api


def test_user_data_needs_an_image_with_cloud_init(plans: PlanFolder) -> None:
    text = PLAN.replace("keyname: key", "keyname: key, user_data: {text: hello}")
    (problem,) = refused(plans, text, [replace(DEBIAN, inject_flag="true")])
    assert (problem.line, problem.key) == (3, "change.user_data")
    assert problem.hint is not None
    assert "api: v2" in problem.hint


def test_a_key_pair_that_is_not_ours_is_refused_or_doubted(plans: PlanFolder) -> None:
    (problem,) = refused(plans, PLAN, keys=())
    assert problem.key == "change.keyname"
    with_user = PLAN.replace("keyname: key", "keyname: key, userid: abc")
    (finding,) = found(plans, with_user, keys=()).findings
    assert (finding.level, finding.subject) == (Level.WARNING, "keyname")
    assert found(plans, PLAN, keys=None).findings == ()


@pytest.mark.parametrize(
    ("own", "hint"),
    [
        (("KEY", "other"), "did you mean KEY?"),
        (("key-1", "zzz"), "did you mean key-1?"),
        (("zzz", "Ops"), "there are: Ops, zzz"),
        ((), ""),
    ],
)
def test_the_key_pairs_that_come_near_are_named(plans: PlanFolder, own: tuple[str, ...], hint: str) -> None:
    (problem,) = refused(plans, PLAN, keys=own)
    assert problem.hint == f"{hint} a key pair of another user needs `userid`".lstrip()


def test_windows_without_cloud_init_takes_no_key_pair(plans: PlanFolder) -> None:
    text = PLAN.replace("Debian", "Windows")
    (problem,) = refused(plans, text, [replace(WINDOWS, inject_flag="true")])
    assert problem.key == "change.keyname"


@pytest.mark.parametrize(("flag", "needed"), [(None, "keyname or adminpass"), ("true", "adminpass")])
def test_windows_needs_a_login(plans: PlanFolder, flag: str | None, needed: str) -> None:
    text = PLAN.replace("Debian, keyname: key", "Windows")
    (problem,) = refused(plans, text, [replace(WINDOWS, inject_flag=flag)])
    assert (problem.line, problem.key) == (3, "change.image")
    assert problem.expected.startswith(f"{needed} beside it")


@pytest.mark.parametrize(
    ("api", "flag", "facts", "why"),
    [
        ("v1", None, ELSEWHERE, "the plan says so"),
        ("auto", "true", OTC, "Open Telekom Cloud documents no other"),
        ("auto", "true", ELSEWHERE, "image marked as lacking cloud-init: __support_fc_inject"),
        ("auto", None, ELSEWHERE, "image not marked as lacking cloud-init"),
    ],
)
def test_the_choice_of_the_api_has_a_reason(
    plans: PlanFolder, api: str, flag: str | None, facts: CloudFacts, why: str
) -> None:
    text = PLAN.replace("keyname: key", f"keyname: key, api: {api}")
    (choice,) = found(plans, text, [replace(DEBIAN, inject_flag=flag)], facts=facts).choices
    assert (choice.name, choice.id, choice.why) == ("Debian", NEW_IMAGE, why)


def test_paths_of_secrets_become_absolute_and_their_places_are_kept(plans: PlanFolder) -> None:
    text = (
        HEAD.replace("keyname: key", "adminpass: {file: ../pw}, user_data: {text: x}") + "servers: [{name: web-01}]\n"
    )
    result = found(plans, text)
    order = result.servers[0].order
    assert order.adminpass == SecretRef("file", str(plans.folder / "../pw"))
    assert order.adminpass is not None
    assert order.user_data is not None
    assert result.secret_places[order.adminpass].key == "change.adminpass"
    assert result.secret_places[order.user_data].key == "change.user_data"


def test_windows_images_are_told(plans: PlanFolder) -> None:
    text = PLAN.replace("Debian, keyname: key", "Windows, adminpass: {env: PW}")
    assert found(plans, text, [WINDOWS]).windows == {"image-win"}
    assert found(plans, PLAN).windows == frozenset()


@pytest.mark.parametrize(
    ("seen", "finding"),
    [
        (a_snapshot(disk=None), (Level.REFUSED, "has no system disk")),
        (replace(a_snapshot(), locked=True), (Level.REFUSED, "is locked")),
        (a_snapshot("SHELVED"), (Level.REFUSED, "is in status SHELVED")),
        (a_snapshot("REBUILD"), (Level.WARNING, "is in status REBUILD")),
        (a_snapshot(task="powering-off"), (Level.WARNING, "is busy: powering-off")),
        (
            a_snapshot("ERROR"),
            (Level.WARNING, "is in status ERROR: the cloud changes it only if a failed change left it so"),
        ),
    ],
)
def test_what_is_found_about_a_server(plans: PlanFolder, seen: ServerSnapshot, finding: tuple[Level, str]) -> None:
    assert about(plans, seen) == [finding]


def test_nothing_is_said_of_a_server_that_is_skipped_anyway(plans: PlanFolder) -> None:
    locked = replace(a_snapshot(image=NEW_IMAGE), locked=True)
    assert about(plans, locked) == []
    assert about(plans, locked, text=PLAN + "rollout: {force: true}\n") != []


def test_a_change_of_the_kind_of_system_is_told(plans: PlanFolder) -> None:
    assert about(plans, a_snapshot(), os_type="Windows") == [(Level.WARNING, "goes from Windows to Linux")]


@pytest.mark.parametrize(
    ("change", "facts", "words"),
    [
        ("image: Debian", ELSEWHERE, "no keyname, adminpass or user_data"),
        ("image: Debian, keyname: key, api: v1", OTC, "documents only v2"),
        ("image: Debian, adminpass: {env: X}", OTC, "does not document adminpass"),
        ("image: Debian, adminpass: {env: X}, user_data: {text: '#!x'}", ELSEWHERE, "no effect on Linux"),
    ],
)
def test_what_is_found_about_an_order_is_said_once(
    plans: PlanFolder, change: str, facts: CloudFacts, words: str
) -> None:
    text = f"version: 1\nname: x\nchange: {{{change}}}\nservers: [{{name: web-01}}, {{name: web-02}}]\n"
    (finding,) = found(plans, text, facts=facts).findings
    assert words in finding.text
    assert (finding.level, finding.subject, finding.server_id) == (Level.WARNING, "Debian", None)


def test_an_image_that_says_it_has_no_cloud_init_is_doubted(plans: PlanFolder) -> None:
    (finding,) = found(plans, PLAN, [replace(DEBIAN, inject_flag="true")]).findings
    assert "changed with v1" in finding.text
    assert found(plans, PLAN, [replace(DEBIAN, inject_flag="true")], facts=OTC).findings == ()


def test_idle_exclusions_and_stops_by_the_cloud_are_told(plans: PlanFolder) -> None:
    text = PLAN + 'exclude: [{name: "x*"}]\nrollout: {stop: api}\n'
    assert found(plans, text, facts=OTC).findings == (
        Finding(Level.WARNING, Check.IDLE_EXCLUSION, "exclude[0].name", "x* excludes no server of the plan"),
        Finding(
            Level.WARNING,
            Check.STOP_BY_API,
            "rollout.stop",
            "Open Telekom Cloud does not document the mode that stops the server itself",
        ),
    )
