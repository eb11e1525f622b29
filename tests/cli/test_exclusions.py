"""Whom a plan spares: the real command on a cloud whose names look alike, judged by its ledger."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cli.runner import PACE, SharedCloudRunner

GOLD = (
    "db-gold",
    "m\u00fcnchen-gold",
    "web\u00a0gold",
    "soft\u00adgold",
    "bidi\u200egold",
    "dash\u2011gold",
    "brack[1]",
)
TWIN = "db-gold\u200b"
EVERYBODY = {"select": {"name": "*"}}
SCENARIO = {
    "seed": 5,
    "servers": [{"name": name} for name in ("web-1", *GOLD, TWIN)],
    "durations": {"stop": [0.05, 0.1], "start": [0.05, 0.1], "change": [0.2, 0.3], "job_init": [0, 0.05]},
}


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    return SCENARIO


def write_plan(runner: SharedCloudRunner, *excluded: str, servers: object = EVERYBODY) -> str:
    head = "version: 1\nname: spare\nchange: {image: Standard_Debian_12_latest, keyname: KeyPair-350b}\n"
    entries = json.dumps([{"name": name} for name in excluded])
    return runner.plan(f"{head}servers: [{json.dumps(servers)}]\nexclude: {entries}\n{PACE}")


@pytest.mark.parametrize("name", ["db-gold ", "DB-gold", "db\u2011gold", "m\u00fcnchen-g\u043eld", "nobody"])
def test_nothing_is_wiped_where_an_exclusion_excludes_nobody(runner: SharedCloudRunner, name: str) -> None:
    writes = len(runner.ledger().writes)
    refused = runner.invoke("apply", write_plan(runner, name), "--yes")
    assert refused.returncode == 65
    assert "exclude[0].name: no server of the project is called" in refused.stderr
    assert ("did you mean" in refused.stderr) is (name != "nobody")
    assert len(runner.ledger().writes) == writes
    assert runner.runs() == []


def test_servers_are_spared_by_their_own_letters_and_look_alikes_are_told(runner: SharedCloudRunner) -> None:
    decomposed = [name.replace("\u00fc", "u\u0308") for name in GOLD]
    done = runner.fleetos("apply", write_plan(runner, *decomposed), "--yes", "--expect-wipes", "2", PYTHONUTF8="1")
    assert done.returncode == 0, done.stderr
    assert r"warning: db-gold\u200b: is not excluded: db-gold is, and only looks the same" in done.stderr
    assert runner.changes(["web-1", *GOLD, TWIN]) == {"web-1": 1, TWIN: 1, **dict.fromkeys(GOLD, 0)}
    told = runner.invoke("status")
    assert r"db-gold\u200b" in told.stdout
    names = [one["name"] for one in json.loads(runner.invoke("status", "-o", "json").stdout)["targets"]]
    assert sorted(names) == sorted([TWIN, "web-1"])


def test_a_server_is_named_by_all_its_letters(runner: SharedCloudRunner) -> None:
    refused = runner.invoke("plan", write_plan(runner, servers={"name": "db\u2011gold"}))
    assert refused.returncode == 65
    assert r"no server of the project is called db\u2011gold" in refused.stderr
    assert r"did you mean db-gold or db-gold\u200b?" in refused.stderr
