"""Engine between a small cloud and the journal in memory."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import anyio

from fleetos.engine.engine import Dependencies, Engine, Intervals
from fleetos.engine.protocols import CalendarSource, NoCalendars
from fleetos.errors import JournalUnwritable, LeaseLost
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.codec import event_from_json, event_json
from fleetos.model.journal.events import ChangeIntended, Event, PowerIntended, Record, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import RequestKind
from fleetos.model.plan import StopMode
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Order, Run, Secrets, Settings, Target
from fleetos.model.states import HOLDS_SLOT, Command, TargetState
from fleetos.model.steering.rollout import UNSTEERED, Steering
from fleetos.store.memory_journal import CommitFault, CommitFaults, MemoryRun, freeze
from tests.support.builders import RUNNING, SETTINGS, START, a_run, a_target
from tests.support.chance import SeededChance
from tests.support.clocks import SetClock, ShiftedClock
from tests.support.clouds.small import SmallCloud

PATIENCE_S = 60.0
"""A test that waits longer fails: far beyond what a loaded machine takes."""
COMMIT_S = 0.001
"""A commit takes longer than a write needs to leave."""
NO_BEAT_S = 3600.0
"""The lease is renewed by commits alone, unless a test is about its renewal."""

TURN_S = 0.5
"""A run that waits for something that no wake-up tells of looks again after so long."""

QUICK = replace(
    SETTINGS,
    loopback=True,
    settle_s=0.05,
    poll_min_s=0.005,
    poll_max_s=0.02,
    backoff_s=0.01,
    max_backoff_s=0.02,
    stop_timeout_s=2.0,
    change_timeout_s=2.0,
    start_timeout_s=2.0,
)


class NoSecrets:
    """Orders without secrets."""

    def resolve(self, order: Order) -> Secrets:
        """None are needed."""
        return Secrets()


@dataclass
class Watcher:
    """Listener that checks the counts it is shown and the records that were written, and may act on them."""

    check_records: Callable[[], None]
    most_slots: int = 0
    turns: int = 0
    act: Callable[[Progress], None] | None = None
    states: list[TargetState] = field(default_factory=list[TargetState])

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int]) -> None:
        """Told after each turn that wrote something."""
        self.turns += 1
        self.check_records()
        self.most_slots = max(self.most_slots, progress.slots_taken)
        if len(progress.targets) < 100:
            assert progress.slots_taken == sum(one.state in HOLDS_SLOT for one in progress.targets.values())
            self.states += [one.state for one in progress.targets.values()]
        if self.act is not None:
            self.act(progress)


class StoredRecords:
    """The records of a run, folded as they come: the stored values must be what the records say."""

    def __init__(self, store: MemoryRun) -> None:
        self._store = store
        self._checked = 0
        self._run: Run | None = None
        self._targets: dict[str, Target] = {}
        self._intents: dict[tuple[str, str], int] = {}
        self._used: dict[tuple[str, str], int] = {}

    def check(self) -> None:
        """Fold what was written since the last check, and compare what that has changed."""
        new = self._store.records[self._checked :]
        self._checked = len(self._store.records)
        for record in new:
            self._fold(record)
        assert self._run == self._store.run
        for server_id in {one.event.server_id for one in new if not isinstance(one.event, RunEvent)}:
            assert self._targets[server_id] == self._store.targets[server_id]

    def take_intent(self, verb: str, server_id: str) -> bool:
        """Return whether an intent for one more write is durable. It is used up by this."""
        self.check()
        newest, key = self._intents.get((verb, server_id), 0), (verb, server_id)
        used, self._used[key] = self._used.get(key, 0), newest
        return newest > used

    def _fold(self, record: Record) -> None:
        event = record.event
        if isinstance(event, RunEvent):
            self._run = fold_run(self._run, event, record.at)
            return
        self._targets[event.server_id] = fold_target(self._targets.get(event.server_id), event, record.at)
        if isinstance(event, ChangeIntended):
            self._intents["change", event.server_id] = record.seq
        if isinstance(event, PowerIntended):
            self._intents[event.verb, event.server_id] = record.seq


class EngineHarness:
    """Run between a small cloud and the journal in memory. Each engine is a new process that takes the lease."""

    def __init__(
        self,
        number: int = 1,
        settings: Settings = QUICK,
        picture: ServerSnapshot = RUNNING,
        targets: Sequence[Target] = (),
        further_events: Sequence[Event] = (),
        beat_s: float = NO_BEAT_S,
        steering: Steering = UNSTEERED,
    ) -> None:
        made = list(targets) or [a_target(one, baseline=picture) for one in range(1, number + 1)]
        self.store = freeze(a_run(settings=settings, steering=steering, wipes=len(made)), made, further_events, START)
        self.records = StoredRecords(self.store)
        self.cloud = SmallCloud([one.server_id for one in made], picture, self.records.take_intent)
        self.watcher = Watcher(self.records.check)
        self.clock = SetClock()
        self.journal_clock = ShiftedClock()
        self.commits = 0
        self.calendars: CalendarSource = NoCalendars()
        self.intervals = Intervals(turn_s=TURN_S)
        self._beat_s = beat_s
        self._fails: tuple[type[JournalUnwritable | LeaseLost], int] | None = None
        self._ids = count(1)

    def engine(self) -> Engine:
        """A new process over what the journal tells."""
        faults = CommitFaults(self._fault, self._commit_s)
        edge = Dependencies(
            cloud=self.cloud,
            journal=self.store.open_journal(self.journal_clock, faults, self._beat_s),
            secrets=NoSecrets(),
            listener=self.watcher,
            clock=self.clock,
            chance=SeededChance(1),
            new_id=lambda: f"call-{next(self._ids)}",
            calendars=self.calendars,
        )
        return Engine(self.progress(), edge, beats=self.intervals)

    def fail_commits(self, error: type[JournalUnwritable | LeaseLost], first: int = 0) -> None:
        """Let every commit fail from that one on, counted from 1: by the disk, or since another driver takes over."""
        self._fails = (error, first)

    def repair_commits(self) -> None:
        """Let commits succeed."""
        self._fails = None

    def ask_abort(self) -> None:
        """Let an operator ask for the end of the run, unless that has been asked before."""
        if not self.store.requests_made:
            self.store.add_request(RequestKind.ABORT, "ops", START)

    def _commit_s(self) -> float:
        self.commits += 1
        if self._failing(LeaseLost):
            self.store.epoch += 1
        return COMMIT_S

    def _fault(self) -> CommitFault | None:
        return CommitFault.LOST if self._failing(JournalUnwritable) else None

    def _failing(self, error: type[JournalUnwritable | LeaseLost]) -> bool:
        return self._fails is not None and self._fails[0] is error and self.commits >= self._fails[1]

    def progress(self) -> Progress:
        """What the records tell, read back from their JSON."""
        told = replay((one.at, event_from_json(event_json(one.event))) for one in self.store.records)
        assert told.targets == self.store.targets
        assert told.run == self.store.run
        return told

    @property
    def events(self) -> list[Event]:
        """The durable events, oldest first."""
        return [record.event for record in self.store.records]

    async def drive(self, within_s: float = PATIENCE_S, command: Command = Command.RESUME) -> Progress:
        """The progress after one process has driven the run; ends with no crime."""
        with anyio.fail_after(within_s):
            await self.engine().drive("host:1", command)
        return self.ended()

    def ended(self) -> Progress:
        """What the journal tells, once nothing criminal was seen."""
        assert self.cloud.crimes == []
        self.records.check()
        return self.progress()

    def one(self, number: int = 1) -> Target:
        """A target as the journal has it."""
        return self.store.targets[f"server-{number:04}"]

    def states(self) -> Counter[TargetState]:
        """How many targets are in each state."""
        return Counter(one.state for one in self.store.targets.values())

    def sent(self, verb: str) -> int:
        """How many requests of that kind left."""
        return sum(one == verb for one, _ in self.cloud.sent)


SOFT = replace(QUICK, stop=StopMode.SOFT)
