"""Why a server does not move, a start at a later time, and drivers that do not wait, with the real command."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cli.runner import SharedCloudRunner
from tests.cli.test_windows import NAMES, SERVERS, opens_in, runner, write_plan
from tests.support.commands import Done, until

__all__ = ["runner"]


def explained(runner: SharedCloudRunner, server: str) -> Mapping[str, Any]:
    """The explanation of a server of the only run, for programs."""
    done = runner.invoke("explain", "a-test-rollout", server, "-o", "json")
    assert done.returncode == 0, done.stderr
    return cast("Mapping[str, Any]", json.loads(done.stdout))


def test_a_server_outside_of_its_window_is_explained(runner: SharedCloudRunner) -> None:
    plan = write_plan(runner, opens_in(3000, 7200), "  waves: [2, 100%]\n  max_unavailable: [{per: all, value: 2}]")
    left = runner.fleetos("apply", plan, "--yes", "--no-wait")
    assert left.returncode == 20, left.stderr
    assert "waiting: closed until " in left.stdout
    assert "next: fleetos resume " in left.stdout
    run = runner.status()["run"]
    assert (run["condition"], run["left"]["why"], run["exit_code"]) == ("waiting", "wait", 20)
    document = explained(runner, NAMES[0])
    assert (document["stands"], document["ended_by"]) == ("waits", "time")
    assert document["target"]["waits_for"]["reason"] == "window"
    assert document["why"].startswith("closed until ")
    assert document["ends_at"] == document["target"]["waits_for"]["ends_at"] == document["window"]["next"]
    assert document["disk"] == {"id": document["target"]["system_disk_before"], "fate": "to-be-wiped"}
    assert document["wave"]["number"] == 1
    assert [(group["per"], group["limit"]) for group in document["groups"]] == [("all", 2)]
    assert [event["type"] for event in document["events"]] == ["target.enlisted"]
    later = explained(runner, NAMES[5])
    assert (later["target"]["waits_for"]["reason"], later["wave"]["number"]) == ("wave", 2)
    assert later["ended_by"] == "driver"
    said = runner.invoke("explain", "a-test-rollout", document["target"]["server_id"]).stdout
    for words in ("why       window: closed until", "ended by  time", "WILL BE WIPED", "attempts  none of 1"):
        assert words in said
    assert f'fleetos hold {run["id"]} {document["target"]["server_id"]} --reason "..."' in said
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 0)


def test_whoever_is_done_failed_or_held_is_explained(runner: SharedCloudRunner) -> None:
    failing = NAMES[0]
    plan = write_plan(runner, "")
    runner.faults({"on": "changeos", "do": "fail", "code": "Ecs.0219", "servers": [failing], "picture": "error"})
    began = runner.begin("apply", plan, "--yes")
    began.until("run.driver-started")
    assert began.end().returncode == 10
    done = explained(runner, NAMES[2])
    assert (done["stands"], done["ended_by"], done["commands"]) == ("ended", "nobody", [])
    assert done["why"].startswith("runs image ")
    assert done["disk"]["fate"] == "wiped"
    assert done["events"][-1]["type"] == "target.done"
    assert len(done["events"]) <= 10
    failed = explained(runner, failing)
    assert failed["disk"]["fate"] == "unknown"
    assert failed["commands"] == [f"fleetos retry {failed['run']['id']}"]
    said = runner.invoke("explain", "a-test-rollout", failing).stdout
    assert "attempt   1 of 1: failed; Ecs.0219" in said
    assert "to do" in said


def test_an_unknown_server_and_run_are_refused_with_what_is_near(runner: SharedCloudRunner) -> None:
    assert runner.invoke("explain", "a-test-rollout", "web").returncode == 64
    runner.fleetos("apply", write_plan(runner, opens_in(3000, 7200)), "--yes", "--no-wait")
    refused = runner.invoke("explain", "a-test-rollout", "web-07")
    assert refused.returncode == 64
    assert "has no server 'web-07'" in refused.stderr
    assert "did you mean web-00" in refused.stderr
    refused = runner.invoke("explain", "a-test-rolout", NAMES[0])
    assert refused.returncode == 64
    assert "did you mean a-test-rollout" in refused.stderr


def no_wait(runner: SharedCloudRunner, plan: str) -> Done:
    return runner.fleetos("apply", plan, "--yes", "--no-wait")


@pytest.mark.slow
def test_calls_of_a_timer_bring_a_run_to_its_end(runner: SharedCloudRunner) -> None:
    plan = write_plan(runner, opens_in(3, 3600), "  waves: [1, 100%]\n  between_waves: {bake: 3s}")
    codes: list[int] = []

    def ended() -> bool:
        codes.append(no_wait(runner, plan).returncode)
        return codes[-1] != 20

    until(ended, look_every_s=1.0)
    assert codes[-1] == 0
    assert codes[:2] == [20, 20]
    assert set(codes) == {0, 20}
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)
    assert len(runner.runs()) == 1


def test_resume_need_not_wait_either(runner: SharedCloudRunner) -> None:
    assert no_wait(runner, write_plan(runner, opens_in(3000, 7200))).returncode == 20
    resumed = runner.fleetos("resume", "--no-wait")
    assert resumed.returncode == 20
    assert "waiting: closed until " in resumed.stdout
    events = [json.loads(line) for line in runner.invoke("events", "-o", "jsonl").stdout.splitlines()]
    ends = [event for event in events if event["type"] == "run.driver-ended"]
    assert [event["why"] for event in ends] == ["wait", "wait"]


@pytest.mark.slow
def test_a_run_is_frozen_now_and_starts_at_its_time(runner: SharedCloudRunner) -> None:
    start = (datetime.now(UTC) + timedelta(seconds=8)).replace(microsecond=0)
    plan = write_plan(runner, "")
    left = runner.fleetos("apply", plan, "--yes", "--at", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--no-wait")
    assert left.returncode == 20, left.stderr
    assert f"{start:%Y-%m-%d %H:%MZ}" in left.stderr
    assert f"starts nothing before {start:%Y-%m-%d %H:%MZ}" in left.stderr
    status = runner.status()
    assert status["run"]["not_before"] == f"{start:%Y-%m-%dT%H:%M:%S}.000Z"
    assert {target["waits_for"]["reason"] for target in status["targets"]} == {"scheduled"}
    assert explained(runner, NAMES[0])["ends_at"] == status["run"]["not_before"]
    other = runner.fleetos("apply", plan, "--yes", "--at", f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    assert other.returncode == 64
    assert "--at would not change that" in other.stderr
    # Killed before its start, and carried on.
    began = runner.begin("apply", plan, "--yes")
    began.until("run.driver-started")
    began.kill()
    resumed = runner.begin("resume")
    resumed.until("target.checking")
    assert datetime.now(UTC) >= start
    assert resumed.end().returncode == 0
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)
    again = runner.fleetos("apply", plan, "--yes", "--at", "22:00")
    assert again.returncode == 0
    assert "--at schedules nothing" in again.stderr


def test_a_start_that_cannot_be_meant_creates_nothing(runner: SharedCloudRunner) -> None:
    plan = write_plan(runner, 'windows: {zone: Europe/Berlin, allow: [{days: [mon-sun], from: "22:00", to: "05:00"}]}')
    for at, said in (("2026-01-01 22:00", "is over"), ("noon", "is no time"), ("2199-01-01 22:00", "7 days ahead")):
        refused = runner.fleetos("apply", plan, "--yes", "--at", at)
        assert refused.returncode == 64
        assert said in refused.stderr
    assert runner.runs() == []


def test_many_servers_are_counted_by_what_they_wait_for(runner: SharedCloudRunner) -> None:
    assert SERVERS < 10
    path = Path(write_plan(runner, opens_in(3000, 7200), "  waves: [1, 100%]"))
    assert no_wait(runner, str(path)).returncode == 20
    said = runner.invoke("status").stdout
    assert "WAITS FOR" in said
    assert "window closed until " in said
    assert "wave 1 of 2: 1 server, not begun" in said
