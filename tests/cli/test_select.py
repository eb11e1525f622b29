"""Servers by what the cloud says of them: the real command on a cloud whose servers differ, judged by its ledger."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runner import PACE, SharedCloudRunner
from tests.support.commands import CommandRunner

OPS = "7e25b1da-389f-4697-a79d-f3a0e5bd494e"
DURATIONS = {"stop": [0.05, 0.1], "start": [0.05, 0.1], "change": [0.3, 0.5], "job_init": [0, 0.05]}
SCENARIO = {
    "seed": 3,
    "servers": [
        {"count": 3, "name": "app-#", "tags": ["role=app"], "flavor": "m1.large.8", "address": "10.1.0.1"},
        {"name": "app-gold", "tags": ["role=app", "gold"], "az": ["eu-de-02"]},
        {"count": 4, "name": "db-#", "tags": ["role=db"], "enterprise_project": OPS},
        {"count": 2, "name": "slow-#", "tags": ["role=slow"]},
        {"count": 2, "name": "idle-#", "tags": ["role=idle"], "state": "stopped", "az": ["eu-de-03"]},
        {"count": 2, "name": "late-#", "tags": ["role=late"], "az": ["eu-de-03"]},
        {"count": 3, "name": "old-#", "tags": ["role=old"]},
        {"name": "old-gold", "tags": ["role=old"]},
        {"count": 2, "name": "lone-#", "image": "Lone"},
    ],
    "images": [{"name": f"Standard_Debian_{number}_latest"} for number in (11, 12)]
    + [{"name": "Lone"}, {"name": "Third"}],
    "flavors": [{}, {"id": "m1.large.8"}],
    "enterprise_projects": [{"id": "0", "name": "default"}, {"id": OPS, "name": "ops"}],
    "durations": DURATIONS,
    "temporary_servers": True,
}


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    return SCENARIO


def write_plan(runner: SharedCloudRunner, *servers: object, exclude: object = (), pace: str = PACE) -> str:
    """The path of a plan for these servers."""
    head = "version: 1\nname: selected\nchange: {image: Standard_Debian_12_latest, keyname: KeyPair-350b}\n"
    return runner.plan(f"{head}servers: {json.dumps(servers)}\nexclude: {json.dumps(exclude)}\n{pace}")


def changed(runner: SharedCloudRunner, *names: str) -> dict[str, int]:
    """How often each of the servers was changed."""
    return runner.changes(names)


def test_what_is_selected_is_changed_and_nothing_else(runner: SharedCloudRunner) -> None:
    text = write_plan(
        runner,
        {"name": "app-2", "labels": {"by": "name"}},
        {"select": {"tags": {"role": "app"}}, "labels": {"tier": "app"}},
        {"select": {"flavor": "m1.large.8", "ip": "10.1.0.0/30", "enterprise_project": "0"}},
        exclude=[{"name": "*-gold"}],
    )
    assert runner.invoke("validate", text).returncode == 0
    told = json.loads(runner.invoke("plan", text, "-o", "json").stdout)
    assert told["counts"] == {"total": 3, "change": 3, "skip": 0, "refuse": 0}
    assert [(one["key"], one["place"], one["servers"]) for one in told["selectors"]] == [
        ("servers[1].select", f"{text}:4:57", 4),
        ("servers[2].select", f"{text}:4:123", 3),
    ]
    done = runner.fleetos("apply", text, "--yes", "--expect-wipes", "3", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert f"servers[1].select at {text}:4:57 matches 4 servers" in done.stderr
    names = [target["name"] for target in json.loads(done.stdout)["targets"]]
    assert names == ["app-2", "app-1", "app-3"]
    everybody = list(runner.servers())
    assert changed(runner, *everybody) == {**dict.fromkeys(everybody, 0), "app-1": 1, "app-2": 1, "app-3": 1}
    again = runner.invoke("apply", text, "--yes")
    assert again.returncode == 0
    assert "nothing to do: 3 servers already on the image" in again.stderr


def test_a_selector_that_means_nothing_says_what_is_there(runner: SharedCloudRunner) -> None:
    text = write_plan(runner, {"select": {"tags": {"role": "dbs"}}}, {"select": {"az": "eu-de-03", "name": "app-*"}})
    refused = runner.invoke("apply", text, "--yes", "-o", "json")
    assert refused.returncode == 65
    first, second = json.loads(refused.stdout)["error"]["problems"]
    assert (first["key"], first["line"]) == ("servers[0].select.tags.role", 4)
    assert first["expected"] == "no server has tag role=dbs"
    assert first["hint"].startswith("did you mean role=db? tags seen: ")
    assert second["expected"] == "no server matches every key (`name` matches 4, `az` matches 4)"
    bad = runner.invoke(
        "validate", write_plan(runner, {"select": {"tag": {"role": "db"}, "status": "BUILD"}}), "-o", "json"
    )
    assert bad.returncode == 65
    unknown, status = json.loads(bad.stdout)["errors"]
    assert (unknown["key"], unknown["hint"]) == ("servers[0].select.tag", "did you mean `tags`?")
    assert status["key"] == "servers[0].select.status"
    assert runner.runs() == []


def test_a_run_that_is_carried_on_selects_nothing_anew(runner: SharedCloudRunner) -> None:
    """Its selector means two stopped servers at first, and others once somebody has stopped these and started those."""
    text = write_plan(runner, {"select": {"status": "SHUTOFF"}})
    began = runner.begin("apply", text, "--yes", "--expect-wipes", "2")
    began.until("target.changing")
    began.kill()
    for name in ("late-1", "late-2"):
        runner.act(name, act="stop")
    done = runner.fleetos("apply", text, "--yes", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert [target["name"] for target in json.loads(done.stdout)["targets"]] == ["idle-1", "idle-2"]
    assert changed(runner, "idle-1", "idle-2", "late-1", "late-2") == {
        "idle-1": 1,
        "idle-2": 1,
        "late-1": 0,
        "late-2": 0,
    }
    # The run has ended. What the selector means by now is other servers: that is for the operator to decide.
    refused = runner.invoke("apply", text, "--yes")
    assert refused.returncode == 65
    assert "`select` now means servers that it does not have: late-1, late-2" in refused.stderr
    assert "--new-run" in refused.stderr
    assert len(runner.runs()) == 1
    anew = runner.fleetos("apply", text, "--yes", "--new-run", "--expect-wipes", "2")
    assert anew.returncode == 0, anew.stderr
    assert changed(runner, "idle-1", "late-1", "late-2") == {"idle-1": 1, "late-1": 1, "late-2": 1}
    # Nothing is stopped any more: what a selector no longer means is no reason to do anything.
    assert runner.invoke("apply", text, "--yes").returncode == 0


def test_the_platforms_temporary_servers_are_never_selected(
    runner: SharedCloudRunner, cloud: CommandRunner, tmp_path: Path
) -> None:
    runner.faults({"on": "changeos", "do": "lag", "seconds": [3, 3]})
    # The servers follow after their jobs: a settle that is shorter would take that for a change without effect.
    pace = PACE.replace("settle: 1s", "settle: 10s")
    began = runner.begin("apply", write_plan(runner, {"select": {"tags": {"role": "slow"}}}, pace=pace), "--yes")
    began.until("target.changing", 2)
    runner.faults()
    temporary = f"temp-{runner.servers()['slow-1']['id'][:8]}"
    (tmp_path / "other").mkdir()
    with SharedCloudRunner.at(cloud, tmp_path / "other", iter(())) as other:
        named = other.invoke("apply", write_plan(other, {"name": temporary}))
        assert named.returncode == 10, "it is in the list, and has no system disk"
        selected = other.invoke("apply", write_plan(other, {"select": {"name": "temp-*"}}))
        assert selected.returncode == 65
        assert "no server has a name like temp-*" in selected.stderr
        everything = other.invoke("apply", write_plan(other, {"select": {"name": "*"}}))
        assert f"servers[0].select at {tmp_path}/other/plan.yaml:4:12 matches 20 servers" in everything.stderr
    assert began.end().returncode == 0
    assert changed(runner, "slow-1", "slow-2") == {"slow-1": 1, "slow-2": 1}


def test_a_selection_costs_the_pages_of_the_list_and_no_read_for_a_server(runner: SharedCloudRunner) -> None:
    before = runner.ledger().requests
    text = write_plan(runner, {"select": {"tags": {"role": "db"}, "enterprise_project": OPS}})
    refused = runner.invoke("apply", text)
    assert refused.returncode == 64
    assert "WIPES 4 system disks" in refused.stderr
    after = runner.ledger().requests
    keys = ("list", "detail", "enterprise-projects")
    assert {key: after.get(key, 0) - before.get(key, 0) for key in keys} == {**dict.fromkeys(keys, 0), "list": 1}


def test_an_enterprise_project_is_named_where_names_can_be_read(runner: SharedCloudRunner) -> None:
    text = write_plan(runner, {"select": {"enterprise_project": "ops"}}, {"name": "app-1"})
    told = json.loads(runner.invoke("plan", text, "-o", "json").stdout)
    assert [one["name"] for one in told["servers"]] == ["db-1", "db-2", "db-3", "db-4", "app-1"]
    drifted = json.loads(runner.invoke("drift", text, "-o", "json").stdout)
    assert drifted["counts"]["total"] == 5
    missing = runner.invoke("plan", write_plan(runner, {"select": {"enterprise_project": "opps"}}))
    assert missing.returncode == 65
    assert "did you mean ops?" in missing.stderr
    for code in ("Pdp.0001", "APIGW.0101", "APIGW.0301"):
        runner.faults({"on": "enterprise-projects", "do": "refuse", "code": code})
        for command in ("plan", "apply", "drift"):
            refused = runner.invoke(command, text, "-o", "json")
            assert refused.returncode == 65, refused.stderr
            (problem,) = json.loads(refused.stdout)["error"]["problems"]
            assert problem["key"] == "servers[0].select.enterprise_project"
            assert problem["expected"] == "the id of an enterprise project, or 0 for the default one"
            assert code in problem["hint"]
    runner.faults()


def test_a_plan_that_selects_by_the_old_image_is_done_once_all_are_changed(
    runner: SharedCloudRunner, tmp_path: Path
) -> None:
    old = "Standard_Debian_11_latest"
    text = write_plan(runner, {"select": {"tags": {"role": "old"}, "image": old}}, exclude=[{"name": "old-gold"}])
    assert runner.fleetos("apply", text, "--yes", "--expect-wipes", "3").returncode == 0
    assert changed(runner, "old-1", "old-2", "old-3", "old-gold") == {"old-1": 1, "old-2": 1, "old-3": 1, "old-gold": 0}
    planned = runner.invoke("plan", text, "-o", "json", "--detailed-exitcode")
    assert planned.returncode == 0, planned.stderr
    (note,) = [one for one in json.loads(planned.stdout)["findings"] if one["code"] == "done"]
    image = "Standard_Debian_12_latest"
    assert note["text"] == f"nothing to do: 3 match without `image` and run {image} already"
    assert "nothing to do: 3 match" in runner.invoke("plan", text).stdout
    # A timer comes again, also on a machine that has never heard of the run.
    assert runner.invoke("apply", text, "--yes", "--expect-wipes", "3").returncode == 0
    fresh = runner.invoke("apply", text, "--yes", "--expect-wipes", "0", "--db", str(tmp_path / "fresh.db"))
    assert (fresh.returncode, "nothing to do: 3 match" in fresh.stderr) == (0, True), fresh.stderr
    assert changed(runner, "old-1", "old-gold") == {"old-1": 1, "old-gold": 0}
    same = runner.invoke("drift", text, "-o", "json")
    assert (same.returncode, json.loads(same.stdout)["counts"]["same"]) == (0, 3)
    # Somebody gives one of them a third image: drift tells, plan warns, and nothing is done to it.
    runner.act("old-2", act="change", image="Third")
    drifted = runner.invoke("drift", text, "-o", "json")
    assert drifted.returncode == 2
    verdicts = {one["name"]: one["verdict"] for one in json.loads(drifted.stdout)["servers"]}
    assert verdicts == {"old-1": "same", "old-2": "drifted", "old-3": "same"}
    warned = runner.invoke("plan", text)
    assert warned.returncode == 0
    assert "1 match without `image`, and run another image: old-2" in warned.stdout
    mistyped = write_plan(runner, {"select": {"tags": {"role": "old"}, "image": "Standard_Debian_11_latst"}})
    refused = runner.invoke("plan", mistyped)
    assert (refused.returncode, f"did you mean {old}?" in refused.stderr) == (65, True)


def test_drift_of_a_selector_by_image_alone_knows_the_servers_of_its_runs(runner: SharedCloudRunner) -> None:
    text = write_plan(runner, {"select": {"image": "Lone"}})
    assert runner.fleetos("apply", text, "--yes", "--expect-wipes", "2").returncode == 0
    told = runner.invoke("drift", text, "-o", "json")
    assert (told.returncode, json.loads(told.stdout)["counts"]["total"]) == (0, 2), told.stderr
    assert runner.invoke("plan", text).returncode == 0
    runner.act("lone-1", act="change", image="Third")
    assert runner.invoke("drift", text).returncode == 2
