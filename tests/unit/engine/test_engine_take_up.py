"""Servers that are taken up again while their run is driven: in order, by claims of their own commit, and once."""

from dataclasses import replace
from datetime import timedelta

from fleetos.engine.engine import Intervals
from fleetos.engine.undriven import answer_requests
from fleetos.model.journal.events import ChangeIntended, Moved, RequestAnswered, RunMoved
from fleetos.model.journal.requests import RequestArguments, RequestKind, RequestOutcome
from fleetos.model.progress import Progress
from fleetos.model.states import Command, Reason, RunState, TargetState
from fleetos.model.steering.rollout import Steering
from tests.support.builders import START, a_target
from tests.unit.engine.harness import QUICK, EngineHarness
from tests.unit.engine.test_engine_waves import fails, members, steps, waves

K, R, S = RequestKind, RequestOutcome, TargetState
ONCE = replace(QUICK, attempts=1, concurrency=3)
SLOW = replace(QUICK, concurrency=1)
SOON = Intervals(requests_s=0.001)


def server_id(number: int) -> str:
    return f"server-{number:04}"


def ask(harness: EngineHarness, kind: RequestKind, *numbers: int) -> None:
    servers = tuple(server_id(number) for number in numbers)
    disks = {server: harness.store.targets[server].last_disk for server in servers}
    harness.store.add_request(kind, "anna", START, "because", RequestArguments(servers, disks=disks))


def answers(harness: EngineHarness) -> list[RequestAnswered]:
    return [event for event in harness.events if isinstance(event, RequestAnswered)]


def outcomes(harness: EngineHarness) -> list[tuple[int, RequestOutcome]]:
    return [(answer.request, answer.outcome) for answer in answers(harness)]


def held(number: int) -> Moved:
    return Moved(server_id(number), S.HELD, Reason.OPERATOR, detail="anna: in use")


async def test_a_server_that_is_held_and_released_in_one_turn_is_changed_once() -> None:
    harness = EngineHarness(3)
    ask(harness, K.HOLD, 2)
    ask(harness, K.RELEASE, 2)
    ask(harness, K.RELEASE, 2)
    assert (await harness.drive()).run.state is RunState.DONE
    assert outcomes(harness) == [(1, R.DONE), (2, R.DONE), (3, R.NO_EFFECT)]
    assert harness.sent("change") == 3


async def test_the_order_of_the_requests_is_that_in_which_they_were_made() -> None:
    harness = EngineHarness(3, further_events=[held(3)])
    for kind, servers in ((K.PAUSE, ()), (K.RELEASE, (3,)), (K.HOLD, (2,)), (K.RESUME, ()), (K.RELEASE, (2,))):
        ask(harness, kind, *servers)
    assert (await harness.drive(command=Command.REQUEST)).run.state is RunState.DONE
    assert outcomes(harness) == [(number, R.DONE) for number in range(1, 6)]
    assert harness.sent("change") == 3


async def test_an_abort_comes_before_a_release() -> None:
    harness = EngineHarness(2, further_events=[held(2)])
    ask(harness, K.RELEASE, 2)
    ask(harness, K.ABORT)
    assert (await harness.drive()).run.state is RunState.ABORTED
    assert outcomes(harness)[0] == (2, R.DONE)
    assert harness.one(2).state is S.HELD
    assert harness.sent("change") == 0


async def test_what_another_run_has_is_refused_and_the_driver_goes_on() -> None:
    harness = EngineHarness(4, further_events=[held(3), held(4)])
    harness.store.taken[server_id(4)] = "run-other"
    ask(harness, K.RELEASE, 3, 4)
    ask(harness, K.RELEASE, 3)
    progress = await harness.drive()
    assert progress.run.state is RunState.DONE
    refused, done = answers(harness)
    assert (refused.outcome, done.outcome) == (R.REFUSED, R.DONE)
    assert "run-other" in refused.detail
    assert harness.states() == {S.DONE: 3, S.HELD: 1}
    assert not any(claim.held for claim in harness.store.claims.values())


async def test_a_run_without_a_driver_takes_them_up_as_well() -> None:
    harness = EngineHarness(4, further_events=[held(3), held(4)])
    harness.store.taken[server_id(4)] = "run-other"
    ask(harness, K.RELEASE, 4)
    ask(harness, K.RELEASE, 3)
    journal = harness.store.open_journal(harness.journal_clock)
    await answer_requests(journal, harness.progress(), START)
    assert outcomes(harness) == [(1, R.REFUSED), (2, R.DONE)]
    assert harness.one(3).state is S.WAITING
    assert harness.store.claims[server_id(3)].held
    assert harness.sent("change") == 0


async def test_a_driver_that_dies_after_the_answer_leaves_a_server_that_the_next_changes_once() -> None:
    harness = EngineHarness(3, further_events=[held(3)])
    ask(harness, K.RELEASE, 3)
    engine = harness.engine()
    harness.watcher.act = lambda _: engine.leave() if answers(harness) else None
    await engine.drive("host:1", Command.RESUME)
    assert harness.one(3).state is not S.HELD
    harness.watcher.act = None
    assert (await harness.drive()).run.state is RunState.DONE
    assert (outcomes(harness), harness.sent("change")) == ([(1, R.DONE)], 3)


async def test_a_retry_in_mid_run_gives_one_more_attempt_in_the_same_pass() -> None:
    harness = EngineHarness(targets=[a_target(number, attempts_allowed=1) for number in range(1, 5)], settings=SLOW)
    harness.cloud.decides, harness.intervals = fails(1), SOON

    def retry(progress: Progress) -> None:
        if progress.targets[server_id(1)].ended and not harness.store.requests_made:
            harness.cloud.decides = fails()
            ask(harness, K.RETRY, 1)

    harness.watcher.act = retry
    progress = await harness.drive()
    assert (progress.run.state, progress.run.passes) == (RunState.DONE, 1)
    assert harness.states() == {S.DONE: 4}
    intents = [event.attempt for event in harness.events if isinstance(event, ChangeIntended)]
    assert sorted(intents) == [1, 1, 1, 1, 2]


async def test_a_retry_unfinishes_a_wave_that_bakes_anew_before_the_next_opens() -> None:
    steering = Steering(waves=waves(2, 2, bake_s=0.3))
    harness = EngineHarness(settings=ONCE, targets=members(2, 2), steering=steering)
    harness.cloud.decides, harness.intervals = fails(1), SOON

    def retry(progress: Progress) -> None:
        if progress.run.wave_finished_at is not None and not harness.store.requests_made:
            harness.cloud.decides = fails()
            ask(harness, K.RETRY, 1)

    harness.watcher.act = retry
    assert (await harness.drive()).run.state is RunState.DONE
    found = steps(harness)
    ends = [at for what, wave, at in found if (what, wave) == ("finished", 1)]
    (opened,) = (at for what, wave, at in found if (what, wave) == ("opened", 2))
    assert len(ends) == 2
    assert opened - ends[1] >= timedelta(seconds=0.3)
    assert harness.states() == {S.DONE: 4}


async def test_failures_that_remain_pause_a_run_to_which_a_server_comes_back() -> None:
    """Nobody was left whom a pause would spare; the one who is queued again is."""
    ended = [a_target(number, state=S.HELD, reason=Reason.ATTEMPTS_USED_UP) for number in (1, 2)]
    harness = EngineHarness(
        targets=[*ended, a_target(3, state=S.HELD, reason=Reason.OPERATOR)], settings=replace(QUICK, failure_first=2)
    )
    ask(harness, K.RELEASE, 3)
    journal = harness.store.open_journal(harness.journal_clock)
    await answer_requests(journal, harness.progress(), START)
    assert outcomes(harness) == [(1, R.DONE)]
    assert [event.reason for event in harness.events if isinstance(event, RunMoved)] == [Reason.BUDGET]
