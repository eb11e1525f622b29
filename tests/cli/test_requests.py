"""Requests from a second terminal, with the real command, `fleetos sim` and its ledger as the judge."""

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner, StartedCommand
from tests.support.commands import COMMAND_TIMEOUT_S, running_cloud, until

pytestmark = pytest.mark.slow

WHY = "two servers look odd"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """A cloud of its own, in which a change takes long enough for `begin` to see it."""
    for folder in ("cloud", "run"):
        (tmp_path / folder).mkdir()
    names = [f"web-{number:03d}" for number in range(1, 7)]
    scenario = {
        **SCENARIO,
        "servers": [{"count": len(names), "name": "web-###"}],
        "durations": {"stop": [0.05, 0.15], "start": [0.05, 0.15], "change": [1.0, 1.0]},
    }
    with (
        running_cloud(tmp_path / "cloud", scenario) as cloud,
        SharedCloudRunner.at(cloud, tmp_path / "run", iter(names)) as begun,
    ):
        yield begun


def begin(runner: SharedCloudRunner, plan: str) -> StartedCommand:
    """Begin an apply whose first change stays under way, whatever it takes the machine, until `finish`."""
    driver = runner.begin("apply", plan, "--yes")
    driver.until("target.changing")
    # Whatever job is under way stays so for as long as it cannot be read.
    runner.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    return driver


def finish(runner: SharedCloudRunner) -> None:
    """Let the jobs of the cloud be read again."""
    runner.post("/admin/heal", {})


def answered(runner: SharedCloudRunner, *arguments: str) -> dict[str, Any]:
    """What became of a request, as programs read it."""
    done = runner.invoke(*arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["v"] == 1
    return {**document["request"], "state": document["run"]["state"]}


def events(runner: SharedCloudRunner, run_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in runner.invoke("events", run_id, "-o", "jsonl").stdout.splitlines()]


def answers(runner: SharedCloudRunner, run_id: str) -> list[tuple[int, str, str]]:
    """The answers of a run, in their order."""
    told = (event for event in events(runner, run_id) if event["type"] == "run.request")
    return [(event["request"], event["verb"], event["outcome"]) for event in told]


def rows(runner: SharedCloudRunner) -> int:
    """How many requests the database holds."""
    with closing(sqlite3.connect(runner.database)) as connection:
        return int(connection.execute("SELECT count(*) FROM requests").fetchone()[0])


def test_a_second_terminal_pauses_looks_and_goes_on(runner: SharedCloudRunner) -> None:
    names = runner.take(6)
    text = runner.write_plan(names, concurrency=1)
    driver = begin(runner, text)
    pause = answered(runner, "pause", driver.run_id, "--as", "anna", "--reason", WHY)
    assert (pause["verb"], pause["outcome"], pause["by"], pause["reason"]) == ("pause", "done", "anna", WHY)
    finish(runner)
    assert driver.end().returncode == 20
    status = runner.status(driver.run_id)
    assert (status["run"]["state"], status["run"]["pause"]["reason"], status["run"]["pause"]["by"]) == (
        "paused",
        "operator",
        "anna",
    )
    assert status["run"]["pause"]["detail"] == WHY
    # Everybody who was made ready is back in the queue, its power as it was.
    assert set(status["counts"]) <= {"total", "done", "waiting"}
    assert status["powered_off"] == []
    assert all(runner.servers()[name]["status"] == "ACTIVE" for name in names)
    before = runner.changes(names)
    timer = runner.fleetos("apply", text, "--yes")
    assert timer.returncode == 20
    assert WHY in timer.stderr
    assert runner.invoke("resume", driver.run_id).returncode == 64
    assert runner.changes(names) == before
    assert "paused by anna" in runner.invoke("status", driver.run_id).stdout
    assert WHY in runner.invoke("runs").stdout
    done = runner.fleetos("resume", driver.run_id, "--reason", "they are fine")
    assert done.returncode == 0, done.stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)
    assert answers(runner, driver.run_id) == [(1, "pause", "done"), (2, "resume", "done")]
    late = runner.invoke("pause", driver.run_id, "--reason", "too late", "-o", "json")
    assert (late.returncode, json.loads(late.stdout)["request"]["outcome"]) == (64, "refused")


def test_servers_are_held_and_skipped_in_mid_run(runner: SharedCloudRunner) -> None:
    names = runner.take(4)
    driver = begin(runner, runner.write_plan(names, concurrency=1))
    run_id, held, skipped = driver.run_id, names[2], names[3]
    assert answered(runner, "hold", run_id, held, "--reason", "in use")["outcome"] == "done"
    assert answered(runner, "hold", run_id, held, "--reason", "in use")["outcome"] == "no-effect"
    assert answered(runner, "skip", run_id, skipped, "--reason", "it is replaced")["outcome"] == "done"
    first = next(event["server"] for event in driver.events if event["type"] == "target.changing")
    refused = runner.invoke("hold", run_id, first, names[1], "--reason", "too late", "-o", "json")
    assert refused.returncode == 64
    assert re.search(rf"{first} is \w+", json.loads(refused.stdout)["request"]["detail"])
    assert runner.invoke("hold", run_id, "web-nowhere", "--reason", "x").returncode == 64
    finish(runner)
    assert driver.end().returncode == 10
    targets = {target["name"]: target for target in runner.status(run_id)["targets"]}
    assert (targets[held]["state"], targets[held]["reason"]) == ("held", "operator")
    assert (targets[skipped]["state"], targets[skipped]["reason"]) == ("skipped", "operator")
    assert targets[names[1]]["state"] == "done"
    assert runner.changes(names) == {**dict.fromkeys(names[:2], 1), held: 0, skipped: 0}


def test_the_concurrency_is_set_in_mid_run(runner: SharedCloudRunner) -> None:
    names = runner.take(6)
    driver = begin(runner, runner.write_plan(names, concurrency=1))
    for wrong in ("concurrency=0", "concurrency=10001", "concurrency=many", "pace=3"):
        assert runner.invoke("set", driver.run_id, wrong, "--reason", "x").returncode == 64
    assert answered(runner, "set", driver.run_id, "concurrency=5", "--reason", "a short night")["outcome"] == "done"
    finish(runner)
    assert driver.end().returncode == 0
    assert [event["concurrency"] for event in driver.events if event["type"] == "run.setting"] == [5]
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_a_driver_killed_between_row_and_effect_leaves_one_answer(runner: SharedCloudRunner) -> None:
    """The driver is stopped, so that it cannot read what is asked, and then killed."""
    names = runner.take(4)
    text = runner.write_plan(names, concurrency=1)
    driver = begin(runner, text)
    driver.process.send_signal(signal.SIGSTOP)
    asked = runner.start("pause", driver.run_id, "--reason", WHY, "-o", "json")
    until(lambda: rows(runner) > 0 or asked.poll() is not None)
    assert answers(runner, driver.run_id) == []
    driver.kill()
    finish(runner)
    _, err = asked.communicate(timeout=COMMAND_TIMEOUT_S)
    assert asked.returncode == 0, err
    assert answers(runner, driver.run_id) == [(1, "pause", "done")]
    assert runner.status(driver.run_id)["run"]["state"] == "paused"
    assert sum(runner.changes(names).values()) == 1
    assert runner.fleetos("resume", driver.run_id, "--reason", "go on").returncode == 0
    assert [verb for _, verb, _ in answers(runner, driver.run_id)] == ["pause", "resume"]
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_a_run_without_a_driver_is_paused_and_changed_by_the_command_itself(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    text = runner.write_plan(names, concurrency=1)
    driver = begin(runner, text)
    driver.kill()
    finish(runner)
    run_id = driver.run_id
    assert answered(runner, "skip", run_id, names[2], "--reason", "not needed")["outcome"] == "done"
    assert answered(runner, "set", run_id, "concurrency=2", "--reason", "faster")["outcome"] == "done"
    paused = runner.fleetos("pause", run_id, "--reason", WHY)
    assert paused.returncode == 0, paused.stderr
    assert "pause by" in paused.stderr
    counts = runner.status(run_id)["counts"]
    assert counts["skipped"] == 1
    assert runner.fleetos("resume", run_id, "--reason", "go on").returncode == 0
    assert runner.changes(names) == {names[0]: 1, names[1]: 1, names[2]: 0}


def test_the_page_shows_the_document_as_it_is(runner: SharedCloudRunner) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operator-requests.md").read_text(encoding="utf-8")
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    names = runner.take(1)
    driver = begin(runner, runner.write_plan(names))
    document = json.loads(runner.invoke("pause", driver.run_id, "--reason", WHY, "-o", "json").stdout)
    finish(runner)
    driver.end()
    assert document.keys() == example.keys()
    assert document["request"].keys() == example["request"].keys()
