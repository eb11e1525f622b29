"""A simulated cloud and a database file for use cases that are called in this process, without a terminal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest

from fleetos.app.context import AppContext
from fleetos.model.journal.events import Record
from fleetos.model.plan import Plan
from fleetos.model.progress import Progress
from fleetos.model.states import Command
from fleetos.model.wipes import Wipes
from fleetos.planning.agreement import Agreement, NotConfirmed
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.preflight.preflight import Preflight
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.views.view import SilentView, View
from tests.support.commands import CommandRunner, running_cloud
from tests.support.ledger import CHANGES, stopped_by_us, successful_disks_destroyed
from tests.support.plan_texts import plan

SERVERS = 40
SCENARIO = {
    "seed": 5,
    "servers": [{"count": SERVERS, "name": "app-##", "state": "running"}],
    "durations": {"stop": [0.05, 0.1], "start": [0.05, 0.1], "change": [0.2, 0.3], "job_init": [0, 0.05]},
}
PACE = """
polling: {min: 100ms, max: 200ms}
timeouts: {stop: 20s, change: 30s, settle: 1s, start: 20s}
"""


class CallingView(SilentView):
    """View that draws nothing, and calls a function after each turn."""

    def __init__(self, after_turn: Callable[[Progress], None]) -> None:
        self._after_turn = after_turn

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        """Call the function if the turn wrote anything."""
        if records:
            self._after_turn(progress)


@dataclass
class ScriptedOperator:
    """Operator whose answers are given before, and who notes what is asked."""

    agreement: Agreement = field(default_factory=Agreement)
    agrees: bool = True
    waits: bool = True
    streams_events: bool = False
    after_turn: Callable[[Progress], None] = field(default=lambda _: None)
    surveyed: list[FrozenRun] = field(default_factory=list[FrozenRun])
    shown: list[tuple[Command, int]] = field(default_factory=list[tuple[Command, int]])
    asked: list[tuple[Command, int]] = field(default_factory=list[tuple[Command, int]])

    def show_preflight(self, preflight: Preflight, frozen: FrozenRun) -> None:
        """Note the run as it was frozen."""
        self.surveyed.append(frozen)

    def show_wipes(self, wipes: Wipes, command: Command, frozen: FrozenRun | None) -> None:
        """Note the number of system disks that are shown."""
        self.shown.append((command, len(wipes.left)))

    def confirm(self, wipes: Wipes, command: Command, frozen: FrozenRun | None) -> None:
        """Answer as the script says."""
        self.asked.append((command, len(wipes.left)))
        if not self.agrees:
            raise NotConfirmed("no")

    def confirm_abort(self, progress: Progress, driver: str | None) -> None:
        """Answer as the script says."""
        self.asked.append((Command.ABORT, 0))
        if not self.agrees:
            raise NotConfirmed("no")

    def open_view(self) -> View:
        """Return the view that calls back."""
        return CallingView(self.after_turn)


@dataclass
class Case:
    """One test's servers in the cloud, its folder and its database."""

    cloud: CommandRunner
    folder: Path
    unused: Iterator[str]
    said: list[str] = field(default_factory=list[str])

    @property
    def context(self) -> AppContext:
        """The context of a caller that collects what it is told."""
        return AppContext(str(self.folder / "fleetos.db"), self.said.append)

    def take(self, count: int) -> list[str]:
        """Return the names of servers that no test has touched."""
        names = list(islice(self.unused, count))
        assert len(names) == count, "the cloud of these tests needs more servers"
        return names

    def plan(self, names: Sequence[str], *, attempts: int = 1) -> Plan:
        """Return a plan for these servers, with a pace that fits a test."""
        path = self.folder / "plan.yaml"
        path.write_text(plan(names, attempts=attempts, pace=PACE), encoding="utf-8")
        return load_plan(path)

    def faults(self, *rules: Mapping[str, object]) -> None:
        """Let the cloud go wrong by these rules alone."""
        self.cloud.post("/admin/faults", list(rules))

    def writes(self, names: Sequence[str]) -> list[LedgerEntry]:
        """Return all writes that named one of these servers."""
        servers = self.cloud.servers()
        ids = {servers[name]["id"] for name in names}
        return [write for write in self.cloud.ledger().writes if ids.intersection(write.servers)]

    def changes(self, names: Sequence[str]) -> dict[str, int]:
        """Return how many changes of each of these servers the cloud has accepted."""
        servers = self.cloud.servers()
        by_id = {servers[name]["id"]: name for name in names}
        counts = dict.fromkeys(names, 0)
        for write in self.writes(names):
            if write.operation in CHANGES and write.came == "accepted":
                counts[by_id[write.servers[0]]] += 1
        return counts

    def check_safety(self) -> None:
        """Fail if a disk of a successful change was wiped, or a server lies stopped by us."""
        assert successful_disks_destroyed(self.cloud.ledger()) == []
        assert stopped_by_us(self.cloud.ledger(), self.cloud.truth()) == []


@pytest.fixture(scope="session")
def app_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CommandRunner, Iterator[str]]]:
    """The cloud, and names of servers that no test has touched yet."""
    with running_cloud(tmp_path_factory.mktemp("cloud"), SCENARIO) as running:
        yield running, iter([f"app-{number:02d}" for number in range(1, SERVERS + 1)])


@pytest.fixture
def case(app_cloud: tuple[CommandRunner, Iterator[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The cloud without faults, its credentials in the environment, and no database yet."""
    cloud, unused = app_cloud
    for name in ("FLEETOS_DB", "FLEETOS_SIM_SCENARIO", "OS_CLOUD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name, value in cloud.env.items():
        if name.startswith("OS_"):
            monkeypatch.setenv(name, value)
    cloud.post("/admin/heal", {})
    return Case(cloud, tmp_path, unused)
