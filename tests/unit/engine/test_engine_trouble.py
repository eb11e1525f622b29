"""What stops a run: the journal, the lease, the operator, the cloud's refusals. And what it leaves behind."""

from dataclasses import replace

import anyio
import pytest

from fleetos.errors import (
    AuthenticationFailed,
    FleetosError,
    InputError,
    JournalUnwritable,
    LeaseLost,
    PermissionDenied,
    Problem,
    ReadRefused,
)
from fleetos.limits import LEASE_TERM_S
from fleetos.model.journal.events import PowerIntended, RunMoved
from fleetos.model.progress import Progress
from fleetos.model.run import End, Order, Secrets
from fleetos.model.states import IN_FLIGHT, Command, Reason, RunState, TargetState
from tests.support.builders import START, STOPPED, a_target, an_attempt
from tests.support.clouds.small import LOST_AFTER, refused
from tests.unit.engine.harness import PATIENCE_S, QUICK, EngineHarness, NoSecrets

S = TargetState


async def failing(harness: EngineHarness, error: type[FleetosError]) -> None:
    with anyio.fail_after(PATIENCE_S), pytest.raises(error):
        await harness.engine().drive("host:1", Command.RESUME)


# --- the journal and the lease -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [JournalUnwritable, LeaseLost])
async def test_nothing_is_sent_when_its_intent_is_not_durable(error: type[JournalUnwritable | LeaseLost]) -> None:
    for commit in range(1, 8):
        harness = EngineHarness(3)
        harness.fail_commits(error, commit)
        await failing(harness, error)
        intents = [event for event in harness.events if event.kind in ("change-intended", "power-intended")]
        named = sum(len(server_ids) for _, server_ids in harness.cloud.sent)
        assert named <= len(intents)
        harness.ended()


@pytest.mark.parametrize("appends", range(1, 30))
async def test_a_crash_at_any_append_is_resumed_and_changes_every_server_once(appends: int) -> None:
    harness = EngineHarness(4, replace(QUICK, concurrency=3))
    harness.fail_commits(JournalUnwritable, appends)
    crashed = True
    try:
        await harness.drive()
        crashed = False
    except JournalUnwritable:
        harness.repair_commits()
        await harness.drive()
    assert crashed or appends > 8
    assert harness.states() == {S.DONE: 4}
    assert set(harness.cloud.accepted.values()) == {1}
    assert harness.store.run.sessions == 1 + (crashed and appends > 1)


async def test_a_lost_lease_ends_all_sending() -> None:
    harness = EngineHarness(6, replace(QUICK, concurrency=1), beat_s=0.02)

    def take_over(progress: Progress) -> None:
        # Nothing comes from the cloud any more that would be written down: the renewal alone can notice.
        if progress.counts[S.DONE] and harness.cloud.gate is None:
            harness.store.epoch += 1
            harness.cloud.gate = harness.cloud.read_gate = anyio.Event()

    harness.watcher.act = take_over
    await failing(harness, LeaseLost)
    sent = len(harness.cloud.sent)
    await anyio.sleep(0.05)
    assert len(harness.cloud.sent) == sent < 12
    harness.ended()


async def test_a_write_without_a_valid_lease_is_not_sent_and_the_target_is_ready_again() -> None:
    harness = EngineHarness(picture=STOPPED)
    harness.journal_clock.ahead_s = -2 * LEASE_TERM_S

    def regain(progress: Progress) -> None:
        if harness.one().refusals > 0:
            harness.journal_clock.ahead_s = 0.0

    harness.watcher.act = regain
    await harness.drive()
    assert harness.states() == {S.DONE: 1}
    assert (harness.sent("change"), harness.one().refusals, harness.one().attempts[0].sends) == (1, 1, 2)
    assert harness.one().attempts[0].unanswered == 0


# --- leaving -------------------------------------------------------------------------------------------------


async def test_leaving_records_what_is_on_the_wire() -> None:
    harness = EngineHarness(4, replace(QUICK, concurrency=2), picture=STOPPED)
    harness.cloud.gate, harness.cloud.crowd_of = anyio.Event(), 2
    engine = harness.engine()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.drive, "host:1", Command.RESUME)
        with anyio.fail_after(PATIENCE_S):
            await harness.cloud.crowd.wait()
        engine.leave()
        await anyio.sleep(0.03)
        assert harness.states()[S.SUBMITTING] == 2
        harness.cloud.gate.set()
    harness.ended()
    assert harness.states() == {S.CHANGING: 2, S.WAITING: 2}
    assert harness.store.run.state is RunState.RUNNING
    harness.cloud.gate = None
    await harness.drive()
    assert harness.states() == {S.DONE: 4}
    assert set(harness.cloud.accepted.values()) == {1}


async def test_leaving_sends_nothing_that_is_only_intended() -> None:
    harness = EngineHarness(picture=STOPPED)
    engine = harness.engine()
    harness.watcher.act = lambda progress: engine.leave() if progress.counts[S.SUBMITTING] else None
    with anyio.fail_after(PATIENCE_S):
        await engine.drive("host:1", Command.RESUME)
    assert harness.cloud.sent == []
    assert harness.states() == {S.READY: 1}
    harness.ended()


# --- the operator --------------------------------------------------------------------------------------------


async def test_an_abort_cancels_the_waiting_and_starts_again_what_lies_stopped() -> None:
    targets = [
        a_target(1),
        a_target(2, state=S.READY, stopped_at=START),
        a_target(3, state=S.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-77"),)),
        a_target(4, state=S.BACKOFF, attempts=(), not_before=START),
        a_target(5, state=S.CHECKING),
    ]
    harness = EngineHarness(settings=QUICK, targets=targets)
    harness.cloud.pictures["server-0002"] = STOPPED
    harness.cloud.pictures["server-0003"] = STOPPED
    job = harness.cloud._begin("change", ("server-0003",))
    harness.cloud.works["job-77"] = harness.cloud.works.pop(job)
    harness.ask_abort()
    progress = await harness.drive()
    assert (progress.run.state, progress.run.detail) == (RunState.ABORTED, "aborted by ops")
    assert harness.states() == {S.CANCELLED: 4, S.DONE: 1}
    assert harness.one(3).state is S.DONE
    assert harness.cloud.sent == [("start", ("server-0002",))]
    assert harness.one(2).stopped_at is None
    assert (harness.store.requests_made, harness.store.requests) == (1, {})


async def test_an_abort_is_heard_before_anything_is_admitted() -> None:
    harness = EngineHarness(3)
    harness.ask_abort()
    assert (await harness.drive()).run.state is RunState.ABORTED
    assert harness.cloud.requests == {}


async def test_an_aborted_run_that_the_cloud_refuses_is_left_with_its_trouble() -> None:
    harness = EngineHarness(settings=QUICK, targets=[a_target(1, state=S.READY, stopped_at=START)])
    harness.ask_abort()
    harness.cloud.read_error = AuthenticationFailed("401")
    engine = harness.engine()
    with anyio.fail_after(PATIENCE_S):
        await engine.drive("host:1", Command.RESUME)
    assert engine.trouble is not None
    assert engine.trouble.reason is Reason.AUTHENTICATION
    assert harness.store.run.state is RunState.FINISHING
    assert harness.one().stopped_at == START


# --- the cloud refuses us ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [(AuthenticationFailed("401"), Reason.AUTHENTICATION), (PermissionDenied("403"), Reason.PERMISSION)],
)
async def test_a_refused_read_pauses_the_run_which_is_resumable(error: FleetosError, reason: Reason) -> None:
    harness = EngineHarness(3)
    harness.cloud.read_error = error
    progress = await harness.drive()
    assert (progress.run.state, progress.run.reason) == (RunState.PAUSED, reason)
    assert progress.run.detail == error.message
    harness.cloud.read_error = None
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.states() == {S.DONE: 3}


async def test_a_forbidden_change_pauses_the_run() -> None:
    harness = EngineHarness(5, replace(QUICK, concurrency=1), picture=STOPPED)
    harness.cloud.results["change"].append(refused("Ecs.0003", 403))
    progress = await harness.drive()
    assert (progress.run.state, progress.run.reason) == (RunState.PAUSED, Reason.PERMISSION)
    assert (harness.sent("change"), harness.states()) == (1, {S.READY: 1, S.WAITING: 4})
    await harness.drive()
    assert harness.states() == {S.DONE: 5}


async def test_an_expired_token_is_no_reason_to_pause() -> None:
    harness = EngineHarness(5, replace(QUICK, concurrency=5), picture=STOPPED)
    harness.cloud.results["change"].extend([refused("APIGW.0301", 401)] * 5)
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.states() == {S.DONE: 5}


async def test_a_secret_that_changed_pauses_the_run_before_anything_is_sent() -> None:
    class Changed(NoSecrets):
        def resolve(self, order: Order) -> Secrets:
            raise InputError((Problem("user-data.sh", None, None, "", "is not what was frozen"),))

    # One is ready to be changed, the other to be started again: after the pause, the start gets no intent either.
    down = a_target(2, state=S.RESTORING, stopped_at=START, then=End(S.HELD, Reason.LOCKED, ""))
    harness = EngineHarness(settings=QUICK, targets=[a_target(1, state=S.READY), down])
    harness.cloud.pictures = dict.fromkeys(harness.cloud.pictures, STOPPED)
    engine = harness.engine()
    engine._sender._secrets = Changed()
    with anyio.fail_after(PATIENCE_S):
        await engine.drive("host:1", Command.RESUME)
    assert (harness.store.run.state, harness.store.run.reason) == (RunState.PAUSED, Reason.INPUT_CHANGED)
    assert harness.cloud.sent == []
    assert not any(isinstance(event, PowerIntended) for event in harness.events)
    harness.ended()


@pytest.mark.parametrize("left", [S.CANCELLED, S.SKIPPED])
async def test_a_pass_does_not_make_a_run_done_that_an_abort_left_unfinished(left: TargetState) -> None:
    harness = EngineHarness(settings=QUICK, targets=[a_target(1), a_target(2, state=left, reason=Reason.ABORTED)])
    progress = await harness.drive(command=Command.RETRY)
    aborted = left is S.CANCELLED
    assert progress.run.state is (RunState.ABORTED if aborted else RunState.DONE)
    assert progress.run.reason is (Reason.ABORTED if aborted else None)
    assert harness.states() == {S.DONE: 1, left: 1}


# --- who ends a pause ----------------------------------------------------------------------------------------

BY_A_PERSON = (Reason.TOO_MANY_OVERDUE, Reason.INPUT_CHANGED)
BY_A_TIMER = (Reason.AUTHENTICATION, Reason.PERMISSION, Reason.UNREACHABLE)


def paused(reason: Reason) -> EngineHarness:
    return EngineHarness(3, replace(QUICK, concurrency=1), further_events=[RunMoved(RunState.PAUSED, reason)])


@pytest.mark.parametrize(
    ("command", "reason", "ends"),
    [
        *((Command.APPLY, reason, True) for reason in BY_A_TIMER),
        *((Command.APPLY, reason, False) for reason in BY_A_PERSON),
        *((Command.RESUME, reason, True) for reason in (*BY_A_TIMER, *BY_A_PERSON)),
        *((Command.ABORT, reason, False) for reason in (*BY_A_TIMER, *BY_A_PERSON)),
    ],
)
async def test_a_pause_is_ended_by_a_command_that_may(command: Command, reason: Reason, ends: bool) -> None:
    harness = paused(reason)
    progress = await harness.drive(command=command)
    if ends:
        assert (progress.run.state, harness.states()) == (RunState.DONE, {S.DONE: 3})
    else:
        assert (progress.run.state, progress.run.reason) == (RunState.PAUSED, reason)
        assert (harness.cloud.sent, harness.states()) == ([], {S.WAITING: 3})


@pytest.mark.parametrize("reason", [*BY_A_TIMER, *BY_A_PERSON])
async def test_an_abort_of_a_paused_run_admits_nobody_on_the_way(reason: Reason) -> None:
    harness = paused(reason)
    harness.ask_abort()
    progress = await harness.drive(command=Command.ABORT)
    assert (progress.run.state, harness.states(), harness.cloud.sent) == (RunState.ABORTED, {S.CANCELLED: 3}, [])
    moves = [event.to for event in harness.events if isinstance(event, RunMoved)]
    assert moves == [RunState.PAUSED, RunState.FINISHING, RunState.ABORTED]


async def test_reads_that_are_refused_for_ever_hold_their_targets() -> None:
    harness = EngineHarness(2, replace(QUICK, poll_max_s=0.006))
    harness.cloud.read_error = ReadRefused("500")
    progress = await harness.drive()
    assert progress.run.state is RunState.DONE
    assert {one.reason for one in progress.targets.values()} == {Reason.UNREACHABLE}


# --- resuming ------------------------------------------------------------------------------------------------

IN_EACH_STATE = sorted(IN_FLIGHT - {S.DRAINING})


@pytest.mark.parametrize("state", IN_EACH_STATE)
async def test_a_run_is_resumed_from_each_state_in_flight(state: TargetState) -> None:
    """The process dies right after the target came to the state, for the first time; another carries on."""
    harness = EngineHarness(2, replace(QUICK, concurrency=2))
    if state is S.INSPECTING:
        harness.cloud.results["change"].append(LOST_AFTER)
    if state is S.RESTORING:
        harness.cloud.results["change"].append(refused("Ecs.0314"))
    reached = False

    def die(progress: Progress) -> None:
        nonlocal reached
        if progress.counts[state] and not reached:
            reached = True
            harness.fail_commits(JournalUnwritable)

    def down(progress: Progress) -> None:
        """The cloud leaves changed servers down, so that they need their one start."""
        for server_id, picture in harness.cloud.pictures.items():
            changed = picture is not None and picture.disk in harness.cloud.made
            if changed and picture is not None and picture.running and not harness.sent("start"):
                harness.cloud.pictures[server_id] = replace(picture, status="SHUTOFF", vm_state="stopped", power=4)
        die(progress)

    harness.watcher.act = down if state is S.STARTING else die
    if state in (S.READY, S.VERIFYING):
        # Passed through within one turn: a run that was left there is made by hand.
        attempts = (an_attempt(accepted_at=START, job_id="job-9"),) if state is S.VERIFYING else ()
        harness = EngineHarness(settings=QUICK, targets=[a_target(1, state=state, attempts=attempts, stopped_at=START)])
        new = replace(STOPPED, status="ACTIVE", vm_state="active", disk="disk-new", image="image-new")
        harness.cloud.pictures["server-0001"] = new if state is S.VERIFYING else STOPPED
    else:
        with pytest.raises(JournalUnwritable):
            await harness.drive()
        assert reached
        harness.repair_commits()
        harness.watcher.act = down if state is S.STARTING else None
    await harness.drive()
    assert set(harness.states()) <= {S.DONE, S.FAILED}
    assert harness.states()[S.FAILED] == (1 if state is S.RESTORING else 0)
    assert max(harness.cloud.accepted.values(), default=1) == 1
    assert all(one.stopped_at is None for one in harness.store.targets.values())
