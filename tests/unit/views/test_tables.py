"""Tables are read on narrow terminals, and cut by nothing in a pipe."""

from dataclasses import replace

from rich.cells import cell_len

from fleetos.model.events import Moved, Record, RunCreated, RunMoved
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.views.documents import RunLine
from fleetos.views.tables import event_text, events_table, grid, runs_table, status_table
from tests.unit.views.stage import JOB, Stage, a_run, server_id, target
from tests.unit.views.test_wording import HOSTILE


def test_columns_line_up_whatever_the_letters() -> None:
    text = grid(("A", "B"), [("x", "1"), ("ウェブ", "2"), ("größe", "3")], None).plain
    assert [cell_len(line[: line.index(last)]) for line, last in zip(text.split("\n"), "B123", strict=True)] == [8] * 4


def test_runs() -> None:
    stage = Stage([target(number) for number in range(3)], a_run(name="web"))
    paused = replace(stage.progress.run, state=RunState.PAUSED, reason=Reason.UNREACHABLE)
    lines = [RunLine(stage.progress.run, stage.progress.counts, "host:1"), RunLine(paused, {TargetState.DONE: 3})]
    assert runs_table(lines, stage.wait(3900).now).plain.split("\n") == [
        "RUN         NAME  STATE                      CREATED                           SERVERS    DRIVER",
        "2b7c0m1x4q  web   running                    2026-03-01T12:00:00Z (1h05m ago)  3 waiting  host:1",
        "2b7c0m1x4q  web   paused: cloud unreachable  2026-03-01T12:00:00Z (1h05m ago)  3 done",
    ]
    assert runs_table([], stage.now).plain == "no runs"


def test_status_has_what_needs_a_human_first() -> None:
    stage = Stage.of(6)
    stage.begin()
    stage.submit(1)
    stage.submit(2)
    stage.fail(2, TargetState.BACKOFF)
    stage.submit(3)
    stage.succeed(3)
    stage.happen(Moved(server_id(4), TargetState.HELD, reason=Reason.LOCKED))
    stage.wait(75)
    turn = "until it is its turn: no more are stopped than changes can be sent"
    assert status_table(stage.progress, stage.now, 200, driver="host:1", shown=5).plain.split("\n") == [
        "web-tier-debian-12 2b7c0m1x4q: running, driven by host:1",
        "6 servers: 2 waiting, 1 changing, 1 backoff, 1 done, 1 held",
        "",
        "SERVER  STATE     SINCE  TRIES  NOTE",
        "web-04  held      1m15s  0/2    locked",
        "web-02  backoff   1m15s  1/2    again when a slot is free; Ecs.0202, creating the system disk failed",
        "web-01  changing  1m15s  1/2    job ff80808288d4",
        f"web-00  waiting   1m15s  0/2    {turn}",
        f"web-05  waiting   1m15s  0/2    {turn}",
        "and 1 server more; -o json shows all",
    ]


def test_nobodys_turn_comes_in_a_run_that_nobody_drives() -> None:
    stage = Stage.of(2)
    stage.begin()
    waiting = "until it is its turn"
    assert waiting in status_table(stage.progress, stage.now, 200, driver="host:1").plain
    assert waiting not in status_table(stage.progress, stage.now, 200).plain


def test_status_says_what_a_target_that_is_ready_waits_for() -> None:
    stage = Stage.of(42)
    stage.begin()
    for number in range(1, 41):
        stage.submit(number)
    stage.happen(Moved(server_id(0), TargetState.CHECKING))
    stage.happen(Moved(server_id(0), TargetState.READY))
    table = status_table(stage.progress, stage.now, 200, shown=50).plain
    lines = [" ".join(line.split()) for line in table.split("\n")]
    assert "web-00 ready 0s 0/2 waits for a slot; 40/40 are taken" in lines
    waiting = "until a slot is given back; 40/40 are taken, 1 nearer to one"
    assert f"web-41 waiting 0s 0/2 {waiting}" in lines


def test_status_of_a_run_that_nobody_drives_or_that_is_paused_or_over() -> None:
    stage = Stage.of(1)
    stage.begin()
    stage.wait(60)
    undriven = status_table(stage.progress, stage.now).plain
    assert "running, driven by nobody, created 1m00s ago" in undriven
    assert "\nnext: fleetos resume 2b7c0m1x4q\n" in undriven
    assert "lie stopped" not in undriven
    stage.stop(0)
    assert "\n1 server may lie stopped by this run\n" in status_table(stage.progress, stage.now).plain
    assert "next:" not in status_table(stage.progress, stage.now, driver="host:1").plain
    stage.happen(RunMoved(RunState.PAUSED, Reason.PERMISSION))
    assert "does not allow it to do this." in status_table(stage.progress, stage.now).plain
    stage.happen(RunMoved(RunState.RUNNING), Moved(server_id(0), TargetState.CANCELLED), RunMoved(RunState.DONE))
    assert "2b7c0m1x4q: done after 1m00s" in status_table(stage.progress, stage.wait(9).now).plain


def test_events() -> None:
    stage = Stage.of(1)
    stage.begin()
    records = [*stage.submit(0), *stage.fail(0)]
    lines = events_table(records[-3:], "2b7c0m1x4q", {server_id(0): "web-00"}).plain.split("\n")
    assert lines[0] == "SEQ  AT                    TYPE              SERVER  DETAIL"
    assert lines[1].startswith("9    2026-03-01T12:00:00Z  target.changing   web-00  attempt=1 answer=accepted job_id=")
    assert 'error_code="Ecs.0202, creating the system disk failed" fail_reason="create volume failed"' in lines[2]
    assert lines[3].endswith("outcome=failed system_disk_after=disk-old reason=attempts-used-up")
    assert events_table([], "2b7c0m1x4q", {}).plain == "no events"


def test_followed_events_are_lines_of_their_own() -> None:
    stage = Stage.of(1)
    record = stage.submit(0)[-1]
    line = event_text(record, "2b7c0m1x4q", {}).plain
    assert line.startswith(f"     6  2026-03-01T12:00:00Z  target.changing         {server_id(0)}  attempt=1")
    assert JOB in line
    assert cell_len(event_text(record, "2b7c0m1x4q", {}, 60).plain) <= 60


def test_events_speak_words_and_not_python() -> None:
    stage = Stage.of(1)
    created = Record(1, stage.now, RunCreated(a_run()))
    assert (
        "images=Standard_Debian_12_latest:67f433d8-ed0e-4321-a8a2-a71838539e09 "
        in event_text(created, "2b7c0m1x4q", {}).plain
    )
    stopping = [*stage.begin(), *stage.stop(0)]
    lines = [event_text(record, "2b7c0m1x4q", {}).plain for record in stopping]
    assert any("hard=no servers=1" in line for line in lines)
    assert not any(repr_of in line for line in lines for repr_of in ("False", "True", "{", "'"))


def test_no_line_is_wider_than_the_terminal_and_none_is_cut_in_a_pipe() -> None:
    stage = Stage([target(0, "a" * 60), target(1, "ウ" * 60), target(2, HOSTILE)])
    records = stage.begin()
    for number in range(3):
        records += stage.submit(number)
        records += stage.fail(number)
    names = {one.server_id: one.name for one in stage.progress.targets.values()}
    for width in (20, 40, 80, 200):
        for text in (
            status_table(stage.progress, stage.now, width),
            events_table(records, "2b7c0m1x4q", names, width),
            runs_table([RunLine(stage.progress.run, stage.progress.counts)], stage.now, width),
        ):
            lines = text.plain.split("\n")
            assert all(cell_len(line) <= width and line.isprintable() for line in lines)
    assert "…" not in status_table(stage.progress, stage.now).plain
    assert "…" not in events_table(records, "2b7c0m1x4q", names).plain


def test_all_ten_thousand_are_shown_when_asked_for() -> None:
    stage = Stage.of(10_000)
    assert len(status_table(stage.progress, stage.now, None, shown=None).plain.split("\n")) == 10_005
    assert len(status_table(stage.progress, stage.now, None).plain.split("\n")) == 56
