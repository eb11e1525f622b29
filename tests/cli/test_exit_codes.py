"""What each exit code says, with the real command and the cloud's ledger as the judge."""

import json
import socket

from tests.cli.play import Play

GOOD_IMAGE = "Standard_Debian_12_latest"


def refused_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_number_that_was_not_expected_touches_nothing(play: Play) -> None:
    names = play.take(2)
    done = play.fleetos("apply", play.written(names), "--yes", "--expect-wipes", "3")
    assert done.returncode == 12
    assert done.stdout == ""
    assert "--expect-wipes 3, but 2 system disks would be wiped" in done.stderr
    assert play.writes(names) == []
    assert play.runs() == []
    done = play.fleetos("apply", play.written(names), "--yes", "--expect-wipes", "2")
    assert done.returncode == 0
    assert play.changes(names) == dict.fromkeys(names, 1)


def test_nobody_to_ask_is_wrong_usage(play: Play) -> None:
    names = play.take(1)
    done = play.called("apply", play.written(names))
    assert done.returncode == 64
    assert "1 system disk would be wiped and there is no terminal to confirm on" in done.stderr
    assert "hint: add --yes to confirm" in done.stderr
    assert play.writes(names) == []


def test_what_cannot_be_resolved_is_all_listed_and_nothing_is_touched(play: Play) -> None:
    names = play.take(1)
    text = play.written([names[0], "nobody-1", "nobody-2"], image="No_Such_Image")
    done = play.fleetos("apply", text, "--yes", "-o", "json")
    assert done.returncode == 65
    problems = {(one["key"], one["line"], one["column"]) for one in json.loads(done.stdout)["error"]["problems"]}
    assert problems == {("change.image", 4, 3), ("servers[1].name", 8, 5), ("servers[2].name", 9, 5)}
    said = play.called("apply", text, "--yes").stderr
    assert all(word in said for word in ("No_Such_Image", "nobody-1", "nobody-2", "plan.yaml:8:5"))
    assert play.writes(names) == []
    assert play.runs() == []


def test_an_unreachable_cloud_leaves_no_run_behind(play: Play) -> None:
    text = play.written(play.take(1))
    done = play.fleetos("apply", text, "--yes", "-o", "json", OS_AUTH_URL=f"http://127.0.0.1:{refused_port()}/v3")
    assert done.returncode == 69
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 69
    assert "no run was created" in error["hint"]
    assert "no run was created" in done.stderr
    assert play.runs() == []


def test_a_wrong_password_is_tried_exactly_once(play: Play) -> None:
    text = play.written(play.take(1))
    before = play.ledger().requests["token"]
    done = play.fleetos("apply", text, "--yes", OS_PASSWORD="not-the-password-1")
    assert done.returncode == 77
    assert play.ledger().requests["token"] == before + 1
    assert "no run was created" in done.stderr
    assert "not-the-password-1" not in done.stderr + done.stdout
    assert play.runs() == []


def test_a_login_that_is_refused_on_the_way_pauses_the_run(play: Play) -> None:
    names = play.take(3)
    began = play.begin("apply", play.written(names, concurrency=1), "--yes")
    began.until("target.changing")
    # From here on every read is answered as if the token were nothing, and so is the next one.
    play.faults({"on": "read", "do": "refuse", "code": "APIGW.0301"})
    done = began.end()
    assert done.returncode == 77
    assert [event["type"] for event in began.events[-2:]] == ["run.paused", "run.driver-ended"]
    assert f"fleetos resume {began.run_id}" in done.stderr
    run = play.status()["run"]
    assert (run["state"], run["condition"], run["exit_code"]) == ("paused", "paused", 77)
    assert (run["pause"]["reason"], "APIGW.0301" in run["pause"]["detail"]) == ("authentication", True)
    shown = play.called("status").stdout
    assert "APIGW.0301" in shown
    assert "to do: Correct them, then `fleetos resume" in shown
    assert shown.endswith(
        f"next: fleetos resume {began.run_id}\nor end the run and wipe no further disk: fleetos abort {began.run_id}\n"
    )
    play.post("/admin/heal", {})
    assert play.fleetos("resume").returncode == 0
    assert play.changes(names) == dict.fromkeys(names, 1)


def test_an_unknown_outcome_and_an_overdue_change_are_no_ordinary_failures(play: Play) -> None:
    unknown, overdue = play.take(2)
    play.faults(
        {"on": "changeos", "do": "cut-before", "servers": [unknown]},
        {"on": "changeos", "do": "stuck", "servers": [overdue], "effect_happens": True},
        {"on": "changeos", "do": "fail", "servers": [overdue], "picture": ["endless"]},
    )
    pace = "polling: {min: 100ms, max: 200ms}\ntimeouts: {stop: 1m, change: 2s, settle: 1s, start: 1m}\n"
    text = play.written([unknown, overdue], rollout="  stop: api", pace=pace)
    done = play.fleetos("apply", text, "--yes", "-o", "json")
    assert done.returncode == 22, done.stderr
    document = json.loads(done.stdout)
    ends = {target["name"]: (target["state"], target["reason"]) for target in document["targets"]}
    assert ends == {unknown: ("held", "outcome-unknown"), overdue: ("held", "still-changing")}
    run_id = document["run"]["id"]
    assert f"fleetos abort {run_id} --release" in done.stderr
    # Its servers stay claimed, so another run is told how to settle that.
    other = play.called("apply", play.written([unknown], "other.yaml"), "--yes")
    assert other.returncode == 20
    assert f"fleetos abort {run_id} --release" in other.stderr
    released = play.called("abort", run_id, "--release", "-o", "json")
    assert released.returncode == 0
    assert json.loads(released.stdout)["run"]["id"] == run_id
    # Free for another run now, which still does not stop a server that a late request may yet find stopped.
    stops = len(play.writes([unknown]))
    other = play.fleetos("apply", play.written([unknown], "other.yaml"), "--yes", "-o", "json")
    assert other.returncode == 10
    assert [target["reason"] for target in json.loads(other.stdout)["targets"]] == ["unanswered-send"]
    assert len(play.writes([unknown])) == stops


def test_a_damaged_database_is_bad_input(play: Play) -> None:
    play.database.parent.mkdir(parents=True)
    play.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    done = play.fleetos("status", "-o", "json")
    assert done.returncode == 65
    assert json.loads(done.stdout)["error"]["exit_code"] == 65
    assert str(play.database) in done.stderr
    assert "Traceback" not in done.stderr
