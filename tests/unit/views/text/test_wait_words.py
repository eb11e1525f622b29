"""What a target waits for, in runs with and without a driver."""

from fleetos.model.journal.events import ChangeAnswered, ChangeIntended, Moved, RunDriverEnded, RunMoved
from fleetos.model.run import LeftBy
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.rules.admission.journal_facts import standing_of
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.rules.windows import OPEN, Window
from fleetos.views.text.run_condition import Driver
from fleetos.views.text.wait_words import waits_for
from tests.unit.views.run_history import STOPPED, RunHistory, server_id
from tests.unit.views.steered import ALIVE, CLOSED, EVERYTHING, HOUR, members, steered

R = WaitReason


def wait_of(history: RunHistory, lease: Driver | None, window: Window = OPEN, number: int = 0) -> Waiting | None:
    return waits_for(standing_of(history.progress, history.now, (window,)), history.one(number), lease)


def reason_of(history: RunHistory, lease: Driver | None, window: Window = OPEN, number: int = 0) -> R | None:
    waiting = wait_of(history, lease, window, number)
    return waiting and waiting.reason


def leave(history: RunHistory, why: LeftBy) -> None:
    history.happen(RunDriverEnded("host:1", why, "closed until 2026-03-01 17:00Z"))


def test_a_run_whose_driver_did_not_wait_waits_for_its_window_and_then_for_a_driver() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    assert reason_of(history, ALIVE, CLOSED) is R.WINDOW
    leave(history, LeftBy.WAIT)
    assert reason_of(history, None, CLOSED) is R.WINDOW
    assert reason_of(history, None, CLOSED, 1) is R.WAVE
    history.wait(5 * HOUR.total_seconds())
    assert reason_of(history, None, CLOSED) is R.NOT_DRIVEN


def test_a_run_that_was_interrupted_waits_for_a_driver() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    leave(history, LeftBy.SIGNAL)
    assert reason_of(history, None, CLOSED) is R.NOT_DRIVEN


def test_a_paused_run_says_by_whom() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    history.submit(1)
    history.happen(RunMoved(RunState.PAUSED, Reason.OPERATOR, "look", "anna"))
    for lease in (ALIVE, None):
        waiting = wait_of(history, lease)
        assert waiting == Waiting(R.PAUSED, "the run is paused (operator) by anna")
    assert reason_of(history, ALIVE, number=1) is None
    assert reason_of(history, None, number=1) is R.PAUSED


def test_whoever_was_turned_away_waits_for_the_time_at_which_it_is_sent_again() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.stop(0)
    later = history.now + HOUR
    history.happen(
        Moved(server_id(0), TargetState.READY),
        ChangeIntended(server_id(0), 1, STOPPED, later),
        ChangeAnswered(server_id(0), 1, TargetState.READY, "refused", code="Ecs.0010", not_before=later),
    )
    waiting = wait_of(history, ALIVE)
    assert waiting is not None
    assert (waiting.reason, waiting.ends_at) == (R.BACKOFF, later)
    history.wait(2 * HOUR.total_seconds())
    assert reason_of(history, ALIVE) is R.PACE
