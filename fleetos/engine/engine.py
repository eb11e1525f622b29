"""Drives one run to its end: turn after turn, each durable before any of its effects begins.

There is one loop and it alone decides; the tasks beside it only carry one request each to the cloud and back.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import anyio
from anyio.abc import TaskGroup

from fleetos.clock import Clock, Moment
from fleetos.engine import reconcile
from fleetos.engine.facts import Fact, OperatorRequested, Refused
from fleetos.engine.judge import Judge
from fleetos.engine.performer import Performer, SubmitChange, Write
from fleetos.engine.protocols import Cloud, Journal, Listener, SecretSource
from fleetos.engine.sender import Sender
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.errors import FleetosError
from fleetos.ids import Chance
from fleetos.limits import PERMIT_AGAIN_MAX_S, PERMIT_AGAIN_MIN_S, REQUESTS_EVERY_S, TURN_AT_LEAST_S
from fleetos.model.experience import NONE, Experience
from fleetos.model.progress import Progress
from fleetos.model.states import RUN_ENDS, Command, RunState, TargetState
from fleetos.rules.polling import Read


@dataclass(frozen=True, slots=True)
class Dependencies:
    """All that the engine touches of the world."""

    cloud: Cloud
    journal: Journal
    secrets: SecretSource
    listener: Listener
    clock: Clock
    chance: Chance
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often, in seconds, the ring turns at least, and how often it asks for requests of the operator."""

    turn_s: float = TURN_AT_LEAST_S
    requests_s: float = REQUESTS_EVERY_S


class Engine:
    """One run being driven by this process."""

    def __init__(
        self, progress: Progress, edge: Dependencies, experience: Experience = NONE, beats: Intervals | None = None
    ) -> None:
        self.progress = progress
        self._cloud = edge.cloud
        self._journal = edge.journal
        self._listener = edge.listener
        self._clock = edge.clock
        self._beats = beats or Intervals()
        self._books = Tracker(progress, edge.chance, edge.clock.moment(), experience, edge.cloud.sweep_calls)
        self._judge = Judge(self._books)
        self._sender = Sender(self._books, edge.cloud, edge.secrets, edge.new_id)
        self._performer = Performer(edge.cloud, edge.clock, self._halted)
        self._inbox: deque[Fact] = deque()
        self._news = anyio.Event()
        self._on_the_wire = 0
        self._leaving = False
        self._asked: set[int] = set()

    @property
    def experience(self) -> Experience:
        """What is known of this cloud by now: all that the run began with, and what it has seen since."""
        return self._books.watch.experience

    def leave(self) -> None:
        """Asks the engine to admit no more and to return once the writes on the wire are answered and recorded."""
        self._leaving = True
        self._news.set()

    async def drive(self, driver: str, command: Command) -> None:
        """Returns when the run has ended or paused, or after `leave`. `command` says which pauses this driver ends.

        Raises LeaseLost or JournalUnwritable; then nothing more is sent, and the run is resumable.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._journal.keep_lease)
                tasks.start_soon(self._listen)
                await self._turns(tasks, driver, command)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _first_of_ours(group) from None

    async def _turns(self, tasks: TaskGroup, driver: str, command: Command) -> None:
        turn = self._books.begin_turn(self._clock.moment())
        reconcile.begin(self._books, turn, driver, command)
        # An abort that was asked for while nobody drove the run is heard before anything is admitted.
        self._judge.take(turn, await self._requests())
        await self._commit(turn)
        while True:
            self._news = anyio.Event()
            turn = self._books.begin_turn(self._clock.moment())
            facts = list(self._inbox)
            self._inbox.clear()
            self._judge.take(turn, facts)
            reads: list[Read] = []
            writes: list[Write] = []
            if not self._ending(turn):
                cloud = self._cloud
                reads = reconcile.reconcile(self._books, turn, cloud.read_rate_per_s(), cloud.write_rate_per_s())
            # Asked again: what was decided may have paused the run.
            if not self._ending(turn):
                writes = self._sender.serve(turn, self._books.now)
            reconcile.conclude(turn)
            await self._commit(turn)
            for write in writes:
                self._on_the_wire += 1
                tasks.start_soon(self._write, write)
            for read in reads:
                tasks.start_soon(self._read, read)
            if self._over():
                return
            await self._wait()

    @property
    def trouble(self) -> Refused | None:
        """Why an aborted run was left before its end, if it was; any other run pauses instead."""
        return self._judge.trouble

    def _ending(self, turn: Turn) -> bool:
        self._leaving = self._leaving or self._judge.trouble is not None
        return self._leaving or turn.run.state is RunState.PAUSED

    def _over(self) -> bool:
        state = self.progress.run.state
        if state in RUN_ENDS:
            return True
        return (self._leaving or state is RunState.PAUSED) and not self._on_the_wire and not self._inbox

    async def _commit(self, turn: Turn) -> None:
        if not turn.events and not turn.answered:
            return
        changed = list(turn.changed.values())
        records = await self._journal.append(turn.run, turn.events, changed, turn.at, turn.answered)
        self.progress.absorb(turn.run, changed)
        self._listener.turned(self.progress, records, self._cloud.requests)

    async def _wait(self) -> None:
        wait_s = self._beats.turn_s
        now = self._clock.moment()
        due_s = reconcile.next_due_s(self._books, now)
        if not self._leaving and self.progress.run.state is not RunState.PAUSED:
            if due_s is not None:
                wait_s = min(wait_s, max(0.0, due_s - now.elapsed_s))
            if self._sender.starved:
                permit_s = max(PERMIT_AGAIN_MIN_S, self._cloud.permit_in_s())
                wait_s = min(wait_s, permit_s, PERMIT_AGAIN_MAX_S)
        with anyio.move_on_after(wait_s):
            await self._news.wait()

    async def _write(self, action: Write) -> None:
        fact = await self._performer.write(action)
        self._on_the_wire -= 1
        self._tell(fact)

    async def _read(self, read: Read) -> None:
        for fact in await self._performer.read(read):
            self._tell(fact)

    def _tell(self, fact: Fact) -> None:
        self._inbox.append(fact)
        self._news.set()

    async def _listen(self) -> None:
        while True:
            for asked in await self._requests():
                self._tell(asked)
            await anyio.sleep(self._beats.requests_s)

    async def _requests(self) -> list[OperatorRequested]:
        """The operator's requests that this process has not heard yet."""
        fresh = [request for request in await self._journal.requests() if request.id not in self._asked]
        self._asked.update(request.id for request in fresh)
        return [OperatorRequested(request) for request in fresh]

    def _halted(self, write: Write, now: Moment) -> str | None:
        """Why the write may not be sent at this very moment, or None."""
        if not self._journal.lease_valid(now):
            return "not sent: the lease was not renewed within its term"
        if self._leaving:
            return "not sent: fleetos was asked to leave"
        state = self.progress.run.state
        # An aborted run still puts power back as it was, and nothing else.
        if state is RunState.RUNNING or (state is RunState.FINISHING and self._ends_a_target(write)):
            return None
        return f"not sent: the run is {state}"

    def _ends_a_target(self, write: Write) -> bool:
        """Whether the write is no step towards a change."""
        if isinstance(write, SubmitChange):
            return False
        states = {self.progress.targets[server_id].state for server_id in write.server_ids}
        return TargetState.STOPPING not in states


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to report of several: one of fleetos' own if there is one, else the first."""
    leaves = list(_leaves(group))
    return next((one for one in leaves if isinstance(one, FleetosError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(cast("BaseExceptionGroup[BaseException]", one))
        else:
            yield one
