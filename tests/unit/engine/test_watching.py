"""The changes under way together: sweeps, their beat, and who is stopped ahead of a slot."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.clock import Moment
from fleetos.engine import ring
from fleetos.engine.books import Books
from fleetos.engine.facts import JobRead, NotSeen, Saw
from fleetos.engine.judging import Judge
from fleetos.engine.turn import Turn
from fleetos.engine.watching import Watching, change_key
from fleetos.ids import SeededChance
from fleetos.limits import ENOUGH_OF_A_KIND, FOLLOW_PART, FRESH_READ_MAX_AGE_S, LEAD
from fleetos.model.events import ChangeAdopted, JobEnded, Moved, PowerAnswered, TargetEvent
from fleetos.model.experience import NONE
from fleetos.model.inventory import Job, JobStatus, Picture, SubJob
from fleetos.model.plan import StopMode
from fleetos.model.progress import Progress
from fleetos.model.run import PowerCall, PowerOutcome, Settings, Target
from fleetos.model.states import RunState, TargetState
from fleetos.rules.forecast import Forecast
from fleetos.rules.needs import AskJob, Look
from fleetos.rules.polling import Read, ReadJob, ReadServer, Sweep
from tests.unit.model.samples import CHANGED, REBUILD, RUNNING, SETTINGS, START, STOPPED, a_run, a_target, an_attempt
from tests.unit.rules.scene import moment, sight

S = TargetState


def one_page(servers: int) -> int:
    """A cloud whose list has one page."""
    return min(servers, 1)


def full_at_five(servers: int) -> int:
    """A cloud that shows five servers with one request, and more with three."""
    return 1 if servers <= 5 else 3


def name(number: int) -> str:
    return f"server-{number:04}"


def changing(number: int, **changes: object) -> Target:
    sent = an_attempt(accepted_at=START, job_id=f"job-{number}")
    return replace(a_target(number, state=S.CHANGING, attempts=(sent,)), **changes)


class Ring:
    """Turns of the ring at plain seconds, without a cloud."""

    def __init__(self, *targets: Target, settings: Settings = SETTINGS, calls: Callable[[int], int] = one_page) -> None:
        self.progress = Progress(a_run(settings), targets)
        self.books = Books(self.progress, SeededChance(1), moment(0), NONE)
        self.judge = Judge(self.books)
        self.calls = calls
        for target in targets:
            if target.state not in (S.WAITING, S.BACKOFF):
                self.books.open(target.server_id)

    def turn(self, at_s: float, *facts: Saw | NotSeen | JobRead) -> list[Read]:
        """The reads of a turn that takes these facts."""
        self.books.now = moment(at_s)
        turn = Turn(self.progress, self.books.now.wall)
        self.judge.take(turn, facts)
        reads = ring.decide(self.books, turn, None, self.calls)
        self.progress.absorb(turn.run, list(turn.changed.values()))
        return reads

    def beat(self) -> float:
        """When the ring turns next, in seconds."""
        due_s = ring.next_due_s(self.books, self.books.now)
        assert due_s is not None
        return due_s - moment(0).elapsed_s

    def state(self, number: int) -> TargetState:
        return self.progress.targets[name(number)].state


def seen(at_s: float, pictures: Mapping[int, Picture]) -> list[Saw]:
    return [Saw(name(number), replace(sight(at_s, one), single=False)) for number, one in pictures.items()]


# --- sweeps --------------------------------------------------------------------------------------------------


def test_many_changes_are_seen_by_one_sweep_and_one_by_its_job() -> None:
    many = Ring(*map(changing, range(1, 5)))
    assert many.turn(0) == []
    assert many.turn(many.beat()) == [Sweep(tuple(name(number) for number in range(1, 5)))]
    alone = Ring(changing(1))
    assert alone.turn(0) == []
    assert alone.turn(alone.beat()) == [ReadJob("job-1", (name(1),))]


def test_jobs_are_asked_where_a_sweep_costs_as_much() -> None:
    stage = Ring(*map(changing, range(1, 5)), calls=lambda servers: servers)
    stage.turn(0)
    assert [type(read) for read in stage.turn(stage.beat())] == [ReadJob] * 4


def test_the_job_of_one_that_left_the_picture_is_asked_and_no_other() -> None:
    stage = Ring(*map(changing, range(1, 5)))
    stage.turn(0)
    at_s = stage.beat()
    stage.turn(at_s)
    pictures = {1: REBUILD, 2: CHANGED, 3: REBUILD, 4: REBUILD}
    assert stage.turn(at_s + 1, *seen(at_s, pictures)) == [ReadJob("job-2", (name(2),))]
    ended = Job("job-2", JobStatus.SUCCESS, took_s=5.0)
    assert stage.turn(at_s + 2, JobRead("job-2", (name(2),), ended)) == []
    assert stage.state(2) is S.VERIFYING


def test_the_next_beat_waits_for_the_sweep_under_way() -> None:
    stage = Ring(*map(changing, range(1, 5)))
    stage.turn(0)
    at_s = stage.beat()
    stage.turn(at_s)
    assert stage.turn(at_s + 20) == []
    still = seen(at_s, dict.fromkeys(range(1, 5), REBUILD))
    assert [type(read) for read in stage.turn(at_s + 21, *still)] == [Sweep]


@pytest.mark.parametrize(("calls", "whom"), [(full_at_five, range(1, 6)), (one_page, range(1, 8))])
def test_changes_that_cannot_have_ended_come_along_where_there_is_room(
    calls: Callable[[int], int], whom: range
) -> None:
    """Four have lasted as long as the shortest known change, and three have just begun."""
    stage = Ring(*map(changing, range(1, 8)), calls=calls)
    stage.turn(0)
    _learn(stage.books.watch, 400.0, 20.0)
    for number in (5, 6, 7):
        stage.books.watch.since_s[name(number)] = moment(390).elapsed_s
    assert sorted(sweep_of(stage, 400)) == [name(number) for number in whom]


def test_a_beat_at_which_none_can_have_ended_asks_nothing() -> None:
    stage = Ring(*map(changing, range(1, 5)))
    stage.turn(0)
    _learn(stage.books.watch, 400.0, 20.0)
    assert sweep_of(stage, 300) == []
    assert stage.beat() > 300
    assert len(sweep_of(stage, 330)) == 4


def test_a_beat_at_which_all_are_being_read_already_is_over() -> None:
    stage = Ring(*map(changing, range(1, 5)))
    stage.turn(0)
    at_s = stage.beat()
    stage.books.reading.update(name(number) for number in range(1, 5))
    assert stage.turn(at_s) == []
    assert stage.beat() > at_s


def test_one_that_sweeps_do_not_show_is_read_by_itself_once_it_is_to_be_verified() -> None:
    hidden = replace(changing(1), state=S.VERIFYING)
    stage = Ring(hidden, *map(changing, range(2, 5)))
    stage.turn(0)
    at_s = stage.beat()
    stage.turn(at_s)
    shown = seen(at_s, dict.fromkeys(range(2, 5), REBUILD))
    stage.turn(at_s + 1, *shown, NotSeen((name(1),)))
    reads = stage.turn(at_s + 5)
    assert ReadServer(name(1)) in reads


def test_a_change_past_its_deadline_is_decided_upon_by_looks_that_are_all_the_same() -> None:
    stage = Ring(*map(changing, range(1, 5)))
    timeout_s = SETTINGS.change_timeout_s
    at_s = 0.0
    pictures = dict.fromkeys(range(1, 5), REBUILD)
    while at_s < 2 * timeout_s + 5 * SETTINGS.poll_max_s and stage.state(1) is S.CHANGING:
        reads = stage.turn(at_s)
        facts: list[Saw | NotSeen | JobRead] = []
        for read in reads:
            if isinstance(read, Sweep):
                facts += [one for one in seen(at_s, pictures) if one.server_id in read.server_ids]
            elif isinstance(read, ReadJob):
                facts.append(JobRead(read.job_id, read.server_ids, Job(read.job_id, JobStatus.RUNNING)))
        stage.turn(at_s, *facts)
        at_s += 5.0
    assert stage.state(1) is S.HELD
    assert at_s < 2 * timeout_s + 2 * SETTINGS.poll_max_s


# --- what sweeps show in passing -----------------------------------------------------------------------------


def next_in_line(settings: Settings = SETTINGS) -> Ring:
    """Five changes, of which few end from their 370th second on and all by their 400th, and two servers that wait."""
    stage = Ring(*map(changing, range(1, 6)), a_target(8), a_target(9), settings=settings)
    stage.turn(0)
    for change_s in (*[370.0] * 3, *[400.0] * 17):
        _learn(stage.books.watch, change_s, 20.0)
    return stage


def _learn(watch: Watching, change_s: float, stop_s: float) -> None:
    done = Job("job-1", JobStatus.SUCCESS, took_s=change_s)
    watch.learn(changing(1), JobEnded(name(1), 1, "job-1", JobStatus.SUCCESS), done)
    call = PowerCall("call-1", "stop", hard=False, size=1, intended_at=START)
    stopped = Job("stop-1", JobStatus.SUCCESS, took_s=stop_s)
    watch.learn(a_target(calls=(call,)), PowerAnswered(name(1), "call-1", PowerOutcome.ENDED), stopped)


def foresee(watch: Watching, forecast: Forecast) -> None:
    """Let this be known of changes of every kind."""
    watch.forecast, watch._forecasts = forecast, {}


def sweep_of(stage: Ring, at_s: float) -> list[str]:
    """Whom the sweep at that second sees."""
    stage.books.watch.beat_at_s = moment(at_s).elapsed_s
    return _servers(stage.turn(at_s))


def _servers(reads: list[Read]) -> list[str]:
    return [one for read in reads if isinstance(read, Sweep) for one in read.server_ids]


def test_the_next_in_line_are_seen_along_and_stopped_without_another_look() -> None:
    stage = next_in_line()
    assert {name(8), name(9)} <= set(sweep_of(stage, 340))
    busy = dict.fromkeys(range(1, 6), REBUILD)
    stage.turn(341, *seen(340, {**busy, 8: RUNNING, 9: RUNNING}))
    assert {name(8), name(9)}.isdisjoint(_servers(stage.turn(380)))
    assert {stage.state(8), stage.state(9)} == {S.STOPPING}
    assert len(stage.books.agenda.writes) == 2


def test_a_glimpse_that_is_older_than_a_minute_counts_no_more() -> None:
    stage = next_in_line()
    assert {name(8), name(9)} <= set(sweep_of(stage, 340))
    busy = dict.fromkeys(range(1, 6), REBUILD)
    stage.turn(341, *seen(340, {**busy, 8: STOPPED, 9: STOPPED}))
    at_s = 340 + FRESH_READ_MAX_AGE_S
    foresee(stage.books.watch, Forecast.of([410.0] * 4))
    assert {name(8), name(9)} <= set(_servers(stage.turn(at_s)))
    assert {stage.state(8), stage.state(9)} == {S.CHECKING}


def test_what_was_asked_for_before_a_target_came_to_the_queue_is_no_glimpse() -> None:
    stage = Ring(*map(changing, range(1, 6)), a_target(8, state=S.BACKOFF, attempts=(an_attempt(),)))
    stage.turn(0)
    # Nobody asked for it as one of the queue.
    stage.turn(10, *seen(5, {8: STOPPED}))
    stage.books.write(Turn(stage.progress, START), Moved(name(8), S.CHECKING))
    sighting = stage.books.sighting(name(8))
    assert sighting is not None
    assert sighting.watch is None


def test_nobody_is_seen_along_where_the_cloud_stops_by_itself_or_a_request_more_is_needed() -> None:
    assert name(8) not in sweep_of(next_in_line(replace(SETTINGS, stop=StopMode.API)), 340)
    stage = next_in_line()
    stage.calls = full_at_five
    assert name(8) not in sweep_of(stage, 340)


def test_a_run_that_does_not_run_admits_nobody_ahead() -> None:
    for state in set(RunState) - {RunState.RUNNING}:
        stage = next_in_line()
        foresee(stage.books.watch, Forecast.of([400.0] * 4))
        stage.progress.absorb(replace(stage.progress.run, state=state), [])
        stage.turn(380)
        assert {stage.state(8), stage.state(9)} <= {S.WAITING, S.CANCELLED}


# --- what is learnt ------------------------------------------------------------------------------------------


def ages_s(watch: Watching, now: Moment) -> list[float]:
    """The ages of all changes that run."""
    return [age for _, ages in watch.outlook(now).kinds for age in ages]


def test_a_change_is_as_old_as_the_cloud_s_acceptance_of_it() -> None:
    watch = Watching()
    watch.found(changing(1), moment(120))
    assert ages_s(watch, moment(130)) == [130]
    unaccepted = an_attempt(sent_at=START + timedelta(seconds=60), unanswered=1)
    watch.found(a_target(2, state=S.CHANGING, attempts=(unaccepted,)), moment(120))
    watch.found(a_target(3, state=S.INSPECTING, attempts=(unaccepted,)), moment(120))
    assert sorted(ages_s(watch, moment(130))) == [70, 130]


def test_a_clock_that_went_back_makes_no_negative_age() -> None:
    watch = Watching()
    watch.found(changing(1), replace(moment(0), wall=START - timedelta(hours=1)))
    assert ages_s(watch, moment(0)) == [0]


def test_a_change_counts_while_it_goes_on() -> None:
    watch, target = Watching(), changing(1)
    watch.follow(replace(target, state=S.SUBMITTING), target, moment(10))
    watch.follow(target, target, moment(50))
    assert ages_s(watch, moment(60)) == [50]
    watch.follow(target, replace(target, state=S.VERIFYING), moment(70))
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
    watch = Watching()
    watch.learn(changing(1), event, job)
    watch.swept(moment(0), SETTINGS, 0.0)
    assert not watch.forecast.known


def test_a_stop_of_many_is_learnt_by_the_part_of_each() -> None:
    watch = Watching()
    calls = tuple(PowerCall(f"call-{verb}", verb, hard=False, size=2, intended_at=START) for verb in ("stop", "start"))
    parts = (SubJob(name(1), "a", JobStatus.SUCCESS, took_s=12.0), SubJob(name(2), "b", JobStatus.SUCCESS, took_s=30.0))
    job = Job("job", JobStatus.SUCCESS, sub_jobs=parts, took_s=31.0)
    watch.learn(a_target(1, calls=calls), PowerAnswered(name(1), "call-start", PowerOutcome.ENDED), job)
    assert watch.stop_s is None
    watch.learn(a_target(1, calls=calls), PowerAnswered(name(1), "call-stop", PowerOutcome.ENDED), job)
    assert watch.stop_s == 12


def test_slots_that_are_free_soon_are_those_of_changes_that_end_while_a_server_is_stopped() -> None:
    stage = next_in_line()
    watch = stage.books.watch
    foresee(watch, Forecast.of([400.0] * 4))
    lead_s = 20.0 * LEAD
    assert watch.soon(moment(400 - lead_s - 1)) == 0
    assert watch.soon(moment(400 - lead_s)) == 5
    assert Watching().soon(moment(0)) == 0


def test_whoever_waits_for_a_sweep_but_not_for_a_change_is_seen_before_a_look_is_too_old() -> None:
    watch = Watching()
    watch.swept(moment(0), SETTINGS, 0.0)
    watch.hurry(SETTINGS)
    assert watch.beat_at_s == moment(SETTINGS.poll_min_s).elapsed_s
    watch.found(changing(1), moment(0))
    watch.swept(moment(10_000), replace(SETTINGS, poll_max_s=600.0), 0.0)
    watch.hurry(replace(SETTINGS, poll_max_s=600.0))
    assert watch.beat_at_s == moment(10_000 + FRESH_READ_MAX_AGE_S * FOLLOW_PART).elapsed_s


def test_needs_of_a_followed_change_are_kept_until_something_is_new() -> None:
    stage = Ring(*map(changing, range(1, 5)))
    stage.turn(0)
    at_s = stage.beat()
    stage.turn(at_s)
    busy = dict.fromkeys(range(1, 5), REBUILD)
    stage.turn(at_s + 1, *seen(at_s, busy))
    stage.turn(at_s + 20)
    stage.books.look(Turn(stage.progress, START), name(1), sight(at_s + 21, REBUILD))
    assert stage.books.dirty == {}
    stage.books.look(Turn(stage.progress, START), name(1), sight(at_s + 22, CHANGED))
    assert list(stage.books.dirty) == [name(1)]
    assert not any(isinstance(need, AskJob | Look) for need in stage.books.agenda.writes.values())


def test_what_a_run_learns_is_experience_and_the_next_begins_with_it() -> None:
    first = Watching()
    _learn(first, 300.0, 20.0)
    first.lasted(310.0, shown=True)
    learned = first.experience
    assert (learned.changes, learned.stops_s) == ({change_key(changing(1)): (300.0,)}, (20.0,))
    assert (learned.longest_change_s, learned.shows_change) == (310.0, True)
    second = Watching(learned, [change_key(changing(1))])
    assert (second.forecast.typical_s, second.stop_s, second.shows_change) == (300.0, 20.0, True)
    # Changes of another kind say nothing of these.
    assert not Watching(learned, ["another"]).forecast.known


def test_changes_on_other_flavors_are_foreseen_apart_once_enough_have_ended() -> None:
    watch = Watching()
    small, large = replace(changing(1), flavor="small"), replace(changing(2), flavor="large")
    for target, seconds in ((small, 100.0), (large, 1000.0)):
        event = JobEnded(target.server_id, 1, "job-1", JobStatus.SUCCESS)
        for _ in range(ENOUGH_OF_A_KIND):
            watch.learn(target, event, Job("job-1", JobStatus.SUCCESS, took_s=seconds))
    watch.swept(moment(0), SETTINGS, 0.0)
    assert (watch.forecast_of(small).typical_s, watch.forecast_of(large).typical_s) == (100.0, 1000.0)
    assert watch.forecast_of(changing(3)) is watch.forecast
    watch.found(large, moment(0))
    watch.found(replace(small, server_id=name(3)), moment(0))
    assert [forecast.typical_s for forecast, _ in watch.outlook(moment(1)).kinds] == [1000.0, 100.0]


def test_a_kind_that_is_new_begins_with_what_others_of_its_image_took() -> None:
    learned = NONE.with_change("image-1/small/zone-1", 100.0).with_change("image-2/small/zone-1", 900.0)
    assert Watching(learned, ["image-1/large/zone-2"]).forecast.ages_s == (100.0,)
    assert Watching(learned, ["image-1/large/zone-2", "image-2/small/zone-1"]).forecast.ages_s == (100.0, 900.0)
    assert Watching(learned, ["image-1/small/zone-1", "image-3/small/zone-1"]).forecast.ages_s == (100.0,)


def test_a_cloud_that_is_taken_for_one_that_shows_nothing_is_believed_once_it_shows_a_change() -> None:
    watch = Watching()
    watch.lasted(300.0, shown=False)
    assert watch.shows_change is False
    watch.seen_changing()
    assert watch.shows_change is True
    watch.lasted(300.0, shown=False)
    assert watch.shows_change is True
