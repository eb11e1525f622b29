"""Who drives a run, who holds a server, and how an operator ends what nobody drives any more."""

import json
import re
import socket

from tests.cli.runner import SharedCloudRunner
from tests.support.ledger import stopped_by_us


def test_a_run_has_one_driver_and_can_be_asked_to_end(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    # Whatever job is under way stays so for as long as it cannot be read. On a slow machine one may have ended before.
    runner.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    run_id, pid = began.run_id, began.process.pid
    second = runner.fleetos("resume", run_id, "-o", "json")
    assert second.returncode == 21
    said = json.loads(second.stdout)["error"]["message"]
    assert re.search(
        rf"{run_id} .*process {pid} of \S+ on {re.escape(socket.gethostname())} "
        r"\(since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, renewed \d+ s ago\)",
        said,
    )
    other = runner.invoke("apply", runner.write_plan(names[1:], "other.yaml"), "--yes")
    assert other.returncode == 21
    assert str(pid) in other.stderr
    assert f"holds 2 of these servers: {names[1]}, {names[2]}" in other.stderr.replace("\n", " ")
    assert "abort" not in other.stderr
    asked = runner.fleetos("abort", run_id[:8], "--release", "-o", "json")
    assert asked.returncode == 0
    assert json.loads(asked.stdout)["run"]["driver"].startswith(f"process {pid} ")
    assert "asked to abort" in asked.stderr
    assert "call abort --release again" in asked.stderr
    runner.post("/admin/heal", {})
    assert began.end().returncode == 10
    assert began.events[-1]["type"] == "run.aborted"
    changed = sum(runner.changes(names).values())
    assert set(runner.changes(names).values()) == {0, 1}
    assert runner.status()["counts"] == {"total": 3, "done": changed, "cancelled": 3 - changed}
    ids = {runner.servers()[name]["id"] for name in names}
    assert not ids.intersection(stopped_by_us(runner.ledger(), runner.truth()))


def test_an_undriven_run_keeps_its_servers_until_somebody_ends_it(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    runner.faults({"on": "changeos", "do": "latency", "seconds": [30, 30]})
    began = runner.begin("apply", runner.write_plan(names), "--yes")
    began.until("target.ready")
    began.kill()
    run_id = began.run_id
    ids = {runner.servers()[name]["id"] for name in names}
    assert ids.intersection(stopped_by_us(runner.ledger(), runner.truth())), (
        "nothing is powered off, so nothing is proven"
    )
    runner.post("/admin/heal", {})
    other = runner.invoke("apply", runner.write_plan(names[:1], "other.yaml"), "--yes")
    assert other.returncode == 20
    assert f"`fleetos resume {run_id}`" in other.stderr
    assert f"`fleetos abort {run_id}`" in other.stderr
    assert len(runner.runs()) == 1
    ended = runner.fleetos("abort", run_id, "-o", "json")
    assert ended.returncode in (0, 22), ended.stderr
    document = json.loads(ended.stdout)
    assert document["run"]["state"] == "aborted"
    assert document["run"]["resumed"] == 1
    assert not ids.intersection(stopped_by_us(runner.ledger(), runner.truth()))
    assert all(runner.servers()[name]["status"] == "ACTIVE" for name in names)
    again = runner.invoke("abort", run_id)
    assert again.returncode == 0
    assert "nothing to abort" in again.stderr


def test_stopped_servers_of_an_aborted_run_are_started_again(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    # The stop ends, but its job cannot be read, so no change is sent before the command is killed.
    runner.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    began = runner.begin("apply", runner.write_plan(names), "--yes")
    began.until("target.power-answered", 2)
    began.kill()
    runner.post("/admin/heal", {})
    done = runner.fleetos("abort", began.run_id)
    assert done.returncode == 0, done.stderr
    assert runner.changes(names) == dict.fromkeys(names, 0)
    assert [write.operation for write in runner.writes(names)] == ["stop", "start"]
    assert {runner.servers()[name]["status"] for name in names} == {"ACTIVE"}
    status = runner.status(began.run_id[:7])
    assert status["counts"] == {"total": 2, "cancelled": 2}


def test_several_unfinished_runs_must_be_told_apart(runner: SharedCloudRunner) -> None:
    runs: list[str] = []
    for number in (1, 2):
        names = runner.take(1)
        began = runner.begin("apply", runner.write_plan(names, f"plan-{number}.yaml"), "--yes")
        began.until("target.stopping")
        began.kill()
        runs.append(began.run_id)
    done = runner.invoke("resume")
    assert done.returncode == 64
    assert all(run_id in done.stderr for run_id in runs)
    common = runs[0][:2]
    assert all(run_id.startswith(common) for run_id in runs), "run ids are sortable by time, so they begin alike"
    both = runner.invoke("status", common)
    assert both.returncode == 64
    assert all(run_id in both.stderr for run_id in runs)
    nearly = runs[0][:-1] + ("0" if runs[0][-1] != "0" else "1")
    unknown = runner.invoke("status", nearly, "-o", "json")
    assert unknown.returncode == 64
    assert runs[0] in json.loads(unknown.stdout)["error"]["hint"]
