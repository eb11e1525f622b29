"""Runner of the real command with a database and servers of its own, in a cloud that it shares with other tests."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Timer
from typing import Any, cast

from typer.testing import CliRunner

from fleetos.cli.main import app
from fleetos.sim.world.ledger import LedgerEntry
from tests.support.commands import CommandRunner, Done, environment
from tests.support.fork_server import Process
from tests.support.ledger import CHANGES
from tests.support.plan_texts import plan

PACE = """
polling: {min: 100ms, max: 200ms}
timeouts: {stop: 1m, change: 1m, settle: 1s, start: 1m}
"""
# A process that says nothing for so long hangs, and is killed.
SILENCE_MAX_S = 60.0
Event = Mapping[str, Any]


@dataclass
class SharedCloudRunner(CommandRunner):
    """Runner that shares its cloud. `unused` are names of servers that nobody has touched."""

    unused: Iterator[str] = field(default_factory=lambda: iter(()))
    began: list["StartedCommand"] = field(default_factory=list["StartedCommand"])

    @classmethod
    @contextmanager
    def at(cls, cloud: CommandRunner, folder: Path, unused: Iterator[str]) -> Generator["SharedCloudRunner"]:
        """Yield a runner in that folder; what it left running is killed at the end."""
        access = {name: value for name, value in cloud.env.items() if name.startswith("OS_")}
        runner = cls(folder, cloud.url, {**environment(folder), **access}, unused)
        try:
            yield runner
        finally:
            for one in runner.began:
                one.kill()

    @property
    def database(self) -> Path:
        """The file in which the commands keep their runs."""
        return self.folder / "state" / "fleetos" / "fleetos.db"

    def take(self, count: int) -> list[str]:
        """The names of so many running servers that no test has touched."""
        names = list(islice(self.unused, count))
        assert len(names) == count, "the cloud of these tests needs more servers"
        return names

    def write_plan(self, names: Sequence[str], name: str = "plan.yaml", **more: Any) -> str:
        """The path of a plan for these servers, with a pace that fits a test."""
        return self.plan(plan(names, **cast("dict[str, Any]", {"pace": PACE, **more})), name)

    def faults(self, *rules: Mapping[str, object]) -> None:
        """Lets the cloud go wrong by these rules alone."""
        self.post("/admin/faults", list(rules))

    def act(self, name: str, **order: str) -> None:
        """Lets somebody else act on a server."""
        self.post(f"/admin/servers/{self.servers()[name]['id']}", order)

    def writes(self, names: Sequence[str]) -> list[LedgerEntry]:
        """All writes that named one of these servers, in their order."""
        servers = self.servers()
        ids = {servers[name]["id"] for name in names}
        return [write for write in self.ledger().writes if ids.intersection(write.servers)]

    def changes(self, names: Sequence[str]) -> dict[str, int]:
        """How many changes of each of these servers the cloud has accepted."""
        servers = self.servers()
        ids = {servers[name]["id"]: name for name in names}
        counts = dict.fromkeys(names, 0)
        for write in self.ledger().writes:
            if write.operation in CHANGES and write.came == "accepted" and write.servers[0] in ids:
                counts[ids[write.servers[0]]] += 1
        return counts

    def runs(self) -> list[Mapping[str, Any]]:
        """The list of runs, the newest first, as programs read it."""
        return cast("list[Mapping[str, Any]]", json.loads(self.invoke("runs", "-o", "json").stdout)["runs"])

    def status(self, run: str | None = None) -> Mapping[str, Any]:
        """The status document of a run."""
        done = self.invoke("status", *([run] if run else []), "-o", "json")
        assert done.returncode == 0, done.stderr
        return cast("Mapping[str, Any]", json.loads(done.stdout))

    def invoke(self, *arguments: str) -> Done:
        """The command in this process: for what drives no run, and is no process's business."""
        # What the user of this machine has set is not for these commands.
        env = dict.fromkeys(("FLEETOS_DB", "FLEETOS_SIM_SCENARIO", "OS_CLOUD")) | self.env
        done = CliRunner().invoke(app, arguments, env=env)
        return Done(arguments, done.exit_code, done.stdout, done.stderr)

    def begin(self, *arguments: str, **more: str) -> "StartedCommand":
        """The real command, started with its events as JSON lines."""
        began = StartedCommand(self.start(*arguments, "-o", "jsonl", **more))
        self.began.append(began)
        return began


class StartedCommand:
    """A command under way that prints its events."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.events: list[Event] = []
        self._watchdog = Timer(SILENCE_MAX_S, process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def until(self, kind: str, count: int = 1) -> list[Event]:
        """The events so far, once so many of that type have come. Fails if the command ends before."""
        assert self.process.stdout is not None
        while sum(event["type"] == kind for event in self.events) < count:
            line = self.process.stdout.readline()
            assert line, f"no {kind}: {self.end().stderr}"
            self.events.append(json.loads(line))
        return self.events

    @property
    def run_id(self) -> str:
        """The run that it drives; known after the first event."""
        return str(self.events[0]["run"])

    def end(self, timeout_s: float = SILENCE_MAX_S) -> Done:
        """What the command left behind, once it has ended; the rest of its events are among the others."""
        out, err = self.process.communicate(timeout=timeout_s)
        self._watchdog.cancel()
        self.events += [json.loads(line) for line in out.splitlines()]
        return Done(self.process.args, self.process.returncode, out, err)

    def kill(self) -> None:
        """Kills the command without a warning, if it still runs."""
        self._watchdog.cancel()
        self.process.kill()
        self.process.communicate()
