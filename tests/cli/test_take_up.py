"""Servers that are released or retried while their run goes on, with the real command and the ledger as the judge."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner, StartedCommand
from tests.support.commands import COMMAND_TIMEOUT_S, running_cloud
from tests.support.ledger import successful_disks_destroyed

pytestmark = pytest.mark.slow

NAMES = [f"web-{number:03d}" for number in range(1, 5)]
WHY = ("--reason", "it is free now")
BLOCKED = {"on": "job", "do": "refuse", "code": "APIGW.0201"}
FAILS = {"on": "changeos", "do": "fail", "servers": NAMES[:1], "code": "Ecs.0202", "picture": ["old-disk"]}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """A cloud of its own, in which a change takes long enough to be seen."""
    for folder in ("cloud", "run"):
        (tmp_path / folder).mkdir()
    scenario = {
        **SCENARIO,
        "servers": [{"count": len(NAMES), "name": "web-###"}],
        "durations": {"stop": [0.05, 0.15], "start": [0.05, 0.15], "change": [1.0, 1.0]},
    }
    with (
        running_cloud(tmp_path / "cloud", scenario) as cloud,
        SharedCloudRunner.at(cloud, tmp_path / "run", iter(NAMES)) as begun,
    ):
        yield begun
        assert successful_disks_destroyed(begun.ledger()) == []


def begin(runner: SharedCloudRunner, names: list[str]) -> StartedCommand:
    """Begin an apply whose first change stays under way until the cloud heals."""
    driver = runner.begin("apply", runner.write_plan(names, concurrency=1, attempts=1), "--yes")
    driver.until("target.changing")
    runner.faults(BLOCKED)
    return driver


def begin_with_failure(runner: SharedCloudRunner, names: list[str]) -> StartedCommand:
    """Begin an apply whose first server fails, and whose second change stays under way until the cloud heals."""
    runner.faults(FAILS)
    driver = runner.begin("apply", runner.write_plan(names, concurrency=1, attempts=1), "--yes")
    driver.until("target.held")
    driver.until("target.changing", 2)
    runner.faults(BLOCKED)
    return driver


def heal(runner: SharedCloudRunner) -> None:
    runner.post("/admin/heal", {})


def asked(runner: SharedCloudRunner, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What became of a request."""
    done = runner.invoke(*arguments, "-o", "json")
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout)["request"])


def holder_of(runner: SharedCloudRunner, name: str) -> str | None:
    """The run that holds the server."""
    query = "SELECT run_id FROM claims WHERE server_id = ?"
    with closing(sqlite3.connect(runner.database)) as connection:
        row = connection.execute(query, (runner.servers()[name]["id"],)).fetchone()
    return None if row is None else str(row[0])


def test_a_server_that_is_held_and_released_is_changed_once(runner: SharedCloudRunner) -> None:
    driver = begin(runner, NAMES)
    run_id, held = driver.run_id, NAMES[2]
    assert asked(runner, "hold", run_id, held, "--reason", "in use")["outcome"] == "done"
    assert holder_of(runner, held) is None
    request = asked(runner, "release", run_id, held, "--as", "anna", *WHY)
    assert (request["verb"], request["outcome"], request["by"]) == ("release", "done", "anna")
    assert holder_of(runner, held) == run_id
    assert asked(runner, "release", run_id, held, *WHY)["outcome"] == "no-effect"
    heal(runner)
    assert driver.end().returncode == 0
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)
    assert runner.status(run_id)["counts"] == {"total": len(NAMES), "done": len(NAMES)}


def test_a_server_that_failed_is_retried_while_others_go_on(runner: SharedCloudRunner) -> None:
    driver = begin_with_failure(runner, NAMES)
    run_id, failed = driver.run_id, NAMES[0]
    assert runner.invoke("retry", run_id, *WHY).returncode == 64
    assert runner.invoke("retry", run_id, failed, "--yes").returncode == 64
    silent = runner.invoke("retry", run_id, failed, *WHY)
    assert silent.returncode == 64
    enlisted = next(event for event in driver.events if event["type"] == "target.enlisted" and event["name"] == failed)
    assert enlisted["system_disk"] in silent.stderr
    assert runner.invoke("retry", run_id, failed, *WHY, "--expect-wipes", "2", "--yes").returncode == 13
    assert asked(runner, "retry", run_id, failed, "--yes", "--expect-wipes", "1", *WHY)["outcome"] == "done"
    budgets = {budget["scope"]: budget["failed"] for budget in runner.status(run_id)["run"]["budgets"]}
    assert budgets["first"] == 0
    assert asked(runner, "retry", run_id, failed, "--yes", *WHY)["outcome"] == "no-effect"
    heal(runner)
    assert driver.end().returncode == 0
    assert runner.changes(NAMES) == {**dict.fromkeys(NAMES, 1), failed: 2}
    assert runner.status(run_id)["run"]["passes"] == 1


def test_a_server_that_is_done_is_never_retried(runner: SharedCloudRunner) -> None:
    driver = begin(runner, NAMES[:2])
    heal(runner)
    driver.until("target.changing", 2)
    runner.faults(BLOCKED)
    done = next(event["server"] for event in driver.events if event["type"] == "target.done")
    refused = asked(runner, "retry", driver.run_id, done, "--yes", *WHY, code=64)
    assert (refused["outcome"], refused["detail"]) == ("refused", f"{done} is done: its new OS is proven")
    refused = asked(runner, "release", driver.run_id, done, *WHY, code=64)
    assert (refused["outcome"], refused["detail"]) == ("refused", f"{done} is done")
    heal(runner)
    assert driver.end().returncode == 0
    assert runner.changes(NAMES[:2]) == dict.fromkeys(NAMES[:2], 1)


def test_a_server_that_another_run_has_taken_is_not_released(runner: SharedCloudRunner) -> None:
    driver = begin(runner, NAMES[:3])
    run_id, held = driver.run_id, NAMES[2]
    assert asked(runner, "hold", run_id, *NAMES[1:3], "--reason", "in use")["outcome"] == "done"
    other = runner.begin("apply", runner.write_plan([held], "other.yaml"), "--yes")
    other.until("run.driver-started")
    # All of the servers or none: the other one stays held, too.
    refused = asked(runner, "release", run_id, *NAMES[1:3], *WHY, code=64)
    assert refused["outcome"] == "refused"
    assert other.run_id in refused["detail"]
    assert holder_of(runner, NAMES[1]) is None
    assert asked(runner, "pause", run_id, "--reason", "a look")["outcome"] == "done"
    heal(runner)
    assert (other.end().returncode, driver.end().returncode) == (0, 20)
    # Its claim is free again, and its disk is that of the other run.
    refused = asked(runner, "release", run_id, held, *WHY, code=64)
    assert refused["detail"].startswith(f"run {other.run_id} has changed {held} ")
    assert runner.fleetos("resume", run_id, *WHY).returncode == 10
    assert runner.changes(NAMES[:3]) == {NAMES[0]: 1, NAMES[1]: 0, held: 1}


@pytest.mark.parametrize("verb", ["release", "retry"])
def test_a_driver_that_is_killed_right_after_the_answer_wipes_no_disk_twice(
    runner: SharedCloudRunner, verb: str
) -> None:
    driver = begin(runner, NAMES[:3]) if verb == "release" else begin_with_failure(runner, NAMES[:3])
    run_id, again = driver.run_id, NAMES[2 if verb == "release" else 0]
    if verb == "release":
        assert asked(runner, "hold", run_id, again, "--reason", "in use")["outcome"] == "done"
    confirmed = ["--yes"] if verb == "retry" else []
    assert asked(runner, verb, run_id, again, *confirmed, *WHY)["outcome"] == "done"
    driver.kill()
    assert holder_of(runner, again) == run_id
    heal(runner)
    resumed = runner.fleetos("resume", run_id)
    assert resumed.returncode == 0, resumed.stderr
    expected = dict.fromkeys(NAMES[:3], 1)
    assert runner.changes(NAMES[:3]) == (expected if verb == "release" else {**expected, again: 2})


@pytest.mark.parametrize("verb", ["release", "retry"])
def test_of_two_terminals_one_has_the_effect(runner: SharedCloudRunner, verb: str) -> None:
    driver = begin(runner, NAMES[:3]) if verb == "release" else begin_with_failure(runner, NAMES[:3])
    run_id, again = driver.run_id, NAMES[2 if verb == "release" else 0]
    if verb == "release":
        assert asked(runner, "hold", run_id, again, "--reason", "in use")["outcome"] == "done"
    confirmed = ["--yes"] if verb == "retry" else []
    started = [runner.start(verb, run_id, again, *confirmed, *WHY, "-o", "json") for _ in range(2)]
    answers = [json.loads(one.communicate(timeout=COMMAND_TIMEOUT_S)[0])["request"]["outcome"] for one in started]
    assert sorted(answers) == ["done", "no-effect"]
    heal(runner)
    assert driver.end().returncode == 0
    assert max(runner.changes([again]).values()) == (1 if verb == "release" else 2)


def test_without_a_driver_the_command_takes_the_claim_itself(runner: SharedCloudRunner) -> None:
    driver = begin(runner, NAMES[:3])
    run_id, held = driver.run_id, NAMES[2]
    assert asked(runner, "hold", run_id, held, "--reason", "in use")["outcome"] == "done"
    driver.kill()
    heal(runner)
    assert asked(runner, "release", run_id, held, *WHY)["outcome"] == "done"
    assert holder_of(runner, held) == run_id
    assert runner.changes([held]) == {held: 0}
    assert runner.fleetos("resume", run_id).returncode == 0
    assert runner.changes(NAMES[:3]) == dict.fromkeys(NAMES[:3], 1)


def test_a_paused_run_is_retried_and_goes_on_only_when_it_is_resumed(runner: SharedCloudRunner) -> None:
    driver = begin_with_failure(runner, NAMES[:3])
    run_id, failed = driver.run_id, NAMES[0]
    assert asked(runner, "pause", run_id, "--reason", "a look")["outcome"] == "done"
    heal(runner)
    assert driver.end().returncode == 20
    assert asked(runner, "retry", run_id, failed, "--yes", *WHY)["outcome"] == "done"
    assert runner.status(run_id)["counts"] == {"total": 3, "waiting": 2, "done": 1}
    assert runner.changes([failed]) == {failed: 1}
    assert runner.fleetos("resume", run_id, *WHY).returncode == 0
    assert runner.changes(NAMES[:3]) == {**dict.fromkeys(NAMES[:3], 1), failed: 2}


def test_an_ended_run_is_retried_for_the_servers_that_are_named(runner: SharedCloudRunner) -> None:
    runner.faults({**FAILS, "servers": NAMES[:2]})
    done = runner.fleetos("apply", runner.write_plan(NAMES[:2], attempts=1), "--yes")
    assert done.returncode == 10, done.stderr
    heal(runner)
    run_id = str(runner.runs()[0]["id"])
    again = runner.fleetos("retry", run_id, NAMES[1], "--yes", "--expect-wipes", "1")
    assert again.returncode == 10, again.stderr
    assert runner.changes(NAMES[:2]) == {NAMES[0]: 1, NAMES[1]: 2}
    assert runner.status(run_id)["counts"] == {"total": 2, "held": 1, "done": 1}
