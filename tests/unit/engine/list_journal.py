"""A journal in memory that checks what it is told."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import anyio
import anyio.lowlevel

from fleetos.clock import Moment
from fleetos.errors import FleetosError
from fleetos.model.journal.codec import event_from_json, event_json
from fleetos.model.journal.events import ChangeIntended, Enlisted, Event, PowerIntended, Record, RunCreated, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import OperatorRequest
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Run, Target
from tests.support.builders import START


class ListJournal:
    """The journal of one run: a list of events. Checks after each append that their replay is what it was told."""

    def __init__(self, run: Run, targets: Sequence[Target]) -> None:
        self.events: list[tuple[datetime, Event]] = [(START, RunCreated(run))]
        self.events += [(START, Enlisted(one)) for one in targets]
        progress = replay(self.events)
        self.run, self.targets = progress.run, dict(progress.targets)
        self.appends = 0
        self.asked: list[OperatorRequest] = []
        self.done: list[int] = []
        self.valid = True
        self.fails_at: int | None = None
        self.failure: FleetosError | None = None
        self.lost = anyio.Event()
        self._open: Counter[tuple[str, str]] = Counter()

    def progress(self) -> Progress:
        """What the events tell, read back from their JSON."""
        told = replay((at, event_from_json(event_json(event))) for at, event in self.events)
        assert told.targets == self.targets
        assert told.run == self.run
        return told

    def intended(self, verb: str, server_id: str) -> bool:
        """Whether an intent for one more write is durable; it is used up by this."""
        self._open[verb, server_id] -= 1
        return self._open[verb, server_id] >= 0

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """The records, unless this append is to fail. It takes longer than a write needs to leave."""
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        self.appends += 1
        if self.failure is not None and self.fails_at is not None and self.appends >= self.fails_at:
            raise self.failure
        first = len(self.events) + 1
        for event in events:
            if isinstance(event, RunEvent):
                self.run = fold_run(self.run, event, at)
            else:
                self.targets[event.server_id] = fold_target(self.targets.get(event.server_id), event, at)
            if isinstance(event, ChangeIntended):
                self._open["change", event.server_id] = 1
            if isinstance(event, PowerIntended):
                self._open[event.verb, event.server_id] = 1
        self.events += [(at, event) for event in events]
        assert self.run == run
        assert [self.targets[one.server_id] for one in changed] == list(changed)
        self.done += answered
        return [Record(first + place, at, event) for place, event in enumerate(events)]

    async def requests(self) -> Sequence[OperatorRequest]:
        """What operators asked for."""
        return [one for one in self.asked if one.id not in self.done]

    def lease_valid(self, moment: Moment) -> bool:
        """As the test says."""
        return self.valid

    async def keep_lease(self) -> None:
        """Waits until the test takes the lease away."""
        await self.lost.wait()
        assert self.failure is not None
        raise self.failure
