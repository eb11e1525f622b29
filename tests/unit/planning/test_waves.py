"""Which member is in which wave, and in which order."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.plan import SourcePosition
from fleetos.model.run import Target
from fleetos.model.steering.match import ANY_SERVER, Match
from fleetos.model.steering.rollout import BetweenWaves, SteeringPlan, WaveEntry
from fleetos.model.steering.share import Share
from fleetos.planning.waves import WAVES_MAX, WavePlan, kinds_without_canary, order_members, plan_waves
from tests.support.builders import RUNNING, STOPPED, a_target

ALL = Share(100, percent=True)


def place(key: str) -> SourcePosition:
    return SourcePosition("plan.yaml", 1, 1, key)


def entry(*sizes: Share, match: Match = ANY_SERVER, repeats: bool = False, index: int = 0) -> WaveEntry:
    return WaveEntry(None, match, sizes, BetweenWaves(), repeats, index)


def bare(*sizes: Share) -> tuple[WaveEntry, ...]:
    last = len(sizes) - 1
    return tuple(entry(size, repeats=index == last, index=index) for index, size in enumerate(sizes))


def plan(waves: tuple[WaveEntry, ...], members: list[Target], per_wave: Share | None = None) -> WavePlan:
    return plan_waves(SteeringPlan(waves=waves, order=("listed",), max_failed_per_wave=per_wave), members, place)


def fleet(number: int, **changes: object) -> list[Target]:
    return [a_target(index, **changes) for index in range(number)]


def sizes(plan: WavePlan) -> list[int]:
    return [wave.members for wave in plan.waves]


def test_bare_sizes_and_the_last_repeats() -> None:
    assert sizes(plan(bare(Share(1), Share(5)), fleet(13))) == [1, 5, 5, 2]
    assert sizes(plan(bare(Share(1), Share(25, percent=True)), fleet(40))) == [1, 10, 10, 10, 9]
    assert sizes(plan(bare(Share(1), Share(5), Share(25, percent=True), ALL), fleet(600))) == [1, 5, 150, 444]


def test_a_percentage_rounds_down_but_never_to_none() -> None:
    assert sizes(plan(bare(Share(1, percent=True)), fleet(3))) == [1, 1, 1]
    assert sizes(plan(bare(Share(50, percent=True)), fleet(3))) == [1, 1, 1]


def test_entries_take_from_what_is_left_of_what_they_match() -> None:
    web, app = Match(labels=(("tier", ("web",)),)), Match(labels=(("tier", ("app",)),))
    members = [a_target(number, labels={"tier": "web" if number < 40 else "app"}) for number in range(50)]
    waves = (
        entry(Share(1), match=web, index=0),
        entry(Share(25, percent=True), ALL, match=web, index=1),
        entry(Share(2), ALL, match=app, index=2),
    )
    made = plan(waves, members)
    assert sizes(made) == [1, 10, 29, 2, 8]
    assert Counter(member.wave for member in made.members) == {1: 1, 2: 10, 3: 29, 4: 2, 5: 8}
    assert [member.wave for member in made.members] == sorted(member.wave for member in made.members)
    assert made.problems == ()


def test_a_budget_of_a_wave_is_5_percent_where_the_plan_does_not_say_it() -> None:
    made = plan(bare(Share(19), Share(40)), fleet(59))
    assert [wave.max_failed for wave in made.waves] == [0, 2]
    made = plan(bare(Share(10)), fleet(10), Share(0))
    assert [wave.max_failed for wave in made.waves] == [0]


def test_members_in_no_wave_and_entries_without_members_are_refused_together() -> None:
    az_1, az_2 = Match(az=("az-1",)), Match(az=("az-2",))
    members = [*fleet(3, az="az-1"), a_target(9, az="az-3")]
    made = plan(
        (entry(ALL, match=az_1), entry(ALL, match=az_2, index=1), entry(Share(1), match=az_1, index=2)), members
    )
    assert [(problem.key, problem.text) for problem in made.problems] == [
        ("rollout.waves[1]", "the entry matches no server that the run changes"),
        ("rollout.waves[2]", "the entry matches only servers of earlier waves that the run changes"),
        ("rollout.waves", "no wave takes web-0009"),
    ]


def test_waves_are_bounded() -> None:
    (problem,) = plan(bare(Share(1)), fleet(WAVES_MAX + 1)).problems
    assert "more than 1,000 waves" in problem.text
    assert plan(bare(Share(1)), fleet(WAVES_MAX)).problems == ()


@given(
    st.lists(st.sampled_from(["az-1", "az-2"]), min_size=1, max_size=60),
    st.lists(st.one_of(st.integers(1, 20).map(Share), st.integers(1, 100).map(lambda n: Share(n, percent=True)))),
)
def test_every_member_is_in_exactly_one_wave(zones: list[str], written: list[Share]) -> None:
    members = [a_target(number, az=az) for number, az in enumerate(zones)]
    made = plan((entry(*written, match=Match(az=("az-1",)), index=0), *bare(Share(7))), members)
    assert sorted(member.server_id for member in made.members) == [member.server_id for member in members]
    counts = Counter(member.wave for member in made.members)
    assert counts == {wave.number: wave.members for wave in made.waves}
    assert [wave.number for wave in made.waves] == list(range(1, len(made.waves) + 1))


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        (("listed",), [0, 1, 2, 3]),
        (("name",), [3, 2, 1, 0]),
        (("az",), [1, 3, 0, 2]),
        (("az", "name"), [3, 1, 2, 0]),
        (("label:x",), [2, 0, 1, 3]),
        (("down-first",), [1, 0, 2, 3]),
        (("down-first", "az"), [1, 3, 0, 2]),
    ],
)
def test_orders(keys: tuple[str, ...], order: list[int]) -> None:
    members = [
        a_target(0, name="d", az="az-2"),
        a_target(1, name="c", az="az-1", baseline=STOPPED),
        a_target(2, name="b", az="az-2", labels={"x": "1"}),
        a_target(3, name="a", az="az-1"),
    ]
    assert [member.position for member in order_members(members, keys)] == order


def test_spread_takes_one_of_each_kind_in_turn_the_commonest_first() -> None:
    members = [a_target(number, az="az-2" if number < 2 else "az-1", flavor="s3") for number in range(5)]
    members.append(a_target(5, az="az-2", flavor="s6"))
    assert [member.position for member in order_members(members, ["spread"])] == [2, 0, 5, 3, 1, 4]
    made = plan_waves(SteeringPlan(waves=bare(Share(2), ALL)), members, place)
    assert [member.position for member in made.members if member.wave == 1] == [2, 0]
    assert kinds_without_canary(made.members) == {"s6 in az-2 on image-old": 1}


def test_spread_knows_the_old_image() -> None:
    other = replace(RUNNING, image="image-older")
    members = [a_target(0), a_target(1), a_target(2, baseline=other)]
    assert [member.position for member in order_members(members, ["spread"])] == [0, 2, 1]
