"""Engine: turn after turn, each durable before its effects begin.

There is one loop and it alone decides; each task beside it only carries one request to the cloud and brings its
facts back.
"""

import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import cast

import anyio
from anyio.abc import TaskGroup

from fleetos.clock import Clock, Moment
from fleetos.engine import reconcile
from fleetos.engine.answers import answer_alone
from fleetos.engine.facts import CalendarRead, ChangeReplied, Fact, OperatorRequested, PowerReplied, Refused
from fleetos.engine.judge import Judge
from fleetos.engine.performer import Action, Performer, StartServers, SubmitChange
from fleetos.engine.protocols import CalendarSource, Cloud, Journal, Listener, NoCalendars, SecretSource
from fleetos.engine.sender import Sender
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.errors import FleetosError
from fleetos.ids import Chance
from fleetos.limits import CALENDARS_EVERY_S, PERMIT_AGAIN_MAX_S, PERMIT_AGAIN_MIN_S, REQUESTS_EVERY_S, TURN_AT_LEAST_S
from fleetos.logs import fields
from fleetos.model.experience import NO_EXPERIENCE, Experience
from fleetos.model.journal.events import Record
from fleetos.model.journal.requests import TAKE_UP
from fleetos.model.progress import Progress
from fleetos.model.run import Run
from fleetos.model.states import COMES_TO_REST, RUN_ENDS, Command, RunState, TargetState
from fleetos.rules.admission.pass_facts import RolloutFacts
from fleetos.rules.admission.wait_reasons import Waiting
from fleetos.rules.polling import DueRead
from fleetos.rules.requests.run_requests import in_order

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything outside of the engine that it uses."""

    cloud: Cloud
    journal: Journal
    secrets: SecretSource
    listener: Listener
    clock: Clock
    chance: Chance
    new_id: Callable[[], str]
    calendars: CalendarSource = field(default_factory=NoCalendars)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Longest time between two turns, and time between two reads of the operator's requests."""

    turn_s: float = TURN_AT_LEAST_S
    requests_s: float = REQUESTS_EVERY_S


class Engine:
    """Engine of the one run that this process drives."""

    def __init__(
        self,
        progress: Progress,
        edge: Dependencies,
        experience: Experience = NO_EXPERIENCE,
        beats: Intervals | None = None,
    ) -> None:
        self.progress = progress
        self._cloud = edge.cloud
        self._journal = edge.journal
        self._listener = edge.listener
        self._clock = edge.clock
        self._calendars = edge.calendars
        self._intervals = beats or Intervals()
        self._tracker = Tracker(progress, edge.chance, edge.clock.moment(), experience, edge.cloud.sweep_calls)
        self._judge = Judge(self._tracker)
        self._sender = Sender(self._tracker, edge.cloud, edge.secrets, edge.new_id)
        self._performer = Performer(edge.cloud, edge.clock, self._why_not_sent, self._add_fact)
        self._inbox: deque[Fact] = deque()
        self._wake = anyio.Event()
        self._writes_in_flight = 0
        self._leaving = False
        self.rest: Waiting | None = None
        """The wait that ends first, once this process leaves because only time or people help."""
        self._known_request_ids: set[int] = set()

    @property
    def experience(self) -> Experience:
        """Experience with this cloud: all that the run began with, and what it has learned since."""
        return self._tracker.changes.experience

    def leave(self) -> None:
        """Ask the engine to admit no more, and to return once the writes in flight are answered and recorded."""
        self._leaving = True
        self._wake.set()

    async def drive(self, driver: str, command: Command, *, waits: bool = True) -> None:
        """Drive the run until it has ended or paused, or after `leave`. `command` says which pauses this driver ends.

        `waits` False: also until nothing is in flight and only time or people help; `rest` says what it waits for.

        In a pause by a budget or an operator, what is in flight is followed to its end before.
        Raise LeaseLost or JournalUnwritable; then nothing more is sent, and the run is resumable.
        """
        async with self._tasks() as tasks:
            turn = self._tracker.begin_turn(self._clock.moment())
            reconcile.begin(self._tracker, turn, driver, command)
            # What was requested while the run had no driver is taken before anything is admitted.
            calendars = await self._read_calendars()
            self._inbox.extend(await self._read_new_requests())
            self._judge.judge_facts(turn, [*calendars, *self._take_facts()])
            await self._commit(turn)
            while True:
                self._wake = anyio.Event()
                await self._answer_take_ups()
                turn = self._tracker.begin_turn(self._clock.moment())
                self._judge.judge_facts(turn, self._take_facts())
                reads: list[DueRead] = []
                writes: list[Action] = []
                if not self._is_ending(turn):
                    cloud = self._cloud
                    reads = reconcile.reconcile(self._tracker, turn, cloud.read_rate_per_s(), cloud.write_rate_per_s())
                # Checked again: a decision may have paused the run.
                if not self._is_ending(turn):
                    writes = self._sender.prepare_writes(turn, self._tracker.now)
                reconcile.conclude(self._tracker, turn)
                await self._commit(turn)
                for write in writes:
                    self._writes_in_flight += 1
                    tasks.start_soon(self._performer.perform, write)
                for read in reads:
                    tasks.start_soon(self._performer.read, read)
                self.rest = None if waits else self._tracker.rollout.find_rest(turn)
                if self._is_over():
                    return
                await self._wait_for_next_turn()

    @asynccontextmanager
    async def _tasks(self) -> AsyncGenerator[TaskGroup]:
        """Yield the group of the tasks beside the loop, which ends with them: their errors are raised as one."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._journal.keep_lease)
                tasks.start_soon(self._listen_for_requests)
                tasks.start_soon(self._watch_calendars)
                yield tasks
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _choose_error(group) from None

    def rollout(self) -> RolloutFacts:
        """Return what people are shown of the waves, windows, groups and budgets, as they are now."""
        return self._tracker.rollout.facts(self.progress.run, self._clock.now())

    @property
    def trouble(self) -> Refused | None:
        """Reason why an aborted run was left before its end; None if it was not. Any other run pauses instead."""
        return self._judge.trouble

    def _is_ending(self, turn: Turn) -> bool:
        self._leaving = self._leaving or self._judge.trouble is not None
        return self._leaving or _stands_still(turn.run)

    def _is_over(self) -> bool:
        state = self.progress.run.state
        if state in RUN_ENDS:
            return True
        at_rest = state is RunState.PAUSED and (_stands_still(self.progress.run) or self.progress.at_rest)
        return (self._leaving or at_rest or self.rest is not None) and not self._writes_in_flight and not self._inbox

    async def _commit(self, turn: Turn) -> None:
        if not turn.events and not turn.answered:
            return
        changed = list(turn.changed.values())
        self._take_over(turn, await self._journal.append(turn.run, turn.events, changed, turn.at, turn.answered))

    def _take_over(self, turn: Turn, records: Sequence[Record]) -> None:
        """Take over a turn that is durable."""
        if turn.run.state is not self.progress.run.state:
            _log.info("run moved", extra=fields(run=turn.run.id, state=turn.run.state, reason=turn.run.reason))
        self.progress.update_targets(turn.run, turn.changed.values())
        self._listener.turned(self.progress, records, self._cloud.requests)

    async def _answer_take_ups(self) -> None:
        """Answer the requests that take servers up again, up to the first other one: each may be refused as a whole."""
        asked = in_order(fact.request for fact in self._inbox if isinstance(fact, OperatorRequested))
        for request in takewhile(lambda request: request.kind in TAKE_UP, asked):
            turn, records = await answer_alone(self._journal, self.progress, request, self._clock.now())
            self._tracker.follow(turn)
            self._take_over(turn, records)
            self._inbox.remove(OperatorRequested(request))

    def _take_facts(self) -> list[Fact]:
        """Return the facts for this turn. A request that takes servers up, and those after it, wait for the next."""
        facts = list(self._inbox)
        asked = in_order(fact.request for fact in facts if isinstance(fact, OperatorRequested))
        now = list(takewhile(lambda request: request.kind not in TAKE_UP, asked))
        self._inbox = deque(OperatorRequested(request) for request in asked[len(now) :])
        if self._inbox:
            self._wake.set()
        others = [fact for fact in facts if not isinstance(fact, OperatorRequested)]
        return [*(OperatorRequested(request) for request in now), *others]

    async def _wait_for_next_turn(self) -> None:
        wait_s = self._intervals.turn_s
        now = self._clock.moment()
        due_s = reconcile.next_due_s(self._tracker, now)
        if not self._leaving and not _stands_still(self.progress.run):
            if due_s is not None:
                wait_s = min(wait_s, max(0.0, due_s - now.elapsed_s))
            if self._sender.waits_for_permit:
                permit_s = max(PERMIT_AGAIN_MIN_S, self._cloud.permit_in_s())
                wait_s = min(wait_s, permit_s, PERMIT_AGAIN_MAX_S)
        with anyio.move_on_after(wait_s):
            await self._wake.wait()

    def _add_fact(self, fact: Fact) -> None:
        if isinstance(fact, ChangeReplied | PowerReplied):
            self._writes_in_flight -= 1
        self._inbox.append(fact)
        self._wake.set()

    async def _listen_for_requests(self) -> None:
        while True:
            for asked in await self._read_new_requests():
                self._add_fact(asked)
            await anyio.sleep(self._intervals.requests_s)

    async def _watch_calendars(self) -> None:
        """Read the calendar files again and again: what they deny may change while the run goes on."""
        while self._tracker.rollout.calendar_files:
            await anyio.sleep(CALENDARS_EVERY_S)
            for calendar in await self._read_calendars():
                self._add_fact(calendar)

    async def _read_calendars(self) -> list[CalendarRead]:
        files = self._tracker.rollout.calendar_files
        return [CalendarRead(path, await self._calendars.read(path)) for path in files]

    async def _read_new_requests(self) -> list[OperatorRequested]:
        """Return the operator's requests that this process has not read yet."""
        fresh = [request for request in await self._journal.requests() if request.id not in self._known_request_ids]
        self._known_request_ids.update(request.id for request in fresh)
        return [OperatorRequested(request) for request in fresh]

    def _why_not_sent(self, write: Action, now: Moment) -> str | None:
        """Return why the write may not be sent at this very moment; None if it may."""
        if not self._journal.lease_valid(now):
            return "not sent: the lease was not renewed within its term"
        if self._leaving:
            return "not sent: fleetos was asked to leave"
        run, state = self.progress.run, self.progress.run.state
        # A run that is aborted, or comes to rest in a pause, still puts power back as it was, and nothing else.
        if state is RunState.RUNNING or (_puts_power_back(run) and self._ends_a_target(write)):
            return self._why_too_late(write, now)
        return f"not sent: the run is {state}"

    def _why_too_late(self, write: Action, now: Moment) -> str | None:
        """Return why a step towards a change may not be sent, though its intent was written in time."""
        if self._ends_a_target(write) or isinstance(write, StartServers):
            return None
        server_ids = (write.server_id,) if isinstance(write, SubmitChange) else write.server_ids
        targets = (self.progress.targets[server_id] for server_id in server_ids)
        # A stop after the first one only goes on with what has begun.
        closed = (self._tracker.rollout.why_closed(target, now.wall) for target in targets if len(target.calls) <= 1)
        waiting = next((wait for wait in closed if wait is not None), None)
        return None if waiting is None else f"not sent: {waiting.words}"

    def _ends_a_target(self, write: Action) -> bool:
        """Return True if the write is no step towards a change."""
        if isinstance(write, SubmitChange):
            return False
        states = {self.progress.targets[server_id].state for server_id in write.server_ids}
        return TargetState.STOPPING not in states


def _stands_still(run: Run) -> bool:
    """Return True for a pause in which nothing more is read or sent."""
    return run.state is RunState.PAUSED and run.reason not in COMES_TO_REST


def _puts_power_back(run: Run) -> bool:
    return run.state is RunState.FINISHING or (run.state is RunState.PAUSED and run.reason in COMES_TO_REST)


def _choose_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error to report of several: one of fleetos' own if there is one, else the first."""
    leaves = list(_iterate_leaves(group))
    return next((error for error in leaves if isinstance(error, FleetosError)), leaves[0])


def _iterate_leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _iterate_leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error
