"""The notifier: each message until it is taken or its tries are over, a record of each end, no error for the engine."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from fleetos.errors import JournalUnwritable
from fleetos.model.journal.events import Record, RunDriverStarted, RunMoved, RunNotified
from fleetos.model.plan import Occasion
from fleetos.model.progress import Progress
from fleetos.model.states import RunState, TargetState
from fleetos.notify import notifier as module
from fleetos.notify.destination import Destination
from fleetos.notify.notifier import DRAIN_S, TRIES, Notifier, Outbox
from fleetos.notify.webhook import Delivery
from tests.support.clocks import VirtualClock, now_s, run
from tests.unit.views.run_history import RunHistory, target, web_tier_run

ALL = tuple(Occasion)
NO_ANSWER = Delivery("HTTP 503")


@dataclass
class Journal:
    """Journal in memory."""

    events: list[RunNotified] = field(default_factory=list[RunNotified])
    broken: bool = False

    async def note(self, events: Sequence[RunNotified]) -> Sequence[Record]:
        if self.broken:
            raise JournalUnwritable("the disk is full")
        self.events += events
        return [Record(900 + len(self.events), VirtualClock().now(), event) for event in events]


@dataclass
class Scene:
    """A notifier with receivers whose answers are given before; a receiver without one takes the message."""

    history: RunHistory
    answers: list[Delivery | Exception | float] = field(default_factory=list[Delivery | Exception | float])
    occasions: Sequence[Occasion] = ALL
    receivers: int = 1
    earlier: Sequence[Record] = ()
    journal: Journal = field(default_factory=Journal)
    sent: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    shown: list[Record] = field(default_factory=list[Record])

    def __post_init__(self) -> None:
        self.history.begin()

    async def post(self, destination: Destination, message_id: str, timestamp: int, body: bytes) -> Delivery:
        """Answer in place of a receiver. A number is how long it hangs."""
        del timestamp, body
        self.sent.append((round(now_s(), 1), destination.number, message_id))
        answer = self.answers.pop(0) if self.answers else Delivery()
        match answer:
            case Exception():
                raise answer
            case Delivery():
                return answer
            case _:
                await anyio.sleep(answer)
                return Delivery()

    def notifier(self) -> Notifier:
        boxes = [
            Outbox(Destination(number, "https x", "https://x/", webhook=True), self.occasions)
            for number in range(1, self.receivers + 1)
        ]
        return Notifier(self.history.progress, boxes, self.journal, VirtualClock(), self.show)

    def show(self, progress: Progress, record: Record) -> None:
        del progress
        self.shown.append(record)

    async def pages(self) -> AsyncIterator[Sequence[Record]]:
        yield self.earlier

    def play(self, act: Callable[[Notifier], Awaitable[None]], *, ended: bool = False) -> float:
        """Let the notifier run beside the act, then drain it; return how long draining took."""

        async def playing() -> float:
            notifier, began_s = self.notifier(), 0.0
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(notifier.run, self.pages())
                await act(notifier)
                began_s = now_s()
                await notifier.drain(ended=ended)
            return now_s() - began_s

        return run(playing)

    @property
    def outcomes(self) -> list[tuple[str, str, int]]:
        return [(event.occasion.value, event.outcome, event.tries) for event in self.journal.events]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    settings = replace(web_tier_run().settings, failure_first=5)
    scene = Scene(RunHistory([target(number) for number in range(6)], web_tier_run(settings=settings)))
    monkeypatch.setattr(module, "post", scene.post)
    return scene


def starts(scene: Scene) -> Callable[[Notifier], Awaitable[None]]:
    async def act(notifier: Notifier) -> None:
        notifier.turned(scene.history.progress, scene.history.records[:2], {})

    return act


def test_a_message_that_is_taken_is_recorded_and_shown(scene: Scene) -> None:
    assert scene.play(starts(scene)) < 1
    assert scene.outcomes == [("started", "sent", 1)]
    assert [record.event for record in scene.shown] == scene.journal.events


def test_a_message_is_tried_again_with_longer_and_longer_waits_and_one_id(scene: Scene) -> None:
    scene.answers = [NO_ANSWER, RuntimeError("a defect"), Delivery("no connection")]
    scene.play(starts(scene))
    assert scene.outcomes == [("started", "sent", 4)]
    assert [at - scene.sent[0][0] for at, _, _ in scene.sent] == pytest.approx([0, 1, 3, 7])
    assert len({message for _, _, message in scene.sent}) == 1


@pytest.mark.parametrize(("answer", "tries"), [(NO_ANSWER, TRIES), (Delivery("HTTP 404", final=True), 1)])
def test_the_tries_end(scene: Scene, answer: Delivery, tries: int) -> None:
    scene.answers = [answer] * 9

    async def act(notifier: Notifier) -> None:
        notifier.turned(scene.history.progress, scene.history.records[:2], {})
        await anyio.sleep(60)

    scene.play(act)
    assert scene.outcomes == [("started", "failed", tries)]
    assert scene.journal.events[0].detail == answer.failure


def test_a_receiver_that_hangs_holds_up_neither_the_others_nor_the_end(scene: Scene) -> None:
    scene.receivers, scene.answers = 2, [900.0]
    assert scene.play(starts(scene), ended=True) == pytest.approx(DRAIN_S)
    by_entry = {event.entry: (event.outcome, event.detail) for event in scene.journal.events}
    assert by_entry[2] == ("sent", "")
    assert by_entry[1][0] == "failed"
    assert "fleetos left before it was sent" in by_entry[1][1]


def test_at_the_end_of_a_run_its_last_message_gets_the_tries_of_those_before_it(scene: Scene) -> None:
    history = scene.history
    scene.occasions, scene.answers = (Occasion.STARTED, Occasion.PAUSED, Occasion.FINISHED), [NO_ANSWER] * 6

    async def act(notifier: Notifier) -> None:
        notifier.turned(history.progress, history.records[:2], {})
        notifier.turned(history.progress, history.happen(RunMoved(RunState.PAUSED), RunMoved(RunState.RUNNING)), {})
        await anyio.sleep(2)
        notifier.turned(history.progress, history.happen(RunMoved(RunState.DONE)), {})

    assert scene.play(act, ended=True) == pytest.approx(3)
    assert scene.outcomes == [("started", "failed", 3), ("paused", "failed", 1), ("finished", "sent", 3)]


def test_what_is_late_in_a_run_that_goes_on_is_left_to_the_next_process(scene: Scene) -> None:
    scene.answers = [900.0]
    assert scene.play(starts(scene)) == pytest.approx(DRAIN_S)
    assert scene.outcomes == []
    scene.earlier = scene.history.records[:2]

    async def nothing(notifier: Notifier) -> None:
        del notifier

    scene.play(nothing)
    assert scene.outcomes == [("started", "sent", 1)]
    assert len({message for _, _, message in scene.sent}) == 1


def test_a_process_that_is_told_to_leave_does_not_wait(scene: Scene) -> None:
    scene.answers = [900.0]

    async def act(notifier: Notifier) -> None:
        notifier.turned(scene.history.progress, scene.history.records[:2], {})
        await anyio.sleep(1)
        notifier.leave()

    assert scene.play(act) == 0
    assert scene.outcomes == []


def test_what_was_told_is_not_told_again_and_what_is_owed_comes_first(scene: Scene) -> None:
    history = scene.history
    for number in range(3):
        history.submit(number)
        history.fail(number, TargetState.FAILED)
    told = [
        RunNotified(1, "https x", Occasion.STARTED, "", history.records[0].at, "sent", 1),
        RunNotified(1, "https x", Occasion.BUDGET_HALF, "first, pass 1", history.now, "failed", 5),
        RunNotified(2, "https y", Occasion.SERVER_FAILED, "", history.now, "sent", 1),
    ]
    scene.earlier = [*history.records[:2], *history.happen(*told)]

    async def act(notifier: Notifier) -> None:
        history.wait(5)
        notifier.turned(history.progress, history.happen(RunDriverStarted("host:2"), RunMoved(RunState.DONE)), {})

    scene.play(act, ended=True)
    assert scene.outcomes == [("server-failed", "sent", 1)] * 3 + [("finished", "sent", 1)]
    assert len(scene.sent) == 2


def test_turns_that_a_receiver_is_not_told_of_change_nothing(scene: Scene) -> None:
    history = scene.history
    scene.occasions = (Occasion.FINISHED,)

    async def act(notifier: Notifier) -> None:
        for number in range(3):
            await anyio.sleep(5)
            notifier.turned(history.progress, history.submit(number), {})
        notifier.turned(history.progress, history.happen(RunMoved(RunState.DONE)), {})

    assert scene.play(act, ended=True) < 1
    assert scene.outcomes == [("finished", "sent", 1)]


def test_half_of_a_budget_is_told_once(scene: Scene) -> None:
    history = scene.history
    scene.occasions = (Occasion.BUDGET_HALF,)

    async def act(notifier: Notifier) -> None:
        for number in range(4):
            history.submit(number)
            notifier.turned(history.progress, history.fail(number, TargetState.FAILED), {})
            await anyio.sleep(5)

    scene.play(act)
    assert [event.subject for event in scene.journal.events] == ["first, pass 1"]


def test_servers_that_fail_while_a_message_is_on_its_way_are_gathered(scene: Scene) -> None:
    history = scene.history
    scene.occasions, scene.answers = (Occasion.SERVER_FAILED,), [3.0]

    async def act(notifier: Notifier) -> None:
        for number in range(4):
            history.submit(number)
            notifier.turned(history.progress, history.fail(number, TargetState.FAILED), {})
            await anyio.sleep(0.5)

    scene.play(act)
    assert len(scene.sent) == 2
    assert scene.outcomes == [("server-failed", "sent", 1)] * 4


def test_a_journal_that_cannot_be_written_and_a_defect_stop_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.journal.broken = True
    assert scene.play(starts(scene), ended=True) < 1
    assert len(scene.sent) == 1

    def broken(progress: Progress, records: Sequence[Record]) -> None:
        raise RuntimeError("a defect")

    async def act(notifier: Notifier) -> None:
        monkeypatch.setattr(notifier._finder, "find", broken)
        notifier.turned(scene.history.progress, scene.history.records, {})

    scene.play(act)


@pytest.mark.parametrize("ended", [False, True])
def test_a_view_that_breaks_ends_the_notifier_and_nothing_else(scene: Scene, *, ended: bool) -> None:
    def broken(progress: Progress, record: Record) -> None:
        raise RuntimeError("a defect")

    scene.show = broken
    assert scene.play(starts(scene), ended=ended) < 1
    assert len(scene.sent) == 1


def test_records_that_cannot_be_read_stop_nothing(scene: Scene) -> None:
    async def unreadable() -> AsyncIterator[Sequence[Record]]:
        raise JournalUnwritable("the disk is gone")
        yield ()

    scene.pages = unreadable
    scene.play(starts(scene))
    assert scene.outcomes == [("started", "sent", 1)]


def test_a_run_without_receivers_has_nothing_to_wait_for(scene: Scene) -> None:
    scene.receivers = 0
    assert scene.play(starts(scene), ended=True) == 0
    assert not scene.sent
