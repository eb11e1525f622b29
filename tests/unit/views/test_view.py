"""The views that draw nothing, and how the engine's turns reach a view."""

import json
from datetime import datetime
from io import StringIO

import pytest
from rich.console import Console

from fleetos.clock import Moment
from fleetos.views.observer import ViewObserver
from fleetos.views.terminal.live import LiveView
from fleetos.views.terminal.plain import PlainView
from fleetos.views.view import JsonLinesView, SilentView, View
from tests.unit.views.stage import Stage, target


class Flushed(StringIO):
    """Counts flushes."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        super().flush()


class Closed(StringIO):
    """A pipe that nobody reads any more."""

    writes = 0

    def write(self, s: str, /) -> int:
        self.writes += 1
        raise BrokenPipeError


class StageClock:
    """The time of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def now(self) -> datetime:
        return self.stage.now

    def moment(self) -> Moment:
        return Moment(self.stage.now, 0.0, 0.0)


def test_all_four_are_views() -> None:
    out = StringIO()
    views: list[View] = [SilentView(), PlainView(out), JsonLinesView(out, out), LiveView(Console(file=out))]
    stage = Stage.of(1)
    for view in views:
        view.started(stage.progress, stage.now)
        view.turned(stage.progress, (), {}, stage.now)
        view.note("hello", stage.now)
        view.ended(stage.progress, {}, stage.now)


def test_one_event_is_one_line_of_ascii_written_at_once() -> None:
    data, notes = Flushed(), StringIO()
    stage, view = Stage([target(0, "größe\n{")]), JsonLinesView(data, notes)
    view.started(stage.progress, stage.now)
    records = [*stage.begin(), *stage.submit(0)]
    view.turned(stage.progress, records, {}, stage.now)
    assert data.flushes == 1
    view.note("a note\x1b", stage.now)
    view.ended(stage.progress, {}, stage.now)
    lines = data.getvalue().splitlines()
    assert data.getvalue().isascii()
    assert [json.loads(line)["seq"] for line in lines] == [record.seq for record in records]
    assert json.loads(lines[2])["name"] == "größe\n{"
    assert notes.getvalue() == "2026-03-01T12:00:00Z a note\\x1b\n"


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    stage, view = Stage.of(1), SilentView()
    view.started(stage.progress, stage.now)
    view.turned(stage.progress, stage.begin(), {}, stage.now)
    view.ended(stage.progress, {}, stage.now)
    assert capsys.readouterr() == ("", "")


def test_the_onlooker_adds_the_time_and_lets_it_pass() -> None:
    out = StringIO()
    stage = Stage.of(1)
    onlooker = ViewObserver(PlainView(out), StageClock(stage))
    onlooker.tick()
    assert out.getvalue() == ""
    onlooker.started(stage.progress)
    onlooker.turned(stage.progress, stage.begin(), {"sweep": 2})
    stage.wait(600)
    onlooker.tick()
    onlooker.note("done soon")
    onlooker.ended({"sweep": 3})
    text = out.getvalue()
    assert "2026-03-01T12:10:00Z 0 % finished, 10m00s elapsed: 1 waiting; 2 API calls" in text
    assert "2026-03-01T12:10:00Z done soon" in text
    assert "(sweep 3)" in text


def test_a_run_goes_on_when_nobody_looks_any_more() -> None:
    pipe, stage = Closed(), Stage.of(1)
    onlooker = ViewObserver(PlainView(pipe), StageClock(stage))
    onlooker.started(stage.progress)
    onlooker.turned(stage.progress, stage.begin(), {})
    onlooker.tick()
    onlooker.note("still here")
    onlooker.ended({})
    assert pipe.writes == 1


def test_a_defect_of_a_view_is_not_hidden() -> None:
    class Defective(SilentView):
        def note(self, text: str, now: datetime) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ViewObserver(Defective(), StageClock(Stage.of(1))).note("x")
