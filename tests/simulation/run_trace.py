"""What came of one play, as those saw it who do not depend on the engine's words: the cloud, the wire, the journal."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from fleetos.model.journal.events import Record
from fleetos.model.journal.requests import RequestKind
from fleetos.model.run import Run, Target
from fleetos.model.states import Reason, RunState
from fleetos.sim.world.ledger import WriteContent
from fleetos.sim.world.world import World
from tests.simulation.spec import PointKind, Spec
from tests.support.ledger import Ledger

Ended = Literal["over", "paused", "lease-lost", "unwritable", "died", "unreachable", "refused", "defect", "left"]


@dataclass(frozen=True, slots=True)
class Sent:
    """One write as it left. Everything in it was true at that very moment; times are seconds of the play.

    `seqs` are its entries in the ledger (two for one that the gateway doubles, none for one that never arrived);
    `epoch` is the one under which its process drives, `epoch_now` the one that the store knows. `targets` are the
    durable targets of the servers that it names, `disks` their system disks by the cloud's truth. `slots` counts the
    durable targets that hold a slot. `wall` is what the machine took for the time of day.
    """

    at_s: float
    process: int
    epoch: int
    epoch_now: int
    operation: str
    servers: tuple[str, ...]
    seqs: tuple[int, ...]
    run_state: RunState
    targets: Mapping[str, Target]
    disks: Mapping[str, str | None]
    slots: int
    run_reason: Reason | None = None
    wall: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of any kind as it left and, where an answer came, as it was answered.

    `about` is the job or the server that it asks for.
    """

    at_s: float
    process: int
    operation: str
    write: bool
    answered_s: float | None
    status: int | None
    retry_after_s: float | None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class StatedWait:
    """What fleetos said of a server in the queue after a turn: why it waits, and until when where that is known.

    `wall` is what the machine took for the time of day, `records` the number of records that were durable.
    """

    at_s: float
    wall: datetime
    records: int
    server_id: str
    reason: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """One group of records that became durable: by which process and epoch, when, up to which number.

    `down`: the servers that were ever seen not to serve, by the cloud's truth: the last time, from when until when it
    was seen; only where a plan has steering.
    """

    at_s: float
    process: int
    epoch: int
    last_seq: int
    down: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])


@dataclass(frozen=True, slots=True)
class Requested:
    """One request of the operator: when it was made, and its id."""

    at_s: float
    number: int
    kind: RequestKind


@dataclass(frozen=True, slots=True)
class Session:
    """One process that drove the run: when, under which epoch, and how it ended. `trouble` is the error in words."""

    process: int
    epoch: int
    began_s: float
    ended_s: float
    ended: Ended
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One record and what it moves: the run before it, its target before and after it, the slots held after it."""

    written: Written
    record: Record
    run: Run | None
    before: Target | None
    after: Target | None
    slots: int


@dataclass(frozen=True, slots=True)
class StepList:
    """All steps of a trace, up to a record that is illegal: that is found by whoever judges the law."""

    records: list[Record]
    written: list[Written]
    steps: list[Step]


@dataclass(slots=True)
class RunTrace:
    """The whole play, as a run saw it. `born_at` is second 0 in seconds since 1970, `began_s` when the run was frozen.

    `bound_s`: by then, after `calm_s`, the run must have ended. `deaths` counts the deaths that really happened.
    `earlier` is the run before it over the same servers, with the ledger and the world as they were at its end.
    `wanted` is what a change of each server must say. `texts` are all words that the process said to anybody: errors,
    hints and the journal as it is stored. `torn` says where a database held, when a process had ended, something else
    than its records say. `past` is what the judges have made of the records.
    """

    spec: Spec
    born_at: float
    run: Run
    targets: Mapping[str, Target]
    records: list[Record]
    ledger: Ledger
    world: World
    sent: list[Sent] = field(default_factory=list[Sent])
    asked: list[Asked] = field(default_factory=list[Asked])
    written: list[Written] = field(default_factory=list[Written])
    waits: list[StatedWait] = field(default_factory=list[StatedWait])
    sessions: list[Session] = field(default_factory=list[Session])
    requested: list[Requested] = field(default_factory=list[Requested])
    taken: dict[str, float] = field(default_factory=dict[str, float])
    """When another run claimed a server that this one had given up, in seconds of the play."""
    deaths: Counter[PointKind] = field(default_factory=Counter[PointKind])
    points: int = 0
    freezes: int = 0
    requests: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    calm_s: float = 0.0
    bound_s: float = 0.0
    came_to_end: bool = True
    most_slots: int = 0
    wanted: Mapping[str, WriteContent] = field(default_factory=dict[str, WriteContent])
    secrets: tuple[str, ...] = ()
    texts: list[str] = field(default_factory=list[str])
    torn: list[str] = field(default_factory=list[str])
    facts: Counter[str] = field(default_factory=Counter[str])
    earlier: "RunTrace | None" = None
    past: StepList | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def began_at(self) -> float:
        """When the run was frozen, in seconds of the ledger."""
        return self.born_at + self.began_s


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant, with the evidence in words."""

    invariant: str
    evidence: str
