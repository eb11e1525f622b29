"""The books of a run while this process drives it: agenda, queue, looks. All of it can be lost and made anew."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from fleetos.clock import Moment
from fleetos.engine.agenda import Agenda
from fleetos.engine.change_tracker import ChangeTracker, change_key
from fleetos.engine.facts import TracesRead
from fleetos.engine.observations import TargetObservations
from fleetos.engine.sweeps import SweepPlanner
from fleetos.engine.turn import Turn
from fleetos.ids import Chance
from fleetos.limits import FRESH_READ_MAX_AGE_S, READ_AGAIN_S
from fleetos.model.experience import Experience
from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import JobEnded, RunMoved, TargetEvent
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import QUEUED, RunState, TargetState
from fleetos.rules.admission.admit import admit
from fleetos.rules.admission.queue import Queue
from fleetos.rules.admission.slots import Slots
from fleetos.rules.admission.stop_rate import StopRate
from fleetos.rules.decide import decide
from fleetos.rules.needs import AskJob, AskTraces, Context, Need, ReadServerNeed, Wait, WriteEvents
from fleetos.rules.observation import Observation, ObservationSeries

# Events that one target may write in one turn; more is a rule that goes in circles.
MAX_STEPS_A_TURN = 12


class Tracker:
    """What the ring keeps beside the durable progress, and the one way to write an event into a turn.

    Only its own methods change it. `sweep_calls` tells how many requests a sweep of a number of servers takes.
    """

    def __init__(
        self,
        progress: Progress,
        chance: Chance,
        now: Moment,
        experience: Experience,
        sweep_calls: Callable[[int], int],
    ) -> None:
        self.progress = progress
        self.agenda = Agenda()
        self.queue = Queue.of(progress.targets.values())
        self.dirty: dict[str, None] = {}
        self.watch = ChangeTracker(experience, {change_key(one): None for one in progress.targets.values()})
        poll_s = progress.run.settings.poll_min_s
        self.sweeps = SweepPlanner(self.watch, self.agenda, self.queue, sweep_calls, chance, poll_s)
        self._now = now
        self._allowance = StopRate()
        self._queued_sights: dict[str, Observation | None] = {}
        self._chance = chance
        self._sightings: dict[str, TargetObservations] = {}

    @property
    def now(self) -> Moment:
        """Start of the present turn."""
        return self._now

    def begin_turn(self, now: Moment) -> Turn:
        """Return a turn that has written nothing yet."""
        self._now = now
        return Turn(self.progress, now.wall)

    def adopt(self, server_id: str) -> None:
        """Begin to watch a target that this process found under way."""
        self._sightings[server_id] = TargetObservations(self._now, self._now)
        self.watch.adopt(self.progress.targets[server_id], self._now)
        self.dirty[server_id] = None

    def observations_of(self, server_id: str) -> TargetObservations | None:
        """Return what has been seen of the target since its last move; None if it is not under way."""
        return self._sightings.get(server_id)

    def mark_dirty(self, server_ids: Iterable[str]) -> None:
        """Let these targets decide in this turn."""
        self.dirty.update(dict.fromkeys(server_ids))

    def take_due(self, together_s: float) -> list[tuple[str, Need]]:
        """Return the needs that are due, as `Agenda.due`. Targets whose wait is over decide in this turn."""
        due = self.agenda.due(self._now.elapsed_s, together_s)
        self.mark_dirty(server_id for server_id, need in due if isinstance(need, Wait))
        return due

    def refill_allowance(self, writes_per_s: float | None) -> None:
        """Let servers be stopped as fast as changes can be sent; None for any rate."""
        self._allowance = self._allowance.refilled(self._now.elapsed_s, writes_per_s, self.watch.stop_lead_s)

    def admit(self, turn: Turn, slots_freed_soon: float) -> bool:
        """Write the moves of all targets that may start now. Return whether there are any."""
        room = Slots(turn.slots_taken, turn.ahead, slots_freed_soon, self._allowance.available(turn.ready))
        moves = admit(self.queue, turn.run, turn.target, room, self._now.wall)
        if moves:
            self._allowance = self._allowance.take(len(moves))
        for move in moves:
            self.write(turn, move)
        return bool(moves)

    def next_admission_s(self, now: Moment) -> float | None:
        """Return when the next target may be admitted, on the elapsed clock; None while none can be."""
        at, progress = self.queue.next_at(), self.progress
        if at is None or progress.run.state is not RunState.RUNNING:
            return None
        if progress.slots_taken + progress.ahead >= progress.run.settings.concurrency:
            return None
        in_s = self._allowance.retry_in_s(now.elapsed_s, progress.ready)
        return now.elapsed_s + max(in_s, (at - now.wall).total_seconds())

    def add_observation(self, turn: Turn, server_id: str, sight: Observation) -> None:
        """Enter one look at a target."""
        sighting = self._sightings.get(server_id)
        state = turn.target(server_id).state
        if sighting is None:
            if server_id in self._queued_sights:
                self._queued_sights[server_id] = sight
            return
        self._sightings[server_id] = after = sighting.with_sight(state, sight, self.watch.settle_s(turn.run.settings))
        if state is TargetState.CHANGING and sight.picture is not None and sight.picture.changing:
            self.watch.seen_changing()
        # One that is only followed has nothing new to decide while it looks as it did.
        seen_before = sighting.watch is not None and sighting.watch.picture == sight.picture and not sighting.misses
        if after is sighting or not (seen_before and server_id in self.agenda.following):
            self.dirty[server_id] = None

    def observe_queued(self, server_ids: Iterable[str]) -> None:
        """Enter that these targets, which are next in the queue, are seen along with the sweep that begins now."""
        self._queued_sights = dict.fromkeys(server_ids)

    def add_missed_read(self, server_id: str) -> None:
        """Enter a read that said nothing of the target."""
        sighting = self._sightings.get(server_id)
        if sighting is not None:
            self._sightings[server_id] = replace(sighting, misses=sighting.misses + 1)
            self.dirty[server_id] = None

    def add_job_read(self, server_id: str, *, goes_on: bool) -> None:
        """Enter that a read of the target's job was answered, and whether the job goes on."""
        sighting = self._sightings.get(server_id)
        if sighting is not None:
            ran, over = (self._now, None) if goes_on else (sighting.job_ran, sighting.job_over or self._now)
            after = replace(sighting, misses=0, job_asked=self._now, job_ran=ran, job_over=over)
            self._sightings[server_id] = after
            self.dirty[server_id] = None

    def add_traces(self, fact: TracesRead) -> None:
        """Enter what the cloud's logs say of the target, unless they were asked before its present looks began."""
        sighting = self._sightings.get(fact.server_id)
        if sighting is None:
            return
        self.dirty[fact.server_id] = None
        if sighting.watch is not None and fact.requested.since_s(sighting.watch.begun) >= 0:
            self._sightings[fact.server_id] = replace(sighting, traces=fact.traces, traced=self._now)

    def context(self, turn: Turn, server_id: str) -> Context:
        """Return what a rule may know besides the target."""
        run, target = turn.run, turn.target(server_id)
        sighting = self._sightings[server_id]
        return Context(
            now=self._now,
            entered=sighting.entered,
            settings=run.settings,
            settle_s=self.watch.settle_s(run.settings),
            poll_s=self.sweeps.poll_s,
            fraction=self._chance.fraction(),
            running=run.state is RunState.RUNNING,
            finishing=run.state is RunState.FINISHING,
            watch=sighting.watch,
            traces=sighting.traces,
            traced=sighting.traced,
            misses=sighting.misses,
            forecast=self.watch.forecast_of(target),
            shows_change=self.watch.shows_change,
            by_sweep=self.sweeps.by_sweep,
            job_asked=sighting.job_asked,
            job_ran=sighting.job_ran,
            job_over=sighting.job_over,
            stop_s=self.watch.stop_s,
        )

    def write(self, turn: Turn, event: TargetEvent | RunMoved) -> None:
        """Write the event into the turn and keep the books by it. A run that is there already does not move."""
        if isinstance(event, RunMoved):
            if turn.run.state is not event.to:
                turn.write(event)
                self.mark_dirty(self._sightings)
            return
        before = turn.target(event.server_id)
        self._measure(before, event)
        turn.write(event)
        after = turn.target(event.server_id)
        self.watch.follow(before, after, self._now)
        sighting = self._sightings.get(event.server_id) or self._first_sighting(event.server_id)
        self._sightings[event.server_id] = sighting.after_event(before, after, event, self._now)
        self.dirty[event.server_id] = None
        if after.state in QUEUED and before.state not in QUEUED:
            self.queue.put(after)

    def _first_sighting(self, server_id: str) -> TargetObservations:
        """Return one with nothing seen yet, or what a sweep showed in passing while the target was next in the queue.

        A target leaves the queue by this, so that a look requested later does not count for the time before.
        """
        sight = self._queued_sights.pop(server_id, None)
        if sight is None or sight.picture is None or self._now.since_s(sight.requested) >= FRESH_READ_MAX_AGE_S:
            return TargetObservations(self._now, self._now)
        return TargetObservations(self._now, sight.requested, ObservationSeries.start(sight))

    def settle(self, turn: Turn, server_id: str) -> tuple[Need, ...]:
        """Let the target write all that it can write now, and return its needs."""
        for _ in range(MAX_STEPS_A_TURN):
            target = turn.target(server_id)
            queued = target.state in QUEUED
            if target.ended or (queued and turn.run.state is not RunState.FINISHING):
                self.agenda.drop(server_id)
                self.sweeps.follow(server_id, waiting=False)
                self._sightings.pop(server_id, None)
                self.dirty.pop(server_id, None)
                return ()
            self._sightings.setdefault(server_id, TargetObservations(self._now, self._now))
            decision = decide(target, self.context(turn, server_id))
            if not isinstance(decision, WriteEvents):
                needs = tuple(self._adjusted(server_id, need) for need in decision)
                self.agenda.set(server_id, needs)
                waiting = server_id in self.agenda.following and target.state is not TargetState.CHANGING
                self.sweeps.follow(server_id, waiting=waiting)
                self.dirty.pop(server_id, None)
                return needs
            for event in decision.events:
                self.write(turn, event)
        raise RuntimeError(f"target {server_id} does not come to rest in state {turn.target(server_id).state}")

    def _adjusted(self, server_id: str, need: Need) -> Need:
        """A server that reads say nothing of is asked by itself, and less and less often."""
        misses = self._sightings[server_id].misses
        if not misses or not isinstance(need, ReadServerNeed | AskJob | AskTraces):
            return need
        pause_s = min(READ_AGAIN_S * 2 ** min(misses - 1, 10), self.progress.run.settings.poll_max_s)
        due_s = max(need.due_s, self._now.elapsed_s + pause_s)
        if isinstance(need, ReadServerNeed):
            return ReadServerNeed(due_s, single=True)
        return replace(need, due_s=due_s)

    def _measure(self, before: Target, event: TargetEvent) -> None:
        """Learns how long a change takes, but only from those that this process saw from end to end."""
        if not isinstance(event, JobEnded) or event.status is not JobStatus.SUCCESS:
            return
        attempt, sighting = before.attempt, self._sightings.get(before.server_id)
        if attempt is None or sighting is None or attempt.accepted_at is None:
            return
        seen_s = self._now.since_s(sighting.entered)
        whole_s = (self._now.wall - attempt.accepted_at).total_seconds()
        if abs(whole_s - seen_s) < 1.0 + 0.1 * seen_s:
            seen = sighting.watch
            self.watch.lasted(seen_s, shown=None if seen is None else any(one.changing for one in seen.pictures))
