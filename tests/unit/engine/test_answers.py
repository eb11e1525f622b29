"""One request, answered in a commit of its own: with its effect, or refused where another run has a server."""

from fleetos.clock import SystemClock
from fleetos.engine.answers import answer_alone
from fleetos.model.journal.events import Released, RequestAnswered, RunWaveFinished, RunWaveOpened
from fleetos.model.journal.requests import RequestArguments, RequestKind, RequestOutcome
from fleetos.model.states import Reason, TargetState
from fleetos.model.steering.rollout import BetweenWaves, Steering, Wave
from tests.support.builders import START, a_target
from tests.unit.engine.harness import EngineHarness

S = TargetState


async def answer(harness: EngineHarness, kind: RequestKind, *servers: str) -> list[object]:
    """Answer the request, and return the events of its commit."""
    harness.store.add_request(kind, "anna", START, "because", RequestArguments(servers))
    (request,) = harness.store.requests.values()
    before = len(harness.store.records)
    journal = harness.store.open_journal(harness.journal_clock)
    turn, records = await answer_alone(journal, harness.progress(), request, SystemClock().now())
    await journal.release()
    assert [record.event for record in records] == turn.events
    assert len(harness.store.records[before:]) >= len(records)
    assert not harness.store.requests
    return list(turn.events)


async def test_a_server_that_another_run_has_is_not_released_and_none_beside_it() -> None:
    held = [a_target(number, state=S.HELD, reason=Reason.OPERATOR) for number in (1, 2)]
    harness = EngineHarness(targets=[*held, a_target(3)])
    harness.store.taken[held[1].server_id] = "other"
    (said,) = await answer(harness, RequestKind.RELEASE, *(target.server_id for target in held))
    assert isinstance(said, RequestAnswered)
    assert said.outcome is RequestOutcome.REFUSED
    assert "run other holds" in said.detail
    assert {harness.store.targets[target.server_id].state for target in held} == {S.HELD}
    del harness.store.taken[held[1].server_id]
    first, second, said = await answer(harness, RequestKind.RELEASE, *(target.server_id for target in held))
    assert isinstance(first, Released)
    assert isinstance(second, Released)
    assert isinstance(said, RequestAnswered)
    assert said.outcome is RequestOutcome.DONE
    assert {harness.store.targets[target.server_id].state for target in held} == {S.WAITING}


async def test_a_hold_of_the_last_member_ends_the_wave_in_its_commit() -> None:
    steering = Steering(waves=tuple(Wave(number, None, 1, BetweenWaves()) for number in (1, 2)))
    harness = EngineHarness(
        targets=[a_target(number, wave=number) for number in (1, 2)],
        further_events=[RunWaveOpened(1)],
        steering=steering,
    )
    events = await answer(harness, RequestKind.HOLD, a_target(1).server_id)
    assert isinstance(events[-1], RunWaveFinished)
    assert harness.store.run.wave_finished_at is not None
