"""The progress bar grows on one line of a terminal, and a pipe sees nothing of it."""

from io import StringIO

from fleetos.views.progress_bar import ProgressBar
from fleetos.views.terminal.console import console_on
from tests.unit.views.screen import Screen


def test_it_grows_on_one_line_and_leaves_none_behind() -> None:
    screen = Screen(80, 24)
    bar = ProgressBar(screen.console, 4, "play")
    assert screen.show() == [f"[{'-' * 30}] 0 of 4 plays"]
    for _ in range(3):
        bar.advance()
    assert screen.show() == [f"[{'#' * 22}{'-' * 8}] 3 of 4 plays"]
    bar.advance()
    assert screen.show() == [f"[{'#' * 30}] 4 of 4 plays"]
    bar.close()
    assert screen.show() == []


def test_a_pipe_gets_nothing() -> None:
    pipe = StringIO()
    bar = ProgressBar(console_on(pipe), 2, "play")
    bar.advance()
    bar.close()
    assert pipe.getvalue() == ""
