"""An unknown outcome by the cloud's log of actions: which entry is ours, how it ended, and when that is believed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import AttemptEnded, Moved, NotDelivered
from fleetos.model.run import Outcome, Target
from fleetos.model.states import Reason
from fleetos.model.states import TargetState as S
from fleetos.model.traces import NO_TRACES, LoggedChange, LoggedEnd, Traces
from fleetos.rules.decide import decide
from fleetos.rules.needs import Context, ReadServerNeed, ReadTracesNeed
from tests.support.builders import ERROR, NO_DISK, RUNNING, SETTINGS, START, STOPPED, a_target, an_attempt
from tests.unit.rules.contexts import (
    aborting,
    after,
    context,
    decided,
    moment,
    needs,
    only_event,
    outcome_of,
    steady,
    undecided,
)

SETTLE, TIMEOUT, BEAT = SETTINGS.settle_s, SETTINGS.change_timeout_s, SETTINGS.poll_max_s
# The cloud's clock is ten minutes ahead of ours.
CLOUD = START + timedelta(minutes=10)
WORDS = ("action rebuild at 2026-03-01T12:10:01",)


def lost(**changes: object) -> Target:
    """A target whose only send was never answered."""
    attempt = replace(an_attempt(unanswered=1, cloud_at=CLOUD), **changes)
    return a_target(state=S.INSPECTING, attempts=(attempt,), last_unanswered_at=START)


def logged(end: LoggedEnd, began_s: float = 1.0) -> Traces:
    """The log with one change of ours, which began so long after the send."""
    return Traces(WORDS, LoggedChange(CLOUD + timedelta(seconds=began_s), end))


def rule_context(picture: ServerSnapshot, until_s: float, traces: Traces, read_s: float = SETTLE) -> Context:
    """What is known after looks at one picture, with what the log said at `read_s`."""
    return context(steady(picture, until_s), traces=traces, traces_read_at=moment(read_s))


def test_a_change_that_failed_by_the_log_is_used_up_after_the_settle_and_two_equal_looks() -> None:
    traces = logged(LoggedEnd.ERROR)
    assert undecided(decide(lost(), rule_context(STOPPED, SETTLE, traces)))
    assert undecided(decide(lost(), rule_context(STOPPED, SETTLE + BEAT - 1, traces)))
    event = only_event(decide(lost(), rule_context(STOPPED, SETTLE + BEAT, traces)))
    assert isinstance(event, AttemptEnded)
    assert (event.to, event.outcome) == (S.BACKOFF, Outcome.FAILED)
    assert event.detail == f"by the cloud's log the change failed: {WORDS[0]}"
    # A request that a gateway delivers once more may still be on its way.
    assert undecided(decide(lost(), rule_context(STOPPED, SETTLE - 1, traces, read_s=0)))


def test_it_is_told_long_before_the_change_time_out() -> None:
    assert SETTLE + BEAT < TIMEOUT
    last = replace(lost(), attempts_allowed=1)
    decision = decide(last, rule_context(STOPPED, SETTLE + BEAT, logged(LoggedEnd.ERROR)))
    assert outcome_of(decision) == (S.HELD, Reason.ATTEMPTS_USED_UP, Outcome.FAILED)


@pytest.mark.parametrize(
    ("began_s", "ours"), [(-11, False), (-10, True), (0, True), (SETTLE, True), (SETTLE + 1, False)]
)
def test_only_what_began_while_the_request_could_arrive_is_ours(began_s: float, *, ours: bool) -> None:
    decision = decide(lost(), rule_context(STOPPED, SETTLE + BEAT, logged(LoggedEnd.ERROR, began_s)))
    assert undecided(decision) is not ours


def test_a_later_send_of_the_attempt_may_be_later() -> None:
    resent = lost(sent_at=START + timedelta(seconds=700), sends=2, resends=1, unanswered=2)
    assert not undecided(decide(resent, rule_context(STOPPED, SETTLE + BEAT, logged(LoggedEnd.ERROR, SETTLE + 700))))
    assert undecided(decide(resent, rule_context(STOPPED, SETTLE + BEAT, logged(LoggedEnd.ERROR, SETTLE + 701))))


@pytest.mark.parametrize(
    ("target", "traces"),
    [
        pytest.param(lost(cloud_at=None), logged(LoggedEnd.ERROR), id="the-clouds-clock-is-not-known"),
        pytest.param(lost(), Traces(WORDS), id="somebody-elses-or-several"),
        pytest.param(lost(), logged(LoggedEnd.UNTOLD), id="the-end-is-not-told"),
        pytest.param(lost(), logged(LoggedEnd.ERROR, SETTLE + 60), id="too-late-to-be-ours"),
    ],
)
def test_without_such_a_witness_it_is_watched_to_the_deadline_and_held(target: Target, traces: Traces) -> None:
    decision = decide(target, rule_context(STOPPED, SETTLE + BEAT, traces))
    assert any(isinstance(need, ReadTracesNeed) for need in needs(decision))
    late = decide(target, rule_context(STOPPED, TIMEOUT + 1, traces))
    assert outcome_of(late) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


@pytest.mark.parametrize("target", [lost(), lost(adopted=True), lost(accepted_at=START, unanswered=0)])
def test_a_change_that_the_log_shows_to_go_on_is_never_believed_to_be_over(target: Target) -> None:
    traces = logged(LoggedEnd.RUNNING)
    for until_s in (SETTLE, TIMEOUT, 2 * TIMEOUT):
        assert undecided(decide(target, rule_context(STOPPED, until_s, traces)))
    event = only_event(decide(target, rule_context(STOPPED, 2 * TIMEOUT + 1, traces)))
    assert isinstance(event, Moved)
    assert (event.to, event.reason) == (S.HELD, Reason.STILL_CHANGING)


def test_a_server_whose_change_goes_on_by_the_log_is_not_started() -> None:
    target = replace(lost(), stopped_at=START)
    decision = decide(target, rule_context(STOPPED, 2 * TIMEOUT + 1, logged(LoggedEnd.RUNNING)))
    assert outcome_of(decision) == (S.HELD, Reason.STILL_CHANGING, None)


@pytest.mark.parametrize("picture", [ERROR, NO_DISK, replace(ERROR, disk="made-by-it")])
def test_a_half_done_change_that_goes_on_by_the_log_is_not_over(picture: ServerSnapshot) -> None:
    traces = logged(LoggedEnd.RUNNING)
    for until_s in (SETTLE + TIMEOUT, 2 * TIMEOUT):
        assert undecided(decide(lost(), rule_context(picture, until_s, traces)))
    target = after(lost(), decide(lost(), rule_context(picture, 2 * TIMEOUT + SETTLE, traces)))
    assert (target.state, target.reason) == (S.HELD, Reason.STILL_CHANGING)
    assert target.keeps_claim


def test_a_log_that_has_no_end_yet_is_read_again_less_and_less_often() -> None:
    traces = logged(LoggedEnd.RUNNING)
    for here_s, pause_s in ((SETTLE, 150), (2 * SETTLE, 300), (TIMEOUT, 300)):
        (ask,) = (
            n
            for n in needs(decide(lost(), rule_context(STOPPED, here_s, traces, here_s)))
            if isinstance(n, ReadTracesNeed)
        )
        assert ask == ReadTracesNeed(CLOUD, moment(here_s + pause_s).elapsed_s)


def test_a_success_of_which_nothing_is_seen_is_waited_for_a_settle_and_has_had_no_effect_then() -> None:
    traces = logged(LoggedEnd.SUCCESS)
    assert undecided(decide(lost(), rule_context(STOPPED, 2 * SETTLE - 1, traces)))
    decision = decide(lost(), rule_context(STOPPED, 2 * SETTLE, traces))
    assert outcome_of(decision) == (S.BACKOFF, None, Outcome.NO_EFFECT)


def test_a_success_whose_image_would_not_show_is_held() -> None:
    reinstall = replace(lost(), order=replace(a_target().order, reinstall=True))
    assert undecided(decide(reinstall, rule_context(STOPPED, 2 * SETTLE, logged(LoggedEnd.SUCCESS))))
    late = decide(reinstall, rule_context(STOPPED, TIMEOUT + 1, logged(LoggedEnd.SUCCESS)))
    assert outcome_of(late) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


@pytest.mark.parametrize(
    ("picture", "end"),
    [(ERROR, (S.BACKOFF, None, Outcome.FAILED)), (NO_DISK, (S.HELD, Reason.NO_SYSTEM_DISK, Outcome.FAILED))],
)
def test_a_half_done_change_that_failed_by_the_log_is_judged_after_the_settle(
    picture: ServerSnapshot, end: tuple[object, ...]
) -> None:
    assert undecided(decide(lost(), rule_context(picture, SETTLE + BEAT - 1, logged(LoggedEnd.ERROR))))
    assert outcome_of(decide(lost(), rule_context(picture, SETTLE + BEAT, logged(LoggedEnd.ERROR)))) == end
    for end_by_log in (LoggedEnd.RUNNING, LoggedEnd.SUCCESS, LoggedEnd.UNTOLD):
        assert undecided(decide(lost(), rule_context(picture, SETTLE + TIMEOUT - 1, logged(end_by_log))))
    asked = needs(decide(lost(), context(steady(picture, SETTLE))))
    assert [type(need) for need in asked] == [ReadTracesNeed, ReadServerNeed]


def test_a_running_server_is_judged_by_what_is_seen_of_it() -> None:
    decision = decide(lost(), rule_context(RUNNING, SETTLE + BEAT, logged(LoggedEnd.ERROR)))
    assert outcome_of(decision) == (S.CHECKING, None, None)


def test_an_empty_log_proves_nothing_against_it() -> None:
    assert only_event(decide(lost(), rule_context(STOPPED, SETTLE, Traces()))) == NotDelivered("server-0001", 1)


@pytest.mark.parametrize(
    ("picture", "end"), [(STOPPED, LoggedEnd.ERROR), (STOPPED, LoggedEnd.SUCCESS), (ERROR, LoggedEnd.ERROR)]
)
def test_an_abort_calls_no_server_unchanged_whose_change_has_failed_by_the_log(
    picture: ServerSnapshot, end: LoggedEnd
) -> None:
    target = after(lost(), decide(lost(), rule_context(picture, 2 * SETTLE, logged(end))))
    assert target.state is S.BACKOFF
    for state in (S.BACKOFF, S.CHECKING):
        ended = decided(replace(target, state=state), aborting(steady(picture, 30)))
        assert (ended.state, ended.reason) == (S.HELD, Reason.ABORTED)


def test_a_log_that_was_read_before_the_job_went_on_is_read_again() -> None:
    """The cloud knew the job for a while, and forgot it once more."""
    target = lost(accepted_at=START, unanswered=0, job_id="job-1")
    early, later = (
        context(
            steady(STOPPED, 2 * SETTLE),
            traces=NO_TRACES,
            traces_read_at=moment(traced_s),
            job_not_running_at=moment(SETTLE),
            job_read_at=moment(2 * SETTLE),
        )
        for traced_s in (SETTLE, 2 * SETTLE)
    )
    assert ReadTracesNeed(CLOUD, early.now.elapsed_s) in needs(decide(target, early))
    assert outcome_of(decide(target, later)) == (S.BACKOFF, None, Outcome.FAILED)


@pytest.mark.parametrize("end", [LoggedEnd.ERROR, LoggedEnd.SUCCESS])
def test_a_server_whose_change_has_ended_by_the_log_is_not_put_back_as_it_was(end: LoggedEnd) -> None:
    stopped = replace(lost(), stopped_at=START)
    target = replace(after(stopped, decide(stopped, rule_context(STOPPED, 2 * SETTLE, logged(end)))), state=S.CHECKING)
    assert target.stopped_at == START
    ended = decided(target, aborting(steady(STOPPED, 30)))
    assert (ended.state, ended.reason, ended.stopped_at) == (S.HELD, Reason.ABORTED, START)
