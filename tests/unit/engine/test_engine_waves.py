"""Waves: each opens after the end and the bake of the one before, and the run ends after the last bake."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleetos.clock import SystemClock
from fleetos.model.journal.events import (
    Moved,
    RequestAnswered,
    Retried,
    RunApproved,
    RunMoved,
    RunPassStarted,
    RunWaveFinished,
    RunWaveOpened,
)
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import RequestArguments, RequestKind, RequestOutcome
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import Command, Reason, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves, Budgets, OfLast, OnExceeded, Steering, Wave
from fleetos.rules.waves import reopen_wave
from fleetos.store.memory_journal import CommitFaults
from tests.support.builders import START, a_target
from tests.support.clouds.small import WriteResult, refused
from tests.unit.engine.harness import NO_BEAT_S, QUICK, EngineHarness

S = TargetState
ONCE = replace(QUICK, attempts=1, concurrency=3)


def waves(*sizes: int, bake_s: float = 0.0, max_failed: int | None = None) -> tuple[Wave, ...]:
    between = BetweenWaves(bake_s)
    return tuple(Wave(number, None, size, between, max_failed) for number, size in enumerate(sizes, 1))


def members(*sizes: int) -> list[Target]:
    numbers = [wave for wave, size in enumerate(sizes, 1) for _ in range(size)]
    return [a_target(position, wave=wave, attempts_allowed=1) for position, wave in enumerate(numbers, 1)]


def fails(*numbers: int) -> Callable[[str, tuple[str, ...]], WriteResult | None]:
    """The cloud refuses the changes of these servers for good."""
    servers = {f"server-{number:04}" for number in numbers}
    return lambda verb, ids: refused("Ecs.0031") if verb == "change" and ids[0] in servers else None


async def retry(harness: EngineHarness, number: int) -> None:
    """Begin a next pass, in which the operator retries a server."""
    run, target = harness.store.run, harness.one(number)
    begins, retried = RunPassStarted(run.passes + 1), Retried(target.server_id, target.disk, run.passes + 1)
    at, reopened = harness.store.records[-1].at, reopen_wave(run, [target])
    after, changed = run, fold_target(target, retried, at)
    for event in (begins, *reopened):
        after = fold_run(after, event, at)
    journal = harness.store.open_journal(harness.journal_clock, CommitFaults(), NO_BEAT_S)
    await journal.append(after, [begins, *reopened, retried], [changed], at)


def steps(harness: EngineHarness) -> list[tuple[str, int, datetime]]:
    """Openings, admissions and ends, with the number of the wave, in their order."""
    found: list[tuple[str, int, datetime]] = []
    for record in harness.store.records:
        match record.event:
            case RunWaveOpened(number):
                found.append(("opened", number, record.at))
            case RunWaveFinished(number):
                found.append(("finished", number, record.at))
            case Moved(server_id, S.CHECKING):
                found.append(("admitted", harness.store.targets[server_id].wave, record.at))
            case _:
                pass
    return found


async def test_a_wave_opens_with_its_first_admission_after_the_end_and_the_bake_of_the_one_before() -> None:
    steering = Steering(waves=waves(1, 4, 3, bake_s=0.2))
    harness = EngineHarness(settings=ONCE, targets=members(1, 4, 3), steering=steering)
    progress = await harness.drive()
    assert progress.run.state is RunState.DONE
    found = steps(harness)
    order = [(what, wave) for what, wave, _ in found]
    assert order == [
        *(("opened", 1), ("admitted", 1), ("finished", 1)),
        *(("opened", 2), *[("admitted", 2)] * 4, ("finished", 2)),
        *(("opened", 3), *[("admitted", 3)] * 3, ("finished", 3)),
    ]
    at = {(what, wave): at for what, wave, at in found}
    baked = timedelta(seconds=0.2)
    assert at["opened", 2] - at["finished", 1] >= baked
    assert at["opened", 3] - at["finished", 2] >= baked
    assert progress.run.ended_at is not None
    assert progress.run.ended_at - at["finished", 3] >= baked


async def test_a_process_that_takes_the_run_over_goes_on_where_the_waves_stand() -> None:
    steering = Steering(waves=waves(1, 4, bake_s=0.3))
    harness = EngineHarness(settings=ONCE, targets=members(1, 4), steering=steering)
    engine = harness.engine()
    harness.watcher.act = lambda progress: engine.leave() if progress.run.wave_finished_at else None
    await engine.drive("host:1", Command.RESUME)
    assert harness.sent("change") == 1
    harness.watcher.act = None
    assert (await harness.drive()).run.state is RunState.DONE
    at = {(what, wave): at for what, wave, at in steps(harness)}
    assert at["opened", 2] - at["finished", 1] >= timedelta(seconds=0.3)


async def test_a_wave_of_which_all_members_have_ended_already_opens_and_finishes() -> None:
    targets = members(1, 2, 1)
    skipped = [Moved(target.server_id, S.SKIPPED, Reason.ALREADY_ON_IMAGE) for target in targets if target.wave == 2]
    harness = EngineHarness(
        settings=ONCE, targets=targets, further_events=skipped, steering=Steering(waves=waves(1, 2, 1))
    )
    assert (await harness.drive()).run.state is RunState.DONE
    assert [wave for what, wave, _ in steps(harness) if what == "opened"] == [1, 2, 3]
    assert harness.states() == {S.DONE: 2, S.SKIPPED: 2}


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        (Budgets(max_failed=1), "more than 1 of 12 failed (2)"),
        (Budgets(of_last=OfLast(1, 6)), "more than 1 of the last 6 failed (2)"),
    ],
)
async def test_a_budget_that_is_exceeded_pauses_the_run_in_that_turn(budgets: Budgets, words: str) -> None:
    harness = EngineHarness(12, ONCE, steering=Steering(budgets=budgets))
    harness.cloud.decides = fails(3, 4)
    progress = await harness.drive()
    run = progress.run
    assert (run.state, run.reason, run.detail) == (RunState.PAUSED, Reason.BUDGET, words)
    assert progress.flight == 0
    events = harness.events
    paused = next(at for at, event in enumerate(events) if isinstance(event, RunMoved) and event.to is RunState.PAUSED)
    assert not any(isinstance(event, Moved) and event.to is S.CHECKING for event in events[paused:])


async def test_failures_that_lie_further_back_are_none_of_the_last() -> None:
    harness = EngineHarness(12, replace(ONCE, concurrency=1), steering=Steering(budgets=Budgets(of_last=OfLast(1, 3))))
    harness.cloud.decides = fails(1, 5, 9)
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.states() == {S.FAILED: 3, S.DONE: 9}


async def test_the_budget_of_a_wave_counts_its_members_alone() -> None:
    steering = Steering(waves=waves(4, 8, max_failed=1))
    harness = EngineHarness(settings=replace(ONCE, concurrency=1), targets=members(4, 8), steering=steering)
    harness.cloud.decides = fails(2, 6, 7)
    run = (await harness.drive()).run
    assert (run.state, run.detail) == (RunState.PAUSED, "more than 1 of 8 of wave 2 failed (2)")
    harness.store.add_request(RequestKind.RESUME, "ops", START, "they were mended by hand")
    await harness.engine().drive("host:2", Command.REQUEST)
    assert harness.ended().run.state is RunState.DONE


async def test_a_budget_may_end_the_run() -> None:
    steering = Steering(budgets=Budgets(max_failed=1, on_exceeded=OnExceeded.END))
    harness = EngineHarness(12, ONCE, steering=steering)
    harness.cloud.decides = fails(2, 3)
    run = (await harness.drive()).run
    assert (run.state, run.reason) == (RunState.FAILED, Reason.BUDGET)
    states = harness.states()
    assert (states[S.FAILED], states[S.DONE] + states[S.CANCELLED]) == (2, 10)
    assert states[S.CANCELLED] >= 5
    assert all(target.stopped_at is None for target in harness.store.targets.values() if target.state is S.CANCELLED)


async def test_a_retry_of_the_last_wave_bakes_anew() -> None:
    harness = EngineHarness(settings=ONCE, targets=members(1, 1), steering=Steering(waves=waves(1, 1, bake_s=0.1)))
    harness.cloud.decides = fails(2)
    assert (await harness.drive()).run.state is RunState.DONE
    harness.cloud.decides = fails()
    await retry(harness, 2)
    assert (await harness.drive()).run.state is RunState.DONE
    finished = [at for what, wave, at in steps(harness) if (what, wave) == ("finished", 2)]
    ended_at = harness.store.run.ended_at
    assert len(finished) == 2
    assert ended_at is not None
    assert ended_at - finished[1] >= timedelta(seconds=0.1)


def ask(harness: EngineHarness, kind: RequestKind, by: str = "ben", **arguments: Any) -> None:
    harness.store.add_request(kind, by, SystemClock().now(), "because", RequestArguments(**arguments))


async def drive_to_the_end_of_a_wave(harness: EngineHarness) -> None:
    engine = harness.engine()
    harness.watcher.act = lambda progress: engine.leave() if progress.run.wave_finished_at else None
    await engine.drive("host:1", Command.RESUME)
    harness.watcher.act = None


def answers(harness: EngineHarness) -> list[RequestOutcome]:
    return [event.outcome for event in harness.events if isinstance(event, RequestAnswered)]


async def test_a_driver_that_waits_for_an_approval_opens_the_wave_with_it() -> None:
    between = BetweenWaves(approval=Approval(of=2))
    steering = Steering(waves=(Wave(1, None, 1, between), Wave(2, None, 3, BetweenWaves())))
    harness = EngineHarness(settings=ONCE, targets=members(1, 3), steering=steering)

    def approve(progress: Progress) -> None:
        if progress.run.wave_finished_at and not harness.store.requests_made:
            for by in ("ben", "ben", "carl"):
                ask(harness, RequestKind.APPROVE, by, wave=2)

    harness.watcher.act = approve
    assert (await harness.drive()).run.state is RunState.DONE
    assert answers(harness) == [RequestOutcome.DONE, RequestOutcome.REFUSED, RequestOutcome.DONE]
    events = harness.events
    last = max(at for at, event in enumerate(events) if isinstance(event, RunApproved))
    assert events.index(RunWaveOpened(2)) > last
    assert harness.sent("change") == 4


async def test_a_promotion_ends_the_bake_for_the_process_that_drives_next() -> None:
    steering = Steering(waves=(*waves(2, bake_s=3600.0), Wave(2, None, 1, BetweenWaves())))
    harness = EngineHarness(settings=ONCE, targets=members(2, 1), steering=steering)
    await drive_to_the_end_of_a_wave(harness)
    assert harness.sent("change") == 2
    ask(harness, RequestKind.PROMOTE, wave=1)
    assert (await harness.drive()).run.state is RunState.DONE
    assert answers(harness) == [RequestOutcome.DONE]


async def test_a_server_that_is_skipped_after_its_wave_has_ended_does_not_unfinish_it() -> None:
    steering = Steering(waves=(*waves(2, bake_s=1.6), Wave(2, None, 1, BetweenWaves())))
    harness = EngineHarness(settings=ONCE, targets=members(2, 1), steering=steering)
    harness.cloud.decides = fails(2)

    def skip(progress: Progress) -> None:
        if progress.run.wave_finished_at and not harness.store.requests_made:
            ask(harness, RequestKind.SKIP, servers=("server-0002",))

    harness.watcher.act = skip
    assert (await harness.drive()).run.state is RunState.DONE
    assert answers(harness) == [RequestOutcome.DONE]
    assert [wave for what, wave, _ in steps(harness) if what == "finished"] == [1, 2]
