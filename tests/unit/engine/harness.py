"""A small cloud with behaviour of its own, and an engine between it and a journal in memory."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

import anyio
import anyio.lowlevel

from fleetos.clock import SystemClock
from fleetos.engine.engine import Dependencies, Engine
from fleetos.errors import FleetosError
from fleetos.model.inventory import (
    Delivered,
    Job,
    JobStatus,
    Reply,
    Server,
    ServerSnapshot,
    SubJob,
    Unanswered,
    Undelivered,
)
from fleetos.model.journal.events import Record
from fleetos.model.permit import LastCheck, Permit
from fleetos.model.plan import StopMode
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Secrets, Settings, Target
from fleetos.model.states import HOLDS_SLOT, Command, TargetState
from fleetos.model.traces import Traces
from tests.support.builders import NEW_IMAGE, RUNNING, SETTINGS, a_run, a_target
from tests.support.chance import SeededChance
from tests.unit.engine.list_journal import ListJournal

PATIENCE_S = 60.0
"""A test that waits longer fails: far beyond what a loaded machine takes."""

QUICK = replace(
    SETTINGS,
    loopback=True,
    settle_s=0.05,
    poll_min_s=0.005,
    poll_max_s=0.02,
    backoff_s=0.01,
    max_backoff_s=0.02,
    stop_timeout_s=2.0,
    change_timeout_s=2.0,
    start_timeout_s=2.0,
)
LOST = Unanswered("connection reset by peer")


@dataclass
class Fate:
    """What happens to one write: whether it takes effect, and what is answered (None: the job)."""

    effect: bool = True
    reply: Reply | None = None


ACCEPTED = Fate()
LOST_AFTER = Fate(effect=True, reply=LOST)
LOST_BEFORE = Fate(effect=False, reply=LOST)


def refused(code: str | None, status: int = 400) -> Fate:
    """Not done, with this code."""
    return Fate(effect=False, reply=Delivered(status, code=code))


@dataclass
class Work:
    """One asynchronous task of the cloud. It goes on at each read of it or of its servers, and then takes effect."""

    verb: str
    server_ids: tuple[str, ...]
    reads_left: int
    status: JobStatus = JobStatus.RUNNING
    fails: bool = False


class Token:
    """A permit of the small cloud."""

    def __init__(self, cloud: "SmallCloud") -> None:
        self._cloud = cloud

    def give_back(self) -> None:
        """Returns it."""
        if self._cloud.permits is not None:
            self._cloud.permits += 1


class SmallCloud:
    """Servers in a dict. Accepts a change in any state, so that the fence does not hide our faults.

    `crimes` lists what must never happen; the tests end with none.
    """

    def __init__(self, journal: ListJournal, server_ids: Sequence[str], picture: ServerSnapshot = RUNNING) -> None:
        self._journal = journal
        self.pictures: dict[str, ServerSnapshot | None] = dict.fromkeys(server_ids, picture)
        self.works: dict[str, Work] = {}
        self._at: dict[str, list[Work]] = {}
        self.changing = 0
        self.fates: dict[str, deque[Fate]] = {"stop": deque(), "start": deque(), "change": deque()}
        self.sent: list[tuple[str, tuple[str, ...]]] = []
        self.requests: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.made: set[str | None] = set()
        self.crimes: list[str] = []
        self.decides: Callable[[str, tuple[str, ...]], Fate | None] = lambda _verb, _ids: None
        self.permits: int | None = None
        self.refill = 0
        self.reads_a_work = 2
        self.hidden: set[str] = set()
        self.read_error: FleetosError | None = None
        self.gate: anyio.Event | None = None
        self.crowd, self.crowd_of = anyio.Event(), 0
        self.most_changing = 0
        self._numbers = count(1)

    # --- the protocol ---

    def permit(self) -> Permit | None:
        """A permit, or None when they are used up."""
        if self.permits is None:
            return Token(self)
        if self.permits == 0:
            return None
        self.permits -= 1
        return Token(self)

    def permit_in_s(self) -> float:
        """Soon."""
        if self.permits == 0:
            self.permits = self.refill
        return 0.001

    def sweep_calls(self, servers: int) -> int:
        """One."""
        return 1 if servers else 0

    def read_rate_per_s(self) -> float | None:
        """Unlimited."""
        return None

    def write_rate_per_s(self) -> float | None:
        """Unlimited."""
        return None

    async def server(self, server_id: str) -> Server | None:
        """The server as it is, after what was to happen at this read."""
        await self._read("server")
        return self._shown(server_id)

    async def sweep(self, server_ids: Sequence[str]) -> Mapping[str, Server]:
        """All that are not hidden from list pages."""
        await self._read("sweep")
        shown = {one: self._shown(one) for one in server_ids if one not in self.hidden}
        return {server_id: server for server_id, server in shown.items() if server is not None}

    async def job(self, job_id: str) -> Job | None:
        """The job, one read further."""
        await self._read("job")
        work = self.works.get(job_id)
        if work is None:
            return None
        self._further(work)
        parts = tuple(SubJob(one, f"{job_id}-{one}", work.status) for one in work.server_ids)
        return Job(job_id, work.status, sub_jobs=parts if work.verb != "change" else ())

    async def traces(self, server_id: str, since: datetime) -> Traces | None:
        """Not offered."""
        await self._read("traces")
        return None

    async def stop(self, server_ids: Sequence[str], *, hard: bool, permit: Permit, last_check: LastCheck) -> Reply:
        """One multi-server stop."""
        return await self._write("stop", tuple(server_ids), permit, last_check)

    async def start(self, server_ids: Sequence[str], *, permit: Permit, last_check: LastCheck) -> Reply:
        """One multi-server start."""
        return await self._write("start", tuple(server_ids), permit, last_check)

    async def change_os(
        self,
        server_id: str,
        order: Order,
        secrets: Secrets,
        *,
        stop_first: bool,
        permit: Permit,
        last_check: LastCheck,
    ) -> Reply:
        """One changeos."""
        return await self._write("change", (server_id,), permit, last_check)

    # --- its insides ---

    async def _read(self, operation: str) -> None:
        self.requests[operation] += 1
        await anyio.lowlevel.checkpoint()
        if self.read_error is not None:
            raise self.read_error

    async def _write(self, verb: str, server_ids: tuple[str, ...], permit: Permit, last_check: LastCheck) -> Reply:
        await anyio.lowlevel.checkpoint()
        why = last_check()
        if why is not None:
            permit.give_back()
            return Undelivered(why)
        self.requests[verb] += 1
        self.sent.append((verb, server_ids))
        for server_id in server_ids:
            self._suspect(verb, server_id)
        next_fate = self.fates[verb].popleft() if self.fates[verb] else ACCEPTED
        fate = self.decides(verb, server_ids) or next_fate
        job_id = self._begin(verb, server_ids) if fate.effect else None
        if len(self.sent) == self.crowd_of:
            self.crowd.set()
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        return fate.reply if fate.reply is not None else Delivered(200, job_id=job_id)

    def _suspect(self, verb: str, server_id: str) -> None:
        """Notes what must never be sent."""
        if not self._journal.intended(verb, server_id):
            self.crimes.append(f"{verb} of {server_id} without a durable intent")
        if any(work.verb == "change" and work.status is JobStatus.RUNNING for work in self._at.get(server_id, ())):
            self.crimes.append(f"{verb} of {server_id} while its OS changes")
        picture = self.pictures[server_id]
        if verb == "change" and picture is not None and picture.disk in self.made:
            self.crimes.append(f"change of {server_id} on disk {picture.disk}, made by a change of ours")

    def _begin(self, verb: str, server_ids: tuple[str, ...]) -> str:
        job_id = f"job-{next(self._numbers)}"
        work = Work(verb, server_ids, self.reads_a_work)
        self.works[job_id] = work
        for server_id in server_ids:
            self._at.setdefault(server_id, []).append(work)
        if verb == "change":
            self.accepted[server_ids[0]] += 1
            self.changing += 1
            self.most_changing = max(self.most_changing, self.changing)
            self._alter(server_ids[0], status="REBUILD", task="rebuilding")
        return job_id

    def _alter(self, server_id: str, **changes: object) -> None:
        picture = self.pictures[server_id]
        if picture is not None:
            self.pictures[server_id] = replace(picture, **changes)

    def _shown(self, server_id: str) -> Server | None:
        for work in self._at.get(server_id, ()):
            self._further(work)
        picture = self.pictures[server_id]
        return None if picture is None else Server(server_id, server_id, picture)

    def _further(self, work: Work) -> None:
        if work.status is not JobStatus.RUNNING:
            return
        work.reads_left -= 1
        if work.reads_left > 0:
            return
        work.status = JobStatus.FAIL if work.fails else JobStatus.SUCCESS
        self.changing -= work.verb == "change"
        for server_id in work.server_ids:
            self._effect(work, server_id)

    def _effect(self, work: Work, server_id: str) -> None:
        if work.verb == "stop" or work.fails:
            self._alter(server_id, status="SHUTOFF", vm_state="stopped", task=None, power=4)
        else:
            self._alter(server_id, status="ACTIVE", vm_state="active", task=None, power=1)
        if work.verb == "change" and not work.fails:
            disk = f"disk-{next(self._numbers)}"
            self.made.add(disk)
            self._alter(server_id, disk=disk, image=NEW_IMAGE)


class NoSecrets:
    """Orders without secrets."""

    def resolve(self, order: Order) -> Secrets:
        """None are needed."""
        return Secrets()


@dataclass
class Watcher:
    """A listener that checks the counts it is shown, and may act on them."""

    most_slots: int = 0
    turns: int = 0
    act: Callable[[Progress], None] | None = None
    states: list[TargetState] = field(default_factory=list[TargetState])

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        """Told after each turn that wrote something."""
        self.turns += 1
        self.most_slots = max(self.most_slots, progress.slots_taken)
        if len(progress.targets) < 100:
            assert progress.slots_taken == sum(one.state in HOLDS_SLOT for one in progress.targets.values())
            self.states += [one.state for one in progress.targets.values()]
        if self.act is not None:
            self.act(progress)


class EngineHarness:
    """A run between a small cloud and a journal in memory."""

    def __init__(
        self,
        number: int = 1,
        settings: Settings = QUICK,
        picture: ServerSnapshot = RUNNING,
        targets: Sequence[Target] = (),
    ) -> None:
        made = list(targets) or [a_target(one, baseline=picture) for one in range(1, number + 1)]
        self.journal = ListJournal(a_run(settings), made)
        self.cloud = SmallCloud(self.journal, [one.server_id for one in made], picture)
        self.watcher = Watcher()
        self._ids = count(1)

    def engine(self) -> Engine:
        """A new process over what the journal tells."""
        edge = Dependencies(
            cloud=self.cloud,
            journal=self.journal,
            secrets=NoSecrets(),
            listener=self.watcher,
            clock=SystemClock(),
            chance=SeededChance(1),
            new_id=lambda: f"call-{next(self._ids)}",
        )
        return Engine(self.journal.progress(), edge)

    async def drive(self, within_s: float = PATIENCE_S, command: Command = Command.RESUME) -> Progress:
        """The progress after one process has driven the run; ends with no crime."""
        with anyio.fail_after(within_s):
            await self.engine().drive("host:1", command)
        return self.ended()

    def ended(self) -> Progress:
        """What the journal tells, once nothing criminal was seen."""
        assert self.cloud.crimes == []
        return self.journal.progress()

    def one(self, number: int = 1) -> Target:
        """A target as the journal has it."""
        return self.journal.targets[f"server-{number:04}"]

    def states(self) -> Counter[TargetState]:
        """How many targets are in each state."""
        return Counter(one.state for one in self.journal.targets.values())

    def sent(self, verb: str) -> int:
        """How many requests of that kind left."""
        return sum(one == verb for one, _ in self.cloud.sent)


SOFT = replace(QUICK, stop=StopMode.SOFT)
