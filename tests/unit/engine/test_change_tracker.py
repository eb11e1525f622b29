"""The changes under way together: sweeps, their beat, and who is stopped ahead of a slot."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetos.engine.facts import JobRead, ServerRead, ServersNotRead
from fleetos.engine.sweeps import FOLLOWER_MAX_AGE_SHARE
from fleetos.engine.turn import Turn
from fleetos.limits import FRESH_READ_MAX_AGE_S
from fleetos.model.inventory import Job, JobStatus
from fleetos.model.journal.events import Moved
from fleetos.model.plan import StopMode
from fleetos.model.states import RunState, TargetState
from fleetos.rules.forecast import Forecast
from fleetos.rules.polling import DueRead, ReadJob, ReadServer, Sweep
from tests.support.builders import CHANGED, REBUILD, RUNNING, SETTINGS, START, STOPPED, a_target, an_attempt
from tests.unit.engine.tracker_harness import (
    TrackerHarness,
    changing,
    foresee,
    full_at_five,
    learn,
    name,
    next_in_line,
    one_page,
    seen,
    sweep_at,
)
from tests.unit.rules.contexts import moment

S = TargetState


def test_many_changes_are_seen_by_one_sweep_and_one_by_its_job() -> None:
    many = TrackerHarness(*map(changing, range(1, 5)))
    assert many.turn(0) == []
    assert many.turn(many.beat()) == [Sweep(tuple(name(number) for number in range(1, 5)))]
    alone = TrackerHarness(changing(1))
    assert alone.turn(0) == []
    assert alone.turn(alone.beat()) == [ReadJob("job-1", (name(1),))]


def test_jobs_are_asked_where_a_sweep_costs_as_much() -> None:
    harness = TrackerHarness(*map(changing, range(1, 5)), calls=lambda servers: servers)
    harness.turn(0)
    assert [type(read) for read in harness.turn(harness.beat())] == [ReadJob] * 4


def test_the_job_of_one_that_left_the_picture_is_asked_and_no_other() -> None:
    harness = TrackerHarness(*map(changing, range(1, 5)))
    harness.turn(0)
    at_s = harness.beat()
    harness.turn(at_s)
    pictures = {1: REBUILD, 2: CHANGED, 3: REBUILD, 4: REBUILD}
    assert harness.turn(at_s + 1, *seen(at_s, pictures)) == [ReadJob("job-2", (name(2),))]
    ended = Job("job-2", JobStatus.SUCCESS, took_s=5.0)
    assert harness.turn(at_s + 2, JobRead("job-2", (name(2),), ended)) == []
    assert harness.state(2) is S.VERIFYING


def test_the_next_beat_waits_for_the_sweep_under_way() -> None:
    harness = TrackerHarness(*map(changing, range(1, 5)))
    harness.turn(0)
    at_s = harness.beat()
    harness.turn(at_s)
    assert harness.turn(at_s + 20) == []
    still = seen(at_s, dict.fromkeys(range(1, 5), REBUILD))
    assert [type(read) for read in harness.turn(at_s + 21, *still)] == [Sweep]


@pytest.mark.parametrize(("calls", "whom"), [(full_at_five, range(1, 6)), (one_page, range(1, 8))])
def test_changes_that_cannot_have_ended_come_along_where_there_is_room(
    calls: Callable[[int], int], whom: range
) -> None:
    """Four have lasted as long as the shortest known change, and three have just begun."""
    harness = TrackerHarness(*map(changing, range(1, 8)), calls=calls)
    harness.turn(0)
    learn(harness.books.changes, 400.0, 20.0)
    for number in (5, 6, 7):
        harness.books.changes.began_s[name(number)] = moment(390).elapsed_s
    assert sorted(sweep_of(harness, 400)) == [name(number) for number in whom]


def test_a_beat_at_which_no_change_can_have_succeeded_shows_those_that_failed_early() -> None:
    harness = TrackerHarness(*map(changing, range(1, 5)))
    harness.turn(0)
    learn(harness.books.changes, 400.0, 20.0)
    assert sorted(sweep_of(harness, 300)) == [name(number) for number in range(1, 5)]


@pytest.mark.parametrize(("calls", "put_off"), [(one_page, True), (full_at_five, False)])
def test_a_look_at_one_puts_the_beat_off_only_if_all_whose_time_has_come_are_seen_along(
    calls: Callable[[int], int], *, put_off: bool
) -> None:
    harness = TrackerHarness(*map(changing, range(1, 8)), calls=calls)
    harness.turn(0)
    learn(harness.books.changes, 400.0, 20.0)
    sweep_at(harness, 401)
    assert list(harness.books.sweeps.start_reads([Sweep((name(1),))])) == []
    shown = _servers(harness.turn(400))
    assert len(shown) == (7 if put_off else 5)
    harness.books.sweeps.finish_servers(shown)
    assert (harness.books.sweeps.next_due_s != moment(401).elapsed_s) is put_off


def test_whoever_rides_along_is_seen_before_a_look_is_too_old_and_no_longer_once_it_has_ended() -> None:
    slow = replace(SETTINGS, poll_max_s=600.0)
    harness = TrackerHarness(*map(changing, range(1, 5)), replace(changing(5), state=S.VERIFYING), settings=slow)
    harness.turn(0)
    assert list(harness.books.sweeps._sweep_followers) == [name(5)]
    at_s = harness.beat()
    assert at_s <= FRESH_READ_MAX_AGE_S * FOLLOWER_MAX_AGE_SHARE
    harness.turn(at_s)
    harness.turn(at_s + 1, *seen(at_s, {5: CHANGED}))
    assert (harness.state(5), list(harness.books.sweeps._sweep_followers)) == (S.DONE, [])


@pytest.mark.parametrize(
    ("job", "runs"), [(Job("job-1", JobStatus.RUNNING), True), (Job("job-1", JobStatus.FAIL), False), (None, False)]
)
def test_a_job_that_goes_on_is_known_to(job: Job | None, *, runs: bool) -> None:
    harness = TrackerHarness(replace(changing(1), state=S.INSPECTING), *map(changing, range(2, 5)))
    harness.turn(0)
    harness.turn(10, JobRead("job-1", (name(1),), job))
    sighting = harness.books.observations_of(name(1))
    assert sighting is not None
    assert (sighting.job_running_at == moment(10)) is runs
    assert sighting.job_not_running_at == (None if runs or job is not None else moment(10))
    if job is None:
        harness.turn(20, JobRead("job-1", (name(1),), None))
        again = harness.books.observations_of(name(1))
        assert again is not None
        assert (again.job_read_at, again.job_not_running_at) == (moment(20), moment(10))


def test_a_beat_at_which_all_are_being_read_already_is_over() -> None:
    harness = TrackerHarness(*map(changing, range(1, 5)))
    harness.turn(0)
    at_s = harness.beat()
    alone = [ReadServer(name(number)) for number in range(1, 5)]
    assert list(harness.books.sweeps.start_reads(alone)) == alone
    assert harness.turn(at_s) == []
    assert harness.beat() > at_s


def test_one_that_sweeps_do_not_show_is_read_by_itself_once_it_is_to_be_verified() -> None:
    hidden = replace(changing(1), state=S.VERIFYING)
    harness = TrackerHarness(hidden, *map(changing, range(2, 5)))
    harness.turn(0)
    at_s = harness.beat()
    harness.turn(at_s)
    shown = seen(at_s, dict.fromkeys(range(2, 5), REBUILD))
    harness.turn(at_s + 1, *shown, ServersNotRead((name(1),)))
    reads = harness.turn(at_s + 5)
    assert ReadServer(name(1)) in reads


def test_a_change_past_its_deadline_is_decided_upon_by_looks_that_are_all_the_same() -> None:
    harness = TrackerHarness(*map(changing, range(1, 5)))
    timeout_s = SETTINGS.change_timeout_s
    at_s = 0.0
    pictures = dict.fromkeys(range(1, 5), REBUILD)
    while at_s < 2 * timeout_s + 5 * SETTINGS.poll_max_s and harness.state(1) is S.CHANGING:
        reads = harness.turn(at_s)
        facts: list[ServerRead | ServersNotRead | JobRead] = []
        for read in reads:
            if isinstance(read, Sweep):
                facts += [one for one in seen(at_s, pictures) if one.server_id in read.server_ids]
            elif isinstance(read, ReadJob):
                facts.append(JobRead(read.job_id, read.server_ids, Job(read.job_id, JobStatus.RUNNING)))
        harness.turn(at_s, *facts)
        at_s += 5.0
    assert harness.state(1) is S.HELD
    assert at_s < 2 * timeout_s + 2 * SETTINGS.poll_max_s


# --- what sweeps show in passing -----------------------------------------------------------------------------


def sweep_of(harness: TrackerHarness, at_s: float) -> list[str]:
    """Whom the sweep at that second sees."""
    sweep_at(harness, at_s)
    return _servers(harness.turn(at_s))


def _servers(reads: list[DueRead]) -> list[str]:
    return [one for read in reads if isinstance(read, Sweep) for one in read.server_ids]


def test_the_next_in_line_are_seen_along_and_stopped_without_another_look() -> None:
    harness = next_in_line()
    assert {name(8), name(9)} <= set(sweep_of(harness, 340))
    busy = dict.fromkeys(range(1, 6), REBUILD)
    harness.turn(341, *seen(340, {**busy, 8: RUNNING, 9: RUNNING}))
    assert {name(8), name(9)}.isdisjoint(_servers(harness.turn(380)))
    assert {harness.state(8), harness.state(9)} == {S.STOPPING}
    assert [len(waiting) for waiting in harness.books.agenda.writes.values()] == [2]


def test_a_glimpse_that_is_older_than_a_minute_counts_no_more() -> None:
    harness = next_in_line()
    assert {name(8), name(9)} <= set(sweep_of(harness, 340))
    busy = dict.fromkeys(range(1, 6), REBUILD)
    harness.turn(341, *seen(340, {**busy, 8: STOPPED, 9: STOPPED}))
    at_s = 340 + FRESH_READ_MAX_AGE_S
    foresee(harness.books.changes, Forecast.of([410.0] * 4))
    assert {name(8), name(9)} <= set(_servers(harness.turn(at_s)))
    assert {harness.state(8), harness.state(9)} == {S.CHECKING}


def test_what_was_asked_for_before_a_target_came_to_the_queue_is_no_glimpse() -> None:
    harness = TrackerHarness(*map(changing, range(1, 6)), a_target(8, state=S.BACKOFF, attempts=(an_attempt(),)))
    harness.turn(0)
    # Nobody asked for it as one of the queue.
    harness.turn(10, *seen(5, {8: STOPPED}))
    harness.books.write_event(Turn(harness.progress, START), Moved(name(8), S.CHECKING))
    sighting = harness.books.observations_of(name(8))
    assert sighting is not None
    assert sighting.series is None


def test_nobody_is_seen_along_where_the_cloud_stops_by_itself_or_a_request_more_is_needed() -> None:
    assert name(8) not in sweep_of(next_in_line(replace(SETTINGS, stop=StopMode.API)), 340)
    harness = next_in_line()
    harness.calls = full_at_five
    assert name(8) not in sweep_of(harness, 340)


def test_a_run_that_does_not_run_admits_nobody_ahead() -> None:
    for state in set(RunState) - {RunState.RUNNING}:
        harness = next_in_line()
        foresee(harness.books.changes, Forecast.of([400.0] * 4))
        harness.progress.update_targets(replace(harness.progress.run, state=state), [])
        harness.turn(380)
        assert {harness.state(8), harness.state(9)} <= {S.WAITING, S.CANCELLED}
