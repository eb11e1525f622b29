"""When things are done, by the ledger of the simulated cloud: who is tried next, and how often a server is read."""

from collections.abc import Mapping
from typing import Any

import pytest

from fleetos.model.plan import FailurePolicy, Polling, Rollout, Share, Timeouts
from fleetos.model.run import Outcome
from fleetos.model.states import Reason, TargetState
from fleetos.sim.scenario.scenario import Scenario
from tests.simulation.checkers import check
from tests.simulation.edited_runs import changes, named
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import Act, Spec
from tests.simulation.worlds import OLD_IMAGE


def played(
    servers: int, *faults: Mapping[str, object], cloud: Mapping[str, object] | None = None, **more: Any
) -> RunTrace:
    """The play of so many servers, changed in a minute or two each, on a cloud of this machine."""
    content = {"servers": [{"name": "web-###", "count": servers}], "durations": {"change": (60, 120)}, **(cloud or {})}
    scenario = Scenario.model_validate({**content, "faults": faults})
    fields: dict[str, Any] = {"timeouts": Timeouts(settle_s=120.0), "loopback": True, "calm_at_s": 36_000.0, **more}
    return run_scenario(Spec(1, scenario.model_copy(update={"faults": ()}), faults=scenario.faults, **fields))


@pytest.mark.parametrize("failed", ["web-001", "web-009"])
def test_a_failed_server_is_tried_again_long_before_the_last_untried_one(failed: str) -> None:
    trace = played(
        24,
        {"do": "fail", "on": "changeos", "servers": [failed], "nth": [1]},
        rollout=Rollout(Share(4.0)),
        failure=FailurePolicy(2, 2.0, 2.0),
    )
    assert check(trace) == []
    assert {one.state for one in trace.targets.values()} == {TargetState.DONE}
    order = [write.servers[0] for write in changes(trace)]
    first, again = (place for place, one in enumerate(order) if one == named(trace, failed))
    # Beside it run three, and a few more are stopped already for the slots that come free next.
    assert again - first <= 12
    assert len(order) - again >= 4


@pytest.mark.parametrize("answers", [[1, 2, 3], [2, 3, 4, 5], [1, 2, 3, 4, 5, 6]])
def test_a_server_that_the_cloud_does_not_find_for_some_seconds_is_not_gone(answers: list[int]) -> None:
    lost = {"do": "cut-after", "on": "changeos", "nth": [1]}
    trace = played(
        1, lost, {"do": "refuse", "on": "detail", "code": "Ecs.0114", "nth": answers}, polling=Polling(2.0, 10.0)
    )
    assert check(trace) == []
    assert {one.state for one in trace.targets.values()} == {TargetState.DONE}


@pytest.mark.parametrize(
    ("picture", "settle_s", "polling", "most"),
    [
        ("no-disk", 10.0, Polling(1.0, 60.0), 80),
        ("error", 10.0, Polling(1.0, 60.0), 80),
        ("no-disk", 600.0, Polling(5.0, 60.0), 80),
        ("endless", 10.0, Polling(1.0, 60.0), 200),
    ],
)
def test_an_unknown_outcome_is_read_less_often_as_time_goes_by(
    picture: str, settle_s: float, polling: Polling, most: int
) -> None:
    """Each server is watched for an hour or two; at the shortest interval that was thousands of reads for each."""
    trace = played(
        1,
        {"do": "cut-after", "on": "changeos", "nth": [1]},
        {"do": "fail", "on": "changeos", "nth": [1], "picture": picture},
        cloud={"logs": False},
        timeouts=Timeouts(change_s=3600.0, settle_s=settle_s),
        polling=polling,
        loopback=settle_s < 600,
    )
    assert check(trace) == []
    assert trace.ended_s > 3600
    assert trace.ledger.requests["detail"] <= most


def lost_and_failed(picture: str, **log: object) -> RunTrace:
    """The play of one change whose answer is lost and which fails unseen, on a cloud with such a log of actions."""
    return played(
        1,
        {"do": "cut-after", "on": "changeos", "nth": [1]},
        {"do": "fail", "on": "changeos", "nth": [1], "picture": picture},
        cloud={"change": {"picture": "idle"}, **log},
        timeouts=Timeouts(change_s=3600.0, settle_s=600.0),
        loopback=False,
    )


@pytest.mark.parametrize("picture", ["old-disk", "error"])
@pytest.mark.parametrize("lag_s", [0.0, 300.0])
def test_a_change_that_the_cloud_logs_as_failed_is_tried_again_after_a_settle(picture: str, lag_s: float) -> None:
    trace = lost_and_failed(picture, action_log={"lag_s": lag_s})
    (target,) = trace.targets.values()
    assert check(trace) == []
    assert (target.state, [one.outcome for one in target.attempts]) == (
        TargetState.DONE,
        [Outcome.FAILED, Outcome.SUCCEEDED],
    )
    first, second = changes(trace)
    assert 600 < second.sent_at - first.sent_at < 900


def test_a_change_that_left_no_disk_is_held_after_a_settle_if_the_cloud_logs_it() -> None:
    trace = lost_and_failed("no-disk")
    (target,) = trace.targets.values()
    assert check(trace) == []
    assert (target.state, target.reason) == (TargetState.HELD, Reason.NO_SYSTEM_DISK)
    assert trace.ended_s < 1000


@pytest.mark.parametrize("log", [{"action_log": {"events": False}}, {"change": {"job_vanishes_after_s": 0.0}}])
def test_without_such_a_witness_the_outcome_stays_unknown(log: dict[str, object]) -> None:
    acts = () if "action_log" in log else (Act(300.0, "change", 0, OLD_IMAGE, in_vain=True),)
    lost = "cut-after" if "action_log" in log else "cut-before"
    trace = played(
        1,
        {"do": lost, "on": "changeos", "nth": [1]},
        {"do": "fail", "on": "changeos", "nth": [1]},
        cloud={"change": {"picture": "idle"}, **log},
        timeouts=Timeouts(change_s=3600.0, settle_s=600.0),
        loopback=False,
        acts=acts,
    )
    (target,) = trace.targets.values()
    assert check(trace) == []
    assert (target.state, target.reason) == (TargetState.HELD, Reason.OUTCOME_UNKNOWN)
    assert len(changes(trace)) == 1
    assert trace.ended_s > 3600


def test_a_change_that_the_log_shows_to_go_on_is_not_sent_again() -> None:
    """It lasts longer than a settle, and its server looks idle."""
    trace = played(
        1,
        {"do": "cut-after", "on": "changeos", "nth": [1]},
        cloud={"change": {"picture": "idle"}, "durations": {"change": (1500, 1500)}, "lax": True},
        timeouts=Timeouts(change_s=3600.0, settle_s=600.0),
        loopback=False,
    )
    (target,) = trace.targets.values()
    assert check(trace) == []
    assert target.state is TargetState.DONE
    assert len(changes(trace)) == 1
