"""Writes on their way out: slots and permits, asked for at the moment of the submit."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fleetos.engine.facts import ServerRead
from fleetos.engine.performer import StartServers, StopServers, SubmitChange
from fleetos.engine.sender import Sender
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.limits import FRESH_READ_MAX_AGE_S
from fleetos.model.experience import NO_EXPERIENCE
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import ChangeIntended, RunMoved
from fleetos.model.plan import StopMode
from fleetos.model.progress import Progress
from fleetos.model.run import Outcome, Target
from fleetos.model.states import HOLDS_SLOT, Reason, RunState, TargetState
from fleetos.model.steering.rollout import UNSTEERED, GroupRule, Steering
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import DateTimes, Fit, WindowRule, Windows
from fleetos.rules.needs import ReadServerNeed, SubmitNeed
from fleetos.rules.observation import Observation
from tests.support.builders import RUNNING, SETTINGS, START, STOPPED, a_run, a_target, an_attempt
from tests.support.chance import SeededChance
from tests.support.clouds.small import SmallCloud
from tests.unit.engine.harness import EngineHarness, NoSecrets
from tests.unit.rules.contexts import moment, sight

S = TargetState


class SenderHarness:
    """A sender over targets of which each was just seen."""

    def __init__(
        self, *targets: Target, concurrency: int = 2, stop: StopMode = SETTINGS.stop, steering: Steering = UNSTEERED
    ) -> None:
        settings = replace(SETTINGS, concurrency=concurrency, stop=stop)
        self.progress = Progress(a_run(settings=settings, steering=steering), targets)
        self.books = Tracker(self.progress, SeededChance(1), moment(0), NO_EXPERIENCE, lambda servers: servers)
        self.cloud: SmallCloud = EngineHarness(len(targets)).cloud
        self.sender = Sender(self.books, self.cloud, NoSecrets(), lambda: "call-1")
        self.turn = Turn(self.progress, START)
        for target in targets:
            self.books.adopt(target.server_id)
            runs = target.state is S.STOPPING or stop is StopMode.API
            self.see(target, RUNNING if runs else STOPPED)

    def see(self, target: Target, picture: ServerSnapshot, at_s: float = 0.0) -> None:
        self.books.add_observation(self.turn, target.server_id, sight(at_s, picture))
        self.books.evaluate(self.turn, target.server_id)

    def serve(self, at_s: float = 0.0) -> list[str]:
        """What leaves in a turn at that second."""
        self.books.begin_turn(moment(at_s))
        return list(_named(self.sender.prepare_writes(self.turn, moment(at_s))))

    def states(self) -> list[TargetState]:
        return [self.turn.target(server_id).state for server_id in self.progress.targets]


def _named(writes: Iterable[SubmitChange | StopServers | StartServers]) -> Iterable[str]:
    for write in writes:
        match write:
            case SubmitChange():
                yield f"change {write.server_id}"
            case StopServers():
                yield f"stop {','.join(write.server_ids)}"
            case StartServers():
                yield f"start {','.join(write.server_ids)}"


def ready(number: int) -> Target:
    return a_target(number, state=S.READY)


def busy(number: int, state: TargetState = S.CHANGING) -> Target:
    return a_target(number, state=state, attempts=(an_attempt(accepted_at=START, job_id=f"job-{number}"),))


def test_no_more_are_submitted_than_slots_are_free() -> None:
    out = SenderHarness(*map(ready, range(1, 5)))
    assert out.serve() == ["change server-0001", "change server-0002"]
    assert out.states() == [S.SUBMITTING, S.SUBMITTING, S.READY, S.READY]
    assert out.turn.slots_taken == 2
    assert out.serve() == []


@pytest.mark.parametrize("state", sorted(HOLDS_SLOT))
def test_without_a_free_slot_nothing_is_submitted_and_no_permit_is_taken(state: TargetState) -> None:
    out = SenderHarness(ready(1), busy(2, state), busy(3, state))
    out.cloud.permits = 1
    assert out.serve() == []
    assert out.cloud.permits == 1
    assert not out.sender.waits_for_permit
    assert out.books.agenda.writes == {SubmitNeed(): {"server-0001": None}}


def test_who_waits_for_a_slot_is_submitted_when_one_is_given_back() -> None:
    out = SenderHarness(ready(1), busy(2), busy(3))
    assert out.serve() == []
    out.progress.update_targets(out.progress.run, [replace(busy(2), state=S.VERIFYING)])
    out.turn = Turn(out.progress, START)
    assert out.serve(FRESH_READ_MAX_AGE_S - 1) == ["change server-0001"]


def test_who_waited_too_long_for_a_slot_is_looked_at_again_before_it_is_submitted() -> None:
    out = SenderHarness(ready(1))
    assert out.serve(FRESH_READ_MAX_AGE_S) == []
    assert out.states() == [S.READY]
    looks = [need for _, need in out.books.agenda.take_due(moment(FRESH_READ_MAX_AGE_S).elapsed_s, 0.0)]
    assert looks == [ReadServerNeed(moment(FRESH_READ_MAX_AGE_S).elapsed_s)]
    out.see(out.turn.target("server-0001"), STOPPED, FRESH_READ_MAX_AGE_S)
    assert out.serve(FRESH_READ_MAX_AGE_S + 1) == ["change server-0001"]


def test_who_was_started_while_it_waited_for_a_slot_is_not_submitted() -> None:
    out = SenderHarness(ready(1), busy(2), busy(3), concurrency=2)
    assert out.serve() == []
    out.books.add_observation(out.turn, "server-0001", sight(30, RUNNING))
    out.books.begin_turn(moment(30))
    out.books.evaluate(out.turn, "server-0001")
    assert out.states()[0] is S.CHECKING
    assert out.books.agenda.writes == {}


def test_a_stop_needs_no_slot() -> None:
    out = SenderHarness(a_target(1, state=S.STOPPING), busy(2), busy(3))
    assert out.serve() == ["stop server-0001"]


def test_an_abort_before_the_submit_is_heard_by_it() -> None:
    out = SenderHarness(ready(1), a_target(2, state=S.STOPPING))
    out.books.write_event(out.turn, RunMoved(RunState.FINISHING, Reason.ABORTED))
    assert out.serve() == []
    assert out.states() == [S.CANCELLED, S.CANCELLED]
    assert not any(isinstance(event, ChangeIntended) for event in out.turn.events)


def test_who_lies_stopped_ahead_of_a_slot_is_started_again_by_an_abort() -> None:
    ahead = [replace(ready(number), stopped_at=START) for number in (1, 2)]
    out = SenderHarness(*ahead, busy(3), busy(4))
    out.books.write_event(out.turn, RunMoved(RunState.FINISHING, Reason.ABORTED))
    for server_id in tuple(out.books.dirty):
        out.books.evaluate(out.turn, server_id)
    assert out.states()[:2] == [S.RESTORING, S.RESTORING]
    assert not any(name.startswith("change") for name in out.serve())


def test_only_who_waits_for_a_permit_and_nothing_else_is_starved() -> None:
    out = SenderHarness(ready(1), a_target(2, state=S.STOPPING))
    out.cloud.permits = 0
    assert out.serve() == []
    assert out.sender.waits_for_permit
    out.cloud.permits = 2
    assert out.serve() == ["change server-0001", "stop server-0002"]
    assert not out.sender.waits_for_permit


# --- who is kept from its change although its turn is not taken back ------------------------------------------------

FAILED = an_attempt(accepted_at=START, outcome=Outcome.FAILED, ended_at=START)
NO_EFFECT = an_attempt(outcome=Outcome.NO_EFFECT, ended_at=START)
FIVE_SECONDS = WindowRule(DateTimes(f"{START:%Y-%m-%dT%H:%M:%SZ}", f"{moment(5).wall:%Y-%m-%dT%H:%M:%SZ}"), None)
WINDOW = Steering(windows=Windows((FIVE_SECONDS,), fit=Fit(None, None), retries="wait"))
PAIR = Steering(groups=(GroupRule("all", Share(1)),))


def look(out: SenderHarness, number: int, seen: Observation) -> None:
    out.books.rollout.add_look(out.turn, ServerRead(f"server-{number:04}", seen))


def test_a_retry_that_a_window_makes_wait_is_not_sent_once_the_window_has_closed() -> None:
    out = SenderHarness(*(replace(ready(number), attempts=(FAILED,)) for number in (1, 2)), steering=WINDOW)
    out.cloud.permits = 1
    assert out.serve(4) == ["change server-0001"]
    out.cloud.permits = 1
    assert out.serve(6) == []
    assert out.states() == [S.SUBMITTING, S.READY]
    assert out.cloud.permits == 1


def test_nothing_is_sent_while_the_clocks_differ_although_turns_are_not_taken_back_at_once() -> None:
    out = SenderHarness(ready(1), steering=Steering(not_before=START))
    look(out, 1, replace(sight(0, STOPPED), cloud_time=moment(86_400).wall))
    assert out.serve() == []
    assert out.states() == [S.READY]
    look(out, 1, replace(sight(1, STOPPED), cloud_time=moment(1).wall))
    assert out.serve(1) == ["change server-0001"]


def test_who_was_sent_a_change_before_is_not_sent_the_next_while_its_group_has_no_room() -> None:
    again = replace(ready(1), attempts=(NO_EFFECT,))
    out = SenderHarness(again, a_target(2), stop=StopMode.API, steering=PAIR)
    look(out, 2, sight(0, STOPPED))
    assert out.serve() == []
    assert out.states()[0] is S.READY
    look(out, 2, sight(1, RUNNING))
    assert out.serve(1) == ["change server-0001"]


def test_nobody_is_stopped_while_the_clocks_differ_or_the_group_has_no_room() -> None:
    fresh = a_target(1, state=S.STOPPING)
    off = SenderHarness(fresh, steering=Steering(not_before=START))
    look(off, 1, replace(sight(0, RUNNING), cloud_time=moment(86_400).wall))
    full = SenderHarness(replace(fresh, attempts=(NO_EFFECT,)), a_target(2), steering=PAIR)
    look(full, 2, sight(0, STOPPED))
    for out, number in ((off, 1), (full, 2)):
        assert out.serve() == []
        assert out.states()[0] is S.STOPPING
        look(out, number, replace(sight(1, RUNNING), cloud_time=moment(1).wall))
        assert out.serve(1) == ["stop server-0001"]


def test_a_group_is_looked_at_again_for_those_that_it_keeps_from_their_change_and_not_for_asking() -> None:
    again = replace(ready(1), attempts=(NO_EFFECT,))
    out = SenderHarness(again, a_target(2), stop=StopMode.API, steering=PAIR)
    rollout = out.books.rollout
    look(out, 2, sight(0, STOPPED))
    assert rollout.why_kept(out.turn.run, again, START) is not None
    assert rollout.next_check_at(out.turn.run) is None
    assert out.serve() == []
    assert rollout.next_check_at(out.turn.run) is not None
    look(out, 2, sight(1, RUNNING))
    assert not out.books.hold_back(out.turn, again.server_id)
    assert rollout.next_check_at(out.turn.run) is None
