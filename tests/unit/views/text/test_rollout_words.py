"""Lines about the rollout of a run: only what it has."""

from dataclasses import replace

from fleetos.model.journal.events import Moved, RunWaveFinished, RunWaveOpened
from fleetos.model.states import TargetState
from fleetos.model.steering.rollout import UNSTEERED, Steering
from fleetos.model.steering.times import Times
from fleetos.rules.windows import OPEN, Window
from fleetos.views.text.rollout_words import iterate_lines, rollout_lines
from tests.support.builders import START
from tests.unit.views.run_history import RunHistory, server_id
from tests.unit.views.steered import CLOSED, EVERYTHING, HOUR, facts, members, steered


def test_a_run_that_nothing_steers_has_no_lines() -> None:
    assert rollout_lines(facts(steered(UNSTEERED, members(0, 0)))) == []
    assert list(iterate_lines(None)) == []


def test_each_part_has_a_line() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    assert rollout_lines(facts(history, CLOSED)) == [
        "wave 1 of 2 (canary): 1 server, not begun",
        "window closed until 2026-03-01 17:00Z (Sun 18:00 CET, in 5h00m)",
        "failure budgets: max_failed 0/2",
    ]
    history.happen(RunWaveOpened(1))
    history.submit(0)
    opened = Window(Times.of([(START, START + HOUR)]))
    assert rollout_lines(facts(history, opened)) == [
        "wave 1 of 2 (canary): 0 of 1 ended",
        "window open until 2026-03-01 13:00Z (Sun 14:00 CET, in 1h00m)",
        "failure budgets: max_failed 0/2, wave 1 0/0",
        "az eu-de-01: 1 of 1 out: web-00 changing",
    ]


def test_a_finished_wave_says_what_the_next_one_waits_for() -> None:
    history = steered(replace(EVERYTHING, groups=(), windows=None), members(1, 2, 2, 2))
    history.happen(RunWaveOpened(1))
    history.submit(0)
    history.succeed(0)
    history.happen(RunWaveFinished(1))
    lines = ["wave 1 of 2 (canary): 1 of 1 ended", "wave 1 is watched until 2026-03-01 13:00Z"]
    assert rollout_lines(facts(history))[:2] == lines
    history.wait(3600).happen(RunWaveOpened(2))
    history.submit(1)
    history.fail(1)
    assert rollout_lines(facts(history)) == [
        "wave 2 of 2: 1 of 3 ended, 1 failed",
        "failure budgets: max_failed 1/2, wave 2 1/0",
    ]


def test_the_start_is_told_until_it_has_come() -> None:
    history = steered(Steering(not_before=START + HOUR), members(0))
    assert rollout_lines(facts(history)) == ["starts at 2026-03-01 13:00Z (in 1h00m)"]
    history.wait(3600)
    assert rollout_lines(facts(history)) == []


def test_windows_without_an_end_or_an_opening() -> None:
    history = steered(replace(EVERYTHING, waves=(), groups=(), budgets=UNSTEERED.budgets), members(0))
    assert rollout_lines(facts(history, OPEN)) == ["window open"]
    assert rollout_lines(facts(history, Window(Times()))) == ["window closed, and no opening is known"]
    unreadable = Window(Times(), unreadable="/plans/a\x1b.ics")
    assert rollout_lines(facts(history, unreadable)) == ["window closed: the calendar /plans/a\\x1b.ics cannot be read"]


def test_of_several_full_groups_the_fullest_is_named() -> None:
    zones = ("eu-de-01", "eu-de-01", "eu-de-02", "eu-de-03")
    targets = [replace(one, az=zone) for one, zone in zip(members(0, 0, 0, 0), zones, strict=True)]
    history: RunHistory = steered(replace(EVERYTHING, waves=(), windows=None, budgets=UNSTEERED.budgets), targets)
    for number in (0, 1, 2):
        history.happen(Moved(server_id(number), TargetState.CHECKING))
    said = "az eu-de-01: 2 of 1 out: web-00 checking, web-01 checking; 1 more group at the limit"
    assert rollout_lines(facts(history)) == [said]
