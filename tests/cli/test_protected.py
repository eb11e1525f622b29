"""Servers that their owner protects by a tag: refused unless the plan names them, as the cloud's ledger shows."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cli.runner import PACE, SharedCloudRunner

SCENARIO = {
    "seed": 6,
    "servers": [
        {"name": "web-1"},
        {"name": "db-1", "tags": ["fleetos-protect=the shop", "role=db"]},
        {"name": "db-2", "tags": ["fleetos-protect"]},
    ],
    "durations": {"stop": [0.05, 0.1], "start": [0.05, 0.1], "change": [0.2, 0.3], "job_init": [0, 0.05]},
}
SERVERS = ("web-1", "db-1", "db-2")


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    return SCENARIO


def write_plan(runner: SharedCloudRunner, *allowed: str) -> str:
    head = "version: 1\nname: shop\nchange: {image: Standard_Debian_12_latest, keyname: KeyPair-350b}\n"
    servers = 'servers: [{select: {name: "*"}}]\n'
    return runner.plan(f"{head}{servers}allow_protected: {json.dumps(allowed)}\n{PACE}")


def test_a_protected_server_is_changed_only_where_the_plan_names_it(runner: SharedCloudRunner) -> None:
    told = json.loads(runner.invoke("plan", write_plan(runner), "-o", "json").stdout)["servers"]
    assert {one["name"]: (one["action"], one["code"]) for one in told} == {
        "web-1": ("change", None),
        "db-1": ("refuse", "protected"),
        "db-2": ("refuse", "protected"),
    }
    unknown = runner.invoke("apply", write_plan(runner, "db-3"), "--yes")
    assert unknown.returncode == 65
    assert "allow_protected[0]: no server of the project is called db-3" in unknown.stderr
    done = runner.fleetos("apply", write_plan(runner, "db-1"), "--yes", "--expect-wipes", "2")
    assert done.returncode == 10, done.stderr
    assert "warning: db-1: has the tag fleetos-protect; the plan allows its change" in done.stderr
    (run,) = runner.runs()
    again = runner.invoke("retry", run["id"], "--yes")
    assert (again.returncode, "nothing to retry" in again.stderr) == (10, True)
    assert runner.changes(SERVERS) == {"web-1": 1, "db-1": 1, "db-2": 0}
