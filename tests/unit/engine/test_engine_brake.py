"""The brake: a run whose first servers all fail pauses, follows what is in flight, and goes on only for a reason."""

from dataclasses import replace

from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import Forgiven, Moved, RunMoved
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress
from fleetos.model.states import Command, Reason, RunState, TargetState
from fleetos.rules.budgets import Failures
from tests.support.builders import START, STOPPED, a_target
from tests.support.clouds.small import WriteResult, refused
from tests.unit.engine.harness import QUICK, EngineHarness

S = TargetState
BRAKE = replace(QUICK, attempts=1, concurrency=3, failure_first=5)


def failed_in(progress: Progress) -> int:
    return Failures.of(progress.run, progress.targets.values()).failed


def always_refused(verb: str, _: tuple[str, ...]) -> WriteResult | None:
    return refused("Ecs.0031") if verb == "change" else None


async def test_an_image_that_always_fails_takes_the_first_five_and_those_in_flight() -> None:
    harness = EngineHarness(300, BRAKE)
    harness.cloud.decides = always_refused
    progress = await harness.drive()
    run = progress.run
    assert (run.state, run.reason) == (RunState.PAUSED, Reason.BUDGET)
    assert run.detail == "the first 5 changed servers all failed"
    assert 5 <= failed_in(progress) <= 5 + BRAKE.concurrency
    assert harness.sent("change") <= 5 + BRAKE.concurrency
    assert progress.flight == 0


async def test_what_is_in_flight_is_followed_to_its_end() -> None:
    harness = EngineHarness(20, replace(BRAKE, concurrency=8, failure_first=2), picture=STOPPED)
    turned: list[tuple[RunState, int]] = []

    def fails(verb: str, server_ids: tuple[str, ...]) -> WriteResult | None:
        return refused("Ecs.0031") if verb == "change" and server_ids[0] in ("server-0001", "server-0002") else None

    def act(progress: Progress) -> None:
        turned.append((progress.run.state, progress.slots_taken))

    harness.cloud.decides, harness.watcher.act = fails, act
    progress = await harness.drive()
    assert progress.run.state is RunState.PAUSED
    assert max(slots for state, slots in turned if state is RunState.PAUSED) > 0
    assert progress.flight == 0
    assert harness.states()[S.DONE] == harness.sent("change") - 2


async def test_a_resume_without_a_reason_and_an_apply_leave_the_pause_as_it_is() -> None:
    harness = EngineHarness(20, BRAKE)
    harness.cloud.decides = always_refused
    await harness.drive()
    before = harness.sent("change")
    for command in (Command.RESUME, Command.APPLY, Command.REQUEST):
        await harness.engine().drive("host:2", command)
        assert harness.ended().run.state is RunState.PAUSED
    assert harness.sent("change") == before


async def test_a_resume_forgives_the_failures_behind_the_pause_and_those_alone() -> None:
    harness = EngineHarness(40, BRAKE)
    harness.cloud.decides = always_refused
    failed = failed_in(await harness.drive())
    harness.store.add_request(RequestKind.RESUME, "ops", START, "the image was corrected")
    await harness.engine().drive("host:2", Command.REQUEST)
    again = harness.ended()
    assert again.run.state is RunState.PAUSED
    assert 5 <= failed_in(again) <= 5 + BRAKE.concurrency
    events = [record.event for record in harness.store.records]
    assert sum(isinstance(event, Forgiven) for event in events) == failed
    resumed = [event for event in events if isinstance(event, RunMoved) and event.to is RunState.RUNNING]
    assert [event.detail for event in resumed] == ["the image was corrected"]


async def test_failures_of_another_pause_count_when_it_ends() -> None:
    """A run that was paused for another cause has met its budget meanwhile: it goes on with nobody."""
    ended = [a_target(number, state=S.HELD, reason=Reason.ATTEMPTS_USED_UP) for number in range(1, 6)]
    paused = RunMoved(RunState.PAUSED, Reason.UNREACHABLE)
    harness = EngineHarness(targets=[*ended, a_target(6)], settings=BRAKE, further_events=[paused])
    progress = await harness.drive(command=Command.APPLY)
    assert (progress.run.state, progress.run.reason) == (RunState.PAUSED, Reason.BUDGET)
    assert harness.cloud.sent == []
    assert not any(isinstance(record.event, Moved) for record in harness.store.records)


async def test_a_run_that_was_resumed_before_its_driver_came_asks_its_budget_first() -> None:
    ended = [a_target(number, state=S.HELD, reason=Reason.ATTEMPTS_USED_UP) for number in range(1, 6)]
    harness = EngineHarness(targets=[*ended, a_target(6)], settings=BRAKE)
    assert (await harness.drive()).run.reason is Reason.BUDGET
    assert not any(isinstance(record.event, Moved) for record in harness.store.records)


async def test_one_that_is_done_ends_the_brake() -> None:
    harness = EngineHarness(20, replace(BRAKE, concurrency=1))
    harness.cloud.decides = lambda verb, ids: None if ids == ("server-0003",) else always_refused(verb, ids)
    progress = await harness.drive()
    assert progress.run.state is RunState.DONE
    assert harness.states() == {S.DONE: 1, S.FAILED: 19}


async def test_a_process_that_takes_the_run_over_counts_what_failed_before() -> None:
    """Four have failed when the first process dies: the next failure is the fifth."""
    ended = [a_target(number, state=S.HELD, reason=Reason.ATTEMPTS_USED_UP) for number in range(1, 5)]
    harness = EngineHarness(
        targets=[*ended, *(a_target(number) for number in range(5, 12))], settings=replace(BRAKE, concurrency=1)
    )
    harness.cloud.decides = always_refused
    progress = await harness.drive()
    assert progress.run.state is RunState.PAUSED
    assert harness.sent("change") == 1


async def test_a_server_that_was_held_at_the_freeze_counts_towards_nothing() -> None:
    held = [a_target(number, state=S.HELD, reason=Reason.LOCKED, excused=True) for number in range(1, 7)]
    harness = EngineHarness(targets=[*held, *(a_target(number) for number in range(7, 10))], settings=BRAKE)
    assert (await harness.drive()).run.state is RunState.DONE


async def test_where_nobody_is_left_to_be_spared_the_run_ends() -> None:
    harness = EngineHarness(5, BRAKE)
    harness.cloud.decides = always_refused
    progress = await harness.drive()
    assert (progress.run.state, failed_in(progress)) == (RunState.DONE, 5)
    assert all(work.status is not JobStatus.RUNNING for work in harness.cloud.works.values())


async def test_without_the_brake_every_server_is_tried() -> None:
    harness = EngineHarness(30, replace(BRAKE, failure_first=None))
    harness.cloud.decides = always_refused
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.sent("change") == 30
