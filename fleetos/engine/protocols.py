"""What the engine needs of the world: a cloud, a journal, and the secrets of an order."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from fleetos.clock import Moment
from fleetos.model.inventory import Job, Reply, Server
from fleetos.model.journal.events import Event, Record
from fleetos.model.journal.requests import OperatorRequest
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Run, Secrets, Target
from fleetos.model.traces import Traces

# Why a write must not leave now, or None if it may.
LastCheck = Callable[[], str | None]


class Permit(Protocol):
    """The right to send one write now: a token of the rate budget and a connection's place."""

    def give_back(self) -> None:
        """Returns a permit that was not used."""
        ...


class Cloud(Protocol):
    """The cloud as the engine sees it.

    Reads repeat what is worth repeating by themselves and raise CloudError: AuthenticationFailed,
    PermissionDenied, CloudUnreachable or ReadRefused. Writes never raise and are never repeated; each needs a
    permit, which it uses up, and asks `last_check` with no await between it and the bytes: a text says why the
    request must not leave, and it is then answered with Undelivered.
    """

    def permit(self) -> Permit | None:
        """A permit to write, or None while the rate budget, a closure or the connections allow none."""
        ...

    def permit_in_s(self) -> float:
        """In how many seconds `permit` is worth asking again."""
        ...

    def read_rate_per_s(self) -> float | None:
        """How many reads a second the budget allows; None: unlimited."""
        ...

    def write_rate_per_s(self) -> float | None:
        """How many writes a second the budget allows; None: unlimited."""
        ...

    def sweep_calls(self, servers: int) -> int:
        """How many requests a sweep of so many servers takes."""
        ...

    @property
    def requests(self) -> Mapping[str, int]:
        """How many requests left so far, by operation."""
        ...

    async def server(self, server_id: str) -> Server | None:
        """The server by a single read, or None if the cloud says that there is none (404)."""
        ...

    async def sweep(self, server_ids: Sequence[str]) -> Mapping[str, Server]:
        """Those of the servers that list pages show. Absence is no evidence of anything."""
        ...

    async def job(self, job_id: str) -> Job | None:
        """The job, or None if the cloud does not know it."""
        ...

    async def traces(self, server_id: str, since: datetime) -> Traces | None:
        """What was done to the server's disks since then, by the action log and the volumes; None: not offered."""
        ...

    async def stop(self, server_ids: Sequence[str], *, hard: bool, permit: Permit, last_check: LastCheck) -> Reply:
        """The answer to one multi-server stop."""
        ...

    async def start(self, server_ids: Sequence[str], *, permit: Permit, last_check: LastCheck) -> Reply:
        """The answer to one multi-server start."""
        ...

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
        """The answer to one changeos. `stop_first` sends mode withStopServer."""
        ...


class Journal(Protocol):
    """The durable memory of the one run that this process drives."""

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """The records, once they and the new values of run and targets are durable, in one transaction.

        The transaction proves the lease and marks the requests in `answered` as done. Raises LeaseLost, and
        JournalUnwritable when nothing was written or nobody knows.
        """
        ...

    async def requests(self) -> Sequence[OperatorRequest]:
        """The operator's requests that are not done yet."""
        ...

    def lease_valid(self, moment: Moment) -> bool:
        """Whether the lease was renewed within its term, without asking the database."""
        ...

    async def keep_lease(self) -> None:
        """Renews the lease until cancelled. Raises LeaseLost or JournalUnwritable."""
        ...


class SecretSource(Protocol):
    """Where the secrets of an order come from."""

    def resolve(self, order: Order) -> Secrets:
        """The order's secrets. Raises InputError if one is missing or is not what was frozen."""
        ...


class Listener(Protocol):
    """Whoever wants to know how the run goes on."""

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        """Told after each turn that wrote something, when it is durable."""
        ...
