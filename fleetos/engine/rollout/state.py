"""Rollout of the run: who waits, which wave and window is open, who is out, how many failed. Rebuilt after a crash."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from fleetos.engine.change_tracker import ChangeTracker
from fleetos.engine.facts import CalendarRead, ServerRead
from fleetos.engine.rollout.clock_check import ClockCheck
from fleetos.engine.rollout.group_looks import GroupLooks
from fleetos.engine.rollout.needs import ChangeNeeds
from fleetos.engine.rollout.window_times import WindowTimes
from fleetos.engine.turn import Turn
from fleetos.model.journal.events import RunWaveFinished, RunWaveOpened
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import QUEUED, RunState, TargetState
from fleetos.rules.admission.lanes import Lanes
from fleetos.rules.admission.pass_facts import Point, RolloutFacts, Standing
from fleetos.rules.admission.slots import Slots
from fleetos.rules.admission.wait_reasons import ENDED_BY_TIME_OR_PEOPLE, Waiting, WaitReason
from fleetos.rules.admission.why_not import why_closed, why_not
from fleetos.rules.budgets import Failures
from fleetos.rules.groups import LOOK_EXPIRES, Groups
from fleetos.rules.polling import DueRead
from fleetos.rules.waves import find_last_bake_end, find_next_wait, wait_for_bake, wave_facts

# A calendar that cannot be read, or a clock that is off, takes nobody's turn back before it has lasted for so long.
TROUBLE_LASTS = timedelta(minutes=5)
_TROUBLES = frozenset({WaitReason.CLOCK, WaitReason.CALENDAR})
# Reasons for which a target waits where it is: its turn is not taken back.
_KEEPS_TURN = frozenset({WaitReason.ABORTED, WaitReason.PAUSED, WaitReason.CONCURRENCY, WaitReason.PACE})
# Waits for which the members of groups must have been seen lately.
_ASK_LOOKS = frozenset({WaitReason.UNAVAILABLE, WaitReason.UNSEEN, WaitReason.CONCURRENCY, WaitReason.PACE})
# Waits without a known end that leave a run stuck once nothing is in flight.
_IN_VAIN = frozenset({WaitReason.UNAVAILABLE, WaitReason.WINDOW, WaitReason.FIT})
STUCK_LASTS_S = LOOK_EXPIRES.total_seconds()
_NEVER = datetime.max.replace(tzinfo=UTC)


class RolloutState:
    """Index of all that decides who goes on. Kept in O(1) for each target that changes."""

    def __init__(self, progress: Progress, changes: ChangeTracker, now: datetime) -> None:
        targets, steering = progress.targets.values(), progress.run.steering
        self.lanes = Lanes()
        self.groups = Groups.of(steering.groups, targets)
        self.failures = Failures.of(progress.run, targets)
        self._progress = progress
        self._needs = ChangeNeeds(progress.run, changes)
        self._windows = WindowTimes(steering.windows, targets, now)
        self._timed = steering.windows is not None or steering.not_before is not None
        self._steered = bool(steering.groups) or self._timed
        self._grouped = bool(steering.groups)
        self._ended = Counter(target.wave for target in targets if target.ended)
        self._looks = GroupLooks(now)
        self._kept_by_group: set[str] = set()
        self._clock = ClockCheck()
        self._trouble_since: datetime | None = None
        self._checked_until: datetime | None = None
        self._stuck_since: datetime | None = None
        if self._grouped:
            for target in targets:
                self.groups.update(target, None)
        standing = self.standing(progress.run, now)
        for target in targets:
            if target.state in QUEUED:
                self.lanes.add_target(target, standing)

    def standing(self, run: Run, now: datetime, slots: Slots | None = None) -> Standing:
        """Return all that admission looks at. `slots` None: nobody is kept back for want of a slot."""
        concurrency = run.settings.concurrency
        return Standing(
            run,
            now,
            run.steering,
            opened=run.waves_opened,
            next_wave=find_next_wait(run.steering.waves, run.waves_opened, wave_facts(run, self._ended), now),
            windows=self._windows.windows,
            window_of=self._windows.window_of,
            clock_off=self._clock.off,
            kind_of=self._needs.kind_of,
            need_s=self._needs.need_s,
            groups=self.groups,
            places=1 if slots is None else slots.available(concurrency),
            free=1 if slots is None else concurrency - slots.taken,
            ahead=0 if slots is None else slots.ahead,
        )

    def facts(self, run: Run, now: datetime) -> RolloutFacts:
        """Return what people are shown of the rollout."""
        return RolloutFacts(self.standing(run, now), self.failures, self._ended)

    def why_closed(self, target: Target, now: datetime) -> Waiting | None:
        """Return what keeps a write for the target from being sent at this very moment, None if nothing does."""
        if not self._timed:
            return None
        return why_closed(target, self.standing(self._progress.run, now))

    def why_kept(self, run: Run, target: Target, now: datetime) -> Waiting | None:
        """Return what keeps an admitted target from its first effect, or from its change; None if nothing does."""
        if not self._steered or target.state not in (TargetState.CHECKING, TargetState.STOPPING, TargetState.READY):
            return None
        begun, standing = bool(target.calls) or target.stopped_at is not None, self.standing(run, now)
        if begun and target.state is not TargetState.READY and not target.recallable:
            # It goes on with what has begun, and is asked once more before its change.
            return None
        points = (
            *(() if begun else (Point.EFFECT,)),
            *((Point.SUBMIT,) if begun or target.state is TargetState.READY else ()),
        )
        waits = (why_not(target, standing, point) for point in points)
        return next((wait for wait in waits if wait is not None and wait.reason not in _KEEPS_TURN), None)

    def note_kept(self, server_id: str, waiting: Waiting | None) -> None:
        """Note what keeps an admitted target where it is: the members of a group that does are looked at again."""
        if waiting is not None and waiting.group is not None:
            self._kept_by_group.add(server_id)
        else:
            self._kept_by_group.discard(server_id)

    def takes_back(self, run: Run, target: Target, now: datetime) -> bool:
        """Return whether the turn of an admitted target is taken back."""
        waiting = self.why_kept(run, target, now) if target.recallable else None
        if waiting is None or waiting.reason not in _TROUBLES:
            return waiting is not None
        return self._trouble_since is not None and now - self._trouble_since >= TROUBLE_LASTS

    def must_check(self, now: datetime) -> bool:
        """Return whether the admitted targets are to be asked once more whether they may go on."""
        if not self._steered:
            return False
        self._windows.renew(now)
        self._note_trouble(now)
        due = self._checked_until is None or now >= self._checked_until
        if due:
            ends = [self._windows.next_change_at(now)]
            if self._trouble_since is not None and now - self._trouble_since < TROUBLE_LASTS:
                ends.append(self._trouble_since + TROUBLE_LASTS)
            self._checked_until = min(
                (end for end in ends if end is not None), default=datetime.max.replace(tzinfo=now.tzinfo)
            )
        return due

    def _note_trouble(self, now: datetime) -> None:
        trouble = self._clock.off is not None or any(window.unreadable for window in self._windows.windows)
        if trouble != (self._trouble_since is not None):
            self._trouble_since = now if trouble else None
            self._checked_until = None

    def next_check_at(self, run: Run) -> datetime | None:
        """Return when a window changes, or the members of groups are to be looked at again; None: never."""
        if not self._steered or run.state is not RunState.RUNNING:
            return None
        looks_at = self._looks.again_at if self._wants_looks() else None
        return min((at for at in (self._checked_until, looks_at) if at is not None), default=None)

    @property
    def calendar_files(self) -> tuple[str, ...]:
        """Calendar files that deny times, which are read again and again."""
        return self._windows.files

    def take_calendar(self, fact: CalendarRead, now: datetime) -> None:
        """Take over the content of a calendar file."""
        if self._windows.take_calendar(fact.path, fact.text, now):
            self._checked_until = None
            self.lanes.touch()

    def add_look(self, turn: Turn, fact: ServerRead) -> None:
        """Take over a look at a server, and the time that the cloud named with it."""
        observation, server_id = fact.observation, fact.server_id
        self._clock.add(observation)
        if self._grouped and self._looks.add(server_id, observation):
            self._update_groups(turn.run, turn.target(server_id), turn.at)

    def miss_looks(self, server_ids: Iterable[str]) -> None:
        """Note that a read of these servers said nothing of them."""
        self._looks.miss(server_ids)

    def _wants_looks(self) -> bool:
        """Return whether somebody would go on but for a group, or for a slot, and no look is under way."""
        if not self._grouped or self._looks.under_way:
            return False
        return bool(self._kept_by_group) or not _ASK_LOOKS.isdisjoint(self.lanes.waits.keys())

    def plan_looks(self, turn: Turn) -> Sequence[DueRead]:
        """Return the reads that those who wait need, although nobody else reads these servers."""
        asks_clock = WaitReason.CLOCK in self.lanes.waits and turn.run.state is RunState.RUNNING and not turn.in_flight
        clock_reads = self._clock.plan_reads(turn.at, self._progress.targets) if asks_clock else ()
        return [*clock_reads, *self._plan_group_looks(turn)]

    def _plan_group_looks(self, turn: Turn) -> Sequence[DueRead]:
        """Return the reads of members of groups whose last look will soon be too old, while anybody waits for them."""
        if not self._wants_looks() or turn.run.state is not RunState.RUNNING or not self._looks.are_due(turn.at):
            return ()
        return self._looks.plan_reads(turn, self._progress.targets)

    def find_stuck(self, turn: Turn) -> Waiting | None:
        """Return what a run waits for in vain: nothing is in flight, and no time ends it. None while there is hope.

        A server that is out may come back by itself, so that this must last for a while.
        """
        self._stuck_since = self._stuck_since or turn.at if self._waits_in_vain(turn) else None
        lasts = turn.run.settings.settle_s if turn.run.settings.loopback else STUCK_LASTS_S
        if self._stuck_since is None or (turn.at - self._stuck_since).total_seconds() < lasts:
            return None
        return next(wait for reason, wait in self.lanes.waits.items() if reason is not WaitReason.WAVE)

    def _waits_in_vain(self, turn: Turn) -> bool:
        """Return whether the last pass met nothing but waits that only people, or other servers, end."""
        lanes = self.lanes
        if turn.run.state is not RunState.RUNNING or turn.in_flight or lanes.wakes_at is not None:
            return False
        reasons = lanes.waits.keys() - {WaitReason.WAVE}
        return bool(reasons) and reasons <= _IN_VAIN

    def find_rest(self, turn: Turn) -> Waiting | None:
        """Return the wait that ends first, if nothing is in flight and only time or people end all waits; else None.

        A retry that only waits for its backoff keeps the driver: a failed change may have left its server broken.
        """
        run, next_pass_at = turn.run, self.lanes.next_pass_at()
        if run.state is not RunState.RUNNING or turn.in_flight or self._waits_in_vain(turn):
            return None
        if next_pass_at is not None and next_pass_at <= turn.at:
            return None
        waits = [*self.lanes.waits.values(), *self._waits_of_retries(turn)]
        baked_at = None if turn.under_way else self.bakes_until(run, turn.at)
        if baked_at is not None:
            waits.append(wait_for_bake(run.waves_opened, baked_at))
        if any(waiting.reason not in ENDED_BY_TIME_OR_PEOPLE for waiting in waits):
            return None
        return min(waits, key=lambda waiting: waiting.ends_at or _NEVER, default=None)

    def _waits_of_retries(self, turn: Turn) -> Iterator[Waiting]:
        """Yield what keeps those from their next attempt whose last one failed: the last pass did not ask for them."""
        standing = self.standing(turn.run, turn.at)
        for target in map(turn.target, self._progress.targets if turn.retries else ()):
            waiting = why_not(target, standing, Point.ADMIT) if target.state is TargetState.BACKOFF else None
            if waiting is not None:
                yield waiting

    def _update_groups(self, run: Run, target: Target, now: datetime) -> None:
        was_out = self.groups.is_out(target.server_id)
        self.groups.update(target, self._looks.find(target.server_id))
        if target.state in QUEUED and was_out != self.groups.is_out(target.server_id):
            self.lanes.add_target(target, self.standing(run, now))

    def update(self, run: Run, before: Target, after: Target, now: datetime) -> None:
        """Take over a target that has changed."""
        self._kept_by_group.discard(after.server_id)
        self.failures.update(after)
        self._ended[after.wave] += after.ended - before.ended
        if self._grouped:
            self.groups.update(after, self._looks.find(after.server_id))
        if after.state in QUEUED:
            self.lanes.add_target(after, self.standing(run, now))
        elif before.state in QUEUED:
            self.lanes.discard(after.server_id)

    def forgive(self, target: Target) -> None:
        """Take over a target whose failure was forgiven."""
        self.failures.update(target)

    def admit(self, run: Run, target: Callable[[str], Target], slots: Slots, now: datetime) -> list[Target]:
        """Return the targets that may start now."""
        return self.lanes.admit(target, self.standing(run, now, slots))

    def wave_events(self, turn: Turn) -> Iterator[RunWaveOpened | RunWaveFinished]:
        """Yield that a wave has finished, and that one has opened of which all members have ended already.

        Each event is to be written before the next one is asked for.
        """
        if not turn.run.steering.waves or turn.run.state not in (RunState.RUNNING, RunState.PAUSED):
            return
        if turn.run.wave_finished_at is None and self._is_finished(turn, turn.run.waves_opened):
            yield self._finish(turn)
        while turn.under_way and turn.run.state is RunState.RUNNING and self._passes_over(turn):
            yield RunWaveOpened(turn.run.waves_opened + 1)
            yield self._finish(turn)

    def _finish(self, turn: Turn) -> RunWaveFinished:
        self.lanes.touch()
        return RunWaveFinished(turn.run.waves_opened)

    def _passes_over(self, turn: Turn) -> bool:
        """Return whether the next wave may open, and nobody is left in it who could open it."""
        run, number = turn.run, turn.run.waves_opened + 1
        if number > len(run.steering.waves) or not self._is_finished(turn, number):
            return False
        return find_next_wait(run.steering.waves, run.waves_opened, wave_facts(run, self._ended), turn.at) is None

    def _is_finished(self, turn: Turn, number: int) -> bool:
        return number > 0 and self._ended[number] >= turn.run.steering.waves[number - 1].members

    def bakes_until(self, run: Run, now: datetime) -> datetime | None:
        """Return the end of the last bake, which the run waits for; None if it is over, or there is none."""
        end = find_last_bake_end(run)
        return None if end is None or end <= now else end
