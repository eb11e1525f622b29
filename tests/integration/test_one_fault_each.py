"""One misfortune for each server of a fleet, all in one run: what is lost, late, doubled, refused or stuck.

The plays share one run, so that the waits that the protocol asks for pass side by side.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fleetos.sim.scenario.scenario import Scenario
from tests.support.commands import running_cloud
from tests.support.ledger import (
    Ledger,
    changes_per_server,
    changes_sent_too_early,
    stopped_by_us,
    successful_disks_destroyed,
    writes_while_changing,
)
from tests.support.plan_texts import plan

pytestmark = pytest.mark.slow

SETTLE_S = 3.0
PACE = f"""
polling: {{min: 100ms, max: 400ms}}
timeouts: {{stop: 12s, change: 15s, settle: {SETTLE_S:g}s, start: 1m}}
"""

# Name of the server: its misfortune, and the end that it must come to (state, reason).
DONE = ("done", None)
MISFORTUNES: Mapping[str, tuple[list[dict[str, object]], tuple[str, str | None]]] = {
    "fine": ([], DONE),
    "change-cut-before": ([{"do": "cut-before", "on": "changeos", "nth": [1]}], DONE),
    "change-cut-after": ([{"do": "cut-after", "on": "changeos", "nth": [1]}], DONE),
    "change-closed": ([{"do": "close-after", "on": "changeos", "nth": [1]}], DONE),
    "change-504": ([{"do": "error-after", "on": "changeos", "nth": [1], "status": 504}], DONE),
    "change-garbled": ([{"do": "garble", "on": "changeos", "nth": [1], "body": "html"}], DONE),
    "change-no-job": ([{"do": "garble", "on": "changeos", "nth": [1], "body": "no-job-id"}], DONE),
    "change-late": ([{"do": "late", "on": "changeos", "nth": [1], "seconds": [1.5, 1.5]}], DONE),
    "change-doubled": ([{"do": "double", "on": "changeos", "nth": [1], "seconds": [0.5, 0.5]}], DONE),
    "change-refused": ([{"do": "refuse", "on": "changeos", "code": "Ecs.0005", "status": 400}], ("failed", "refused")),
    "change-busy": ([{"do": "refuse", "on": "changeos", "nth": [1], "code": "Ecs.0100", "status": 400}], DONE),
    "change-quota": ([{"do": "refuse", "on": "changeos", "nth": [1], "code": "Ecs.0021", "status": 400}], DONE),
    "change-throttled": ([{"do": "refuse", "on": "changeos", "nth": [1], "code": "APIGW.0308", "status": 429}], DONE),
    "change-lost-thrice": ([{"do": "cut-before", "on": "changeos"}], ("held", "outcome-unknown")),
    "change-no-effect": ([{"do": "no-effect", "on": "changeos", "nth": [1]}], DONE),
    "change-stuck-done": ([{"do": "stuck", "on": "changeos", "effect_happens": True}], DONE),
    "change-endless": ([{"do": "fail", "on": "changeos", "picture": "endless"}], ("held", "still-changing")),
    "fails-old-disk": ([{"do": "fail", "on": "changeos", "nth": [1], "picture": "old-disk"}], DONE),
    "fails-error": ([{"do": "fail", "on": "changeos", "nth": [1], "picture": "error"}], DONE),
    "fails-no-disk": ([{"do": "fail", "on": "changeos", "nth": [1], "picture": "no-disk"}], ("held", "no-system-disk")),
    "fails-new-disk": ([{"do": "fail", "on": "changeos", "nth": [1], "picture": "new-disk"}], DONE),
    "fails-always": ([{"do": "fail", "on": "changeos", "picture": "old-disk"}], ("held", "attempts-used-up")),
    "shows-no-disk": ([{"do": "show", "on": "changeos", "picture": "no-disk"}], DONE),
    "shows-early-disk": ([{"do": "show", "on": "changeos", "picture": "early-disk"}], DONE),
    "image-late": ([{"do": "show", "on": "changeos", "image_flips": "late"}], DONE),
    "image-never": ([{"do": "show", "on": "changeos", "image_flips": "never"}], ("held", "outcome-unknown")),
    "job-vanishes": ([{"do": "job-life", "on": "changeos", "vanishes_after_s": 0}], DONE),
    "job-comes-late": ([{"do": "job-life", "on": "changeos", "visible_after_s": 1.5}], DONE),
    "stop-cut-before": ([{"do": "cut-before", "on": "stop", "nth": [1]}], DONE),
    "stop-cut-after": ([{"do": "cut-after", "on": "stop", "nth": [1]}], DONE),
    "stop-acts-late": ([{"do": "lag", "on": "stop", "nth": [1], "seconds": [0.8, 0.8]}], DONE),
    "stop-soft-ignored": ([{"do": "no-effect", "on": "stop", "nth": [1]}], DONE),
    "stop-never": ([{"do": "no-effect", "on": "stop"}], ("held", "stop-timeout")),
    "start-cut-before": (
        [
            {"do": "refuse", "on": "changeos", "code": "Ecs.0005", "status": 400},
            {"do": "cut-before", "on": "start", "nth": [1]},
        ],
        ("failed", "refused"),
    ),
    "start-cut-after": (
        [
            {"do": "refuse", "on": "changeos", "code": "Ecs.0005", "status": 400},
            {"do": "cut-after", "on": "start", "nth": [1]},
        ],
        ("failed", "refused"),
    ),
    "reads-stale": ([{"do": "stale", "on": ["detail", "list"], "seconds": [0.5, 1.0]}], DONE),
}


# It is watched for a minute after all others have ended.
WATCHED_LONG = "change-endless"
QUICK = tuple(name for name in MISFORTUNES if name != WATCHED_LONG)
ALL = tuple(MISFORTUNES)
# How servers look during a change, and which there are. What looks like a stopped server is the more dangerous.
PLAYS = (
    pytest.param(("idle", QUICK), id="idle"),
    pytest.param(("idle", ALL), id="idle-all", marks=pytest.mark.proof),
    pytest.param(("rebuild", ALL), id="rebuild-all", marks=pytest.mark.proof),
)


def scenario(picture: str, names: Sequence[str]) -> dict[str, object]:
    faults = [{**rule, "servers": [name]} for name in names for rule in MISFORTUNES[name][0]]
    content: dict[str, object] = {
        "seed": 5,
        "servers": [{"count": 1, "name": name, "state": "running"} for name in names],
        "durations": {"stop": [0.2, 0.4], "start": [0.2, 0.4], "change": [0.6, 1.2], "job_init": [0.02, 0.1]},
        "change": {"picture": picture, "flip_lag_s": 0.6},
        "faults": faults,
    }
    Scenario.model_validate(content)
    return content


def played(folder: Path, picture: str, names: Sequence[str]) -> dict[str, Any]:
    """One run over these misfortunes: how it ended, by its own word and by the cloud's."""
    with running_cloud(folder, scenario(picture, names)) as acting:
        text = plan(names, concurrency=len(names), attempts=2, pace=PACE)
        done = acting.fleetos("apply", acting.plan(text), "--yes", "-o", "json", timeout_s=120)
        return {"done": done, "ledger": acting.ledger(), "truth": acting.truth(), "servers": acting.servers()}


@pytest.fixture(scope="module", params=PLAYS)
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return played(tmp_path_factory.mktemp("cloud"), *request.param)


def targets(runner: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return {target["name"]: target for target in json.loads(runner["done"].stdout)["targets"]}


def test_each_server_comes_to_its_end(runner: dict[str, Any]) -> None:
    assert runner["done"].returncode == 22, runner["done"].stderr
    ends = {name: (target["state"], target["reason"]) for name, target in targets(runner).items()}
    assert ends == {name: MISFORTUNES[name][1] for name in runner["servers"]}, runner["done"].stderr


def test_no_fresh_disk_is_wiped_and_nothing_is_sent_into_a_change(runner: dict[str, Any]) -> None:
    ledger: Ledger = runner["ledger"]
    assert successful_disks_destroyed(ledger) == []
    assert changes_sent_too_early(ledger, SETTLE_S) == []
    assert writes_while_changing(ledger) == []


def test_every_done_server_had_exactly_one_whole_change(runner: dict[str, Any]) -> None:
    ledger: Ledger = runner["ledger"]
    # The new disk of a change that failed late is whole; the cloud only left its server down.
    late = {target["server_id"] for name, target in targets(runner).items() if name == "fails-new-disk"}
    successful = {disk.made_by for disk in ledger.disks if disk.successful or disk.server_id in late}
    changes = changes_per_server(ledger)
    for name, target in targets(runner).items():
        won = sum(write.seq in successful for write in changes.get(target["server_id"], []))
        assert won == 1 if target["state"] == "done" else won <= 1, name


def test_what_lies_stopped_is_named(runner: dict[str, Any]) -> None:
    by_id = {target["server_id"]: name for name, target in targets(runner).items()}
    stopped = {by_id[server_id] for server_id in stopped_by_us(runner["ledger"], runner["truth"])}
    named = {name for name in runner["servers"] if name in runner["done"].stderr.partition("may be powered off")[2]}
    assert stopped <= named
    # Nothing was changed there, so they run again.
    for name in ("change-refused", "change-lost-thrice", "start-cut-before", "start-cut-after"):
        assert runner["servers"][name]["status"] == "ACTIVE", name
