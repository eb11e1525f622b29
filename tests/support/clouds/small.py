"""Cloud of a few servers with behaviour of its own, behind the engine's protocol: no HTTP, no virtual time."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count

import anyio
import anyio.lowlevel

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
from fleetos.model.permit import LastCheck, Permit
from fleetos.model.run import Order, Secrets
from fleetos.model.traces import Traces
from tests.support.builders import NEW_IMAGE, RUNNING

LOST = Unanswered("connection reset by peer")


@dataclass
class WriteResult:
    """What happens to one write: whether it takes effect, and what is answered (None: the job)."""

    effect: bool = True
    reply: Reply | None = None


ACCEPTED = WriteResult()
LOST_AFTER = WriteResult(effect=True, reply=LOST)
LOST_BEFORE = WriteResult(effect=False, reply=LOST)


def refused(code: str | None, status: int = 400) -> WriteResult:
    """Not done, with this code."""
    return WriteResult(effect=False, reply=Delivered(status, code=code))


@dataclass
class Task:
    """One asynchronous task of the cloud. It goes on at each read of it or of its servers, and then takes effect."""

    verb: str
    server_ids: tuple[str, ...]
    reads_left: int
    status: JobStatus = JobStatus.RUNNING
    fails: bool = False


class SmallPermit:
    """A permit of the small cloud."""

    def __init__(self, cloud: "SmallCloud") -> None:
        self._cloud = cloud

    def give_back(self) -> None:
        """Returns it."""
        if self._cloud.permits is not None:
            self._cloud.permits += 1


class SmallCloud:
    """Servers in a dict. Accepts a change in any state, so that the fence does not hide our faults.

    `intended` says whether an intent for this write is durable. `crimes` lists what must never happen; the tests end
    with none.
    """

    def __init__(
        self,
        server_ids: Sequence[str],
        picture: ServerSnapshot = RUNNING,
        intended: Callable[[str, str], bool] = lambda _verb, _server_id: True,
    ) -> None:
        self.intended = intended
        self.pictures: dict[str, ServerSnapshot | None] = dict.fromkeys(server_ids, picture)
        self.works: dict[str, Task] = {}
        self._at: dict[str, list[Task]] = {}
        self.changing = 0
        self.results: dict[str, deque[WriteResult]] = {"stop": deque(), "start": deque(), "change": deque()}
        self.sent: list[tuple[str, tuple[str, ...]]] = []
        self.requests: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.made: set[str | None] = set()
        self.crimes: list[str] = []
        self.decides: Callable[[str, tuple[str, ...]], WriteResult | None] = lambda _verb, _ids: None
        self.permits: int | None = None
        self.refill = 0
        self.reads_a_work = 2
        self.hidden: set[str] = set()
        self.ahead: timedelta | None = None
        self.read_error: FleetosError | None = None
        self.gate: anyio.Event | None = None
        self.read_gate: anyio.Event | None = None
        self.crowd, self.crowd_of = anyio.Event(), 0
        self.most_changing = 0
        self._numbers = count(1)

    # --- the protocol ---

    def permit(self) -> Permit | None:
        """A permit, or None when they are used up."""
        if self.permits is None:
            return SmallPermit(self)
        if self.permits == 0:
            return None
        self.permits -= 1
        return SmallPermit(self)

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
        if self.read_gate is not None:
            await self.read_gate.wait()
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
        next_result = self.results[verb].popleft() if self.results[verb] else ACCEPTED
        result = self.decides(verb, server_ids) or next_result
        job_id = self._begin(verb, server_ids) if result.effect else None
        if len(self.sent) == self.crowd_of:
            self.crowd.set()
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        return result.reply if result.reply is not None else Delivered(200, job_id=job_id)

    def _suspect(self, verb: str, server_id: str) -> None:
        """Notes what must never be sent."""
        if not self.intended(verb, server_id):
            self.crimes.append(f"{verb} of {server_id} without a durable intent")
        if any(work.verb == "change" and work.status is JobStatus.RUNNING for work in self._at.get(server_id, ())):
            self.crimes.append(f"{verb} of {server_id} while its OS changes")
        picture = self.pictures[server_id]
        if verb == "change" and picture is not None and picture.disk in self.made:
            self.crimes.append(f"change of {server_id} on disk {picture.disk}, made by a change of ours")

    def _begin(self, verb: str, server_ids: tuple[str, ...]) -> str:
        job_id = f"job-{next(self._numbers)}"
        work = Task(verb, server_ids, self.reads_a_work)
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
        picture = self.pictures.get(server_id)
        told = None if self.ahead is None else datetime.now(UTC) + self.ahead
        return None if picture is None else Server(server_id, server_id, picture, cloud_time=told)

    def _further(self, work: Task) -> None:
        if work.status is not JobStatus.RUNNING:
            return
        work.reads_left -= 1
        if work.reads_left > 0:
            return
        work.status = JobStatus.FAIL if work.fails else JobStatus.SUCCESS
        self.changing -= work.verb == "change"
        for server_id in work.server_ids:
            self._effect(work, server_id)

    def _effect(self, work: Task, server_id: str) -> None:
        if work.verb == "stop" or work.fails:
            self._alter(server_id, status="SHUTOFF", vm_state="stopped", task=None, power=4)
        else:
            self._alter(server_id, status="ACTIVE", vm_state="active", task=None, power=1)
        if work.verb == "change" and not work.fails:
            disk = f"disk-{next(self._numbers)}"
            self.made.add(disk)
            self._alter(server_id, disk=disk, image=NEW_IMAGE)
