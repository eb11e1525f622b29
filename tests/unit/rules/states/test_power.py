"""Stops and starts: effects with rules of their own.

Safety protocol, section 7: docs/safety-protocol.md#7-power-calls
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.limits import (
    ASK_AGAIN_SHARE,
    FRESH_READ_MAX_AGE_S,
    MAX_POWER_CALLS,
    MAX_REFUSALS,
    NO_STOP_AFTER_UNANSWERED_S,
    STOP_QUIET_S,
)
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.run import End, Outcome, PowerCall, PowerOutcome, Settings, Target
from fleetos.model.states import HOLDS_SLOT, Reason, TargetState
from fleetos.model.traces import NO_TRACES
from fleetos.rules.decide import decide
from fleetos.rules.needs import Context, Decision, PowerNeed, ReadJobNeed, ReadServerNeed, Wait
from tests.support.builders import (
    CHANGED,
    CHANGED_DOWN,
    CHANGED_ERROR,
    ERROR,
    FOREIGN,
    NEW_DISK,
    NO_DISK,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    STOPPING,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import aborting, context, decided, moment, needs, outcome_of, steady, undecided

S, P = TargetState, PowerOutcome
SOFT = replace(SETTINGS, stop=StopMode.SOFT)
HARD = replace(SETTINGS, stop=StopMode.HARD)
SOFT_STOP, HARD_STOP = PowerNeed("stop"), PowerNeed("stop", hard=True)
TIMEOUT = SETTINGS.stop_timeout_s


def call(outcome: PowerOutcome, **changes: object) -> PowerCall:
    job = "job-1" if outcome in (P.ACCEPTED, P.ENDED) else None
    made = PowerCall("call-1", "stop", hard=False, size=1, intended_at=START, outcome=outcome, job_id=job)
    return replace(made, **changes)


def stopping(*calls: PowerCall, **changes: object) -> Target:
    target = a_target(state=S.STOPPING, calls=calls, stopped_at=START if calls else None)
    return replace(target, **changes)


def seen(picture: ServerSnapshot, at_s: float, since_s: float | None = None, settings: Settings = SETTINGS) -> Context:
    """A picture that has been the same since then (or is seen for the first time)."""
    return context(steady(picture, at_s, from_s=at_s if since_s is None else since_s), settings)


def goes_on(decision: Decision) -> bool:
    """Whether nothing is decided and nothing is sent."""
    return undecided(decision) and not any(isinstance(need, PowerNeed) for need in needs(decision))


# --- the first stop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "stop"), [(SETTINGS, SOFT_STOP), (SOFT, SOFT_STOP), (HARD, HARD_STOP)])
def test_a_running_server_is_stopped_as_the_plan_says(settings: Settings, stop: PowerNeed) -> None:
    assert decide(stopping(), seen(RUNNING, 0, settings=settings)) == (stop,)


def test_a_stop_needs_a_look_of_the_last_minute() -> None:
    assert decide(stopping(), context()) == (ReadServerNeed(moment(0).elapsed_s),)
    old = replace(seen(RUNNING, 0), now=moment(FRESH_READ_MAX_AGE_S))
    assert decide(stopping(), old) == (ReadServerNeed(old.now.elapsed_s),)


@pytest.mark.parametrize("picture", [FOREIGN, NO_DISK])
def test_a_server_with_another_disk_is_not_stopped(picture: ServerSnapshot) -> None:
    assert outcome_of(decide(stopping(), seen(picture, 0)))[:2] == (S.HELD, Reason.FOREIGN_CHANGE)


def test_a_server_that_was_stopped_meanwhile_is_ready_without_a_stop() -> None:
    assert decided(stopping(), seen(STOPPED, 0)).state is S.READY


def test_a_stop_that_did_not_leave_waits_and_is_bounded() -> None:
    waits = stopping(not_before=START + timedelta(seconds=15), refusals=1)
    assert decide(waits, seen(RUNNING, 0)) == (Wait(moment(15).elapsed_s),)
    assert decide(waits, seen(RUNNING, 15)) == (SOFT_STOP,)
    spent = stopping(refusals=MAX_REFUSALS)
    assert outcome_of(decide(spent, seen(RUNNING, 0)))[:2] == (S.HELD, Reason.STOP_REFUSED)


# --- leaving `stopping` -------------------------------------------------------------------------------------


def test_a_call_on_the_wire_is_waited_for() -> None:
    assert decide(stopping(call(P.PENDING)), seen(STOPPED, 60, since_s=0)) == ()
    assert decide(stopping(call(P.ENDED), call(P.PENDING)), aborting([(0, STOPPED)])) == ()


def test_a_job_that_is_not_final_is_asked() -> None:
    asked = needs(decide(stopping(call(P.ACCEPTED)), seen(STOPPED, 60, since_s=0)))
    assert asked == (ReadJobNeed("job-1", moment(60).elapsed_s), Wait(moment(TIMEOUT).elapsed_s))


def asks_at(at_s: float, **known: object) -> float:
    """When the job of a stop that was sent at second 0 is asked, in seconds."""
    rule_context = replace(context(), now=moment(at_s), **known)
    ask = needs(decide(stopping(call(P.ACCEPTED)), rule_context))[0]
    assert isinstance(ask, ReadJobNeed)
    return ask.due_s - moment(0).elapsed_s


def test_a_stop_is_asked_for_its_end_when_most_others_have_ended() -> None:
    assert asks_at(0) == SETTINGS.poll_min_s
    assert asks_at(0, stop_duration_s=40.0) == 40
    assert asks_at(10, stop_duration_s=40.0) == 40
    assert asks_at(50, stop_duration_s=40.0) == 50


def test_a_stop_that_lasts_is_asked_more_and_more_rarely() -> None:
    assert asks_at(40, job_read_at=moment(40)) == 40 + 40 * ASK_AGAIN_SHARE
    assert asks_at(8, job_read_at=moment(8)) == 8 + SETTINGS.poll_min_s
    assert asks_at(500, job_read_at=moment(500)) == 500 + SETTINGS.poll_max_s


@pytest.mark.parametrize("outcome", [P.ENDED, P.REFUSED])
def test_stopped_is_believed_at_once_when_every_call_is_final(outcome: PowerOutcome) -> None:
    assert decided(stopping(call(outcome)), seen(STOPPED, 10)).state is S.READY


@pytest.mark.parametrize(
    "calls", [(call(P.UNKNOWN),), (call(P.UNKNOWN), call(P.ENDED)), (call(P.ACCEPTED, intended_at=START),)]
)
def test_stopped_is_otherwise_believed_by_two_reads_half_a_minute_apart(calls: tuple[PowerCall, ...]) -> None:
    now = TIMEOUT + 100
    target = stopping(*calls)
    assert goes_on(decide(target, seen(STOPPED, now)))
    assert goes_on(decide(target, seen(STOPPED, now, since_s=now - STOP_QUIET_S + 1)))
    assert decided(target, seen(STOPPED, now, since_s=now - STOP_QUIET_S)).state is S.READY


@pytest.mark.parametrize("picture", [STOPPING, replace(STOPPED, task="powering-on"), REBUILD])
def test_passing_pictures_do_not_count_as_stopped(picture: ServerSnapshot) -> None:
    assert goes_on(decide(stopping(call(P.ENDED)), seen(picture, 60, since_s=0)))
    held = decided(stopping(call(P.ENDED)), seen(picture, 2 * TIMEOUT + 1, since_s=2 * TIMEOUT))
    assert held.then is not None or held.reason is Reason.STOP_TIMEOUT


# --- soft, then hard ----------------------------------------------------------------------------------------


def test_a_hard_stop_comes_only_after_the_soft_one_is_final_and_the_server_still_runs() -> None:
    ended = stopping(call(P.ENDED))
    assert goes_on(decide(ended, seen(RUNNING, 90)))
    assert goes_on(decide(ended, seen(RUNNING, 90, since_s=60)))
    assert decide(ended, seen(RUNNING, 90, since_s=30)) == (HARD_STOP,)


def test_a_hard_stop_comes_after_the_time_out_of_the_soft_one() -> None:
    open_call = stopping(call(P.ACCEPTED))
    assert needs(decide(open_call, seen(RUNNING, TIMEOUT - 1)))[0] == ReadJobNeed(
        "job-1", moment(TIMEOUT - 1).elapsed_s
    )
    assert decide(open_call, seen(RUNNING, TIMEOUT)) == (HARD_STOP,)


def test_there_is_one_hard_stop() -> None:
    calls = (call(P.ENDED), call(P.ENDED, id="call-2", hard=True))
    assert goes_on(decide(stopping(*calls), seen(RUNNING, 120, since_s=0)))
    after = decided(stopping(*calls), seen(RUNNING, TIMEOUT))
    assert after.state is S.RESTORING
    assert after.then is not None
    assert after.then.reason is Reason.STOP_TIMEOUT


def test_a_plan_that_says_soft_is_never_stopped_hard() -> None:
    ended = stopping(call(P.ENDED))
    assert goes_on(decide(ended, seen(RUNNING, 120, since_s=0, settings=SOFT)))
    after = decided(ended, seen(RUNNING, TIMEOUT, settings=SOFT))
    assert after.then is not None
    assert after.then.reason is Reason.STOP_TIMEOUT


# --- refused and unanswered stops ---------------------------------------------------------------------------


def test_a_refused_batch_is_split_anew() -> None:
    refused = stopping(call(P.REFUSED, size=9))
    assert decide(refused, seen(RUNNING, 10)) == (PowerNeed("stop", max_servers=4),)
    assert decide(stopping(call(P.REFUSED, size=2)), seen(RUNNING, 10)) == (PowerNeed("stop", max_servers=1),)


@pytest.mark.parametrize("picture", [STOPPING, STOPPED, FOREIGN])
def test_a_split_leaves_out_who_does_not_need_it_any_more(picture: ServerSnapshot) -> None:
    decision = decide(stopping(call(P.REFUSED, size=9)), seen(picture, 10))
    assert not isinstance(decision, tuple) or goes_on(decision)


def test_splits_do_not_count_but_refusals_of_one_server_do() -> None:
    splits = [call(P.REFUSED, size=size) for size in (64, 32, 16, 8, 4, 2)]
    singles = [call(P.REFUSED) for _ in range(MAX_POWER_CALLS - 1)]
    assert decide(stopping(*splits, *singles), seen(RUNNING, 10, settings=SOFT)) == (PowerNeed("stop", max_servers=1),)
    spent = stopping(*splits, *singles, call(P.REFUSED), detail="Ecs.0605: locked")
    after = decided(spent, seen(RUNNING, 10, settings=SOFT))
    assert after.then is not None
    assert (after.then.reason, after.then.detail) == (Reason.STOP_REFUSED, "Ecs.0605: locked")


def test_an_unanswered_stop_is_repeated_only_when_the_server_runs_on_quietly() -> None:
    unknown = stopping(call(P.UNKNOWN))
    assert goes_on(decide(unknown, seen(RUNNING, 100, since_s=100 - 2 * STOP_QUIET_S + 1)))
    assert decide(unknown, seen(RUNNING, 100, since_s=100 - 2 * STOP_QUIET_S)) == (SOFT_STOP,)


def test_unanswered_stops_are_bounded() -> None:
    unknown = stopping(*[call(P.UNKNOWN, id=f"call-{number}") for number in range(MAX_POWER_CALLS)])
    assert goes_on(decide(unknown, seen(RUNNING, 300, since_s=0, settings=SOFT)))
    assert outcome_of(decide(unknown, seen(RUNNING, TIMEOUT, settings=SOFT)))[0] is S.RESTORING


# --- when nothing may be stopped ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(HOLDS_SLOT))
@pytest.mark.parametrize("picture", [RUNNING, STOPPED, ERROR, REBUILD, CHANGED, CHANGED_DOWN])
def test_power_is_never_touched_while_the_os_changes(state: TargetState, picture: ServerSnapshot) -> None:
    target = a_target(state=state, attempts=(an_attempt(unanswered=1),))
    for looks in ([(0.0, picture)], steady(picture, 600), steady(picture, 4300)):
        decision = decide(target, context(looks, traces=NO_TRACES))
        assert not isinstance(decision, tuple) or goes_on(decision)


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, stop=StopMode.API)])
def test_a_server_with_an_unanswered_send_is_not_stopped_for_a_day(settings: Settings) -> None:
    checking = a_target(state=S.CHECKING, last_unanswered_at=START)
    day = NO_STOP_AFTER_UNANSWERED_S
    early = decided(checking, seen(RUNNING, day - 1, settings=settings))
    assert (early.state, early.reason) == (S.HELD, Reason.UNANSWERED_SEND)
    assert decided(checking, seen(RUNNING, day, settings=settings)).state in (S.STOPPING, S.READY)
    assert decided(checking, seen(STOPPED, 0, settings=settings)).state is S.READY


# --- starting: the start that the cloud owed us --------------------------------------------------------------

STARTING = a_target(state=S.STARTING, started=True, attempts=(an_attempt(accepted_at=START),))


def start_call(outcome: PowerOutcome, **changes: object) -> PowerCall:
    return call(outcome, verb="start", **changes)


@pytest.mark.parametrize("picture", [CHANGED_DOWN, CHANGED_ERROR])
def test_a_changed_server_is_started_and_verified(picture: ServerSnapshot) -> None:
    assert decide(STARTING, seen(picture, 0)) == (PowerNeed("start"),)
    started = replace(STARTING, calls=(start_call(P.ENDED),))
    after = decided(started, seen(CHANGED, 60))
    assert (after.state, after.stopped_at) == (S.VERIFYING, None)


def test_a_start_is_repeated_only_when_the_server_stays_down() -> None:
    started = replace(STARTING, calls=(start_call(P.UNKNOWN),))
    assert goes_on(decide(started, seen(CHANGED_DOWN, 60)))
    assert decide(started, seen(CHANGED_DOWN, 90, since_s=60)) == (PowerNeed("start"),)
    spent = replace(STARTING, calls=tuple(start_call(P.UNKNOWN) for _ in range(MAX_POWER_CALLS)))
    assert goes_on(decide(spent, seen(CHANGED_DOWN, 90, since_s=30)))


def test_a_server_that_does_not_start_is_held() -> None:
    late = SETTINGS.start_timeout_s + 1
    after = decided(replace(STARTING, calls=(start_call(P.ENDED),)), seen(CHANGED_DOWN, late))
    assert (after.state, after.reason, after.disk_after) == (S.HELD, Reason.START_FAILED, NEW_DISK)
    assert after.keeps_claim


def test_a_refused_batch_of_starts_is_split() -> None:
    refused = replace(STARTING, calls=(start_call(P.REFUSED, size=9),))
    assert decide(refused, seen(CHANGED_DOWN, 10)) == (PowerNeed("start", max_servers=4),)


# --- restoring ----------------------------------------------------------------------------------------------

HELD_THEN = End(S.HELD, Reason.REFUSED, "Ecs.0314")


def restoring(*calls: PowerCall, **changes: object) -> Target:
    return replace(a_target(state=S.RESTORING, then=HELD_THEN, stopped_at=START, calls=calls), **changes)


def test_a_server_that_we_stopped_is_started_again_before_its_end() -> None:
    assert decide(restoring(), context()) == (ReadServerNeed(moment(0).elapsed_s),)
    assert decide(restoring(), seen(STOPPED, 0)) == (PowerNeed("start"),)
    after = decided(restoring(start_call(P.ENDED)), seen(RUNNING, 30))
    assert (after.state, after.reason, after.stopped_at) == (S.HELD, Reason.REFUSED, None)


def test_a_server_that_still_runs_is_watched_for_a_late_stop() -> None:
    assert goes_on(decide(restoring(), seen(RUNNING, 0)))
    assert decided(restoring(), seen(RUNNING, STOP_QUIET_S, since_s=0)).state is S.HELD
    assert decide(restoring(), context([(0, RUNNING), (20, STOPPED)])) == (PowerNeed("start"),)


@pytest.mark.parametrize("outcome", [P.UNKNOWN, P.REFUSED])
def test_a_look_that_may_be_from_before_the_stop_is_no_proof_of_a_start(outcome: PowerOutcome) -> None:
    assert goes_on(decide(restoring(start_call(outcome)), seen(RUNNING, 0)))
    assert decided(restoring(start_call(outcome)), seen(RUNNING, STOP_QUIET_S, since_s=0)).state is S.HELD


@pytest.mark.parametrize("picture", [replace(STOPPED, disk="disk-foreign"), NO_DISK])
def test_a_server_with_another_disk_is_not_started_and_stays_marked(picture: ServerSnapshot) -> None:
    after = decided(restoring(), seen(picture, 0))
    assert (after.state, after.stopped_at) == (S.HELD, START)
    assert "fleetos did not start it" in after.detail


def test_a_server_that_cannot_be_started_again_stays_marked() -> None:
    late = SETTINGS.start_timeout_s + 1
    after = decided(restoring(start_call(P.ENDED)), seen(STOPPED, late))
    assert (after.state, after.stopped_at) == (S.HELD, START)
    assert "could not be started again" in after.detail


def test_a_server_that_is_gone_ends_as_told() -> None:
    after = decided(restoring(), context([(0, None), (30, None)]))
    assert (after.state, after.detail) == (S.HELD, "Ecs.0314; it is gone")


# --- power_after: as-before ----------------------------------------------------------------------------------

DONE_THEN = End(S.DONE, None, "")
AS_BEFORE = replace(SETTINGS, power_after=PowerAfter.AS_BEFORE)
PROVEN = a_target(
    state=S.RESTORING,
    then=DONE_THEN,
    baseline=STOPPED,
    disk_after=NEW_DISK,
    attempts=(an_attempt(outcome=Outcome.SUCCEEDED),),
)


def as_before(picture: ServerSnapshot, at_s: float, since_s: float | None = None) -> Context:
    return seen(picture, at_s, since_s, AS_BEFORE)


def test_a_changed_server_that_was_stopped_is_stopped_again() -> None:
    assert decide(PROVEN, as_before(CHANGED, SETTINGS.settle_s)) == (SOFT_STOP,)
    after = decided(replace(PROVEN, calls=(call(P.ENDED),)), as_before(CHANGED_DOWN, 60))
    assert (after.state, after.stopped_at) == (S.DONE, None)


def test_the_day_s_wait_is_waited_and_then_it_is_stopped() -> None:
    day = NO_STOP_AFTER_UNANSWERED_S
    waiting = replace(PROVEN, not_before=START + timedelta(seconds=day))
    assert decide(waiting, as_before(CHANGED, 60)) == (Wait(moment(day).elapsed_s),)
    assert decide(waiting, as_before(CHANGED, day)) == (SOFT_STOP,)


def test_a_server_that_changed_again_is_left_alone() -> None:
    after = decided(PROVEN, as_before(FOREIGN, SETTINGS.settle_s))
    assert (after.state, after.detail) == (S.DONE, "it changed again before it could be stopped as it was")


def test_a_server_that_is_gone_when_it_is_to_be_stopped_again_is_done_and_said_so() -> None:
    after = decided(PROVEN, replace(context([(0, None), (30, None)], AS_BEFORE), now=moment(3600)))
    assert (after.state, "it is gone" in after.detail) == (S.DONE, True)


def test_a_server_that_does_not_stop_again_is_done_and_said_so() -> None:
    obstinate = replace(PROVEN, calls=(call(P.ENDED),))
    assert goes_on(decide(obstinate, as_before(CHANGED, 20)))
    assert decide(obstinate, as_before(CHANGED, 60, since_s=30)) == (SOFT_STOP,)
    after = decided(obstinate, as_before(CHANGED, TIMEOUT))
    assert after.state is S.DONE
    assert "could not be stopped" in after.detail


# --- loopback ------------------------------------------------------------------------------------------------


def test_waits_are_shorter_on_this_machine_s_own_cloud_only() -> None:
    brisk = replace(SETTINGS, loopback=True, settle_s=2.0)
    target = stopping(call(P.UNKNOWN))
    assert decided(target, seen(STOPPED, 12, since_s=10, settings=brisk)).state is S.READY
    assert goes_on(decide(target, seen(STOPPED, 12, since_s=10, settings=replace(SETTINGS, settle_s=2.0))))
