"""Tables are read on narrow terminals, and cut by nothing in a pipe."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from fleetos.model.journal.events import Record, RunCreated
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.views.documents.run import RunLine
from fleetos.views.terminal.tables import event_text, grid, runs_table
from fleetos.views.text.run_condition import Driver
from tests.unit.views.run_history import JOB, RunHistory, server_id, target, web_tier_run
from tests.unit.views.text.test_format import HOSTILE


def test_columns_line_up_whatever_the_letters() -> None:
    text = grid(("A", "B"), [("x", "1"), ("ウェブ", "2"), ("größe", "3")], None).plain
    assert [cell_len(line[: line.index(last)]) for line, last in zip(text.split("\n"), "B123", strict=True)] == [8] * 4


def test_runs() -> None:
    history = RunHistory([target(number) for number in range(3)], web_tier_run(name="web"))
    paused = replace(history.progress.run, state=RunState.PAUSED, reason=Reason.UNREACHABLE)
    driver = Driver("host:1", 1, history.now, "alive")
    lines = [RunLine(history.progress.run, history.progress.counts, driver), RunLine(paused, {TargetState.DONE: 3})]
    assert runs_table(lines, history.wait(3900).now).plain.split("\n") == [
        "RUN         NAME  STATE                      SERVERS    CLOUD     CREATED                           DRIVER",
        "2b7c0m1x4q  web   running                    3 waiting  otc-prod  2026-03-01T12:00:00Z (1h05m ago)  host:1",
        "2b7c0m1x4q  web   paused: cloud unreachable  3 done     otc-prod  2026-03-01T12:00:00Z (1h05m ago)",
    ]
    assert runs_table([], history.now).plain == "no runs"


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, ["RUN", "NAME", "STATE", "SERVERS", "CLOUD", "CREATED", "DRIVER"]),
        (80, ["RUN", "NAME", "STATE", "SERVERS", "CLOUD", "DRIVER"]),
        (62, ["RUN", "NAME", "STATE", "SERVERS", "CLOUD"]),
        (45, ["RUN", "NAME", "STATE", "SERVERS"]),
        (30, ["RUN", "NAME", "STATE"]),
    ],
)
def test_a_narrow_list_of_runs_loses_what_can_be_spared_first(width: int, columns: list[str]) -> None:
    history = RunHistory([target(number) for number in range(3)], web_tier_run(name="web"))
    driver = Driver("process 4711 of root on vm", 4711, history.now, "alive")
    line = RunLine(history.progress.run, history.progress.counts, driver)
    head = runs_table([line], history.now, width).plain.split("\n")[0]
    assert head.split() == columns


def test_events() -> None:
    history = RunHistory.of(1)
    history.begin()
    records = [*history.submit(0), *history.fail(0)]
    names = {server_id(0): "web-00"}
    lines = [event_text(record, "2b7c0m1x4q", names).plain for record in records[-3:]]
    assert lines[0].startswith("     9  2026-03-01T12:00:00Z  target.changing         web-00  attempt=1 answer=accept")
    assert 'error_code="Ecs.0202, creating the system disk failed" fail_reason="create volume failed"' in lines[1]
    assert lines[2].endswith("outcome=failed system_disk_after=disk-old reason=attempts-used-up")


def test_followed_events_are_lines_of_their_own() -> None:
    history = RunHistory.of(1)
    record = history.submit(0)[-1]
    line = event_text(record, "2b7c0m1x4q", {}).plain
    assert line.startswith(f"     6  2026-03-01T12:00:00Z  target.changing         {server_id(0)}  attempt=1")
    assert JOB in line
    assert cell_len(event_text(record, "2b7c0m1x4q", {}, 60).plain) <= 60


def test_events_speak_words_and_not_python() -> None:
    history = RunHistory.of(1)
    created = Record(1, history.now, RunCreated(web_tier_run()))
    assert (
        "images=Standard_Debian_12_latest:67f433d8-ed0e-4321-a8a2-a71838539e09 "
        in event_text(created, "2b7c0m1x4q", {}).plain
    )
    stopping = [*history.begin(), *history.stop(0)]
    lines = [event_text(record, "2b7c0m1x4q", {}).plain for record in stopping]
    assert any("hard=no servers=1" in line for line in lines)
    assert not any(repr_of in line for line in lines for repr_of in ("False", "True", "{", "'"))


def test_no_line_is_wider_than_the_terminal_and_none_is_cut_in_a_pipe() -> None:
    history = RunHistory([target(0, "a" * 60), target(1, "ウ" * 60), target(2, HOSTILE)])
    records = history.begin()
    for number in range(3):
        records += history.submit(number)
        records += history.fail(number)
    names = {one.server_id: one.name for one in history.progress.targets.values()}
    for width in (20, 40, 80, 200):
        for text in (
            *(event_text(record, "2b7c0m1x4q", names, width) for record in records),
            runs_table([RunLine(history.progress.run, history.progress.counts)], history.now, width),
        ):
            lines = text.plain.split("\n")
            assert all(cell_len(line) <= width and line.isprintable() for line in lines)
    assert not any("…" in event_text(record, "2b7c0m1x4q", names).plain for record in records)
