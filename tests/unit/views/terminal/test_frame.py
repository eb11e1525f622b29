"""The picture of a run, as a person sees it on terminals of many sizes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from fleetos.model.journal.events import Moved, RunMoved
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import Approval, BetweenWaves
from fleetos.views.terminal.frame import Spent, frame
from fleetos.views.terminal.highlights import Highlights
from fleetos.views.text.rollout_words import rollout_lines
from tests.support.seeded_examples import EXAMPLES_FACTOR
from tests.unit.views.run_history import RunHistory, between_waves, server_id, target, web_tier_run
from tests.unit.views.steered import facts
from tests.unit.views.text.test_format import HOSTILE

SPENT = Spent(190, {"sweep": 1_000, "change": 234})


def busy() -> tuple[RunHistory, Highlights]:
    """Sixty servers: twenty done, two held, one in backoff, seven changing, the others waiting."""
    history = RunHistory.of(60)
    watch = Highlights(history.progress, history.now)
    watch.update(history.begin(), history.now)
    for number in range(30):
        watch.update(history.wait(3).submit(number), history.now)
    history.wait(100)
    for number in range(20):
        watch.update(history.wait(1).succeed(number), history.now)
    watch.update(history.fail(20), history.now)
    watch.update(history.fail(21, TargetState.BACKOFF), history.now)
    watch.update(history.happen(Moved(server_id(40), TargetState.HELD, reason=Reason.LOCKED)), history.now)
    watch.update(history.happen(Moved(server_id(41), TargetState.CHECKING)), history.now)
    return history, watch


def seen(watch: Highlights, history: RunHistory, width: int, height: int) -> list[str]:
    return frame(watch, SPENT, history.now, width, height).plain.split("\n")


def test_on_80_columns() -> None:
    history, watch = busy()
    assert seen(watch, history, 80, 14) == [
        "web-tier-debian-12  2b7c0m1x4q  running  3m10s",
        "[######################--------------------------------------]  36 % 22/60",
        "held 2  done 20  checking 1  changing 8  backoff 1  waiting 28",
        "in flight 8/40  about 6m20s left  API calls 1,234",
        "web-40 held           0s  locked",
        "web-20 held           0s  Ecs.0202, creating the system disk failed; attempts u…",
        "web-21 backoff        0s  retry in 30s; Ecs.0202, creating the system disk fail…",
        "web-22 changing    2m21s  job ff80808288d4",
        "web-23 changing    2m18s  job ff80808288d4",
        "web-24 changing    2m15s  job ff80808288d4",
        "web-25 changing    2m12s  job ff80808288d4",
        "web-26 changing    2m09s  job ff80808288d4",
        "and 4 moving",
    ]


def test_on_40_columns_and_10_rows() -> None:
    history, watch = busy()
    assert seen(watch, history, 40, 10) == [
        "web-tier-debian-12  running  3m10s",
        "[#########-----------------]  36 % 22/60",
        "held 2  done 20  checking 1  changing 8",
        "backoff 1  waiting 28",
        "in flight 8/40  about 6m20s left",
        "web-40 held       locked",
        "web-20 held       Ecs.0202, creating th…",
        "web-21 backoff    retry in 30s; Ecs.020…",
        "and 9 moving",
    ]


def test_on_200_columns_nothing_is_cut() -> None:
    history, watch = busy()
    text = "\n".join(seen(watch, history, 200, 60))
    assert "…" not in text
    assert "web-20 held           0s  Ecs.0202, creating the system disk failed; attempts used up" in text
    assert "web-21 backoff        0s  retry in 30s; Ecs.0202, creating the system disk failed" in text
    assert "and " not in text
    assert text.count("changing") == 9


def test_one_server() -> None:
    history = RunHistory.of(1)
    watch = Highlights(history.progress, history.now)
    watch.update([*history.begin(), *history.submit(0)], history.now)
    history.wait(65)
    assert seen(watch, history, 80, 24)[1:] == [
        "[------------------------------------------------------------]   0 % 0/1",
        "changing 1",
        "in flight 1/40  API calls 1,234",
        "web-00 changing    1m05s  job ff80808288d4",
    ]


def test_a_paused_run_says_why() -> None:
    history, watch = busy()
    watch.update(history.happen(RunMoved(RunState.PAUSED, Reason.UNREACHABLE)), history.now)
    lines = seen(watch, history, 80, 24)
    assert lines[0] == "web-tier-debian-12  2b7c0m1x4q  paused: cloud unreachable  3m10s"
    assert "left" not in lines[3], "nobody knows how long a pause lasts"


def test_all_failed_leaves_room_for_those_that_move() -> None:
    history = RunHistory.of(60)
    watch = Highlights(history.progress, history.now)
    watch.update(history.begin(), history.now)
    for number in range(50):
        watch.update([*history.submit(number), *history.fail(number)], history.now)
    for number in range(50, 58):
        watch.update(history.submit(number), history.now)
    lines = seen(watch, history, 80, 20)
    assert sum("held  " in line for line in lines[4:]) == 10
    assert sum("changing" in line for line in lines[4:]) == 4
    assert lines[-1] == "and 40 failed or held, 4 moving"


def test_each_count_has_its_own_colour() -> None:
    history, watch = busy()
    picture = frame(watch, SPENT, history.now, 80, 14)
    styled = {picture.plain[span.start : span.end]: str(span.style) for span in picture.spans}
    assert styled["held 2"] == "bold magenta"
    assert styled["done 20"] == "green"
    assert not any(text.startswith("held 2 ") for text in styled)


def test_a_hostile_name_cannot_break_the_screen() -> None:
    history = RunHistory(
        [target(0, HOSTILE), target(1, "[bold red]x[/]"), target(2, "ウ" * 50)], web_tier_run(name=HOSTILE)
    )
    watch = Highlights(history.progress, history.now)
    for number in range(3):
        watch.update(history.submit(number), history.now)
    for width in (20, 40, 80, 200):
        lines = seen(watch, history, width, 24)
        assert all(line.isprintable() for line in lines)
        assert all(cell_len(line) <= width for line in lines)
    assert any("[bold red]x[/]" in line for line in seen(watch, history, 200, 24))


@given(
    width=st.integers(1, 220),
    height=st.integers(1, 70),
    count=st.sampled_from([1, 2, 13, 40]),
    name=st.text(max_size=40),
    data=st.data(),
)
@settings(max_examples=12 * EXAMPLES_FACTOR, deadline=None)
def test_never_wider_nor_higher_than_the_terminal(
    width: int, height: int, count: int, name: str, data: st.DataObject
) -> None:
    history = RunHistory(
        [replace(target(number), name=f"{name}{number}") for number in range(count)], web_tier_run(name=name or "x")
    )
    watch = Highlights(history.progress, history.now)
    for number in range(count):
        fate = data.draw(st.sampled_from(["wait", "submit", "succeed", "fail", "backoff"])) if count < 20 else "fail"
        if fate != "wait":
            watch.update(history.wait(1).submit(number), history.now)
        if fate == "succeed":
            watch.update(history.succeed(number), history.now)
        if fate in {"fail", "backoff"}:
            to = TargetState.HELD if fate == "fail" else TargetState.BACKOFF
            watch.update(history.fail(number, to), history.now)
    lines = seen(watch, history, width, height)
    assert len(lines) <= max(1, height - 1)
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("ended", [0, 9_999, 10_000])
def test_the_bar_is_full_only_at_the_end(ended: int) -> None:
    history = RunHistory.of(10_000)
    moves = [Moved(server_id(number), TargetState.CANCELLED) for number in range(ended)]
    watch = Highlights(history.progress, history.now)
    watch.update(history.happen(*moves), history.now)
    bar = seen(watch, history, 80, 24)[1]
    assert (" 100 % " in bar) == (ended == 10_000)
    assert ("-]" not in bar) == (ended == 10_000)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (20, 4)])
def test_a_run_between_two_waves_says_what_it_waits_for(width: int, height: int) -> None:
    history = between_waves(BetweenWaves(approval=Approval("other")))
    rollout = rollout_lines(facts(history))
    drawn = frame(Highlights(history.progress, history.now), SPENT, history.now, width, height, rollout)
    lines = drawn.plain.split("\n")
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    if height > 20:
        words = "wave 2 waits for an approval by somebody other than anna: fleetos approve 2b7c0m1x4q --wave 2"
        assert words in " ".join(" ".join(lines).split())
