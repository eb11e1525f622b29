"""Shrinking keeps what breaks the invariant, and takes everything else away."""

from dataclasses import replace
from itertools import pairwise

from fleetos.sim.scenario.faults import StaleReadFault, Stuck
from fleetos.sim.scenario.scenario import Scenario, ServerGroup
from tests.simulation.scenario_run import run_scenario
from tests.simulation.shrink import servers, shrink, size
from tests.simulation.spec import Act, Clocks, Commits, Freeze, Jump, Operator, Spec
from tests.simulation.spec_file import described
from tests.simulation.worlds import world


def crowded() -> Spec:
    """A world in which everything goes wrong."""
    spec = world(1)
    return replace(
        spec,
        faults=(
            StaleReadFault(do="stale", on="read", seconds=(1.0, 2.0)),
            Stuck(do="stuck", on="changeos"),
            StaleReadFault(do="stale", on="list", seconds=(3.0, 4.0)),
        ),
        acts=(Act(3.7, "lock", 0), Act(9.2, "stop", 11), Act(11.0, "delete", 3)),
        deaths=(3, 20, 40),
        freezes=(Freeze("clock", 40, 45.0, taken_over_after_s=3.5),),
        commits=Commits(0.1, 0.1, 0.1, 2.0),
        clocks=Clocks(5.0, 1e-4, (Jump(10.5, 60.0), Jump(70.0, -60.0))),
        operator=Operator((600.0, 7200.0), 33.3, 2, release=True),
        secret=True,
        again=(Stuck(do="stuck", on="stop"),),
    )


def test_nothing_is_left_but_what_matters() -> None:
    spec = crowded()
    tried = 0

    def breaks(one: Spec) -> bool:
        nonlocal tried
        tried += 1
        stuck = any(isinstance(rule, Stuck) for rule in one.faults)
        return stuck and 20 in one.deaths and any(act.act == "stop" for act in one.acts) and one.commits.slow > 0

    left = list(shrink(spec, breaks))
    assert all(size(after) <= size(before) for before, after in pairwise(left))
    end = left[-1]
    assert [rule.do for rule in end.faults] == ["stuck"]
    assert end.acts == (Act(9.0, "stop", 11),)
    assert end.deaths == (20,)
    # The act is on the twelfth server, so twelve have to be there.
    assert servers(end) == 12
    assert end.freezes == ()
    assert end.commits == Commits(slow=0.1, slow_s=2.0)
    assert (end.clocks, end.operator, end.secret, end.again) == (Clocks(), Operator(), False, None)
    assert size(end) < size(spec) / 2
    assert tried < 1000


def test_a_planted_violation_is_shrunk_by_playing() -> None:
    # The fourth point of any play comes after its first commit.
    spec = replace(crowded(), scenario=Scenario(servers=(ServerGroup(count=3),)), deaths=(4, 9, 20), calm_at_s=1800.0)

    def breaks(one: Spec) -> bool:
        return run_scenario(one).deaths["after commit"] > 0

    assert breaks(spec)
    *_, end = shrink(spec, breaks)
    assert size(end) < size(spec)
    assert servers(end) == 1
    assert end.deaths == (4,)
    assert not end.faults
    assert breaks(end)


def test_what_cannot_be_taken_away_stays() -> None:
    spec = crowded()
    assert list(shrink(spec, lambda one: one == spec)) == []


def test_what_is_left_is_told_in_words() -> None:
    plain = described(Spec(seed=5, scenario=world(1).scenario.model_copy(update={"faults": ()})))
    assert plain[0] == "seed: 5"
    told = described(crowded())
    assert "deaths: 3" in told
    assert 'acts: {"at_s": 3.7, "act": "lock", "server": 0, "image": null, "fails": false, "in_vain": false}' in told
    assert 'faults: {"on": "changeos", "do": "stuck"}' in told
    assert any(line.startswith("servers: ") for line in told)
    assert not [line for line in told if line.startswith("enumerate")]
