"""Time that a change needs in its window."""

from dataclasses import replace

import pytest

from fleetos.engine.change_tracker import ChangeTracker, change_key
from fleetos.engine.rollout.needs import ChangeNeeds
from fleetos.limits import CHANGE_DOCUMENTED_MAX_S
from fleetos.model.experience import Experience
from fleetos.model.run import Target
from fleetos.model.steering.rollout import Steering
from fleetos.model.steering.windows import Fit, Windows
from fleetos.rules.admission.pass_facts import Point
from fleetos.rules.windows import STAGES_LEARNED_MIN
from tests.support.builders import SETTINGS, STOPPED, a_run, a_target

TARGET = a_target(1)
SEEN = Experience(changes={change_key(TARGET): (100.0,) * STAGES_LEARNED_MIN}, stops_s=(20.0,) * STAGES_LEARNED_MIN)

LIMITS = replace(SETTINGS, change_timeout_s=3600, stop_timeout_s=300)
USUAL = Windows()


def needed_s(target: Target, point: Point, experience: Experience = SEEN, windows: Windows | None = USUAL) -> float:
    """The time that a change of the target needs."""
    run = a_run(settings=LIMITS, steering=Steering(windows=windows))
    needs = ChangeNeeds(run, ChangeTracker(experience, [change_key(target)]))
    return needs.need_s(needs.kind_of(target), point)


@pytest.mark.parametrize(
    ("target", "point", "seconds"),
    [
        (TARGET, Point.ADMIT, 120.0),
        (TARGET, Point.SUBMIT, 100.0),
        (replace(TARGET, baseline=STOPPED), Point.ADMIT, 100.0),
    ],
)
def test_a_change_needs_its_stop_and_itself(target: Target, point: Point, seconds: float) -> None:
    assert needed_s(target, point) == seconds


def test_what_was_never_seen_needs_its_limit() -> None:
    assert needed_s(TARGET, Point.ADMIT, Experience()) == min(3600, CHANGE_DOCUMENTED_MAX_S) + 300


def test_without_windows_nothing_is_asked_and_a_duration_is_taken_as_it_is() -> None:
    assert needed_s(TARGET, Point.ADMIT, windows=None) == 0.0
    assert needed_s(TARGET, Point.ADMIT, windows=Windows(fit=Fit(None, 45.0))) == 45.0
