"""What driving a run would wipe, whatever its targets have come to."""

import pytest

from fleetos.model.run import Outcome, Target
from fleetos.model.states import ENDS, RunState, TargetState
from fleetos.model.wipes import wipes_of
from tests.support.builders import START, a_run, a_target, an_attempt

S = TargetState
ACCEPTED = (an_attempt(accepted_at=START, job_id="job-9"),)
UNKNOWN = (an_attempt(unanswered=1),)
FAILED = (an_attempt(accepted_at=START, job_id="job-9", outcome=Outcome.FAILED),)
LEFT, UNDER_WAY, ENDED = (1, 0), (0, 1), (0, 0)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        *((a_target(state=state), LEFT) for state in (S.WAITING, S.CHECKING, S.DRAINING, S.STOPPING, S.READY)),
        (a_target(state=S.SUBMITTING, attempts=UNKNOWN), LEFT),
        (a_target(state=S.INSPECTING, attempts=UNKNOWN), LEFT),
        (a_target(state=S.INSPECTING, attempts=ACCEPTED), UNDER_WAY),
        (a_target(state=S.CHANGING, attempts=ACCEPTED), UNDER_WAY),
        (a_target(state=S.VERIFYING, attempts=ACCEPTED), UNDER_WAY),
        (a_target(state=S.STARTING, attempts=ACCEPTED), UNDER_WAY),
        (a_target(state=S.RESTORING), UNDER_WAY),
        # The next attempt wipes what the failed one has left; a retry may, whatever was sent before.
        (a_target(state=S.BACKOFF, attempts=FAILED), LEFT),
        (a_target(state=S.WAITING, attempts=ACCEPTED), LEFT),
        *((a_target(state=state), ENDED) for state in sorted(ENDS)),
    ],
)
@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED, RunState.FINISHING])
def test_a_target_is_left_under_way_or_ended(target: Target, expected: tuple[int, int], state: RunState) -> None:
    wipes = wipes_of(a_run(state=state), [target])
    left, under_way = expected
    if state is RunState.FINISHING:
        left, under_way = 0, left + under_way
    assert (len(wipes.left), wipes.under_way) == (left, under_way)
