"""What happens between a decision and its effect: an abort, a long wait for a permit, a hand-over to a human."""

from dataclasses import replace

import anyio
import pytest

from fleetos.engine.protocols import LastCheck, Permit
from fleetos.model.inventory import Picture, Reply
from fleetos.model.progress import Progress
from fleetos.model.requests import Request, RequestKind
from fleetos.model.run import End
from fleetos.model.states import Reason, RunState, TargetState
from tests.unit.engine.stage import QUICK, SmallCloud, Stage
from tests.unit.model.samples import RUNNING, START, STOPPED, a_target

S = TargetState
ABORT = Request(1, RequestKind.ABORT, "ops", START)


class SlowToLeave(SmallCloud):
    """A cloud to which the connection is made only after the abort is durable."""

    async def _write(self, verb: str, server_ids: tuple[str, ...], permit: Permit, last_check: LastCheck) -> Reply:
        assert self.gate is not None
        await self.gate.wait()
        return await super()._write(verb, server_ids, permit, last_check)


@pytest.mark.parametrize("picture", [RUNNING, STOPPED], ids=["stop", "change"])
async def test_an_abort_is_heard_by_a_write_that_has_not_left_yet(picture: Picture) -> None:
    stage = Stage(picture=picture)
    stage.cloud = SlowToLeave(stage.journal, list(stage.journal.targets), picture)
    stage.cloud.gate = aborted = anyio.Event()

    def ask(progress: Progress) -> None:
        if progress.run.state is RunState.FINISHING:
            aborted.set()
        elif stage.one().calls or progress.counts[S.SUBMITTING]:
            stage.journal.asked = [ABORT]

    stage.watcher.act = ask
    assert (await stage.drive()).run.state is RunState.ABORTED
    assert stage.cloud.sent == []
    assert stage.states() == {S.CANCELLED: 1}


async def test_a_start_that_waited_for_its_permit_looks_again() -> None:
    down = a_target(1, state=S.RESTORING, stopped_at=START, then=End(S.FAILED, Reason.REFUSED, ""))
    stage = Stage(settings=QUICK, targets=[down], picture=STOPPED)
    stage.cloud.permits, stage.cloud.reads_a_work = 0, 20

    async def change_it_late() -> None:
        await anyio.sleep(2 * QUICK.settle_s)
        stage.cloud._begin("change", (down.server_id,))
        await anyio.sleep(2 * QUICK.settle_s)
        stage.cloud.permits = None

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(change_it_late)
        await stage.drive()
    assert stage.cloud.sent == []


async def test_a_hard_stop_is_sent_by_a_look_from_after_the_soft_one() -> None:
    stage = Stage(settings=replace(QUICK, stop_timeout_s=0.2))
    stage.cloud.reads_a_work = 1_000_000
    looks: list[int] = []

    def before(_verb: str, _server_ids: tuple[str, ...]) -> None:
        looks.append(stage.cloud.requests["server"] + stage.cloud.requests["sweep"])

    stage.cloud.decides = before
    await stage.drive()
    soft, hard = looks
    assert hard > soft
