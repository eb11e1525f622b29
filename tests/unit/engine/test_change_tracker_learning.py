"""What a run learns of the changes of its cloud, and what it begins with."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.clock import Moment
from fleetos.engine.change_tracker import GROUP_SAMPLES_MIN, STOP_LEAD_FACTOR, ChangeTracker, change_key
from fleetos.engine.turn import Turn
from fleetos.model.experience import NO_EXPERIENCE
from fleetos.model.inventory import Job, JobStatus, SubJob
from fleetos.model.journal.events import ChangeAdopted, JobEnded, PowerAnswered, TargetEvent
from fleetos.model.run import PowerCall, PowerOutcome
from fleetos.model.states import TargetState
from fleetos.rules.forecast import Forecast
from tests.support.builders import CHANGED, REBUILD, START, a_target, an_attempt
from tests.unit.engine.tracker_harness import TrackerHarness, changing, foresee, learn, name, next_in_line, seen
from tests.unit.rules.contexts import moment, sight

S = TargetState


def ages_s(watch: ChangeTracker, now: Moment) -> list[float]:
    """The ages of all changes that run."""
    return [age for kind in watch.running_changes(now).groups for age in kind.ages_s]


def test_a_change_is_as_old_as_the_cloud_s_acceptance_of_it() -> None:
    watch = ChangeTracker()
    watch.adopt(changing(1), moment(120))
    assert ages_s(watch, moment(130)) == [130]
    unaccepted = an_attempt(sent_at=START + timedelta(seconds=60), unanswered=1)
    watch.adopt(a_target(2, state=S.CHANGING, attempts=(unaccepted,)), moment(120))
    watch.adopt(a_target(3, state=S.INSPECTING, attempts=(unaccepted,)), moment(120))
    assert sorted(ages_s(watch, moment(130))) == [70, 130]


def test_a_clock_that_went_back_makes_no_negative_age() -> None:
    watch = ChangeTracker()
    watch.adopt(changing(1), replace(moment(0), wall=START - timedelta(hours=1)))
    assert ages_s(watch, moment(0)) == [0]


def test_a_change_counts_while_it_goes_on() -> None:
    watch, target = ChangeTracker(), changing(1)
    watch.record_move(replace(target, state=S.SUBMITTING), target, moment(10))
    watch.record_move(target, target, moment(50))
    assert ages_s(watch, moment(60)) == [50]
    watch.record_move(target, replace(target, state=S.VERIFYING), moment(70))
    assert ages_s(watch, moment(80)) == []


@pytest.mark.parametrize(
    ("event", "job"),
    [
        pytest.param(
            JobEnded(name(1), 1, "job-1", JobStatus.FAIL), Job("job-1", JobStatus.FAIL, took_s=1.0), id="failed"
        ),
        pytest.param(JobEnded(name(1), 1, "job-1", JobStatus.SUCCESS), Job("job-1", JobStatus.SUCCESS), id="not-told"),
        pytest.param(ChangeAdopted(name(1), 1), Job("job-1", JobStatus.RUNNING, took_s=1.0), id="another-event"),
    ],
)
def test_only_changes_that_succeeded_say_how_long_one_takes(event: TargetEvent, job: Job) -> None:
    watch = ChangeTracker()
    watch.record_job_duration(changing(1), event, job)
    watch.update_forecasts(moment(0))
    assert not watch.forecast.known


def test_a_stop_of_many_is_learnt_by_the_part_of_each() -> None:
    watch = ChangeTracker()
    calls = tuple(PowerCall(f"call-{verb}", verb, hard=False, size=2, intended_at=START) for verb in ("stop", "start"))
    parts = (SubJob(name(1), "a", JobStatus.SUCCESS, took_s=12.0), SubJob(name(2), "b", JobStatus.SUCCESS, took_s=30.0))
    job = Job("job", JobStatus.SUCCESS, sub_jobs=parts, took_s=31.0)
    watch.record_job_duration(a_target(1, calls=calls), PowerAnswered(name(1), "call-start", PowerOutcome.ENDED), job)
    assert watch.stop_duration_s is None
    watch.record_job_duration(a_target(1, calls=calls), PowerAnswered(name(1), "call-stop", PowerOutcome.ENDED), job)
    assert watch.stop_duration_s == 12


def test_slots_that_are_free_soon_are_those_of_changes_that_end_while_a_server_is_stopped() -> None:
    harness = next_in_line()
    watch = harness.books.changes
    foresee(watch, Forecast.of([400.0] * 4))
    lead_s = 20.0 * STOP_LEAD_FACTOR
    assert watch.slots_freed_soon(moment(400 - lead_s - 1)) == 0
    assert watch.slots_freed_soon(moment(400 - lead_s)) == 5
    assert ChangeTracker().slots_freed_soon(moment(0)) == 0


def test_needs_of_a_followed_change_are_kept_until_something_is_new() -> None:
    harness = TrackerHarness(*map(changing, range(1, 5)))
    harness.turn(0)
    at_s = harness.beat()
    harness.turn(at_s)
    busy = dict.fromkeys(range(1, 5), REBUILD)
    harness.turn(at_s + 1, *seen(at_s, busy))
    harness.turn(at_s + 20)
    harness.books.add_observation(Turn(harness.progress, START), name(1), sight(at_s + 21, REBUILD))
    assert harness.books.dirty == {}
    harness.books.add_observation(Turn(harness.progress, START), name(1), sight(at_s + 22, CHANGED))
    assert list(harness.books.dirty) == [name(1)]


def test_what_a_run_learns_is_experience_and_the_next_begins_with_it() -> None:
    first = ChangeTracker()
    learn(first, 300.0, 20.0)
    first.record_change_duration(310.0, shown=True)
    learned = first.experience
    assert (learned.changes, learned.stops_s) == ({change_key(changing(1)): (300.0,)}, (20.0,))
    assert (learned.longest_change_s, learned.shows_change) == (310.0, True)
    second = ChangeTracker(learned, [change_key(changing(1))])
    assert (second.forecast.median_s, second.stop_duration_s, second.shows_change) == (300.0, 20.0, True)
    # Changes of another kind say nothing of these.
    assert not ChangeTracker(learned, ["another"]).forecast.known


def test_changes_on_other_flavors_are_foreseen_apart_once_enough_have_ended() -> None:
    watch = ChangeTracker()
    small, large = replace(changing(1), flavor="small"), replace(changing(2), flavor="large")
    for target, seconds in ((small, 100.0), (large, 1000.0)):
        event = JobEnded(target.server_id, 1, "job-1", JobStatus.SUCCESS)
        for _ in range(GROUP_SAMPLES_MIN):
            watch.record_job_duration(target, event, Job("job-1", JobStatus.SUCCESS, took_s=seconds))
    watch.update_forecasts(moment(0))
    assert (watch.forecast_of(small).median_s, watch.forecast_of(large).median_s) == (100.0, 1000.0)
    assert watch.forecast_of(changing(3)) is watch.forecast
    watch.adopt(large, moment(0))
    watch.adopt(replace(small, server_id=name(3)), moment(0))
    assert [kind.forecast.median_s for kind in watch.running_changes(moment(1)).groups] == [1000.0, 100.0]


def test_a_kind_that_is_new_begins_with_what_others_of_its_image_took() -> None:
    learned = NO_EXPERIENCE.with_change("image-1/small/zone-1", 100.0).with_change("image-2/small/zone-1", 900.0)
    assert ChangeTracker(learned, ["image-1/large/zone-2"]).forecast.ages_s == (100.0,)
    assert ChangeTracker(learned, ["image-1/large/zone-2", "image-2/small/zone-1"]).forecast.ages_s == (100.0, 900.0)
    assert ChangeTracker(learned, ["image-1/small/zone-1", "image-3/small/zone-1"]).forecast.ages_s == (100.0,)


def test_a_cloud_that_is_taken_for_one_that_shows_nothing_is_believed_once_it_shows_a_change() -> None:
    watch = ChangeTracker()
    watch.record_change_duration(300.0, shown=False)
    assert watch.shows_change is False
    watch.record_seen_changing()
    assert watch.shows_change is True
    watch.record_change_duration(300.0, shown=False)
    assert watch.shows_change is True
