"""Text from outside cannot break a screen; times and spans read well."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fleetos.text import counted
from fleetos.views.text.format import clip, exact_duration, fill, printable, short_duration, short_timestamp, timestamp

HOSTILE = "web\x1b[2J\x1b]0;owned\x07\r\n\u202egnp.exe\u2028\x9b31m\x00"


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    shown = printable(HOSTILE)
    assert shown == r"web\x1b[2J\x1b]0;owned\x07\r\n\u202egnp.exe\u2028\x9b31m\x00"
    assert shown.isprintable()


def test_letters_of_every_script_stay() -> None:
    assert printable("größe-ウェブ-веб-é") == "größe-ウェブ-веб-é"


def test_letters_that_look_like_others_are_spelled_out() -> None:
    assert printable("a\u00a0b\u3000c d") == r"a\xa0b\u3000c d"
    assert printable("db\u2011gold\u00ad\u200b") == r"db\u2011gold\xad\u200b"


def test_marks_cannot_pile_up_over_other_lines() -> None:
    assert len(printable("a" + "\u0301" * 50)) == 4


@given(st.text(max_size=80), st.integers(min_value=0, max_value=60))
def test_nothing_clipped_is_wider_than_asked(text: str, width: int) -> None:
    assert cell_len(clip(text, width)) <= width
    assert cell_len(fill(text, width)) == width
    assert printable(clip(text, width)) == clip(text, width)


def test_a_cut_shows() -> None:
    assert clip("web-server-01", 8) == "web-ser…"
    assert clip("web-01", 8) == "web-01"
    assert clip("ウェブサーバー", 6) == "ウェ…"
    assert clip("web", 0) == ""


def test_a_text_of_a_million_letters_is_not_measured_whole() -> None:
    assert cell_len(clip("x" * 1_000_000, 10)) == 10


def test_times_are_utc_with_z() -> None:
    berlin = datetime(2026, 7, 1, 14, 30, 5, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(berlin) == "2026-07-01T12:30:05.123Z"
    assert short_timestamp(berlin) == "2026-07-01T12:30:05Z"
    assert timestamp(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0s"), (0, "0s"), (45.4, "45s"), (59.6, "1m00s"), (130, "2m10s"), (3900, "1h05m"), (273600, "3d04h")],
)
def test_spans(seconds: float, words: str) -> None:
    assert short_duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (0.2, "0.2s"), (30, "30s"), (90, "1m30s"), (600, "10m"), (5400, "1h30m")]
)
def test_limits_have_no_units_that_are_zero(seconds: float, words: str) -> None:
    assert exact_duration(seconds) == words


def test_numbers_go_with_their_nouns() -> None:
    assert [counted(number, "server") for number in (0, 1, 1200)] == ["0 servers", "1 server", "1,200 servers"]
