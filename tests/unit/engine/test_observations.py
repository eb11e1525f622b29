"""What has been seen of a target: what still counts after more looks."""

from dataclasses import replace

from fleetos.engine.observations import TargetObservations
from fleetos.limits import EVIDENCE_MAX_GAP_S
from fleetos.model.journal.events import Event, PowerAnswered, PowerIntended
from fleetos.model.run import PowerOutcome
from fleetos.model.states import TargetState
from fleetos.model.traces import NO_TRACES
from fleetos.rules.observation import Observation
from tests.support.builders import STOPPED, a_target
from tests.unit.rules.contexts import moment


def look(at_s: float) -> Observation:
    return Observation(STOPPED, moment(at_s), moment(at_s), single=True)


def test_what_the_log_said_counts_with_the_looks_that_it_was_asked_for_and_no_others() -> None:
    state = TargetState.INSPECTING
    seen = TargetObservations(moment(0), moment(0)).with_observation(state, look(0)).with_observation(state, look(30))
    asked = replace(seen, traces=NO_TRACES)
    assert asked.with_observation(state, look(60)).traces == NO_TRACES
    assert asked.with_observation(state, look(31 + EVIDENCE_MAX_GAP_S)).traces is None


def test_what_was_seen_before_a_stop_was_meant_or_had_ended_does_not_count_after_it() -> None:
    stopping = a_target(1, state=TargetState.STOPPING)
    seen = TargetObservations(moment(0), moment(0)).with_observation(stopping.state, look(10))
    events: list[Event] = [
        PowerIntended(stopping.server_id, "call", "stop", hard=False, size=1),
        PowerAnswered(stopping.server_id, "call", PowerOutcome.ENDED),
        PowerAnswered(stopping.server_id, "call", PowerOutcome.UNKNOWN),
    ]
    for event in events:
        after = seen.after_event(stopping, stopping, event, moment(20))
        assert after.series is None, event
        # Nor does one that was on its way by then; the state is the same one, and so is how long it has been there.
        assert after.with_observation(stopping.state, look(19)).series is None
        assert after.with_observation(stopping.state, look(20)).series is not None
        assert after.entered_at == moment(0)
    taken = PowerAnswered(stopping.server_id, "call", PowerOutcome.ACCEPTED, job_id="job")
    assert seen.after_event(stopping, stopping, taken, moment(20)) is seen


def test_only_reads_of_the_server_alone_are_evidence_for_an_unknown_outcome() -> None:
    listed = replace(look(10), single=False)
    begun = TargetObservations(moment(0), moment(0))
    assert begun.with_observation(TargetState.INSPECTING, listed).series is None
    assert begun.with_observation(TargetState.CHECKING, listed).series is not None
