"""The parts beside the ring: agenda, sightings, health, turn, and the last check before a write."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.clock import Moment
from fleetos.engine import reconcile
from fleetos.engine.agenda import Agenda
from fleetos.engine.facts import (
    ChangeReplied,
    CloudNotReached,
    Fact,
    JobNotRead,
    JobRead,
    Refused,
    ServerRead,
    ServersNotRead,
    TracesNotRead,
    TracesRead,
)
from fleetos.engine.judge import CloudHealth, Judge
from fleetos.engine.observations import TargetObservations
from fleetos.engine.performer import Performer, SubmitChange
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.errors import AnswerLost, AuthenticationFailed, CloudError, CloudUnreachable, IllegalMove, PermissionDenied
from fleetos.limits import INTENT_MAX_AGE_S, UNREACHABLE_FAILURES, UNREACHABLE_S
from fleetos.model.experience import NO_EXPERIENCE
from fleetos.model.inventory import Delivered, Job, JobStatus, Undelivered
from fleetos.model.journal.events import ChangeAdopted, JobEnded, Moved, PowerAnswered, RunMoved
from fleetos.model.progress import Progress
from fleetos.model.run import PowerOutcome, Secrets, Target
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.traces import NO_TRACES, Traces
from fleetos.rules.needs import Need, PowerNeed, ReadJobNeed, ReadServerNeed, ReadTracesNeed, SubmitNeed, Wait
from fleetos.rules.observation import Observation
from fleetos.rules.polling import DueRead, ReadJob, ReadServer, ReadTraces, Sweep
from tests.support.builders import REBUILD, RUNNING, START, STOPPED, a_run, a_target, an_attempt
from tests.support.chance import SeededChance
from tests.support.clocks import ManualClock
from tests.support.clouds.small import SmallCloud
from tests.unit.engine.harness import EngineHarness
from tests.unit.rules.contexts import moment, sight

S = TargetState
ID = "server-0001"
CHANGING = a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-1"),))


def books_of(*targets: Target) -> tuple[Tracker, Turn]:
    progress = Progress(a_run(), targets)
    books = Tracker(progress, SeededChance(1), moment(0), NO_EXPERIENCE, each_its_own)
    for target in targets:
        if not target.ended:
            books.adopt(target.server_id)
    return books, Turn(progress, START)


def each_its_own(servers: int) -> int:
    """A cloud without a list: a sweep takes a request for each server."""
    return servers


# --- agenda --------------------------------------------------------------------------------------------------


def test_setting_needs_replaces_those_before() -> None:
    agenda = Agenda()
    agenda.set_needs("a", (ReadServerNeed(10), SubmitNeed()))
    agenda.set_needs("a", (Wait(20),))
    assert agenda.writes == {}
    assert agenda.next_due_s() == 20
    assert agenda.take_due(30, 0) == [("a", Wait(20))]
    assert agenda.take_due(30, 0) == []


def test_reads_that_are_due_soon_go_out_together_but_no_wait_ends_early() -> None:
    agenda = Agenda()
    agenda.set_needs("a", (ReadServerNeed(10),))
    agenda.set_needs("b", (ReadServerNeed(11),))
    agenda.set_needs("c", (Wait(11),))
    agenda.set_needs("d", (ReadServerNeed(13),))
    assert agenda.take_due(9, 5) == []
    assert agenda.take_due(10, 2) == [("a", ReadServerNeed(10)), ("b", ReadServerNeed(11))]
    assert agenda.next_due_s() == 11
    assert agenda.take_due(11, 2) == [("c", Wait(11)), ("d", ReadServerNeed(13))]


def test_a_dropped_target_needs_nothing() -> None:
    agenda = Agenda()
    agenda.set_needs("a", (ReadServerNeed(10), SubmitNeed()))
    agenda.drop_target("a")
    assert agenda.writes == {}
    assert agenda.next_due_s() is None


def test_who_needs_the_same_write_again_keeps_the_place_in_the_line() -> None:
    agenda = Agenda()
    agenda.set_needs("a", (SubmitNeed(),))
    agenda.set_needs("b", (SubmitNeed(), Wait(20)))
    agenda.set_needs("a", (SubmitNeed(), Wait(20)))
    assert [list(waiting) for waiting in agenda.writes.values()] == [["a", "b"]]
    agenda.set_needs("a", (PowerNeed("stop", hard=True, max_servers=1),))
    assert [list(waiting) for waiting in agenda.writes.values()] == [["b"], ["a"]]


# --- the ring ------------------------------------------------------------------------------------------------


def test_a_wait_is_not_lost_when_others_are_due_just_before_it() -> None:
    wait_s = 1.0
    waiting = a_target(1, state=S.READY, not_before=START + timedelta(seconds=wait_s))
    books, turn = books_of(waiting, a_target(2, state=S.CHECKING))
    assert reconcile.reconcile(books, turn, None) == [Sweep(("server-0002",))]
    assert reconcile.next_due_s(books, moment(0)) == moment(wait_s).elapsed_s
    turn = books.begin_turn(moment(wait_s))
    assert reconcile.reconcile(books, turn, None) == []
    books.sweeps.finish_servers(("server-0002",))
    assert reconcile.reconcile(books, turn, None) == [Sweep((ID,))]


def test_who_asks_for_a_job_under_way_gets_its_answer() -> None:
    targets = [replace(CHANGING, server_id=f"server-{number:04}") for number in (1, 2)]
    books, turn = books_of(*targets)
    books.agenda.set_needs("server-0001", (ReadJobNeed("job-1", 0.0),))
    books.dirty.clear()
    assert reconcile.reconcile(books, turn, None) == [ReadJob("job-1", ("server-0001",))]
    books.agenda.set_needs("server-0002", (ReadJobNeed("job-1", 0.0),))
    assert reconcile.reconcile(books, turn, None) == []
    Judge(books).judge_facts(turn, [JobRead("job-1", ("server-0001",), Job("job-1", JobStatus.SUCCESS))])
    assert {turn.target(one.server_id).state for one in targets} == {S.VERIFYING}


@pytest.mark.parametrize("fact", [TracesRead(ID, NO_TRACES, moment(0)), TracesNotRead(ID)])
def test_traces_are_asked_for_once_at_a_time(fact: TracesRead | TracesNotRead) -> None:
    inspecting = a_target(state=S.INSPECTING, attempts=(an_attempt(unanswered=1),))
    books, turn = books_of(inspecting)
    ask = ReadTracesNeed(START, 0.0)
    for expected in ([ReadTraces(ID, ask)], []):
        books.dirty.clear()
        books.agenda.set_needs(ID, (ask,))
        assert reconcile.reconcile(books, turn, None) == expected
    Judge(books).judge_facts(turn, [fact])
    books.dirty.clear()
    books.agenda.set_needs(ID, (ask,))
    assert reconcile.reconcile(books, turn, None) == [ReadTraces(ID, ask)]


@pytest.mark.parametrize(("asked_s", "counts"), [(-400.0, False), (-1.0, False), (0.0, True), (30.0, True)])
def test_what_a_log_said_before_the_looks_began_does_not_count(asked_s: float, counts: bool) -> None:
    """Its answer may be long in coming, and the looks may have been broken off and begun anew meanwhile."""
    books, turn = books_of(a_target(state=S.INSPECTING, attempts=(an_attempt(unanswered=1),)))
    books.evaluate(turn, ID)
    books.add_observation(turn, ID, Observation(STOPPED, moment(0), moment(0), single=True))
    Judge(books).judge_facts(turn, [TracesRead(ID, Traces(("something",)), moment(asked_s))])
    sighting = books.observations_of(ID)
    assert sighting is not None
    assert sighting.traces == (Traces(("something",)) if counts else None)
    assert ID in books.dirty


def test_a_server_that_reads_say_nothing_of_is_asked_less_and_less_often() -> None:
    books, turn = books_of(a_target(state=S.CHECKING))
    looks: list[Need] = []
    for _ in range(9):
        looks += books.evaluate(turn, ID)
        books.add_missed_read(ID)
    pauses = (0, 1, 2, 4, 8, 16, 32, 60, 60)
    assert looks == [ReadServerNeed(moment(pause).elapsed_s, single=pause > 0) for pause in pauses]


def test_a_turn_that_the_law_refuses_is_unchanged() -> None:
    turn = Turn(Progress(a_run(), [CHANGING]), START)
    with pytest.raises(IllegalMove):
        turn.write_event(Moved(ID, S.READY))
    with pytest.raises(IllegalMove):
        turn.write_event(RunMoved(RunState.RUNNING))
    assert (turn.events, turn.changed, turn.slots_taken, turn.run) == ([], {}, 1, a_run())


def test_a_turn_counts_as_the_progress_will() -> None:
    progress = Progress(a_run(), [a_target(1), a_target(2), a_target(3)])
    turn = Turn(progress, START)
    turn.write_event(Moved("server-0001", S.CHECKING))
    turn.write_event(Moved("server-0001", S.HELD, Reason.STILL_CHANGING))
    turn.write_event(Moved("server-0002", S.CHECKING))
    turn.write_event(Moved("server-0003", S.INSPECTING))
    assert (turn.slots_taken, turn.ahead, turn.under_way, turn.overdue) == (1, 1, 2, 1)
    assert (progress.slots_taken, progress.ahead, progress.overdue) == (0, 0, 0)
    progress.update_targets(turn.run, turn.changed.values())
    assert (progress.slots_taken, progress.ahead, progress.overdue) == (1, 1, 1)


# --- sightings -----------------------------------------------------------------------------------------------


def test_a_look_that_was_asked_for_before_the_move_does_not_count() -> None:
    sighting = TargetObservations(moment(10), moment(10))
    assert sighting.with_observation(S.CHECKING, sight(9, RUNNING)).series is None
    assert sighting.with_observation(S.CHECKING, sight(10, RUNNING)).series is not None


def test_list_pages_are_no_evidence_for_an_unknown_outcome() -> None:
    swept = replace(sight(10, STOPPED), single=False)
    assert TargetObservations(moment(0), moment(0)).with_observation(S.INSPECTING, swept).series is None
    assert TargetObservations(moment(0), moment(0)).with_observation(S.STOPPING, swept).series is not None


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        (S.CHECKING, S.READY, True),
        (S.CHECKING, S.STOPPING, True),
        (S.STOPPING, S.READY, True),
        (S.INSPECTING, S.READY, True),
        (S.INSPECTING, S.VERIFYING, True),
        (S.SUBMITTING, S.READY, False),
        (S.SUBMITTING, S.INSPECTING, False),
        (S.CHANGING, S.INSPECTING, False),
        (S.INSPECTING, S.CHANGING, False),
        (S.READY, S.CHECKING, False),
    ],
)
def test_what_was_seen_counts_only_where_it_caused_the_move(
    before: TargetState, after: TargetState, counts: bool
) -> None:
    sighting = TargetObservations(moment(0), moment(0)).with_observation(before, sight(5, STOPPED))
    moved = sighting.after_event(a_target(state=before), a_target(state=after), Moved(ID, after), moment(6))
    assert (moved.series is not None) == counts
    assert moved.entered_at == moment(6)


def test_the_end_of_a_job_or_a_stop_asks_for_fresh_looks() -> None:
    sighting = TargetObservations(moment(0), moment(0)).with_observation(S.CHANGING, sight(5, REBUILD))
    failed = JobEnded(ID, 1, "job-1", JobStatus.FAIL)
    assert sighting.after_event(CHANGING, CHANGING, failed, moment(6)) == TargetObservations(moment(6), moment(6))
    verifying = replace(CHANGING, state=S.VERIFYING)
    ended = JobEnded(ID, 1, "job-1", JobStatus.SUCCESS)
    assert sighting.after_event(CHANGING, verifying, ended, moment(6)).series is None
    stopping = a_target(state=S.STOPPING)
    for outcome in PowerOutcome:
        answered = sighting.after_event(stopping, stopping, PowerAnswered(ID, "call-1", outcome), moment(6))
        assert (answered.series is None) == (outcome not in (PowerOutcome.PENDING, PowerOutcome.ACCEPTED))
        assert answered.entered_at == moment(0)


def test_only_a_change_that_was_seen_from_end_to_end_is_learned_from() -> None:
    ended = JobEnded(ID, 1, "job-1", JobStatus.SUCCESS)
    for later_s, event, longest_s in (
        (120.0, ended, 120.0),
        (120.0, replace(ended, status=JobStatus.FAIL), 0.0),
        (0.0, ended, 0.0),
    ):
        books, turn = books_of(CHANGING)
        # Where `later_s` is 0, this process came to it two minutes after it was accepted.
        books.begin_turn(replace(moment(later_s), wall=START + timedelta(seconds=120)))
        books.write_event(turn, event)
        assert books.changes.experience.longest_change_s == longest_s


def test_an_adopted_change_is_watched_anew() -> None:
    sighting = TargetObservations(moment(0), moment(0)).with_observation(S.INSPECTING, sight(5, REBUILD))
    inspecting = replace(CHANGING, state=S.INSPECTING)
    assert sighting.after_event(inspecting, CHANGING, ChangeAdopted(ID, 1), moment(6)) == TargetObservations(
        moment(6), moment(6)
    )


# --- health --------------------------------------------------------------------------------------------------


def test_the_cloud_is_unreachable_after_so_many_failures_over_so_long() -> None:
    health = CloudHealth()
    assert not any(health.record_failure(moment(number)) for number in range(UNREACHABLE_FAILURES * 3))
    assert health.record_failure(moment(UNREACHABLE_S))


def test_an_answer_begins_the_count_anew() -> None:
    health = CloudHealth()
    for number in range(UNREACHABLE_FAILURES):
        health.record_failure(moment(number))
    health.record_answer()
    assert not health.record_failure(moment(UNREACHABLE_S))
    assert not health.record_failure(moment(2 * UNREACHABLE_S))


def test_an_unreachable_cloud_pauses_the_run() -> None:
    books, turn = books_of(CHANGING)
    judge = Judge(books)
    for number in range(UNREACHABLE_FAILURES):
        books.begin_turn(moment(number * UNREACHABLE_S / (UNREACHABLE_FAILURES - 1)))
        judge.judge_facts(turn, [ServersNotRead((ID,)), CloudNotReached("no route to host")])
    assert (turn.run.state, turn.run.reason, turn.run.detail) == (
        RunState.PAUSED,
        Reason.UNREACHABLE,
        "no route to host",
    )


# --- the last check ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "leaves"),
    [
        pytest.param(moment(INTENT_MAX_AGE_S), True, id="young"),
        pytest.param(moment(INTENT_MAX_AGE_S + 0.1), False, id="old"),
        pytest.param(replace(moment(0), elapsed_s=1000.0 + 6), False, id="slept-though-the-wall-clock-stood"),
        pytest.param(replace(moment(0), wall=START + timedelta(seconds=6)), False, id="wall-clock-went-on"),
        pytest.param(replace(moment(1), wall=START - timedelta(seconds=1)), False, id="wall-clock-went-back"),
    ],
)
async def test_an_old_intent_is_not_sent(later: Moment, leaves: bool) -> None:
    harness, clock = EngineHarness(picture=STOPPED), ManualClock()
    harness.cloud = SmallCloud([ID], STOPPED)
    facts: list[Fact] = []
    performer = Performer(harness.cloud, clock, lambda _write, _now: None, facts.append)
    permit = harness.cloud.permit()
    assert permit is not None
    clock.wall, clock.elapsed_s = later.wall, later.elapsed_s
    action = SubmitChange(
        ID, 1, a_target().order, stop_first=False, intended=moment(0), permit=permit, secrets=Secrets()
    )
    await performer.perform(action)
    (fact,) = facts
    assert isinstance(fact, ChangeReplied)
    assert isinstance(fact.reply, Delivered if leaves else Undelivered)
    assert len(harness.cloud.sent) == leaves


async def facts_of(harness: EngineHarness, read: DueRead) -> list[Fact]:
    """Return what a performer delivers of a read."""
    facts: list[Fact] = []
    await Performer(harness.cloud, ManualClock(), lambda _write, _now: None, facts.append).read(read)
    return facts


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        (AuthenticationFailed("401"), [ServersNotRead, Refused]),
        (PermissionDenied("403"), [ServersNotRead, Refused]),
        (CloudUnreachable("refused"), [ServersNotRead, CloudNotReached]),
        (AnswerLost("reset"), [ServersNotRead, CloudNotReached]),
        (CloudError("500"), [ServersNotRead]),
    ],
)
async def test_a_read_that_fails_says_so(error: CloudError, kinds: Sequence[type]) -> None:
    harness = EngineHarness()
    harness.cloud.read_error = error
    assert [type(fact) for fact in await facts_of(harness, ReadServer(ID))] == kinds
    assert [type(fact) for fact in await facts_of(harness, Sweep((ID,)))] == kinds
    job = await facts_of(harness, ReadJob("job-1", (ID,)))
    assert [type(fact) for fact in job] == [JobNotRead, *kinds[1:]]
    traces = await facts_of(harness, ReadTraces(ID, ReadTracesNeed(START, 0.0)))
    if isinstance(error, PermissionDenied):
        assert [(type(fact), getattr(fact, "traces", None)) for fact in traces] == [(TracesRead, NO_TRACES)]
    else:
        assert [type(fact) for fact in traces] == [TracesNotRead, *kinds[1:]]


async def test_a_sweep_tells_what_it_saw_and_what_not() -> None:
    harness = EngineHarness(2)
    harness.cloud.hidden = {"server-0002"}
    facts = await facts_of(harness, Sweep((ID, "server-0002")))
    assert [type(fact) for fact in facts] == [ServerRead, ServersNotRead]
    assert facts[1] == ServersNotRead(("server-0002",))


def test_needs_are_of_few_kinds() -> None:
    """The agenda sorts by time and never compares needs."""
    agenda = Agenda()
    needs: tuple[Need, ...] = (ReadServerNeed(5), Wait(5), ReadJobNeed("job-1", 5), ReadTracesNeed(START, 5))
    agenda.set_needs("a", needs)
    assert [need for _, need in agenda.take_due(5, 0)] == list(needs)
