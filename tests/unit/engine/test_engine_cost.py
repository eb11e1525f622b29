"""What a run costs: operations for each target must not grow with the number of targets."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

import fleetos
from fleetos.engine import tracker
from fleetos.model.run import Target
from fleetos.model.states import Command, TargetState
from fleetos.rules.decide import decide
from fleetos.rules.needs import Context, Decision
from tests.unit.engine.harness import QUICK, EngineHarness

pytestmark = pytest.mark.slow

ROOM = str(Path(fleetos.__file__).parent)
# No wait is near the time that so many targets take, so that load on the machine makes no extra reads.
CALM = replace(QUICK, settle_s=10.0, stop_timeout_s=60.0, change_timeout_s=60.0)


@contextmanager
def counting(counts: dict[str, int]) -> Generator[None]:
    """Counts the calls of our own functions, by name."""

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(ROOM):
            name = frame.f_code.co_qualname
            counts[name] = counts.get(name, 0) + 1

    before: Callable[..., object] | None = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


async def cost(number: int, concurrency: int) -> dict[str, int]:
    harness = EngineHarness(number, replace(CALM, concurrency=concurrency))
    engine = harness.engine()
    counts: dict[str, int] = {}
    with counting(counts):
        await engine.drive("host:1", Command.RESUME)
    harness.ended()
    assert harness.states() == {TargetState.DONE: number}
    return counts


@pytest.mark.parametrize("few", [40, pytest.param(80, marks=pytest.mark.proof)])
@pytest.mark.parametrize("wide", [False, True], ids=["twenty-at-once", "all-at-once"])
async def test_the_cost_of_a_target_does_not_grow_with_the_run(wide: bool, few: int) -> None:
    many = 4 * few
    small = await cost(few, few if wide else 20)
    large = await cost(many, many if wide else 20)
    assert sum(large.values()) / many < 1.25 * sum(small.values()) / few
    assert large["decide"] / many < 1.25 * small["decide"] / few
    assert large["decide"] / many < 40


@pytest.mark.parametrize("number", [400, pytest.param(2000, marks=pytest.mark.proof)])
async def test_many_targets_on_an_instant_cloud(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = EngineHarness(number, replace(CALM, concurrency=number // 4))
    harness.cloud.reads_a_work = 1
    decisions = 0

    def counted(target: Target, context: Context) -> Decision:
        nonlocal decisions
        decisions += 1
        return decide(target, context)

    monkeypatch.setattr(tracker, "decide", counted)
    await harness.drive()
    assert harness.states() == {TargetState.DONE: number}
    assert harness.sent("change") == number
    assert harness.cloud.most_changing <= number // 4
    assert number < decisions < 40 * number
    # Few stops, few sweeps, and the journal is told in few transactions.
    assert harness.sent("stop") < 40
    assert harness.cloud.requests["sweep"] < 100
    assert harness.commits < 400
