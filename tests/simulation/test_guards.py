"""Guards of the protocol whose lack no checker would find in generated worlds, since others stand behind them."""

from fleetos.model.journal.events import ChangeIntended, Moved
from fleetos.model.plan import ApiLimits, Polling, Rollout, Share, Timeouts
from fleetos.model.states import TargetState
from fleetos.sim.scenario.scenario import Scenario
from tests.simulation.checkers import check
from tests.simulation.edited_runs import SETTLE_S, changes
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import Operator, Spec


def _lost_three_times(late_s: float) -> RunTrace:
    """Return a play in which a stopped server is given up after three sends, the last of them late, and retried."""
    content = {
        "servers": [{"state": "stopped"}],
        "faults": [
            {"do": "cut-before", "on": "changeos", "nth": [1, 2]},
            {"do": "late", "on": "changeos", "nth": [3], "seconds": [late_s, late_s]},
        ],
    }
    scenario = Scenario.model_validate(content)
    return run_scenario(
        Spec(
            seed=1,
            scenario=scenario.model_copy(update={"faults": ()}),
            timeouts=Timeouts(settle_s=SETTLE_S),
            polling=Polling(2.0, 10.0),
            loopback=True,
            faults=scenario.faults,
            operator=Operator(retries=1),
        )
    )


def test_a_retried_target_that_ever_had_a_send_is_looked_at_for_a_settle_before_anything_is_sent() -> None:
    """A send that comes after its settle time is beyond what is promised; here it is seen all the same."""
    trace = _lost_three_times(late_s=SETTLE_S * 1.5)
    (target,) = trace.targets.values()
    moves = [record.event.to for record in trace.records if isinstance(record.event, Moved)]
    assert moves[moves.index(TargetState.HELD) + 1] is TargetState.INSPECTING
    assert (target.state, len(changes(trace))) == (TargetState.DONE, 3)
    assert check(trace) == []


def test_all_sends_of_an_attempt_share_its_first_baseline() -> None:
    """The disk rule keeps a later one from being another disk; what else of a picture may change, says nothing."""
    trace = _lost_three_times(late_s=SETTLE_S / 2)
    intents = [record.event for record in trace.records if isinstance(record.event, ChangeIntended)]
    (target,) = trace.targets.values()
    assert [intent.attempt for intent in intents] == [1, 1, 1]
    assert target.attempts[0].before == intents[0].before
    assert target.attempts[0].intended_at < target.attempts[0].sent_at


def test_no_more_servers_are_stopped_at_once_than_changes_can_be_sent() -> None:
    scenario = Scenario.model_validate({"servers": [{"name": "web-###", "count": 40}]})
    spec = Spec(seed=1, scenario=scenario, rollout=Rollout(Share(40.0)), limits=ApiLimits(rate_per_s=0.1))
    trace = run_scenario(spec)
    first = next(sent for sent in trace.sent if sent.operation == "stop")
    # Twice what a tenth of a request a second allows in the minute that a stop is taken for before one has ended.
    assert len(first.servers) == 12
    assert {target.state for target in trace.targets.values()} == {TargetState.DONE}
