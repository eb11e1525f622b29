"""In-memory state of the run: agenda, rollout, observations. Rebuilt after a crash."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from fleetos.clock import Moment
from fleetos.engine.agenda import Agenda
from fleetos.engine.change_tracker import ChangeTracker, change_key
from fleetos.engine.facts import TracesRead
from fleetos.engine.observations import TargetObservations
from fleetos.engine.rollout.state import RolloutState
from fleetos.engine.sweeps import SweepPlanner
from fleetos.engine.turn import Turn
from fleetos.ids import Chance
from fleetos.limits import FRESH_READ_MAX_AGE_S
from fleetos.model.experience import Experience
from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import Event, JobEnded, Moved, RunEvent, RunMoved, RunWaveOpened, TargetEvent
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, COMES_TO_REST, QUEUED, RunState, TargetState
from fleetos.rules.admission.slots import Slots
from fleetos.rules.admission.stop_rate import StopRate
from fleetos.rules.admission.wait_reasons import WaitReason
from fleetos.rules.admission.why_not import choose_first_state
from fleetos.rules.budgets import stop_by_budget
from fleetos.rules.decide import decide
from fleetos.rules.needs import Context, Need, ReadJobNeed, ReadServerNeed, ReadTracesNeed, Wait, WriteEvents
from fleetos.rules.observation import Observation, ObservationSeries

# The wait after a failed read of a server; it doubles up to the plan's polling.max.
READ_AGAIN_S = 1.0
# Events that one target may write in one turn; more means that a rule goes in circles.
MAX_STEPS_PER_TURN = 12


class Tracker:
    """State that the engine keeps beside the durable progress, and the one way to write an event into a turn.

    Only its own methods change it. `sweep_calls` returns the number of requests that a sweep of a number of servers
    takes.
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
        self.dirty: dict[str, None] = {}
        self.changes = ChangeTracker(experience, {change_key(target): None for target in progress.targets.values()})
        self.rollout = RolloutState(progress, self.changes, now.wall)
        poll_s = progress.run.settings.poll_min_s
        self.sweeps = SweepPlanner(self.changes, self.agenda, self.rollout.lanes, sweep_calls, chance, poll_s)
        self._now = now
        self._stop_rate = StopRate()
        self._queued_observations: dict[str, Observation | None] = {}
        self._chance = chance
        self._observations: dict[str, TargetObservations] = {}

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
        self._observations[server_id] = TargetObservations(self._now, self._now)
        self.changes.adopt(self.progress.targets[server_id], self._now)
        self.dirty[server_id] = None

    def observations_of(self, server_id: str) -> TargetObservations | None:
        """Return the observations of the target since its last move; None if it is not under way."""
        return self._observations.get(server_id)

    def mark_dirty(self, server_ids: Iterable[str]) -> None:
        """Let these targets decide in this turn."""
        self.dirty.update(dict.fromkeys(server_ids))

    def take_due(self, together_s: float) -> list[tuple[str, Need]]:
        """Return the needs that are due, as `Agenda.take_due`. Targets whose wait is over decide in this turn."""
        due = self.agenda.take_due(self._now.elapsed_s, together_s)
        self.mark_dirty(server_id for server_id, need in due if isinstance(need, Wait))
        return due

    def refill_stop_rate(self, writes_per_s: float | None) -> None:
        """Let servers be stopped as fast as changes can be sent; None: unlimited."""
        self._stop_rate = self._stop_rate.refill(self._now.elapsed_s, writes_per_s, self.changes.stop_lead_s)

    def admit(self, turn: Turn, slots_freed_soon: float) -> bool:
        """Write the moves of all targets that may start now. Return whether there are any."""
        room = Slots(turn.slots_taken, turn.ahead, slots_freed_soon, self._stop_rate.available(turn.ready))
        admitted = self.rollout.admit(turn.run, turn.target, room, self._now.wall)
        if admitted:
            self._stop_rate = self._stop_rate.take(len(admitted))
        for target in admitted:
            if target.wave > turn.run.waves_opened:
                self.write_event(turn, RunWaveOpened(target.wave))
            self.write_event(turn, Moved(target.server_id, choose_first_state(target)))
        return bool(admitted)

    def next_admission_s(self, now: Moment) -> float | None:
        """Return when the next target may be admitted, on the elapsed clock; None while none can be."""
        lanes, progress = self.rollout.lanes, self.progress
        if progress.run.state is not RunState.RUNNING:
            return None
        if progress.slots_taken + progress.ahead >= progress.run.settings.concurrency:
            return None
        retry_s = now.elapsed_s + self._stop_rate.retry_in_s(now.elapsed_s, progress.ready)
        due_at = lanes.next_pass_at()
        dues_s = [] if due_at is None else [max(retry_s, now.elapsed_s + (due_at - now.wall).total_seconds())]
        if WaitReason.PACE in lanes.waits:
            dues_s.append(retry_s)
        return min(dues_s, default=None)

    def add_observation(self, turn: Turn, server_id: str, observation: Observation) -> None:
        """Add one observation of a target."""
        observations = self._observations.get(server_id)
        state = turn.target(server_id).state
        if observations is None:
            if server_id in self._queued_observations:
                self._queued_observations[server_id] = observation
            return
        self._observations[server_id] = after = observations.with_observation(
            state, observation, self.changes.settle_s(turn.run.settings)
        )
        if state is TargetState.CHANGING and observation.snapshot is not None and observation.snapshot.changing:
            self.changes.record_seen_changing()
        # A target that only waits for sweeps has nothing new to decide while its server looks as it did.
        seen_before = (
            observations.series is not None
            and observations.series.snapshot == observation.snapshot
            and not observations.missed_reads
        )
        if after is observations or not (seen_before and server_id in self.agenda.followers):
            self.dirty[server_id] = None

    def observe_queued(self, server_ids: Iterable[str]) -> None:
        """Keep what the sweep that begins now shows of these targets, which are next in the queue."""
        self._queued_observations = dict.fromkeys(server_ids)

    def add_missed_read(self, server_id: str) -> None:
        """Record a read that said nothing of the target."""
        observations = self._observations.get(server_id)
        if observations is not None:
            self._observations[server_id] = replace(observations, missed_reads=observations.missed_reads + 1)
            self.dirty[server_id] = None

    def add_job_read(self, server_id: str, *, goes_on: bool) -> None:
        """Record that a read of the target's job was answered, and whether the job goes on."""
        observations = self._observations.get(server_id)
        if observations is not None:
            not_running_at = None if goes_on else observations.job_not_running_at or self._now
            self._observations[server_id] = replace(
                observations,
                missed_reads=0,
                job_read_at=self._now,
                job_running_at=self._now if goes_on else observations.job_running_at,
                job_not_running_at=not_running_at,
            )
            self.dirty[server_id] = None

    def add_traces(self, fact: TracesRead) -> None:
        """Add what the cloud's logs say of the target, unless they were read before its present series began."""
        observations = self._observations.get(fact.server_id)
        if observations is None:
            return
        self.dirty[fact.server_id] = None
        if observations.series is not None and fact.requested.since_s(observations.series.begun_at) >= 0:
            self._observations[fact.server_id] = replace(observations, traces=fact.traces, traces_read_at=self._now)

    def context(self, turn: Turn, server_id: str) -> Context:
        """Return what a rule may know besides the target."""
        run, target = turn.run, turn.target(server_id)
        observations = self._observations[server_id]
        return Context(
            now=self._now,
            entered_at=observations.entered_at,
            settings=run.settings,
            settle_s=self.changes.settle_s(run.settings),
            poll_s=self.sweeps.poll_s,
            fraction=self._chance.fraction(),
            run_running=run.state is RunState.RUNNING,
            run_finishing=run.state is RunState.FINISHING,
            run_resting=run.state is RunState.PAUSED and run.reason in COMES_TO_REST,
            recalled=target.recallable and self.rollout.takes_back(run, target, self._now.wall),
            series=observations.series,
            traces=observations.traces,
            traces_read_at=observations.traces_read_at,
            missed_reads=observations.missed_reads,
            forecast=self.changes.forecast_of(target),
            shows_change=self.changes.shows_change,
            by_sweep=self.sweeps.by_sweep,
            job_read_at=observations.job_read_at,
            job_running_at=observations.job_running_at,
            job_not_running_at=observations.job_not_running_at,
            stop_duration_s=self.changes.stop_duration_s,
        )

    def hold_back(self, turn: Turn, server_id: str) -> bool:
        """Note what keeps the target from its stop or its change now. Return whether anything does."""
        waiting = self.rollout.why_kept(turn.run, turn.target(server_id), self._now.wall)
        self.rollout.note_kept(server_id, waiting)
        return waiting is not None

    def check_admitted(self, turn: Turn) -> None:
        """Let those decide who were admitted, when a window has changed or closes."""
        if self.rollout.must_check(self._now.wall):
            self.mark_dirty(server_id for server_id in self._observations if turn.target(server_id).state in AHEAD)

    def write_event(self, turn: Turn, event: Event) -> None:
        """Write the event into the turn and update this state by it. A run that is there already does not move.

        A run whose failure budget is exceeded by it pauses or ends at once: nothing more is admitted or sent in this
        turn.
        """
        if isinstance(event, RunEvent):
            self._write_run_event(turn, event)
            return
        before = turn.target(event.server_id)
        self._measure_change(before, event)
        turn.write_event(event)
        self._update(turn, before, event)
        self.stop_over_budget(turn)

    def follow(self, turn: Turn) -> None:
        """Update this state by a turn that another one has written, before the progress takes it over.

        It has at most one event for each target.
        """
        for event in turn.events:
            if isinstance(event, RunMoved):
                self._update_run(event)
            elif not isinstance(event, RunEvent):
                self._update(turn, self.progress.targets[event.server_id], event)

    def _update(self, turn: Turn, before: Target, event: TargetEvent) -> None:
        after = turn.target(event.server_id)
        self.changes.record_move(before, after, self._now)
        observations = self._observations.get(event.server_id) or self._first_observations(event.server_id)
        self._observations[event.server_id] = observations.after_event(before, after, event, self._now)
        self.dirty[event.server_id] = None
        self.rollout.update(turn.run, before, after, self._now.wall)

    def _write_run_event(self, turn: Turn, event: RunEvent) -> None:
        if not isinstance(event, RunMoved):
            turn.write_event(event)
        elif turn.run.state is not event.to:
            turn.write_event(event)
            self._update_run(event)
            self.stop_over_budget(turn)

    def _update_run(self, event: RunMoved) -> None:
        self.mark_dirty(self._observations)
        if event.to is RunState.FINISHING:
            queued = (target.server_id for target in self.progress.targets.values() if target.state in QUEUED)
            self.mark_dirty(queued)

    def stop_over_budget(self, turn: Turn) -> None:
        """Pause or end the run if a failure budget of it is exceeded, and that would spare somebody."""
        stop = stop_by_budget(turn.run, self.rollout.failures, turn.spared)
        if stop is not None:
            self.write_event(turn, stop)

    def _first_observations(self, server_id: str) -> TargetObservations:
        """Return empty observations, or what a sweep showed of the target while it was next in the queue.

        A target leaves the queue by this, so that an observation requested later does not count for the time before.
        """
        observation = self._queued_observations.pop(server_id, None)
        if (
            observation is None
            or observation.snapshot is None
            or self._now.since_s(observation.requested) >= FRESH_READ_MAX_AGE_S
        ):
            return TargetObservations(self._now, self._now)
        return TargetObservations(self._now, observation.requested, ObservationSeries.start(observation))

    def evaluate(self, turn: Turn, server_id: str) -> tuple[Need, ...]:
        """Let the target write all that it can write now, and return its needs."""
        for _ in range(MAX_STEPS_PER_TURN):
            target = turn.target(server_id)
            queued = target.state in QUEUED
            if target.ended or (queued and turn.run.state is not RunState.FINISHING):
                self.agenda.drop_target(server_id)
                self.sweeps.follow(server_id, waiting=False)
                self._observations.pop(server_id, None)
                self.dirty.pop(server_id, None)
                return ()
            self._observations.setdefault(server_id, TargetObservations(self._now, self._now))
            decision = decide(target, self.context(turn, server_id))
            if not isinstance(decision, WriteEvents):
                needs = tuple(self._back_off_after_misses(server_id, need) for need in decision)
                self.agenda.set_needs(server_id, needs)
                waiting = server_id in self.agenda.followers and target.state is not TargetState.CHANGING
                self.sweeps.follow(server_id, waiting=waiting)
                self.dirty.pop(server_id, None)
                return needs
            for event in decision.events:
                self.write_event(turn, event)
        raise RuntimeError(f"target {server_id} does not come to rest in state {turn.target(server_id).state}")

    def _back_off_after_misses(self, server_id: str, need: Need) -> Need:
        """Delay the read of a server that reads say nothing of, longer and longer, and read it by itself."""
        misses = self._observations[server_id].missed_reads
        if not misses or not isinstance(need, ReadServerNeed | ReadJobNeed | ReadTracesNeed):
            return need
        pause_s = min(READ_AGAIN_S * 2 ** min(misses - 1, 10), self.progress.run.settings.poll_max_s)
        due_s = max(need.due_s, self._now.elapsed_s + pause_s)
        if isinstance(need, ReadServerNeed):
            return ReadServerNeed(due_s, single=True)
        return replace(need, due_s=due_s)

    def _measure_change(self, before: Target, event: TargetEvent) -> None:
        """Learn how long a change takes, but only from those that this process saw from end to end."""
        if not isinstance(event, JobEnded) or event.status is not JobStatus.SUCCESS:
            return
        attempt, observations = before.attempt, self._observations.get(before.server_id)
        if attempt is None or observations is None or attempt.accepted_at is None:
            return
        seen_s = self._now.since_s(observations.entered_at)
        whole_s = (self._now.wall - attempt.accepted_at).total_seconds()
        if abs(whole_s - seen_s) < 1.0 + 0.1 * seen_s:
            series = observations.series
            self.changes.record_change_duration(
                seen_s, shown=None if series is None else any(snapshot.changing for snapshot in series.snapshots)
            )
