"""A stored run whose waves contradict each other is refused where it is read."""

from dataclasses import replace

import pytest

from fleetos.model.journal.codec import run_from_json, run_json
from fleetos.model.run import Run
from fleetos.model.steering.rollout import BetweenWaves, Steering, Wave
from tests.support.builders import START, a_run

WAVED = a_run(steering=Steering(waves=(Wave(1, None, 2, BetweenWaves()), Wave(2, None, 3, BetweenWaves()))))


@pytest.mark.parametrize(
    ("run", "is_read"),
    [
        (a_run(), True),
        (replace(a_run(), waves_opened=1), False),
        (replace(a_run(), wave_finished_at=START), False),
        (WAVED, True),
        (replace(WAVED, waves_opened=2, wave_finished_at=START, promoted=0), True),
        (replace(WAVED, waves_opened=3), False),
        (replace(WAVED, waves_opened=-1), False),
        (replace(WAVED, wave_finished_at=START), False),
        (replace(WAVED, promoted=0), False),
    ],
)
def test_the_wave_that_was_opened_last_is_one_of_the_run(run: Run, is_read: bool) -> None:
    if is_read:
        assert run_from_json(run_json(run)) == run
    else:
        with pytest.raises(ValueError, match="cannot be the one that was opened last"):
            run_from_json(run_json(run))
