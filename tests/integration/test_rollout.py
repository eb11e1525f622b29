"""A fleet in mixed states, end to end over HTTP with a real database; the cloud's ledger is the judge."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.commands import running_cloud
from tests.support.ledger import changes_per_server, successful_disks_destroyed, writes_while_changing
from tests.support.plan_texts import plan

pytestmark = pytest.mark.slow

# Of thirty servers so many are of a kind.
KINDS: Mapping[str, tuple[int, Mapping[str, object]]] = {
    "run": (20, {"state": "running"}),
    "off": (4, {"state": "stopped"}),
    "bad": (2, {"state": "failed"}),
    "new": (3, {"state": "running", "image": "Standard_Debian_12_latest"}),
    "lock": (1, {"state": "running", "locked": True}),
}
SCENARIO = {
    "seed": 7,
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


@pytest.mark.parametrize("thirties", [3, pytest.param(10, marks=pytest.mark.proof)])
def test_a_fleet_in_mixed_states_ends_as_it_should(tmp_path: Path, thirties: int) -> None:
    def names(prefix: str) -> list[str]:
        return [f"{prefix}-{number:03d}" for number in range(1, KINDS[prefix][0] * thirties + 1)]

    everyone = [name for prefix in KINDS for name in names(prefix)]
    groups = [{"count": len(names(prefix)), "name": f"{prefix}-###", **kind} for prefix, (_, kind) in KINDS.items()]
    concurrency = 4 * thirties
    with running_cloud(tmp_path, {**SCENARIO, "servers": groups}) as runner:
        text = runner.plan(plan(everyone, concurrency=concurrency))
        done = runner.fleetos("apply", text, "--yes", "-o", "json", timeout_s=170)
        ledger, truth = runner.ledger(), runner.servers()
    assert done.returncode == 10, done.stderr
    status = json.loads(done.stdout)
    ends = {target["name"]: target for target in status["targets"]}
    changed = names("run") + names("off") + names("bad")
    assert {name: ends[name]["state"] for name in changed} == dict.fromkeys(changed, "done")
    assert {ends[name]["state"] for name in names("new")} == {"skipped"}
    assert {(ends[name]["state"], ends[name]["reason"]) for name in names("lock")} == {("held", "locked")}
    assert status["counts"] == {
        "total": 30 * thirties,
        "done": 26 * thirties,
        "skipped": 3 * thirties,
        "held": thirties,
    }
    # The cloud's own account of it.
    assert ledger.max_changes_in_flight <= concurrency
    assert successful_disks_destroyed(ledger) == []
    assert writes_while_changing(ledger) == []
    accepted = changes_per_server(ledger)
    untouched = {truth[name]["id"] for name in names("new") + names("lock")}
    assert untouched.isdisjoint(accepted)
    assert all(len(writes) <= 3 for writes in accepted.values())
    assert {truth[name]["status"] for name in everyone} == {"ACTIVE"}
    retried = [target for target in status["targets"] if len(target["attempts"]) > 1]
    assert retried, "no change failed, so the retry was not tried"
    again = [attempt["outcome"] for attempt in retried[0]["attempts"]]
    assert again == ["failed", "succeeded"]
