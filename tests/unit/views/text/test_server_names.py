"""Lines for people name a server by its name, else by its id, and print neither raw."""

from dataclasses import replace

from fleetos.views.text.server_names import server_name, server_name_and_id
from tests.support.builders import a_target

TARGET = a_target(1)


def test_a_server_is_named_by_its_name_else_by_its_id() -> None:
    assert (server_name(TARGET), server_name_and_id(TARGET)) == ("web-0001", "web-0001 (server-0001)")
    nameless = replace(TARGET, name="")
    assert (server_name(nameless), server_name_and_id(nameless)) == ("server-0001", "server-0001")


def test_a_name_cannot_move_the_cursor_or_hide_a_letter() -> None:
    nasty = replace(TARGET, name="web\x1b[2J\u200b")
    for shown in (server_name(nasty), server_name_and_id(nasty)):
        assert "\x1b" not in shown
        assert "\u200b" not in shown
        assert shown.startswith("web")
