"""The same image again: the real command, judged by the ledger of the cloud."""

import json

from tests.cli.runner import PACE, SharedCloudRunner

OLD = "Standard_Debian_11_latest"


def write_plan(runner: SharedCloudRunner, *servers: object) -> str:
    """The path of a plan that reinstalls these servers."""
    head = "version: 1\nname: again\nchange: {reinstall: true, keyname: KeyPair-350b}\n"
    return runner.plan(f"{head}servers: {json.dumps(servers)}\nfailure: {{attempts: 2, backoff: 100ms}}\n{PACE}")


def test_servers_get_their_own_image_on_a_new_disk_and_not_twice_by_accident(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    text = write_plan(
        runner,
        {"name": names[0]},
        {"select": {"name": names[1]}, "labels": {"by": "select"}},
        {"name": names[2], "change": {"image": "Standard_Debian_12_latest"}},
    )
    before = {name: runner.servers()[name] for name in names}
    runner.faults(
        {
            "on": "reinstallos",
            "do": "fail",
            "code": "Ecs.0219",
            "picture": ["old-disk"],
            "nth": [1],
            "servers": names[:1],
        }
    )
    frozen = runner.folder / "frozen.json"
    told = runner.invoke("plan", text, "--out", str(frozen))
    assert told.returncode == 0, told.stderr
    assert f"{names[0]}: WIPES system disk {before[names[0]]['system_disk']} ({OLD} again)" in told.stdout
    assert f"servers[1].select at {text}:4:" in told.stdout
    done = runner.fleetos("apply", str(frozen), "--yes", "--expect-wipes", "3", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert f"image {OLD} pinned to " in done.stderr
    assert ", once more for 2 servers on it" in done.stderr
    after = runner.servers()
    told = {target["name"]: target for target in json.loads(done.stdout)["targets"]}
    for name in names:
        assert after[name]["system_disk"] != before[name]["system_disk"]
        assert told[name]["state"] == "done"
    assert [told[name]["image_before"] == told[name]["image_after"] for name in names] == [True, True, False]
    sent = [
        write.operation for write in runner.writes(names) if write.operation.endswith("os") and write.came == "accepted"
    ]
    assert sorted(sent) == ["changeos", "reinstallos", "reinstallos", "reinstallos"]
    again = runner.invoke("apply", text, "--yes")
    assert again.returncode == 65
    assert "it would change its servers again" in again.stderr
    assert "--new-run" in again.stderr
    assert runner.changes(names) == {names[0]: 2, names[1]: 1, names[2]: 1}


def test_a_reinstall_whose_answer_is_lost_happens_once(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    before, after, without = names
    runner.faults(
        {"on": "reinstallos", "do": "cut-before", "servers": [before], "nth": [1]},
        {"on": "reinstallos", "do": "cut-after", "servers": [after], "nth": [1]},
        {"on": "reinstallos", "do": "no-effect", "servers": [without]},
    )
    done = runner.fleetos("apply", write_plan(runner, *({"name": name} for name in names)), "--yes", "-o", "json")
    assert done.returncode == 22, done.stderr
    told = {target["name"]: target for target in json.loads(done.stdout)["targets"]}
    assert [told[name]["state"] for name in names] == ["done", "done", "held"]
    assert told[without]["reason"] == "outcome-unknown"
    assert runner.changes(names) == dict.fromkeys(names, 1)
