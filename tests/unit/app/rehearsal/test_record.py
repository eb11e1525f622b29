"""Records of plays: windows, groups, budgets and calls, by the ledger of the simulated cloud."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleetos.app.rehearsal.play import play
from fleetos.app.rehearsal.rehearse import Programme, rehearse
from fleetos.model.steering.rehearsal import PlayStop
from fleetos.views.documents.rehearsal import rehearsal_document
from fleetos.views.rehearsal_table import rehearsal_text
from tests.unit.app.rehearsal.scripts import BEGIN, NIGHT, PLANNED, SURE, script, world, write


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


def test_reads_and_writes_are_counted_beside_their_limits(tmp_path: Path) -> None:
    played = play(script(write(tmp_path)), PLANNED, 1)
    assert played.writes.number >= 12 + 3
    assert played.reads.number > played.writes.number
    assert played.reads.most_per_min <= played.reads.number
    assert (played.reads.limit_per_min, played.writes.limit_per_min) == (300.0, 60.0)
