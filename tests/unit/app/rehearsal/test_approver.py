"""Approvers of a rehearsal: each wave waits for them as long as is supposed."""

from datetime import timedelta
from pathlib import Path

from fleetos.app.rehearsal.play import play
from fleetos.model.steering.rehearsal import Supposition
from tests.unit.app.rehearsal.scripts import PLANNED, WAVES, script, write


def test_each_wave_waits_for_its_bake_and_its_approvals(tmp_path: Path) -> None:
    late = Supposition("late", 0.0, 7200.0)
    rehearsed = script(write(tmp_path, WAVES))
    for supposition, wait in ((PLANNED, timedelta(minutes=30)), (late, timedelta(hours=2))):
        waves = play(rehearsed, supposition, 1).waves
        assert sorted(waves) == [1, 2, 3]
        for number in (1, 2):
            assert wait < waves[number + 1] - waves[number] < wait + timedelta(minutes=25)


def test_an_approval_that_expires_before_the_window_opens_is_given_again(tmp_path: Path) -> None:
    waves = "waves: [1, 100%], between_waves: {bake: 2h, approval: {valid: 2h}}"
    days = 'windows: {zone: UTC, allow: [{days: [mon, wed], from: "13:00", to: "14:00"}]}'
    played = play(script(write(tmp_path, waves, more=days)), PLANNED, 1)
    assert played.stop is None
    assert [begin.day for begin, _ in sorted(played.windows)] == [30, 2]
