"""Who may start, and why the others may not."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.journal.events import Moved
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, HOLDS_SLOT, QUEUED, RunState, TargetState
from fleetos.rules.admission.journal_facts import standing_of
from fleetos.rules.admission.lanes import Lanes
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.admission.slots import Slots
from fleetos.rules.admission.stop_rate import StopRate
from fleetos.rules.admission.wait_reasons import WaitReason
from fleetos.rules.admission.why_not import choose_first_state, find_wait
from tests.support.builders import SETTINGS, START, a_run, a_target, an_attempt

S = TargetState


def lanes_of(targets: list[Target]) -> Lanes:
    lanes = Lanes()
    for target in targets:
        if target.state in QUEUED:
            lanes.add_target(target, Standing(a_run(), START))
    return lanes


def standing(progress: Progress, soon: float = 0.0) -> Standing:
    slots, concurrency = Slots(progress.slots_taken, progress.ahead, soon), progress.run.settings.concurrency
    return Standing(
        progress.run,
        START,
        places=slots.available(concurrency),
        free=concurrency - slots.taken,
        ahead=slots.ahead,
    )


def admitted(
    targets: list[Target], concurrency: int = 2, state: RunState = RunState.RUNNING, soon: float = 0.0
) -> list[Moved]:
    run = a_run(settings=replace(SETTINGS, concurrency=concurrency), state=state)
    progress = Progress(run, targets)
    started = lanes_of(targets).admit(progress.targets.__getitem__, standing(progress, soon))
    return [Moved(target.server_id, choose_first_state(target)) for target in started]


def test_the_first_in_plan_order_start_first() -> None:
    moves = admitted([a_target(3), a_target(1), a_target(2)])
    assert [move.server_id for move in moves] == ["server-0001", "server-0002"]
    assert all(move.to is S.CHECKING for move in moves)


def test_a_backoff_waits_for_its_time_and_keeps_no_slot_meanwhile() -> None:
    later = a_target(1, state=S.BACKOFF, not_before=START + timedelta(seconds=1), attempts=(an_attempt(),))
    assert [move.server_id for move in admitted([later, a_target(2)], concurrency=1)] == ["server-0002"]
    due = replace(later, not_before=START)
    assert [(move.server_id, move.to) for move in admitted([due], concurrency=1)] == [("server-0001", S.CHECKING)]


def test_a_retry_that_is_due_starts_before_all_who_were_never_tried() -> None:
    def retry(number: int, in_s: float) -> Target:
        not_before = START + timedelta(seconds=in_s)
        return a_target(number, state=S.BACKOFF, not_before=not_before, attempts=(an_attempt(),))

    tried = a_target(8, attempts=(an_attempt(),))
    targets = [a_target(1), a_target(2), tried, retry(6, -1), retry(7, -2), retry(5, 0.001)]
    order = ["server-0007", "server-0006", "server-0008", "server-0001", "server-0002"]
    assert [move.server_id for move in admitted(targets, concurrency=9)] == order
    assert lanes_of(targets).first_due(9, START) == order
    assert lanes_of(targets).first_due(3, START) == order[:3]


def test_a_retry_that_is_not_due_holds_nobody_up() -> None:
    due = START + timedelta(seconds=5)
    progress = Progress(a_run(), [a_target(1, state=S.BACKOFF, not_before=due), a_target(2)])
    lanes = lanes_of(list(progress.targets.values()))
    now = standing(progress)
    assert [target.position for target in lanes.admit(progress.targets.__getitem__, now)] == [2]
    assert lanes.next_pass_at() == due
    later = replace(now, now=due)
    assert [target.position for target in lanes.admit(progress.targets.__getitem__, later)] == [1]
    assert lanes.next_pass_at() is None


@pytest.mark.parametrize("state", sorted(set(RunState) - {RunState.RUNNING}))
def test_nothing_is_admitted_unless_the_run_runs(state: RunState) -> None:
    assert admitted([a_target(1)], state=state) == []


def test_whoever_waits_no_more_is_not_admitted() -> None:
    progress = Progress(a_run(), [a_target(1)])
    lanes = lanes_of([a_target(1)])
    lanes.discard("server-0001")
    assert lanes.admit(progress.targets.__getitem__, standing(progress)) == []
    assert lanes.next_pass_at() is None


@given(
    states=st.lists(st.sampled_from(TargetState), max_size=30),
    concurrency=st.integers(1, 8),
    waits=st.lists(st.integers(-5, 5), min_size=30, max_size=30),
)
def test_admission_never_exceeds_the_concurrency(states: list[TargetState], concurrency: int, waits: list[int]) -> None:
    targets = [
        a_target(number, state=state, not_before=START + timedelta(seconds=waits[number]) if waits[number] else None)
        for number, state in enumerate(states)
    ]
    moves = admitted(targets, concurrency)
    taken = sum(one.state in HOLDS_SLOT | AHEAD for one in targets)
    waiting = [one for one in targets if one.state in QUEUED and (one.not_before is None or one.not_before <= START)]
    assert len(moves) == max(0, min(concurrency - taken, len(waiting)))
    assert len({move.server_id for move in moves}) == len(moves)


def test_servers_on_their_way_to_a_slot_count_as_those_that_have_one() -> None:
    for state in sorted(AHEAD | HOLDS_SLOT):
        assert admitted([a_target(1), a_target(2, state=state), a_target(3, state=state)]) == []


@pytest.mark.parametrize(
    ("taken", "ahead", "soon", "places"),
    [
        pytest.param(0, 0, 0.0, 10, id="all-free"),
        pytest.param(10, 0, 0.0, 0, id="all-taken"),
        pytest.param(6, 4, 0.0, 0, id="all-on-their-way"),
        pytest.param(10, 0, 5.0, 5, id="five-free-soon"),
        pytest.param(10, 0, 0.9, 0, id="none-free-for-certain"),
        pytest.param(10, 2, 10.0, 0, id="too-few-to-stop-together"),
        pytest.param(10, 1, 10.0, 9, id="enough-to-stop-together"),
        pytest.param(9, 0, 5.0, 6, id="one-free-and-five-soon"),
        pytest.param(10, 9, 5.0, 0, id="more-on-their-way-than-free-soon"),
    ],
)
def test_as_many_are_made_ready_as_slots_will_be_free(taken: int, ahead: int, soon: float, places: int) -> None:
    assert Slots(taken, ahead, soon).available(10) == places


def test_no_more_are_stopped_than_changes_can_be_sent() -> None:
    full = StopRate().refill(100.0, 0.5, 20.0)
    assert full.available(ready=0) == 20
    some = full.take(12)
    assert (some.available(ready=0), some.retry_in_s(100.0, ready=0)) == (0, 4.0)
    later = some.refill(104.0, 0.5, 20.0)
    assert (later.available(ready=0), later.retry_in_s(104.0, ready=0)) == (10, 0.0)
    assert (later.available(ready=10), later.available(ready=11)) == (10, 0)
    assert later.retry_in_s(104.0, ready=11) == math.inf
    assert later.refill(1000.0, 0.5, 20.0).available(ready=0) == 20
    assert Slots(0, 0, stop_limit=later.available(ready=0)).available(100) == 10


def test_where_writes_have_no_pace_any_number_may_be_stopped() -> None:
    free = StopRate().refill(100.0, None, 20.0)
    assert (free.available(ready=1000), free.retry_in_s(100.0, ready=1000)) == (None, 0.0)
    assert Slots(0, 0, stop_limit=None).available(100) == 100


def test_however_slow_writes_are_somebody_is_stopped() -> None:
    slow = StopRate().refill(0.0, 0.001, 20.0)
    assert slow.available(ready=1) == 2
    assert slow.take(2).retry_in_s(0.0, ready=0) == 1000.0


def test_what_an_earlier_send_did_is_looked_into_in_a_slot_of_its_own() -> None:
    sent = a_target(1, attempts=(an_attempt(unanswered=1),))
    busy = [a_target(number, state=S.CHANGING) for number in (8, 9)]
    assert admitted([sent, a_target(2), *busy], soon=2.0) == []
    assert [move.to for move in admitted([sent, a_target(2), busy[0]], soon=1.0)] == [S.INSPECTING, S.CHECKING]
    twice = [sent, replace(sent, server_id="server-0002", position=2)]
    assert [move.server_id for move in admitted([*twice, busy[0]], soon=1.0)] == ["server-0001"]


@given(waits=st.lists(st.integers(-3, 3), max_size=30), number=st.integers(0, 35))
def test_the_first_in_the_queue_are_those_that_would_be_admitted_next(waits: list[int], number: int) -> None:
    targets = [a_target(one, not_before=START + timedelta(seconds=wait)) for one, wait in enumerate(waits)]
    first = lanes_of(targets).first_due(number, START)
    assert first == [move.server_id for move in admitted(targets, max(1, number))][:number]


@pytest.mark.parametrize(
    ("target", "run_state", "others", "reason"),
    [
        (a_target(1), RunState.PAUSED, 0, WaitReason.PAUSED),
        (a_target(1), RunState.FINISHING, 0, WaitReason.ABORTED),
        (a_target(1, state=S.BACKOFF, not_before=START + timedelta(hours=1)), RunState.RUNNING, 0, WaitReason.BACKOFF),
        (a_target(1), RunState.RUNNING, 5, WaitReason.CONCURRENCY),
        (a_target(1), RunState.RUNNING, 4, WaitReason.PACE),
        (a_target(1, state=S.CHANGING), RunState.RUNNING, 5, None),
        (a_target(1, state=S.READY), RunState.RUNNING, 5, WaitReason.CONCURRENCY),
        (a_target(1, state=S.READY), RunState.RUNNING, 4, WaitReason.PACE),
        (a_target(1, state=S.READY), RunState.PAUSED, 4, WaitReason.PAUSED),
        (a_target(1, state=S.READY), RunState.FINISHING, 5, None),
    ],
)
def test_every_wait_has_its_reason(target: Target, run_state: RunState, others: int, reason: WaitReason | None) -> None:
    busy = [a_target(number + 10, state=S.CHANGING) for number in range(others)]
    waiting = find_wait(target, standing_of(Progress(a_run(state=run_state), [target, *busy]), START))
    assert (waiting.reason if waiting else None) == reason
