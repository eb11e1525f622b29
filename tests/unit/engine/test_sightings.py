"""What has been seen of a target: what still counts after more looks."""

from dataclasses import replace

from fleetos.engine.sightings import Sighting
from fleetos.limits import EVIDENCE_MAX_GAP_S
from fleetos.model.states import TargetState
from fleetos.rules.look import Sight
from tests.unit.model.samples import STOPPED
from tests.unit.rules.scene import moment


def look(at_s: float) -> Sight:
    return Sight(STOPPED, moment(at_s), moment(at_s), single=True)


def test_what_the_log_said_counts_with_the_looks_that_it_was_asked_for_and_no_others() -> None:
    state = TargetState.INSPECTING
    seen = Sighting(moment(0), moment(0)).with_sight(state, look(0)).with_sight(state, look(30))
    asked = replace(seen, traces=())
    assert asked.with_sight(state, look(60)).traces == ()
    assert asked.with_sight(state, look(31 + EVIDENCE_MAX_GAP_S)).traces is None
