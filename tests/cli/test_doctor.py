"""`fleetos doctor`, the real command: what is wrong is said, with the code it comes to, and nothing is changed."""

import json
import signal
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleetos.app.doctor import cloud_probe, database_probe
from fleetos.cloud import session
from fleetos.cloud.operations import DRY_READS
from fleetos.model.diagnosis import Topic
from fleetos.model.experience import Experience, Limit
from fleetos.model.journal.codec import experience_json
from fleetos.sim.api.access import ACCESS_KEY, PASSWORD, SECRET_KEY
from fleetos.store import diagnostics
from fleetos.store.database import schema_check, sqlite_files
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import CommandRunner, Done, running_cloud, until

KEY = {"OS_AUTH_TYPE": "aksk", "OS_ACCESS_KEY": ACCESS_KEY, "OS_SECRET_KEY": SECRET_KEY}
Check = Mapping[str, Any]


def examined(runner: SharedCloudRunner, *arguments: str, code: int = 0) -> list[Check]:
    """All checks that doctor tells programs of."""
    return checks_of(runner.invoke("doctor", *arguments, "-o", "json"), code)


def checks_of(done: Done, code: int = 0) -> list[Check]:
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"]) == (code, code), done.stdout
    assert told["counts"]["total"] == len(told["checks"])
    return told["checks"]


def of(checks: list[Check], topic: str, subject: str | None = None) -> Check:
    """The one check of that topic, or of that subject of it."""
    (found,) = [one for one in checks if one["topic"] == topic and subject in (None, one["subject"])]
    return found


def grades(checks: list[Check], grade: str) -> set[tuple[str, str | None]]:
    return {(one["topic"], one["subject"]) for one in checks if one["grade"] == grade}


def without_credentials(runner: SharedCloudRunner) -> None:
    runner.env = {name: value for name, value in runner.env.items() if not name.startswith("OS_")}


def test_all_is_well_after_a_run_and_nothing_is_written(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    assert runner.fleetos("apply", runner.write_plan(names), "--yes").returncode == 0
    writes, before = len(runner.ledger().writes), runner.database.read_bytes()
    checks = examined(runner)
    assert grades(checks, "broken") == grades(checks, "doubtful") == set()
    effects = ("stop", "start", "changeos", "reinstallos")
    # No copy was made, which nobody calls fine.
    assert grades(checks, "skipped") == {("permission", effect) for effect in effects} | {("backup", None)}
    assert {one["topic"] for one in checks} == {topic.value for topic in Topic} - {"unfinished"}
    allowed = [one for one in checks if one["topic"] == "permission" and one["grade"] == "fine"]
    assert [one["subject"] for one in allowed] == list(DRY_READS)
    assert of(checks, "credentials")["values"]["found_in"] == "the OS_* variables"
    assert of(checks, "login")["values"]["project"] == "eu-de_sim"
    assert of(checks, "login")["values"]["domain"] == "sim-domain"
    assert 0 <= of(checks, "endpoint", "ecs")["values"]["latency_ms"] < 20_000
    assert of(checks, "durations")["values"]["changes"] == 1
    assert of(checks, "schema")["values"]["kind"] == "SQLite"
    assert len(runner.ledger().writes) == writes
    assert runner.database.read_bytes() == before
    # A run that has ended and keeps a server, as one of unknown outcome does.
    (run,) = runner.runs()
    with closing(sqlite3.connect(runner.database)) as connection, connection:
        connection.execute("INSERT INTO claims VALUES ('a-server', ?, NULL)", (run["id"],))
    kept = of(examined(runner), "claims")
    assert (kept["grade"], kept["subject"], kept["values"]["servers"]) == ("doubtful", run["id"], 1)
    assert f"fleetos abort {run['id']} --release" in kept["hint"]


def test_the_text_is_a_line_each_and_plain_in_a_pipe(runner: SharedCloudRunner) -> None:
    done = runner.invoke("doctor")
    assert done.returncode == 0
    *lines, last = done.stdout.splitlines()
    assert [line.split()[0] for line in lines].count("fine") > 15
    assert last.endswith("0 doubtful, 0 broken, 10 skipped")
    assert "\x1b" not in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    told = [json.loads(line) for line in runner.invoke("doctor", "-o", "jsonl").stdout.splitlines()]
    assert [one["topic"] for one in told] == [one["topic"] for one in examined(runner)]


def test_where_there_is_no_database_none_is_made(runner: SharedCloudRunner) -> None:
    checks = examined(runner)
    assert "none yet" in of(checks, "database")["text"]
    assert of(checks, "limits")["grade"] == "skipped"
    assert not (runner.folder / "state").exists()
    mistyped = runner.folder / "mistyped" / "x.db"
    named = of(examined(runner, "--db", str(mistyped)), "database")
    assert (named["grade"], str(mistyped) in named["text"], "--db" in named["hint"]) == ("doubtful", True, True)
    assert not mistyped.parent.exists()


def test_without_credentials_the_rest_is_looked_at(runner: SharedCloudRunner) -> None:
    without_credentials(runner)
    checks = examined(runner, code=65)
    assert of(checks, "free-space")["grade"] == "fine"
    credentials = of(checks, "credentials")
    assert (credentials["grade"], "OS_CLOUD" in credentials["hint"]) == ("broken", True)
    assert of(checks, "permission")["grade"] == "skipped"
    assert runner.invoke("doctor").stdout.splitlines()[-1].endswith("; no cloud was checked")
    runner.env["OS_USERNAME"] = "half"
    assert "OS_PASSWORD" in of(examined(runner, code=65), "credentials")["text"]
    assert "clouds.yaml" in of(examined(runner, "--cloud", "nowhere", code=65), "credentials")["text"]


def test_a_wrong_password_is_tried_once(runner: SharedCloudRunner) -> None:
    runner.env["OS_PASSWORD"] = "wrong-word-4711"
    logins = runner.ledger().requests.get("token", 0)
    done = runner.invoke("doctor", "-o", "json")
    checks = checks_of(done, 77)
    assert "IAM refuses the login" in of(checks, "login")["text"]
    assert of(checks, "endpoint", "iam")["grade"] == of(checks, "clock")["grade"] == "fine"
    assert of(checks, "permission")["grade"] == "skipped"
    assert "wrong-word-4711" not in done.stdout + done.stderr
    assert runner.ledger().requests["token"] == logins + 1


def test_a_wrong_key_is_shown_to_the_cloud_once(runner: SharedCloudRunner) -> None:
    project_id = of(examined(runner), "login")["values"]["project_id"]
    runner.env |= {**KEY, "OS_SECRET_KEY": "not-the-one-4712", "OS_PROJECT_ID": project_id}
    asked = runner.ledger().requests.get("list", 0)
    done = runner.invoke("doctor", "-o", "json")
    checks = checks_of(done, 77)
    assert "signature of the access key" in of(checks, "login")["text"]
    assert "not-the-one-4712" not in done.stdout + done.stderr
    assert runner.ledger().requests["list"] == asked + 1
    runner.env |= KEY
    assert of(examined(runner), "credentials")["values"]["way"] == "access key"


@pytest.mark.parametrize(
    ("rule", "grade", "right", "code"),
    [
        ({"on": "flavors", "do": "refuse", "code": "Pdp.0001"}, "doubtful", "refused", 0),
        ({"on": "flavors", "do": "refuse", "code": "APIGW.0101"}, "doubtful", "absent", 0),
        ({"on": "list", "do": "refuse", "code": "Pdp.0001"}, "broken", "refused", 77),
        ({"on": "images", "do": "refuse", "code": "Pdp.0001"}, "broken", "refused", 77),
        ({"on": "keypair", "do": "refuse", "code": "Pdp.0001"}, "doubtful", "refused", 0),
    ],
)
def test_a_permission_that_is_missing(
    runner: SharedCloudRunner, rule: dict[str, str], grade: str, right: str, code: int
) -> None:
    runner.faults(rule)
    subject = rule["on"].removesuffix("s") if rule["on"] == "images" else rule["on"]
    found = of(examined(runner, code=code), "permission", subject)
    assert (found["grade"], found["values"]["right"]) == (grade, right)
    if right == "refused":
        assert found["values"]["action"] in found["hint"]


def test_a_plan_says_whether_key_pairs_matter(runner: SharedCloudRunner) -> None:
    runner.faults({"on": "keypair", "do": "refuse", "code": "Pdp.0001"})
    plan = runner.write_plan(["nobody"])
    assert of(examined(runner, plan, code=77), "permission", "keypair")["grade"] == "broken"


def test_what_was_learned_of_limits_is_told(runner: SharedCloudRunner) -> None:
    made(runner)
    scope = f"{runner.url} {of(examined(runner), 'login')['values']['project_id']}"
    now = datetime.now(UTC)
    known = Experience(limits={"read": Limit(4.0, 1.0, now, told=True)}, changes={"a/b/c": (1.0, 2.0)})
    with closing(sqlite3.connect(runner.database)) as connection, connection:
        connection.execute("INSERT INTO clouds VALUES (?, ?)", (scope, experience_json(known)))
    checks = examined(runner)
    limit = of(checks, "limits", "reads")
    assert "4 reads a second, named by the cloud" in limit["text"]
    assert limit["values"]["in_force"] is True
    assert of(checks, "durations")["values"] == {"changes": 2, "kinds": 1, "longest_change_s": 2.0}


def test_a_lease_is_told_while_it_is_held_and_missed_when_its_holder_is_dead(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    runner.faults({"on": "changeos", "do": "latency", "seconds": [6, 6]})
    began = runner.begin("apply", runner.write_plan(names), "--yes")
    began.until("target.submitting")
    held = of(examined(runner), "lease")
    assert (held["grade"], held["subject"]) == ("fine", began.run_id)
    assert str(began.process.pid) in held["values"]["holder"]
    began.process.send_signal(signal.SIGSTOP)
    assert of(examined(runner), "lease")["grade"] == "doubtful"
    began.kill()
    lost = of(examined(runner), "unfinished")
    assert (lost["grade"], lost["subject"]) == ("doubtful", began.run_id)
    assert f"fleetos resume {began.run_id}" in lost["hint"]


def made(runner: SharedCloudRunner) -> Path:
    """A database with all its tables and no run."""
    sqlite_files.make_private(runner.database)
    assert runner.invoke("db", "upgrade").returncode == 0
    return runner.database


def test_a_damaged_database_is_broken_and_the_cloud_is_looked_at(runner: SharedCloudRunner) -> None:
    file = made(runner)
    content = bytearray(file.read_bytes())
    content[4096:12288] = b"\xa5" * 8192
    file.write_bytes(content)
    checks = examined(runner, code=65)
    assert "damaged" in of(checks, "integrity")["text"]
    assert of(checks, "login")["grade"] == "fine"
    file.write_bytes(b"")
    assert "is empty" in of(examined(runner, code=65), "database")["text"]
    file.write_bytes(b"no database at all" * 1000)
    assert of(examined(runner, code=65), "integrity")["grade"] == "broken"


def test_a_database_that_does_not_answer_in_time(runner: SharedCloudRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    made(runner)
    monkeypatch.setattr(database_probe, "DATABASE_EXAMINED_WITHIN_S", 0.0)
    checks = examined(runner, code=65)
    assert "did not answer within" in of(checks, "database")["text"]
    assert of(checks, "login")["grade"] == "fine"


def test_an_old_database_is_told_and_left_as_it_is(runner: SharedCloudRunner) -> None:
    file = made(runner)
    with pytest.MonkeyPatch.context() as newer_program:
        for module in (schema_check, diagnostics):
            newer_program.setattr(module, "REVISION", "0002")
        checks = examined(runner)
    assert (of(checks, "schema")["grade"], of(checks, "lease")["grade"]) == ("doubtful", "skipped")
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute("SELECT version_num FROM fleetos_revision").fetchall() == [("0001",)]
        connection.execute("UPDATE fleetos_revision SET version_num = '9999'")
    assert "newer than this program" in of(examined(runner, code=65), "schema")["text"]
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE fleetos_revision")
    assert "belongs to another program" in of(examined(runner, code=65), "schema")["text"]


def test_modes_and_copies_are_told_and_left_as_they_are(runner: SharedCloudRunner) -> None:
    file = made(runner)
    assert runner.invoke("db", "backup", str(file) + ".copy").returncode == 0
    file.chmod(0o644)
    checks = examined(runner)
    assert of(checks, "file-modes")["values"] == {"file": "0644", "folder": "0700"}
    assert of(checks, "file-modes")["grade"] == "doubtful"
    assert of(checks, "backup")["values"]["path"] == f"{file}.copy"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    file.unlink()
    Path(f"{file}-wal").write_bytes(b"commits")
    assert "holds its newest commits" in of(examined(runner, code=65), "database")["text"]


def test_a_second_name_is_broken(runner: SharedCloudRunner) -> None:
    file = made(runner)
    file.with_name("two.db").hardlink_to(file)
    found = of(examined(runner, code=64), "database")
    assert (found["grade"], "a hard link" in found["text"]) == ("broken", True)


def test_a_database_of_another_kind_is_wrong_usage(runner: SharedCloudRunner) -> None:
    assert of(examined(runner, "--db", "mysql://x/y", code=64), "database")["grade"] == "broken"


def test_a_cloud_out_of_reach(runner: SharedCloudRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "READ_WAIT_S", 0.01)
    runner.env["OS_AUTH_URL"] = "http://127.0.0.1:9/v3"
    checks = examined(runner, code=69)
    assert of(checks, "endpoint", "iam")["grade"] == of(checks, "login")["grade"] == "broken"
    assert of(checks, "clock")["grade"] == "skipped"


def test_a_cloud_that_asks_for_a_pause_is_not_waited_for(
    runner: SharedCloudRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_probe, "EXAMINED_WITHIN_S", 0.5)
    runner.faults({"on": "list", "do": "throttle", "requests": 0, "per_s": 60, "retry_after_s": 30})
    checks = examined(runner, code=69)
    found = of(checks, "permission", "list")
    assert (found["values"]["right"], "pause (429)" in found["text"]) == ("unknown", True)
    assert of(checks, "permission", "flavors")["values"]["right"] == "unknown"


def test_a_list_that_cannot_be_read_is_told_as_such(runner: SharedCloudRunner) -> None:
    runner.faults({"on": "list", "do": "garble"})
    found = of(examined(runner, code=69), "permission", "list")
    assert (found["values"]["right"], "cannot be read" in found["text"]) == ("unknown", True)


def test_ctrl_c_leaves_at_once(runner: SharedCloudRunner) -> None:
    runner.faults({"on": "token", "do": "hang-before"})
    process = runner.start("doctor")
    try:
        assert process.stdout is not None
        until(lambda: "endpoint iam" in (process.stdout.readline() if process.stdout else ""))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stopped by Ctrl-C"
    assert "Traceback" not in err


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandRunner]:
    """A cloud whose clock is an hour ahead."""
    folder = tmp_path_factory.mktemp("ahead")
    with running_cloud(folder, {"servers": [], "clock_ahead_s": 3600}) as running:
        yield running


def test_a_clock_that_is_behind_matters_to_signatures_alone(ahead: CommandRunner, tmp_path: Path) -> None:
    with SharedCloudRunner.at(ahead, tmp_path, iter(())) as runner:
        checks = examined(runner)
        clock = of(checks, "clock")
        assert (clock["grade"], "behind" in clock["text"], "zone" in clock["hint"]) == ("doubtful", True, True)
        assert -3603 < clock["values"]["ahead_s"] < -3597
        assert of(checks, "permission", "server")["grade"] == "skipped"
        runner.env |= KEY
        checks = examined(runner, code=77)
        assert of(checks, "clock")["grade"] == of(checks, "login")["grade"] == "broken"
