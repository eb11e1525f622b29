"""Secrets of every kind reach the cloud, and nothing else: no file, no output, no error, whatever goes wrong."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.runner import SharedCloudRunner, StartedCommand
from tests.support.commands import COMMAND_TIMEOUT_S, Done
from tests.support.proxy import Proxy, running_proxy
from tests.support.secrets import ADMINPASS, LOGIN_PASSWORD, USER_DATA, leaks

OTHER_PASSWORD = "Hd3-kP+9/rT%sWz@"
IN_PLAN = "#cloud-config {runcmd: [Bn8/+tRw<5_kL]}"
# What other programs would log in with; fleetos has no use for it and must not show it either.
UNUSED = {"OS_TOKEN": "tk-4Rw/8Lm+2Xc", "OS_ACCESS_KEY": "AK-7Hj/3Pq+9Zs", "OS_SECRET_KEY": "SK-1Vb/6Nt+5Gd"}
PROXY_PASSWORD = "px-8Yk-2Fs-6Dw"

# A defect in the very moment in which the secrets are at hand.
BROKEN = """
from fleetos.cloud.session import Session

async def broken(self, write, permit, last_check):
    try:
        raise LookupError(f"a defect before sending {write!r} through {self!r}")
    except LookupError as error:
        raise RuntimeError(f"a defect while sending {write.operation} by {vars(self)!r}") from error

Session.write = broken

from fleetos.cli.main import main
main()
"""


def crash(runner: SharedCloudRunner, *arguments: str) -> Done:
    """The command with a defect in it, run until it leaves."""
    script = [sys.executable, "-X", "faulthandler", "-c", BROKEN, *arguments]
    return subprocess.run(
        script,
        cwd=runner.folder,
        env=runner.env,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def secret_plan(runner: SharedCloudRunner) -> tuple[str, list[str]]:
    """A plan with secrets from everywhere, and the names of its servers: one fails, one is refused, one is changed."""
    names = runner.take(3)
    text = Path(runner.write_plan(names, attempts=1)).read_text(encoding="utf-8")
    text = text.replace("keyname: KeyPair-350b", "adminpass: {env: FLEET_PASSWORD}\n  user_data: {file: user-data}")
    own = f"change: {{adminpass: {{file: password}}, user_data: {{text: {json.dumps(IN_PLAN)}}}}}"
    text = text.replace(f"- name: {names[2]}", f"- name: {names[2]}\n    {own}")
    (runner.folder / "password").write_text(OTHER_PASSWORD, encoding="utf-8")
    (runner.folder / "user-data").write_text(USER_DATA, encoding="utf-8")
    runner.faults(
        {"on": "changeos", "do": "fail", "servers": [names[0]], "code": "Ecs.0202", "picture": ["old-disk"]},
        {"on": "changeos", "do": "refuse", "servers": [names[1]], "code": "Ecs.0005"},
    )
    return runner.plan(text), names


def traces(began: StartedCommand) -> list[bytes]:
    """What everybody on the machine may see of a process; its environment is for its owner."""
    folder = Path(f"/proc/{began.process.pid}")
    seen = [folder / "cmdline", *folder.glob("task/*/comm"), folder / "status", folder / "mountinfo"]
    return [file.read_bytes() for file in seen]


def kept(runner: SharedCloudRunner) -> dict[Path, bytes]:
    """Every file below HOME but those that hold the secrets by our own hand."""
    ours = {runner.folder / name for name in ("plan.yaml", "password", "user-data")}
    return {file: file.read_bytes() for file in runner.folder.rglob("*") if file.is_file() and file not in ours}


def cells(database: Path) -> str:
    """All values of the database in one text: in the file itself a long one lies on pages that are not neighbours."""
    with closing(sqlite3.connect(database)) as opened:
        return "\n".join(opened.iterdump())


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that keeps nothing from anybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def told(runner: SharedCloudRunner, run_id: str) -> list[str]:
    """What all the commands that tell of a run tell of it."""
    asked = [("events",), ("events", "-o", "json"), ("status",), ("status", "-o", "json"), ("runs", "-o", "json")]
    asked += [("validate", str(runner.folder / "plan.yaml"), "-o", "json"), ("db", "check")]
    asked += [("db", "backup", str(runner.folder / "copy.db")), ("retry", run_id, "-o", "json"), ("apply", "--help")]
    found = [runner.invoke(*words) for words in asked]
    return [text for one in found for text in (one.stdout, one.stderr)]


def drive(runner: SharedCloudRunner, between: Proxy, plan: str) -> tuple[str, list[bytes | str]]:
    """A run with everything that may go wrong around secrets: its id, and what came out of the commands."""
    # Not set yet: all secrets are looked for before a run is made.
    missing = runner.invoke("apply", plan, "--yes")
    assert (missing.returncode, "FLEET_PASSWORD" in missing.stderr) == (65, True)
    runner.env["FLEET_PASSWORD"] = ADMINPASS
    between.quoted["login"] = [401]
    refused = runner.invoke("apply", plan, "--yes", "-o", "json")
    assert refused.returncode == 77, refused.stdout
    crashed = crash(runner, "apply", plan, "--yes", "-o", "jsonl")
    assert crashed.returncode == 1, crashed.stderr
    assert "a defect while sending" in crashed.stderr
    assert json.loads(crashed.stdout.splitlines()[-1])["error"]["exit_code"] == 1
    between.quoted["change"] = [502]
    began = runner.begin("resume", PYTHONDEVMODE="1")
    began.until("target.changing", 2)
    seen = traces(began)
    began.kill()
    left = kept(runner)
    assert any(file.name.endswith("-wal") and content for file, content in left.items())
    # The cloud tells the password only when the process that sent it is gone.
    between.told = f"cannot set the password {ADMINPASS} or {OTHER_PASSWORD}"
    done = runner.fleetos("resume", began.run_id)
    assert done.returncode in (10, 22), done.stderr
    between.quoted["read"] = [403]
    retried = runner.invoke("retry", began.run_id, "--yes", "-o", "json")
    assert retried.returncode == 77, retried.stderr
    outputs = [text for one in (missing, refused, crashed, done, retried) for text in (one.stdout, one.stderr)]
    return began.run_id, [*outputs, *seen, repr(began.events), *left.values()]


@pytest.mark.slow
def test_secrets_reach_the_cloud_and_nothing_else(runner: SharedCloudRunner, careless: None) -> None:
    plan, names = secret_plan(runner)
    with running_proxy(runner.url, LOGIN_PASSWORD) as between:
        proxy = {"HTTPS_PROXY": f"http://al:{PROXY_PASSWORD}@proxy.invalid:3128"}
        runner.env |= {**between.environment(), **UNUSED, **proxy}
        run_id, outputs = drive(runner, between, plan)
        outputs += told(runner, run_id)
        # Without these nothing would be proven.
        assert between.quotations == 3
        assert len(between.bodies) >= len(names) + 1
        assert any(ADMINPASS in body for body in between.bodies)
        assert any(OTHER_PASSWORD in body for body in between.bodies)
        tokens = {f"token {number}": token for number, token in enumerate(set(between.tokens))}
    assert len(tokens) >= 3
    assert b"FLEET_PASSWORD" in runner.database.read_bytes(), (
        "the place of the password is kept: the file is the right one"
    )
    dump = cells(runner.database)
    assert "cannot set the password ***" in dump
    assert "POST refused" in dump
    assert "GET refused" in dump
    files = kept(runner)
    assert {"fleetos.db", "copy.db"} <= {file.name for file in files}
    secrets = {"adminpass": ADMINPASS, "other password": OTHER_PASSWORD, "login": LOGIN_PASSWORD, **UNUSED, **tokens}
    secrets |= {"user data": USER_DATA, "user data in the plan": IN_PLAN, "proxy": PROXY_PASSWORD}
    # The secret part of user data would do, and so would that of a token.
    secrets |= {"part": "Vd4/+ß<Yp>&%9_mR", "other part": "Bn8/+tRw<5_kL"}
    secrets |= {f"proof of {name}": token.split(".")[3] for name, token in tokens.items()}
    assert not leaks([*outputs, dump, *files.values()], secrets)
    made = [runner.folder / "copy.db", runner.folder / "state", *(runner.folder / "state").rglob("*")]
    wrong = {path: oct(mode) for path in made if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077}
    assert not wrong, "somebody else may read what is kept"
