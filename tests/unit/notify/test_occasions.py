"""Notices are a function of the records: each occasion once, from what is durable."""

from collections.abc import Sequence
from dataclasses import replace

from fleetos.model.journal.events import (
    Forgiven,
    Moved,
    Record,
    RunDriverStarted,
    RunMoved,
    RunNotified,
    RunPassStarted,
)
from fleetos.model.plan import Occasion
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves, Budgets, Steering
from fleetos.notify.occasions import Notice, NoticeFinder, key_of, run_notices
from tests.unit.views.run_history import RunHistory, between_waves, target, web_tier_run

Kind = Occasion
BUDGET = Steering(budgets=Budgets(max_failed=4))


def found(finder: NoticeFinder, history: RunHistory, records: Sequence[Record]) -> list[tuple[Occasion, str]]:
    return [(notice.occasion, notice.subject) for notice in finder.find(history.progress, records)]


def waves_of(history: RunHistory) -> list[Notice]:
    return [notice for record in history.records for notice in run_notices(record, history.progress.run)]


def test_a_run_starts_once_however_often_it_is_driven() -> None:
    history = RunHistory.of(2)
    finder = NoticeFinder(history.progress)
    assert found(finder, history, history.begin()) == [(Kind.STARTED, "")]
    history.wait(60)
    assert found(finder, history, history.happen(RunDriverStarted("host:2"))) == []


def test_waves_open_and_finish_and_the_next_one_waits_for_an_approval() -> None:
    history = between_waves(BetweenWaves(3600.0, Approval("other")))
    started, opened, finished, approval = waves_of(history)
    assert (started.occasion, opened.subject, finished.subject) == (Kind.STARTED, "wave 1 opened", "wave 1 finished")
    assert opened.what == "wave 1 of 2 has opened: 1 server"
    assert (approval.occasion, approval.subject) == (Kind.APPROVAL, "wave 2")
    assert "watched until" in approval.what
    assert "by somebody other than anna: fleetos approve 2b7c0m1x4q --wave 2" in approval.what


def test_a_wave_that_needs_no_approval_waits_for_none() -> None:
    assert Kind.APPROVAL not in {notice.occasion for notice in waves_of(between_waves(BetweenWaves(3600.0)))}


def test_a_pause_and_an_end_say_why_and_by_whom() -> None:
    history = RunHistory.of(1)
    finder = NoticeFinder(history.progress)
    records = history.happen(RunMoved(RunState.PAUSED, Reason.OPERATOR, "the fleet is in use", "anna"))
    (paused,) = finder.find(history.progress, records)
    assert paused.occasion is Kind.PAUSED
    assert paused.what == "the run is paused by anna: the fleet is in use"
    assert found(finder, history, history.happen(RunMoved(RunState.RUNNING))) == []
    assert found(finder, history, history.happen(RunMoved(RunState.FINISHING, Reason.ABORTED))) == []
    records = history.happen(RunMoved(RunState.ABORTED, Reason.ABORTED, "aborted by anna: busy"))
    (ended,) = finder.find(history.progress, records)
    assert (ended.occasion, ended.what) == (Kind.FINISHED, "the run is aborted by anna: busy")


def test_a_server_that_fails_or_is_overdue_is_named() -> None:
    history = RunHistory([target(0), target(1)], web_tier_run())
    history.begin()
    finder = NoticeFinder(history.progress)
    history.submit(0)
    records = history.fail(0, TargetState.FAILED)
    failed = [notice for notice in finder.find(history.progress, records) if notice.occasion is Kind.SERVER_FAILED]
    assert [notice.subject.partition(" ")[0] for notice in failed] == ["web-00"]
    history.submit(1)
    held = Moved(history.one(1).server_id, TargetState.HELD, Reason.STILL_CHANGING)
    kinds = [notice.occasion for notice in finder.find(history.progress, history.happen(held))]
    assert kinds[:2] == [Kind.OVERDUE, Kind.SERVER_FAILED]


def test_a_failed_attempt_with_another_left_is_no_failed_server() -> None:
    history = RunHistory.of(1)
    finder = NoticeFinder(history.progress)
    history.submit(0)
    assert found(finder, history, history.fail(0, TargetState.BACKOFF)) == []


def test_half_of_a_budget_is_used_from_some_failure_on_and_anew_in_each_pass() -> None:
    history = RunHistory([target(number) for number in range(8)], web_tier_run(wipes=8, steering=BUDGET))
    finder = NoticeFinder(history.progress)
    halves: list[str] = []
    for number in range(5):
        history.submit(number)
        notices = finder.find(history.progress, history.fail(number, TargetState.FAILED))
        halves += [notice.what for notice in notices if notice.occasion is Kind.BUDGET_HALF]
    assert len(halves) == 3
    assert halves[0] == "half of the failure budget max_failed is used: 2 of 8 failed, more than 4 stop the run"
    history.happen(RunMoved(RunState.DONE))
    assert found(finder, history, history.happen(RunPassStarted(2))) == []
    assert found(finder, history, history.happen(Forgiven(history.one(0).server_id))) == []


def test_a_record_of_a_notification_is_known_by_the_key_of_its_notice() -> None:
    history = between_waves(BetweenWaves())
    for notice in waves_of(history):
        event = RunNotified(1, "slack", notice.occasion, notice.subject, notice.about, "sent", 1)
        assert key_of(event) == notice.key
        assert not list(run_notices(Record(9, history.now, event), history.progress.run))
    half = Notice(Kind.BUDGET_HALF, "max_failed, pass 1", history.now, "")
    assert half.key == replace(half, about=history.wait(9).now).key
