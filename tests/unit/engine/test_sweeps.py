"""The sweep planner by itself: method, due times, batches, and reads in flight."""

from dataclasses import replace

from fleetos.engine.agenda import Agenda
from fleetos.engine.change_tracker import ChangeTracker
from fleetos.engine.sweeps import FOLLOWER_MAX_AGE_SHARE, SweepBatch, SweepPlanner
from fleetos.limits import FRESH_READ_MAX_AGE_S
from fleetos.model.run import Settings
from fleetos.rules.admission.lanes import Lanes
from fleetos.rules.needs import ReadTracesNeed, SweepNeed
from fleetos.rules.polling import DueRead, ReadJob, ReadServer, ReadTraces, Sweep
from tests.support.builders import SETTINGS, START
from tests.support.chance import SeededChance
from tests.unit.engine.tracker_harness import changing, name, one_page
from tests.unit.rules.contexts import moment

SLOW = replace(SETTINGS, poll_max_s=600.0)


class Planned:
    """A planner over that number of changes, all of which began at second 0 and follow the sweep."""

    def __init__(self, changes: int = 0) -> None:
        self.watch, self.agenda = ChangeTracker(), Agenda()
        self.planner = SweepPlanner(self.watch, self.agenda, Lanes(), one_page, SeededChance(1), SETTINGS.poll_min_s)
        for number in range(1, changes + 1):
            self.watch.adopt(changing(number), moment(0))
            self.agenda.set_needs(name(number), (SweepNeed(),))

    def due(self, at_s: float, settings: Settings = SETTINGS) -> float | None:
        """When the next sweep is due, in seconds, as planned at that second."""
        self.planner.schedule(moment(at_s), settings)
        due_s = self.planner.next_due_s
        return None if due_s is None else due_s - moment(0).elapsed_s

    def start(self, *reads: DueRead) -> list[DueRead]:
        """The reads that leave now."""
        return list(self.planner.start_reads(reads))

    def batch(self, at_s: float) -> SweepBatch | None:
        """The sweep that leaves at that second."""
        return self.planner.next_batch(moment(at_s), SETTINGS)


def test_changes_are_swept_once_that_takes_fewer_requests_than_their_jobs() -> None:
    plan = Planned(1)
    assert (plan.planner.choose_method(), plan.planner.by_sweep) == (False, False)
    plan.watch.adopt(changing(2), moment(0))
    assert (plan.planner.choose_method(), plan.planner.by_sweep) == (True, True)
    assert (plan.planner.choose_method(), plan.planner.by_sweep) == (False, True)


def test_no_sweep_is_due_while_nobody_follows_or_one_is_in_flight() -> None:
    plan = Planned(2)
    at_s = plan.due(0)
    assert at_s is not None
    assert plan.batch(at_s - 1) is None
    plan.planner.schedule(moment(at_s), SETTINGS)
    assert plan.batch(at_s) == SweepBatch((name(1), name(2)), ())
    assert plan.due(at_s) is None
    plan.planner.finish_servers((name(1), name(2)))
    assert plan.due(at_s) is not None
    plan.agenda.drop_target(name(1))
    plan.agenda.drop_target(name(2))
    assert plan.due(at_s) is None


def test_who_waits_for_a_sweep_and_not_for_a_change_is_seen_before_a_look_is_too_old() -> None:
    waiting, beside_changes = Planned(), Planned(1)
    for plan in (waiting, beside_changes):
        plan.agenda.set_needs(name(9), (SweepNeed(),))
        plan.planner.follow(name(9), waiting=True)
    assert waiting.due(0) == SETTINGS.poll_min_s
    assert beside_changes.due(10_000, SLOW) == 10_000 + FRESH_READ_MAX_AGE_S * FOLLOWER_MAX_AGE_SHARE


def test_who_no_longer_waits_does_not_advance_the_sweep() -> None:
    plan = Planned(1)
    plan.planner.follow(name(1), waiting=True)
    plan.planner.follow(name(1), waiting=False)
    due_s = plan.due(10_000, SLOW)
    assert due_s is not None
    assert due_s > 10_000 + FRESH_READ_MAX_AGE_S * FOLLOWER_MAX_AGE_SHARE


def test_nothing_is_read_twice_at_a_time() -> None:
    plan = Planned()
    ask = ReadTracesNeed(START, 0.0)
    reads: list[DueRead] = [ReadServer(name(1)), ReadJob("job-2", (name(2),)), ReadTraces(name(3), ask)]
    assert plan.start(*reads) == reads
    assert plan.start(*reads, Sweep((name(1),))) == []
    assert plan.batch(0) is None
    plan.planner.finish_servers((name(1),))
    plan.planner.finish_traces(name(3))
    assert plan.start(*reads) == [reads[0], reads[2]]


def test_servers_to_be_swept_share_the_next_sweep() -> None:
    plan = Planned()
    assert plan.start(Sweep((name(1),)), Sweep((name(1), name(2)))) == []
    assert plan.batch(0) == SweepBatch((name(1), name(2)), ())
    assert plan.start(Sweep((name(3),))) == []
    assert plan.batch(1) is None
    plan.planner.finish_servers((name(1), name(2)))
    assert plan.batch(2) == SweepBatch((name(3),), ())


def test_who_joined_the_read_of_a_job_in_flight_gets_its_answer_once() -> None:
    plan = Planned()
    plan.start(ReadJob("job", (name(1),)), ReadJob("job", (name(2),)))
    assert plan.planner.finish_job("job", (name(1),)) == [name(1), name(2)]
    assert plan.planner.finish_job("job", (name(1),)) == [name(1)]
