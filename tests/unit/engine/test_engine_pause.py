"""A pause by an operator: who is ahead is recalled, flight is followed to rest, and nothing more is sent."""

from dataclasses import replace

from fleetos.model.journal.events import RequestAnswered, RunMoved
from fleetos.model.journal.requests import RequestArguments, RequestKind, RequestOutcome
from fleetos.model.progress import Progress
from fleetos.model.states import Command, Reason, RunState, TargetState
from fleetos.rules.budgets import Failures
from tests.support.builders import START, STOPPED, a_target
from tests.unit.engine.harness import QUICK, EngineHarness

S = TargetState


def ask(harness: EngineHarness, kind: RequestKind, *servers: str, concurrency: int | None = None) -> None:
    harness.store.add_request(kind, "anna", START, "because", RequestArguments(servers, concurrency))


def answers(harness: EngineHarness) -> list[tuple[int, RequestOutcome]]:
    events = [record.event for record in harness.store.records]
    return [(event.request, event.outcome) for event in events if isinstance(event, RequestAnswered)]


async def test_who_was_made_ready_goes_back_to_the_queue_with_its_power_as_it_was() -> None:
    ahead = [
        a_target(1, state=S.READY, stopped_at=START),
        a_target(2, state=S.READY, baseline=STOPPED),
        a_target(3, state=S.CHECKING),
        a_target(4, state=S.STOPPING, stopped_at=START),
        a_target(5),
    ]
    harness = EngineHarness(targets=ahead)
    for number in (1, 2, 4):
        harness.cloud.pictures[f"server-{number:04}"] = STOPPED
    ask(harness, RequestKind.PAUSE)
    progress = await harness.drive(command=Command.REQUEST)
    assert (progress.run.state, progress.run.reason) == (RunState.PAUSED, Reason.OPERATOR)
    assert harness.states() == {S.WAITING: 5}
    assert [target.server_id for target in progress.targets.values() if target.stopped_at] == []
    assert harness.sent("change") == 0
    statuses = [picture.status for picture in harness.cloud.pictures.values() if picture is not None]
    assert statuses == ["ACTIVE", "SHUTOFF", "ACTIVE", "ACTIVE", "ACTIVE"]
    ask(harness, RequestKind.RESUME)
    assert (await harness.drive(command=Command.REQUEST)).run.state is RunState.DONE
    assert harness.states() == {S.DONE: 5}
    assert answers(harness) == [(1, RequestOutcome.DONE), (2, RequestOutcome.DONE)]


async def test_a_pause_and_a_resume_in_one_turn_leave_the_run_running() -> None:
    harness = EngineHarness(3)
    ask(harness, RequestKind.PAUSE)
    ask(harness, RequestKind.RESUME)
    assert (await harness.drive()).run.state is RunState.DONE
    moved = [record.event.to for record in harness.store.records if isinstance(record.event, RunMoved)]
    assert moved == [RunState.PAUSED, RunState.RUNNING, RunState.DONE]


async def test_an_abort_wins_whatever_was_asked_before_it() -> None:
    harness = EngineHarness(3)
    ask(harness, RequestKind.PAUSE)
    ask(harness, RequestKind.ABORT)
    assert (await harness.drive()).run.state is RunState.ABORTED
    assert answers(harness) == [(2, RequestOutcome.DONE), (1, RequestOutcome.NO_EFFECT)]
    assert harness.sent("change") == 0


async def test_a_server_is_held_and_another_skipped_wherever_they_are() -> None:
    targets = [a_target(1, state=S.READY, stopped_at=START), a_target(2), a_target(3)]
    harness = EngineHarness(targets=targets)
    harness.cloud.pictures["server-0001"] = STOPPED
    ids = [target.server_id for target in targets]
    ask(harness, RequestKind.HOLD, ids[0])
    ask(harness, RequestKind.SKIP, ids[1])
    progress = await harness.drive()
    assert progress.run.state is RunState.DONE
    ends = {target.server_id: (target.state, target.reason) for target in progress.targets.values()}
    assert ends == {ids[0]: (S.HELD, Reason.OPERATOR), ids[1]: (S.SKIPPED, Reason.OPERATOR), ids[2]: (S.DONE, None)}
    assert harness.sent("change") == 1
    assert Failures.of(progress.run, progress.targets.values()).failed == 0
    assert harness.one(1).stopped_at is None


async def test_a_lower_concurrency_interrupts_nothing_and_holds_from_then_on() -> None:
    harness = EngineHarness(20, replace(QUICK, concurrency=6))
    seen: list[tuple[int, int]] = []

    def act(progress: Progress) -> None:
        if progress.slots_taken >= 4 and not harness.store.requests_made:
            ask(harness, RequestKind.SET, concurrency=2)
        seen.append((progress.run.settings.concurrency, progress.slots_taken))

    harness.watcher.act = act
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.states() == {S.DONE: 20}
    if any(concurrency == 2 for concurrency, _ in seen):
        low = [slots for concurrency, slots in seen if concurrency == 2]
        peak = low.index(min(low))
        assert max(low[peak:]) <= 2
