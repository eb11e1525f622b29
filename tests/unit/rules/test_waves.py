"""When the next wave may open."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.journal.events import RunWaveReopened
from fleetos.model.run import Run
from fleetos.model.states import RunState, TargetState
from fleetos.model.steering.rollout import Approval, ApprovalGiven, BetweenWaves, Steering, Wave
from fleetos.rules.waves import (
    WaveFacts,
    ends_wave,
    find_last_bake_end,
    find_next_wait,
    find_pause_between_waves,
    reopen_wave,
    wave_facts,
)
from tests.support.builders import START, a_run, a_target

HOUR = timedelta(hours=1)
SECOND_H = 1 / 3600


def waves(between: BetweenWaves | None = None) -> tuple[Wave, ...]:
    usual = between or BetweenWaves()
    return (Wave(1, None, 2, usual), Wave(2, None, 3, usual), Wave(3, None, 5, usual))


FINISHED = WaveFacts("r1", "anna", {1: 2}, {1: START})


def wait(facts: WaveFacts, between: BetweenWaves | None = None, opened: int = 1, hours: float = 0.0) -> str | None:
    waiting = find_next_wait(waves(between), opened, facts, START + hours * HOUR)
    return None if waiting is None else waiting.words


def approved(by: str, hours: float = 0.0, wave: int = 2) -> ApprovalGiven:
    return ApprovalGiven(wave, by, START + hours * HOUR)


def test_the_first_wave_waits_for_nobody() -> None:
    assert wait(WaveFacts("r1", "anna", {}, {}), opened=0) is None
    assert wait(FINISHED, opened=3) is None


def test_a_wave_is_finished_when_all_of_its_members_ended() -> None:
    assert wait(replace(FINISHED, ended={1: 1}, finished_at={})) == "wave 1 is not finished: 1 of 2 are left"
    assert wait(replace(FINISHED, finished_at={})) is not None
    assert wait(FINISHED) is None


def test_a_finished_wave_bakes() -> None:
    between = BetweenWaves(bake_s=3600.0)
    waiting = find_next_wait(waves(between), 1, FINISHED, START + 0.99 * HOUR)
    assert waiting is not None
    assert (waiting.words, waiting.ends_at) == ("wave 1 is watched until 2026-03-01 13:00Z", START + HOUR)
    assert wait(FINISHED, between, hours=1) is None
    assert wait(replace(FINISHED, promoted=frozenset({1})), between) is None
    assert wait(WaveFacts("r1", "anna", {1: 1}, {}, promoted=frozenset({1})), between) is None


@pytest.mark.parametrize(
    ("rule", "approvals", "hours", "opens"),
    [
        (Approval(), (), 1, False),
        (Approval(), (approved("anna"),), 1, True),
        (Approval("other"), (approved("anna"),), 1, False),
        (Approval("other"), (approved("ben"),), 1, True),
        (Approval(("carl",)), (approved("ben"),), 1, False),
        (Approval(("ben", "carl")), (approved("ben"),), 1, True),
        (Approval(of=2), (approved("ben"), approved("ben", 0.5)), 1, False),
        (Approval(of=2), (approved("ben"), approved("carl")), 1, True),
        (Approval(), (approved("ben", -1),), 1, False),
        (Approval(), (approved("ben", wave=3),), 1, False),
        (Approval(valid_s=3600.0), (approved("ben"),), 1, True),
        (Approval(valid_s=3600.0), (approved("ben"),), 1 + SECOND_H, False),
        (Approval(), (approved("ben", -SECOND_H),), 0, False),
        (Approval(), (approved("ben", 0),), 0, True),
    ],
)
def test_only_rightful_approvals_count(
    rule: Approval, approvals: tuple[ApprovalGiven, ...], hours: float, opens: bool
) -> None:
    facts = replace(FINISHED, approvals=approvals)
    words = wait(facts, BetweenWaves(approval=rule), hours=hours)
    assert (words is None) is opens
    assert words is None or words.endswith(": fleetos approve r1 --wave 2")


def test_words_say_who_must_approve() -> None:
    between = BetweenWaves(approval=Approval("other"))
    expected = "wave 2 waits for an approval by somebody other than anna: fleetos approve r1 --wave 2"
    assert wait(FINISHED, between) == expected


def test_a_wave_after_a_bake_still_needs_its_approval() -> None:
    between = BetweenWaves(3600.0, Approval())
    assert "watched" in str(wait(FINISHED, between))
    assert "approval" in str(wait(FINISHED, between, hours=1))


def test_words_say_who_has_approved_and_whose_approval_has_expired() -> None:
    between = BetweenWaves(approval=Approval(("ben", "carl", "dora"), 2, 3600.0))
    command = "fleetos approve r1 --wave 2"
    assert wait(FINISHED, between) == f"wave 2 waits for 2 approvals by ben or carl or dora: {command}"
    one = replace(FINISHED, approvals=(approved("ben"),))
    assert wait(one, between) == f"wave 2 waits for 1 more approval by carl or dora: {command}"
    expired = ", since that of ben has expired"
    assert wait(one, between, hours=1.5) == f"wave 2 waits for 2 approvals by ben or carl or dora{expired}: {command}"
    again = replace(one, approvals=(*one.approvals, approved("ben", 1.5)))
    assert wait(again, between, hours=2) == f"wave 2 waits for 1 more approval by carl or dora: {command}"


def test_a_bake_names_the_approval_that_is_still_missing() -> None:
    between = BetweenWaves(3600.0, Approval("other"))
    watched = "wave 1 is watched until 2026-03-01 13:00Z"
    assert wait(FINISHED, between) == (
        f"{watched}; wave 2 waits for an approval by somebody other than anna: fleetos approve r1 --wave 2"
    )
    assert wait(replace(FINISHED, approvals=(approved("ben"),)), between) == watched


def test_an_unfinished_wave_that_is_promoted_counts_no_approvals() -> None:
    facts = WaveFacts("r1", "anna", {1: 1}, {}, (approved("ben"),), frozenset({1}))
    assert wait(facts, BetweenWaves(approval=Approval())) is not None


def a_waved_run(**changes: object) -> Run:
    run = a_run(steering=Steering(waves=waves(BetweenWaves(3600.0))), waves_opened=1)
    return replace(run, **changes)


@pytest.mark.parametrize(
    ("promoted", "ended", "counts"), [(None, 2, False), (0, 2, True), (0, 1, False), (1, 1, True), (1, 0, False)]
)
def test_a_promotion_is_forgotten_when_more_are_unfinished_than_it_said(
    promoted: int | None, ended: int, counts: bool
) -> None:
    facts = wave_facts(a_waved_run(promoted=promoted, wave_finished_at=START), {1: ended})
    assert facts.promoted == (frozenset({1}) if counts else frozenset())


def test_the_last_bake_is_that_of_the_last_wave_unless_it_is_promoted() -> None:
    run = a_waved_run(wave_finished_at=START)
    last = replace(run, waves_opened=3)
    assert find_last_bake_end(run) is None
    assert find_last_bake_end(last) == START + HOUR
    assert find_last_bake_end(replace(last, promoted=0)) is None
    assert find_last_bake_end(a_run()) is None


def test_a_wave_ends_once_with_its_last_member() -> None:
    run = a_waved_run()
    assert [ends_wave(run, {1: ended}) for ended in (1, 2)] == [False, True]
    assert not ends_wave(replace(run, wave_finished_at=START), {1: 2})
    assert not ends_wave(replace(run, state=RunState.FINISHING), {1: 2})
    assert not ends_wave(a_run(), {0: 2})


def test_a_run_between_two_waves_says_what_it_waits_for() -> None:
    run = a_waved_run(wave_finished_at=START)

    def words(run: Run, hours: float = 0.0) -> str:
        waiting = find_pause_between_waves(run, {1: 2}, START + hours * HOUR)
        return "" if waiting is None else waiting.words

    assert words(run) == "wave 1 is watched until 2026-03-01 13:00Z"
    assert words(run, 1) == ""
    assert words(replace(run, waves_opened=3)) == "wave 3 is watched until 2026-03-01 13:00Z"
    assert words(replace(run, waves_opened=3), 1) == ""
    assert words(replace(run, wave_finished_at=None)) == ""
    assert words(replace(run, state=RunState.FINISHING)) == ""


@pytest.mark.parametrize(
    ("state", "wave", "opened", "finished", "reopened"),
    [
        (TargetState.FAILED, 1, 1, True, True),
        (TargetState.HELD, 1, 1, True, True),
        (TargetState.READY, 1, 1, True, False),
        (TargetState.FAILED, 1, 1, False, False),
        (TargetState.FAILED, 1, 2, True, False),
        (TargetState.FAILED, 2, 1, True, False),
    ],
)
def test_a_wave_is_unfinished_again_when_a_member_that_had_ended_is_taken_up(
    state: TargetState, wave: int, opened: int, finished: bool, reopened: bool
) -> None:
    run = a_waved_run(waves_opened=opened, wave_finished_at=START if finished else None)
    events = reopen_wave(run, [a_target(1, state=state, wave=wave)])
    assert events == ((RunWaveReopened(opened),) if reopened else ())
