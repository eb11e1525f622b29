"""`fleetos drift`: who does not run the image of the plan, and since when, told by the real command; it only reads."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleetos.cli.exit_codes import ExitCode
from tests.cli.runner import PACE, SharedCloudRunner
from tests.support.commands import CommandRunner, Done

OLD, WANTED, NEWER, OTHER = "Debian_11_latest", "Debian_12_latest", "Debian_13_latest", "Alma_9"
SCENARIO: dict[str, Any] = {
    "seed": 8,
    "durations": {"stop": [0.05, 0.1], "start": [0.05, 0.1], "change": [0.2, 0.4], "job_init": [0, 0.05]},
    "images": [{"name": name} for name in (OLD, WANTED, NEWER, OTHER)],
    "servers": [
        {"name": "old", "image": OLD},
        {"name": "good", "image": WANTED},
        {"name": "ahead", "image": NEWER},
        {"name": "alma", "image": OTHER},
        {"name": "frozen", "image": WANTED, "frozen": True},
        {"name": "failed", "image": WANTED, "state": "failed"},
        {"name": "tagged", "image": OLD, "tags": ["role=drift"]},
        *({"name": name, "image": OLD} for name in ("kept", "taken", "gone", "moved")),
    ],
}
CHANGED = ("kept", "taken", "gone", "moved")


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    return SCENARIO


@pytest.fixture(scope="module")
def past(cloud: CommandRunner) -> Iterator[SharedCloudRunner]:
    """A run has changed four servers. Since then one was changed by somebody else, and one was deleted."""
    with SharedCloudRunner.at(cloud, cloud.folder, iter(())) as runner:
        applied = runner.fleetos("apply", write_plan(runner, *CHANGED), "--yes", "--expect-wipes", str(len(CHANGED)))
        assert applied.returncode == 0, applied.stderr
        runner.act("taken", act="change", image=OTHER)
        runner.act("gone", act="delete")
        yield runner


@pytest.fixture
def fresh(cloud: CommandRunner, tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """Somebody without a database."""
    with SharedCloudRunner.at(cloud, tmp_path, iter(())) as runner:
        yield runner


def write_plan(runner: SharedCloudRunner, *names: object, change: str = f"image: {WANTED}", **more: object) -> str:
    listed = [{"name": name} if isinstance(name, str) else name for name in names]
    rest = "".join(f"{key}: {json.dumps(value)}\n" for key, value in more.items())
    text = f"version: 1\nname: try\nchange: {{{change}, keyname: KeyPair-350b}}\nservers: {json.dumps(listed)}\n"
    return runner.plan(f"{text}{rest}{PACE}")


def told(done: Done, code: int) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def verdicts(document: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {one["name"]: (one["verdict"], one["code"]) for one in document["servers"]}


def test_who_drifted_is_told_and_nothing_is_touched(fresh: SharedCloudRunner) -> None:
    writes = len(fresh.ledger().writes)
    before = fresh.ledger().requests
    names = ("old", "good", "ahead", "alma", "frozen", "failed", {"select": {"tags": {"role": "drift"}}})
    document = told(fresh.invoke("drift", write_plan(fresh, *names), "-o", "json"), ExitCode.CHANGES_PENDING)
    assert document["v"] == 1
    assert verdicts(document) == {
        "old": ("drifted", "older-image"),
        "good": ("same", None),
        "ahead": ("drifted", "newer-image"),
        "alma": ("drifted", "other-image"),
        "frozen": ("unknown", "frozen"),
        "failed": ("unknown", "unsettled"),
        "tagged": ("drifted", "older-image"),
    }
    assert document["counts"] == {"total": 7, "drifted": 4, "unknown": 2, "same": 1}
    old = document["servers"][0]
    assert (old["image_name"], old["image_wanted_name"], old["last_change"]) == (OLD, WANTED, None)
    assert document["images"] == [{"name": WANTED, "id": old["image_wanted"]}]
    assert [one["code"] for one in document["findings"]] == ["newer-image"]
    after = fresh.ledger()
    assert len(after.writes) == writes
    asked = {key: count - before.get(key, 0) for key, count in after.requests.items()}
    assert {key: count for key, count in asked.items() if count} == {"token": 1, "list": 1, "images": 1}
    assert list(fresh.folder.rglob("*.db*")) == []


def test_the_exit_code_is_2_for_drift_alone(fresh: SharedCloudRunner) -> None:
    for names, code in ((("good",), 0), (("good", "frozen"), 0), (("good", "old"), 2)):
        assert fresh.invoke("drift", write_plan(fresh, *names)).returncode == code
    both = {"old": OLD, "good": WANTED, "alma": OTHER}
    own = [{"name": name, "change": {"image": image}} for name, image in both.items()]
    assert fresh.invoke("drift", write_plan(fresh, *own, change=f"image: {NEWER}")).returncode == 0
    assert fresh.invoke("drift", write_plan(fresh, "old", exclude=[{"name": "o*"}])).returncode == ExitCode.INPUT


def test_a_reinstall_names_no_image_and_its_own_servers_are_compared_all_the_same(fresh: SharedCloudRunner) -> None:
    plan = write_plan(fresh, "old", {"name": "alma", "change": {"image": WANTED}}, change="reinstall: true")
    document = told(fresh.invoke("drift", plan, "-o", "json"), ExitCode.CHANGES_PENDING)
    assert verdicts(document) == {"old": ("same", None), "alma": ("drifted", "other-image")}
    assert document["servers"][0]["image_wanted"] is None


def test_what_the_database_knows_is_told(past: SharedCloudRunner) -> None:
    plan = write_plan(past, *CHANGED, change=f"image: {NEWER}")
    document = told(past.invoke("drift", plan, "-o", "json"), ExitCode.CHANGES_PENDING)
    assert verdicts(document) == {
        "kept": ("drifted", "older-image"),
        "taken": ("drifted", "other-image"),
        "gone": ("unknown", "deleted"),
        "moved": ("drifted", "older-image"),
    }
    (run,) = past.runs()
    last = {one["name"]: one["last_change"] for one in document["servers"]}
    assert {name: one["as_left"] for name, one in last.items()} == {**dict.fromkeys(CHANGED, True)} | {
        "taken": False,
        "gone": False,
    }
    assert {one["run"] for one in last.values()} == {run["id"]}
    ended = {one["name"]: one["attempts"][-1]["ended_at"] for one in past.status()["targets"]}
    assert {name: one["at"] for name, one in last.items()} == ended
    lines = past.invoke("drift", plan).stdout.splitlines()
    at = ended["kept"].split(".")[0]
    assert lines[0].startswith(f"kept: drifted: runs {WANTED}, which is older than {NEWER}; that is image ")
    assert lines[0].endswith(f"; since {at}Z, by run {run['id']}")
    assert f"not by fleetos: run {run['id']} left it on image" in lines[1]
    assert (
        lines[2] == f"gone: unknown: it was deleted; last changed at {ended['gone'].split('.')[0]}Z, by run {run['id']}"
    )


def test_what_was_never_there_is_a_bad_plan(past: SharedCloudRunner) -> None:
    done = past.invoke(
        "drift", write_plan(past, "kept", "gon", {"id": "616fb98f-46ca-475e-917e-2563e5a8cd19"}), "-o", "json"
    )
    problems = told(done, ExitCode.INPUT)["error"]["problems"]
    assert [one["key"] for one in problems] == ["servers[1].name", "servers[2].id"]
    bad = past.invoke("drift", write_plan(past, "kept", change="image: nothing"))
    assert bad.returncode == ExitCode.INPUT
    assert "no image nothing is visible to this project" in bad.stderr


def test_lines_and_text_are_plain_in_a_pipe(fresh: SharedCloudRunner) -> None:
    plan = write_plan(fresh, "good", "old", "frozen")
    lines = fresh.invoke("drift", plan, "-o", "jsonl").stdout.splitlines()
    document = told(fresh.invoke("drift", plan, "-o", "json"), ExitCode.CHANGES_PENDING)
    assert [json.loads(line) for line in lines] == document["servers"]
    done = fresh.invoke("drift", plan)
    first, second, third, *rest = done.stdout.splitlines()
    assert first == f"good: runs {WANTED}"
    assert second.startswith(f"old: drifted: runs {OLD}, which is older than {WANTED}; that is image ")
    assert third == f"frozen: unknown: it is frozen by the cloud; it shows {WANTED}"
    assert rest[0].startswith(f"note: {WANTED}: there is a newer image of this kind: {NEWER}")
    assert rest[1] == "3 servers: 1 drifted, 1 unknown, 1 on the image"
    assert "\x1b" not in done.stdout


def test_images_that_may_not_be_listed_leave_the_ids_to_compare(fresh: SharedCloudRunner) -> None:
    fresh.post("/admin/faults", [{"on": "images", "do": "refuse", "code": "Pdp.0001", "nth": [1, 2]}])
    document = told(fresh.invoke("drift", write_plan(fresh, "old", "good"), "-o", "json"), ExitCode.CHANGES_PENDING)
    fresh.post("/admin/heal", {})
    assert [one["code"] for one in document["findings"]] == ["not-checked"]
    assert [one["verdict"] for one in document["servers"]] == ["drifted", "same"]
