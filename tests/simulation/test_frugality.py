"""A rollout stays as frugal as it is: a few calls a server, and hardly a slot unused."""

import pytest

from fleetos.model.states import TargetState
from tests.simulation.checkers import check
from tests.simulation.frugality import figures, rollout

SERVERS, CONCURRENCY = 200, 20
# Where every job is polled at the plan's shortest interval, it is more than a hundred.
CALLS_A_SERVER = {"rebuild": 5.8, "idle": 6.2}
SLOTS_USED = {"rebuild": 0.94, "idle": 0.90}
STOPPED_FOR_S = 30.0


@pytest.mark.slow
@pytest.mark.parametrize("picture", ["rebuild", "idle"])
def test_a_rollout_takes_few_calls_and_leaves_no_slot_unused(picture: str) -> None:
    story = rollout(picture, SERVERS, CONCURRENCY)
    assert check(story) == []
    assert {target.state for target in story.targets.values()} == {TargetState.DONE}
    assert story.ledger.max_changes_in_flight <= CONCURRENCY
    found = figures(story)
    assert found.calls <= CALLS_A_SERVER[picture], found
    assert found.slots_used >= SLOTS_USED[picture], found
    assert found.stopped_s <= STOPPED_FOR_S, found
