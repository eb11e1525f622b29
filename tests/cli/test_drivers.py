"""Who drives a run, who holds a server, and how an operator ends what nobody drives any more."""

import json
import re
import socket

from tests.cli.play import Play
from tests.support.ledger import stopped_by_us


def test_a_run_has_one_driver_and_can_be_asked_to_end(play: Play) -> None:
    names = play.take(3)
    began = play.begin("apply", play.written(names, concurrency=1), "--yes")
    began.until("target.changing")
    # Whatever job is under way stays so for as long as it cannot be read. On a slow machine one may have ended before.
    play.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    run_id, pid = began.run_id, began.process.pid
    second = play.fleetos("resume", run_id, "-o", "json")
    assert second.returncode == 21
    said = json.loads(second.stdout)["error"]["message"]
    assert re.search(
        rf"{run_id} .*process {pid} of \S+ on {re.escape(socket.gethostname())} "
        r"\(since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, renewed \d+ s ago\)",
        said,
    )
    other = play.called("apply", play.written(names[1:], "other.yaml"), "--yes")
    assert other.returncode == 21
    assert str(pid) in other.stderr
    assert f"holds 2 of these servers: {names[1]}, {names[2]}" in other.stderr.replace("\n", " ")
    assert "abort" not in other.stderr
    asked = play.fleetos("abort", run_id[:8], "--release", "-o", "json")
    assert asked.returncode == 0
    assert json.loads(asked.stdout)["run"]["driver"].startswith(f"process {pid} ")
    assert "asked to abort" in asked.stderr
    assert "call abort --release again" in asked.stderr
    play.post("/admin/heal", {})
    assert began.end().returncode == 10
    assert began.events[-1]["type"] == "run.aborted"
    changed = sum(play.changes(names).values())
    assert set(play.changes(names).values()) == {0, 1}
    assert play.status()["counts"] == {"total": 3, "done": changed, "cancelled": 3 - changed}
    ids = {play.servers()[name]["id"] for name in names}
    assert not ids.intersection(stopped_by_us(play.ledger(), play.truth()))


def test_an_undriven_run_keeps_its_servers_until_somebody_ends_it(play: Play) -> None:
    names = play.take(3)
    play.faults({"on": "changeos", "do": "latency", "seconds": [30, 30]})
    began = play.begin("apply", play.written(names), "--yes")
    began.until("target.ready")
    began.kill()
    run_id = began.run_id
    ids = {play.servers()[name]["id"] for name in names}
    assert ids.intersection(stopped_by_us(play.ledger(), play.truth())), "nothing is powered off, so nothing is proven"
    play.post("/admin/heal", {})
    other = play.called("apply", play.written(names[:1], "other.yaml"), "--yes")
    assert other.returncode == 20
    assert f"`fleetos resume {run_id}`" in other.stderr
    assert f"`fleetos abort {run_id}`" in other.stderr
    assert len(play.runs()) == 1
    ended = play.fleetos("abort", run_id, "-o", "json")
    assert ended.returncode in (0, 22), ended.stderr
    document = json.loads(ended.stdout)
    assert document["run"]["state"] == "aborted"
    assert document["run"]["resumed"] == 1
    assert not ids.intersection(stopped_by_us(play.ledger(), play.truth()))
    assert all(play.servers()[name]["status"] == "ACTIVE" for name in names)
    again = play.called("abort", run_id)
    assert again.returncode == 0
    assert "nothing to abort" in again.stderr


def test_stopped_servers_of_an_aborted_run_are_started_again(play: Play) -> None:
    names = play.take(2)
    # The stop ends, but its job cannot be read, so no change is sent before the command is killed.
    play.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    began = play.begin("apply", play.written(names), "--yes")
    began.until("target.power-answered", 2)
    began.kill()
    play.post("/admin/heal", {})
    done = play.fleetos("abort", began.run_id)
    assert done.returncode == 0, done.stderr
    assert play.changes(names) == dict.fromkeys(names, 0)
    assert [write.operation for write in play.writes(names)] == ["stop", "start"]
    assert {play.servers()[name]["status"] for name in names} == {"ACTIVE"}
    status = play.status(began.run_id[:7])
    assert status["counts"] == {"total": 2, "cancelled": 2}


def test_several_unfinished_runs_must_be_told_apart(play: Play) -> None:
    runs: list[str] = []
    for number in (1, 2):
        names = play.take(1)
        began = play.begin("apply", play.written(names, f"plan-{number}.yaml"), "--yes")
        began.until("target.stopping")
        began.kill()
        runs.append(began.run_id)
    done = play.called("resume")
    assert done.returncode == 64
    assert all(run_id in done.stderr for run_id in runs)
    common = runs[0][:2]
    assert all(run_id.startswith(common) for run_id in runs), "run ids are sortable by time, so they begin alike"
    both = play.called("status", common)
    assert both.returncode == 64
    assert all(run_id in both.stderr for run_id in runs)
    nearly = runs[0][:-1] + ("0" if runs[0][-1] != "0" else "1")
    unknown = play.called("status", nearly, "-o", "json")
    assert unknown.returncode == 64
    assert runs[0] in json.loads(unknown.stdout)["error"]["hint"]
