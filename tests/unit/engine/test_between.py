"""What happens between a decision and its effect: an abort, a long wait for a permit, a hand-over to a human."""

import anyio
import pytest

from fleetos.engine.protocols import LastCheck, Permit
from fleetos.model.inventory import Picture, Reply
from fleetos.model.progress import Progress
from fleetos.model.requests import Request, RequestKind
from fleetos.model.states import RunState, TargetState
from tests.unit.engine.stage import SmallCloud, Stage
from tests.unit.model.samples import RUNNING, START, STOPPED

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
