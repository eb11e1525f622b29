"""Rare inputs: few worlds have one, each comes to what it is for, and two runs of a plan are judged each by itself."""

from dataclasses import replace

import pytest

from tests.simulation.checkers import check
from tests.simulation.edited_runs import SETTLE_S, small
from tests.simulation.fault_scripts import faults
from tests.simulation.rare_inputs import with_rarity
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.situations import situations
from tests.simulation.spec import Operator
from tests.simulation.worlds import world


def test_few_worlds_have_one_and_the_others_stay_as_they_are() -> None:
    specs = [replace(small(), seed=seed) for seed in range(1, 301)]
    rare = [with_rarity(spec, 2, SETTLE_S) for spec in specs]
    assert 8 < sum(one is not spec for one, spec in zip(rare, specs, strict=True)) < 45
    assert rare == [with_rarity(spec, 2, SETTLE_S) for spec in specs]


@pytest.mark.parametrize(
    ("seed", "situation"),
    [
        pytest.param(78, "changed-to-its-own-image", id="forced"),
        pytest.param(366, "changed-without-an-image", id="imageless"),
        pytest.param(1130, "running-job-unknown", id="forgetful"),
        pytest.param(124, "change-longer-than-a-settle", id="overlong"),
        pytest.param(89, "foreign-change-fails", id="fails-elsewhere"),
        pytest.param(534, "retry-of-what-was-let-rest", id="again"),
        pytest.param(237, "outcome-let-rest", id="released"),
        pytest.param(228, "double-refused-by-fence", id="doubled"),
    ],
)
def test_a_rarity_comes_to_what_it_is_for(seed: int, situation: str) -> None:
    trace = run_scenario(world(seed))
    assert check(trace) == []
    assert situations(trace)[situation] > 0


def _twice() -> RunTrace:
    """Return a play of two runs: all sends of the first are lost for good, and the second has no faults."""

    return run_scenario(
        replace(small({"do": "cut-before", "on": "changeos"}), again=(), operator=Operator(release=True))
    )


def test_a_second_run_of_the_plan_remembers_the_sends_of_the_first() -> None:
    trace = _twice()
    assert trace.earlier is not None
    assert check(trace) == []
    assert trace.earlier.ended_s <= trace.began_s
    assert {target.last_unanswered_at is not None for target in trace.targets.values() if target.name != "locked"} == {
        True,
        False,
    }
    found = situations(trace)
    assert (found["second-run"], found["outcome-let-rest"], found["held-outcome-unknown"]) == (1, 2, 2)
    assert found["second-run-remembers-a-send"] == 2


def test_what_the_first_of_two_runs_breaks_is_found() -> None:
    trace = _twice()
    assert trace.earlier is not None
    trace.earlier.most_slots = 99
    assert [one.invariant for one in check(trace)] == ["I3"]


def test_a_success_of_the_first_run_is_left_alone_by_the_second() -> None:
    trace = run_scenario(replace(small(), again=faults({"do": "cut-after", "on": "changeos"})))
    assert check(trace) == []
    states = {target.name: str(target.state) for target in trace.targets.values()}
    assert states == {"web-1": "skipped", "web-2": "skipped", "locked": "held", "done-before": "skipped"}
