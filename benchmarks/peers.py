"""fleetos beside other ways to do the same: the same servers, slots and waits, against the same simulated cloud.

Real time, real HTTP on loopback, client and cloud in processes of their own. What is said of a client comes from the
cloud's ledger and from the kernel, never from the client.
"""

import math
import os
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.clients.ways import FLEETOS, WAYS, Task, Way
from benchmarks.cloud_process import CloudProcess, cloud_process
from benchmarks.evidence import changes, harm, slot_use
from benchmarks.peer_tables import Aftermath, Record, Rollout, cost_table, kill_table
from benchmarks.process_tree import Command, TimedOut, run
from benchmarks.report import Section, say
from benchmarks.scaled import IMAGE, KIND, ROUGH, Weather, world
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.scenario import Scenario
from tests.support.ledger import Ledger, changes_per_server

SERVERS, CONCURRENCY = 60, 20
QUICK_SERVERS, QUICK_CONCURRENCY = 8, 4
# Of all CPU time that the machine has: beyond that it is the machine that sets the pace.
_BUSY = 0.7
# So many times what the changes themselves need at least, before a client is taken for one that never ends.
_PATIENCE = 12.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fleet:
    """The size of a comparison."""

    servers: int
    concurrency: int
    scale: float

    @property
    def timeout_s(self) -> float:
        """When a client is given up."""
        return 60.0 + _PATIENCE * self.servers / self.concurrency * 1200.0 / self.scale


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the comparison is wanted. `concurrency` None: as many at a time as it has by itself.

    `clients` are the beginnings of the names, in small letters, of those beside fleetos; none: all of them. `kill`:
    also what a kill does.
    """

    concurrency: int | None = None
    clients: tuple[str, ...] = ()
    kill: bool = True

    def wants(self, way: Way) -> bool:
        """Whether this client is to be measured."""
        return way is FLEETOS or not self.clients or way.name.casefold().startswith(self.clients)

    def unknown(self) -> list[str]:
        """The clients that there are not."""
        names = [way.name.casefold() for way in WAYS]
        return [one for one in self.clients if not any(name.startswith(one) for name in names)]


def measured(fleet: Fleet, runs: int, choice: Choice) -> list[Record]:
    """The runs of every client, one after the other, so that none is disturbed by another."""
    records: list[Record] = []
    weathers = (KIND, ROUGH) if choice.kill else ()
    for way in filter(choice.wants, WAYS):
        rollouts: list[Rollout] = []
        aftermaths: dict[str, list[Aftermath]] = {weather.name: [] for weather in weathers}
        for number in range(1, runs + 1 if way.missing is None else 1):
            say(f"peers: {way.name}, run {number} of {runs}")
            rollouts.append(_staged(fleet, KIND, way, lambda cloud, way=way: _roll_out(cloud, way, fleet)))
            for weather in weathers:
                say(f"peers: {way.name}, run {number} of {runs}, killed half-way, {weather.name}")
                after = _staged(fleet, weather, way, lambda cloud, way=way: _kill_and_repeat(cloud, way, fleet))
                aftermaths[weather.name].append(after)
        records.append(Record(way, rollouts, aftermaths))
    return records


def _staged(fleet: Fleet, weather: Weather, way: Way, play: Callable[[CloudProcess], T]) -> T:
    """What the play returns, in a world of its own in which the client is ready to start."""
    scenario = world(fleet.servers, fleet.scale, weather)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, cloud_process(Path(folder), scenario) as cloud:
        ids = [str(server["id"]) for server in cloud.servers()]
        way.prepare(cloud.folder, Task(ids, image_id(scenario), fleet.concurrency, fleet.scale))
        return play(cloud)


def image_id(scenario: Scenario) -> str:
    """The id that the cloud of the scenario has for the new image."""
    return next(entry.make_image(RandomDraws(scenario.seed)).id for entry in scenario.images if entry.name == IMAGE)


def _roll_out(cloud: CloudProcess, way: Way, fleet: Fleet) -> Rollout:
    command = way.command(cloud)
    try:
        used = run(command, fleet.timeout_s)
    except TimedOut as error:
        return Rollout(*[math.nan] * 6, busy=False, trouble=str(error))
    ledger = cloud.ledger()
    trouble = "" if used.exit_code == 0 else f"exit code {used.exit_code}: {_last_words(command)}"
    if not trouble and len(changes_per_server(ledger)) < fleet.servers:
        trouble = f"only {len(changes_per_server(ledger))} servers were changed"
    return Rollout(
        calls=sum(ledger.requests.values()) / fleet.servers,
        slot_use=slot_use(changes(ledger), fleet.concurrency),
        cpu_ms=1000 * used.cpu_s / fleet.servers,
        rss_mib=used.peak_rss_bytes / 2**20,
        pss_mib=used.peak_pss_bytes / 2**20,
        wall_s=used.wall_s,
        busy=used.cpu_s > _BUSY * used.wall_s * (os.cpu_count() or 1),
        trouble=trouble,
    )


def _kill_and_repeat(cloud: CloudProcess, way: Way, fleet: Fleet) -> Aftermath:
    """The client dies with all its processes when the cloud has accepted half of the changes, and is started again."""

    def half_way() -> bool:
        return _accepted(cloud.ledger()) * 2 >= fleet.servers

    again = way.command(cloud, again=True)
    try:
        if run(way.command(cloud), fleet.timeout_s, half_way).exit_code is not None:
            return Aftermath(0, 0, 0, None, math.nan, f"ended before it could be killed: {_last_words(again)}")
        used = run(again, fleet.timeout_s)
    except TimedOut as error:
        return Aftermath(0, 0, 0, None, math.nan, str(error))
    left = cloud.changes_in_flight()
    # What the cloud has accepted goes on without anybody, and counts.
    cloud.settle(fleet.timeout_s)
    servers = cloud.servers()
    running = frozenset(str(one["id"]) for one in servers if one["vm_state"] == "active")
    found = harm(cloud.ledger(), running, frozenset(str(one["id"]) for one in servers))
    return Aftermath(found.changed_twice, found.lost, left, used.exit_code, used.wall_s)


def _accepted(ledger: Ledger) -> int:
    return sum(len(writes) for writes in changes_per_server(ledger).values())


def _last_words(command: Command) -> str:
    lines = command.said.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:120] for line in reversed(lines) if line.strip()), "it said nothing")


def peers(servers: int | None, runs: int, scale: float, choice: Choice, *, quick: bool) -> Section:
    """The section, with one row for each client."""
    size = servers or (QUICK_SERVERS if quick else SERVERS)
    fleet = Fleet(size, choice.concurrency or (QUICK_CONCURRENCY if quick else CONCURRENCY), scale)
    records = measured(fleet, runs, choice)
    about = f"{size:,} servers, {fleet.concurrency} at a time, time 1/{scale:g}, medians of {runs}"
    data = {
        record.way.name: {
            "missing": record.way.missing,
            "commands": [shlex.join(record.way.first), shlex.join(record.way.again)],
            "rollouts": [asdict(one) for one in record.rollouts],
            "killed": {name: [asdict(one) for one in some] for name, some in record.aftermaths.items()},
        }
        for record in records
    }
    tables = [cost_table(records, about), *([kill_table(records, about)] if choice.kill else [])]
    return Section("peers", tables, {**asdict(fleet), "runs": runs, "ways": data})
