"""When the next wave may open."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.steering.rollout import Approval, ApprovalGiven, BetweenWaves, Wave
from fleetos.rules.waves import WaveFacts, find_next_wait
from tests.support.builders import START

HOUR = timedelta(hours=1)


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
        (Approval(valid_s=3600.0), (approved("ben"),), 1.01, False),
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
