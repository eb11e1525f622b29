"""What `drift` shows: on a terminal folded, with what drifted first, and broken where it is narrow."""

from datetime import UTC, datetime

from rich.cells import cell_len

from fleetos.model.drift import Cause, Drift, DriftState, LastChange, ServerDrift
from fleetos.model.inventory import Image
from fleetos.views.terminal.drift import ROWS_SHOWN, drift_lines, drift_table, totals

WANTED = Image("image-12", "Debian_12", "active")
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def drifted(number: int, name: str | None = None) -> ServerDrift:
    last = LastChange("2b7c0m1x4q", AT, "image-11")
    names = (f"id-{number}", f"web-{number:03}" if name is None else name)
    return ServerDrift(*names, DriftState.DRIFTED, WANTED, "image-11", "Debian_11", Cause.OLDER, last)


def same(number: int) -> ServerDrift:
    return ServerDrift(f"id-{number}", f"web-{number:03}", DriftState.SAME, WANTED, "image-12", "Debian_12")


def test_a_narrow_terminal_gets_what_is_known_of_a_server_line_by_line() -> None:
    lines = drift_table(Drift((same(1), drifted(2))), 60).plain.splitlines()
    assert lines[:6] == [
        "SERVER   IMAGE",
        "web-002  drifted: runs Debian_11, which is older than Debia…",
        "           that is image image-11",
        "           since 2026-03-01T12:00:00Z, by run 2b7c0m1x4q",
        "web-001  runs Debian_12",
        "",
    ]
    wide = drift_table(Drift((same(1), drifted(2))), 200).plain.splitlines()
    assert wide[1].endswith("; that is image image-11; since 2026-03-01T12:00:00Z, by run 2b7c0m1x4q")


def test_a_large_fleet_is_folded_on_a_terminal_alone() -> None:
    large = Drift((*(same(number) for number in range(300)), *(drifted(number) for number in range(300, 400))))
    lines = drift_table(large, 100).plain.splitlines()
    assert [line.strip() for line in lines if line.strip().startswith("and ")] == [
        "and 80 servers more drifted",
        "and 280 servers more on the image",
    ]
    assert sum("drifted: runs" in line for line in lines) == ROWS_SHOWN
    assert all(cell_len(line) <= 100 for line in lines)
    assert totals(large) == "400 servers: 100 drifted, 0 unknown, 300 on the image"
    assert sum("drifted: runs" in line for line in drift_lines(large).plain.splitlines()) == 100


def test_names_of_others_cannot_break_the_screen() -> None:
    for text in (drift_lines(Drift((drifted(1, "web\x1b[2J\nx"),))), drift_table(Drift((drifted(1, "\x1b[2J"),)), 80)):
        assert "\x1b" not in text.plain
        assert "\\x1b[2J" in text.plain
