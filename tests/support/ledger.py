"""Judges: what the ledger of the simulated cloud says about the clients that used it.

They judge by the cloud's truth, never by what a client says it did. Each returns the evidence; empty means innocent.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import TypeAdapter

from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.servers import SimDisk

CHANGES = frozenset({"changeos", "reinstallos"})
POWER = frozenset({"stop", "start", "reboot"})
_WRITES = TypeAdapter(list[LedgerEntry])
_DISKS = TypeAdapter(list[SimDisk])


@dataclass(frozen=True, slots=True)
class Ledger:
    """What `GET /admin/ledger` says. Writes are numbered from 1 in their order."""

    writes: tuple[LedgerEntry, ...]
    disks: tuple[SimDisk, ...]
    requests: Mapping[str, int]
    max_changes_in_flight: int
    changes_in_flight: int

    def write(self, seq: int) -> LedgerEntry:
        """Return the write with this number."""
        return self.writes[seq - 1]


def read_ledger(content: Mapping[str, object]) -> Ledger:
    """Return the ledger in the answer of the admin endpoint, or of `Ledger.as_dict`."""
    return Ledger(
        writes=tuple(_WRITES.validate_python(content["writes"])),
        disks=tuple(_DISKS.validate_python(content["disks"])),
        requests=cast("Mapping[str, int]", content["requests"]),
        max_changes_in_flight=cast("int", content["max_changes_in_flight"]),
        changes_in_flight=cast("int", content["changes_in_flight"]),
    )


def changes_per_server(ledger: Ledger) -> dict[str, list[LedgerEntry]]:
    """Return the accepted changes of each server that had any."""
    found: dict[str, list[LedgerEntry]] = defaultdict(list)
    for write in ledger.writes:
        if write.operation in CHANGES and write.came == "accepted":
            found[write.servers[0]].append(write)
    return dict(found)


def successful_disks_destroyed(ledger: Ledger) -> list[SimDisk]:
    """Return the disks that a successful change of ours made and that another of ours destroyed."""
    return [
        disk
        for disk in ledger.disks
        if disk.successful and _ours(ledger, disk.made_by) and _ours(ledger, disk.destroyed_by)
    ]


def changes_sent_too_early(ledger: Ledger, settle_s: float) -> list[tuple[LedgerEntry, LedgerEntry]]:
    """Return each change that was sent while an earlier one ran or was not delivered yet, with that earlier one.

    After a full settle since the earlier one was sent, a client may hold it for lost. A copy that the gateway made is
    no send.
    """
    found: list[tuple[LedgerEntry, LedgerEntry]] = []
    for write in ledger.writes:
        if write.operation in CHANGES and write.actor == "client" and write.copy_of is None:
            earlier = [ledger.write(seq) for seq in write.sent_during]
            found += [(write, other) for other in earlier if write.sent_at - other.sent_at < settle_s]
    return found


def changes_accepted_while_changing(ledger: Ledger) -> list[LedgerEntry]:
    """Return the changes that were accepted while another one ran (possible in a lax world only)."""
    return [w for w in ledger.writes if w.operation in CHANGES and w.came == "accepted" and w.during]


def writes_while_changing(ledger: Ledger) -> list[LedgerEntry]:
    """Return the stops, starts and reboots of clients that reached a server while its OS changed."""
    return [w for w in ledger.writes if w.operation in POWER and w.actor == "client" and w.during]


def stopped_by_us(ledger: Ledger, truth: Mapping[str, object]) -> list[str]:
    """Return the ids of servers that are powered off because a client stopped them; `truth` is `GET /admin/servers`."""
    servers = cast("list[dict[str, object]]", truth["servers"])
    return [
        str(server["id"])
        for server in servers
        if server["vm_state"] in ("stopped", "error") and _ours(ledger, cast("int | None", server["stopped_by"]))
    ]


def _ours(ledger: Ledger, seq: int | None) -> bool:
    return seq is not None and ledger.write(seq).actor == "client"
