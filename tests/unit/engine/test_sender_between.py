"""What happens between a decision and its effect: an abort, a long wait for a permit, a hand-over to a human."""

from dataclasses import replace

import anyio
import pytest

from fleetos.errors import ReadRefused
from fleetos.model.inventory import Reply, ServerSnapshot
from fleetos.model.permit import LastCheck, Permit
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.progress import Progress
from fleetos.model.run import End, Outcome, Target
from fleetos.model.states import Reason, RunState, TargetState
from tests.support.builders import RUNNING, START, STOPPED, a_target, an_attempt
from tests.support.clouds.small import LOST_BEFORE, SmallCloud, refused
from tests.unit.engine.harness import QUICK, EngineHarness

S = TargetState


class SlowToLeave(SmallCloud):
    """A cloud to which the connection is made only after the abort is durable."""

    async def _write(self, verb: str, server_ids: tuple[str, ...], permit: Permit, last_check: LastCheck) -> Reply:
        assert self.gate is not None
        await self.gate.wait()
        return await super()._write(verb, server_ids, permit, last_check)


@pytest.mark.parametrize("picture", [RUNNING, STOPPED], ids=["stop", "change"])
async def test_an_abort_is_heard_by_a_write_that_has_not_left_yet(picture: ServerSnapshot) -> None:
    harness = EngineHarness(picture=picture)
    harness.cloud = SlowToLeave(list(harness.store.targets), picture, harness.records.take_intent)
    harness.cloud.gate = aborted = anyio.Event()

    def ask(progress: Progress) -> None:
        if progress.run.state is RunState.FINISHING:
            aborted.set()
        elif harness.one().calls or progress.counts[S.SUBMITTING]:
            harness.ask_abort()

    harness.watcher.act = ask
    assert (await harness.drive()).run.state is RunState.ABORTED
    assert harness.cloud.sent == []
    assert harness.states() == {S.CANCELLED: 1}


async def test_a_start_that_waited_for_its_permit_looks_again() -> None:
    down = a_target(1, state=S.RESTORING, stopped_at=START, then=End(S.FAILED, Reason.REFUSED, ""))
    harness = EngineHarness(settings=QUICK, targets=[down], picture=STOPPED)
    harness.cloud.permits, harness.cloud.reads_a_work = 0, 20

    async def change_it_late() -> None:
        await anyio.sleep(2 * QUICK.settle_s)
        harness.cloud._begin("change", (down.server_id,))
        await anyio.sleep(2 * QUICK.settle_s)
        harness.cloud.permits = None

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(change_it_late)
        await harness.drive()
    assert harness.cloud.sent == []


async def test_a_hard_stop_is_sent_by_a_look_from_after_the_soft_one() -> None:
    harness = EngineHarness(settings=replace(QUICK, stop_timeout_s=0.2))
    harness.cloud.reads_a_work = 1_000_000
    looks: list[int] = []

    def before(_verb: str, _server_ids: tuple[str, ...]) -> None:
        looks.append(harness.cloud.requests["server"] + harness.cloud.requests["sweep"])

    harness.cloud.decides = before
    await harness.drive()
    soft, hard = looks
    assert hard > soft


UNKNOWN = an_attempt(unanswered=1)
BAD = an_attempt(accepted_at=START, job_id="job-1", outcome=Outcome.FAILED, ended_at=START, fail_reason="no host")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        pytest.param(a_target(1, attempts=(UNKNOWN,)), Reason.OUTCOME_UNKNOWN, id="retried-with-an-unanswered-send"),
        pytest.param(a_target(1, attempts=(BAD,)), Reason.ABORTED, id="retried-after-a-failure"),
        pytest.param(a_target(1, state=S.BACKOFF, attempts=(BAD,)), Reason.ABORTED, id="waits-after-a-failure"),
        pytest.param(a_target(1, state=S.READY, attempts=(BAD,)), Reason.ABORTED, id="ready-after-a-failure"),
    ],
)
async def test_an_abort_calls_nobody_cancelled_whose_server_was_sent_a_change(target: Target, reason: Reason) -> None:
    harness = EngineHarness(settings=QUICK, targets=[target])
    harness.ask_abort()
    await harness.drive()
    assert (harness.one().state, harness.one().reason) == (S.HELD, reason)
    assert harness.one().unsettled is (target.attempt is not None)
    assert harness.cloud.sent == []


async def test_a_proven_change_stays_done_when_its_server_can_be_read_no_more() -> None:
    won = replace(BAD, outcome=Outcome.SUCCEEDED)
    to_stop = a_target(1, baseline=STOPPED, attempts=(won,))
    to_stop = replace(to_stop, state=S.RESTORING, then=End(S.DONE, None, ""))
    harness = EngineHarness(
        settings=replace(QUICK, power_after=PowerAfter.AS_BEFORE, poll_max_s=0.006), targets=[to_stop]
    )
    harness.cloud.read_error = ReadRefused("500")
    await harness.drive()
    assert harness.states() == {S.DONE: 1}
    assert "could not be stopped" in harness.one().detail


# --- stop: api, where no fence is left -----------------------------------------------------------------------

BY_API = replace(QUICK, stop=StopMode.API)


async def test_an_unanswered_send_without_a_fence_is_the_last_one() -> None:
    """Somebody stops the server meanwhile: what is seen of that must not pass for the change."""
    harness = EngineHarness(settings=BY_API)
    harness.cloud.results["change"].append(LOST_BEFORE)

    def stop(progress: Progress) -> None:
        if progress.counts[S.INSPECTING] and not harness.one().attempts[0].adopted:
            harness.cloud._alter("server-0001", task="powering-off")
        if progress.counts[S.CHANGING]:
            harness.cloud._alter("server-0001", task=None, status="SHUTOFF", vm_state="stopped", power=4)

    harness.watcher.act = stop
    await harness.drive()
    assert harness.one().attempts[0].adopted
    assert harness.sent("change") == 1
    assert (harness.one().state, harness.one().reason) == (S.HELD, Reason.OUTCOME_UNKNOWN)
    assert harness.one().unsettled


async def test_a_server_that_the_change_itself_stopped_is_named_when_the_change_fails() -> None:
    harness = EngineHarness(settings=BY_API, targets=[a_target(1, attempts_allowed=1)])

    def fail(progress: Progress) -> None:
        for work in harness.cloud.works.values():
            work.fails = True

    harness.watcher.act = fail
    await harness.drive()
    assert harness.states() == {S.HELD: 1}
    picture = harness.cloud.pictures["server-0001"]
    assert picture is not None
    assert picture.stopped
    assert harness.one().stopped_at is not None


async def test_a_change_that_is_refused_has_stopped_nothing() -> None:
    harness = EngineHarness(settings=BY_API)
    harness.cloud.results["change"].append(refused("Ecs.0005"))
    await harness.drive()
    assert harness.states() == {S.FAILED: 1}
    assert harness.one().stopped_at is None
    assert [verb for verb, _ in harness.cloud.sent] == ["change"]
