"""Requests to a run that no process drives are answered in one commit, an abort first, and nothing is sent."""

from dataclasses import replace

import pytest

from fleetos.clock import SystemClock
from fleetos.engine.undriven import answer_requests
from fleetos.errors import LeaseLost
from fleetos.model.journal.events import RequestAnswered, RunMoved, RunWaveFinished, RunWaveOpened, RunWaveReopened
from fleetos.model.journal.requests import RequestArguments, RequestKind, RequestOutcome
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves, Steering, Wave
from tests.support.builders import START, a_target
from tests.unit.engine.harness import QUICK, EngineHarness


async def answered(harness: EngineHarness) -> list[tuple[int, RequestOutcome]]:
    """Answer what is asked, and return the answers in their order."""
    before = len(harness.store.records)
    journal = harness.store.open_journal(harness.journal_clock)
    await answer_requests(journal, harness.progress(), SystemClock().now())
    await journal.release()
    events = [record.event for record in harness.store.records[before:]]
    return [(event.request, event.outcome) for event in events if isinstance(event, RequestAnswered)]


async def test_each_is_answered_once_and_an_abort_comes_first() -> None:
    harness = EngineHarness(2)
    harness.store.add_request(RequestKind.PAUSE, "anna", START, "a look")
    harness.store.add_request(RequestKind.ABORT, "berta", START, "the wrong image")
    assert await answered(harness) == [(2, RequestOutcome.DONE), (1, RequestOutcome.NO_EFFECT)]
    assert (harness.store.run.state, harness.store.run.reason) == (RunState.FINISHING, Reason.ABORTED)
    assert await answered(harness) == []
    assert harness.cloud.sent == []


async def test_a_resume_does_not_end_the_pause_of_a_run_whose_servers_failed_meanwhile() -> None:
    ended = [a_target(number, state=TargetState.HELD, reason=Reason.ATTEMPTS_USED_UP) for number in range(1, 6)]
    paused = RunMoved(RunState.PAUSED, Reason.OPERATOR, "a look")
    harness = EngineHarness(
        targets=[*ended, a_target(6)], settings=replace(QUICK, failure_first=5), further_events=[paused]
    )
    harness.store.add_request(RequestKind.RESUME, "anna", START, "looked")
    assert await answered(harness) == [(1, RequestOutcome.DONE)]
    assert (harness.store.run.state, harness.store.run.reason) == (RunState.PAUSED, Reason.BUDGET)


async def test_a_wave_whose_last_server_is_skipped_ends_and_can_be_approved() -> None:
    between = BetweenWaves(approval=Approval())
    steering = Steering(waves=(Wave(1, None, 2, between), Wave(2, None, 1, between)))
    targets = [a_target(1, state=TargetState.DONE, wave=1), a_target(2, wave=1), a_target(3, wave=2)]
    harness = EngineHarness(targets=targets, steering=steering, further_events=[RunWaveOpened(1)])
    ask_of_wave = RequestArguments(wave=2)
    harness.store.add_request(RequestKind.APPROVE, "anna", SystemClock().now(), "too early", ask_of_wave)
    harness.store.add_request(RequestKind.SKIP, "anna", START, "gone", RequestArguments(("server-0002",)))
    assert await answered(harness) == [(1, RequestOutcome.REFUSED), (2, RequestOutcome.DONE)]
    assert harness.store.run.wave_finished_at is not None
    harness.store.add_request(RequestKind.APPROVE, "anna", SystemClock().now(), "it is fine", ask_of_wave)
    assert await answered(harness) == [(3, RequestOutcome.DONE)]
    assert [(approval.wave, approval.by) for approval in harness.store.run.approvals] == [(2, "anna")]


async def test_without_requests_nothing_is_written() -> None:
    harness = EngineHarness(1)
    before = len(harness.store.records)
    assert await answered(harness) == []
    assert [
        record.event for record in harness.store.records[before:] if isinstance(record.event, RequestAnswered)
    ] == []
    assert harness.store.run.state is RunState.RUNNING


async def test_a_process_that_lost_the_run_answers_nothing() -> None:
    harness = EngineHarness(1)
    harness.store.add_request(RequestKind.PAUSE, "anna", START, "a look")
    journal = harness.store.open_journal(harness.journal_clock)
    harness.store.epoch += 1
    with pytest.raises(LeaseLost):
        await answer_requests(journal, harness.progress(), SystemClock().now())
    assert harness.store.run.state is RunState.RUNNING


async def test_a_wave_that_was_unfinished_again_is_watched_anew_from_its_last_end_on() -> None:
    """A retry took a server up again; then it is skipped while no process drives the run."""
    between = BetweenWaves(bake_s=60)
    steering = Steering(waves=(Wave(1, None, 2, between), Wave(2, None, 1, between)))
    targets = [a_target(1, state=TargetState.DONE, wave=1), a_target(2, wave=1), a_target(3, wave=2)]
    events = [RunWaveOpened(1), RunWaveFinished(1), RunWaveReopened(1)]
    harness = EngineHarness(targets=targets, steering=steering, further_events=events)
    assert harness.store.run.wave_finished_at is None
    harness.store.add_request(RequestKind.SKIP, "anna", START, "gone", RequestArguments(("server-0002",)))
    harness.store.add_request(RequestKind.PAUSE, "anna", START, "a look")
    assert await answered(harness) == [(1, RequestOutcome.DONE), (2, RequestOutcome.DONE)]
    ends = [record.at for record in harness.store.records if isinstance(record.event, RunWaveFinished)]
    assert ends == [START, harness.store.run.wave_finished_at]
