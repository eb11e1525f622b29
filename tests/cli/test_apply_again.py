"""The same plan applied again and again, as a timer would, and what to do about targets that were left over."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import Done, running_cloud
from tests.support.ledger import successful_disks_destroyed


@pytest.mark.slow
def test_the_plan_is_what_it_says_and_not_how_it_is_written(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    text = runner.write_plan(names)
    assert runner.fleetos("apply", text, "--yes", "--expect-wipes", "2").returncode == 0
    (run,) = runner.runs()
    reads = runner.ledger().requests["changeos"]
    write_plan = Path(text)
    formatted = "# a comment\n" + write_plan.read_text(encoding="utf-8").replace(
        "version: 1", 'version: 1\n\n"region": eu-de'
    )
    write_plan.write_text(formatted.replace("image: Standard", "image:   Standard"), encoding="utf-8")
    again = runner.fleetos("apply", text, "--yes", "--expect-wipes", "2")
    assert again.returncode == 0
    assert again.stdout == ""
    assert f"nothing to do: 2 servers already on the image (run {run['id']})" in again.stderr
    as_json = runner.invoke("apply", text, "--yes", "-o", "json")
    assert json.loads(as_json.stdout)["run"]["id"] == run["id"]
    assert runner.invoke("apply", text, "--yes", "-o", "jsonl").stdout == ""
    assert len(runner.runs()) == 1
    # Other words are another plan, and so another run, which has nothing to do either.
    other = runner.fleetos("apply", runner.write_plan(names, attempts=2), "--yes")
    assert other.returncode == 0
    assert "nothing to do: 2 already on the image" in other.stderr
    assert "No system disk will be wiped." in other.stderr
    assert [one["plan_digest"] == run["plan_digest"] for one in runner.runs()] == [False, True]
    assert runner.ledger().requests["changeos"] == reads
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_an_unfinished_run_is_carried_on_with_its_pins(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    text = runner.write_plan(names, concurrency=1)
    began = runner.begin("apply", text, "--yes")
    began.until("target.changing")
    began.kill()
    refused = runner.invoke("apply", text)
    assert refused.returncode == 64
    assert f"Carry on with run {began.run_id}?" in refused.stderr
    resumed = runner.begin("apply", text, "--yes", "--new-run")
    done = resumed.end()
    assert done.returncode == 0, done.stderr
    assert f"run {began.run_id} of this plan is unfinished, so there is no new one" in done.stderr
    assert resumed.events[0]["type"] == "run.driver-started"
    (run,) = runner.runs()
    assert (run["id"], run["resumed"], run["counts"]) == (began.run_id, 1, {"total": 3, "done": 3})
    assert runner.changes(names) == dict.fromkeys(names, 1)
    told = runner.invoke("resume", "-o", "json")
    assert (told.returncode, json.loads(told.stdout)["run"]["id"]) == (0, began.run_id)
    assert "there are no unfinished runs" in told.stderr


def test_a_forced_change_is_not_repeated_by_accident(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    text = runner.write_plan(names, rollout="  force: true")
    assert runner.fleetos("apply", text, "--yes").returncode == 0
    again = runner.invoke("apply", text, "--yes", "-o", "json")
    assert again.returncode == 65
    assert "--new-run" in json.loads(again.stdout)["error"]["hint"]
    assert runner.changes(names) == {names[0]: 1}
    forced = runner.begin("apply", text, "--yes", "--new-run", "--expect-wipes", "1")
    assert forced.end().returncode == 0
    assert [event["seq"] for event in forced.events] == list(range(1, len(forced.events) + 1))
    assert [event["type"] for event in forced.events[:2]] == ["run.created", "target.enlisted"]
    assert runner.changes(names) == {names[0]: 2}


def applied_in_a_new_world(folder: Path, image_id: str) -> tuple[Done, int]:
    """What became of one plan and one database in a fresh world, and how often its server was changed there."""
    world = {
        "seed": 5,
        "servers": [{"name": "web", "image": "Old"}],
        "images": [{"name": "Debian", "id": image_id}, {"name": "Old"}],
        "durations": SCENARIO["durations"],
    }
    place = folder / "world"
    place.mkdir()
    with running_cloud(place, world) as running, SharedCloudRunner.at(running, folder, iter(["web"])) as runner:
        arguments = ("apply", runner.write_plan(runner.take(1), image="Debian"), "--yes")
        done = runner.invoke(*arguments) if runner.runs() else runner.fleetos(*arguments)
        changed = runner.changes(["web"])["web"]
    shutil.rmtree(place)
    return done, changed


def test_a_world_that_moved_is_no_reason_to_wipe_again(tmp_path: Path) -> None:
    first, changed = applied_in_a_new_world(tmp_path, "11111111-1111-4111-8111-111111111111")
    assert (first.returncode, changed) == (0, 1), first.stderr
    moved, changed = applied_in_a_new_world(tmp_path, "22222222-2222-4222-8222-222222222222")
    assert (moved.returncode, changed) == (65, 0)
    assert "the image name Debian now means another image" in moved.stderr
    assert "hint: call apply with --new-run" in moved.stderr
    # Somebody put the old image back: that is told, and not acted upon.
    reverted, changed = applied_in_a_new_world(tmp_path, "11111111-1111-4111-8111-111111111111")
    assert (reverted.returncode, changed) == (0, 0)
    assert "is not repeated, but 1 of its 1 servers" in reverted.stderr
    assert "--new-run" in reverted.stderr


@pytest.mark.slow
def test_what_failed_or_is_held_gets_one_more_attempt(runner: SharedCloudRunner) -> None:
    good, locked, broken = names = runner.take(3)
    runner.act(locked, act="lock")
    runner.faults({"on": "changeos", "do": "fail", "servers": [broken], "code": "Ecs.0202", "picture": ["old-disk"]})
    text = runner.write_plan(names, attempts=2)
    assert runner.fleetos("apply", text, "--yes").returncode == 10
    (run,) = runner.runs()
    assert runner.changes(names) == {good: 1, locked: 0, broken: 2}
    again = runner.invoke("apply", text, "--yes")
    assert again.returncode == 10
    assert f"next: fleetos retry {run['id']}" in again.stdout
    disks = {name: runner.servers()[name]["system_disk"] for name in names}
    asked = runner.invoke("retry", run["id"])
    assert asked.returncode == 64
    assert "WIPES 2 system disks" in asked.stderr
    assert {name: disks[name] in asked.stderr for name in names} == {good: False, locked: True, broken: True}
    # One more attempt each and no more: the broken one fails again.
    runner.act(locked, act="unlock")
    second = runner.fleetos("retry", run["id"][:8], "--yes", "-o", "json")
    assert second.returncode == 10
    document = json.loads(second.stdout)
    assert document["run"]["passes"] == 2
    assert document["counts"] == {"total": 3, "done": 2, "held": 1}
    assert runner.changes(names) == {good: 1, locked: 1, broken: 3}
    runner.post("/admin/heal", {})
    third = runner.begin("retry", run["id"], "--yes")
    assert third.end().returncode == 0
    assert [event["type"] for event in third.events[:2]] == ["run.pass-started", "target.waiting"]
    assert runner.changes(names) == {good: 1, locked: 1, broken: 4}
    ours = {runner.servers()[name]["id"] for name in names}
    ledger = runner.ledger()
    assert [
        one for one in successful_disks_destroyed(ledger) if ledger.write(one.made_by or 0).servers[0] in ours
    ] == []
    nothing = runner.invoke("retry", run["id"], "--yes")
    assert nothing.returncode == 0
    assert "nothing to retry" in nothing.stderr
