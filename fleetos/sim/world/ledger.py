"""Record of every write and what it did: response, result, and the disks made and destroyed."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Literal

from fleetos.sim.world.servers import SimDisk

WriteState = Literal["dropped", "pending", "accepted", "refused"]


@dataclass(frozen=True, slots=True)
class WriteContent:
    """Parameters of a changeos or reinstallos, as the request had them. Never stored on a disk."""

    path: str
    image_id: str | None = None
    keyname: str | None = None
    userid: str | None = None
    adminpass: str | None = None
    """SHA-256 digest of the password, in hex."""
    user_data: str | None = None
    """SHA-256 digest of the decoded bytes, in hex."""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    """All metadata except the user data."""
    mode: str | None = None


@dataclass(slots=True)
class LedgerEntry:
    """Delivery of a write. The names of the fields are the JSON of the ledger."""

    seq: int
    """Number of the delivery, from 1."""
    sent_at: float
    """When the write reached the gateway."""
    operation: str
    servers: list[str]
    request_id: str
    actor: Literal["client", "foreign"] = "client"
    came: WriteState = "pending"
    at: float | None = None
    """When the cloud accepted or refused the write."""
    delivered: Literal["once", "late", "double"] = "once"
    copy_of: int | None = None
    """`seq` of the first delivery, for a second one."""
    answer_lost: bool = False
    """The client gets no response."""
    status: int | None = None
    """HTTP status of the response."""
    code: str | None = None
    """Error code of a refusal."""
    job_id: str | None = None
    image_id: str | None = None
    hard: bool = False
    userid: str | None = None
    disk_before: str | None = None
    """System disk when the cloud received a change."""
    image_before: str | None = None
    """Image that the server of a change showed at `sent_at`."""
    disk_made: str | None = None
    disks_destroyed: list[str] = field(default_factory=list[str])
    during: list[int] = field(default_factory=list[int])
    """Changes in progress on the servers at `at`."""
    sent_during: list[int] = field(default_factory=list[int])
    """Changes in progress, or not yet delivered, at `sent_at`."""
    acted_on: list[str] = field(default_factory=list[str])
    """Servers on which a power order or a foreign actor acted."""
    ended_at: float | None = None
    ended: Literal["success", "failed", "no-effect"] | None = None
    error_code: str | None = None
    """Error code of a failed job."""
    faults: list[int] = field(default_factory=list[int])
    """Indexes of the fault rules that struck, from 0."""
    content: WriteContent | None = None
    """Parameters of a change; None if it came before a restart of the cloud."""


class Ledger:
    """All writes in order, all disks that ever existed, and counts of the requests."""

    def __init__(self) -> None:
        self.writes: list[LedgerEntry] = []
        self.disks: dict[str, SimDisk] = {}
        self.requests: Counter[str] = Counter()
        self.changes_in_flight = 0
        self.max_changes_in_flight = 0
        self.undelivered: dict[str, list[int]] = {}

    def add_entry(
        self, operation: str, servers: list[str], time_s: float, request_id: str, *, foreign: bool = False
    ) -> LedgerEntry:
        """Add an entry for a new write, and return it."""
        write = LedgerEntry(
            seq=len(self.writes) + 1,
            sent_at=time_s,
            operation=operation,
            servers=servers,
            request_id=request_id,
            actor="foreign" if foreign else "client",
        )
        self.writes.append(write)
        return write

    def count_change_begin(self) -> None:
        """Count one more change in flight."""
        self.changes_in_flight += 1
        self.max_changes_in_flight = max(self.max_changes_in_flight, self.changes_in_flight)

    def count_change_end(self) -> None:
        """Count one change less in flight."""
        self.changes_in_flight -= 1

    def disks_in_use(self) -> tuple[int, int]:
        """Return the number of existing disks, and their GB together."""
        disks = [disk for disk in self.disks.values() if disk.destroyed_at is None]
        return len(disks), sum(disk.size_gb for disk in disks)

    def as_dict(self, now: float) -> dict[str, object]:
        """Return the ledger as `GET /admin/ledger` shows it."""
        return {
            "v": 1,
            "now": now,
            "changes_in_flight": self.changes_in_flight,
            "max_changes_in_flight": self.max_changes_in_flight,
            "requests": dict(sorted(self.requests.items())),
            "writes": [asdict(write) for write in self.writes],
            "disks": [asdict(disk) for disk in self.disks.values()],
        }
