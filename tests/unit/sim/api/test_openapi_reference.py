"""The reference page and the code say the same."""

import re
from pathlib import Path
from typing import get_args

import pytest

from fleetos.sim.scenario import faults
from fleetos.sim.scenario.load import parse_scenario
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.world import World
from tests.unit.sim.harness import BORN

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "simulated-cloud.md").read_text()
EXAMPLE = PAGE.split("```yaml\n")[1].split("```")[0]
RULES = list(faults.RuleBase.__subclasses__())


def named() -> set[str]:
    return set(re.findall(r"`([^`\s]+)`", PAGE))


def test_the_example_is_a_scenario_with_every_key() -> None:
    scenario = parse_scenario(EXAMPLE, "page")
    assert scenario.model_fields_set == set(Scenario.model_fields)
    for part in (scenario.durations, scenario.change, scenario.tokens, scenario.list, scenario.quota):
        assert part.model_fields_set == set(type(part).model_fields)
    assert len(World(scenario, BORN).servers) == 47


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_and_its_keys_are_described(rule: type[faults.RuleBase]) -> None:
    assert set(get_args(rule.model_fields["do"].annotation)) <= named()
    own = set(rule.model_fields) - set(faults.RuleBase.model_fields) - {"do"}
    assert own <= named()
    assert set(faults.RuleBase.model_fields) <= named()


def test_every_value_that_a_rule_takes_is_described() -> None:
    for values in (faults.ChangePicture, faults.FailurePicture, faults.Garble, faults.LostAnswer, faults.Form):
        assert set(get_args(values)) <= named()
    for operation in get_args(faults.Operation):
        assert operation in PAGE
    for flip in get_args(faults.ImageFlip):
        assert flip in EXAMPLE
