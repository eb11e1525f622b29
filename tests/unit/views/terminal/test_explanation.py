"""Text of an explanation: on wide and narrow terminals, and in a pipe."""

from zoneinfo import ZoneInfo

from fleetos.model.codes import AnswerClass
from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import ChangeAnswered, ChangeIntended, JobEnded, Moved, RunWaveOpened
from fleetos.model.run import Target
from fleetos.model.states import TargetState
from fleetos.model.steering.times import Times
from fleetos.rules.windows import OPEN, Window
from fleetos.views.terminal.explanation import explanation_text
from fleetos.views.text.explanation import explain
from tests.support.builders import START
from tests.unit.views.run_history import JOB, STOPPED, RunHistory, server_id
from tests.unit.views.steered import ALIVE, CLOSED, EVERYTHING, HOUR, facts, members, steered


def lines_of(history: RunHistory, number: int, window: Window = OPEN, width: int | None = None) -> list[str]:
    """The lines about a target, with its records."""
    target: Target = history.one(number)
    shown = facts(history, window)
    records = [record for record in history.records if getattr(record.event, "server_id", None) == target.server_id]
    told = explain(history.progress, shown.standing, target, ALIVE, 180.0)
    return explanation_text(shown, target, told, records[-10:], ZoneInfo("Europe/Berlin"), width).plain.split("\n")


def test_a_server_outside_of_its_window() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    lines = lines_of(history, 0, CLOSED)
    assert lines[-2:-1] == [""]
    assert "target.enlisted" in lines[-1]
    assert lines[:-2] == [
        f"web-00 ({server_id(0)}) in web-tier-debian-12 2b7c0m1x4q: waiting since 12:00:00Z (0s ago)",
        "  why       window: closed until 2026-03-01 17:00Z",
        "  ends when its window opens: Sun 2026-03-01 18:00 CET, 2026-03-01 17:00:00Z, in 5h00m",
        "  ended by  time",
        f'  commands  fleetos hold 2b7c0m1x4q {server_id(0)} --reason "..."',
        "  wave      1 of 2 (canary): 1 server, not begun",
        "  window    closed until 2026-03-01 17:00Z (Sun 18:00 CET, in 5h00m)",
        "  group     az eu-de-01: 0 of 1 out",
        "  disk      disk-old WILL BE WIPED when its change is sent",
        "  attempts  none of 2",
    ]


def test_an_open_window_says_what_becomes_of_changes_at_its_end() -> None:
    opened = Window(Times.of([(START, START + HOUR)]))
    open_words = "open until 2026-03-01 13:00Z (Sun 14:00 CET, in 1h00m); what was sent by then finishes"
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    assert f"  window    {open_words}" in lines_of(history, 0, opened)
    assert "  window    open" in lines_of(history, 0, OPEN)


def test_a_change_under_way_and_one_that_failed() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    history.happen(RunWaveOpened(1))
    history.submit(0)
    history.wait(60)
    lines = lines_of(history, 0)
    assert f"  why       the cloud changes its OS, job {JOB}" in lines
    assert "  usually   takes 3m00s" in lines
    assert "  limit     overdue at Sun 2026-03-01 14:00 CET, 2026-03-01 13:00:00Z, in 59m00s" in lines
    assert "  disk      disk-old is being wiped by the change" in lines
    assert "  power     may be powered off because of this run" in lines
    where = history.one(0).server_id
    history.happen(JobEnded(where, 1, JOB, JobStatus.FAIL, "Ecs.0202", "create volume failed"))
    lines = lines_of(history, 0)
    assert "  why       its change has failed, and the driver looks at what that left" in lines
    assert not [line for line in lines if line.startswith(("  usually", "  limit"))]
    history.fail(0)
    lines = lines_of(history, 0)
    assert "  why       attempts-used-up: Every attempt that the plan allows has failed." in lines
    assert any(line.startswith("  to do     Give job, code and request id") for line in lines)
    assert any(line.startswith("  attempt   1 of 2: failed; Ecs.0202") and JOB in line for line in lines)
    assert any("target.held" in line for line in lines)


def test_a_send_that_was_never_answered_is_named_with_its_attempt() -> None:
    history = steered(EVERYTHING, members(1))
    history.stop(0)
    where = history.one(0).server_id
    history.happen(
        Moved(where, TargetState.READY),
        ChangeIntended(where, 1, STOPPED, history.now),
        ChangeAnswered(where, 1, TargetState.INSPECTING, AnswerClass.AMBIGUOUS),
    )
    assert any("attempt   1 of 2: " in line and line.endswith("1 send never answered") for line in lines_of(history, 0))


def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    history.happen(RunWaveOpened(1))
    history.submit(0)
    history.fail(0)
    wide = " ".join(" ".join(lines_of(history, 0)[:-10]).split())
    for width in (80, 60, 30):
        lines = lines_of(history, 0, width=width)
        assert max(map(len, lines)) <= width
        narrow = "".join(" ".join(lines).split()).replace(" ", "")
        assert wide.replace(" ", "")[:400] in narrow


def test_a_group_without_anybody_out_says_so() -> None:
    assert "group     az eu-de-01: 0 of 1 out" in "\n".join(lines_of(steered(EVERYTHING, members(1, 2, 2, 2)), 0))
