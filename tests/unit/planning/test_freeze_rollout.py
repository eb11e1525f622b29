"""The freeze of a plan with waves: members in order, each with its wave, and a frozen plan that keeps them."""

from dataclasses import replace

import pytest

from fleetos.errors import InputError
from fleetos.model.run import Run
from fleetos.model.states import TargetState
from fleetos.model.steering.rollout import UNSTEERED
from fleetos.planning.freeze import FrozenRun, freeze
from fleetos.planning.frozen_plan import differences, differences_left, make_frozen_plan, read_frozen_plan
from fleetos.planning.frozen_plan import write_frozen_plan as write
from fleetos.planning.preflight.preflight import preflight
from tests.support.builders import DEBIAN, NEW_IMAGE, SCOPE, START, a_server, a_snapshot, an_inventory
from tests.unit.planning.plan_folder import PlanFolder
from tests.unit.planning.test_freeze import OTC, frozen

WAVES = "rollout: {waves: [1, 100%], order: [down-first]}\n"


def fleet(plans: PlanFolder, more: str = "") -> FrozenRun:
    """A run of four servers: one runs the image already, and the last is stopped."""
    pictures = [a_snapshot(), a_snapshot(image=NEW_IMAGE), a_snapshot(), a_snapshot("SHUTOFF")]
    return frozen(plans, *pictures, more=more)


def test_members_are_in_the_order_of_their_changes_and_others_behind_them(plans: PlanFolder) -> None:
    result = fleet(plans, WAVES)
    assert [(target.name, target.position, target.wave) for target in result.targets] == [
        ("web-04", 0, 1),
        ("web-01", 1, 2),
        ("web-03", 2, 2),
        ("web-02", 3, 0),
    ]
    assert result.targets[3].state is TargetState.SKIPPED
    assert [wave.members for wave in result.run.steering.waves] == [1, 2]


def test_a_plan_that_says_nothing_is_frozen_as_before(plans: PlanFolder) -> None:
    result = fleet(plans)
    assert result.run.steering == UNSTEERED
    assert [(target.name, target.wave) for target in result.targets] == [(f"web-0{n}", 0) for n in range(1, 5)]


def test_waves_that_do_not_suit_the_servers_are_refused(plans: PlanFolder) -> None:
    with pytest.raises(InputError) as caught:
        fleet(plans, "rollout: {waves: [{sizes: [1]}, {match: {az: nowhere}, sizes: [1]}]}\n")
    assert caught.value.exit_code == 65
    assert [problem.key for problem in caught.value.problems] == ["rollout.waves[1]", "rollout.waves"]


@pytest.mark.parametrize("more", ["", WAVES])
def test_a_frozen_plan_keeps_the_waves_and_leaves_out_what_is_not_written(plans: PlanFolder, more: str) -> None:
    result = fleet(plans, more)
    plan = plans.plan((plans.folder / "plan.yaml").read_text())
    path = plans.folder / "frozen.json"
    write(make_frozen_plan(plan, result), path)
    assert ('"steering"' in path.read_text()) is bool(more)
    kept = read_frozen_plan(path)
    assert list(differences(kept, result)) == []
    assert list(differences_left(kept, result.run, result.targets)) == []
    run: Run = result.run
    other = fleet(plans, WAVES.replace("1,", "2,"))
    words = "waves, groups, budgets or windows are not those of the frozen plan"
    assert words in list(differences(kept, other))
    assert run.steering != other.run.steering


@pytest.mark.parametrize("more", ["", WAVES])
def test_a_start_is_frozen_with_the_run_and_makes_no_other_plan(plans: PlanFolder, more: str) -> None:
    usual = fleet(plans, more).run
    plan = plans.plan((plans.folder / "plan.yaml").read_text())
    later = replace(plan, steering=replace(plan.steering, not_before=START))
    checked = preflight(later, an_inventory([a_server(n) for n in range(1, 5)]), (DEBIAN,), None, OTC)
    run = freeze(later, checked, scope=SCOPE, facts=OTC, run_id="r1", now=START).run
    assert (run.steering.not_before, usual.steering.not_before) == (START, None)
    assert run.digest == usual.digest
    assert len(run.steering.waves) == len(usual.steering.waves)
