"""Unknown outcomes, row by row: what looks prove, and when.

Safety protocol, section 4: docs/safety-protocol.md#4-unknown-outcomes
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.limits import MAX_RESENDS, SELDOM_SEEN_SETTLES
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import AttemptEnded, ChangeAdopted, Moved, NotDelivered
from fleetos.model.plan import StopMode
from fleetos.model.run import Attempt, Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.traces import NO_TRACES, Traces
from fleetos.rules.decide import decide
from fleetos.rules.needs import Decision, ReadTracesNeed
from fleetos.rules.needs import ReadServerNeed as NeedsLook
from tests.support.builders import (
    CHANGED,
    CHANGED_DOWN,
    CHANGED_ERROR,
    ERROR,
    FOREIGN,
    NEW_DISK,
    NEW_IMAGE,
    NO_DISK,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import (
    Look,
    aborting,
    context,
    decided,
    moment,
    needs,
    only_event,
    outcome_of,
    steady,
    undecided,
)

S = TargetState
ID = "server-0001"
SETTLE = SETTINGS.settle_s
FAILED_AFTER = SETTLE + SETTINGS.change_timeout_s
BY_API = replace(SETTINGS, stop=StopMode.API)
AT_ONCE: Sequence[float] = (0, 30, SETTLE - 30, SETTLE)


def inspected(**changes: object) -> Target:
    return with_attempt(replace(an_attempt(unanswered=1), **changes))


def with_attempt(attempt: Attempt, **changes: object) -> Target:
    target = a_target(state=S.INSPECTING, attempts=(attempt,), last_unanswered_at=START)
    return replace(target, **changes)


ACCEPTED = inspected(accepted_at=START, job_id="job-1")


# --- row 1: new disk, target image, ACTIVE, idle ------------------------------------------------------------


@pytest.mark.parametrize("at_s", AT_ONCE)
def test_row_changed_is_verified_at_once(at_s: float) -> None:
    rule_context = context([*steady(STOPPED, at_s), (at_s + 10, CHANGED)])
    event = only_event(decide(inspected(), rule_context))
    assert isinstance(event, Moved)
    assert event.to is S.VERIFYING


def test_row_changed_is_the_only_verdict_before_the_settle_ends() -> None:
    early = SETTLE - 1
    for picture in (
        STOPPED,
        RUNNING,
        ERROR,
        NO_DISK,
        CHANGED_DOWN,
        CHANGED_ERROR,
        FOREIGN,
        replace(RUNNING, status="X"),
    ):
        assert undecided(decide(inspected(), context(steady(picture, early)))), picture


def test_row_changed_on_a_cloud_that_shows_no_image_goes_by_the_disk() -> None:
    blind = replace(inspected(), baseline=replace(RUNNING, image=None))
    assert decided(blind, context([(0, replace(CHANGED, image=None))])).state is S.VERIFYING
    assert undecided(decide(inspected(), context([(0, replace(CHANGED, image=None))])))


# --- row 2: REBUILD or a task ------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [REBUILD, replace(STOPPED, task="spawning"), replace(CHANGED, task="powering-on")])
@pytest.mark.parametrize("at_s", AT_ONCE)
def test_row_changing_is_adopted_with_the_deadline_of_the_attempt(picture: ServerSnapshot, at_s: float) -> None:
    rule_context = context([*steady(STOPPED, at_s), (at_s + 10, picture)])
    assert only_event(decide(inspected(), rule_context)) == ChangeAdopted(ID, 1)
    after = decided(inspected(), rule_context)
    assert after.attempt is not None
    assert (after.state, after.attempt.job_id, after.attempt.deadline) == (S.CHANGING, None, an_attempt().deadline)


def test_a_change_is_adopted_with_word_of_whether_its_server_ran_before() -> None:
    looks = [*steady(STOPPED, 50.0), (60.0, FOREIGN), (70.0, REBUILD)]
    assert only_event(decide(inspected(), context(looks))) == ChangeAdopted(ID, 1, ran=True)


# --- row 3: the baseline, idle throughout -------------------------------------------------------------------


def test_row_baseline_is_not_delivered_after_the_settle() -> None:
    looks = steady(STOPPED, SETTLE)
    asked = decide(inspected(), context(looks))
    assert isinstance(asked, tuple)
    assert ReadTracesNeed(START, context(looks).now.elapsed_s) in asked
    assert only_event(decide(inspected(), context(looks, traces=NO_TRACES))) == NotDelivered(ID, 1)


def test_row_baseline_traces_are_asked_for_by_the_clock_of_the_cloud_where_it_tells() -> None:
    looks, cloud_time = steady(STOPPED, SETTLE), START - timedelta(hours=1)
    asked = needs(decide(inspected(cloud_at=cloud_time), context(looks)))
    assert asked[0] == ReadTracesNeed(cloud_time, context(looks).now.elapsed_s)


def test_row_baseline_looks_go_on_while_the_traces_are_asked_for() -> None:
    asked = needs(decide(inspected(), context(steady(STOPPED, SETTLE))))
    assert [type(need).__name__ for need in asked] == ["ReadTracesNeed", "ReadServerNeed"]


def test_row_baseline_in_its_own_failed_picture_is_not_delivered() -> None:
    target = inspected(before=ERROR)
    assert only_event(decide(target, context(steady(ERROR, SETTLE), traces=NO_TRACES))) == NotDelivered(ID, 1)
    other = replace(ERROR, fault="500: another fault")
    assert undecided(decide(target, context(steady(other, SETTLE), traces=NO_TRACES)))


def test_row_baseline_with_a_job_id_uses_the_attempt_up() -> None:
    decision = decide(
        ACCEPTED,
        context(steady(STOPPED, SETTLE), traces=NO_TRACES, job_read_at=moment(SETTLE), job_not_running_at=moment(0)),
    )
    assert outcome_of(decision) == (S.BACKOFF, None, Outcome.FAILED)


def test_row_baseline_after_an_adoption_uses_the_attempt_up() -> None:
    decision = decide(inspected(adopted=True), context(steady(STOPPED, SETTLE), traces=NO_TRACES))
    assert outcome_of(decision) == (S.BACKOFF, None, Outcome.FAILED)


@pytest.mark.parametrize("resends", range(MAX_RESENDS + 1))
def test_row_baseline_at_most_two_resends_then_held(resends: int) -> None:
    decision = decide(inspected(resends=resends), context(steady(STOPPED, SETTLE), traces=NO_TRACES))
    if resends < MAX_RESENDS:
        assert only_event(decision) == NotDelivered(ID, 1)
    else:
        assert outcome_of(decision) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


def test_row_baseline_traces_forbid_a_resend() -> None:
    traces = Traces(("action rebuild at 2026-03-01T12:00:01",))
    within = decide(inspected(), context(steady(STOPPED, SETTLE), traces=traces))
    assert undecided(within)
    late = decide(inspected(), context(steady(STOPPED, 3601), traces=traces))
    assert outcome_of(late) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


@pytest.mark.parametrize("picture", [STOPPED, RUNNING])
def test_row_baseline_is_never_resent_without_the_fence(picture: ServerSnapshot) -> None:
    target = inspected(before=picture)
    decision = decide(target, context(steady(picture, SETTLE), settings=BY_API, traces=NO_TRACES))
    assert outcome_of(decision) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


def test_row_baseline_with_another_image_is_not_the_baseline() -> None:
    flipped = replace(STOPPED, image=NEW_IMAGE)
    assert undecided(decide(inspected(), context(steady(flipped, SETTLE), traces=NO_TRACES)))
    decision = decide(inspected(), context(steady(flipped, 3601), traces=NO_TRACES))
    assert outcome_of(decision) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


def test_row_baseline_of_an_aborted_run_is_cancelled_and_started_again() -> None:
    target = replace(inspected(), stopped_at=START)
    assert undecided(decide(target, aborting(steady(STOPPED, SETTLE - 1), traces=NO_TRACES)))
    after = decided(target, aborting(steady(STOPPED, SETTLE), traces=NO_TRACES))
    assert (after.state, after.unanswered, after.keeps_claim) == (S.RESTORING, 1, True)
    assert after.then is not None
    assert after.then.state is S.CANCELLED


# --- the settle --------------------------------------------------------------------------------------------

GAP = [*steady(STOPPED, 300), *steady(STOPPED, 900, from_s=361)]


def not_yet(looks: Sequence[Look], **changes: object) -> bool:
    return undecided(decide(inspected(), replace(context(looks, traces=NO_TRACES), **changes)))


def test_the_settle_starts_anew_after_a_gap() -> None:
    assert not_yet(GAP)
    assert not not_yet([*steady(STOPPED, 300), *steady(STOPPED, 361 + SETTLE, from_s=361)])


def test_the_settle_starts_anew_after_a_suspend() -> None:
    watch = context(steady(STOPPED, 570)).series
    assert watch is not None
    slept = replace(moment(600), awake_s=moment(595).awake_s)
    sight = replace(watch.last, requested=slept, received=slept)
    rule_context = replace(context(steady(STOPPED, SETTLE), traces=NO_TRACES), series=watch.add(sight))
    assert undecided(decide(inspected(), rule_context))


def test_the_settle_starts_with_the_first_look_of_this_process() -> None:
    """A process that took the run over hours after the send still watches for a whole settle."""
    hours = 5 * 3600.0
    late = steady(STOPPED, hours + SETTLE - 1, from_s=hours)
    assert not_yet(late, entered_at=moment(hours))
    assert not not_yet(steady(STOPPED, hours + SETTLE, from_s=hours), entered_at=moment(hours))


def test_the_settle_is_no_shorter_than_the_cloud_s_slowest_change() -> None:
    assert not_yet(steady(STOPPED, SETTLE), settle_s=2 * SETTLE)
    assert not not_yet(steady(STOPPED, 2 * SETTLE), settle_s=2 * SETTLE)


def test_evidence_is_gathered_at_most_a_minute_apart_by_single_reads() -> None:
    (look,) = needs(decide(inspected(), context([(0, STOPPED)], poll_s=500.0)))
    assert look == NeedsLook(moment(30).elapsed_s, single=True)


# --- row 4: baseline disk, ACTIVE throughout ----------------------------------------------------------------


def test_row_started_by_somebody_is_checked() -> None:
    after = decided(inspected(), context(steady(RUNNING, SETTLE)))
    assert (after.state, after.last_unanswered_at) == (S.CHECKING, START)
    # The unanswered send forbids a stop for a day, so that a late change meets a running server.
    held = decided(after, context([(0, RUNNING)]))
    assert (held.state, held.reason) == (S.HELD, Reason.UNANSWERED_SEND)


def test_row_started_by_somebody_needs_it_throughout() -> None:
    mixed = [*steady(STOPPED, 60), *steady(RUNNING, SETTLE, from_s=90)]
    assert undecided(decide(inspected(), context(mixed)))


def test_row_started_with_a_job_id_uses_the_attempt_up() -> None:
    decision = decide(
        ACCEPTED, context(steady(RUNNING, SETTLE), job_read_at=moment(SETTLE), job_not_running_at=moment(0))
    )
    assert outcome_of(decision) == (S.BACKOFF, None, Outcome.FAILED)


# --- row 5: ERROR or no boot disk ---------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [ERROR, NO_DISK, replace(ERROR, disk=None)])
def test_row_failed_waits_for_settle_and_change_time_out(picture: ServerSnapshot) -> None:
    assert undecided(decide(inspected(), context(steady(picture, SETTLE))))
    assert undecided(decide(inspected(), context(steady(picture, FAILED_AFTER - 1))))


def test_row_failed_error_uses_the_attempt_up() -> None:
    decision = decide(inspected(), context(steady(ERROR, FAILED_AFTER)))
    assert outcome_of(decision) == (S.BACKOFF, None, Outcome.FAILED)
    last = replace(inspected(), attempts_allowed=1)
    decision = decide(last, context(steady(ERROR, FAILED_AFTER)))
    assert outcome_of(decision) == (S.HELD, Reason.ATTEMPTS_USED_UP, Outcome.FAILED)


def test_row_failed_without_a_disk_is_held() -> None:
    decision = decide(inspected(), context(steady(NO_DISK, FAILED_AFTER)))
    assert outcome_of(decision) == (S.HELD, Reason.NO_SYSTEM_DISK, Outcome.FAILED)


def test_row_failed_needs_the_picture_to_stay() -> None:
    looks = [*steady(replace(STOPPED, image=NEW_IMAGE), FAILED_AFTER), (FAILED_AFTER + 30, ERROR)]
    decision = decide(inspected(), context(looks))
    assert outcome_of(decision)[:2] == (S.HELD, Reason.OUTCOME_UNKNOWN)


FOREIGN_DOWN = replace(CHANGED_DOWN, image="image-other")

# --- row 6: new disk, target image, down -------------------------------------------------------------------


@pytest.mark.parametrize("picture", [CHANGED_DOWN, CHANGED_ERROR])
def test_row_down_is_started_once_and_else_held(picture: ServerSnapshot) -> None:
    assert decided(inspected(), context(steady(picture, SETTLE))).state is S.STARTING
    started = replace(inspected(), started=True)
    after = decided(started, context(steady(picture, SETTLE)))
    assert (after.state, after.reason, after.disk_after) == (S.HELD, Reason.START_FAILED, NEW_DISK)


@pytest.mark.parametrize(
    "picture", [CHANGED_DOWN, CHANGED_ERROR, replace(FOREIGN, status="SHUTOFF", vm_state="stopped")]
)
def test_row_down_a_picture_that_comes_up_late_is_watched_for_a_settle_of_its_own(picture: ServerSnapshot) -> None:
    looks = [*steady(STOPPED, SETTLE - 30), *steady(picture, SETTLE + 30, from_s=SETTLE)]
    assert undecided(decide(inspected(), context(looks)))
    looks = [*steady(STOPPED, SETTLE - 30), *steady(picture, 2 * SETTLE, from_s=SETTLE)]
    assert not undecided(decide(inspected(), context(looks)))


def test_row_down_a_late_picture_is_watched_even_past_the_deadline() -> None:
    """A process that took over long after the deadline gives a change that it sees appear its settle all the same."""
    late = inspected(deadline=START)
    looks = [*steady(STOPPED, SETTLE - 30), *steady(CHANGED_DOWN, SETTLE + 30, from_s=SETTLE)]
    assert undecided(decide(late, context(looks)))
    looks = [*steady(STOPPED, SETTLE - 30), *steady(CHANGED_DOWN, 2 * SETTLE, from_s=SETTLE)]
    assert decided(late, context(looks)).state is S.STARTING


# --- row 7: another disk and image --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "picture",
    [FOREIGN, replace(FOREIGN, image=None), replace(CHANGED_DOWN, image="image-other"), replace(CHANGED, image=None)],
)
def test_row_foreign_is_held(picture: ServerSnapshot) -> None:
    decision = decide(inspected(), context(steady(picture, SETTLE)))
    assert outcome_of(decision) == (S.HELD, Reason.FOREIGN_CHANGE, Outcome.FOREIGN)


# --- row 8 and beyond ---------------------------------------------------------------------------------------


def test_row_gone_fails() -> None:
    decision = decide(inspected(), context([*steady(STOPPED, 300), (305, None), (335, None)]))
    assert outcome_of(decision) == (S.FAILED, Reason.GONE, Outcome.UNKNOWN)


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        pytest.param(*2 * [replace(STOPPED, status="VERIFY_RESIZE")], id="unknown-status"),
        pytest.param(RUNNING, STOPPED, id="stopped-later"),
        pytest.param(STOPPED, RUNNING, id="started-later"),
        pytest.param(*2 * [replace(STOPPED, vm_state="paused")], id="shutoff-but-paused"),
        pytest.param(*2 * [replace(CHANGED, status="PAUSED")], id="new-disk-paused"),
    ],
)
def test_row_any_other_is_watched_to_the_deadline_and_then_held(first: ServerSnapshot, rest: ServerSnapshot) -> None:
    def decided_at(until_s: float) -> Decision:
        return decide(inspected(), context([(0, first), *steady(rest, until_s, from_s=30)], traces=NO_TRACES))

    assert undecided(decided_at(SETTLE))
    assert undecided(decided_at(3590.0))
    assert outcome_of(decided_at(3630.0)) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


def test_row_any_other_names_what_was_seen() -> None:
    looks = [(0, RUNNING), *steady(STOPPED, 3630, from_s=30)]
    event = only_event(decide(inspected(), context(looks, traces=NO_TRACES)))
    assert isinstance(event, Moved)
    assert event.detail == "the looks show no known case: ACTIVE/idle on disk-old, SHUTOFF/idle on disk-old"


def test_a_used_up_attempt_waits_for_its_backoff() -> None:
    rule_context = context(
        steady(STOPPED, SETTLE), traces=NO_TRACES, job_read_at=moment(SETTLE), job_not_running_at=moment(0)
    )
    event = only_event(decide(ACCEPTED, rule_context))
    assert isinstance(event, AttemptEnded)
    assert event.not_before is not None
    assert (event.not_before - moment(SETTLE).wall).total_seconds() == SETTINGS.backoff_s


@pytest.mark.parametrize("attempt", [an_attempt(unanswered=1), an_attempt(outcome=Outcome.FAILED)])
def test_looks_that_stay_too_far_apart_end_with_a_human(attempt: Attempt) -> None:
    """A cloud that allows one look in two minutes never lets a series come about; watching on would have no end."""
    target = with_attempt(attempt)
    enough_s = SETTINGS.change_timeout_s + SELDOM_SEEN_SETTLES * SETTLE
    before = steady(STOPPED, enough_s - 120, every_s=120.0)
    assert undecided(decide(target, context(before)))
    after_s = enough_s + 120
    assert outcome_of(decide(target, context(steady(STOPPED, after_s, every_s=120.0)))) == (
        S.HELD,
        Reason.OUTCOME_UNKNOWN,
        None,
    )
