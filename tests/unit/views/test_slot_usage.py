"""How full the slots are, and how long servers stay powered off."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.journal.events import ChangeAnswered, ChangeIntended, Event, Moved, PowerIntended
from fleetos.model.states import TargetState
from fleetos.views.slot_usage import SlotUsage
from fleetos.views.terminal.frame import Spent
from fleetos.views.terminal.summary import summary
from tests.unit.views.run_history import STOPPED, RunHistory, server_id, target, web_tier_run

S = TargetState


def stage_of(count: int, concurrency: int) -> RunHistory:
    run = web_tier_run()
    return RunHistory(
        [target(number) for number in range(count)],
        replace(run, settings=replace(run.settings, concurrency=concurrency)),
    )


def ready(history: RunHistory, number: int) -> list[Event]:
    where = server_id(number)
    return [
        Moved(where, S.CHECKING),
        Moved(where, S.STOPPING),
        PowerIntended(where, f"call-{number}", "stop", hard=False, size=1),
        Moved(where, S.READY),
    ]


def changing(history: RunHistory, number: int) -> list[Event]:
    where = server_id(number)
    intended = ChangeIntended(where, 1, STOPPED, history.now + timedelta(hours=1))
    return [intended, ChangeAnswered(where, 1, S.CHANGING, "accepted", job_id=f"job-{number}")]


def heard(pace: SlotUsage, history: RunHistory, *events: Event) -> None:
    pace.add_turn(history.progress, history.happen(*events), history.now)


def test_a_slot_counts_while_somebody_waits_for_one() -> None:
    history, pace = stage_of(3, concurrency=2), SlotUsage()
    heard(pace, history, *ready(history, 0), *ready(history, 1))
    history.wait(100)
    # Nothing has been changed yet: that is no empty slot.
    heard(pace, history, *changing(history, 0))
    assert pace.slots_used is None
    history.wait(30)
    heard(pace, history, *changing(history, 1))
    assert pace.slots_used == pytest.approx(0.5)
    history.wait(10)
    heard(pace, history)
    assert pace.slots_used == pytest.approx((30 + 20) / (60 + 20))
    heard(pace, history, Moved(server_id(2), S.HELD))
    # Nobody is left to wait.
    history.wait(1000)
    heard(pace, history)
    assert pace.slots_used == pytest.approx((30 + 20) / (60 + 20))


def test_a_server_waits_from_its_stop_to_its_change() -> None:
    history, pace = stage_of(3, concurrency=1), SlotUsage()
    heard(pace, history, *ready(history, 0), *ready(history, 1))
    # This one lay stopped before anybody came.
    heard(pace, history, Moved(server_id(2), S.CHECKING), Moved(server_id(2), S.READY))
    assert pace.stopped_s is None
    heard(pace, history.wait(10), *changing(history, 0))
    heard(pace, history.wait(20), *changing(history, 1), *changing(history, 2))
    assert pace.stopped_s == pytest.approx(20.0)
    assert "median downtime before a change 20s" in summary(history.progress, Spent(30, pace=pace)).plain


def test_where_no_server_waits_the_summary_says_nothing_of_slots() -> None:
    history, pace = stage_of(1, concurrency=1), SlotUsage()
    heard(pace, history, *ready(history, 0), *changing(history, 0))
    heard(pace, history.wait(60))
    assert "slots" not in summary(history.progress, Spent(60, pace=pace)).plain
