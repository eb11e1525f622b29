"""Clouds that answer otherwise: rights in one enterprise project alone, one image id for all servers, slow guests."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleetos.cli.exit_codes import ExitCode
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import CommandRunner, Done
from tests.support.ledger import CHANGES

OWN = "441d5677-b76a-4dd4-a97a-ef7fd633c095"
DEBIAN_11, DEBIAN_12 = "Standard_Debian_11_latest", "Standard_Debian_12_latest"
SCENARIO: dict[str, Any] = {
    "seed": 6,
    "durations": {"stop": [1.0, 1.2], "start": [0.05, 0.1], "change": [0.2, 0.4], "job_init": [0, 0.05]},
    "granted_enterprise_projects": [OWN],
    "servers": [
        {"count": 3, "name": "metered-#", "image_id": "an-image-of-all", "enterprise_project": OWN},
        {"name": "metered-done", "image_id": "an-image-of-all", "image": DEBIAN_12, "enterprise_project": OWN},
        {"name": "unclear", "image_id": DEBIAN_12, "enterprise_project": OWN},
        {"name": "slow", "enterprise_project": OWN},
        {"name": "icy", "frozen": True, "enterprise_project": OWN},
        {"name": "strange", "shows": {"tags": 5}, "enterprise_project": OWN},
        {"name": "anonymous", "shows": {"id": None}, "enterprise_project": OWN},
        {"count": 2, "name": "others-#"},
    ],
}
PACE = "polling: {min: 100ms, max: 200ms}\n"
TIMES = "timeouts: {stop: 10s, change: 20s, settle: 1s, start: 10s}\n"


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    """A cloud whose user may see one enterprise project, in which `image.id` says nothing."""
    return SCENARIO


@pytest.fixture
def here(cloud: CommandRunner, tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """That cloud without faults, seen from an empty folder."""
    cloud.post("/admin/heal", {})
    with SharedCloudRunner.at(cloud, tmp_path, iter(())) as begun:
        yield begun


def write_plan(here: SharedCloudRunner, servers: str, more: str = TIMES, key: str = "keyname: KeyPair-350b") -> str:
    text = f"version: 1\nname: try\nchange: {{image: {DEBIAN_12}, {key}, api: v2}}\nservers: [{servers}]\n"
    return here.plan(f"{text}{PACE}{more}")


def told(done: Done, code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_user_of_one_enterprise_project_plans_and_changes_what_is_in_it(here: SharedCloudRunner) -> None:
    plan = write_plan(here, f'{{select: {{name: "metered-*", enterprise_project: {OWN}}}}}')
    shown = told(here.invoke("plan", plan, "-o", "json"))
    acts = {one["name"]: one["action"] for one in shown["servers"]}
    assert acts == {"metered-1": "change", "metered-2": "change", "metered-3": "change", "metered-done": "skip"}
    unread = {one["subject"] for one in shown["findings"] if one["code"] == "not-checked"}
    assert unread == {"flavors", "disk quota", "server quota"}
    applied = told(here.fleetos("apply", plan, "--yes", "-o", "json"))
    assert applied["counts"] == {"total": 4, "done": 3, "skipped": 1}
    # The judge: each was changed once, and its image.id still is the one of all.
    wiped = [write.servers[0] for write in here.ledger().writes if write.operation in CHANGES]
    names = {one["id"]: name for name, one in here.servers().items()}
    assert sorted(names[own] for own in wiped) == ["metered-1", "metered-2", "metered-3"]
    again = told(here.invoke("plan", plan, "-o", "json"))
    assert again["counts"] == {"total": 4, "refuse": 0, "change": 0, "skip": 4}


@pytest.mark.parametrize("servers", ["{name: others-1}", '{select: {name: "others-*"}}'])
def test_servers_of_other_enterprise_projects_are_not_seen(here: SharedCloudRunner, servers: str) -> None:
    done = here.invoke("plan", write_plan(here, servers))
    assert done.returncode == ExitCode.INPUT, done.stderr


def test_a_server_that_may_run_the_image_is_left_alone_unless_it_is_forced(here: SharedCloudRunner) -> None:
    shown = told(here.invoke("plan", write_plan(here, "{name: unclear}"), "-o", "json"))
    (server,) = shown["servers"]
    assert (server["action"], server["code"]) == ("refuse", "image-unclear")
    forced = write_plan(here, "{name: unclear}", f"{TIMES}rollout: {{force: true}}\n")
    assert told(here.invoke("plan", forced, "-o", "json"))["counts"]["change"] == 1


def test_doctor_says_in_which_projects_and_advises_nothing_that_the_user_has(here: SharedCloudRunner) -> None:
    done = here.invoke("doctor", "-o", "json")
    checks = {one["subject"]: one for one in json.loads(done.stdout)["checks"] if one["topic"] == "permission"}
    assert {one: checks[one]["grade"] for one in ("list", "server", "image", "volumes")} == dict.fromkeys(
        ("list", "server", "image", "volumes"), "fine"
    )
    assert "in the enterprise projects that the user may see" in checks["list"]["text"]
    assert "in the whole project" in checks["limits"]["hint"]


def test_a_strange_server_is_refused_alone_and_a_selector_says_what_it_could_not_match(here: SharedCloudRunner) -> None:
    shown = told(here.invoke("plan", write_plan(here, "{name: slow}, {name: strange}"), "-o", "json"))
    assert {one["name"]: one["code"] for one in shown["servers"]} == {"slow": None, "strange": "unreadable"}
    assert shown["counts"] == {"total": 2, "refuse": 1, "change": 1, "skip": 0}
    shown = told(here.invoke("plan", write_plan(here, '{select: {name: "s*"}}'), "-o", "json"))
    assert [one["name"] for one in shown["servers"]] == ["slow"]
    (finding,) = [one for one in shown["findings"] if one["code"] == "unreadable"]
    assert "2 servers could not be read" in finding["text"]
    assert "strange (tags is no list)" in finding["text"]
    assert "anonymous (id is missing)" in finding["text"]
    drifted = here.invoke("drift", write_plan(here, "{name: slow}, {name: strange}"), "-o", "json")
    codes = {one["name"]: one["code"] for one in json.loads(drifted.stdout)["servers"]}
    assert codes["strange"] == "unreadable"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"code": "APIGW.0101", "status": 404}, ExitCode.UNREACHABLE),
        ({"code": "Pdp.0001", "status": 403}, ExitCode.AUTHENTICATION),
        ({"code": "Ecs.0314", "status": 404}, ExitCode.INPUT),
    ],
)
def test_a_key_pair_that_cannot_be_looked_up(here: SharedCloudRunner, fault: dict[str, Any], code: int) -> None:
    here.post("/admin/faults", [{"on": "keypair", "do": "refuse", **fault}])
    key = "keyname: KeyPair-account, userid: 0123456789abcdef0123456789abcdef"
    shown = told(here.invoke("plan", write_plan(here, "{name: slow}", key=key), "-o", "json"))
    assert [one["level"] for one in shown["findings"] if one["code"] == "key-pair-owner"] == ["warning"]
    assert here.invoke("plan", write_plan(here, "{name: slow}", key="keyname: KeyPair-account")).returncode == code


@pytest.mark.parametrize(
    ("fault", "code", "hint"),
    [
        ({}, ExitCode.INPUT, "did you mean KeyPair-350b?"),
        ({"code": "Policy.0001", "status": 403}, ExitCode.INPUT, "a key pair of another user needs `userid`"),
        ({"code": "Ecs.0013", "status": 500}, ExitCode.INPUT, "a key pair of another user needs `userid`"),
    ],
)
def test_a_mistyped_key_pair_names_others_where_they_can_be_listed(
    here: SharedCloudRunner, fault: dict[str, Any], code: int, hint: str
) -> None:
    here.post("/admin/faults", [{"on": "keypairs", "do": "refuse", **fault}] if fault else [])
    done = here.invoke("plan", write_plan(here, "{name: slow}", key="keyname: keypair-350B"))
    assert done.returncode == code, done.stderr
    assert f"hint: {hint}" in done.stderr


def test_what_is_advised_fits_the_plan_and_can_help(here: SharedCloudRunner) -> None:
    here.post("/admin/faults", [{"on": "stop", "do": "stuck"}])
    plan = write_plan(here, "{name: slow}, {name: icy}", TIMES.replace("stop: 10s", "stop: 1s"))
    done = here.fleetos("apply", plan, "--yes", "--expect-wipes", "1")
    assert done.returncode == ExitCode.SOME_FAILED, done.stderr
    words = " ".join((done.stdout + done.stderr).split())
    assert "raise `timeouts.stop` in the plan" in words
    assert "hard stop" not in words
    assert "pay what the account owes" in words
    assert "another image" not in words
