"""What was agreed to is what is wiped, by whichever command: the cloud's ledger counts the changes that it accepted."""

from pathlib import Path

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import CommandRunner, running_cloud

UNKNOWN_SOON = "\npolling: {min: 100ms, max: 200ms}\ntimeouts: {stop: 1m, change: 1m, settle: 1s, start: 1m}\n"
OVERDUE_SOON = "\npolling: {min: 100ms, max: 200ms}\ntimeouts: {stop: 1m, change: 1s, settle: 1s, start: 1m}\n"


def left_half_way(runner: SharedCloudRunner, names: list[str]) -> tuple[str, str]:
    """The plan and the id of a run that has changed its first server and was left before the second."""
    runner.faults({"on": "changeos", "do": "refuse", "code": "Ecs.0003", "servers": names[1:]})
    text = runner.write_plan(names, concurrency=1)
    done = runner.fleetos("apply", text, "--yes", "--expect-wipes", str(len(names)))
    assert done.returncode == 77, done.stderr
    assert runner.changes(names) == {name: int(name == names[0]) for name in names}
    runner.post("/admin/heal", {})
    return text, str(runner.runs()[0]["id"])


@pytest.mark.slow
def test_a_frozen_plan_and_an_unfinished_run_must_want_the_same(runner: SharedCloudRunner) -> None:
    _, second, third = names = runner.take(3)
    text, run_id = left_half_way(runner, names)
    frozen, before = str(runner.folder / "frozen.json"), runner.changes(names)
    # Somebody takes the third out of the plan's reach: now the file spares it, and the run would not.
    runner.act(third, act="lock")
    assert runner.invoke("plan", text, "--out", frozen).returncode == 0
    for more in ((), ("--new-run",), ("--expect-wipes", "1")):
        refused = runner.invoke("apply", frozen, "--yes", *more)
        assert refused.returncode == 65, refused.stderr
        said = refused.stderr.replace("\n", " ")
        assert f"run {run_id} of this plan is unfinished" in said
        assert f"{third} (" in said
        assert "the frozen plan says refuse" in said
        assert f"{second} (" not in said
        assert f"fleetos resume {run_id}" in said
        assert f"fleetos abort {run_id}" in said
    assert runner.changes(names) == before
    # What is left of the run is now exactly what the file says.
    runner.act(third, act="unlock")
    assert runner.invoke("plan", text, "--out", frozen).returncode == 0
    carried_on = runner.fleetos("apply", frozen, "--yes", "--expect-wipes", "2")
    assert carried_on.returncode == 0, carried_on.stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)
    # Its run has ended: the file is done neither again nor as if it were the plan.
    again = runner.invoke("apply", frozen, "--yes")
    assert again.returncode == 65
    assert f"run {run_id} of this frozen plan has ended (done), and nothing was done" in again.stderr
    assert "--new-run" in again.stderr
    assert "has changed since the plan was frozen" in runner.invoke("apply", frozen, "--yes", "--new-run").stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)
    assert len(runner.runs()) == 1


@pytest.mark.parametrize("agreed", [2, 3])
def test_a_number_is_held_against_a_run_that_is_carried_on(runner: SharedCloudRunner, agreed: int) -> None:
    """It is the number that the run was created with, which a timer repeats, or the number that is left."""
    names = runner.take(3)
    text, run_id = left_half_way(runner, names)
    before = runner.changes(names)
    for other in (0, 1, 4):
        refused = runner.invoke("apply", text, "--yes", "--expect-wipes", str(other))
        assert refused.returncode == 13
        said = refused.stderr.replace("\n", " ")
        assert f"run {run_id} was created to wipe 3 and would wipe 2 system disks now" in said
        assert "WIPES 2 system disks" in said
    asked = runner.invoke("apply", text)
    assert asked.returncode == 64
    said = asked.stderr.replace("\n", " ")
    assert f"Carry on with run {run_id}? It wipes 2 system disks for Standard_Debian_12_latest." in said
    assert "(paused: no permission)" in said
    assert "region eu-de, project " in said
    assert runner.changes(names) == before
    assert runner.fleetos("apply", text, "--yes", "--expect-wipes", str(agreed)).returncode == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_a_timer_does_not_end_the_stop_for_overdue_changes(runner: SharedCloudRunner) -> None:
    names = runner.take(4)
    runner.faults({"on": "changeos", "do": "stuck"})
    text = runner.write_plan(names, concurrency=1, pace=OVERDUE_SOON)
    timer = ("apply", text, "--yes", "--expect-wipes", "4")
    assert runner.fleetos(*timer).returncode == 22
    run_id = str(runner.runs()[0]["id"])
    writes = len(runner.writes(names))
    for more in ((), ("--new-run",)):
        again = runner.invoke(*timer, *more)
        assert again.returncode == 22, again.stderr
        said = again.stderr.replace("\n", " ")
        assert f"run {run_id} has been paused (too-many-overdue) since 20" in said
        assert "1 change is overdue" in said
        assert f"fleetos resume {run_id}" in said
    assert (len(runner.writes(names)), sum(runner.changes(names).values())) == (writes, 1)
    assert runner.status()["run"]["state"] == "paused"
    # A person may; the next overdue change stops it again.
    assert runner.fleetos("resume").returncode == 22
    assert sum(runner.changes(names).values()) == 2
    # An abort goes on with nothing, not even on its way.
    sent = [write.operation for write in runner.writes(names)]
    aborted = runner.fleetos("abort", run_id)
    assert aborted.returncode in (10, 22), aborted.stderr
    assert "WIPES" not in aborted.stderr + aborted.stdout
    assert [write.operation for write in runner.writes(names)][len(sent) :] in ([], ["start"], ["start", "start"])
    assert sum(runner.changes(names).values()) == 2
    assert runner.status(run_id)["run"]["state"] == "aborted"
    assert runner.status(run_id)["counts"] == {"total": 4, "held": 2, "cancelled": 2}


def test_the_same_plan_in_another_project_is_another_run(runner: SharedCloudRunner, tmp_path: Path) -> None:
    """The variables name no cloud, so the project alone tells two of them apart."""
    names = runner.take(2)
    folder = tmp_path / "other"
    folder.mkdir()
    with running_cloud(folder, {**SCENARIO, "seed": 12}) as elsewhere:
        other = CommandRunner(runner.folder, elsewhere.url, {**runner.env, **_access(elsewhere)})
        text, _ = left_half_way(runner, names)
        # The run of the first project is unfinished, and nobody's business here.
        done = other.fleetos("apply", text, "--yes", "--expect-wipes", "2")
        assert done.returncode == 0, done.stderr
        assert (
            sorted(write.came for write in other.ledger().writes if write.operation == "changeos") == ["accepted"] * 2
        )
    assert runner.changes(names) == {names[0]: 1, names[1]: 0}
    assert runner.fleetos("apply", text, "--yes").returncode == 0
    assert [run["counts"] for run in runner.runs()] == [{"total": 2, "done": 2}] * 2


def _access(cloud: CommandRunner) -> dict[str, str]:
    return {name: value for name, value in cloud.env.items() if name.startswith("OS_")}


def test_a_retry_leaves_out_what_a_newer_run_has_made(runner: SharedCloudRunner) -> None:
    theirs, ours = names = runner.take(2)
    runner.faults({"on": "changeos", "do": "fail", "code": "Ecs.0202", "picture": ["old-disk"], "servers": names})
    assert runner.fleetos("apply", runner.write_plan(names, attempts=1), "--yes").returncode == 10
    (old,) = runner.runs()
    runner.post("/admin/heal", {})
    newer = runner.fleetos("apply", runner.write_plan([theirs], "newer.yaml", attempts=2), "--yes")
    assert newer.returncode == 0, newer.stderr
    new = runner.runs()[0]
    made = runner.servers()[theirs]["system_disk"]
    for refused in (("--expect-wipes", "2", "--yes"), ("--expect-wipes", "0", "--yes"), ()):
        done = runner.invoke("retry", str(old["id"]), *refused)
        assert done.returncode == (13 if refused else 64), done.stderr
        assert f"left out: {theirs}, changed by run {new['id']} after run {old['id']}" in done.stderr
        assert made not in done.stderr
        assert "WIPES 1 system disk" in done.stderr
    assert runner.changes(names) == {theirs: 2, ours: 1}
    retried = runner.fleetos("retry", str(old["id"]), "--yes", "--expect-wipes", "1")
    assert retried.returncode == 10, retried.stderr
    assert runner.changes(names) == {theirs: 2, ours: 2}
    assert runner.servers()[theirs]["system_disk"] == made
    last = runner.invoke("retry", str(old["id"]), "--yes")
    assert last.returncode == 10
    assert "nothing to retry: no other target" in last.stderr


def test_a_release_frees_what_was_unknown_before_and_nothing_else(runner: SharedCloudRunner) -> None:
    looked_at, sent = names = runner.take(2)
    runner.faults(
        {"on": "changeos", "do": "cut-before", "servers": [looked_at]},
        {"on": "changeos", "do": "hang-before", "seconds": 60, "servers": [sent]},
    )
    began = runner.begin("apply", runner.write_plan(names, rollout="  stop: api", pace=UNKNOWN_SOON), "--yes")
    began.until("target.held")
    began.kill()
    # The login is refused on the way: the abort does not come to its end, and releases nothing.
    runner.faults({"on": "read", "do": "refuse", "code": "APIGW.0301"})
    left = runner.fleetos("abort", began.run_id, "--release")
    assert left.returncode == 77, left.stderr
    assert "nothing was released" in left.stderr
    runner.post("/admin/heal", {})
    done = runner.fleetos("abort", began.run_id, "--release")
    assert done.returncode == 22, done.stderr
    assert f"released 1 server with an unknown outcome: {looked_at}" in done.stderr
    assert f"not released: the outcome of 1 server became unknown only now: {sent}" in done.stderr
    claimed = runner.invoke("apply", runner.write_plan([sent], "other.yaml"), "--yes")
    assert claimed.returncode == 20
    assert f"holds 1 of these servers: {sent}" in claimed.stderr.replace("\n", " ")
    last = runner.invoke("abort", began.run_id, "--release")
    assert last.returncode == 0
    assert f"released 1 server with an unknown outcome: {sent}" in last.stderr


def test_the_way_on_after_an_abort_is_named(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    text, run_id = left_half_way(runner, names)
    aborted = runner.fleetos("abort", run_id)
    assert aborted.returncode == 0, aborted.stderr
    said = aborted.stderr.replace("\n", " ")
    assert f"aborting run {run_id} of plan a-test-rollout ({text}) wipes nothing" in said
    assert "this server" not in aborted.stdout.split("driven by")[0].partition("finishing")[2]
    assert f"next: fleetos apply {text} --new-run" in aborted.stdout.replace("\n", " ")
    again = runner.invoke("apply", text, "--yes", "--expect-wipes", "3")
    assert again.returncode == 10
    assert f"run {run_id} of this plan was aborted, and 2 servers of it were never changed" in again.stderr
    assert f"fleetos apply {text} --new-run" in again.stderr
    assert runner.changes(names) == {names[0]: 1, names[1]: 0, names[2]: 0}
    anew = runner.fleetos("apply", text, "--yes", "--new-run", "--expect-wipes", "2")
    assert anew.returncode == 0, anew.stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)
