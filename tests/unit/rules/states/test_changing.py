"""A change under way: when its server is looked at, and when its job is asked."""

from dataclasses import replace

import pytest

from fleetos.limits import ASK_AGAIN_SHARE
from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.states import TargetState
from fleetos.rules.decide import decide
from fleetos.rules.forecast import Forecast
from fleetos.rules.needs import Context, ReadJobNeed, ReadServerNeed, SweepNeed
from fleetos.rules.states.changing import SHOWN_WITHIN_S
from fleetos.rules.states.verifying import judge_ended_change
from tests.support.builders import CHANGED, ERROR, NO_DISK, REBUILD, SETTINGS, START, STOPPED, a_target, an_attempt
from tests.unit.rules.contexts import Look as Seen
from tests.unit.rules.contexts import context, moment, needs

JOB = a_target(state=TargetState.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-1"),))
TIMEOUT = SETTINGS.change_timeout_s
# A hundred changes that took from 301 s to 400 s: 95 of them have ended by 395 s.
MINUTES = Forecast.of(range(301, 401))


def swept(*looks: Seen, **known: object) -> Context:
    """What is known at the last look of a change that sweeps watch."""
    return replace(context(looks), by_sweep=True, **known)


def asks_at(rule_context: Context) -> float:
    """When the job is asked, in seconds of the change."""
    ask = next(need for need in needs(decide(JOB, rule_context)) if isinstance(need, ReadJobNeed))
    return ask.due_s - moment(0).elapsed_s


def test_many_changes_are_followed_by_sweeps() -> None:
    assert SweepNeed() in needs(decide(JOB, swept((10, REBUILD))))


def test_a_change_that_is_watched_alone_is_asked_by_its_job() -> None:
    alone = context([(10, REBUILD)])
    assert SweepNeed() not in needs(decide(JOB, alone))
    assert asks_at(alone) == 10
    assert asks_at(replace(alone, job_read_at=moment(10))) == 10 + SETTINGS.poll_min_s
    assert asks_at(replace(context([(300, REBUILD)]), job_read_at=moment(300))) == 330


# --- its server left the picture of a change -----------------------------------------------------------------


@pytest.mark.parametrize("picture", [CHANGED, ERROR, NO_DISK, STOPPED])
def test_the_job_of_one_that_was_seen_changing_and_is_no_more_is_asked_at_once(picture: ServerSnapshot) -> None:
    assert asks_at(swept((60, REBUILD), (90, picture))) == 90


@pytest.mark.parametrize("picture", [CHANGED, ERROR, NO_DISK])
def test_one_that_shows_the_marks_of_a_change_was_seen_to_end(picture: ServerSnapshot) -> None:
    assert asks_at(swept((90, picture))) == 90


def test_an_idle_server_says_nothing_on_a_cloud_that_may_show_no_change() -> None:
    late = SHOWN_WITHIN_S + 1
    assert asks_at(swept((late, STOPPED), forecast=MINUTES)) == 395
    assert asks_at(swept((late, STOPPED), forecast=MINUTES, shows_change=False)) == 395
    assert asks_at(swept((late, STOPPED), forecast=MINUTES, shows_change=True)) == late
    # Its change may not be shown yet.
    assert asks_at(swept((30, STOPPED), forecast=MINUTES, shows_change=True)) == 395


def test_one_that_failed_before_is_not_seen_to_fail() -> None:
    before = an_attempt(accepted_at=START, job_id="job-1", before=ERROR)
    again = replace(JOB, attempts=(before,))
    asked = needs(decide(again, swept((30, ERROR), forecast=MINUTES)))
    assert ReadJobNeed("job-1", moment(395).elapsed_s) in asked


def test_each_answer_that_tells_nothing_new_makes_the_next_rarer() -> None:
    looks: tuple[Seen, ...] = ((60, REBUILD), (100, CHANGED), (120, CHANGED))
    assert asks_at(swept(*looks, job_read_at=moment(110))) == 110 + 120 * ASK_AGAIN_SHARE
    late = (*looks, (150, CHANGED), (200, CHANGED))
    assert asks_at(swept(*late, job_read_at=moment(195))) == 195 + 200 * ASK_AGAIN_SHARE
    # A picture that is newer than the answer is news.
    assert asks_at(swept(*looks, job_read_at=moment(99))) == 120


# --- its time has come ---------------------------------------------------------------------------------------


def test_without_any_sign_the_job_is_asked_when_most_others_have_ended() -> None:
    assert asks_at(swept((30, STOPPED), forecast=MINUTES)) == 395
    assert asks_at(swept((500, STOPPED), forecast=MINUTES)) == 500


def test_while_nothing_is_known_it_is_asked_early_unless_the_end_will_be_seen() -> None:
    assert asks_at(swept((30, STOPPED))) == SETTINGS.poll_max_s
    assert asks_at(swept((30, REBUILD))) == TIMEOUT / 2


def test_then_it_is_asked_at_twice_its_age_and_no_oftener_than_the_plan_allows() -> None:
    assert asks_at(swept((450, STOPPED), forecast=MINUTES, job_read_at=moment(400))) == 800
    assert asks_at(swept((35, STOPPED), forecast=MINUTES, job_read_at=moment(30))) == 30 + SETTINGS.poll_max_s


def test_a_server_that_shows_a_change_for_ever_is_asked_all_the_same() -> None:
    assert asks_at(swept((500, REBUILD), forecast=MINUTES)) == 790
    assert asks_at(swept((800, REBUILD), forecast=MINUTES)) == 800


def test_after_the_deadline_its_looks_and_answers_come_at_a_steady_beat() -> None:
    rule_context = swept((TIMEOUT + 5, REBUILD), job_read_at=moment(TIMEOUT))
    asked = needs(decide(JOB, rule_context))
    assert asked == (
        ReadJobNeed("job-1", moment(TIMEOUT + SETTINGS.poll_max_s).elapsed_s),
        ReadServerNeed(moment(TIMEOUT + 5 + SETTINGS.poll_max_s).elapsed_s),
    )
    assert asks_at(swept((TIMEOUT + 5, REBUILD))) == TIMEOUT + 5


# --- and then verified ---------------------------------------------------------------------------------------

VERIFYING = replace(JOB, state=TargetState.VERIFYING)


def test_one_that_is_only_to_be_verified_comes_along_with_the_next_sweep() -> None:
    assert decide(VERIFYING, swept()) == (SweepNeed(),)
    assert decide(VERIFYING, context()) == (ReadServerNeed(moment(0).elapsed_s),)


def test_one_that_sweeps_do_not_show_is_looked_at_by_itself() -> None:
    assert decide(VERIFYING, swept(missed_reads=1)) == (ReadServerNeed(moment(0).elapsed_s),)


def test_one_that_failed_holds_its_slot_and_is_looked_at_now() -> None:
    assert judge_ended_change(JOB, JobStatus.FAIL, swept()) == (ReadServerNeed(moment(0).elapsed_s),)
