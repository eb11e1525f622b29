"""A driver that is asked not to wait leaves once only time or people help, and the next one goes on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from fleetos.engine.engine import Engine
from fleetos.model.progress import Progress
from fleetos.model.states import Command, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves, Steering, Wave
from fleetos.rules.admission.wait_reasons import WaitReason
from tests.support.builders import a_target
from tests.unit.engine.harness import PATIENCE_S, QUICK, EngineHarness
from tests.unit.engine.test_engine_waves import members, waves
from tests.unit.engine.test_engine_windows import opens_in

S, R = TargetState, WaitReason
WIDE = replace(QUICK, concurrency=3)


async def leave(harness: EngineHarness) -> Engine:
    """Return the engine of a process that did not wait."""
    engine = harness.engine()
    with anyio.fail_after(PATIENCE_S):
        await engine.drive("host:1", Command.APPLY, waits=False)
    harness.ended()
    return engine


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize(
    ("steering", "reason", "words"),
    [
        (opens_in(3600, 7200), R.WINDOW, "closed until "),
        (Steering(not_before=in_an_hour()), R.SCHEDULED, "scheduled for "),
    ],
)
async def test_a_driver_leaves_at_once_while_nobody_may_start(
    steering: Steering, reason: WaitReason, words: str
) -> None:
    harness = EngineHarness(3, WIDE, steering=steering)
    engine = await leave(harness)
    assert engine.rest is not None
    assert (engine.rest.reason, harness.store.run.state) == (reason, RunState.RUNNING)
    assert engine.rest.words.startswith(words)
    assert engine.rest.ends_at is not None
    assert harness.cloud.sent == []


@pytest.mark.parametrize(
    ("between", "words"),
    [
        (BetweenWaves(bake_s=3600), "wave 1 is watched until "),
        (BetweenWaves(approval=Approval()), "wave 2 waits for an approval by anybody"),
    ],
)
async def test_a_driver_leaves_after_the_wave_that_may_be_changed(between: BetweenWaves, words: str) -> None:
    two = (Wave(1, None, 2, between), Wave(2, None, 1, between))
    harness = EngineHarness(settings=WIDE, targets=members(2, 1), steering=Steering(waves=two))
    engine = await leave(harness)
    assert engine.rest is not None
    assert engine.rest.words.startswith(words)
    assert harness.states() == {S.DONE: 2, S.WAITING: 1}


async def test_calls_of_a_timer_bring_the_run_to_its_end() -> None:
    steering = Steering(waves=waves(1, 2, bake_s=0.5))
    harness = EngineHarness(settings=WIDE, targets=members(1, 2), steering=steering)
    calls = 0
    while harness.store.run.state is not RunState.DONE:
        await leave(harness)
        calls += 1
        await anyio.sleep(0.1)
    assert calls > 2
    assert harness.sent("change") == 3


def fail_first_change(harness: EngineHarness) -> None:
    """Let the cloud's first change of the run go wrong."""

    def act(_: Progress) -> None:
        for work in list(harness.cloud.works.values()):
            work.fails = work.fails or (work.verb == "change" and harness.sent("change") == 1)

    harness.watcher.act = act


async def test_a_driver_waits_for_a_retry_of_what_a_change_left_broken() -> None:
    steering = Steering(waves=waves(1, 1, bake_s=3600))
    harness = EngineHarness(
        settings=replace(WIDE, backoff_s=0.5, max_backoff_s=0.5),
        targets=[replace(target, attempts_allowed=2) for target in members(1, 1)],
        steering=steering,
    )
    fail_first_change(harness)
    engine = await leave(harness)
    assert engine.rest is not None
    assert engine.rest.words.startswith("wave 1 is watched until ")
    assert (harness.one(1).state, harness.sent("change")) == (S.DONE, 2)


@pytest.mark.slow
async def test_a_driver_does_not_wait_for_a_retry_that_a_window_keeps_back() -> None:
    steering = opens_in(0, 3, (3600, 7200))
    assert steering.windows is not None
    steering = replace(steering, windows=replace(steering.windows, retries="wait"))
    harness = EngineHarness(1, replace(WIDE, backoff_s=3.5, max_backoff_s=3.5), steering=steering)
    fail_first_change(harness)
    engine = await leave(harness)
    assert engine.rest is not None
    assert engine.rest.reason is R.WINDOW
    assert (harness.one(1).state, harness.sent("change")) == (S.BACKOFF, 1)


@pytest.mark.slow
async def test_a_driver_waits_unless_it_is_asked_not_to() -> None:
    harness = EngineHarness(targets=[a_target(1)], steering=opens_in(2, 3600))
    engine = harness.engine()
    with anyio.fail_after(PATIENCE_S):
        await engine.drive("host:1", Command.APPLY)
    assert engine.rest is None
    assert harness.store.run.state is RunState.DONE
