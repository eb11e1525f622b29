"""Text reaches a terminal, a pipe and a log in any encoding unharmed."""

import os
import pty
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO, StringIO, TextIOWrapper
from typing import TextIO

import pytest
from rich.text import Text

from fleetos.views.terminal.console import height_of, put, put_question, put_wrapped, width_of
from fleetos.views.terminal.live import LiveView, view_on
from fleetos.views.terminal.plain import PlainView


@pytest.fixture(autouse=True)
def a_common_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")


@contextmanager
def terminal() -> Generator[tuple[TextIO, int]]:
    """A real terminal to write to, and the end that somebody looks at."""
    looked_at, written_to = pty.openpty()
    with os.fdopen(written_to, "w", encoding="utf-8") as out:
        yield out, looked_at
    os.close(looked_at)


def shown(looked_at: int, end: bytes = b"\n", times: int = 1) -> str:
    """What the terminal shows, once the end has come so many times: the kernel may hand it on in parts."""
    text = b""
    while text.count(end) < times:
        text += os.read(looked_at, 4096)
    return text.decode()


def test_a_pipe_gets_the_text_and_nothing_else() -> None:
    out = StringIO()
    put(Text("x" * 300, style="red"), out)
    put_wrapped("word " * 50 + "end", out)
    assert out.getvalue() == "x" * 300 + "\n" + "word " * 50 + "end\n"


def test_marks_in_a_plain_text_are_not_obeyed() -> None:
    out = StringIO()
    put("[red]not red[/] :smile: [/x]", out)
    assert out.getvalue() == "[red]not red[/] :smile: [/x]\n"


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    out = StringIO()
    put("a\x1b[31m\x9b2J\u202e\nb\r\t", out)
    put_wrapped("x\x07y", out)
    assert out.getvalue() == "a\\x1b[31m\\x9b2J\\u202e\\nb\\r\\t\nx\\x07y\n"


def test_a_text_keeps_its_lines_and_spells_out_the_rest() -> None:
    out = StringIO()
    put(Text("a\x1b[31m\n").append("b\x9b2J\u202e", style="red"), out)
    assert out.getvalue() == "a\\x1b[31m\nb\\x9b2J\\u202e\n"


def test_a_terminal_gets_our_colours_and_obeys_nobody_elses() -> None:
    with terminal() as (out, looked_at):
        put("x\x1b]0;title\x07", out)
        plain = shown(looked_at)
        put(Text("a\x1b[32m", style="red"), out)
        coloured = shown(looked_at)
    assert plain == "x\\x1b]0;title\\x07\r\n"
    assert coloured == "\x1b[31ma\\x1b[32m\x1b[0m\r\n"


def test_an_encoding_without_the_letters_gets_escapes() -> None:
    raw = BytesIO()
    out = TextIOWrapper(raw, encoding="latin-1", errors="strict")
    put("größe…", out)
    out.flush()
    assert raw.getvalue() == "größe".encode("latin-1") + rb"\u2026" + b"\n"


def test_a_terminal_gets_colour_and_lines_broken_between_words() -> None:
    with terminal() as (out, looked_at):
        put_wrapped(Text("word " * 12 + "end", style="red"), out)
        out.flush()
        seen = shown(looked_at, times=2)
    assert "\x1b[31m" in seen
    assert seen.count("\n") == 2
    assert "wor\r" not in seen


def test_a_question_is_broken_between_words_and_leaves_the_cursor_behind_it() -> None:
    with terminal() as (out, looked_at):
        put_question("Type the number of system disks that will be wiped (200 servers) to go on: ", out)
        seen = shown(looked_at, b": ")
    assert seen.split("\r\n") == ["Type the number of system disks that ", "will be wiped (200 servers) to go on: "]
    out = StringIO()
    put_question("word " * 20, out)
    assert out.getvalue() == "word " * 20


def test_the_view_and_the_width_follow_what_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(view_on(StringIO()), PlainView)
    assert width_of(StringIO()) is None
    assert height_of(StringIO()) is None
    with terminal() as (out, _):
        assert isinstance(view_on(out), LiveView)
        assert width_of(out) == 40
        monkeypatch.setenv("TERM", "dumb")
        assert isinstance(view_on(out), PlainView)
