"""Looks at members of groups: the newest counts, and each is read again before it is too old to count."""

from dataclasses import replace
from datetime import timedelta

from fleetos.engine.rollout.group_looks import GroupLooks
from fleetos.engine.turn import Turn
from fleetos.model.progress import Progress
from fleetos.model.states import TargetState
from fleetos.rules.groups import LOOK_EXPIRES
from fleetos.rules.observation import Observation
from fleetos.rules.polling import ReadServer, Sweep
from tests.support.builders import RUNNING, START, STOPPED, a_run, a_target
from tests.support.clocks import ManualClock

CLOCK = ManualClock(START)
IDS = [a_target(number).server_id for number in (1, 2, 3)]


def an_observation(age: timedelta = timedelta(), stopped: bool = False) -> Observation:
    requested = replace(CLOCK.moment(), wall=START - age)
    return Observation(STOPPED if stopped else RUNNING, requested, CLOCK.moment(), single=False)


def a_turn(after: timedelta = timedelta(), *, in_flight: int = 0) -> Turn:
    states = [TargetState.CHANGING] * in_flight + [TargetState.WAITING] * (3 - in_flight)
    targets = [a_target(number, state=state) for number, state in enumerate(states, 1)]
    return Turn(Progress(a_run(), targets), START + after)


def test_an_older_look_changes_nothing() -> None:
    looks = GroupLooks(START)
    assert looks.add(IDS[0], an_observation(stopped=True))
    assert not looks.add(IDS[0], an_observation(timedelta(seconds=1)))
    look = looks.find(IDS[0])
    assert look is not None
    assert look.snapshot == STOPPED
    assert looks.add(IDS[0], an_observation())


def test_a_look_from_a_time_that_has_not_come_is_from_before_the_clock_was_set_back() -> None:
    looks = GroupLooks(START + timedelta(hours=1))
    looks.add(IDS[0], replace(an_observation(-timedelta(hours=1)), received=replace(CLOCK.moment(), wall=START)))
    assert looks.add(IDS[0], an_observation(stopped=True))
    assert looks.are_due(START)
    assert looks.are_due(START + timedelta(hours=2))


def test_whoever_was_never_seen_is_read_and_whoever_is_in_flight_is_not() -> None:
    looks = GroupLooks(START)
    assert looks.plan_reads(a_turn(in_flight=1), IDS) == [Sweep(tuple(IDS[1:]))]
    assert looks.under_way
    looks.add(IDS[1], an_observation())
    looks.miss([IDS[0], IDS[2]])
    assert not looks.under_way


def test_a_look_is_repeated_when_half_of_its_time_is_over() -> None:
    looks = GroupLooks(START)
    for server_id in IDS:
        looks.add(server_id, an_observation())
    half = LOOK_EXPIRES / 2
    assert looks.plan_reads(a_turn(half - timedelta(seconds=1)), IDS) == []
    assert looks.again_at - START == max(half, half + timedelta(seconds=4))
    assert looks.plan_reads(a_turn(half), IDS) == [Sweep(tuple(IDS))]


def test_one_that_no_list_shows_is_read_alone() -> None:
    looks = GroupLooks(START)
    looks.plan_reads(a_turn(), IDS)
    looks.add(IDS[0], an_observation())
    looks.miss(IDS)
    assert looks.plan_reads(a_turn(), IDS) == [ReadServer(IDS[1]), ReadServer(IDS[2])]
