"""Plays of a run: a seed repeats itself, and nothing outside is touched."""

import socket
from datetime import timedelta
from pathlib import Path

import pytest

from fleetos.app.rehearsal.play import play
from fleetos.model.experience import Experience
from fleetos.model.states import RunState
from fleetos.sim.scenario.scenario import Scenario
from tests.support.virtual_rollout import roll_out
from tests.unit.app.rehearsal.scripts import BEGIN, PLANNED, WAVES, script, world, write


def test_a_seed_repeats_itself_and_another_one_does_not(tmp_path: Path) -> None:
    rehearsed = script(write(tmp_path, WAVES))
    first, again, other = (play(rehearsed, PLANNED, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.ended_at != other.ended_at


def test_a_play_ends_when_a_rollout_of_the_same_servers_and_durations_does(tmp_path: Path) -> None:
    path, steady = write(tmp_path), Experience(changes={"x": (100.0,)}, stops_s=(10.0,))
    durations = {"change": [100, 100], "stop": [10, 10]}
    scenario = Scenario.model_validate({**world().model_dump(), "durations": durations})
    rolled_out = roll_out(path, scenario, BEGIN, lambda _, __: None).store.run
    played = play(script(path, steady), PLANNED, 1)
    assert rolled_out.state is RunState.DONE
    assert rolled_out.ended_at is not None
    assert played.ended_at is not None
    # What is known of durations lets the client look at better times.
    assert abs(played.ended_at - rolled_out.ended_at) < timedelta(seconds=30)


def test_a_play_opens_no_connection_and_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"
    (tmp_path / "freezes.ics").write_text(calendar, "utf-8")
    rehearsed = script(write(tmp_path, more="windows: {zone: UTC, fit: none, deny: [{ics: freezes.ics}]}"))

    def refuse(*_: object) -> None:
        raise AssertionError("a play is to touch nothing")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    assert play(rehearsed, PLANNED, 1).stop is None


def test_learned_durations_are_drawn_and_a_slow_server_is_slow_again(tmp_path: Path) -> None:
    path = write(tmp_path)
    quick, slow = (script(path, Experience(changes={"x": (each,)}, stops_s=(1.0,))) for each in (50.0, 500.0))
    ends = [play(each, PLANNED, 1).ended_at for each in (quick, slow)]
    assert all(ends)
    assert (ends[1] or BEGIN) - (ends[0] or BEGIN) > timedelta(seconds=3 * 400)
