"""A simulated cloud as a process of its own on loopback, and its truth over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from fleetos.sim.api.access import Access
from fleetos.sim.scenario.scenario import Scenario
from tests.support.ledger import Ledger, read_ledger

# The ledger of 20,000 servers has some 50 MB.
_HTTP_TIMEOUT_S = 120.0
_END_S = 10.0
# What is passed on of this process's environment; all else of its user stays out.
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True, slots=True)
class CloudProcess:
    """A running simulated cloud. `env` is the environment for its clients, who live below the folder."""

    url: str
    folder: Path
    env: Mapping[str, str]

    def ledger(self) -> Ledger:
        """What the cloud saw."""
        return read_ledger(cast("Mapping[str, object]", self._get("/admin/ledger")))

    def servers(self) -> Sequence[Mapping[str, Any]]:
        """What its servers really are."""
        return cast("Sequence[Mapping[str, Any]]", self._get("/admin/servers")["servers"])

    def changes_in_flight(self) -> int:
        """How many changes run now."""
        return cast("int", self._get("/admin/health")["changes_in_flight"])

    def settle(self, timeout_s: float) -> None:
        """Nothing, once no change runs any more, or the time is over."""
        deadline_s = time.monotonic() + timeout_s
        while self.changes_in_flight() and time.monotonic() < deadline_s:
            time.sleep(0.1)

    def _get(self, path: str) -> Mapping[str, Any]:
        answer = httpx.get(self.url + path, timeout=_HTTP_TIMEOUT_S).raise_for_status()
        return cast("Mapping[str, Any]", answer.json())


@contextmanager
def cloud_process(folder: Path, scenario: Scenario) -> Generator[CloudProcess]:
    """A cloud of that scenario, which ends with it. `folder` is also the home of its clients."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scenario.json"
    file.write_text(scenario.model_dump_json(), encoding="utf-8")
    env = _environment(folder)
    with (folder / "cloud.txt").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleetos.sim.server.serve", "--scenario", str(file), "--listen", "127.0.0.1:0"],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    try:
        if process.stdout is None:
            raise RuntimeError("the cloud says nothing")
        url = cast("str", json.loads(process.stdout.readline())["base_url"])
        yield CloudProcess(url, folder, {**env, **Access(url).environment()})
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    return {**kept, **home, "COLUMNS": "120"}
