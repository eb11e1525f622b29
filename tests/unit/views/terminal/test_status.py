"""The status fits the screen, says first how the run stands, and last what to type next."""

from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len

from fleetos.model.journal.events import Moved, RunApproved, RunDriverEnded, RunMoved
from fleetos.model.run import LeftBy
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves
from fleetos.rules.admission.journal_facts import standing_of
from fleetos.views.terminal.status import Status, status_screen
from fleetos.views.text.reasons import REASONS
from fleetos.views.text.run_condition import Driver
from tests.support.builders import START
from tests.unit.views.run_history import RunHistory, between_waves, server_id, target
from tests.unit.views.steered import CLOSED, EVERYTHING, members, steered
from tests.unit.views.text.test_format import HOSTILE

WHO = "process 8514 of root on vm"
ALIVE = Driver(WHO, 8514, START, "alive")
GONE = Driver(WHO, 8514, START, "gone")


def lines_of(
    history: RunHistory, lease: Driver | None = None, width: int | None = None, height: int | None = None
) -> list[str]:
    status = Status(history.progress, lease, history.now, width)
    return status_screen(status, list(history.progress.targets.values()), height).plain.split("\n")


def left_behind(count: int = 60) -> RunHistory:
    """A run of which two servers are held, some are changed, one is stopped, and the rest waits."""
    history = RunHistory.of(count)
    history.progress.run = replace(history.progress.run, created_by="root on vm")
    history.begin()
    for number in range(3, 13):
        history.submit(number)
    history.succeed(3)
    for number in (1, 2):
        history.happen(Moved(server_id(number), TargetState.HELD, reason=Reason.LOCKED, detail="is locked"))
    history.stop(20)
    return history.wait(52 * 60)


@pytest.mark.parametrize(("owner", "who"), [("", "root on vm"), ("root", "root on vm"), ("anna", "anna (root on vm)")])
def test_the_creator_is_the_owner_with_the_user_if_these_differ(owner: str, who: str) -> None:
    history = left_behind()
    history.progress.run = replace(history.progress.run, owner=owner)
    assert f"created 12:00:00Z by {who} from /plans/web.yaml" in lines_of(history)


def test_whoever_is_called_at_night_reads_it_all_on_24_rows_of_80() -> None:
    lines = lines_of(left_behind(), GONE, 80, 24)
    assert len(lines) <= 23
    assert lines == [
        "web-tier-debian-12 2b7c0m1x4q: abandoned, last sign of life 12:00:00Z (52m00s",
        "  ago), process 8514 of root on vm",
        "cloud otc-prod, region eu-de, project 0a1b",
        "created 12:00:00Z by root on vm from /plans/web.yaml",
        "",
        "SERVER  STATE     SINCE   TRIES  NOTE",
        "web-20  stopping  52m00s  0/2    may be powered off; no driver",
        "web-04  changing  52m00s  1/2    change sent; no driver; job ff80808288d4",
        "web-05  changing  52m00s  1/2    change sent; no driver; job ff80808288d4",
        "web-06  changing  52m00s  1/2    change sent; no driver; job ff80808288d4",
        "web-01  held      52m00s  0/2    locked",
        "--all shows 55 more: 47 waiting, 6 changing, 1 done, 1 held",
        "",
        "60 servers: 47 waiting, 1 stopping, 9 changing, 1 done, 2 held",
        "not driven: 9 changes in the cloud unwatched, 47 servers not started",
        "2 held, locked. The server is locked in the cloud.",
        "  to do: Unlock it, then `fleetos retry 2b7c0m1x4q SERVER --reason TEXT`.",
        "  web-01 (00000001-46ca-475e-917e-2563e5a8cd19)",
        "  web-02 (00000002-46ca-475e-917e-2563e5a8cd19)",
        "Up to 10 servers may be powered off because of this run: web-20, web-04, web-05,",
        "  web-06, web-07, web-08, web-09, web-10, web-11, web-12",
        "next: fleetos resume 2b7c0m1x4q",
        "or end the run and wipe no further disk: fleetos abort 2b7c0m1x4q",
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (45, 20), (100, 30), (120, 50), (40, 12), (20, 8)])
@pytest.mark.parametrize("lease", [ALIVE, GONE, None])
def test_no_line_is_wider_than_the_terminal_and_the_next_command_is_last(
    width: int, height: int, lease: Driver | None
) -> None:
    history = left_behind()
    history.progress.update_targets(
        history.progress.run, [target(30, "a" * 60), target(31, "ウ" * 60), target(32, HOSTILE)]
    )
    lines = lines_of(history, lease, width, height)
    assert all(cell_len(line) <= width and line.isprintable() for line in lines)
    assert "2b7c0m1x4q" in " ".join(lines[-2:])
    if height >= 20:
        assert len(lines) < height


@pytest.mark.slow
def test_a_pipe_has_every_server_and_cuts_none() -> None:
    lines = lines_of(left_behind(10_000), GONE)
    assert sum("no driver" in line for line in lines) == 10_000 - 3
    assert not any("…" in line for line in lines)


def test_powered_off_servers_come_before_those_that_are_merely_held() -> None:
    history = left_behind()
    names = [line.split()[0] for line in lines_of(history, GONE) if line.startswith("web-")][1:]
    assert names[:10] == ["web-20", *(f"web-{number:02}" for number in range(4, 13))]
    assert names[10:13] == ["web-01", "web-02", "web-00"]


def test_a_run_that_is_driven_says_what_each_server_waits_for() -> None:
    history = RunHistory.of(42)
    history.begin()
    for number in range(1, 41):
        history.submit(number)
    history.happen(Moved(server_id(0), TargetState.CHECKING))
    history.happen(Moved(server_id(0), TargetState.READY))
    lines = [" ".join(line.split()) for line in lines_of(history, ALIVE)]
    assert "web-00 ready 0s 0/2 concurrency queued: 40 of 40 slots in use" in lines
    assert "web-41 waiting 0s 0/2 concurrency queued: 40 of 40 slots in use, 1 server ahead" in lines
    assert "web-01 changing 0s 1/2 job ff80808288d4" in lines
    assert not any("powered off" in line for line in lines)
    assert lines[-1] == "next: fleetos events 2b7c0m1x4q --follow"


def test_nobodys_turn_comes_in_a_run_that_nobody_drives() -> None:
    history = RunHistory.of(2)
    history.begin()
    history.submit(0)
    history.fail(0, TargetState.BACKOFF)
    for lease in (None, GONE):
        rows = [line for line in lines_of(history, lease) if line.startswith("web-0")]
        assert all("no driver" in row for row in rows)
        assert not any("queued" in row or "retry" in row for row in rows)
    assert any("Ecs.0202" in line for line in lines_of(history))
    assert any("retry in 30s" in line for line in lines_of(history, ALIVE))


def test_a_pause_says_what_the_cloud_said_and_what_to_do() -> None:
    history = RunHistory.of(2)
    history.begin()
    said = "Policy.0001: ecs:cloudServers:changeOS"
    history.happen(RunMoved(RunState.PAUSED, Reason.PERMISSION, said), RunDriverEnded(WHO, LeftBy.PAUSE))
    lines = lines_of(history.wait(60))
    assert lines[0].endswith("paused 12:00:00Z (1m00s ago): no permission")
    assert sum("the run is paused" in line for line in lines) == 2
    assert lines[-4:] == [
        f"paused: The cloud knows the account and does not allow it to do this. {said}",
        f"  to do: {REASONS[Reason.PERMISSION].todo.replace('{run}', '2b7c0m1x4q')}",
        "next: fleetos resume 2b7c0m1x4q",
        "or end the run and wipe no further disk: fleetos abort 2b7c0m1x4q",
    ]


def test_a_driver_that_a_signal_holds_can_be_let_go_on() -> None:
    history = RunHistory.of(1)
    history.begin()
    lines = lines_of(history, Driver(WHO, 8514, START - timedelta(seconds=50), "stopped"))
    assert lines[0].endswith(f"its driver is stopped by a signal: {WHO}, last renewed 50s ago")
    assert lines[-1] == "next: kill -CONT 8514 to let it go on; or kill -9 8514, then fleetos resume 2b7c0m1x4q"


def test_a_run_that_is_over_says_what_is_left_to_do() -> None:
    history = left_behind(21)
    for number in (0, *range(13, 20)):
        history.happen(Moved(server_id(number), TargetState.CANCELLED))
    for number in range(4, 13):
        history.succeed(number)
    history.happen(Moved(server_id(20), TargetState.HELD, reason=Reason.STOP_TIMEOUT), RunMoved(RunState.DONE))
    lines = lines_of(history, None, 80, 40)
    assert "ended after 52m00s with 3 held, 8 never changed" in " ".join("".join(lines[:2]).split())
    assert any(line.startswith("web-20 ") and "may be powered off; does not stop" in line for line in lines)
    assert "1 server may be powered off because of this run: web-20" in lines
    assert lines[-2:] == ["next: fleetos retry 2b7c0m1x4q", "next: fleetos apply /plans/web.yaml --new-run"]


@pytest.mark.parametrize("lease", [ALIVE, None])
def test_a_run_between_two_waves_says_what_it_waits_for_and_who_may_end_that(lease: Driver | None) -> None:
    history = between_waves(BetweenWaves(approval=Approval("other")))
    lines = lines_of(history, lease)
    assert "wave 2 waits for an approval by somebody other than anna: fleetos approve 2b7c0m1x4q --wave 2" in lines
    assert max(map(cell_len, lines_of(history, lease, 60))) <= 60
    history.happen(RunApproved(2, "ben"))
    assert not any("wave 2" in line for line in lines_of(history, None))


def test_many_that_wait_are_counted_by_what_they_wait_for() -> None:
    history = steered(EVERYTHING, members(1, *[2] * 11))
    standing = standing_of(history.progress, history.now, (CLOSED,))
    status = Status(history.progress, ALIVE, history.now, 80, standing)
    lines = status_screen(status, list(history.progress.targets.values()), 40).plain.split("\n")
    for line in (
        "wave 1 of 2 (canary): 1 server, not begun",
        "window closed until 2026-03-01 17:00Z (Sun 18:00 CET, in 5h00m)",
        "SERVER  STATE    SINCE  TRIES  WAITS FOR  NOTE",
        "web-00  waiting  0s     0/2    window     closed until 2026-03-01 17:00Z",
        "web-01  waiting  0s     0/2    wave       wave 2 waits for wave 1",
        "12 servers wait:",
        "     11 wave        wave 2 waits for wave 1",
        "      1 window      closed until 2026-03-01 17:00Z",
    ):
        assert line in lines
    narrow = Status(history.progress, ALIVE, history.now, 60, standing)
    assert "wave 1 of 2 (canary): 1 server, not begun" in (line.plain.strip() for line in narrow.head(short=True))
    lines = status_screen(narrow, list(history.progress.targets.values()), 40).plain.split("\n")
    assert not any("WAITS FOR" in line or "servers wait" in line for line in lines)


def test_a_narrow_screen_says_which_wave_and_window_and_not_who_created_the_run() -> None:
    history = steered(EVERYTHING, members(1, *[2] * 11))
    history.submit(0)
    history.fail(0)
    history.happen(RunMoved(RunState.PAUSED, Reason.BUDGET, "more than 0 of 1 of wave 1 failed (1)"))
    lines = lines_of(history, None, 60, 24)
    assert len(lines) < 24
    assert "wave 1 of 2 (canary): 1 server, not begun" in lines
    assert "window open" in lines
    assert not any(line.startswith(("failure budgets", "created")) for line in lines)
