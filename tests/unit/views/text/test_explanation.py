"""Explanations of targets: the one reason, what ends it, who may end it, and the fate of the disk."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.journal.events import (
    ChangeAnswered,
    ChangeIntended,
    Moved,
    RunApproved,
    RunDriverEnded,
    RunMoved,
    RunWaveFinished,
    RunWaveOpened,
)
from fleetos.model.run import LeftBy, Target
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves, GroupRule, Steering, Wave
from fleetos.model.steering.share import Share
from fleetos.rules.admission.journal_facts import standing_of
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.rules.windows import OPEN, Window
from fleetos.views.text import explanation
from fleetos.views.text.explanation import DiskFate, EndedBy, Explanation, Stands, explain, moment_words
from fleetos.views.text.run_condition import Driver
from tests.support.builders import START
from tests.unit.views.run_history import IMAGE, JOB, STOPPED, RunHistory, server_id
from tests.unit.views.steered import ALIVE, CLOSED, EVERYTHING, HOUR, members, steered

S, E, D = TargetState, EndedBy, DiskFate
RUN = "2b7c0m1x4q"


def explained(
    history: RunHistory,
    number: int = 0,
    lease: Driver | None = ALIVE,
    window: Window = OPEN,
    usual_s: float | None = None,
) -> Explanation:
    standing = standing_of(history.progress, history.now, (window,))
    return explain(history.progress, standing, history.one(number), lease, usual_s)


def hold(number: int) -> str:
    return f'fleetos hold {RUN} {server_id(number)} --reason "..."'


def test_a_closed_window_is_ended_by_time() -> None:
    told = explained(steered(EVERYTHING, members(1, 2, 2, 2)), window=CLOSED)
    assert (told.stands, told.ended_by, told.end) == (Stands.WAITS, E.TIME, "its window opens")
    assert told.words == "closed until 2026-03-01 17:00Z"
    assert told.ends_at == START + 5 * HOUR
    assert told.commands == (hold(0),)
    assert (told.disk, told.fate) == (history_disk(), D.TO_BE_WIPED)


def history_disk() -> str | None:
    return RunHistory.of(1).one(0).baseline.disk


def test_a_wave_is_ended_by_the_one_before_then_by_its_bake_then_by_an_approval() -> None:
    between = BetweenWaves(bake_s=60, approval=Approval())
    history = steered(Steering(waves=(Wave(1, None, 1, between), Wave(2, None, 1, BetweenWaves()))), members(1, 2))
    history.happen(RunWaveOpened(1))
    told = explained(history, 1)
    assert (told.ended_by, told.end) == (E.DRIVER, "all servers of the wave before have ended")
    history.submit(0)
    history.succeed(0)
    history.happen(RunWaveFinished(1))
    told = explained(history, 1)
    assert (told.ended_by, told.ends_at) == (E.PEOPLE, history.now + timedelta(seconds=60))
    assert told.end == "the wave is approved, and the one before was watched for long enough"
    approve = f'fleetos approve {RUN} --wave 2 --reason "..."'
    assert told.commands == (approve, hold(1))
    approved = history.now
    history.wait(30).happen(RunApproved(2, "ben"))
    told = explained(history, 1)
    assert (told.ended_by, told.end) == (E.TIME, "the wave before was watched for long enough")
    assert told.commands == (f'fleetos wave promote {RUN} --reason "..."', hold(1))
    assert told.ends_at == approved + timedelta(seconds=60)


def test_a_wave_that_was_watched_waits_for_its_approval() -> None:
    history = steered(
        Steering(waves=(Wave(1, None, 1, BetweenWaves(approval=Approval())), Wave(2, None, 1, BetweenWaves()))),
        members(1, 2),
    )
    history.happen(RunWaveOpened(1))
    history.submit(0)
    history.succeed(0)
    history.happen(RunWaveFinished(1))
    told = explained(history, 1)
    assert (told.ended_by, told.end) == (E.PEOPLE, "the wave is approved")
    assert told.commands == (f'fleetos approve {RUN} --wave 2 --reason "..."', hold(1))


def test_a_wait_for_time_that_nobody_drives_names_the_command_that_does() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    history.happen(RunDriverEnded("host:1", LeftBy.WAIT, "closed"))
    told = explained(history, lease=None, window=CLOSED)
    assert (told.ended_by, told.end) == (E.TIME, "its window opens, and a timer or somebody drives the run")
    assert told.commands == (f"fleetos resume {RUN}", hold(0))


def test_a_run_that_nobody_drives_says_what_it_waits_for_then() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    told = explained(history, lease=None, window=CLOSED)
    assert told.words == "no driver; then closed until 2026-03-01 17:00Z"
    assert told.commands == (f"fleetos resume {RUN}", hold(0))
    assert explained(history, lease=None).words == "no driver"


def test_a_pause_by_an_operator_is_ended_by_a_resume_alone() -> None:
    history = RunHistory.of(2)
    history.begin()
    _pause(history)
    told = explained(history, lease=None)
    assert told.end == f"somebody resumes the run. Ask the operator, then `fleetos resume {RUN} --reason TEXT`."


def test_whoever_an_operator_holds_may_be_released() -> None:
    history = RunHistory.of(2)
    history.begin()
    history.happen(Moved(server_id(0), S.HELD, reason=Reason.OPERATOR, detail="anna: look"))
    assert explained(history).commands == tuple(
        f'fleetos {verb} {RUN} {server_id(0)} --reason "..."' for verb in ("release", "skip")
    )


def test_a_full_group_names_the_server_that_may_be_skipped() -> None:
    history = steered(Steering(groups=(GroupRule("az", Share(1)),)), members(0, 0))
    history.submit(0)
    history.fail(0)
    told = explained(history, 1)
    assert (told.ended_by, told.waiting and told.waiting.reason) == (E.PEOPLE, WaitReason.UNAVAILABLE)
    assert told.commands == (f'fleetos skip {RUN} {server_id(0)} --reason "..."', hold(1))


def _nothing(_: RunHistory) -> None:
    pass


def test_a_group_that_changes_its_servers_is_ended_by_the_driver() -> None:
    history = steered(Steering(groups=(GroupRule("az", Share(1)),)), members(0, 0))
    history.submit(0)
    told = explained(history, 1)
    assert (told.ended_by, told.commands) == (E.DRIVER, (hold(1),))


def _pause(history: RunHistory) -> None:
    history.happen(RunMoved(RunState.PAUSED, Reason.OPERATOR, "look", "anna"))


@pytest.mark.parametrize(
    ("act", "lease", "by", "command"),
    [
        (_pause, None, E.PEOPLE, f'fleetos resume {RUN} --reason "..."'),
        (_nothing, None, E.PEOPLE, f"fleetos resume {RUN}"),
        (_nothing, ALIVE, E.DRIVER, None),
    ],
)
def test_who_ends_a_wait_of_the_whole_run(
    act: Callable[[RunHistory], None], lease: Driver | None, by: EndedBy, command: str | None
) -> None:
    history = RunHistory.of(2)
    history.begin()
    act(history)
    told = explained(history, lease=lease)
    assert (told.stands, told.ended_by) == (Stands.WAITS, by)
    assert told.commands == ((hold(0),) if command is None else (command, hold(0)))


def test_a_pause_says_what_happened_and_what_to_do() -> None:
    history = RunHistory.of(2)
    history.begin()
    history.happen(RunMoved(RunState.PAUSED, Reason.STUCK, "all: 2 of 2 out: web-00 down, web-01 down"))
    told = explained(history, lease=None)
    assert told.words == "the run is paused (stuck): all: 2 of 2 out: web-00 down, web-01 down"
    assert told.end.startswith("somebody resumes the run. See what they wait for")


def test_every_reason_has_an_end() -> None:
    run = RunHistory.of(1).progress.run
    for reason in WaitReason:
        by, end = explanation._end_of(Waiting(reason, "words"), run)
        assert isinstance(by, EndedBy)
        assert re.match(r"[a-z]", end)


def test_a_change_under_way_says_how_long_it_takes_and_when_it_is_overdue() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.submit(0)
    told = explained(history, usual_s=180.0)
    assert (told.stands, told.ended_by, told.usual_s) == (Stands.MOVES, E.CLOUD, 180.0)
    assert told.words == f"the cloud changes its OS, job {JOB}"
    assert told.ends_at == history.now + HOUR
    assert (told.commands, told.fate) == ((), D.BEING_WIPED)
    told = explained(history, lease=None)
    assert (told.stands, told.words) == (Stands.WAITS, f"the cloud changes its OS, job {JOB}; no driver")


def test_an_unknown_outcome_is_watched() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.stop(0)
    deadline = history.now + HOUR
    history.happen(
        Moved(server_id(0), S.READY),
        ChangeIntended(server_id(0), 1, STOPPED, deadline),
        ChangeAnswered(server_id(0), 1, S.INSPECTING, "ambiguous"),
    )
    told = explained(history)
    assert (told.stands, told.ended_by, told.fate) == (Stands.WAITS, E.TIME, D.UNKNOWN)
    assert told.ends_at is not None
    assert told.ends_at > deadline


def _done(history: RunHistory) -> None:
    history.submit(0)
    history.succeed(0)


def _failed(history: RunHistory) -> None:
    history.submit(0)
    history.fail(0)


def _locked(history: RunHistory) -> None:
    history.happen(Moved(server_id(0), S.HELD, reason=Reason.LOCKED, detail="is locked"))


def _cancelled(history: RunHistory) -> None:
    history.happen(
        RunMoved(RunState.FINISHING, Reason.ABORTED), Moved(server_id(0), S.CANCELLED, reason=Reason.ABORTED)
    )


def _skipped(history: RunHistory) -> None:
    history.happen(Moved(server_id(0), S.SKIPPED, reason=Reason.ALREADY_ON_IMAGE))


@pytest.mark.parametrize(
    ("act", "words", "by", "fate", "verbs"),
    [
        (_done, f"runs image {IMAGE} (Standard_Debian_12_latest)", E.NOBODY, D.WIPED, ()),
        (_failed, "Every attempt that the plan allows has failed.", E.PEOPLE, D.UNKNOWN, ("retry", "skip")),
        (_locked, "The server is locked in the cloud.", E.PEOPLE, D.KEPT, ("retry", "skip")),
        (
            _cancelled,
            "The run was ended, by an abort or a failure budget, before this server had its new OS.",
            E.PEOPLE,
            D.KEPT,
            (),
        ),
        (_skipped, "The server runs the image already, so nothing was done.", E.NOBODY, D.KEPT, ()),
    ],
)
def test_an_end_says_what_to_do_next(
    act: Callable[[RunHistory], None], words: str, by: EndedBy, fate: DiskFate, verbs: tuple[str, ...]
) -> None:
    history = RunHistory.of(2)
    history.begin()
    act(history)
    told = explained(history)
    assert (told.stands, told.waiting, told.ends_at) == (Stands.ENDED, None, None)
    assert told.words.startswith(words)
    assert (told.ended_by, told.fate, bool(told.end)) == (by, fate, by is E.PEOPLE)
    assert told.commands == tuple(f'fleetos {verb} {RUN} {server_id(0)} --reason "..."' for verb in verbs)


def test_whoever_failed_in_a_run_that_has_ended_may_be_retried() -> None:
    history = RunHistory.of(1)
    history.begin()
    _failed(history)
    history.happen(RunMoved(RunState.DONE))
    assert explained(history).commands == (f"fleetos retry {RUN}",)


@pytest.mark.parametrize("state", [state for state in TargetState if state not in (S.WAITING, S.BACKOFF)])
def test_every_state_is_explained(state: TargetState) -> None:
    one = replace(RunHistory.of(1).one(0), state=state)
    history = RunHistory([one])
    history.progress.run = replace(history.progress.run, state=RunState.RUNNING)
    told = explained(history)
    assert told.words
    assert told.disk == one.disk


def test_a_stop_has_a_limit() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.stop(0)
    told = explained(history)
    assert (told.stands, told.ended_by, told.words) == (Stands.MOVES, E.DRIVER, "it is being stopped")
    limit = history.now + timedelta(seconds=history.progress.run.settings.stop_timeout_s)
    assert told.ends_at == limit


def test_hostile_names_stay_within_their_line() -> None:
    hostile: Target = replace(RunHistory.of(1).one(0), server_id="a\nb\x1b[2J")
    told = explained_one(hostile)
    assert all(command.isprintable() for command in told.commands)


def explained_one(target: Target) -> Explanation:
    history = RunHistory([target])
    return explain(history.progress, standing_of(history.progress, history.now), target, ALIVE)


def test_a_time_is_told_in_utc_in_the_zone_and_from_now() -> None:
    local = (START + HOUR).astimezone(START.tzinfo)
    assert moment_words(START + HOUR, START, None) == "2026-03-01 13:00:00Z, in 1h00m"
    assert moment_words(START - HOUR, START, local) == "Sun 2026-03-01 13:00 UTC, 2026-03-01 11:00:00Z, 1h00m ago"
