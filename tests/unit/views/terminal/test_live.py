"""The live view on a small terminal of our own."""

from io import StringIO

import pytest
from rich.console import Console

from fleetos.model.journal.events import RunMoved, RunWaveOpened
from fleetos.model.states import RunState, TargetState
from fleetos.rules.admission.pass_facts import RolloutFacts
from fleetos.views.terminal.live import LiveView, wants_live
from tests.unit.views.run_history import RunHistory
from tests.unit.views.screen import Screen
from tests.unit.views.steered import CLOSED, EVERYTHING, facts, members, steered

REQUESTS = {"sweep": 12}


def begun(screen: Screen, count: int = 5) -> tuple[RunHistory, LiveView]:
    history, view = RunHistory.of(count), LiveView(screen.console)
    view.started(history.progress, history.now)
    view.turned(history.progress, history.begin(), REQUESTS, history.now)
    return history, view


def test_the_picture_is_drawn_in_place() -> None:
    screen = Screen(80, 24)
    history, view = begun(screen)
    for number in range(3):
        view.turned(history.progress, history.wait(10).submit(number), REQUESTS, history.now)
    assert screen.show() == [
        "web-tier-debian-12  2b7c0m1x4q  running  30s",
        "[------------------------------------------------------------]   0 % 0/5",
        "changing 3  waiting 2",
        "in flight 3/40  API calls 12",
        "web-00 changing      20s  job ff80808288d4",
        "web-01 changing      10s  job ff80808288d4",
        "web-02 changing       0s  job ff80808288d4",
    ]
    assert not screen.cursor_shown
    view.close()


def test_lines_about_the_rollout_are_renewed_each_second_and_cut_to_the_width() -> None:
    screen = Screen(60, 24)
    history, view = steered(EVERYTHING, members(1, 2, 2, 2)), LiveView(screen.console)
    asked = 0

    def rollout() -> RolloutFacts:
        nonlocal asked
        asked += 1
        return facts(history, CLOSED)

    view.started(history.progress, history.now, rollout)
    for _ in range(4):
        view.turned(history.progress, [], REQUESTS, history.wait(0.2).now)
    assert asked == 1
    assert screen.show()[2:] == [
        "waiting 4",
        "in flight 0/40  API calls 12",
        "wave 1 of 2 (canary): 1 server, not begun",
        "window closed until 2026-03-01 17:00Z (Sun 18:00 CET, in",
        "  5h00m)",
        "failure budgets: max_failed 0/2",
    ]
    history.happen(RunWaveOpened(1))
    view.turned(history.progress, history.submit(0), REQUESTS, history.wait(1).now)
    assert asked == 2
    assert screen.show()[4:] == [
        "wave 1 of 2 (canary): 0 of 1 ended",
        "window closed until 2026-03-01 17:00Z (Sun 18:00 CET, in",
        "  4h59m)",
        "failure budgets: max_failed 0/2, wave 1 0/0",
        "az eu-de-01: 1 of 1 out: web-00 changing",
        "web-00 changing       1s  job ff80808288d4",
    ]
    view.close()


def test_on_a_low_terminal_servers_keep_their_room() -> None:
    screen = Screen(80, 9)
    history, view = steered(EVERYTHING, members(1, 2, 2, 2)), LiveView(screen.console)
    history.happen(RunWaveOpened(1))
    for number in range(4):
        history.submit(number)
    view.started(history.progress, history.now, lambda: facts(history, CLOSED))
    shown = screen.show()
    assert len(shown) <= 8
    assert sum(line.startswith(("web-0", "and ")) for line in shown) == 3
    view.close()


def test_the_end_leaves_the_summary_and_nothing_else() -> None:
    screen = Screen(80, 24)
    history, view = begun(screen, 1)
    view.turned(history.progress, history.wait(10).submit(0), REQUESTS, history.now)
    view.turned(
        history.progress, [*history.wait(60).succeed(0), *history.happen(RunMoved(RunState.DONE))], {}, history.now
    )
    view.ended(history.progress, REQUESTS, history.now)
    assert screen.show() == [
        "web-tier-debian-12 2b7c0m1x4q: done after 1m10s",
        "  1 server: 1 done",
        "  API calls: 12, 12.0 for each server that was changed or tried (sweep 12)",
    ]
    assert screen.cursor_shown


def test_notes_stay_above_the_picture() -> None:
    screen = Screen(80, 24)
    history, view = begun(screen)
    view.note("stopping; answers on the wire are awaited\x1b[2J", history.now)
    view.turned(history.progress, history.wait(10).submit(0), REQUESTS, history.now)
    shown = screen.show()
    assert shown[0] == r"2026-03-01T12:00:00Z stopping; answers on the wire are awaited\x1b[2J"
    assert shown[1].startswith("web-tier-debian-12")
    view.close()


def test_a_terminal_that_becomes_narrower_keeps_no_leftovers() -> None:
    screen = Screen(80, 24)
    history, view = begun(screen)
    for number in range(3):
        view.turned(history.progress, history.wait(10).submit(number), REQUESTS, history.now)
    for width in (50, 20, 100):
        screen.resize(width)
        view.turned(history.progress, (), REQUESTS, history.wait(10).now)
        shown = screen.show()
        assert sum("[---" in line for line in shown) == 1
        assert shown[0].startswith("web-t")
        assert len(shown) == len([line for line in shown if line])
        assert max(len(line) for line in shown) <= width
    view.close()


def test_a_terminal_that_became_narrower_before_the_end_keeps_only_the_summary() -> None:
    screen = Screen(80, 24)
    history, view = begun(screen)
    view.turned(history.progress, history.wait(10).submit(0), REQUESTS, history.now)
    screen.resize(40)
    view.ended(history.progress, REQUESTS, history.now)
    shown = screen.show()
    assert shown[:2] == ["web-tier-debian-12 2b7c0m1x4q:", "unfinished, left after 10s"]
    assert not any("[---" in line for line in shown)


def test_it_draws_at_most_eight_times_a_second() -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24)
    history, view = RunHistory.of(3), LiveView(console)
    view.started(history.progress, history.now)
    for _ in range(1000):
        view.turned(history.progress, (), REQUESTS, history.wait(0.002).now)
    assert 14 <= out.getvalue().count("web-tier-debian-12") <= 17, "two seconds"
    view.close()


def test_a_clock_that_goes_back_does_not_freeze_the_picture() -> None:
    screen = Screen(80, 24)
    history, view = begun(screen)
    view.turned(history.progress, history.wait(-3600).submit(0), REQUESTS, history.now)
    assert "changing 1  waiting 4" in screen.show()
    view.close()


def test_data_on_standard_output_does_not_go_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(80, 24)
    _, view = begun(screen)
    print("data")
    view.close()
    assert capsys.readouterr().out == "data\n"
    assert screen.show() == []


def test_closing_twice_or_before_the_start_does_nothing() -> None:
    screen = Screen(80, 24)
    view = LiveView(screen.console)
    view.close()
    _, view = begun(screen)
    view.close()
    view.close()
    assert screen.show() == []
    assert screen.cursor_shown


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, color_system="truecolor")
    history, view = RunHistory.of(1), LiveView(console)
    view.started(history.progress, history.now)
    view.turned(history.progress, [*history.submit(0), *history.fail(0, TargetState.HELD)], {}, history.wait(1).now)
    view.ended(history.progress, {}, history.now)
    assert "\x1b[3" not in out.getvalue(), "no colour of letters"
    assert "held" in out.getvalue()


def test_dumb_terminals_and_files_get_no_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert wants_live(Console(file=StringIO(), force_terminal=True))
    assert not wants_live(Console(file=StringIO(), force_terminal=False))
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_live(Console(file=StringIO(), force_terminal=True))
