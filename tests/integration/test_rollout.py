"""A fleet in mixed states, end to end over HTTP with a real database; the cloud's ledger is the judge."""

import json
from pathlib import Path

import pytest

from tests.support.commands import running_cloud
from tests.support.ledger import changes_per_server, successful_disks_destroyed, writes_while_changing
from tests.support.plan_texts import plan

pytestmark = pytest.mark.slow

RUNNING, STOPPED, FAILED, ON_IMAGE, LOCKED = 200, 40, 20, 30, 10

SCENARIO = {
    "seed": 7,
    "servers": [
        {"count": RUNNING, "name": "run-###", "state": "running"},
        {"count": STOPPED, "name": "off-###", "state": "stopped"},
        {"count": FAILED, "name": "bad-###", "state": "failed"},
        {"count": ON_IMAGE, "name": "new-###", "state": "running", "image": "Standard_Debian_12_latest"},
        {"count": LOCKED, "name": "lock-###", "state": "running", "locked": True},
    ],
    "durations": {"stop": [0.2, 0.6], "start": [0.2, 0.5], "change": [0.5, 1.5], "job_init": [0.02, 0.1]},
    "faults": [
        {
            "do": "fail",
            "on": "changeos",
            "rate": 0.1,
            "nth": [1],
            "code": ["Ecs.0202"],
            "picture": ["old-disk", "error"],
        }
    ],
}


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:03d}" for number in range(1, count + 1)]


def test_three_hundred_servers_in_mixed_states_end_as_they_should(tmp_path: Path) -> None:
    groups = {"run": RUNNING, "off": STOPPED, "bad": FAILED, "new": ON_IMAGE, "lock": LOCKED}
    everyone = [name for prefix, count in groups.items() for name in names(prefix, count)]
    with running_cloud(tmp_path, SCENARIO) as runner:
        done = runner.fleetos(
            "apply", runner.plan(plan(everyone, concurrency=40)), "--yes", "-o", "json", timeout_s=170
        )
        ledger, truth = runner.ledger(), runner.servers()
    assert done.returncode == 10, done.stderr
    status = json.loads(done.stdout)
    ends = {target["name"]: target for target in status["targets"]}
    changed = names("run", RUNNING) + names("off", STOPPED) + names("bad", FAILED)
    assert {name: ends[name]["state"] for name in changed} == dict.fromkeys(changed, "done")
    assert {ends[name]["state"] for name in names("new", ON_IMAGE)} == {"skipped"}
    assert {(ends[name]["state"], ends[name]["reason"]) for name in names("lock", LOCKED)} == {("held", "locked")}
    assert status["counts"] == {"total": 300, "done": 260, "skipped": 30, "held": 10}
    # The cloud's own account of it.
    assert ledger.max_changes_in_flight <= 40
    assert successful_disks_destroyed(ledger) == []
    assert writes_while_changing(ledger) == []
    accepted = changes_per_server(ledger)
    untouched = {truth[name]["id"] for name in names("new", ON_IMAGE) + names("lock", LOCKED)}
    assert untouched.isdisjoint(accepted)
    assert all(len(writes) <= 3 for writes in accepted.values())
    assert {truth[name]["status"] for name in everyone} == {"ACTIVE"}
    retried = [target for target in status["targets"] if len(target["attempts"]) > 1]
    assert retried, "no change failed, so the retry was not tried"
    again = [attempt["outcome"] for attempt in retried[0]["attempts"]]
    assert again == ["failed", "succeeded"]
