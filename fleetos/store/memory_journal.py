"""Journal in memory for simulations: no thread, no file, and injectable commit faults.

It passes the same contract tests as the journal in SQL. `MemoryRun` outlives an engine, as a database does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto

import anyio

from fleetos.clock import Clock, Moment
from fleetos.errors import JournalUnwritable, LeaseLost, ServerClaimed, StoreError
from fleetos.limits import LEASE_BEAT_S, LEASE_TERM_S
from fleetos.model.journal.events import Enlisted, Event, Record, RunCreated, RunDriverEnded
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import NO_ARGUMENTS, OperatorRequest, RequestArguments, RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS
from fleetos.store.group_commit import GroupCommit, PendingAppend

# A commit that takes no longer needs no timer.
_NO_SLEEP_BELOW_S = 0.001


class CommitFault(StrEnum):
    """Failure of a commit."""

    LOST = auto()  # nothing of the group was written
    UNKNOWN = auto()  # all of it was written, but the error says that the outcome is unknown


@dataclass(slots=True)
class CommitFaults:
    """Injected faults for the commits of a memory journal. Both functions are called for each commit."""

    fault: Callable[[], CommitFault | None] = lambda: None
    commit_s: Callable[[], float] = lambda: 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim on a server. `held` False: only the unanswered send is remembered."""

    held: bool
    unanswered_at: datetime | None


@dataclass(slots=True)
class MemoryRun:
    """Run with its journal, lease, claims and requests, as a database would hold them."""

    run: Run
    targets: dict[str, Target]
    records: list[Record]
    claims: dict[str, Claim] = field(default_factory=dict[str, Claim])
    """Claims of this run by server id."""
    taken: dict[str, str] = field(default_factory=dict[str, str])
    """Other runs that have claimed a server, by its id, since this run gave it up."""
    requests: dict[int, OperatorRequest] = field(default_factory=dict[int, OperatorRequest])
    """Requests that are not done yet, by id."""
    requests_made: int = 0
    """Id of the newest request."""
    epoch: int = 0
    """Epoch of the newest lease; 0: no driver has taken one."""

    def progress(self) -> Progress:
        """Return the progress of the run, by its durable values."""
        return Progress(self.run, self.targets.values())

    def add_request(
        self, kind: RequestKind, by: str, at: datetime, reason: str = "", arguments: RequestArguments = NO_ARGUMENTS
    ) -> int:
        """Store a request for the run's driver. Return its id."""
        self.requests_made += 1
        made = OperatorRequest(self.requests_made, kind, by, at, reason, arguments)
        self.requests[self.requests_made] = made
        return made.id

    def open_journal(
        self, clock: Clock, faults: CommitFaults | None = None, beat_s: float = LEASE_BEAT_S
    ) -> "MemoryJournal":
        """Take the lease for a new driver, which renews it every `beat_s`. Return the driver's journal.

        Every earlier driver has lost the lease.
        """
        self.epoch += 1
        return MemoryJournal(self, self.epoch, clock, faults or CommitFaults(), beat_s)


def freeze(run: Run, targets: Sequence[Target], further_events: Sequence[Event], at: datetime) -> MemoryRun:
    """Create a run in memory, without a driver.

    Its records are RunCreated, Enlisted for each target, and `further_events`.
    """
    events = [RunCreated(run), *(Enlisted(target) for target in targets), *further_events]
    progress = replay((at, event) for event in events)
    claims = {target.server_id: Claim(held=True, unanswered_at=None) for target in targets}
    frozen = MemoryRun(progress.run, dict(progress.targets), _number_records(events, at, 0), claims)
    _update_claims(frozen, list(progress.targets.values()))
    return frozen


class MemoryJournal:
    """Journal of one driver of a run in memory."""

    def __init__(self, store: MemoryRun, epoch: int, clock: Clock, faults: CommitFaults, beat_s: float) -> None:
        self._store = store
        self._epoch = epoch
        self._clock = clock
        self._faults = faults
        self._beat_s = beat_s
        self._proven = clock.moment()
        self._group = GroupCommit()

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """Write records and the new values of run and targets, so that they survive this engine. Return the records.

        Raise ServerClaimed if another run has a server by now that the events queue again, and LeaseLost or
        JournalUnwritable. After either of these no further append succeeds.
        """
        if run.id != self._store.run.id:
            raise ValueError(f"run {run.id} is not the one of this journal, {self._store.run.id}")
        pending = PendingAppend(run, events, changed, at, answered)
        async with self._group.commit(pending) as group:
            if group:
                await self._write(group)
        if pending.refused is not None:
            raise pending.refused
        return pending.records

    async def requests(self) -> Sequence[OperatorRequest]:
        """Return the operator's requests that are not done yet, oldest first."""
        return list(self._store.requests.values())

    def lease_valid(self, moment: Moment) -> bool:
        """Return whether the lease was renewed within its term, without reading the store."""
        return not self._group.closed and moment.age_s(self._proven) < LEASE_TERM_S

    async def keep_lease(self) -> None:
        """Renew the lease until cancelled. Raise LeaseLost or JournalUnwritable.

        A renewal writes nothing that a commit could tear apart, so it does not wait for one: hours of a simulation are
        mostly renewals.
        """
        while True:
            await anyio.sleep(self._beat_s)
            self._group.refuse_when_closed()
            proven = self._clock.moment()
            if (takes_s := self._faults.commit_s()) > _NO_SLEEP_BELOW_S:
                await anyio.sleep(takes_s)
            try:
                self._renew(proven, self._next_fault())
            except StoreError as error:
                self._group.close(error)
                raise

    async def release(self, last: RunDriverEnded | None = None) -> Sequence[Record]:
        """Let nothing be appended afterwards. Return the record of `last`; there is none where the run has ended.

        Raise LeaseLost if another driver has the lease and there is something to record.
        """
        self._group.close(LeaseLost(f"run {self._store.run.id} was given back by this process"))
        store, now = self._store, self._clock.now()
        if last is None or store.run.state in RUN_ENDS:
            return ()
        if store.epoch != self._epoch:
            raise LeaseLost(f"run {store.run.id} was taken over", "this process has stopped sending")
        records = _number_records([last], now, len(store.records))
        store.records.extend(records)
        store.run = fold_run(store.run, last, now)
        return records

    async def _write(self, group: Sequence[PendingAppend]) -> None:
        proven = self._clock.moment()
        # Sleeps even for 0 s: other tasks run during a commit, as during a real one, so that groups form.
        await anyio.sleep(self._faults.commit_s())
        fault = self._next_fault()
        if fault is not CommitFault.LOST:
            for entry in group:
                self._write_append(entry)
        self._renew(proven, fault)

    def _next_fault(self) -> CommitFault | None:
        """Return the failure of the commit under way. Raise LeaseLost if another driver has the lease."""
        if self._store.epoch != self._epoch:
            raise LeaseLost(f"run {self._store.run.id} was taken over", "this process has stopped sending")
        return self._faults.fault()

    def _renew(self, requested: Moment, fault: CommitFault | None) -> None:
        """Count the lease as renewed at `requested`. Raise JournalUnwritable if there is a fault."""
        match fault:
            case CommitFault.LOST:
                raise JournalUnwritable("the commit failed, and nothing of it was written")
            case CommitFault.UNKNOWN:
                raise JournalUnwritable("the commit failed, and nobody knows what of it was written")
            case None:
                self._proven = max(self._proven, requested, key=lambda moment: moment.elapsed_s)

    def _write_append(self, entry: PendingAppend) -> None:
        store, again = self._store, entry.queued_again
        others = {store.taken[target.server_id] for target in again if target.server_id in store.taken}
        if others:
            entry.refused = ServerClaimed(f"run {min(others)} holds one of these servers")
            return
        store.claims.update({target.server_id: Claim(held=True, unanswered_at=None) for target in again})
        entry.records = _number_records(entry.events, entry.at, len(store.records))
        store.records.extend(entry.records)
        store.targets.update({target.server_id: target for target in entry.changed})
        _update_claims(store, entry.changed)
        store.run = entry.run or store.run
        for request_id in entry.answered:
            store.requests.pop(request_id, None)


def _number_records(events: Sequence[Event], at: datetime, last_seq: int) -> list[Record]:
    return [Record(seq, at, event) for seq, event in enumerate(events, last_seq + 1)]


def _update_claims(store: MemoryRun, changed: Sequence[Target]) -> None:
    """Hold, keep as a memory or delete the claims, as the changed targets need it."""
    for target in changed:
        claim = store.claims.get(target.server_id)
        if claim is None or not claim.held:
            continue
        if target.keeps_claim or target.last_unanswered_at is not None:
            store.claims[target.server_id] = Claim(target.keeps_claim, target.last_unanswered_at)
        else:
            del store.claims[target.server_id]
