"""What `status`, `runs` and `events` tell of a run that has no driver any more, to whoever is called at night."""

import json
import os
import signal
from collections.abc import Mapping

import pytest

from tests.cli.runner import SharedCloudRunner, StartedCommand
from tests.support.commands import until

# A change stays under way, however slow the machine; and one that takes its time and ends.
STUCK: Mapping[str, object] = {"on": "changeos", "do": "stuck"}
SLOW: Mapping[str, object] = {"on": "job", "do": "latency", "seconds": [0.5, 0.5]}


def killed(runner: SharedCloudRunner, names: list[str], fault: Mapping[str, object] = STUCK) -> StartedCommand:
    """A run of these servers, one at a time, whose driver was killed while the first was changed."""
    runner.faults(fault)
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    began.kill()
    runner.post("/admin/heal", {})
    return began


def test_a_run_whose_driver_was_killed_is_abandoned_and_promises_nothing(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    began = killed(runner, names)
    run = runner.status()["run"]
    assert (run["state"], run["condition"], run["driver"], run["left"]) == ("running", "abandoned", None, None)
    assert run["lease"]["life"] == "gone"
    assert run["lease"]["holder"].startswith(f"process {began.process.pid} of ")
    assert [one["name"] for one in runner.status()["powered_off"]] == names[:1]
    shown = runner.invoke("status").stdout
    assert "abandoned, last sign of life " in shown
    assert "region eu-de, project eu-de_sim (" in shown
    assert "user sim" in shown
    assert shown.count("no driver") == 3
    assert f"1 server may be powered off because of this run: {names[0]}\n" in shown
    assert "queued" not in shown
    assert shown.endswith(
        f"next: fleetos resume {began.run_id}\nor end the run and wipe no further disk: fleetos abort {began.run_id}\n"
    )
    listed = runner.invoke("runs").stdout
    assert "  abandoned  " in listed


def test_a_follower_leaves_when_the_driver_is_killed(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    runner.faults(STUCK)
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    follower = runner.begin("events", "--follow")
    follower.until("target.changing")
    began.kill()
    left = follower.end()
    assert left.returncode == 20
    assert f"no process drives run {began.run_id}: abandoned, last sign of life " in left.stderr
    assert left.stderr.count("no process drives") == 1
    again = runner.invoke("events", "--follow", "--tail", "1")
    assert again.returncode == 20
    assert len(again.stdout.splitlines()) == 1


def test_a_driver_that_a_signal_holds_is_told(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    runner.faults({"on": "changeos", "do": "latency", "seconds": [5, 5], "servers": names[1:]})
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    pid = began.process.pid
    os.kill(pid, signal.SIGSTOP)
    until(lambda: runner.status()["run"]["condition"] == "driver-stopped")
    run = runner.status()["run"]
    assert (run["lease"]["life"], run["driver"].startswith(f"process {pid} ")) == ("stopped", True)
    shown = runner.invoke("status").stdout
    assert "its driver is stopped by a signal" in shown
    assert f"kill -CONT {pid}" in shown
    os.kill(pid, signal.SIGCONT)
    runner.post("/admin/heal", {})
    assert began.end().returncode == 0


def test_servers_and_states_are_chosen_and_a_pipe_cuts_nothing(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    killed(runner, names)
    shown = runner.invoke("status", "--server", names[1]).stdout
    assert names[1] in shown
    assert names[2] not in shown
    ids = {name: runner.servers()[name]["id"] for name in names}
    document = json.loads(runner.invoke("status", "--state", "waiting", "-o", "json").stdout)
    assert [one["name"] for one in document["targets"]] == names[1:]
    assert document["counts"]["total"] == 3
    document = json.loads(runner.invoke("status", "--server", ids[names[0]], "--server", names[2], "-o", "json").stdout)
    assert [one["name"] for one in document["targets"]] == [names[0], names[2]]
    wrong = runner.invoke("status", "--server", f"{names[1]}x")
    assert wrong.returncode == 64
    assert names[1] in wrong.stderr
    assert "…" not in runner.invoke("status").stdout.partition("SERVER ")[2]


def test_events_are_chosen_by_server_type_time_and_number(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    killed(runner, names)
    events = [json.loads(line) for line in runner.invoke("events", "-o", "jsonl").stdout.splitlines()]

    def chosen(*arguments: str) -> list[object]:
        return [json.loads(line) for line in runner.invoke("events", *arguments, "-o", "jsonl").stdout.splitlines()]

    assert chosen("--tail", "3") == events[-3:]
    assert chosen("--tail", "0") == []
    assert chosen("--server", names[1]) == [one for one in events if one.get("server") == names[1]]
    assert (
        chosen("--type", "target.enlisted", "--tail", "1")
        == [one for one in events if one["type"] == "target.enlisted"][-1:]
    )
    assert chosen("--since", "1h") == chosen("--since", "2000-01-01T00:00:00Z") == events
    assert chosen("--since", events[-1]["at"])[-1:] == events[-1:]
    assert chosen("--since", "2999-01-01T00:00:00Z") == []
    for wrong, hint in (("--since", "yesterday"), ("--type", "target.hold"), ("--since", "2026-03-01T12:00:00")):
        refused = runner.invoke("events", wrong, hint)
        assert refused.returncode == 64
        assert hint in refused.stderr
    assert "target.held" in runner.invoke("events", "--type", "target.hold").stderr


def test_the_name_of_a_run_means_its_unfinished_one_else_its_newest(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    first = killed(runner, names[:1], SLOW)
    assert runner.status("a-test-rollout")["run"]["id"] == first.run_id
    assert runner.fleetos("resume", "a-test-rollout").returncode == 0
    second = runner.begin("apply", runner.write_plan(names[1:]), "--yes")
    assert second.end().returncode == 0
    assert runner.status("a-test-rollout")["run"]["id"] == second.run_id
    wrong = runner.invoke("status", "a-test-rolout")
    assert wrong.returncode == 64
    assert "did you mean a-test-rollout?" in wrong.stderr


@pytest.mark.parametrize("command", ["status", "events", "runs"])
def test_a_cloud_without_runs_shows_none(runner: SharedCloudRunner, command: str) -> None:
    killed(runner, runner.take(1))
    other = runner.invoke(command, "--cloud", "another")
    assert (other.stdout, other.returncode) == ("", 0 if command == "runs" else 64)
