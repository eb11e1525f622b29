"""Approvals and promotions of waves from other processes, with the real command and the cloud's ledger as the judge."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner, StartedCommand
from tests.support.commands import running_cloud, until

pytestmark = pytest.mark.slow

NAMES = [f"web-{number:03d}" for number in range(1, 4)]
CANARY, REST = NAMES[:1], NAMES[1:]
WHY = ("--reason", "the canary is fine")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """A cloud of its own, used by anna."""
    for folder in ("cloud", "play"):
        (tmp_path / folder).mkdir()
    with (
        running_cloud(tmp_path / "cloud", {**SCENARIO, "servers": [{"count": len(NAMES), "name": "web-###"}]}) as cloud,
        SharedCloudRunner.at(cloud, tmp_path / "play", iter(NAMES)) as begun,
    ):
        begun.env["FLEETOS_OPERATOR"] = "anna"
        yield begun


def write_plan(runner: SharedCloudRunner, between: str) -> str:
    """Return the path of a plan with a canary and one more wave, and these conditions between them."""
    rollout = f"  order: [listed]\n  waves: [1, 100%]\n  between_waves: {{{between}}}"
    return runner.write_plan(NAMES, concurrency=3, attempts=1, rollout=rollout)


def begin(runner: SharedCloudRunner, between: str, until: str = "run.wave-finished") -> StartedCommand:
    """Begin an apply, and return it when it has come to its first wave's end."""
    driver = runner.begin("apply", write_plan(runner, between), "--yes")
    driver.until(until)
    return driver


def ask(runner: SharedCloudRunner, code: int, *arguments: str) -> dict[str, Any]:
    """Return what became of a request, as programs read it."""
    done = runner.invoke(*arguments, *WHY, "-o", "json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)["request"]


def waits(runner: SharedCloudRunner) -> set[str]:
    """Return what the servers of the second wave wait for."""
    targets = [target for target in runner.status()["targets"] if target["wave"] == 2]
    return {target["waits_for"]["detail"] for target in targets}


def check_opened_after(runner: SharedCloudRunner, driver: StartedCommand, kind: str) -> None:
    """Check that all servers are changed once, those of wave 2 after the last event of that type."""
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)
    seq = {event["type"]: event["seq"] for event in driver.events}
    sent = [event["seq"] for event in driver.events if event["type"] == "target.submitting"]
    assert sum(number > seq[kind] for number in sent) == len(REST)


def test_a_wave_opens_when_somebody_other_than_the_owner_approves(runner: SharedCloudRunner) -> None:
    driver = begin(runner, "approval: {by: other}")
    run, approve = driver.run_id, ("approve", driver.run_id, "--wave", "2")
    words = f"wave 2 waits for an approval by somebody other than anna: fleetos approve {run} --wave 2"
    assert waits(runner) == {words}
    assert words in " ".join(runner.invoke("status", run).stdout.split())
    assert runner.status()["run"]["owner"] == "anna"
    assert ask(runner, 64, *approve)["detail"] == "anna may not approve wave 2, but somebody other than anna may"
    assert ask(runner, 64, "approve", run, "--wave", "3", "--as", "ben")["detail"].startswith("the run has no wave 3")
    assert ask(runner, 64, "wave", "promote", run)["detail"] == words
    assert runner.changes(NAMES) == {**dict.fromkeys(CANARY, 1), **dict.fromkeys(REST, 0)}
    answer = ask(runner, 0, *approve, "--as", "ben")
    assert (answer["verb"], answer["outcome"], answer["by"]) == ("approve", "done", "ben")
    assert driver.end().returncode == 0
    check_opened_after(runner, driver, "run.approved")
    (approved,) = [event for event in driver.events if event["type"] == "run.approved"]
    assert (approved["wave"], approved["by"]) == (2, "ben")
    canary, rest = runner.status()["run"]["waves"]
    assert canary["approvals"] == []
    assert [approval["by"] for approval in rest["approvals"]] == ["ben"]


def test_two_people_must_approve_where_the_plan_says_so(runner: SharedCloudRunner) -> None:
    driver = begin(runner, "approval: {by: [ben, carl], of: 2}")
    approve = ("approve", driver.run_id, "--wave", "2")
    assert "2 approvals by ben or carl" in waits(runner).pop()
    assert "1 more approval by carl" in ask(runner, 0, *approve, "--as", "ben")["detail"]
    assert ask(runner, 64, *approve, "--as", "ben")["detail"].startswith(
        "ben has approved wave 2 already; wave 2 waits"
    )
    assert ask(runner, 64, *approve, "--as", "dora")["outcome"] == "refused"
    assert runner.changes(REST) == dict.fromkeys(REST, 0)
    assert ask(runner, 0, *approve, "--as", "carl")["outcome"] == "done"
    assert driver.end().returncode == 0
    check_opened_after(runner, driver, "run.approved")


def test_an_approval_outlives_a_driver_that_is_killed_before_the_wave_opens(runner: SharedCloudRunner) -> None:
    driver = begin(runner, "approval: {of: 2}")
    run, approve = driver.run_id, ("approve", driver.run_id, "--wave", "2")
    assert ask(runner, 0, *approve, "--as", "ben")["outcome"] == "done"
    driver.kill()
    resumed = runner.begin("resume", run)
    resumed.until("run.driver-started")
    expected = f"wave 2 waits for 1 more approval by somebody other than ben: fleetos approve {run} --wave 2"
    assert waits(runner) == {expected}
    assert runner.changes(REST) == dict.fromkeys(REST, 0)
    assert ask(runner, 0, *approve, "--as", "carl")["outcome"] == "done"
    assert resumed.end().returncode == 0
    check_opened_after(runner, resumed, "run.approved")


def test_both_are_taken_by_the_commands_themselves_where_no_process_drives_the_run(runner: SharedCloudRunner) -> None:
    rollout = "  order: [listed]\n  waves: [{sizes: [1], then: {bake: 5h, approval: true}}, 100%]"
    driver = runner.begin("apply", runner.write_plan(NAMES, concurrency=3, attempts=1, rollout=rollout), "--yes")
    driver.until("run.wave-finished")
    driver.kill()
    run = driver.run_id
    assert ask(runner, 64, "wave", "promote", run)["outcome"] == "refused"
    approved = runner.invoke("approve", run, "--wave", "2", *WHY)
    assert approved.returncode == 0, approved.stderr
    assert f"go on with: fleetos resume {run}" in approved.stderr
    assert ask(runner, 0, "wave", "promote", run)["outcome"] == "done"
    assert ask(runner, 0, "wave", "promote", run)["outcome"] == "no-effect"
    assert runner.changes(REST) == dict.fromkeys(REST, 0)
    assert runner.fleetos("resume", run).returncode == 0
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)


def test_an_approval_that_expires_before_the_wave_opens_makes_it_wait_again(runner: SharedCloudRunner) -> None:
    rollout = "  order: [listed]\n  waves: [{sizes: [1], then: {bake: 5s, approval: {valid: 1s}}}, 100%]"
    driver = runner.begin("apply", runner.write_plan(NAMES, concurrency=3, attempts=1, rollout=rollout), "--yes")
    driver.until("run.wave-finished")
    approve = ("approve", driver.run_id, "--wave", "2", "--as", "ben")
    assert ask(runner, 0, *approve)["outcome"] == "done"
    until(lambda: "watched" not in waits(runner).pop(), look_every_s=0.5)
    expected = "wave 2 waits for an approval by anybody, since that of ben has expired"
    assert waits(runner) == {f"{expected}: fleetos approve {driver.run_id} --wave 2"}
    assert runner.changes(REST) == dict.fromkeys(REST, 0)
    assert ask(runner, 0, *approve)["outcome"] == "done"
    assert driver.end().returncode == 0
    check_opened_after(runner, driver, "run.approved")


def test_a_promotion_ends_a_bake(runner: SharedCloudRunner) -> None:
    driver = begin(runner, "bake: 5h")
    promote = ("wave", "promote", driver.run_id)
    assert "is finished: leave --incomplete out" in ask(runner, 64, *promote, "--incomplete", "1")["detail"]
    assert ask(runner, 0, *promote)["outcome"] == "done"
    driver.until("run.wave-finished", 2)
    check_opened_after(runner, driver, "run.wave-promoted")
    assert ask(runner, 0, *promote, "--as", "ben")["detail"] == "wave 2 is promoted: the run ends"
    assert driver.end().returncode == 0
    promoted = [event for event in driver.events if event["type"] == "run.wave-promoted"]
    assert [(event["wave"], event["by"], event["unfinished"]) for event in promoted] == [(1, "anna", 0), (2, "ben", 0)]


def test_the_next_wave_opens_in_spite_of_the_number_of_servers_that_is_named(runner: SharedCloudRunner) -> None:
    driver = runner.begin("apply", write_plan(runner, "bake: 5h"), "--yes")
    driver.until("target.changing")
    # The canary goes on for as long as no job can be read.
    runner.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    promote = ("wave", "promote", driver.run_id)
    command = f"fleetos wave promote {driver.run_id} --incomplete 1"
    for given in ([], ["--incomplete", "2"]):
        detail = ask(runner, 64, *promote, *given)["detail"]
        assert detail == f"wave 1 is not finished: 1 of 1 are left; to open wave 2 all the same: {command}"
    assert ask(runner, 64, "approve", driver.run_id, "--wave", "3")["outcome"] == "refused"
    assert runner.changes(REST) == dict.fromkeys(REST, 0)
    assert ask(runner, 0, *promote, "--incomplete", "1")["outcome"] == "done"
    driver.until("run.wave-opened", 2)
    assert [wave["state"] for wave in runner.status()["run"]["waves"]] == ["open", "open"]
    runner.post("/admin/heal", {})
    driver.until("run.wave-finished")
    assert ask(runner, 0, *promote)["outcome"] == "done"
    assert driver.end().returncode == 0
    check_opened_after(runner, driver, "run.wave-opened")
