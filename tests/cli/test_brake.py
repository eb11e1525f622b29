"""The brake, with the real command and the cloud's ledger as the judge: an image that fails on every server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import running_cloud

SERVERS, CONCURRENCY = 24, 3
NAMES = [f"web-{number:03d}" for number in range(1, SERVERS + 1)]
FAILS = {"on": "changeos", "do": "fail", "code": "Ecs.0219", "picture": "error"}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """A cloud of its own, in which every change fails."""
    for folder in ("cloud", "play"):
        (tmp_path / folder).mkdir()
    with (
        running_cloud(tmp_path / "cloud", {**SCENARIO, "servers": [{"count": SERVERS, "name": "web-###"}]}) as cloud,
        SharedCloudRunner.at(cloud, tmp_path / "play", iter(NAMES)) as begun,
    ):
        begun.faults(FAILS)
        yield begun


def test_an_image_that_fails_everywhere_takes_five_servers_and_those_in_flight(runner: SharedCloudRunner) -> None:
    text = runner.write_plan(NAMES, concurrency=CONCURRENCY, attempts=1)
    done = runner.fleetos("apply", text, "--yes")
    assert done.returncode == 11, done.stderr
    changed = sum(runner.changes(NAMES).values())
    assert 5 <= changed <= 5 + CONCURRENCY
    failed = runner.status()["counts"]["held"]
    assert failed == changed
    said = f"paused: the first 5 changed servers all failed; resume forgives these {failed}"
    assert said in done.stdout
    assert said in runner.invoke("status").stdout
    assert "paused: the first 5 changed servers all failed" in runner.invoke("runs").stdout
    run = runner.status()["run"]
    assert {key: run["pause"][key] for key in ("reason", "detail", "by")} == {
        "reason": "budget",
        "detail": "the first 5 changed servers all failed",
        "by": None,
    }
    assert run["budgets"] == [{"scope": "first", "failed": failed, "allowed": 4}]
    assert run["exit_code"] == 11


@pytest.mark.slow
def test_only_a_resume_with_a_reason_goes_on_and_forgives(runner: SharedCloudRunner) -> None:
    text = runner.write_plan(NAMES, concurrency=CONCURRENCY, attempts=1)
    assert runner.fleetos("apply", text, "--yes").returncode == 11
    before = runner.changes(NAMES)
    again = runner.fleetos("apply", text, "--yes")
    assert again.returncode == 11
    assert "the first 5 changed servers all failed" in again.stderr
    assert '--reason "..."' in again.stderr
    refused = runner.invoke("resume", "-o", "json")
    assert refused.returncode == 64
    assert "--reason" in json.loads(refused.stdout)["error"]["hint"]
    for reason in (" ", "x" * 501, "two\nlines"):
        wrong = runner.fleetos("resume", "--reason", reason)
        assert wrong.returncode == 64
        assert "say why in 1 to 500 printable letters" in " ".join(wrong.stderr.split())
    assert runner.changes(NAMES) == before
    # The image is still bad: as many more fail, and the run pauses again.
    assert runner.fleetos("resume", "--reason", "a second look").returncode == 11
    twice = runner.changes(NAMES)
    assert sum(before.values()) + 5 <= sum(twice.values()) <= sum(before.values()) + 5 + CONCURRENCY
    runner.faults()
    mended = runner.fleetos("resume", "--reason", "the image was mended", "-o", "jsonl")
    assert mended.returncode == 10
    events = [json.loads(line) for line in mended.stdout.splitlines()]
    assert sum(event["type"] == "target.forgiven" for event in events) >= 5
    (resumed,) = (event for event in events if event["type"] == "run.running")
    assert resumed["detail"] == "the image was mended"
    assert max(runner.changes(NAMES).values()) == 1


def test_the_plan_says_the_rule_and_may_switch_it_off(runner: SharedCloudRunner) -> None:
    said = runner.invoke("plan", runner.write_plan(NAMES)).stdout
    assert "The run pauses when the first 5 servers that end all failed; what is in flight then finishes." in said
    off = Path(runner.write_plan(NAMES[:7], attempts=1))
    off.write_text(off.read_text(encoding="utf-8").replace("{attempts: 1,", "{attempts: 1, first: off,"), "utf-8")
    assert runner.fleetos("apply", str(off), "--yes").returncode == 10
    assert sum(runner.changes(NAMES).values()) == 7


def test_a_process_killed_before_the_brake_leaves_its_failures_to_the_next(runner: SharedCloudRunner) -> None:
    text = runner.write_plan(NAMES, concurrency=1, attempts=1)
    began = runner.begin("apply", text, "--yes")
    began.until("target.held", 3)
    began.kill()
    assert runner.fleetos("resume").returncode == 11
    assert 5 <= sum(runner.changes(NAMES).values()) <= 6
