"""A rollout stays as frugal as it is: a few calls a server, and hardly a slot unused."""

import pytest

from fleetos.model.states import TargetState
from tests.simulation.checkers import check
from tests.simulation.frugality import figures, rollout

STOPPED_FOR_S = 30.0


# Where every job is polled at the plan's shortest interval, it is more than a hundred calls a server. A sweep of few
# servers costs each of them more than one of many.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("picture", "servers", "concurrency", "calls_a_server", "slots_used"),
    [
        ("rebuild", 60, 6, 9.0, 0.91),
        ("idle", 60, 6, 9.3, 0.90),
        pytest.param("rebuild", 200, 20, 5.8, 0.94, marks=pytest.mark.proof),
        pytest.param("idle", 200, 20, 6.2, 0.90, marks=pytest.mark.proof),
    ],
)
def test_a_rollout_takes_few_calls_and_leaves_no_slot_unused(
    picture: str, servers: int, concurrency: int, calls_a_server: float, slots_used: float
) -> None:
    trace = rollout(picture, servers, concurrency)
    assert check(trace) == []
    assert {target.state for target in trace.targets.values()} == {TargetState.DONE}
    assert trace.ledger.max_changes_in_flight <= concurrency
    found = figures(trace)
    assert found.calls <= calls_a_server, found
    assert found.slots_used >= slots_used, found
    assert found.stopped_s <= STOPPED_FOR_S, found
