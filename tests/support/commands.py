"""Runner of the real command against a simulated cloud, each a process of its own.

Everything lives below one folder: HOME, state, plan, scenario. The ledger of the cloud is the judge.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fleetos.sim.api.access import Access
from tests.support.fork_server import CLOUD, ForkedProcess, Process
from tests.support.ledger import Ledger, read_ledger

COMMAND_TIMEOUT_S = 120.0
HTTP_TIMEOUT_S = 60.0
Done = subprocess.CompletedProcess[str]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command that knows nothing of this machine's user."""
    names = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_CONFIG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    return {**kept, **home, "PYTHONWARNINGS": "error", "COLUMNS": "120", **more}


def command(*arguments: str) -> list[str]:
    """The command line of the real command."""
    return [sys.executable, "-m", "fleetos", *arguments]


@dataclass
class CommandRunner:
    """A running simulated cloud, and fleetos as its client."""

    folder: Path
    url: str
    env: dict[str, str] = field(default_factory=dict[str, str])

    def fleetos(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S, **more: str) -> Done:
        """The real command, run to its end."""
        process = self.start(*arguments, **more)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Done(process.args, process.returncode, out, err)

    def start(self, *arguments: str, **more: str) -> Process:
        """The real command, started: by an interpreter of its own where `more` says how that starts, else forked."""
        if not any(name.startswith("PYTHON") for name in more):
            return ForkedProcess(arguments, self.folder, {**self.env, **more})
        return subprocess.Popen(
            command(*arguments),
            cwd=self.folder,
            env={**self.env, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def plan(self, text: str, name: str = "plan.yaml") -> str:
        """The path of a plan with this text."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    def ledger(self) -> Ledger:
        """What the cloud saw."""
        return read_ledger(self.get("/admin/ledger"))

    def truth(self) -> Mapping[str, Any]:
        """What the cloud's servers really are."""
        return self.get("/admin/servers")

    def servers(self) -> Mapping[str, Mapping[str, Any]]:
        """The cloud's servers by name, as they really are."""
        return {one["name"]: one for one in cast("list[Mapping[str, Any]]", self.truth()["servers"])}

    def get(self, path: str) -> Mapping[str, Any]:
        """The JSON that the cloud has at an admin path."""
        with urllib.request.urlopen(self.url + path, timeout=HTTP_TIMEOUT_S) as answer:
            return cast("Mapping[str, Any]", json.load(answer))

    def post(self, path: str, content: object) -> None:
        """Sends JSON to an admin path."""
        body = json.dumps(content).encode()
        request = urllib.request.Request(self.url + path, data=body, method="POST")
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
            answer.read()

    def status(self, run: str | None = None) -> Mapping[str, Any]:
        """The status document of a run."""
        done = self.fleetos("status", *([run] if run else []), "-o", "json")
        assert done.returncode == 0, done.stderr
        return cast("Mapping[str, Any]", json.loads(done.stdout))


@contextmanager
def running_cloud(folder: Path, scenario: Mapping[str, object]) -> Generator[CommandRunner]:
    """Yield a runner in that folder, with a cloud of that scenario; the cloud ends with it."""
    file = folder / "scenario.json"
    file.write_text(json.dumps(scenario), encoding="utf-8")
    env = environment(folder)
    cloud = ForkedProcess(("--scenario", str(file)), folder, env, program=CLOUD, stderr=2)
    assert cloud.stdout is not None
    try:
        url = cast("str", json.loads(cloud.stdout.readline())["base_url"])
        yield CommandRunner(folder, url, {**env, **Access(url).environment()})
    finally:
        cloud.send_signal(signal.SIGTERM)
        try:
            cloud.wait(timeout=10)
        except subprocess.TimeoutExpired:
            cloud.kill()
            cloud.wait()
        cloud.stdout.close()


def until(condition: Callable[[], bool], timeout_s: float = COMMAND_TIMEOUT_S, *, look_every_s: float = 0.02) -> None:
    """Nothing, once the condition holds. Fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(look_every_s)


def kill_after(process: Process, seconds: float) -> bool:
    """Kills the process with SIGKILL after so many seconds. Returns whether it was still there to be killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            process.communicate()
            return False
        time.sleep(0.01)
    process.kill()
    process.communicate()
    return True
