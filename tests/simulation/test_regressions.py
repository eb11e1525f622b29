"""Plays in which an invariant broke once, made as small as they go: they must stay clean."""

from typing import Any

import pytest

from fleetos.model.plan import Polling, Rollout, Share, StopMode, Timeouts
from fleetos.model.states import Reason, TargetState
from fleetos.sim.scenario.scenario import Scenario
from tests.simulation.checkers import check
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import Act, Clocks, Jump, Operator, Spec


def played(scenario: Scenario, **more: Any) -> RunTrace:
    """The play of that world and of its faults, on a cloud of this machine."""
    fields: dict[str, Any] = {"seed": 1, "loopback": True, "calm_at_s": 1800.0, **more}
    return run_scenario(Spec(scenario=scenario.model_copy(update={"faults": ()}), faults=scenario.faults, **fields))


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
    trace = played(
        LOGGED_BY_ANOTHER_CLOCK,
        seed=6014,
        rollout=Rollout(Share(1.0)),
        timeouts=Timeouts(settle_s=120.0),
        clocks=Clocks(jumps=(Jump(466.0, 3600.0),)),
        operator=Operator(retries=2),
    )
    assert check(trace) == []


# The support desk puts the old image back while a change of ours runs, and that change then fails and leaves ERROR.
PUT_BACK = Scenario.model_validate(
    {
        "servers": [{"name": "web-001"}],
        "durations": {"change": [200.0, 200.0]},
        "faults": [{"on": "changeos", "nth": [1], "do": "fail", "code": "Ecs.0219", "picture": "error"}],
    }
)


def test_a_failure_of_ours_gives_no_leave_to_wipe_what_the_support_desk_has_made() -> None:
    trace = played(
        PUT_BACK,
        acts=(Act(100.0, "change", 0, "Standard_Debian_11_latest"),),
        loopback=False,
        calm_at_s=3600.0,
    )
    (disk,) = [one for one in trace.ledger.disks if one.made_by is not None]
    assert disk.destroyed_at is None
    assert check(trace) == []


# A reinstall fails and leaves a new disk; its job is gone before anybody has asked how it ended.
FORGOTTEN = Scenario.model_validate(
    {
        "servers": [{"name": "web-001"}],
        "durations": {"change": [60.0, 60.0]},
        "change": {"job_vanishes_after_s": 1.0},
        "faults": [{"on": "reinstallos", "nth": [1], "do": "fail", "code": "Ecs.0219", "picture": "new-disk"}],
    }
)


@pytest.mark.parametrize("started", [False, True])
def test_who_starts_a_server_after_a_failure_that_nobody_was_told_of_takes_it_for_done(*, started: bool) -> None:
    trace = played(
        FORGOTTEN,
        reinstall=True,
        acts=(Act(98.0, "start", 0),) if started else (),
    )
    (target,) = trace.targets.values()
    assert target.state is (TargetState.DONE if started else TargetState.HELD)
    assert check(trace) == []


# A reinstall succeeds within seconds, its job is gone at once, and a stop that the gateway doubles takes it down again.
TAKEN_DOWN = Scenario.model_validate(
    {
        "servers": [{"name": "web-001"}],
        "durations": {"stop": [1.0, 1.0], "change": [2.0, 2.0]},
        "change": {"job_vanishes_after_s": 1.0},
        "faults": [{"on": "stop", "nth": [1], "do": "double", "seconds": [24.0, 25.0]}],
    }
)


def test_a_success_that_nobody_was_told_of_and_a_stop_took_down_is_held_for_a_human() -> None:
    trace = played(
        TAKEN_DOWN,
        reinstall=True,
        polling=Polling(min_s=10.0),
    )
    (target,) = trace.targets.values()
    assert (target.state, target.reason) == (TargetState.HELD, Reason.OUTCOME_UNKNOWN)
    assert target.keeps_claim
    assert check(trace) == []


def test_a_retry_of_it_wipes_nothing_and_believes_whoever_has_started_it() -> None:
    trace = played(
        TAKEN_DOWN,
        reinstall=True,
        polling=Polling(min_s=10.0),
        acts=(Act(60.0, "start", 0),),
        operator=Operator(retries=1),
    )
    (target,) = trace.targets.values()
    assert (target.state, len(target.attempts)) == (TargetState.DONE, 1)
    assert sum(write.operation == "reinstallos" for write in trace.ledger.writes) == 1
    assert check(trace) == []


@pytest.mark.parametrize(("doubled_s", "broken"), [(24.0, set[str]()), (31.0, {"I12"})])
def test_a_doubled_stop_is_expected_for_half_a_minute(doubled_s: float, broken: set[str]) -> None:
    """The cloud refuses the changes for good, and the stop takes down a server that was started again."""
    faults = [
        {"on": "changeos", "do": "refuse", "code": "Ecs.0011"},
        {"on": "stop", "nth": [1], "do": "double", "seconds": [doubled_s, doubled_s]},
    ]
    refused = Scenario.model_validate(
        {
            "servers": [{"name": "web-###", "count": 9}],
            "durations": {"stop": [1.0, 1.0], "start": [1.0, 1.0]},
            "faults": faults,
        }
    )
    trace = played(
        refused,
        rollout=Rollout(Share(1.0)),
        polling=Polling(min_s=5.0),
    )
    assert {(one.state, one.reason) for one in trace.targets.values()} == {(TargetState.FAILED, Reason.REFUSED)}
    assert any(server.stopped_by is not None for server in trace.world.servers.values())
    assert {one.invariant for one in check(trace)} == broken


@pytest.mark.parametrize(("change_s", "broken"), [(25.0, set[str]()), (31.0, {"I12"})])
def test_a_doubled_stop_that_outlasts_a_change_is_expected_for_half_a_minute(change_s: float, broken: set[str]) -> None:
    """The stop takes six seconds, its second delivery, of which nobody is told, 47: the server is changed by then."""
    outlasted = Scenario.model_validate(
        {
            "seed": 31,
            "servers": [{"name": "web-###", "count": 2}],
            "durations": {"stop": [1.0, 50.0], "change": [change_s, change_s]},
            "faults": [{"on": "stop", "nth": [1], "do": "double", "seconds": [0.5, 0.5]}],
        }
    )
    trace = played(outlasted, rollout=Rollout(Share(1.0)), polling=Polling(min_s=5.0))
    assert {one.state for one in trace.targets.values()} == {TargetState.DONE}
    assert any(server.stopped_by == 2 for server in trace.world.servers.values())
    assert {one.invariant for one in check(trace)} == broken


# One of two changes that stop their servers themselves never ends, and whoever takes the run over comes an hour late.
ENDLESS = Scenario.model_validate(
    {
        "servers": [{"name": "web-###", "count": 2}],
        "durations": {"stop": [100.0, 100.0], "change": [2.0, 2.0]},
        "faults": [{"on": "changeos", "servers": ["web-002"], "do": "stuck"}],
    }
)


def test_a_settle_that_grew_with_the_longest_change_is_none_too_long() -> None:
    """With `stop: api` the longest change takes the stop in."""
    trace = played(
        ENDLESS,
        rollout=Rollout(Share(2.0), stop=StopMode.API),
        timeouts=Timeouts(change_s=900.0),
        polling=Polling(min_s=15.0, max_s=20.0),
        deaths=(16,),
        operator=Operator(resume_s=(3600.0, 3600.0)),
    )
    assert [one.reason for one in trace.targets.values()] == [None, Reason.STILL_CHANGING]
    assert check(trace) == []
