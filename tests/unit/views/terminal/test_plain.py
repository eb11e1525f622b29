"""The plain view: what a cron mail says, and that it never says too much."""

from dataclasses import replace
from datetime import timedelta
from io import BytesIO, StringIO, TextIOWrapper

from fleetos.model.journal.events import (
    ChangeAnswered,
    ChangeIntended,
    Moved,
    Retried,
    RunApproved,
    RunMoved,
    RunPassStarted,
    RunWaveOpened,
    RunWavePromoted,
)
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves
from fleetos.views.terminal.plain import SERVER_LINES_A_MINUTE, PlainView
from fleetos.views.text.reasons import REASONS, todo_of
from fleetos.views.text.target_notes import note_of
from tests.unit.views.run_history import JOB, STOPPED, RunHistory, between_waves, server_id, target
from tests.unit.views.steered import CLOSED, EVERYTHING, facts, members, steered
from tests.unit.views.text.test_format import HOSTILE

WEB_01 = f"web-01 ({server_id(1)})"
FAILED = f'Ecs.0202, creating the system disk failed; "create volume failed"; job {JOB}'


def begun(count: int) -> tuple[RunHistory, PlainView, StringIO]:
    out = StringIO()
    history, view = RunHistory.of(count), PlainView(out)
    view.started(history.progress, history.now)
    return history, view, out


def test_a_whole_run() -> None:
    used_up = Reason.ATTEMPTS_USED_UP
    history, view, out = begun(2)
    view.turned(history.progress, history.begin(), {"sweep": 1}, history.now)
    view.turned(history.progress, [*history.wait(5).submit(0), *history.submit(1)], {"sweep": 1}, history.now)
    view.turned(history.progress, history.wait(30).fail(1, TargetState.BACKOFF), {"sweep": 2}, history.now)
    view.turned(history.progress, history.wait(5).succeed(0), {"sweep": 3}, history.now)
    view.turned(history.progress, history.wait(90).happen(Moved(server_id(1), TargetState.CHECKING)), {}, history.now)
    history.happen(Moved(server_id(1), TargetState.READY))
    view.turned(history.progress, [*history.submit(1), *history.fail(1)], {"sweep": 9}, history.now)
    view.turned(history.progress, history.happen(RunMoved(RunState.DONE)), {"sweep": 9}, history.now)
    view.ended(history.progress, {"sweep": 9}, history.now)
    assert out.getvalue().splitlines() == [
        "2026-03-01T12:00:00Z run 2b7c0m1x4q web-tier-debian-12: 2 servers",
        "2026-03-01T12:00:00Z image Standard_Debian_12_latest pinned to 67f433d8-ed0e-4321-a8a2-a71838539e09",
        "2026-03-01T12:00:00Z WIPES up to 2 system disks, at most 40 at once; data disks are kept",
        "2026-03-01T12:00:00Z run 2b7c0m1x4q created",
        "2026-03-01T12:00:00Z driven by host:1",
        f"2026-03-01T12:00:35Z {WEB_01}: failed, will be tried again; {FAILED}; sent 2026-03-01T12:00:05Z",
        "2026-03-01T12:00:40Z 50 % finished, 40s elapsed: 1 backoff, 1 done; 3 API calls",
        "2026-03-01T12:02:10Z 50 % finished, 2m10s elapsed: 1 checking, 1 done; 0 API calls",
        f"2026-03-01T12:02:10Z {WEB_01}: held; attempts used up; {FAILED}; sent 2026-03-01T12:02:10Z",
        "2026-03-01T12:02:10Z 100 % finished, 2m10s elapsed: 1 done, 1 held; 9 API calls",
        "2026-03-01T12:02:10Z run done",
        "web-tier-debian-12 2b7c0m1x4q: done after 2m10s, but 1 of 2 servers needs you",
        "  2 servers: 1 done, 1 held",
        f"  1 held, attempts used up. {REASONS[used_up].what}",
        f"    to do: {todo_of(used_up, history.progress.run)}",
        f"    {WEB_01}: {FAILED}; sent 2026-03-01T12:02:10Z",
        (
            "  1 server may be powered off because of this run; power it on yourself, "
            "unless you call `fleetos retry 2b7c0m1x4q`:"
        ),
        f"    {WEB_01}",
        "  API calls: 9, 4.5 for each server that was changed or tried (sweep 9)",
        "  next: fleetos retry 2b7c0m1x4q",
    ]


def test_ten_thousand_failures_in_an_hour_are_a_bounded_number_of_lines() -> None:
    history, view, out = begun(10_000)
    for minute in range(60):
        for turn in range(4):
            first = minute * 166 + turn * 41
            held = [Moved(server_id(n), TargetState.HELD, reason=Reason.LOCKED) for n in range(first, first + 41)]
            view.turned(history.progress, history.wait(15).happen(*held), {}, history.now)
    lines = out.getvalue().splitlines()
    assert len(lines) <= 61 * (SERVER_LINES_A_MINUTE + 2) + 20
    assert "2026-03-01T12:02:15Z and further servers, not named here: 144 held" in lines


def test_what_was_not_named_is_told_at_the_end() -> None:
    history, view, out = begun(30)
    held = [Moved(server_id(number), TargetState.HELD, reason=Reason.LOCKED) for number in range(30)]
    view.turned(history.progress, history.happen(*held), {}, history.now)
    assert out.getvalue().count("): held; locked") == SERVER_LINES_A_MINUTE
    view.ended(history.progress, {}, history.now)
    assert "and further servers, not named here: 10 held" in out.getvalue()


def test_a_run_in_which_nothing_moves_says_so_every_ten_minutes() -> None:
    history, view, out = begun(1)
    for _ in range(3600):
        view.turned(history.progress, (), {}, history.wait(1).now)
    lines = out.getvalue().splitlines()[3:]
    assert [line[:20] for line in lines] == [f"2026-03-01T12:{minute}:00Z" for minute in (10, 20, 30, 40, 50)] + [
        "2026-03-01T13:00:00Z"
    ]


def test_a_server_that_the_cloud_turned_away_is_told_once_with_the_code() -> None:
    history, view, out = begun(1)
    where = server_id(0)
    history.begin()
    history.stop(0)
    history.happen(Moved(where, TargetState.READY))
    for _ in range(5):
        later = ChangeAnswered(where, 1, TargetState.READY, "later", code="Ecs.0021", status=400, request_id="req-3")
        sent = ChangeIntended(where, 1, STOPPED, history.now + timedelta(hours=1))
        view.turned(history.progress, history.wait(12).happen(sent, later), {}, history.now)
    (told,) = [line for line in out.getvalue().splitlines() if "turned away" in line]
    assert f"web-00 ({where}): turned away, will be asked again; Ecs.0021, the EVS disk quota is used up" in told
    assert "request req-3" in told


def test_another_pass_calls_no_known_outcome_unknown() -> None:
    history, view, out = begun(1)
    where = server_id(0)
    records = [*history.begin(), *history.submit(0), *history.fail(0), *history.happen(RunMoved(RunState.DONE))]
    view.turned(history.progress, records, {}, history.now)
    again = history.happen(RunPassStarted(2, "anna", "its quota was raised"), Retried(where, "disk-old"))
    again += history.happen(Moved(where, TargetState.INSPECTING))
    view.turned(history.progress, again, {}, history.now)
    assert "outcome unknown" not in out.getvalue()
    assert "pass 2 begins: retry by anna: its quota was raised\n" in out.getvalue()
    note = note_of(history.progress.targets[where], history.progress.run.settings, history.now)
    assert note.startswith("inspecting it first")


def test_an_unknown_outcome_says_until_when_it_is_watched_and_why() -> None:
    history, view, out = begun(1)
    where, settings = server_id(0), history.progress.run.settings
    lost = ChangeAnswered(where, 1, TargetState.INSPECTING, "ambiguous", detail="connection reset by peer")
    deadline = history.now + timedelta(seconds=settings.change_timeout_s)
    ready = (Moved(where, TargetState.CHECKING), Moved(where, TargetState.READY))
    sent = ChangeIntended(where, 1, STOPPED, deadline)
    view.turned(history.progress, [*history.begin(), *history.happen(*ready, sent, lost)], {}, history.now)
    target, until = history.progress.targets[where], deadline + timedelta(seconds=settings.settle_s)
    assert target.watched_until(settings) == until
    words = f"outcome unknown, watched until {until:%H:%MZ} at the latest (timeouts.change), then held or tried again"
    assert f"web-00 ({where}): {words}; " in out.getvalue()
    assert note_of(target, settings, history.now) == f"{words}; connection reset by peer"
    # Whoever takes the run over later than that looks for one settle more.
    assert "more (timeouts.settle); connection reset" in note_of(target, settings, until)
    assert history.progress.targets[where].watched_until(replace(settings, settle_s=0.0)) == deadline


def test_ten_per_cent_steps() -> None:
    history, view, out = begun(100)
    for number in range(100):
        moved = history.wait(0.1).happen(Moved(server_id(number), TargetState.CANCELLED, reason=Reason.ABORTED))
        view.turned(history.progress, moved, {}, history.now)
    steps = [line.split()[1] for line in out.getvalue().splitlines() if "% finished" in line]
    assert steps == [str(percent) for percent in range(10, 101, 10)]


def test_a_pause_says_why() -> None:
    history, view, out = begun(1)
    paused = history.happen(RunMoved(RunState.PAUSED, Reason.AUTHENTICATION, "IAM.0011"))
    view.turned(history.progress, paused, {}, history.now)
    assert "run paused: The cloud does not accept the credentials. IAM.0011" in out.getvalue()


def test_a_resumed_run_says_how_much_is_left() -> None:
    history, out = RunHistory.of(3), StringIO()
    history.happen(Moved(server_id(0), TargetState.SKIPPED))
    PlainView(out).started(history.progress, history.now)
    assert "web-tier-debian-12: 3 servers, 2 of them left\n" in out.getvalue()
    assert "WIPES up to 2 system disks" in out.getvalue()


def test_a_log_in_another_encoding_gets_escapes() -> None:
    raw = BytesIO()
    view = PlainView(TextIOWrapper(raw, encoding="ascii", errors="strict"))
    view.note("größe", RunHistory.of(1).now)
    assert raw.getvalue() == rb"2026-03-01T12:00:00Z gr\xf6\xdfe" + b"\n"


def test_hostile_names_stay_in_their_line() -> None:
    out = StringIO()
    history, view = RunHistory([target(0, HOSTILE)]), PlainView(out)
    view.started(history.progress, history.now)
    view.turned(
        history.progress, history.happen(Moved(server_id(0), TargetState.HELD, detail=HOSTILE)), {}, history.now
    )
    view.note(HOSTILE, history.now)
    view.ended(history.progress, {}, history.now)
    assert all(line.isprintable() for line in out.getvalue().split("\n"))


def test_the_end_of_a_wave_says_what_the_next_one_waits_for() -> None:
    history, out = between_waves(BetweenWaves(3600.0, Approval())), StringIO()
    view = PlainView(out)
    view.started(history.progress, history.now)
    assert "watched" not in out.getvalue()
    view = PlainView(out)
    view.started(history.progress, history.now, lambda: facts(history))
    view.turned(history.progress, history.records[-1:], {}, history.now)
    view.turned(history.progress, history.happen(RunApproved(2, "ben"), RunWavePromoted(1, "anna")), {}, history.now)
    waits = "wave 2 waits for an approval by anybody: fleetos approve 2b7c0m1x4q --wave 2"
    told = [line.partition(" ")[2] for line in out.getvalue().splitlines()]
    for line in (
        "wave 1 is finished",
        f"wave 1 is watched until 2026-03-01 13:00Z; {waits}",
        "wave 2 is approved by ben",
        "wave 1 is promoted by anna",
    ):
        assert told.count(line) == 1


def test_lines_about_the_rollout_are_told_when_they_are_new() -> None:
    out = StringIO()
    history, view = steered(EVERYTHING, members(1, 2, 2, 2)), PlainView(out)
    view.started(history.progress, history.now, lambda: facts(history, CLOSED))
    history.happen(RunWaveOpened(1))
    view.turned(history.progress, history.submit(0), {}, history.wait(60).now)
    view.turned(history.progress, [], {}, history.wait(60).now)
    told = [line.partition(" ")[2] for line in out.getvalue().splitlines()]
    assert told.count("wave 1 of 2 (canary): 1 server, not begun") == 1
    assert told.count("az eu-de-01: 1 of 1 out: web-00 changing") == 1
    assert told.count("failure budgets: max_failed 0/2, wave 1 0/0") == 1
