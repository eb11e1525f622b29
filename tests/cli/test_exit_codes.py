"""What each exit code says, with the real command and the cloud's ledger as the judge."""

import json
import socket

from tests.cli.runner import SharedCloudRunner

GOOD_IMAGE = "Standard_Debian_12_latest"


def refused_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_number_that_was_not_expected_touches_nothing(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    done = runner.fleetos("apply", runner.write_plan(names), "--yes", "--expect-wipes", "3")
    assert done.returncode == 13
    assert done.stdout == ""
    assert "--expect-wipes 3, but 2 system disks would be wiped" in done.stderr
    assert runner.writes(names) == []
    assert runner.runs() == []
    done = runner.fleetos("apply", runner.write_plan(names), "--yes", "--expect-wipes", "2")
    assert done.returncode == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_nobody_to_ask_is_wrong_usage(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    done = runner.invoke("apply", runner.write_plan(names))
    assert done.returncode == 64
    assert "1 system disk would be wiped and there is no terminal to confirm on" in done.stderr
    assert "hint: add --yes to confirm" in done.stderr
    assert runner.writes(names) == []


def test_what_cannot_be_resolved_is_all_listed_and_nothing_is_touched(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    text = runner.write_plan([names[0], "nobody-1", "nobody-2"], image="No_Such_Image")
    done = runner.fleetos("apply", text, "--yes", "-o", "json")
    assert done.returncode == 65
    problems = {(one["key"], one["line"], one["column"]) for one in json.loads(done.stdout)["error"]["problems"]}
    assert problems == {("change.image", 4, 3), ("servers[1].name", 8, 5), ("servers[2].name", 9, 5)}
    said = runner.invoke("apply", text, "--yes").stderr
    assert all(word in said for word in ("No_Such_Image", "nobody-1", "nobody-2", "plan.yaml:8:5"))
    assert runner.writes(names) == []
    assert runner.runs() == []


def test_an_unreachable_cloud_leaves_no_run_behind(runner: SharedCloudRunner) -> None:
    text = runner.write_plan(runner.take(1))
    done = runner.fleetos("apply", text, "--yes", "-o", "json", OS_AUTH_URL=f"http://127.0.0.1:{refused_port()}/v3")
    assert done.returncode == 69
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 69
    assert "no run was created" in error["hint"]
    assert "no run was created" in done.stderr
    assert runner.runs() == []


def test_a_wrong_password_is_tried_exactly_once(runner: SharedCloudRunner) -> None:
    text = runner.write_plan(runner.take(1))
    before = runner.ledger().requests["token"]
    done = runner.fleetos("apply", text, "--yes", OS_PASSWORD="not-the-password-1")
    assert done.returncode == 77
    assert runner.ledger().requests["token"] == before + 1
    assert "no run was created" in done.stderr
    assert "not-the-password-1" not in done.stderr + done.stdout
    assert runner.runs() == []


def test_a_login_that_is_refused_on_the_way_pauses_the_run(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    # From here on every read is answered as if the token were nothing, and so is the next one.
    runner.faults({"on": "read", "do": "refuse", "code": "APIGW.0301"})
    done = began.end()
    assert done.returncode == 77
    assert [event["type"] for event in began.events[-2:]] == ["run.paused", "run.driver-ended"]
    assert f"fleetos resume {began.run_id}" in done.stderr
    run = runner.status()["run"]
    assert (run["state"], run["condition"], run["exit_code"]) == ("paused", "paused", 77)
    assert (run["pause"]["reason"], "APIGW.0301" in run["pause"]["detail"]) == ("authentication", True)
    shown = runner.invoke("status").stdout
    assert "APIGW.0301" in shown
    assert "to do: Correct them, then `fleetos resume" in shown
    assert shown.endswith(
        f"next: fleetos resume {began.run_id}\nor end the run and wipe no further disk: fleetos abort {began.run_id}\n"
    )
    runner.post("/admin/heal", {})
    assert runner.fleetos("resume").returncode == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_an_unknown_outcome_and_an_overdue_change_are_no_ordinary_failures(runner: SharedCloudRunner) -> None:
    unknown, overdue = runner.take(2)
    runner.faults(
        {"on": "changeos", "do": "cut-before", "servers": [unknown]},
        {"on": "changeos", "do": "stuck", "servers": [overdue], "effect_happens": True},
        {"on": "changeos", "do": "fail", "servers": [overdue], "picture": ["endless"]},
    )
    pace = "polling: {min: 100ms, max: 200ms}\ntimeouts: {stop: 1m, change: 2s, settle: 1s, start: 1m}\n"
    text = runner.write_plan([unknown, overdue], rollout="  stop: api", pace=pace)
    done = runner.fleetos("apply", text, "--yes", "-o", "json")
    assert done.returncode == 22, done.stderr
    document = json.loads(done.stdout)
    ends = {target["name"]: (target["state"], target["reason"]) for target in document["targets"]}
    assert ends == {unknown: ("held", "outcome-unknown"), overdue: ("held", "still-changing")}
    run_id = document["run"]["id"]
    assert f"fleetos abort {run_id} --release" in done.stderr
    # Its servers stay claimed, so another run is told how to settle that.
    other = runner.invoke("apply", runner.write_plan([unknown], "other.yaml"), "--yes")
    assert other.returncode == 20
    assert f"fleetos abort {run_id} --release" in other.stderr
    released = runner.invoke("abort", run_id, "--release", "-o", "json")
    assert released.returncode == 0
    assert json.loads(released.stdout)["run"]["id"] == run_id
    # Free for another run now, which still does not stop a server that a late request may yet find stopped.
    stops = len(runner.writes([unknown]))
    other = runner.fleetos("apply", runner.write_plan([unknown], "other.yaml"), "--yes", "-o", "json")
    assert other.returncode == 10
    assert [target["reason"] for target in json.loads(other.stdout)["targets"]] == ["unanswered-send"]
    assert len(runner.writes([unknown])) == stops


def test_a_damaged_database_is_bad_input(runner: SharedCloudRunner) -> None:
    runner.database.parent.mkdir(parents=True)
    runner.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    done = runner.fleetos("status", "-o", "json")
    assert done.returncode == 65
    assert json.loads(done.stdout)["error"]["exit_code"] == 65
    assert str(runner.database) in done.stderr
    assert "Traceback" not in done.stderr
