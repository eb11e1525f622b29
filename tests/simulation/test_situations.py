"""Situations are counted where they occur, and their lack is told."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from fleetos.model.steering.rollout import GroupRule, SteeringPlan
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import DateTimes, Nights, WindowRule, Windows
from tests.simulation.edited_runs import plain, resent, staged
from tests.simulation.scenario_run import run_scenario
from tests.simulation.situations import WORLDS_AT_LEAST, WORLDS_FOR_THE_COMMON, missing, situations
from tests.simulation.situations_required import RARE, REQUIRED
from tests.simulation.spec_steering import SteeringSpec
from tests.simulation.worlds import world


def test_a_play_without_trouble_tells_of_none() -> None:
    assert situations(plain()) == Counter(
        {
            "verified": 2,
            "change-answered-accepted": 2,
            "change-looks-rebuild": 2,
            "change-longer-than-a-settle": 2,
            "image-flips-end": 2,
            "job-success": 2,
            "done-well": 2,
            "held-locked": 1,
            "skipped-already-on-image": 1,
            "process-over": 1,
        }
    )


def test_each_resend_after_a_settle_counts() -> None:
    found = situations(resent())
    assert (found["inspected-untouched"], found["resend-after-settle"]) == (2, 2)


def test_a_failed_change_counts_by_what_it_leaves() -> None:
    found = situations(staged({"do": "fail", "on": "changeos", "nth": [1], "picture": ["new-disk", "error"]}))
    assert found["change-fails-new-disk"] + found["change-fails-error"] == 2
    assert found["failure-on-the-new-disk"] == found["change-fails-new-disk"]
    assert found["failure-on-the-old-disk"] == found["change-fails-error"]


def test_a_late_effect_counts_apart_if_it_comes_after_its_resend() -> None:
    early = situations(staged({"do": "late", "on": "changeos", "nth": [1], "seconds": [5, 10]}))
    assert (early["late-effect"], early["late-effect-after-resend"]) == (2, 0)
    late = situations(staged({"do": "late", "on": "changeos", "nth": [1], "seconds": [50, 60]}))
    assert (late["late-effect"], late["late-effect-after-resend"]) == (0, 2)


def test_a_pause_counts_by_whom_it_keeps_waiting() -> None:
    trace = staged({"do": "refuse", "on": "changeos", "nth": [1], "code": "Ecs.0110"}, concurrency=1)
    found = situations(trace)
    assert (found["change-answered-stop-run"], found["paused-permission"]) == (2, 2)
    # Whoever is third waits both times.
    assert found["admission-waits-while-paused"] == 2


def test_a_write_counts_that_a_pause_keeps_back() -> None:
    assert situations(run_scenario(world(115)))["write-kept-back-by-a-pause"] > 0


def test_required_situations_are_missing_only_in_many_worlds() -> None:
    assert missing({}, WORLDS_FOR_THE_COMMON - 1) == []
    common = [name for name in REQUIRED if name not in RARE]
    assert missing({}, WORLDS_FOR_THE_COMMON) == missing({}, WORLDS_AT_LEAST - 1) == common
    assert missing({}, WORLDS_AT_LEAST) == list(REQUIRED)
    often = dict.fromkeys(REQUIRED, 1000)
    assert missing(often, 1000) == []
    assert missing({**often, "purged-job": 0}, WORLDS_AT_LEAST) == ["purged-job"]


def _steered(plan: SteeringPlan) -> Counter[str]:
    """Return the situations of a play that this plan would have steered."""
    trace = plain()
    trace.spec = replace(trace.spec, steering=SteeringSpec(plan))
    return situations(trace)


def test_a_window_that_closes_counts_by_what_it_closes_over() -> None:
    # The play begins at 03:04:05 and changes both servers at once, until some minutes later.
    times = DateTimes("2026-01-02T02:00Z", "2026-01-02T03:05Z")
    assert _steered(SteeringPlan(windows=Windows((WindowRule(times, None),))))["window-closes-over-flight"] == 2
    denied = DateTimes("2026-01-02T03:05Z", "2026-01-02T04:00Z")
    assert _steered(SteeringPlan(windows=Windows(None, (WindowRule(denied, None),))))["blackout-over-flight"] == 2


def test_an_admission_counts_that_fills_a_group() -> None:
    assert _steered(SteeringPlan(groups=(GroupRule("all", Share(3.0)),)))["group-filled-all"] == 1


def test_a_night_counts_in_which_the_clocks_are_set() -> None:
    trace = plain()
    night = WindowRule(Nights((0, 1, 2, 3, 4, 5, 6), 0, 300), "Europe/Berlin")
    steering = SteeringSpec(SteeringPlan(windows=Windows((night,))), datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
    found = situations(run_scenario(replace(trace.spec, steering=steering)))
    assert found["admitted-in-the-night-of-spring"] > 0
