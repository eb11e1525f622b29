"""The last word on a run names everything that needs a human."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.journal.events import (
    ChangeAnswered,
    ChangeIntended,
    Moved,
    RunDriverEnded,
    RunMoved,
)
from fleetos.model.run import LeftBy
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.views.terminal.frame import Spent
from fleetos.views.terminal.summary import next_commands, summary
from fleetos.views.text.run_condition import powered_off
from fleetos.views.text.target_notes import note_of
from tests.unit.views.run_history import JOB, STOPPED, RunHistory, server_id, target, web_tier_run
from tests.unit.views.text.test_format import HOSTILE


def text_of(history: RunHistory, requests: dict[str, int] | None = None, shown: int = 20) -> str:
    return summary(history.progress, Spent(754, requests or {}), shown=shown).plain


def unknown(history: RunHistory, number: int) -> None:
    """The answer to the change was lost, and the target is held for it."""
    history.stop(number)
    where = server_id(number)
    history.happen(
        Moved(where, TargetState.READY),
        ChangeIntended(where, 1, STOPPED, history.now + timedelta(hours=1)),
        ChangeAnswered(where, 1, TargetState.INSPECTING, "ambiguous", detail="connection reset"),
        Moved(where, TargetState.HELD, reason=Reason.OUTCOME_UNKNOWN),
    )


def refused(history: RunHistory, number: int) -> None:
    history.stop(number)
    history.wait(5)
    where = server_id(number)
    history.happen(
        Moved(where, TargetState.READY),
        ChangeIntended(where, 1, STOPPED, history.now + timedelta(hours=1)),
        ChangeAnswered(
            where,
            1,
            TargetState.FAILED,
            "fatal",
            code="Ecs.0314",
            status=400,
            detail="key pair not found",
            request_id="req-9",
            reason=Reason.REFUSED,
        ),
    )


def test_a_run_that_went_well_is_three_lines() -> None:
    history = RunHistory.of(2)
    history.begin()
    for number in range(2):
        history.submit(number)
        history.succeed(number)
    history.happen(RunMoved(RunState.DONE))
    assert text_of(history, {"sweep": 4, "change": 2}) == (
        "web-tier-debian-12 2b7c0m1x4q: done after 12m34s\n"
        "  2 servers: 2 done\n"
        "  API calls: 6, 3.0 for each server that was changed or tried (sweep 4, change 2)"
    )


def test_a_refused_server_has_its_code_in_words_and_the_request_id() -> None:
    history = RunHistory.of(2)
    history.begin()
    refused(history, 1)
    history.happen(Moved(server_id(0), TargetState.SKIPPED), RunMoved(RunState.DONE))
    lines = text_of(history).splitlines()
    assert lines[2] == "  1 failed, refused. The cloud refused the request for good."
    assert lines[3].startswith("    to do: Fix the cause named by the code; ")
    named = lines[4]
    assert named.startswith(f"    web-01 ({server_id(1)}): Ecs.0314, ")
    assert "request req-9" in named
    assert "sent 2026-03-01T12:00:05Z" in named
    assert named.count("key pair not found") == 1
    assert lines[-1] == "  next: fleetos retry 2b7c0m1x4q"


def test_what_stands_beside_the_words_is_not_said_in_them_again() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.stop(0)
    where = server_id(0)
    said = "Ecs.0021: quota used up (request req-9)"
    history.happen(
        Moved(where, TargetState.READY),
        ChangeIntended(where, 1, STOPPED, history.now + timedelta(hours=1)),
        ChangeAnswered(
            where, 1, TargetState.HELD, "later", code="Ecs.0021", detail=said, request_id="req-9", reason=Reason.REFUSED
        ),
    )
    (line,) = [line for line in text_of(history).splitlines() if '"quota used up"' in line]
    assert line.count("Ecs.0021") == line.count("req-9") == line.count("quota used up") == 1


def test_a_run_that_left_servers_behind_does_not_look_done() -> None:
    history = RunHistory.of(3)
    history.begin()
    history.submit(0)
    history.succeed(0)
    held = Moved(server_id(1), TargetState.HELD, reason=Reason.LOCKED)
    gone = Moved(server_id(2), TargetState.FAILED, reason=Reason.GONE)
    history.happen(held, Moved(server_id(2), TargetState.CHECKING), gone, RunMoved(RunState.DONE))
    text = summary(history.progress, Spent(754))
    assert text.plain.startswith("web-tier-debian-12 2b7c0m1x4q: done after 12m34s, but 2 of 3 servers need you\n")
    assert not any("green" in str(span.style) and span.start == 31 for span in text.spans)


@pytest.mark.parametrize(
    ("reasons", "commands"),
    [
        ((Reason.MANAGED,), []),
        ((Reason.MANAGED, Reason.MANAGED), []),
        ((Reason.MANAGED, Reason.LOCKED), ["fleetos retry 2b7c0m1x4q"]),
    ],
)
def test_no_retry_is_advised_that_would_do_nothing(reasons: tuple[Reason, ...], commands: list[str]) -> None:
    history = RunHistory.of(len(reasons))
    history.begin()
    for number, reason in enumerate(reasons):
        history.happen(Moved(server_id(number), TargetState.HELD, reason=reason))
    history.happen(RunMoved(RunState.DONE))
    assert next_commands(history.progress) == commands


def test_job_id_and_code_of_a_failed_change() -> None:
    history = RunHistory.of(1)
    history.submit(0)
    history.fail(0)
    text = text_of(history)
    assert f'Ecs.0202, creating the system disk failed; "create volume failed"; job {JOB}' in text


def test_servers_that_lie_stopped_are_named_ended_or_not() -> None:
    history = RunHistory.of(4)
    history.begin()
    history.stop(0)
    history.submit(1)
    history.succeed(1)
    refused(history, 2)
    assert [one.position for one in powered_off(history.progress)] == [0, 2]
    text = text_of(history)
    assert "  Up to 2 servers may be powered off because of this run:\n" in text
    assert text.index("may be powered off") < text.rindex(f"web-00 ({server_id(0)})") < text.rindex("web-02")


def test_unknown_outcomes_and_overdue_changes_are_named() -> None:
    history = RunHistory.of(2)
    history.begin()
    unknown(history, 0)
    history.submit(1)
    history.happen(Moved(server_id(1), TargetState.HELD, reason=Reason.STILL_CHANGING), RunMoved(RunState.DONE))
    text = text_of(history)
    assert "  2 servers with an unknown outcome: no other run touches them until " in text
    assert f"  1 change overdue:\n    web-01 ({server_id(1)})" in text
    assert "outcome unknown. The result of the change is unknown" in text


def test_lists_are_bounded_and_say_what_they_leave_out() -> None:
    history = RunHistory.of(100)
    for number in range(100):
        history.submit(number)
        history.fail(number)
    text = text_of(history, shown=5)
    assert text.count("Ecs.0202") == 5
    assert "and 95 more; `fleetos status --all` names all" in text
    assert len(text.splitlines()) < 25


def test_an_unfinished_run_says_how_to_go_on() -> None:
    history = RunHistory.of(2)
    history.begin()
    assert text_of(history).startswith("web-tier-debian-12 2b7c0m1x4q: unfinished, left after 12m34s")
    assert next_commands(history.progress) == ("fleetos resume 2b7c0m1x4q",)
    history.happen(RunMoved(RunState.PAUSED, Reason.AUTHENTICATION, "IAM.0011"))
    text = text_of(history)
    assert "The cloud does not accept the credentials." in text
    assert "then `fleetos resume 2b7c0m1x4q`" in text
    assert "IAM.0011" in text
    history.happen(RunMoved(RunState.FINISHING))
    assert next_commands(history.progress) == ("fleetos resume 2b7c0m1x4q",)


def test_a_run_that_is_over_leaves_nothing_to_type() -> None:
    history = RunHistory.of(1)
    history.happen(Moved(server_id(0), TargetState.SKIPPED), RunMoved(RunState.DONE))
    assert list(next_commands(history.progress)) == []


@pytest.mark.parametrize("passes", [1, 2])
def test_a_run_that_an_abort_left_unfinished_is_not_done(passes: int) -> None:
    """Whether or not a later pass has brought those to an end that had failed."""
    history = RunHistory.of(3)
    history.begin()
    history.submit(0)
    history.succeed(0)
    cancelled = [Moved(server_id(number), TargetState.CANCELLED, Reason.ABORTED) for number in (1, 2)]
    history.happen(*cancelled)
    if passes == 1:
        history.happen(RunMoved(RunState.FINISHING, Reason.ABORTED, "aborted by process 7 of root on vm"))
    history.happen(RunMoved(RunState.ABORTED, Reason.ABORTED))
    lines = text_of(history).splitlines()
    assert lines[0].endswith(": aborted after 12m34s: 1 done, 2 never changed")
    assert "this server" not in lines[1]
    why = [line for line in lines if line.startswith("  aborted: ")]
    assert why == ["  aborted: The run was aborted before all of its servers were changed."]
    assert lines[-1] == "  next: fleetos apply /plans/web.yaml --new-run"


@pytest.mark.parametrize(
    ("state", "said"), [(RunState.FINISHING, "finishing: aborted by root"), (RunState.ABORTED, "aborted: by root")]
)
def test_who_aborted_a_run_is_said_once(state: RunState, said: str) -> None:
    history = RunHistory.of(2)
    history.begin()
    history.happen(Moved(server_id(0), TargetState.CANCELLED, Reason.ABORTED, detail="the run was aborted"))
    history.happen(RunMoved(RunState.FINISHING, Reason.ABORTED, "aborted by root"))
    if state is RunState.ABORTED:
        history.happen(RunMoved(state, Reason.ABORTED, "aborted by root"))
    assert f"  {said}" in text_of(history).splitlines()
    assert note_of(history.one(0), history.progress.run.settings, history.now) == "aborted"


def test_the_calls_of_a_resumed_run_are_those_of_this_process() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.begin()
    history.submit(0)
    assert "  API calls: 12 by this process (sweep 12)" in text_of(history, {"sweep": 12})


def test_a_hostile_name_stays_in_its_line() -> None:
    history = RunHistory([target(0, HOSTILE)])
    refused(history, 0)
    assert all(line.isprintable() for line in text_of(history).split("\n"))


def test_a_hostile_id_of_a_run_stays_in_its_line() -> None:
    texts: list[str] = []
    for run_id in ("2b7c0m1x4q", HOSTILE):
        history = RunHistory([target(0)], web_tier_run(id=run_id))
        unknown(history, 0)
        run = replace(history.progress.run, state=RunState.DONE, reason=Reason.UNREACHABLE)
        history.progress.update_targets(run, ())
        texts.append(text_of(history))
    plain, hostile = texts
    assert "--release`" in plain
    assert all(line.isprintable() for line in hostile.split("\n"))
    assert hostile.count("\n") == plain.count("\n")


def test_a_run_whose_driver_did_not_wait_says_until_when_and_what_goes_on() -> None:
    history = RunHistory.of(3)
    history.begin()
    history.happen(RunDriverEnded("host:1", LeftBy.WAIT, "closed until 2026-03-01 17:00Z"))
    lines = summary(history.progress, Spent(2.0)).plain.split("\n")
    assert lines == [
        "web-tier-debian-12 2b7c0m1x4q: waiting, left after 2s",
        "  3 servers: 3 waiting",
        "  waiting: closed until 2026-03-01 17:00Z",
        "    to do: only what that names; a timer that calls apply or resume then goes on by itself",
        "  next: fleetos resume 2b7c0m1x4q --no-wait",
    ]
