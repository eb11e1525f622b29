"""Scripts carry no login, no user data, and the calendar files as they are now."""

from pathlib import Path

import pytest

from fleetos.app.rehearsal.script import KEY_PAIR
from tests.unit.app.rehearsal.scripts import script, write


def test_orders_carry_no_login_and_no_user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSED", "Gooseberry-42-pie")
    path = write(tmp_path)
    more = 'adminpass: {env: REHEARSED}, user_data: {text: "#cloud-config"}, metadata: {BYOL: "true"}'
    path.write_text(path.read_text("utf-8").replace("keyname: KeyPair-350b", more), "utf-8")
    rehearsed = script(path)
    assert len(rehearsed.targets) == 12
    for target in rehearsed.targets:
        order = target.order
        assert (order.keyname, order.adminpass, order.user_data, order.metadata) == (KEY_PAIR, None, None, {})
    assert "Gooseberry" not in repr(rehearsed)


def test_calendar_files_are_read_once(tmp_path: Path) -> None:
    text = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"
    (tmp_path / "freezes.ics").write_text(text, "utf-8")
    rehearsed = script(write(tmp_path, more="windows: {zone: UTC, deny: [{ics: freezes.ics}, {ics: freezes.ics}]}"))
    assert rehearsed.calendars == {str(tmp_path / "freezes.ics"): text}
