"""A user without a home folder, as in a container that runs under any uid: it is missed only where it is needed."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fleetos.app.context import AppContext, home_folder, state_folder
from fleetos.errors import UsageError
from tests.cli.runner import SharedCloudRunner

# The command, as a user that no passwd entry knows. The rights stay those of root: the interpreter may lie in its home.
AS_ANYBODY = """
import os, sys
os.setresuid(54321, 0, 0)
import fleetos.cli.main
sys.argv[0] = "fleetos"
fleetos.cli.main.main()
"""


@pytest.mark.parametrize(
    ("env", "passwd", "home"),
    [
        ({"HOME": "/h"}, "/p", "/h"),
        ({}, "/p", "/p"),
        ({}, None, None),
        ({"HOME": ""}, "/p", None),
        ({"HOME": "relative"}, "/p", None),
        ({}, "", None),
        ({"HOME": "/h"}, None, "/h"),
    ],
)
def test_the_home_is_that_of_the_environment_or_of_the_passwd_entry(
    env: Mapping[str, str], passwd: str | None, home: str | None
) -> None:
    assert home_folder(env, lambda: passwd) == (None if home is None else Path(home))


@pytest.mark.parametrize(("home", "state"), [("", ""), ("", "relative"), ("relative", "")])
def test_the_state_has_no_place_without_a_home(monkeypatch: pytest.MonkeyPatch, home: str, state: str) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("XDG_STATE_HOME", state)
    for asked in (state_folder, AppContext(None, print).location):
        with pytest.raises(UsageError) as refused:
            asked()
        assert refused.value.hint == "set HOME or --db"


def test_a_place_that_is_named_needs_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "")
    assert AppContext(str(tmp_path / "x.db"), print).location().path == tmp_path / "x.db"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert AppContext(None, print).location().path == tmp_path / "fleetos" / "fleetos.db"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for everybody, which those that pytest makes are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def anybody(runner: SharedCloudRunner, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {
        name: value for name, value in runner.env.items() if name not in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    }
    return subprocess.run(
        [sys.executable, "-c", AS_ANYBODY, *arguments],
        env={**env, **more},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_user_without_a_passwd_entry_needs_only_a_database(runner: SharedCloudRunner, place: Path) -> None:
    names = runner.take(1)
    plan = shutil.copyfile(runner.write_plan(names), place / "plan.yaml")
    done = anybody(runner, "plan", str(plan), "--db", str(place / "x.db"), "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["servers"][0]["name"] == names[0]
    missed = anybody(runner, "plan", str(plan))
    assert (missed.returncode, missed.stdout) == (64, ""), missed.stderr
    assert "hint: set HOME or --db" in missed.stderr
