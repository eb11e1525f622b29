"""How full the slots are, and how long servers stay powered off."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.journal.events import ChangeAnswered, ChangeIntended, Event, Moved, PowerIntended
from fleetos.model.states import TargetState
from fleetos.views.slot_usage import SlotUsage
from fleetos.views.terminal.frame import Spent
from fleetos.views.terminal.summary import summary
from tests.unit.views.stage import STOPPED, Stage, a_run, server_id, target

S = TargetState


def stage_of(count: int, concurrency: int) -> Stage:
    run = a_run()
    return Stage(
        [target(number) for number in range(count)],
        replace(run, settings=replace(run.settings, concurrency=concurrency)),
    )


def ready(stage: Stage, number: int) -> list[Event]:
    where = server_id(number)
    return [
        Moved(where, S.CHECKING),
        Moved(where, S.STOPPING),
        PowerIntended(where, f"call-{number}", "stop", hard=False, size=1),
        Moved(where, S.READY),
    ]


def changing(stage: Stage, number: int) -> list[Event]:
    where = server_id(number)
    intended = ChangeIntended(where, 1, STOPPED, stage.now + timedelta(hours=1))
    return [intended, ChangeAnswered(where, 1, S.CHANGING, "accepted", job_id=f"job-{number}")]


def heard(pace: SlotUsage, stage: Stage, *events: Event) -> None:
    pace.add_turn(stage.progress, stage.happen(*events), stage.now)


def test_a_slot_counts_while_somebody_waits_for_one() -> None:
    stage, pace = stage_of(3, concurrency=2), SlotUsage()
    heard(pace, stage, *ready(stage, 0), *ready(stage, 1))
    stage.wait(100)
    # Nothing has been changed yet: that is no empty slot.
    heard(pace, stage, *changing(stage, 0))
    assert pace.slots_used is None
    stage.wait(30)
    heard(pace, stage, *changing(stage, 1))
    assert pace.slots_used == pytest.approx(0.5)
    stage.wait(10)
    heard(pace, stage)
    assert pace.slots_used == pytest.approx((30 + 20) / (60 + 20))
    heard(pace, stage, Moved(server_id(2), S.HELD))
    # Nobody is left to wait.
    stage.wait(1000)
    heard(pace, stage)
    assert pace.slots_used == pytest.approx((30 + 20) / (60 + 20))


def test_a_server_waits_from_its_stop_to_its_change() -> None:
    stage, pace = stage_of(3, concurrency=1), SlotUsage()
    heard(pace, stage, *ready(stage, 0), *ready(stage, 1))
    # This one lay stopped before anybody came.
    heard(pace, stage, Moved(server_id(2), S.CHECKING), Moved(server_id(2), S.READY))
    assert pace.stopped_s is None
    heard(pace, stage.wait(10), *changing(stage, 0))
    heard(pace, stage.wait(20), *changing(stage, 1), *changing(stage, 2))
    assert pace.stopped_s == pytest.approx(20.0)
    assert "median downtime before a change 20s" in summary(stage.progress, Spent(30, pace=pace)).plain


def test_where_no_server_waits_the_summary_says_nothing_of_slots() -> None:
    stage, pace = stage_of(1, concurrency=1), SlotUsage()
    heard(pace, stage, *ready(stage, 0), *changing(stage, 0))
    heard(pace, stage.wait(60))
    assert "slots" not in summary(stage.progress, Spent(60, pace=pace)).plain
