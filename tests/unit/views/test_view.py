"""The views that draw nothing, and how the engine's turns reach a view."""

import json
from datetime import datetime
from io import StringIO

import pytest
from rich.console import Console

from fleetos.views.observer import ViewObserver
from fleetos.views.terminal.live import LiveView
from fleetos.views.terminal.plain import PlainView
from fleetos.views.view import JsonLinesView, SilentView, View
from tests.support.clocks import ManualClock
from tests.unit.views.run_history import RunHistory, target


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


def test_all_four_are_views() -> None:
    out = StringIO()
    views: list[View] = [SilentView(), PlainView(out), JsonLinesView(out, out), LiveView(Console(file=out))]
    history = RunHistory.of(1)
    for view in views:
        view.started(history.progress, history.now)
        view.turned(history.progress, (), {}, history.now)
        view.note("hello", history.now)
        view.ended(history.progress, {}, history.now)


def test_one_event_is_one_line_of_ascii_written_at_once() -> None:
    data, notes = Flushed(), StringIO()
    history, view = RunHistory([target(0, "größe\n{")]), JsonLinesView(data, notes)
    view.started(history.progress, history.now)
    records = [*history.begin(), *history.submit(0)]
    view.turned(history.progress, records, {}, history.now)
    assert data.flushes == 1
    view.note("a note\x1b", history.now)
    view.ended(history.progress, {}, history.now)
    lines = data.getvalue().splitlines()
    assert data.getvalue().isascii()
    assert [json.loads(line)["seq"] for line in lines] == [record.seq for record in records]
    assert json.loads(lines[2])["name"] == "größe\n{"
    assert notes.getvalue() == "2026-03-01T12:00:00Z a note\\x1b\n"


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    history, view = RunHistory.of(1), SilentView()
    view.started(history.progress, history.now)
    view.turned(history.progress, history.begin(), {}, history.now)
    view.ended(history.progress, {}, history.now)
    assert capsys.readouterr() == ("", "")


def test_the_onlooker_adds_the_time_and_lets_it_pass() -> None:
    out = StringIO()
    history = RunHistory.of(1)
    onlooker = ViewObserver(PlainView(out), history.clock)
    onlooker.tick()
    assert out.getvalue() == ""
    onlooker.started(history.progress)
    onlooker.turned(history.progress, history.begin(), {"sweep": 2})
    history.wait(600)
    onlooker.tick()
    onlooker.note("done soon")
    onlooker.ended({"sweep": 3})
    text = out.getvalue()
    assert "2026-03-01T12:10:00Z 0 % finished, 10m00s elapsed: 1 waiting; 2 API calls" in text
    assert "2026-03-01T12:10:00Z done soon" in text
    assert "(sweep 3)" in text


def test_a_run_goes_on_when_nobody_looks_any_more() -> None:
    pipe, history = Closed(), RunHistory.of(1)
    onlooker = ViewObserver(PlainView(pipe), history.clock)
    onlooker.started(history.progress)
    onlooker.turned(history.progress, history.begin(), {})
    onlooker.tick()
    onlooker.note("still here")
    onlooker.ended({})
    assert pipe.writes == 1


def test_a_defect_of_a_view_is_not_hidden() -> None:
    class Defective(SilentView):
        def note(self, text: str, now: datetime) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ViewObserver(Defective(), ManualClock()).note("x")
