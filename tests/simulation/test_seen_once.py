"""Plays in which an invariant broke once, made as small as they go: they must stay clean."""

from fleetos.model.plan import Rollout, Share, Timeouts
from fleetos.sim.scenario import Scenario
from tests.simulation.checkers import check
from tests.simulation.play import play
from tests.simulation.spec import Clocks, Jump, Operator, Spec

# The change is late by less than a settle time, shows as a stopped server with another disk, and fails. Only the
# cloud's own log tells that it was begun; a clock that was set forward must not make it look older than the send.
LOGGED_BY_ANOTHER_CLOCK = Scenario.model_validate(
    {
        "seed": 6014,
        "servers": [{"name": "web-###", "count": 4}],
        "change": {"picture": "early-disk", "image_flips": "late", "flip_lag_s": 58.0, "job_visible_after_s": 5.0},
        "lax": True,
        "faults": [
            {"on": "changeos", "nth": [1], "do": "refuse", "code": ["Ecs.0005", "Ecs.0007", "Ecs.0025", "Ecs.0031"]},
            {"on": "changeos", "nth": [2], "do": "late", "seconds": [1.0, 108.0]},
        ],
    }
)


def test_a_clock_that_is_set_forward_hides_no_change_in_the_logs_of_the_cloud() -> None:
    spec = Spec(
        seed=6014,
        scenario=LOGGED_BY_ANOTHER_CLOCK.model_copy(update={"faults": ()}),
        rollout=Rollout(Share(1.0)),
        timeouts=Timeouts(settle_s=120.0),
        loopback=True,
        faults=LOGGED_BY_ANOTHER_CLOCK.faults,
        clocks=Clocks(jumps=(Jump(466.0, 3600.0),)),
        operator=Operator(retries=2),
        calm_at_s=1800.0,
    )
    story = play(spec)
    assert check(story) == []
