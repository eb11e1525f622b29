"""Protocols that the engine needs: Cloud, Journal, SecretSource, CalendarSource, Listener."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from fleetos.clock import Moment
from fleetos.model.inventory import Job, Reply, Server
from fleetos.model.journal.events import Event, Record
from fleetos.model.journal.requests import OperatorRequest
from fleetos.model.permit import LastCheck, Permit
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Run, Secrets, Target
from fleetos.model.traces import Traces


class Cloud(Protocol):
    """The cloud as the engine sees it.

    Reads repeat by themselves what is worth repeating, and raise CloudError: AuthenticationFailed, PermissionDenied,
    CloudUnreachable or ReadRefused. Writes never raise and are never repeated. Each write uses up a permit, and asks
    `last_check` with no await between it and the bytes: a text says why the request must not leave, and the reply is
    Undelivered then.
    """

    def permit(self) -> Permit | None:
        """Return a permit to write; None while the rate budget, a closure or the connections allow none."""
        ...

    def permit_in_s(self) -> float:
        """Return the seconds until `permit` is worth asking again."""
        ...

    def read_rate_per_s(self) -> float | None:
        """Return the reads a second that the budget allows; None: unlimited."""
        ...

    def write_rate_per_s(self) -> float | None:
        """Return the writes a second that the budget allows; None: unlimited."""
        ...

    def sweep_calls(self, servers: int) -> int:
        """Return the number of requests that a sweep of `servers` servers takes."""
        ...

    @property
    def requests(self) -> Mapping[str, int]:
        """Number of requests that left so far, by operation."""
        ...

    async def server(self, server_id: str) -> Server | None:
        """Return the server by a single read; None if the cloud says that there is none (404)."""
        ...

    async def sweep(self, server_ids: Sequence[str]) -> Mapping[str, Server]:
        """Return those of the servers that list pages show. Absence is no evidence of anything."""
        ...

    async def job(self, job_id: str) -> Job | None:
        """Return the job; None if the cloud does not know it."""
        ...

    async def traces(self, server_id: str, since: datetime) -> Traces | None:
        """Return what was done to the server's disks since then, by action log and volumes; None: not offered."""
        ...

    async def stop(self, server_ids: Sequence[str], *, hard: bool, permit: Permit, last_check: LastCheck) -> Reply:
        """Send one multi-server stop and return its reply."""
        ...

    async def start(self, server_ids: Sequence[str], *, permit: Permit, last_check: LastCheck) -> Reply:
        """Send one multi-server start and return its reply."""
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
        """Send one changeos and return its reply. `stop_first` sends mode withStopServer."""
        ...


class Journal(Protocol):
    """Durable memory of the one run that this process drives."""

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """Write the events and the new values of run and targets in one transaction; return the records once durable.

        The transaction proves the lease, marks the requests in `answered` as done, and takes the claims of targets that
        the events queue again. Raise ServerClaimed if another run has one of them: nothing was written, and the next
        append may succeed. Raise LeaseLost, and JournalUnwritable when nothing was written or nobody knows.
        """
        ...

    async def requests(self) -> Sequence[OperatorRequest]:
        """Return the operator's requests that are not done yet."""
        ...

    def lease_valid(self, moment: Moment) -> bool:
        """Return True if the lease was renewed within its term, without asking the database."""
        ...

    async def keep_lease(self) -> None:
        """Renew the lease until cancelled. Raise LeaseLost or JournalUnwritable."""
        ...


class SecretSource(Protocol):
    """Source of the secrets of an order."""

    def resolve(self, order: Order) -> Secrets:
        """Return the order's secrets. Raise InputError if one is missing or is not what was frozen."""
        ...


class CalendarSource(Protocol):
    """Source of the calendar files that deny times."""

    async def read(self, path: str) -> str | None:
        """Return the content of the file; None if it cannot be read."""
        ...


class NoCalendars:
    """Source of a run that has no calendar files."""

    async def read(self, path: str) -> str | None:
        """Return nothing of any file."""
        del path
        return None


class Listener(Protocol):
    """Listener to the turns of a run."""

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        """Take note of a turn that wrote something, when it is durable."""
        ...
