"""The state of a rollout that follows every turn is the one that a driver which takes the run over would work out."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import pytest

from fleetos.clock import SystemClock
from fleetos.engine.engine import Engine, Intervals
from fleetos.engine.rollout.state import RolloutState
from fleetos.model.journal.requests import RequestArguments, RequestKind
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, QUEUED, RETRIABLE, Command, RunState
from fleetos.model.steering.rollout import Budgets, GroupRule, OfLast, OnExceeded, Steering
from fleetos.model.steering.share import Share
from tests.support.builders import START, a_target
from tests.support.clouds.small import LOST_AFTER, LOST_BEFORE, WriteResult, refused
from tests.unit.engine.harness import PATIENCE_S, QUICK, EngineHarness
from tests.unit.engine.test_engine_waves import waves

K = RequestKind
ANSWERS = (refused(None, 429), refused("Ecs.0100"), refused("Ecs.0031"), LOST_AFTER, LOST_BEFORE)
SIZES = (2, 3, 4)
STEERING = Steering(
    waves=waves(*SIZES, max_failed=1),
    groups=(GroupRule("az", Share(2)),),
    budgets=Budgets(4, OfLast(2, 4), OnExceeded.PAUSE),
)


def members() -> list[Target]:
    numbers = [wave for wave, size in enumerate(SIZES, 1) for _ in range(size)]
    return [a_target(one, wave=wave, az=f"az-{one % 2}") for one, wave in enumerate(numbers, 1)]


def facts(state: RolloutState, progress: Progress) -> Sequence[object]:
    """All of a state that an engine which begins anew would have as well."""
    failures, lanes = state.failures, state.lanes
    # Which of those that ended in one turn was the last is known to the driver alone.
    ended = sorted((server_id, end.failed, end.done) for server_id, end in failures._ended.items())
    waiting = {server_id: (lane._replace(parked=None), place) for server_id, (lane, place) in lanes._lane_of.items()}
    out = {group.key: sorted(group.out) for group in state.groups}
    in_waves = [(failures.failed_in(wave), state._ended[wave]) for wave in range(len(SIZES) + 1)]
    assert waiting.keys() == {target.server_id for target in progress.targets.values() if target.state in QUEUED}
    return failures.failed, failures.done, ended, waiting, out, in_waves


def rebuilt(engine: Engine, progress: Progress) -> RolloutState:
    """The state of an engine that begins now, and has looked at the servers when this one did."""
    now, state = SystemClock().now(), engine._tracker.rollout
    fresh = RolloutState(progress, engine._tracker.changes, now)
    for target in progress.targets.values():
        fresh.groups.update(target, state._looks.find(target.server_id))
    for target in progress.targets.values():
        if target.state in QUEUED:
            fresh.lanes.add_target(target, fresh.standing(progress.run, now))
    return fresh


def choose_request(rng: random.Random, progress: Progress) -> tuple[RequestKind, RequestArguments]:
    kind = rng.choice((K.HOLD, K.RELEASE, K.RETRY, K.RETRY, K.SKIP, K.PAUSE, K.RESUME))
    fits: dict[RequestKind, Callable[[Target], bool]] = {
        K.HOLD: lambda target: target.state in AHEAD | QUEUED,
        K.RELEASE: lambda target: target.held_by_operator,
        K.RETRY: lambda target: target.state in RETRIABLE,
        K.SKIP: lambda target: target.state in QUEUED | RETRIABLE,
    }
    targets = [target for target in progress.targets.values() if kind in fits and fits[kind](target)]
    chosen = rng.sample(targets, min(1, len(targets)))
    disks = {target.server_id: target.last_disk for target in chosen}
    return kind, RequestArguments(tuple(disks), disks=disks)


@pytest.mark.parametrize("seed", range(4))
async def test_it_is_at_every_turn_what_a_new_driver_would_work_out(seed: int) -> None:
    rng, left = random.Random(seed), 20
    harness = EngineHarness(settings=replace(QUICK, concurrency=3), targets=members(), steering=STEERING)
    harness.intervals = Intervals(turn_s=0.02, requests_s=0.002)

    def decide(verb: str, _: tuple[str, ...]) -> WriteResult | None:
        return rng.choice(ANSWERS) if verb == "change" and rng.random() < 0.5 else None

    def act(progress: Progress) -> None:
        nonlocal left
        assert facts(engine._tracker.rollout, progress) == facts(rebuilt(engine, progress), progress)
        if left and rng.random() < 0.3:
            left -= 1
            kind, arguments = choose_request(rng, progress)
            harness.store.add_request(kind, "anna", START, "because", arguments)

    harness.cloud.decides, harness.watcher.act = decide, act
    for _ in range(10):
        engine = harness.engine()
        with anyio.fail_after(PATIENCE_S):
            await engine.drive("host:1", Command.REQUEST)
        if harness.store.run.state is not RunState.PAUSED:
            break
        harness.store.add_request(K.RESUME, "anna", START, "go on")
    # Servers that stay broken may keep the others of their zone waiting for ever.
    assert harness.ended().run.state in (RunState.DONE, RunState.PAUSED)
