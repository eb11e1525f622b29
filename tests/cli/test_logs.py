"""The log of the real command: one record a request, no secret, and nothing unless it was asked for."""

import json
import os
import stat
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fleetos.sim.api.access import ACCESS_KEY, SECRET_KEY
from tests.cli.runner import SharedCloudRunner
from tests.cli.test_doctor import KEY
from tests.cli.test_secrets import OTHER_PASSWORD, PROXY_PASSWORD, secret_plan
from tests.cli.test_terminal import terminal
from tests.support.proxy import running_proxy
from tests.support.secrets import ADMINPASS, LOGIN_PASSWORD, USER_DATA, leaks

HEAD = ("time", "level", "logger", "message")
NONE = type(None)
REQUEST: Mapping[str, tuple[type, ...]] = {
    "operation": (str,),
    "method": (str,),
    "host": (str,),
    "path": (str,),
    "status": (int, NONE),
    "request_id": (str, NONE),
    "seconds": (float, int),
    "priority": (str, NONE),
    "write": (bool,),
    "failure": (str, NONE),
}
OTHERS = {
    "lease taken": {"run", "epoch"},
    "lease released": {"run", "epoch"},
    "lease lost": {"failure"},
    "run moved": {"run", "state", "reason"},
}
Record = dict[str, Any]


def records(log: Path) -> list[Record]:
    """Return the records of the log, each checked for its keys and types."""
    read = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]
    for record in read:
        assert tuple(record)[:4] == HEAD
        assert record["time"].endswith("Z")
        assert datetime.fromisoformat(record["time"]).utcoffset() is not None
        assert record["level"] in ("info", "warning")
        assert record["logger"].startswith("fleetos.")
        if record["message"].startswith("request "):
            assert list(record)[4:] == list(REQUEST)
            assert all(isinstance(record[key], types) for key, types in REQUEST.items()), record
            assert "?" not in record["path"]
        else:
            assert set(record) == {*HEAD, *OTHERS[record["message"]]}
    return read


def requests(log: Path) -> list[Record]:
    return [record for record in records(log) if record["message"].startswith("request ")]


def test_there_is_one_record_for_each_request_that_the_cloud_counts(runner: SharedCloudRunner) -> None:
    log, names = runner.folder / "fleetos.log", runner.take(2)
    before = Counter(runner.ledger().requests)
    done = runner.fleetos("apply", runner.write_plan(names), "--yes", FLEETOS_LOG=str(log))
    assert done.returncode == 0
    assert not [word for word in ("request answered", "Warning") if word in done.stdout + done.stderr]
    counted = Counter(runner.ledger().requests) - before
    sent = requests(log)
    # Those that were cancelled at the end of the run may not have left.
    answered = sum(record["message"] == "request answered" for record in sent)
    assert answered <= counted.total() <= len(sent)
    writes = [record for record in sent if record["write"]]
    assert {record["priority"] for record in writes} == {"write"}
    assert Counter(record["operation"] for record in writes) == {
        name: counted[name] for name in ("stop", "start", "changeos") if counted[name]
    }
    ids = {write.request_id for write in runner.writes(names)}
    assert {record["request_id"] for record in writes} == ids
    others = [record["message"] for record in records(log) if "operation" not in record]
    assert others == ["lease taken", "run moved", "lease released"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize("command", ["plan", "doctor"])
def test_reads_are_counted_to_the_last_and_the_log_is_appended_to(runner: SharedCloudRunner, command: str) -> None:
    log, plan = runner.folder / "fleetos.log", runner.write_plan(runner.take(1))
    log.touch(mode=0o644)
    for calls in (1, 2):
        before = sum(runner.ledger().requests.values())
        logged = len(requests(log))
        runner.fleetos(command, plan, FLEETOS_LOG=str(log))
        counted = sum(runner.ledger().requests.values()) - before
        assert counted == len(requests(log)) - logged > calls
    assert not any(record["write"] for record in requests(log))


def test_verbose_writes_short_lines_to_stderr(runner: SharedCloudRunner) -> None:
    done = runner.fleetos("-v", "plan", runner.write_plan(runner.take(1)), "-o", "json")
    assert json.loads(done.stdout)["v"] == 1
    lines = [line for line in done.stderr.splitlines() if "info request answered: operation=" in line]
    assert any('operation="list" method="GET"' in line for line in lines)


def test_verbose_is_refused_on_the_terminal_of_a_live_view_only(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    with terminal(runner, "-v", "apply", runner.write_plan(names), "--yes") as shown:
        assert shown.ends() == 64
    assert "FLEETOS_LOG=FILE" in shown.seen
    assert runner.writes(names) == []
    with terminal(runner, "-v", "runs") as shown:
        assert shown.ends() == 0


def foreign(path: Path) -> None:
    path.touch()
    try:
        os.chown(path, 12345, 12345)
    except PermissionError:
        pytest.skip("only root can give a file away")


def linked(path: Path) -> None:
    path.with_name("precious").write_text("precious")
    path.symlink_to(path.with_name("precious"))


def hard_linked(path: Path) -> None:
    path.with_name("precious").write_text("precious")
    path.hardlink_to(path.with_name("precious"))


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, foreign, linked, hard_linked, below_a_file])
def test_a_file_that_cannot_be_the_log_ends_the_command_before_it_begins(runner: SharedCloudRunner, make: Any) -> None:
    names, path = runner.take(1), runner.folder / "logs" / "log"
    path.parent.mkdir()
    make(path)
    before = runner.ledger().requests
    done = runner.fleetos("apply", runner.write_plan(names), "--yes", FLEETOS_LOG=str(path))
    assert (done.returncode, done.stdout) == (65, ""), done.stderr
    assert str(path) in done.stderr
    told = json.loads(runner.fleetos("runs", "-o", "json", FLEETOS_LOG=str(path)).stdout)
    assert told["error"]["exit_code"] == 65
    assert runner.ledger().requests == before
    assert not runner.database.exists()
    precious = path.parent / "precious"
    assert not precious.exists() or precious.read_text() == "precious"


def test_nothing_is_logged_unless_it_is_asked_for(runner: SharedCloudRunner) -> None:
    done = runner.fleetos("apply", runner.write_plan(runner.take(1)), "--yes", FLEETOS_LOG="")
    assert done.returncode == 0
    assert "request" not in done.stderr
    assert not list(runner.folder.rglob("*log*"))


def test_the_path_of_a_request_shows_no_access_key(runner: SharedCloudRunner) -> None:
    log = runner.folder / "fleetos.log"
    runner.env |= {**KEY, "FLEETOS_LOG": str(log)}
    assert runner.fleetos("plan", runner.write_plan(runner.take(1))).returncode == 0
    (asked,) = [record for record in requests(log) if record["operation"] == "credential"]
    assert asked["path"] == "/v3.0/OS-CREDENTIAL/credentials/***"
    assert not leaks([log.read_bytes()], {"access key": ACCESS_KEY, "secret key": SECRET_KEY})


def test_a_request_that_did_not_leave_has_no_status(runner: SharedCloudRunner) -> None:
    log = runner.folder / "fleetos.log"
    runner.fleetos("doctor", OS_AUTH_URL="http://127.0.0.1:9/v3", FLEETOS_LOG=str(log))
    failed = requests(log)
    assert {(record["message"], record["level"], record["status"]) for record in failed} == {
        ("request failed", "warning", None)
    }
    assert all(record["failure"].startswith("not sent: ") for record in failed)


@pytest.mark.slow
def test_no_secret_reaches_the_log(runner: SharedCloudRunner) -> None:
    log = runner.folder / "fleetos.log"
    plan, _ = secret_plan(runner)
    with running_proxy(runner.url, LOGIN_PASSWORD) as between:
        proxy = {"HTTPS_PROXY": f"http://al:{PROXY_PASSWORD}@proxy.invalid:3128"}
        runner.env |= {**between.environment(), **proxy, "FLEET_PASSWORD": ADMINPASS, "FLEETOS_LOG": str(log)}
        # The cloud quotes the requests of a login, a read and a change, and a password in the reason of a failure.
        between.quoted["login"] = [401]
        outputs = [runner.fleetos("-v", "apply", plan, "--yes").stderr]
        between.quoted["read"] = [403]
        outputs.append(runner.fleetos("-v", "plan", plan).stderr)
        between.told = f"cannot set the password {ADMINPASS} or {OTHER_PASSWORD}"
        between.quoted["change"] = [502]
        outputs.append(runner.fleetos("-v", "apply", plan, "--yes").stderr)
        assert between.quotations == 3
        tokens = {f"token {number}": token for number, token in enumerate(set(between.tokens))}
    statuses = Counter(record["status"] for record in requests(log))
    assert {200, 201, 401, 403, 502} <= set(statuses)
    assert all("request answered: " in text for text in outputs)
    secrets = {"adminpass": ADMINPASS, "other password": OTHER_PASSWORD, "login": LOGIN_PASSWORD, **tokens}
    secrets |= {"user data": USER_DATA, "part": "Vd4/+ß<Yp>&%9_mR", "proxy": PROXY_PASSWORD}
    assert not leaks([log.read_bytes(), *outputs], secrets)
