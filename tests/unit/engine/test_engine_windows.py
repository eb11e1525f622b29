"""Windows: nobody starts outside of one, and whoever is ahead when it closes is put back as it was."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import anyio
import pytest

from fleetos.clock import SystemClock
from fleetos.engine.engine import Engine, Intervals
from fleetos.engine.performer import SubmitChange
from fleetos.engine.rollout import clock_check, state
from fleetos.model.journal.events import Moved
from fleetos.model.progress import Progress
from fleetos.model.run import Secrets
from fleetos.model.states import Command, RunState, TargetState
from fleetos.model.steering.rollout import Steering
from fleetos.model.steering.windows import CalendarFile, DateTimes, Fit, WindowRule, Windows
from tests.support.builders import a_target, an_attempt
from tests.unit.engine.harness import PATIENCE_S, QUICK, EngineHarness

S = TargetState
WIDE = replace(QUICK, concurrency=2)
ANY = Fit(None, None)
EVENT = (
    "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\n"
    "DTSTART:20200101T000000Z\nDTEND:20900101T000000Z\nEND:VEVENT\nEND:VCALENDAR\n"
)
# So much later the first window is closed, and the clock still agrees with the cloud's.
CLOSED = timedelta(seconds=200)
NO_EVENT = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"


def dates(begin: datetime, end: datetime) -> WindowRule:
    return WindowRule(DateTimes(f"{begin:%Y-%m-%dT%H:%M:%SZ}", f"{end:%Y-%m-%dT%H:%M:%SZ}"), None)


def opens_in(begin_s: float, end_s: float, *again: tuple[float, float]) -> Steering:
    """Steering with windows, in so many seconds from now; their ends are whole seconds."""
    now = datetime.now(UTC).replace(microsecond=0)
    spans = ((begin_s, end_s), *again)
    rules = (dates(now + timedelta(seconds=begin), now + timedelta(seconds=end)) for begin, end in spans)
    return Steering(windows=Windows(tuple(rules), fit=ANY))


@pytest.mark.slow
async def test_nobody_starts_before_the_window_opens() -> None:
    steering, opens = opens_in(2, 3600), datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    harness = EngineHarness(4, WIDE, steering=steering)
    assert (await harness.drive()).run.state is RunState.DONE
    admitted = [
        record.at
        for record in harness.store.records
        if isinstance(record.event, Moved) and record.event.to is S.CHECKING
    ]
    assert min(admitted) >= opens
    assert min(admitted) - opens < timedelta(seconds=20)


@pytest.mark.slow
async def test_who_is_ahead_when_the_window_closes_is_started_again_and_waits_for_the_next() -> None:
    """The cloud takes no change: two servers are stopped and wait for theirs when the window closes."""
    # A busy machine may come to no stop in a short window.
    harness = await driven_over_its_end(2)
    if not harness.sent("stop"):
        harness = await driven_over_its_end(20)
    assert harness.sent("change") == 0
    assert harness.sent("start") > 0
    assert all(target.stopped_at is None for target in harness.store.targets.values())
    assert all(picture is not None and picture.running for picture in harness.cloud.pictures.values())
    harness.watcher.act = None
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.sent("change") == 4


async def driven_over_its_end(open_s: float) -> EngineHarness:
    """Drive a run until its window has closed and its servers wait for the next; the cloud takes stops alone."""
    steering = opens_in(0, open_s, (open_s + 4, 3600))
    closed = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=open_s)
    harness = EngineHarness(4, WIDE, steering=steering)
    harness.cloud.permits, stops = 1, 0

    def act(progress: Progress) -> None:
        nonlocal stops
        if harness.sent("stop") > stops:
            stops = harness.sent("stop")
            harness.cloud.permits = 0
        if any(target.state is S.RESTORING for target in progress.targets.values()):
            harness.cloud.permits = None

    harness.watcher.act = act
    await drive_until(harness, lambda: datetime.now(UTC) > closed and harness.states() == {S.WAITING: 4})
    return harness


async def test_what_was_sent_finishes_after_the_window() -> None:
    harness = EngineHarness(6, WIDE, steering=opens_in(0, 100, (3600, 7200)))
    harness.cloud.reads_a_work = 5

    def close(_: Progress) -> None:
        if harness.sent("change") > 0:
            harness.clock.ahead = CLOSED

    harness.watcher.act = close
    await drive_until(harness, lambda: set(harness.states()) == {S.DONE, S.WAITING}, then_s=0.5)
    states = harness.states()
    assert states[S.DONE] == harness.sent("change") > 0
    assert states[S.DONE] + states[S.WAITING] == 6
    assert harness.store.run.state is RunState.RUNNING


@pytest.mark.parametrize(("retries", "changes"), [("finish", 2), ("wait", 1)])
async def test_a_server_that_a_change_left_broken_is_mended_outside_of_the_window_unless_it_is_to_wait(
    retries: Literal["finish", "wait"], changes: int
) -> None:
    steering = opens_in(0, 100)
    assert steering.windows is not None
    steering = replace(steering, windows=replace(steering.windows, retries=retries))
    harness = EngineHarness(1, replace(WIDE, backoff_s=0.5, max_backoff_s=0.5), steering=steering)

    def fail_first(_: Progress) -> None:
        for work in list(harness.cloud.works.values()):
            if work.verb == "change" and harness.sent("change") == 1:
                work.fails, harness.clock.ahead = True, CLOSED

    harness.watcher.act = fail_first
    then = S.DONE if retries == "finish" else S.BACKOFF
    await drive_until(harness, lambda: harness.one().state is then, then_s=1.0)
    assert harness.sent("change") == changes
    assert harness.one().state is then


@pytest.mark.parametrize(("begin_s", "refused"), [(-20, True), (-5, False)])
async def test_the_last_check_before_a_request_knows_the_window(begin_s: float, *, refused: bool) -> None:
    target = a_target(state=S.SUBMITTING, attempts=(an_attempt(),))
    harness = EngineHarness(settings=WIDE, targets=[target], steering=opens_in(begin_s, begin_s + 10))
    engine, now = harness.engine(), SystemClock().moment()
    submit = SubmitChange(
        target.server_id, 1, target.order, stop_first=False, intended=now, permit=NoPermit(), secrets=Secrets()
    )
    why = engine._why_not_sent(submit, harness.journal_clock.moment())
    assert (why is not None and why.startswith("not sent: closed")) is refused


class NoPermit:
    """A permit that nobody asks for."""

    def give_back(self) -> None:
        """Nothing was taken."""


@dataclass
class Calendars:
    """Calendar files, of which the tests say what they hold."""

    texts: dict[str, str | None] = field(default_factory=dict[str, str | None])

    async def read(self, path: str) -> str | None:
        return self.texts.get(path)


@pytest.mark.parametrize(("text", "starts"), [(NO_EVENT, True), (EVENT, False), ("no calendar", False), (None, False)])
async def test_a_calendar_denies_what_it_says_and_all_times_while_it_cannot_be_read(
    text: str | None, starts: bool
) -> None:
    deny = WindowRule(CalendarFile("/freezes.ics"), "UTC")
    harness = EngineHarness(1, WIDE, steering=Steering(windows=Windows(None, (deny,), fit=ANY)))
    harness.calendars = Calendars({"/freezes.ics": text})
    await drive_for(harness.engine(), 1.5)
    assert (harness.sent("change") == 1) is starts
    assert harness.states() == {S.DONE if starts else S.WAITING: 1}


async def test_nobody_starts_who_would_not_be_ready_before_the_window_closes() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    rule = dates(now, now + timedelta(seconds=600))
    harness = EngineHarness(2, WIDE, steering=Steering(windows=Windows((rule,), fit=Fit(None, 900.0))))
    run = (await harness.drive()).run
    assert run.state is RunState.PAUSED
    assert "needs 15m" in run.detail
    assert harness.sent("change") == 0


async def drive_until(harness: EngineHarness, fact: Callable[[], bool], then_s: float = 0.0) -> None:
    """Drive the run until that is so, and so long after it; then leave, if it has not ended."""
    # The time of day is one for the engine and its lease.
    harness.journal_clock = harness.clock
    engine = harness.engine()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.drive, "host:1", Command.RESUME)
        with anyio.fail_after(PATIENCE_S):
            while not fact():  # noqa: ASYNC110 - a fact of the harness, which tells nobody of it
                await anyio.sleep(0.02)
        await anyio.sleep(then_s)
        engine.leave()


async def drive_for(engine: Engine, seconds: float) -> None:
    """Drive the run for so long; then leave, if it has not ended."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.drive, "host:1", Command.RESUME)
        await anyio.sleep(seconds)
        engine.leave()


@pytest.mark.parametrize("steering", [opens_in(-60, 3600), Steering(not_before=datetime.now(UTC))])
async def test_nothing_is_stopped_or_changed_while_the_clocks_of_cloud_and_driver_differ(steering: Steering) -> None:
    """The first look tells it, when the first servers are admitted already."""
    harness = EngineHarness(3, WIDE, steering=steering)
    harness.cloud.ahead = timedelta(days=-1)
    await drive_for(harness.engine(), 1.5)
    assert harness.cloud.sent == []
    assert harness.store.run.state is RunState.RUNNING
    harness.cloud.ahead = timedelta()
    assert (await harness.drive()).run.state is RunState.DONE


async def test_a_clock_that_is_set_right_is_noticed_where_nobody_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "TROUBLE_LASTS", timedelta(seconds=0.2))
    monkeypatch.setattr(clock_check, "CLOCK_LOOK_EVERY", timedelta(seconds=0.1))
    harness = EngineHarness(2, WIDE, steering=opens_in(-60, 3600))
    harness.cloud.ahead, harness.intervals = timedelta(days=-1), Intervals(turn_s=0.05)
    recalled = anyio.Event()

    def act(_: Progress) -> None:
        if S.CHECKING in harness.watcher.states and harness.states() == {S.WAITING: 2}:
            recalled.set()

    harness.watcher.act = act
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(harness.drive)
        await recalled.wait()
        await anyio.sleep(0.3)
        harness.cloud.ahead = timedelta()
    assert harness.ended().run.state is RunState.DONE
