"""A journal in memory, for simulations: no thread, no file, and failures that happen when they are asked for.

It passes the same contract tests as the one in SQL. `MemoryRun` is what outlives an engine, as a database does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto

import anyio

from fleetos.clock import Clock, Moment
from fleetos.errors import JournalUnwritable, LeaseLost, StoreError
from fleetos.limits import LEASE_BEAT_S, LEASE_TERM_S
from fleetos.model.journal.events import Enlisted, Event, Record, RunCreated, RunDriverEnded
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import OperatorRequest, RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS
from fleetos.store.group_commit import GroupCommit

# What takes no longer than this is done at once.
_AT_ONCE_S = 0.001


class CommitFault(StrEnum):
    """How a commit fails."""

    LOST = auto()  # nothing of the group was written
    UNKNOWN = auto()  # all of it was written, and the caller is told that nobody knows


@dataclass(slots=True)
class CommitFaults:
    """What befalls the commits of a memory journal. Both are asked anew for each commit."""

    fault: Callable[[], CommitFault | None] = lambda: None
    commit_s: Callable[[], float] = lambda: 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as memory holds it. `held` False: only the unanswered send is remembered."""

    held: bool
    unanswered_at: datetime | None


@dataclass(slots=True)
class MemoryRun:
    """One run with its journal, lease, claims and requests, as a database would hold them."""

    run: Run
    targets: dict[str, Target]
    records: list[Record]
    claims: dict[str, Claim] = field(default_factory=dict[str, Claim])
    requests: dict[int, OperatorRequest] = field(default_factory=dict[int, OperatorRequest])
    requests_made: int = 0
    epoch: int = 0

    def progress(self) -> Progress:
        """How far the run has come, by what is durable."""
        return Progress(self.run, self.targets.values())

    def add_request(self, kind: RequestKind, by: str, at: datetime) -> None:
        """Nothing, once the run's driver will find the request."""
        self.requests_made += 1
        self.requests[self.requests_made] = OperatorRequest(self.requests_made, kind, by, at)

    def take(self, clock: Clock, weather: CommitFaults | None = None, beat_s: float = LEASE_BEAT_S) -> "MemoryJournal":
        """The journal of a new driver, which renews its lease every `beat_s`; every earlier one has lost the lease."""
        self.epoch += 1
        return MemoryJournal(self, self.epoch, clock, weather or CommitFaults(), beat_s)


def freeze(run: Run, targets: Sequence[Target], more: Sequence[Event], at: datetime) -> MemoryRun:
    """The new run in memory, with the records RunCreated, Enlisted for each target, and `more`. Nobody drives it."""
    events = [RunCreated(run), *(Enlisted(target) for target in targets), *more]
    progress = replay((at, event) for event in events)
    claims = {one.server_id: Claim(held=True, unanswered_at=None) for one in targets}
    frozen = MemoryRun(progress.run, dict(progress.targets), _numbered(events, at, 0), claims)
    _follow(frozen, list(progress.targets.values()))
    return frozen


@dataclass(frozen=True, slots=True)
class _Entry:
    run: Run | None
    events: Sequence[Event]
    changed: Sequence[Target]
    at: datetime
    answered: Sequence[int]


class MemoryJournal:
    """The journal of one driver of a run in memory."""

    def __init__(self, store: MemoryRun, epoch: int, clock: Clock, weather: CommitFaults, beat_s: float) -> None:
        self._store = store
        self._epoch = epoch
        self._clock = clock
        self._weather = weather
        self._beat_s = beat_s
        self._proven = clock.moment()
        self._group = GroupCommit[_Entry, Sequence[Record]](self._commit)

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """The records, once they and the new values of run and targets would survive this engine.

        Raises LeaseLost, and JournalUnwritable; after either of them no further append succeeds.
        """
        if run.id != self._store.run.id:
            raise ValueError(f"run {run.id} is not the one of this journal, {self._store.run.id}")
        return await self._group.durable(_Entry(run, events, changed, at, answered))

    async def requests(self) -> Sequence[OperatorRequest]:
        """The operator's requests that are not done yet, oldest first."""
        return list(self._store.requests.values())

    def lease_valid(self, moment: Moment) -> bool:
        """Whether the lease was renewed within its term, without asking the store."""
        return not self._group.ended and moment.age_s(self._proven) < LEASE_TERM_S

    async def keep_lease(self) -> None:
        """Renews the lease until cancelled. Raises LeaseLost or JournalUnwritable.

        A renewal writes nothing that a commit could tear apart, so it waits for none: hours of a simulation are mostly
        renewals.
        """
        while True:
            await anyio.sleep(self._beat_s)
            if self._group.ended:
                await self._group.durable(_Entry(None, (), (), self._clock.now(), ()))
            proven = self._clock.moment()
            if (takes_s := self._weather.commit_s()) > _AT_ONCE_S:
                await anyio.sleep(takes_s)
            try:
                self._prove(proven, self._fault())
            except StoreError as error:
                self._group.end(error)
                raise

    async def release(self, last: RunDriverEnded | None = None) -> Sequence[Record]:
        """Let nothing be appended afterwards. Return the record of `last`: there is none where the run has ended.

        Raises LeaseLost if another has the lease, and there is something to record.
        """
        self._group.end(LeaseLost(f"run {self._store.run.id} was given back by this process"))
        store, now = self._store, self._clock.now()
        if last is None or store.run.state in RUN_ENDS:
            return ()
        if store.epoch != self._epoch:
            raise LeaseLost(f"run {store.run.id} was taken over", "this process has stopped sending")
        told = _numbered([last], now, len(store.records))
        store.records.extend(told)
        store.run = fold_run(store.run, last, now)
        return told

    async def _commit(self, group: Sequence[_Entry]) -> Sequence[Sequence[Record]]:
        proven = self._clock.moment()
        # A commit always lets others run, as a real one does, so that groups form here too.
        await anyio.sleep(self._weather.commit_s())
        fault = self._fault()
        appended = [] if fault is CommitFault.LOST else [self._write(entry) for entry in group]
        self._prove(proven, fault)
        return appended

    def _fault(self) -> CommitFault | None:
        """How the commit under way fails. Raises LeaseLost if another has the lease."""
        if self._store.epoch != self._epoch:
            raise LeaseLost(f"run {self._store.run.id} was taken over", "this process has stopped sending")
        return self._weather.fault()

    def _prove(self, asked: Moment, fault: CommitFault | None) -> None:
        """Takes the lease for renewed at the moment at which that was asked for. Raises JournalUnwritable."""
        match fault:
            case CommitFault.LOST:
                raise JournalUnwritable("the commit failed, and nothing of it was written")
            case CommitFault.UNKNOWN:
                raise JournalUnwritable("the commit failed, and nobody knows what of it was written")
            case None:
                self._proven = max(self._proven, asked, key=lambda moment: moment.elapsed_s)

    def _write(self, entry: _Entry) -> Sequence[Record]:
        store = self._store
        new = _numbered(entry.events, entry.at, len(store.records))
        store.records.extend(new)
        store.targets.update({target.server_id: target for target in entry.changed})
        _follow(store, entry.changed)
        store.run = entry.run or store.run
        for number in entry.answered:
            store.requests.pop(number, None)
        return new


def _numbered(events: Sequence[Event], at: datetime, last_seq: int) -> list[Record]:
    return [Record(seq, at, event) for seq, event in enumerate(events, last_seq + 1)]


def _follow(store: MemoryRun, changed: Sequence[Target]) -> None:
    """Nothing, once the claims are what the changed targets need: held, remembered only, or gone."""
    for target in changed:
        claim = store.claims.get(target.server_id)
        if claim is None or not claim.held:
            continue
        if target.keeps_claim or target.last_unanswered_at is not None:
            store.claims[target.server_id] = Claim(target.keeps_claim, target.last_unanswered_at)
        else:
            del store.claims[target.server_id]
