"""Waves and their budgets, with the real command and the cloud's ledger as the judge."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import running_cloud

pytestmark = pytest.mark.slow

SERVERS = 9
NAMES = [f"web-{number:03d}" for number in range(1, SERVERS + 1)]
FAILS = {"on": "changeos", "do": "fail", "code": "Ecs.0219", "picture": "error"}
WAVES = "waves: [1, 3, 100%]\n  order: [listed]\n  between_waves: {bake: 2s}"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """A cloud of its own."""
    for folder in ("cloud", "play"):
        (tmp_path / folder).mkdir()
    with (
        running_cloud(tmp_path / "cloud", {**SCENARIO, "servers": [{"count": SERVERS, "name": "web-###"}]}) as cloud,
        SharedCloudRunner.at(cloud, tmp_path / "play", iter(NAMES)) as begun,
    ):
        yield begun


def write_plan(runner: SharedCloudRunner, rollout: str = WAVES, failure: str = "") -> str:
    """Return the path of a plan with these waves and budgets."""
    path = Path(runner.write_plan(NAMES, concurrency=5, attempts=1))
    text = path.read_text(encoding="utf-8")
    steered = text.replace("rollout:\n", f"rollout:\n  {rollout}\n" if rollout else "rollout:\n")
    steered = steered.replace("failure: {", f"failure: {{{failure}")
    assert steered != text
    path.write_text(steered, "utf-8")
    return str(path)


def test_each_wave_waits_for_the_end_and_the_bake_of_the_one_before(runner: SharedCloudRunner) -> None:
    text = write_plan(runner)
    said = runner.invoke("plan", text).stdout
    for sentence in ("wave 1: 1 server, then watched for 2s", "wave 3: 5 servers, then watched for 2s"):
        assert sentence in said
    done = runner.fleetos("apply", text, "--yes", "-o", "jsonl")
    assert done.returncode == 0, done.stderr
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    at = {(event["type"], event.get("wave")): datetime.fromisoformat(event["at"]) for event in events}
    for wave in (1, 2):
        baked = at["run.wave-opened", wave + 1] - at["run.wave-finished", wave]
        assert baked.total_seconds() >= 2
    assert (at["run.done", None] - at["run.wave-finished", 3]).total_seconds() >= 2
    sent: list[str] = [event["server"] for event in events if event["type"] == "target.submitting"]
    assert sent[0] == NAMES[0]
    assert set(sent[1:4]) == set(NAMES[1:4])
    waves = runner.status()["run"]["waves"]
    assert [(wave["number"], wave["members"], wave["ended"], wave["state"]) for wave in waves] == [
        (1, 1, 1, "finished"),
        (2, 3, 3, "finished"),
        (3, 5, 5, "finished"),
    ]


def test_a_wave_that_fails_stops_before_the_next(runner: SharedCloudRunner) -> None:
    runner.faults(FAILS)
    text = write_plan(runner)
    done = runner.fleetos("apply", text, "--yes")
    assert done.returncode == 11, done.stderr
    assert "paused: more than 0 of 1 of wave 1 failed (1)" in done.stdout
    assert sum(runner.changes(NAMES).values()) == 1
    status = runner.status()
    assert {"scope": "wave 1", "failed": 1, "allowed": 0} in status["run"]["budgets"]
    assert [target["wave"] for target in status["targets"]] == [1, 2, 2, 2, 3, 3, 3, 3, 3]
    assert runner.fleetos("apply", text, "--yes").returncode == 11
    runner.faults()
    assert runner.fleetos("resume", "--reason", "it was looked at").returncode == 10
    assert max(runner.changes(NAMES).values()) == 1


def test_a_budget_may_end_the_run(runner: SharedCloudRunner) -> None:
    runner.faults(FAILS)
    text = write_plan(runner, "", "max_failed: 1, on_exceeded: end, ")
    done = runner.fleetos("apply", text, "--yes")
    assert done.returncode == 11, done.stderr
    run = runner.status()["run"]
    assert (run["state"], run["exit_code"]) == ("failed", 11)
    assert sum(runner.changes(NAMES).values()) < SERVERS
    assert runner.status()["counts"]["cancelled"] > 0
