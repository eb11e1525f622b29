"""The disk rule: what must be seen of a server before anything is done to it.

Safety protocol, section 1: docs/safety-protocol.md#1-what-a-run-knows-of-a-server
Safety protocol, section 2: docs/safety-protocol.md#2-one-submit
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.limits import CHECKING_S, FRESH_READ_MAX_AGE_S
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import Moved
from fleetos.model.plan import StopMode
from fleetos.model.run import Outcome, PowerCall, Target
from fleetos.model.states import IN_FLIGHT, Reason, TargetState
from fleetos.rules.decide import UNREAD_MAX, decide
from fleetos.rules.needs import ReadServerNeed, SubmitNeed, SweepNeed, Wait
from tests.support.builders import (
    CHANGED,
    ERROR,
    NO_DISK,
    OTHER_IMAGE,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    STOPPING,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import (
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
BY_API = replace(SETTINGS, stop=StopMode.API)
FOREIGN_DISK = replace(STOPPED, disk="disk-foreign")
OTHER = replace(STOPPED, image=OTHER_IMAGE)


def checking(**changes: object) -> Target:
    return replace(a_target(state=S.CHECKING), **changes)


def ready(**changes: object) -> Target:
    return replace(a_target(state=S.READY), **changes)


# --- changed since preflight ---------------------------------------------------------------------------------

CHANGED_SINCE = [
    pytest.param(FOREIGN_DISK, Reason.FOREIGN_CHANGE, id="another-disk"),
    pytest.param(OTHER, Reason.FOREIGN_CHANGE, id="another-image"),
    pytest.param(NO_DISK, Reason.NO_SYSTEM_DISK, id="no-disk"),
    pytest.param(replace(STOPPED, locked=True), Reason.LOCKED, id="locked"),
    pytest.param(CHANGED, Reason.FOREIGN_CHANGE, id="changed-by-somebody"),
]


@pytest.mark.parametrize(("picture", "reason"), CHANGED_SINCE)
@pytest.mark.parametrize("state", [S.CHECKING, S.READY])
def test_what_changed_since_preflight_is_held(state: TargetState, picture: ServerSnapshot, reason: Reason) -> None:
    assert outcome_of(decide(a_target(state=state), context([(0, picture)]))) == (S.HELD, reason, None)


@pytest.mark.parametrize("state", [S.CHECKING, S.READY])
def test_a_target_without_a_known_disk_is_held(state: TargetState) -> None:
    target = a_target(state=state, disk=None)
    assert outcome_of(decide(target, context([(0, NO_DISK)])))[:2] == (S.HELD, Reason.NO_SYSTEM_DISK)
    assert outcome_of(decide(target, context([(0, STOPPED)])))[:2] == (S.HELD, Reason.FOREIGN_CHANGE)


def test_power_does_not_count_as_a_change() -> None:
    assert decided(checking(), context([(0, STOPPED)])).state is S.READY
    assert decided(checking(), context([(0, replace(STOPPED, power=0))])).state is S.READY


def test_an_image_that_is_not_shown_leaves_the_disk_as_the_witness() -> None:
    unshown = replace(STOPPED, image=None)
    assert decided(checking(), context([(0, unshown)])).state is S.READY
    blind = checking(baseline=replace(RUNNING, image=None))
    assert decided(blind, context([(0, OTHER)])).state is S.READY


def test_after_a_failed_attempt_its_own_disk_is_the_one_that_may_be_wiped() -> None:
    failed = an_attempt(outcome=Outcome.FAILED)
    target = checking(disk="disk-half", attempts=(failed,))
    half = replace(OTHER, disk="disk-half")
    assert decided(target, context([(0, half)])).state is S.READY
    assert decided(target, context([(0, STOPPED)])).reason is Reason.FOREIGN_CHANGE


@pytest.mark.parametrize("state", [S.CHECKING, S.READY, S.STOPPING, S.VERIFYING, S.INSPECTING])
def test_gone_needs_two_404s_of_single_reads(state: TargetState) -> None:
    target = a_target(state=state, attempts=(an_attempt(unanswered=1),))
    once = decide(target, context([(0, None)]))
    assert once == (ReadServerNeed(moment(30).elapsed_s, single=True),)
    twice = decided(target, context([(0, None), (30, None)]))
    assert (twice.state, twice.reason) == (S.FAILED, Reason.GONE)
    for looks in ([(0, None), (15, RUNNING), (30, None)], [(0, None), (5, None), (10, None), (29, None)]):
        assert undecided(decide(target, context(looks)))


@pytest.mark.parametrize("state", [S.READY, S.STOPPING])
def test_gone_needs_no_fresh_look(state: TargetState) -> None:
    target = a_target(state=state, attempts=(an_attempt(unanswered=1),))
    # A limit on reads may let each answer be an hour old when it arrives.
    late = replace(context([(0, None), (30, None)]), now=moment(3600))
    assert decided(target, late).reason is Reason.GONE


# --- on the way to the submit --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "settings", "to"),
    [
        pytest.param(RUNNING, SETTINGS, S.STOPPING, id="runs"),
        pytest.param(STOPPED, SETTINGS, S.READY, id="stopped"),
        pytest.param(RUNNING, BY_API, S.READY, id="runs-and-the-api-stops-it"),
        pytest.param(STOPPED, BY_API, S.READY, id="stopped-under-api"),
    ],
)
def test_a_checked_server_goes_on(picture: ServerSnapshot, settings: object, to: TargetState) -> None:
    assert decided(checking(), replace(context([(0, picture)]), settings=settings)).state is to


@pytest.mark.parametrize("picture", [STOPPING, replace(STOPPED, task="powering-on"), REBUILD])
def test_a_passing_picture_is_watched_for_a_while(picture: ServerSnapshot) -> None:
    assert undecided(decide(checking(), context([(CHECKING_S, picture)])))
    assert decided(checking(), context([(CHECKING_S + 1, picture)])).reason is Reason.WRONG_STATE


def test_an_error_is_ours_to_change_only_after_a_failed_change() -> None:
    assert decided(checking(), context([(0, ERROR)])).reason is Reason.WRONG_STATE
    assert decided(checking(baseline=ERROR), context([(0, ERROR)])).state is S.READY
    failed = checking(attempts=(an_attempt(outcome=Outcome.FAILED),))
    assert decided(failed, context([(0, ERROR)])).state is S.READY
    refused = checking(attempts=(an_attempt(outcome=Outcome.REFUSED),))
    assert decided(refused, context([(0, ERROR)])).reason is Reason.WRONG_STATE


@pytest.mark.parametrize("state", [S.CHECKING, S.READY])
def test_nothing_is_decided_without_a_look(state: TargetState) -> None:
    assert decide(a_target(state=state), context()) == (ReadServerNeed(moment(0).elapsed_s),)


def test_a_submit_needs_a_look_of_the_last_minute() -> None:
    young = replace(context([(0, STOPPED)]), now=moment(FRESH_READ_MAX_AGE_S - 1))
    assert decide(ready(), young) == (SubmitNeed(), SweepNeed())
    old = replace(context([(0, STOPPED)]), now=moment(FRESH_READ_MAX_AGE_S))
    assert decide(ready(), old) == (ReadServerNeed(old.now.elapsed_s),)


@pytest.mark.parametrize("picture", [STOPPING, replace(STOPPED, task="powering-on"), REBUILD, ERROR])
def test_a_submit_needs_a_server_that_is_stopped_and_idle(picture: ServerSnapshot) -> None:
    assert SubmitNeed() not in needs(decide(ready(), context([(0, picture)])))
    held = decided(ready(), context([(CHECKING_S + 1, picture)]))
    assert (held.state, held.reason) == (S.HELD, Reason.WRONG_STATE)


def test_a_server_that_somebody_started_is_checked_again() -> None:
    assert decided(ready(), context([(0, RUNNING)])).state is S.CHECKING


def test_a_wait_is_waited_before_the_look() -> None:
    target = ready(not_before=START + timedelta(seconds=15))
    assert decide(target, context()) == (Wait(moment(15).elapsed_s),)


def test_a_paused_run_sends_nothing() -> None:
    paused = replace(context([(0, RUNNING)]), run_running=False)
    assert decide(checking(), paused) == (Wait(paused.next_poll_s()),)


# --- ends without a change -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.WAITING, S.BACKOFF, S.CHECKING, S.READY, S.STOPPING])
def test_an_abort_cancels_what_is_not_sent(state: TargetState) -> None:
    assert outcome_of(decide(a_target(state=state), aborting([(0, RUNNING)])))[:2] == (S.CANCELLED, Reason.ABORTED)


@pytest.mark.parametrize("state", [S.CHECKING, S.READY])
def test_an_abort_starts_again_what_lies_stopped_by_us(state: TargetState) -> None:
    target = decided(a_target(state=state, stopped_at=START), aborting([(0, STOPPED)]))
    assert target.state is S.RESTORING
    assert target.then is not None
    assert target.then.state is S.CANCELLED


def test_a_server_that_did_not_run_before_is_not_started() -> None:
    target = checking(stopped_at=START, baseline=STOPPED)
    assert decided(target, aborting([(0, STOPPED)])).state is S.CANCELLED


def test_a_held_server_is_started_again_only_with_its_own_disk() -> None:
    stopped = checking(stopped_at=START)
    assert decided(stopped, context([(0, replace(STOPPED, locked=True))])).state is S.RESTORING
    assert decided(stopped, context([(0, FOREIGN_DISK)])).state is S.HELD


# --- deadlines of states -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(IN_FLIGHT - {S.SUBMITTING, S.CHANGING, S.DRAINING}))
def test_a_server_of_which_no_read_says_anything_is_held(state: TargetState) -> None:
    target = a_target(state=state, attempts=(an_attempt(unanswered=1),))
    held = decided(target, context(missed_reads=UNREAD_MAX))
    assert (held.state, held.reason) == (S.HELD, Reason.UNREACHABLE)


def test_what_is_on_the_wire_is_waited_for_even_then() -> None:
    call = PowerCall("call-1", "stop", hard=False, size=1, intended_at=START)
    assert decide(a_target(state=S.STOPPING, calls=(call,)), context(missed_reads=UNREAD_MAX)) == ()
    assert decide(a_target(state=S.SUBMITTING), context(missed_reads=UNREAD_MAX)) == ()


@pytest.mark.parametrize("state", [S.DONE, S.SKIPPED, S.FAILED, S.HELD, S.CANCELLED, S.WAITING, S.BACKOFF])
def test_nothing_is_due_for_a_stable_target(state: TargetState) -> None:
    assert decide(a_target(state=state), context(steady(RUNNING, 60))) == ()


def test_the_detail_names_the_disks() -> None:
    event = only_event(decide(checking(), context([(0, FOREIGN_DISK)])))
    assert isinstance(event, Moved)
    assert event.detail == "its system disk is disk-foreign, not disk-old as this run knows it"
    assert event.disk == "disk-foreign"
