"""The ledger: what was asked of the simulated cloud, what came of it, and what it did to which disk."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Literal

from fleetos.sim.world.servers import SimDisk

Came = Literal["dropped", "pending", "accepted", "refused"]


@dataclass(frozen=True, slots=True)
class Content:
    """What a changeos or reinstallos said, word by word. Of secrets it holds SHA-256 digests, in hex.

    `metadata` is without the user data, whose digest is that of the decoded bytes. None of it is ever stored.
    """

    path: str
    image_id: str | None = None
    keyname: str | None = None
    userid: str | None = None
    adminpass: str | None = None
    user_data: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    mode: str | None = None


@dataclass(slots=True)
class LedgerEntry:
    """One delivery of a write. `sent_at` is when it reached the gateway, `at` when the cloud looked at it.

    `image_before` is the image that the server of a change showed at `sent_at`. `during` are the changes that were in
    progress on the servers at `at`, `sent_during` those that were in progress or still on their way at `sent_at`.
    `content` is what a change said, None where it came before a restart of the cloud.
    """

    seq: int
    sent_at: float
    operation: str
    servers: list[str]
    request_id: str
    actor: Literal["client", "foreign"] = "client"
    came: Came = "pending"
    at: float | None = None
    delivered: Literal["once", "late", "double"] = "once"
    copy_of: int | None = None
    answer_lost: bool = False
    status: int | None = None
    code: str | None = None
    job_id: str | None = None
    image_id: str | None = None
    hard: bool = False
    userid: str | None = None
    disk_before: str | None = None
    image_before: str | None = None
    disk_made: str | None = None
    disks_destroyed: list[str] = field(default_factory=list[str])
    during: list[int] = field(default_factory=list[int])
    sent_during: list[int] = field(default_factory=list[int])
    acted_on: list[str] = field(default_factory=list[str])
    ended_at: float | None = None
    ended: Literal["success", "failed", "no-effect"] | None = None
    error_code: str | None = None
    faults: list[int] = field(default_factory=list[int])
    content: Content | None = None


class Ledger:
    """All writes in order, all disks there ever were, and counts of the requests."""

    def __init__(self) -> None:
        self.writes: list[LedgerEntry] = []
        self.disks: dict[str, SimDisk] = {}
        self.requests: Counter[str] = Counter()
        self.changes_in_flight = 0
        self.max_changes_in_flight = 0
        self.undelivered: dict[str, list[int]] = {}

    def open(
        self, operation: str, servers: list[str], at: float, request_id: str, *, foreign: bool = False
    ) -> LedgerEntry:
        """Return a new write, entered at the end."""
        write = LedgerEntry(
            seq=len(self.writes) + 1,
            sent_at=at,
            operation=operation,
            servers=servers,
            request_id=request_id,
            actor="foreign" if foreign else "client",
        )
        self.writes.append(write)
        return write

    def change_begins(self) -> None:
        """Count one more change in flight."""
        self.changes_in_flight += 1
        self.max_changes_in_flight = max(self.max_changes_in_flight, self.changes_in_flight)

    def change_ends(self) -> None:
        """Count one less."""
        self.changes_in_flight -= 1

    def as_dict(self, now: float) -> dict[str, object]:
        """Return all of it, as `GET /admin/ledger` answers."""
        return {
            "v": 1,
            "now": now,
            "changes_in_flight": self.changes_in_flight,
            "max_changes_in_flight": self.max_changes_in_flight,
            "requests": dict(sorted(self.requests.items())),
            "writes": [asdict(write) for write in self.writes],
            "disks": [asdict(disk) for disk in self.disks.values()],
        }
