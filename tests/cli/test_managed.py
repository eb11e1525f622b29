"""Servers of another service of the platform: refused unless the plan names them, as the cloud's ledger shows."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cli.runner import PACE, SharedCloudRunner

CLUSTER = "CCE-Cluster-ID=4c9b1c5e-0000-4000-8000-0255ac10005d"
NODE = "CCE-Dynamic-Provisioning-Node=0d6b7a5e-0000-4000-8000-0255ac10005d"
SCENARIO = {
    "seed": 6,
    "servers": [
        {"name": "web-1"},
        {"name": "node-1", "tags": ["role=k8s", CLUSTER]},
        {"name": "node-2", "tags": [NODE]},
        {"name": "node-3", "tags": [CLUSTER, NODE]},
        {"name": "like-a-node", "tags": ["cce-cluster-name=x", "role=CCE-Cluster-ID"]},
    ],
    "durations": {"stop": [0.05, 0.1], "start": [0.05, 0.1], "change": [0.2, 0.3], "job_init": [0, 0.05]},
}
SERVERS = ("web-1", "node-1", "node-2", "node-3", "like-a-node")


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    return SCENARIO


def write_plan(runner: SharedCloudRunner, *allowed: str, servers: object = ({"select": {"name": "*"}},)) -> str:
    head = "version: 1\nname: managed\nchange: {image: Standard_Debian_12_latest, keyname: KeyPair-350b}\n"
    return runner.plan(f"{head}servers: {json.dumps(servers)}\nallow_managed: {json.dumps(allowed)}\n{PACE}")


def test_a_node_of_a_cluster_is_changed_only_where_the_plan_names_it(runner: SharedCloudRunner) -> None:
    node = runner.servers()["node-2"]["id"]
    refused = runner.invoke("plan", write_plan(runner), "-o", "json")
    told = {one["name"]: (one["action"], one["code"]) for one in json.loads(refused.stdout)["servers"]}
    nodes = dict.fromkeys(("node-1", "node-2", "node-3"), ("refuse", "managed"))
    assert told == {"web-1": ("change", None), "like-a-node": ("change", None), **nodes}
    unknown = runner.invoke("apply", write_plan(runner, "node-9", "node-1\u200b"), "--yes")
    assert unknown.returncode == 65
    assert "allow_managed[0]: no server of the project is called node-9" in unknown.stderr
    assert "did you mean node-1?" in unknown.stderr
    done = runner.fleetos("apply", write_plan(runner, node.upper(), "web-1"), "--yes", "--expect-wipes", "3")
    assert done.returncode == 10, done.stderr
    assert "warning: node-2: belongs to CCE; the plan allows its change" in done.stderr
    assert runner.changes(SERVERS) == {"web-1": 1, "like-a-node": 1, "node-1": 0, "node-2": 1, "node-3": 0}
    # Only another plan changes them: a retry of this run does not.
    (run,) = runner.runs()
    again = runner.invoke("retry", run["id"], "--yes")
    assert (again.returncode, "nothing to retry" in again.stderr) == (10, True)
    assert runner.changes(SERVERS)["node-1"] == 0


def test_a_node_that_is_named_is_refused_as_well(runner: SharedCloudRunner) -> None:
    by_name = [{"name": "node-1"}, {"id": runner.servers()["node-3"]["id"]}]
    told = json.loads(runner.invoke("plan", write_plan(runner, servers=by_name), "-o", "json").stdout)
    assert [(one["action"], one["code"]) for one in told["servers"]] == [("refuse", "managed")] * 2
    assert told["servers"][0]["hint"] == "change it in CCE, or name it under `allow_managed`"
