"""The index of waiting targets admits whom a plain loop over all of them admits."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.run import Outcome, Target
from fleetos.model.states import QUEUED, RunState, TargetState
from fleetos.model.steering.rollout import GroupRule, Steering
from fleetos.model.steering.share import Share
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import Windows
from fleetos.rules.admission.lanes import Lanes, find_place
from fleetos.rules.admission.pass_facts import Point, Standing
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.rules.admission.why_not import takes_slot, why_not
from fleetos.rules.groups import Groups, Look
from fleetos.rules.windows import Window
from tests.support.builders import RUNNING, SETTINGS, START, STOPPED, a_run, a_target, an_attempt
from tests.support.seeded_examples import examples

S = TargetState
RULES = (GroupRule("az", Share(2)), GroupRule("label:pair", Share(1)), GroupRule("all", Share(60, percent=True)))
FAILED = an_attempt(outcome=Outcome.FAILED, accepted_at=START)


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def window(*minutes: int, denied: tuple[int, ...] = (), unreadable: str | None = None) -> Window:
    """Window that is open between each two of the minutes."""

    def times(bounds: tuple[int, ...]) -> Times:
        return Times.of((minute(begin), minute(end)) for begin, end in zip(bounds[::2], bounds[1::2], strict=True))

    return Window.of([times(minutes)], [times(denied)], unreadable)


WINDOWS = (window(0, 100), window(3, 6, 8, 11), window(0, 100, denied=(2, 5)), window(0, 100, unreadable="a.ics"))


def plain_loop(targets: Iterable[Target], standing: Standing) -> list[str]:
    """Ask every waiting target in the order of the queue, until one waits for a slot or for the pace."""
    admitted: list[str] = []
    waiting = [target for target in targets if target.state in QUEUED]
    for target in sorted(waiting, key=lambda target: find_place(target, standing)):
        reason = why_not(target, standing, Point.ADMIT)
        if reason is None:
            admitted.append(target.server_id)
            standing.admit(target, takes_slot=takes_slot(target))
        elif reason.reason in (WaitReason.CONCURRENCY, WaitReason.PACE):
            break
    return admitted


class Fleet:
    """Targets that wait, are changed and end, with the looks at their servers."""

    def __init__(self, targets: list[Target], window_of: dict[str, int], retries: str) -> None:
        self.targets = {target.server_id: target for target in targets}
        self.looks = {target.server_id: Look(RUNNING, START) for target in targets}
        self.window_of = window_of
        self.steering = Steering(windows=Windows(retries="finish" if retries == "finish" else "wait"))
        self.opened = 0
        self.groups = self.fresh_groups()
        self.lanes = Lanes()

    def fresh_groups(self) -> Groups:
        groups = Groups.of(RULES, self.targets.values())
        for target in self.targets.values():
            groups.update(target, self.looks[target.server_id])
        return groups

    def standing(self, now: datetime, groups: Groups, places: int, state: RunState = RunState.RUNNING) -> Standing:
        unfinished = any(not one.ended for one in self.targets.values() if one.wave and one.wave <= self.opened)
        return Standing(
            a_run(settings=replace(SETTINGS, concurrency=4), state=state),
            now,
            self.steering,
            opened=self.opened,
            next_wave=Waiting(WaitReason.WAVE, "unfinished") if unfinished else None,
            windows=WINDOWS,
            window_of=self.window_of,
            kind_of=lambda target: target.flavor or "",
            need_s=lambda kind, point: 150.0 if kind == "slow" else 30.0,
            groups=groups,
            places=places,
            free=max(0, places),
        )

    def change(self, target: Target, now: datetime, standing: Standing) -> None:
        """Take over a target, in the index too."""
        self.targets[target.server_id] = target
        self.groups.update(target, self.looks[target.server_id])
        if target.state in QUEUED:
            self.lanes.add_target(target, standing)
        else:
            self.lanes.discard(target.server_id)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    # Few differences at a time, so that many targets share a lane.
    waves = draw(st.sampled_from([(0,), (1,), (1, 2), (1, 2, 3)]))
    windows = draw(st.sampled_from([(0,), (1,), (0, 1), (0, 2), (0, 3), (1, 2)]))
    flavors = draw(st.sampled_from([("fast",), ("slow", "fast")]))
    pairs: list[dict[str, str]] = draw(st.sampled_from([[{}], [{}, {"pair": "a"}, {"pair": "b"}]]))
    targets: list[Target] = []
    for number in range(draw(st.integers(1, 14))):
        tried = draw(st.sampled_from([False, False, True]))
        target = a_target(
            number,
            az=draw(st.sampled_from(["az-1", "az-2"])),
            flavor=draw(st.sampled_from(flavors)),
            labels=draw(st.sampled_from(pairs)),
            wave=draw(st.sampled_from(waves)),
            attempts=(FAILED,) if tried else (),
            state=draw(st.sampled_from([S.WAITING, S.BACKOFF])) if tried else S.WAITING,
        )
        if target.state is S.BACKOFF:
            target = replace(target, not_before=minute(draw(st.integers(0, 10))))
        targets.append(target)
    window_of = {target.server_id: draw(st.sampled_from(windows)) for target in targets}
    return Fleet(targets, window_of, draw(st.sampled_from(["finish", "wait"])))


@examples(60)
@given(fleets(), st.data())
def test_the_index_admits_as_a_plain_loop(fleet: Fleet, data: st.DataObject) -> None:
    now = START
    standing = fleet.standing(now, fleet.groups, 0)
    for target in fleet.targets.values():
        fleet.change(target, now, standing)
    for _ in range(data.draw(st.integers(1, 8))):
        now += timedelta(minutes=data.draw(st.integers(0, 4)))
        places = data.draw(st.sampled_from([-1, 0, 1, 2, 5, 9]))
        state = data.draw(st.sampled_from([RunState.RUNNING] * 4 + [RunState.PAUSED]))
        expected = plain_loop(fleet.targets.values(), fleet.standing(now, fleet.fresh_groups(), places, state))
        standing = fleet.standing(now, fleet.groups, places, state)
        admitted = fleet.lanes.admit(fleet.targets.__getitem__, standing)
        assert [target.server_id for target in admitted] == expected
        fleet.opened = standing.opened
        for target in admitted:
            fleet.change(replace(target, state=S.CHECKING, since=now), now, standing)
        for server_id in data.draw(st.lists(st.sampled_from(sorted(fleet.targets)), max_size=6, unique=True)):
            target = fleet.targets[server_id]
            serves = data.draw(st.booleans())
            fleet.looks[server_id] = Look(RUNNING if serves else STOPPED, now)
            if target.state is S.CHECKING:
                end = data.draw(st.sampled_from([S.DONE, S.HELD, S.BACKOFF, S.WAITING]))
                later = now + timedelta(minutes=data.draw(st.integers(0, 3))) if end is S.BACKOFF else None
                attempts = (FAILED,) if end in (S.HELD, S.BACKOFF) else target.attempts
                target = replace(target, state=end, since=now, not_before=later, attempts=attempts)
            fleet.change(target, now, standing)


def test_targets_are_admitted_by_wave_then_out_already_then_retries_then_plan_order() -> None:
    targets = [
        a_target(1, wave=2, az="az-1"),
        a_target(2, wave=1, az="az-1"),
        a_target(3, wave=1, az="az-2", attempts=(FAILED,), state=S.BACKOFF, not_before=START, since=START),
        a_target(4, wave=1, az="az-2"),
        a_target(5, wave=1, az="az-1"),
    ]
    targets = [replace(target, labels={}) for target in targets]
    fleet = Fleet(targets, {}, "finish")
    fleet.looks["server-0005"] = Look(STOPPED, START)
    fleet.groups.update(targets[4], fleet.looks["server-0005"])
    standing = fleet.standing(START, fleet.groups, 9)
    for target in targets:
        fleet.lanes.add_target(target, standing)
    admitted = [target.position for target in fleet.lanes.admit(fleet.targets.__getitem__, standing)]
    assert admitted == [5, 3, 2]


def test_the_index_says_when_the_earliest_wait_ends() -> None:
    fleet = Fleet([a_target(1), a_target(2)], {"server-0001": 1, "server-0002": 0}, "wait")
    late = replace(a_target(2), state=S.BACKOFF, not_before=minute(30), attempts=(FAILED,))
    fleet.targets["server-0002"] = late
    standing = fleet.standing(START, Groups(), 9)
    for target in fleet.targets.values():
        fleet.lanes.add_target(target, standing)
    assert fleet.lanes.admit(fleet.targets.__getitem__, standing) == []
    assert fleet.lanes.wakes_at == minute(3)


def test_a_group_of_a_label_parks_its_targets_alone() -> None:
    targets = [a_target(number, labels={"pair": f"p{number % 2}"}) for number in range(1, 9)]
    fleet = Fleet(targets, {}, "finish")
    fleet.groups = Groups.of([GroupRule("label:pair", Share(1))], targets)
    for target in targets:
        fleet.groups.update(target, fleet.looks[target.server_id])
    standing = fleet.standing(START, fleet.groups, 9)
    for target in targets:
        fleet.lanes.add_target(target, standing)
    admitted = fleet.lanes.admit(fleet.targets.__getitem__, standing)
    assert [target.position for target in admitted] == [1, 2]
    done = replace(admitted[0], state=S.DONE, since=START)
    fleet.groups.update(done, Look(RUNNING, START))
    again = fleet.lanes.admit(fleet.targets.__getitem__, fleet.standing(START, fleet.groups, 9))
    assert [target.position for target in again] == [3]


def test_waits_of_one_lane_end_together() -> None:
    fleet = Fleet(
        [a_target(number) for number in range(1, 4)], dict.fromkeys(["server-0001", "server-0002"], 1), "wait"
    )
    standing = fleet.standing(START, Groups(), 9)
    for target in fleet.targets.values():
        fleet.lanes.add_target(target, standing)

    def admit(number: float) -> list[int]:
        admitted = fleet.lanes.admit(fleet.targets.__getitem__, fleet.standing(minute(number), Groups(), 9))
        return [target.position for target in admitted]

    assert admit(0) == [3]
    assert admit(2.99) == []
    assert admit(3) == [1, 2]


def test_who_may_finish_is_not_held_up_by_who_waits_for_the_window() -> None:
    down, tried = a_target(1, az="az-1", labels={}), a_target(2, az="az-1", labels={}, attempts=(FAILED,))
    others = [a_target(number, state=S.DONE, labels={}) for number in (3, 4)]
    fleet = Fleet([down, tried, *others], {"server-0001": 1, "server-0002": 1}, "finish")
    fleet.looks["server-0001"] = Look(STOPPED, START)
    fleet.groups.update(down, fleet.looks["server-0001"])
    standing = fleet.standing(START, fleet.groups, 9)
    fleet.lanes.add_target(down, standing)
    fleet.lanes.add_target(tried, standing)
    assert [target.position for target in fleet.lanes.admit(fleet.targets.__getitem__, standing)] == [2]
