"""Groups: no more servers of one are out than may be, whatever the cause, and the broken can be mended."""

from dataclasses import replace

import anyio
import pytest

from fleetos.clock import SystemClock
from fleetos.engine.facts import ServerRead
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import Moved
from fleetos.model.progress import Progress
from fleetos.model.run import Outcome, Target
from fleetos.model.states import IN_FLIGHT, Command, Reason, RunState, TargetState
from fleetos.model.steering.rollout import GroupRule, Steering
from fleetos.model.steering.share import Share
from fleetos.rules.groups import LOOK_EXPIRES
from fleetos.rules.observation import Observation
from tests.support.builders import RUNNING, START, STOPPED, a_target, an_attempt
from tests.unit.engine.harness import PATIENCE_S, QUICK, EngineHarness

S = TargetState
WIDE = replace(QUICK, concurrency=6)
PAIRS = Steering(groups=(GroupRule("label:pair", Share(1)),))
ZONES = Steering(groups=(GroupRule("az", Share(2)),))


def zoned(number: int, zones: int = 2) -> list[Target]:
    return [a_target(one, az=f"az-{one % zones}", labels={"pair": f"p{one // 2}"}) for one in range(1, number + 1)]


def watch_out(harness: EngineHarness, key: str) -> list[int]:
    """The most servers of one group that were out at once, turn by turn."""
    most: list[int] = []

    def act(progress: Progress) -> None:
        out: dict[str, int] = {}
        for target in progress.targets.values():
            value = target.az if key == "az" else target.labels["pair"]
            out[value or ""] = out.get(value or "", 0) + (target.state in IN_FLIGHT)
        most.append(max(out.values()))

    harness.watcher.act = act
    return most


async def test_of_a_zone_no_more_are_out_at_once_than_may_be() -> None:
    harness = EngineHarness(settings=WIDE, targets=zoned(12), steering=ZONES)
    most = watch_out(harness, "az")
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.states() == {S.DONE: 12}
    assert max(most) == 2


async def test_of_a_pair_one_serves_while_the_other_is_changed() -> None:
    harness = EngineHarness(settings=WIDE, targets=zoned(12), steering=PAIRS)
    most = watch_out(harness, "pair")
    assert (await harness.drive()).run.state is RunState.DONE
    assert max(most) == 1
    assert harness.cloud.most_changing > 2


async def test_a_server_that_somebody_else_has_stopped_is_out_and_is_changed_first() -> None:
    targets = [
        a_target(one, labels={"pair": "p"}, baseline=STOPPED if one == 3 else a_target().baseline) for one in (1, 2, 3)
    ]
    harness = EngineHarness(settings=WIDE, targets=targets, steering=PAIRS)
    show(harness, 3, STOPPED)
    progress = await harness.drive()
    admitted = [event.server_id for event in harness.events if isinstance(event, Moved) and event.to is S.CHECKING]
    assert admitted == ["server-0003", "server-0001", "server-0002"]
    assert progress.run.state is RunState.DONE


async def test_a_run_in_which_nobody_may_go_out_pauses_once_it_is_stuck() -> None:
    held = a_target(3, labels={"pair": "p"})
    harness = EngineHarness(
        settings=WIDE,
        targets=[a_target(1, labels={"pair": "p"}), held],
        further_events=[Moved(held.server_id, S.HELD, Reason.LOCKED)],
        steering=PAIRS,
    )
    show(harness, 3, STOPPED)
    run = (await harness.drive()).run
    assert (run.state, run.reason) == (RunState.PAUSED, Reason.STUCK)
    assert "1 of 1 out: web-0003 down" in run.detail
    assert harness.sent("change") == harness.sent("stop") == 0


def show(harness: EngineHarness, number: int, picture: ServerSnapshot) -> None:
    """Let the cloud show a server so."""
    harness.cloud.pictures[f"server-{number:04}"] = picture


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [(Outcome.NO_EFFECT, (S.DONE, None)), (Outcome.REFUSED, (S.WAITING, Reason.STUCK))],
    ids=["waits where it is", "taken back"],
)
async def test_one_that_was_admitted_and_is_kept_by_its_group_does_not_wait_for_ever(
    outcome: Outcome, ends: tuple[TargetState, Reason | None]
) -> None:
    """Nobody is left in the queue for whom the driver would look at the other member, which serves again by now."""
    ahead = a_target(
        1,
        labels={"pair": "p"},
        state=S.CHECKING,
        attempts=(an_attempt(outcome=outcome, ended_at=START),),
        attempts_allowed=2,
    )
    other = a_target(2, labels={"pair": "p"})
    held = Moved(other.server_id, S.HELD, Reason.LOCKED)
    harness = EngineHarness(settings=WIDE, targets=[ahead, other], further_events=[held], steering=PAIRS)
    if outcome is Outcome.REFUSED:
        show(harness, 2, STOPPED)
    engine, now = harness.engine(), SystemClock().moment()
    earlier = replace(now, wall=now.wall - LOOK_EXPIRES)
    turn = engine._tracker.begin_turn(now)
    engine._tracker.rollout.add_look(turn, ServerRead(other.server_id, Observation(STOPPED, earlier, now, single=True)))
    with anyio.fail_after(PATIENCE_S):
        await engine.drive("host:1", Command.RESUME)
    assert (harness.one(1).state, harness.store.run.reason) == ends


def test_a_look_counts_also_if_the_clock_was_set_back_since_the_one_before() -> None:
    harness = EngineHarness(targets=zoned(2), steering=ZONES)
    engine, now = harness.engine(), SystemClock().moment()
    rollout, turn = engine._tracker.rollout, engine._tracker.begin_turn(now)
    for picture, requested in ((RUNNING, replace(now, wall=now.wall + 12 * LOOK_EXPIRES)), (STOPPED, now)):
        seen = Observation(picture, requested, requested, single=True)
        rollout.add_look(turn, ServerRead("server-0001", seen))
    assert rollout.groups.is_out("server-0001")
