"""Plays of a run: windows, groups, approvals and budgets are those of the engine, and a seed repeats itself."""

import asyncio
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetos.app.rehearsal import rehearse as use_case
from fleetos.app.rehearsal.play import play
from fleetos.app.rehearsal.rehearse import Programme, rehearse
from fleetos.app.rehearsal.script import Script, make_script
from fleetos.model.experience import NO_EXPERIENCE, Experience
from fleetos.model.preview import Band
from fleetos.model.states import RunState
from fleetos.model.steering.rehearsal import PlayStop, Supposition
from fleetos.sim.scenario.scenario import Scenario
from fleetos.views.documents.rehearsal import rehearsal_document
from fleetos.views.rehearsal_table import rehearsal_text
from tests.support.virtual_rollout import freeze_in_virtual_time, roll_out

BEGIN = datetime(2026, 11, 30, 12, tzinfo=UTC)
PLANNED = Supposition("as planned", 0.0, 900.0)
SURE = Supposition("all fail", 1.0, 900.0)
CHANGE_S = Band(60.0, 240.0)
TEXT = """version: 1
name: rehearsed
cloud: c
change: {{image: Standard_Debian_12_latest, keyname: KeyPair-350b}}
servers: [{{select: {{name: "web-*"}}}}]
rollout: {{concurrency: 4, {rollout}}}
failure: {{attempts: 2, {failure}}}
{more}
"""
NIGHT = 'windows: {zone: UTC, allow: [{days: [mon-sun], from: "22:00", to: "05:00"}]}'
WAVES = "waves: [1, 3, 100%], between_waves: {bake: 30m, approval: {by: other, of: 2}}"


def write(folder: Path, rollout: str = "", failure: str = "", more: str = "") -> Path:
    path = folder / "plan.yaml"
    path.write_text(TEXT.format(rollout=rollout, failure=failure, more=more), "utf-8")
    return path


def world(servers: int = 12, **more: Any) -> Scenario:
    group: Mapping[str, Any] = {"count": servers, "name": "web-##", "az": ["az-1", "az-2"], **more}
    return Scenario.model_validate({"seed": 1, "servers": [group]})


def script(path: Path, known: Experience = NO_EXPERIENCE, scenario: Scenario | None = None) -> Script:
    plan, frozen = freeze_in_virtual_time(path, scenario or world(), BEGIN)
    return asyncio.run(make_script(frozen, "anna", plan.api, known, CHANGE_S))


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


def test_changes_begin_in_windows_and_are_counted_in_theirs(tmp_path: Path) -> None:
    played = play(script(write(tmp_path, more=NIGHT)), PLANNED, 1)
    opens = BEGIN.replace(hour=22)
    assert played.windows == {(opens, opens + timedelta(hours=7)): 12}
    assert played.ended_at is not None
    assert played.ended_at > opens


def test_windows_without_a_begin_or_an_end_are_those_of_the_rehearsal(tmp_path: Path) -> None:
    denied = "windows: {zone: America/New_York, deny: [{since: 2026-12-10, until: 2026-12-11}]}"
    rehearsed = script(write(tmp_path, more=denied))
    ((begin, end),) = play(rehearsed, PLANNED, 1).windows
    assert (begin, end) == (rehearsed.begin, datetime(2026, 12, 10, 5, tzinfo=UTC))
    rehearsal = rehearse(rehearsed, Programme((PLANNED,), 1, None), lambda: None)
    assert "Mon 2026-11-30 07:00 to Thu 2026-12-10 00:00" in rehearsal_text(rehearsal, 80).plain
    assert rehearsal_document(rehearsal)["cases"][0]["windows"][0]["begin"] == "2026-11-30T12:00:00.000Z"


def test_no_more_are_out_than_a_group_allows_and_what_was_down_before_counts(tmp_path: Path) -> None:
    groups = "max_unavailable: [{per: az, value: 2}]"
    played = play(script(write(tmp_path, groups)), PLANNED, 1)
    assert [(group.per, group.value, group.most, group.limit) for group in played.groups] == [
        ("az", "az-1", 2, 2),
        ("az", "az-2", 2, 2),
    ]
    down = play(script(write(tmp_path, groups), scenario=world(state="stopped")), PLANNED, 1)
    assert {group.most for group in down.groups} == {6}


def test_a_budget_ends_a_play(tmp_path: Path) -> None:
    for on_exceeded in ("pause", "end"):
        rehearsed = script(write(tmp_path, failure=f"max_failed: 1, on_exceeded: {on_exceeded}"))
        played = play(rehearsed, SURE, 1)
        assert (played.stop, played.ended_at) == (PlayStop.BUDGET, None)
        assert 2 <= played.failed <= 6
        assert played.windows == {}


def test_a_server_that_no_window_is_long_enough_for_is_named(tmp_path: Path) -> None:
    short = 'windows: {zone: UTC, fit: 50m, allow: [{days: [mon-sun], from: "22:00", to: "23:00"}]}'
    assert play(script(write(tmp_path, more=short)), PLANNED, 1).never_fit == ()
    kinds = 'windows: {zone: UTC, allow: [{days: [mon-sun], from: "22:00", to: "22:10"}]}'
    played = play(script(write(tmp_path, more=kinds), scenario=world(2)), PLANNED, 1)
    assert played.stop is PlayStop.STUCK
    assert played.never_fit == ("web-01", "web-02")


def test_learned_durations_are_drawn_and_a_slow_server_is_slow_again(tmp_path: Path) -> None:
    path = write(tmp_path)
    quick, slow = (script(path, Experience(changes={"x": (each,)}, stops_s=(1.0,))) for each in (50.0, 500.0))
    ends = [play(each, PLANNED, 1).ended_at for each in (quick, slow)]
    assert all(ends)
    assert (ends[1] or BEGIN) - (ends[0] or BEGIN) > timedelta(seconds=3 * 400)


def test_reads_and_writes_are_counted_beside_their_limits(tmp_path: Path) -> None:
    played = play(script(write(tmp_path)), PLANNED, 1)
    assert played.writes.number >= 12 + 3
    assert played.reads.number > played.writes.number
    assert played.reads.most_per_min <= played.reads.number
    assert (played.reads.limit_per_min, played.writes.limit_per_min) == (300.0, 60.0)


@pytest.mark.slow
def test_processes_play_what_one_process_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsed, done = script(write(tmp_path), scenario=world(4)), list[int]()
    programme = Programme((PLANNED, Supposition("concurrency=1", 0.0, 900.0, 1)), 3, None)
    alone = rehearse(rehearsed, programme, lambda: done.append(1))
    monkeypatch.setattr(use_case, "_ALONE_MAX", 0)
    assert rehearse(rehearsed, programme, lambda: done.append(1)) == alone
    assert len(done) == 2 * programme.plays
    assert (alone.cases[1].end.p50 or BEGIN) > (alone.cases[0].end.p50 or BEGIN)
