"""What is of interest is kept in order, and the estimate follows the pace."""

from fleetos.model.journal.events import Moved, Retried, RunPassStarted
from fleetos.model.states import Reason, TargetState
from fleetos.views.terminal.highlights import Highlights, changed_ids
from tests.unit.views.run_history import RunHistory, server_id


def begun(count: int) -> tuple[RunHistory, Highlights]:
    history = RunHistory.of(count)
    watch = Highlights(history.progress, history.now)
    watch.update(history.begin(), history.now)
    return history, watch


def test_moving_targets_come_longest_first_and_move_to_the_end_with_each_state() -> None:
    history, watch = begun(3)
    for number in (2, 0, 1):
        watch.update(history.wait(1).stop(number), history.now)
    assert [one.position for one in watch.moving(9)] == [2, 0, 1]
    watch.update(history.wait(1).happen(Moved(server_id(2), TargetState.READY)), history.now)
    assert [one.position for one in watch.moving(2)] == [0, 1]
    assert watch.sizes == (0, 0, 3)


def test_the_newest_trouble_comes_first() -> None:
    history, watch = begun(3)
    for number in range(3):
        watch.update([*history.wait(1).submit(number), *history.fail(number)], history.now)
    assert [one.position for one in watch.troubled(2)] == [2, 1]


def test_a_retried_target_is_no_trouble_any_more() -> None:
    history, watch = begun(1)
    watch.update([*history.submit(0), *history.fail(0)], history.now)
    watch.update(history.happen(RunPassStarted(2), Retried(server_id(0), "disk-old")), history.now)
    assert watch.sizes == (0, 0, 0)


def test_a_watch_that_comes_late_sees_the_same() -> None:
    history, watch = begun(20)
    for number in range(15):
        watch.update(history.wait(1).submit(number), history.now)
    for number in range(5):
        watch.update(history.wait(1).fail(number), history.now)
    for number in range(5, 9):
        watch.update(history.wait(1).fail(number, TargetState.BACKOFF), history.now)
    late = Highlights(history.progress, history.now)
    for group in ("troubled", "doubtful", "moving"):
        assert getattr(late, group)(50) == getattr(watch, group)(50)
    assert late.sizes == watch.sizes == (5, 4, 6)


def test_too_few_changes_tell_nothing() -> None:
    history, watch = begun(10)
    for number in range(2):
        watch.update([*history.wait(60).submit(number), *history.succeed(number)], history.now)
    assert watch.remaining_s(history.now) is None


def test_the_estimate_follows_the_pace_and_counts_down_between_ends() -> None:
    history, watch = begun(10)
    for number in range(4):
        watch.update([*history.wait(60).submit(number), *history.succeed(number)], history.now)
    assert watch.remaining_s(history.now) == 360
    assert watch.remaining_s(history.wait(59).now) == 301
    assert watch.remaining_s(history.wait(9_999).now) == 0


def test_what_is_skipped_does_not_make_the_pace_look_faster() -> None:
    history, watch = begun(100)
    skipped = [Moved(server_id(n), TargetState.SKIPPED, reason=Reason.ALREADY_ON_IMAGE) for n in range(50, 100)]
    watch.update(history.happen(*skipped), history.now)
    for number in range(5):
        watch.update([*history.wait(10).submit(number), *history.succeed(number)], history.now)
    assert watch.remaining_s(history.now) == 450


def test_changed_ids_are_each_once() -> None:
    history = RunHistory.of(2)
    assert list(changed_ids([*history.begin(), *history.submit(1)])) == [server_id(0), server_id(1)]
