"""What all parts of one play share: the cloud, the store, the notes of the witnesses, and the clock of the play."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetos.model.journal.events import Record
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.virtual_time import now_s
from fleetos.sim.world.ledger import WriteContent
from fleetos.store.memory_journal import CommitFault, MemoryRun
from tests.simulation.process import PROCESS, Died, Process, ProcessFaults
from tests.simulation.run_trace import Asked, Requested, Sent, Session, StatedWait, Written
from tests.simulation.spec import Spec

if TYPE_CHECKING:
    from tests.simulation.database_run import DatabaseRun


def play_time(born_at: float) -> float:
    """Return the seconds of the play by the cloud's clock, as the world counts them."""
    return born_at + now_s()


@dataclass
class RunContext:
    """The things of one play, and the notes on it."""

    spec: Spec
    cloud: SimulatedCloud
    log_line: Callable[[str], None]
    process_faults: ProcessFaults
    chance: RandomDraws
    run: MemoryRun | None = None
    filed: "DatabaseRun | None" = None
    epochs: dict[int, int] = field(default_factory=dict[int, int])
    commits: Counter[int] = field(default_factory=Counter[int])
    given_up: dict[int, int] = field(default_factory=dict[int, int])
    commits_tried: int = 0
    requests: int = 0
    most_slots: int = 0
    sent: list[Sent] = field(default_factory=list[Sent])
    asked: list[Asked] = field(default_factory=list[Asked])
    written: list[Written] = field(default_factory=list[Written])
    waits: list[StatedWait] = field(default_factory=list[StatedWait])
    sessions: list[Session] = field(default_factory=list[Session])
    requested: list[Requested] = field(default_factory=list[Requested])
    taken: dict[str, float] = field(default_factory=dict[str, float])
    facts: Counter[str] = field(default_factory=Counter[str])
    wanted: Mapping[str, WriteContent] = field(default_factory=dict[str, WriteContent])
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: set[str] = field(default_factory=set[str])
    texts: list[str] = field(default_factory=list[str])
    torn: list[str] = field(default_factory=list[str])
    serving: set[str] = field(default_factory=set[str])
    down: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def store(self) -> MemoryRun:
        """The run as the database holds it."""
        if self.run is None:
            raise RuntimeError("nothing is frozen yet")
        return self.run

    def note_records(self, new: list[Record]) -> None:
        """Enter records that have become durable."""
        process = PROCESS.get()
        number = 0 if process is None else process.number
        self.watch_servers()
        self.written.append(Written(now_s(), number, self.epochs.get(number, 0), new[-1].seq, dict(self.down)))
        for record in new:
            self.log_line(f"#{record.seq} {describe(record)}")

    def watch_servers(self) -> None:
        """Note from when until when each server did not serve the last time, by the cloud's truth.

        Only judges of steering ask for that.
        """
        if self.spec.steering is None:
            return
        self.cloud.advance()
        for server_id in self.wanted:
            server = self.cloud.world.servers.get(server_id)
            if server is not None and server.status == "ACTIVE" and not server.busy:
                self.serving.add(server_id)
                continue
            since_s, _ = self.down.get(server_id, (now_s(), 0.0))
            self.down[server_id] = (now_s() if server_id in self.serving else since_s, now_s())
            self.serving.discard(server_id)

    def woken(self) -> int | None:
        """Return the process that drives the run though its lease was watched for a whole term, None if nobody does.

        It has renewed the lease since, and whoever takes one makes sure that it is still as it was watched.
        """
        over = {session.process for session in self.sessions}
        return next(
            (
                number
                for number, commits in self.given_up.items()
                if self.epochs.get(number) == self.store.epoch
                and self.commits[number] != commits
                and number not in over
            ),
            None,
        )

    def clear(self) -> None:
        """Begin the notes on a run anew."""
        self.sent, self.asked, self.written, self.sessions, self.torn = [], [], [], [], []
        self.requested, self.taken = [], {}
        self.waits = []
        self.most_slots, self.given_up = 0, {}

    def fault(self) -> CommitFault | None:
        """Return how the commit that is about to be made durable fails, or None. Raises Died for a dead process."""
        process = self._alive()
        self.commits[process.number] += 1
        self.commits_tried += 1
        if self.process_faults.calm:
            return None
        point = self.chance.unit("commit", self.commits_tried)
        if point < self.spec.commits.lost:
            self.facts["commit-lost"] += 1
            self.log_line("the commit is lost")
            return CommitFault.LOST
        if point < self.spec.commits.lost + self.spec.commits.unknown:
            self.facts["commit-unknown"] += 1
            self.log_line("the commit is made, and nobody is told")
            return CommitFault.UNKNOWN
        return None

    def commit_s(self) -> float:
        """Return how long the next commit takes, in seconds."""
        if self.process_faults.calm or self.chance.unit("slow", self.commits_tried) >= self.spec.commits.slow:
            return 0.001
        return self.spec.commits.slow_s * self.chance.unit("how slow", self.commits_tried)

    def _alive(self) -> Process:
        process = PROCESS.get()
        if process is None or process.dead:
            raise Died
        return process


class NotedRecords(list[Record]):
    """The records of a run; whoever wants to know hears of new ones at the moment at which they are durable."""

    def __init__(self, records: Iterable[Record], heard: Callable[[list[Record]], None]) -> None:
        super().__init__(records)
        self._heard = heard

    def extend(self, iterable: Iterable[Record]) -> None:
        """Append the records, and tell of them."""
        new = list(iterable)
        super().extend(new)
        if new:
            self._heard(new)


_TOLD = ("to", "verb", "outcome", "answer", "status", "code", "reason", "detail", "driver")


def describe(record: Record) -> str:
    """Return a record in one line, without what it does not say."""
    event = record.event
    server = getattr(event, "server_id", "")[:8]
    told = [str(value) for name in _TOLD if (value := getattr(event, name, None)) not in (None, "")]
    return " ".join(part for part in (f"{record.at:%H:%M:%S.%f}", event.kind, server, *told) if part)
