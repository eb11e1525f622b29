"""Approvals and promotions: what each does to the waves of a run, and when it is refused."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

import pytest

from fleetos.model.journal.events import Event, RunApproved, RunWavePromoted
from fleetos.model.journal.requests import OperatorRequest, RequestArguments, RequestKind, RequestOutcome
from fleetos.model.run import Run, Target
from fleetos.model.states import RunState, TargetState
from fleetos.model.steering.rollout import Approval, ApprovalGiven, BetweenWaves, Steering, Wave
from fleetos.rules.requests.answer import Answer
from fleetos.rules.requests.run_requests import answer
from tests.support.builders import START, a_run, a_target
from tests.unit.rules.requests.drafts import Draft

DONE, NO_EFFECT, REFUSED = RequestOutcome.DONE, RequestOutcome.NO_EFFECT, RequestOutcome.REFUSED
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
FINISHED = START - HOUR
DAY_S = 86400.0
By = Literal["anyone", "other"] | tuple[str, ...]


def a_waved_run(between: BetweenWaves, **changes: object) -> Run:
    """Return a run of anna with three waves of two servers, of which the first has finished an hour ago."""
    waves = tuple(Wave(number, None, 2, between) for number in (1, 2, 3))
    run = a_run(owner="anna", steering=Steering(waves=waves), waves_opened=1, wave_finished_at=FINISHED)
    return replace(run, **changes)


def members(ended: int = 2, wave: int = 1) -> Sequence[Target]:
    """Return the members of a wave, of which so many have ended."""
    states = [TargetState.DONE] * ended + [TargetState.CHANGING] * (2 - ended)
    return [a_target(number, state=state, wave=wave) for number, state in enumerate(states, 1)]


def approve(
    run: Run, by: str = "ben", wave: int = 2, ended: int = 2, at: datetime = START, asked_at: datetime | None = None
) -> Answer:
    arguments = RequestArguments(wave=wave)
    request = OperatorRequest(1, RequestKind.APPROVE, by, asked_at or at, "it is fine", arguments)
    return answer(request, Draft(run, members(ended), at))


def promote(run: Run, incomplete: int | None = None, wave: int = 1, ended: int = 2) -> Answer:
    arguments = RequestArguments(wave=wave, incomplete=incomplete)
    request = OperatorRequest(1, RequestKind.PROMOTE, "ben", START, "it is fine", arguments)
    return answer(request, Draft(run, members(ended, run.waves_opened)))


def needs(by: By = "anyone", of: int = 1, valid_s: float = DAY_S) -> BetweenWaves:
    return BetweenWaves(approval=Approval(by, of, valid_s))


def told(ours: Answer) -> tuple[RequestOutcome, tuple[Event, ...]]:
    return ours.outcome, ours.events


@pytest.mark.parametrize(
    ("by", "rule", "words"),
    [
        ("anna", "anyone", ""),
        ("anna", "other", "anna may not approve wave 2, but somebody other than anna may"),
        ("ben", "other", ""),
        ("ben", ("carl", "dora"), "ben may not approve wave 2, but carl or dora may"),
        ("carl", ("carl", "dora"), ""),
    ],
)
def test_an_approval_is_taken_from_those_who_may_give_it(by: str, rule: By, words: str) -> None:
    ours = approve(a_waved_run(needs(rule)), by)
    assert told(ours) == ((REFUSED, ()) if words else (DONE, (RunApproved(2, by),)))
    assert ours.detail == (words or "it counts until 2026-03-02 12:00Z")


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED])
@pytest.mark.parametrize("bake_s", [0.0, DAY_S])
def test_an_approval_is_taken_in_a_pause_and_in_a_bake(state: RunState, bake_s: float) -> None:
    ours = approve(a_waved_run(BetweenWaves(bake_s, Approval()), state=state))
    assert told(ours) == (DONE, (RunApproved(2, "ben"),))
    assert ours.detail.endswith("; wave 1 is watched until 2026-03-02 11:00Z") is bool(bake_s)


@pytest.mark.parametrize(
    ("wave", "outcome", "words"),
    [
        (0, REFUSED, "the run has no wave 0; wave 2 waits for an approval by anybody: fleetos approve ID --wave 2"),
        (1, NO_EFFECT, "wave 1 is open"),
        (3, REFUSED, "wave 3 is not the next to open; wave 2 waits for an approval by anybody: fleetos approve ID"),
        (4, REFUSED, "the run has no wave 4; wave 2 waits for an approval by anybody: fleetos approve ID --wave 2"),
    ],
)
def test_only_the_wave_that_opens_next_is_approved(wave: int, outcome: RequestOutcome, words: str) -> None:
    run = a_waved_run(needs())
    ours = approve(run, wave=wave)
    assert told(ours) == (outcome, ())
    assert ours.detail.startswith(words.replace("ID", run.id))


def test_what_needs_no_approval_gets_none() -> None:
    assert told(approve(a_waved_run(BetweenWaves(DAY_S)))) == (NO_EFFECT, ())
    unopened = a_waved_run(needs(), waves_opened=0, wave_finished_at=None)
    assert approve(unopened, wave=1, ended=0).detail == "wave 1 waits for nobody"
    assert approve(unopened, wave=2, ended=0).outcome is REFUSED
    assert approve(a_run(), wave=1).detail == "the run has no wave 1"
    assert approve(a_waved_run(needs(), state=RunState.FINISHING)).outcome is NO_EFFECT


def test_a_wave_is_approved_once_the_one_before_is_finished() -> None:
    run = a_waved_run(needs(), wave_finished_at=None)
    assert approve(run, ended=1).detail == "wave 1 is not finished: 1 of 2 are left"
    assert approve(run).detail == "the end of wave 1 is not on record yet"
    # A server that is retried unfinishes the wave.
    assert told(approve(a_waved_run(needs()), ended=1)) == (REFUSED, ())


def test_nobody_approves_twice_while_the_first_time_counts() -> None:
    run = a_waved_run(needs(of=2, valid_s=600.0), approvals=(ApprovalGiven(2, "ben", START),))
    until = START + timedelta(seconds=600)
    ours = approve(run, at=until)
    assert told(ours) == (REFUSED, ())
    assert ours.detail.startswith("ben has approved wave 2 already; wave 2 waits for 1 more approval by somebody other")
    assert told(approve(run, at=until + SECOND)) == (DONE, (RunApproved(2, "ben"),))
    assert told(approve(run, "carl")) == (DONE, (RunApproved(2, "carl"),))
    before_the_end = replace(run, approvals=(ApprovalGiven(2, "ben", FINISHED - SECOND),))
    assert approve(before_the_end).outcome is DONE


@pytest.mark.parametrize(
    ("asked_at", "outcome"),
    [(FINISHED, DONE), (FINISHED - SECOND, REFUSED), (START + HOUR, DONE)],
)
def test_what_was_asked_before_the_wave_ended_approves_nothing(asked_at: datetime, outcome: RequestOutcome) -> None:
    ours = approve(a_waved_run(needs()), asked_at=asked_at)
    assert ours.outcome is outcome
    assert ours.detail.endswith("too early to count: ask again") is (outcome is REFUSED)


def test_what_waited_for_a_driver_for_longer_than_it_holds_approves_nothing() -> None:
    run = a_waved_run(needs(valid_s=600.0))
    held_s = timedelta(seconds=600)
    assert approve(run, asked_at=START - held_s).outcome is DONE
    assert approve(run, asked_at=START - held_s - SECOND).outcome is REFUSED


def test_a_promotion_ends_a_bake() -> None:
    run = a_waved_run(BetweenWaves(DAY_S))
    ours = promote(run)
    assert told(ours) == (DONE, (RunWavePromoted(1, "ben", 0),))
    assert ours.detail == "wave 1 is promoted: wave 2 may open"
    assert promote(replace(run, promoted=0)).detail == "wave 1 is promoted already"
    last = promote(replace(run, waves_opened=3), wave=3)
    assert told(last) == (DONE, (RunWavePromoted(3, "ben", 0),))
    assert last.detail == "wave 3 is promoted: the run ends"


@pytest.mark.parametrize(("bake_s", "outcome"), [(3600.0, NO_EFFECT), (3601.0, DONE)])
def test_a_bake_that_is_over_is_not_ended(bake_s: float, outcome: RequestOutcome) -> None:
    assert promote(a_waved_run(BetweenWaves(bake_s))).outcome is outcome


def test_a_promotion_means_the_wave_that_it_was_asked_for() -> None:
    run = a_waved_run(BetweenWaves(DAY_S), waves_opened=2)
    assert told(promote(run, wave=1)) == (NO_EFFECT, ())
    assert promote(replace(run, waves_opened=0), wave=0).detail == "no wave is open yet"
    assert promote(a_run(), wave=0).detail == "the run has no waves"
    assert promote(replace(run, state=RunState.FINISHING), wave=2).outcome is NO_EFFECT


@pytest.mark.parametrize("incomplete", [None, 1, 2, 3])
def test_a_wave_is_promoted_with_the_exact_number_of_servers_that_are_left(incomplete: int | None) -> None:
    run = a_waved_run(BetweenWaves(DAY_S), wave_finished_at=None)
    ours = promote(run, incomplete, ended=1)
    if incomplete == 1:
        assert told(ours) == (DONE, (RunWavePromoted(1, "ben", 1),))
        return
    command = f"to open wave 2 all the same: fleetos wave promote {run.id} --incomplete 1"
    assert told(ours) == (REFUSED, ())
    assert ours.detail == f"wave 1 is not finished: 1 of 2 are left; {command}"


def test_a_promotion_with_unfinished_servers_is_refused_where_it_means_nothing() -> None:
    run = a_waved_run(BetweenWaves(DAY_S))
    assert promote(run, 1).detail == "wave 1 is finished: leave --incomplete out"
    unfinished = replace(run, wave_finished_at=None)
    assert promote(unfinished).detail == "the end of wave 1 is not on record yet"
    last = promote(replace(unfinished, waves_opened=3), 1, wave=3, ended=1)
    assert last.detail == "wave 3 is not finished: 1 of 2 are left, and no wave comes after it"


def test_a_promotion_stands_for_no_approval() -> None:
    run = a_waved_run(BetweenWaves(DAY_S, Approval("other")))
    expected = f"wave 2 waits for an approval by somebody other than anna: fleetos approve {run.id} --wave 2"
    assert told(promote(run)) == (REFUSED, ())
    assert promote(run).detail == expected
    approved = replace(run, approvals=(ApprovalGiven(2, "ben", START),))
    assert promote(approved).outcome is DONE
    # After the last wave nothing opens that somebody could approve.
    assert promote(replace(run, waves_opened=3), wave=3).outcome is DONE
    unfinished = promote(replace(run, wave_finished_at=None), 1, ended=1)
    assert unfinished.detail == "wave 1 is not finished: 1 of 2 are left, and nobody can approve wave 2 before"
