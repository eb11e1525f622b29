"""The picture of a run, as a person sees it on terminals of many sizes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from fleetos.model.journal.events import Moved, RunMoved
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.views.terminal.frame import Spent, frame
from fleetos.views.terminal.highlights import Highlights
from tests.hostile.chance import EXAMPLES_FACTOR
from tests.unit.views.stage import Stage, a_run, server_id, target
from tests.unit.views.text.test_format import HOSTILE

SPENT = Spent(190, {"sweep": 1_000, "change": 234})


def busy() -> tuple[Stage, Highlights]:
    """Sixty servers: twenty done, two held, one in backoff, seven changing, the others waiting."""
    stage = Stage.of(60)
    watch = Highlights(stage.progress, stage.now)
    watch.update(stage.begin(), stage.now)
    for number in range(30):
        watch.update(stage.wait(3).submit(number), stage.now)
    stage.wait(100)
    for number in range(20):
        watch.update(stage.wait(1).succeed(number), stage.now)
    watch.update(stage.fail(20), stage.now)
    watch.update(stage.fail(21, TargetState.BACKOFF), stage.now)
    watch.update(stage.happen(Moved(server_id(40), TargetState.HELD, reason=Reason.LOCKED)), stage.now)
    watch.update(stage.happen(Moved(server_id(41), TargetState.CHECKING)), stage.now)
    return stage, watch


def seen(watch: Highlights, stage: Stage, width: int, height: int) -> list[str]:
    return frame(watch, SPENT, stage.now, width, height).plain.split("\n")


def test_on_80_columns() -> None:
    stage, watch = busy()
    assert seen(watch, stage, 80, 14) == [
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
    stage, watch = busy()
    assert seen(watch, stage, 40, 10) == [
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
    stage, watch = busy()
    text = "\n".join(seen(watch, stage, 200, 60))
    assert "…" not in text
    assert "web-20 held           0s  Ecs.0202, creating the system disk failed; attempts used up" in text
    assert "web-21 backoff        0s  retry in 30s; Ecs.0202, creating the system disk failed" in text
    assert "and " not in text
    assert text.count("changing") == 9


def test_one_server() -> None:
    stage = Stage.of(1)
    watch = Highlights(stage.progress, stage.now)
    watch.update([*stage.begin(), *stage.submit(0)], stage.now)
    stage.wait(65)
    assert seen(watch, stage, 80, 24)[1:] == [
        "[------------------------------------------------------------]   0 % 0/1",
        "changing 1",
        "in flight 1/40  API calls 1,234",
        "web-00 changing    1m05s  job ff80808288d4",
    ]


def test_a_paused_run_says_why() -> None:
    stage, watch = busy()
    watch.update(stage.happen(RunMoved(RunState.PAUSED, Reason.UNREACHABLE)), stage.now)
    lines = seen(watch, stage, 80, 24)
    assert lines[0] == "web-tier-debian-12  2b7c0m1x4q  paused: cloud unreachable  3m10s"
    assert "left" not in lines[3], "nobody knows how long a pause lasts"


def test_all_failed_leaves_room_for_those_that_move() -> None:
    stage = Stage.of(60)
    watch = Highlights(stage.progress, stage.now)
    watch.update(stage.begin(), stage.now)
    for number in range(50):
        watch.update([*stage.submit(number), *stage.fail(number)], stage.now)
    for number in range(50, 58):
        watch.update(stage.submit(number), stage.now)
    lines = seen(watch, stage, 80, 20)
    assert sum("held  " in line for line in lines[4:]) == 10
    assert sum("changing" in line for line in lines[4:]) == 4
    assert lines[-1] == "and 40 failed or held, 4 moving"


def test_each_count_has_its_own_colour() -> None:
    stage, watch = busy()
    picture = frame(watch, SPENT, stage.now, 80, 14)
    styled = {picture.plain[span.start : span.end]: str(span.style) for span in picture.spans}
    assert styled["held 2"] == "bold magenta"
    assert styled["done 20"] == "green"
    assert not any(text.startswith("held 2 ") for text in styled)


def test_a_hostile_name_cannot_break_the_screen() -> None:
    stage = Stage([target(0, HOSTILE), target(1, "[bold red]x[/]"), target(2, "ウ" * 50)], a_run(name=HOSTILE))
    watch = Highlights(stage.progress, stage.now)
    for number in range(3):
        watch.update(stage.submit(number), stage.now)
    for width in (20, 40, 80, 200):
        lines = seen(watch, stage, width, 24)
        assert all(line.isprintable() for line in lines)
        assert all(cell_len(line) <= width for line in lines)
    assert any("[bold red]x[/]" in line for line in seen(watch, stage, 200, 24))


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
    stage = Stage([replace(target(number), name=f"{name}{number}") for number in range(count)], a_run(name=name or "x"))
    watch = Highlights(stage.progress, stage.now)
    for number in range(count):
        fate = data.draw(st.sampled_from(["wait", "submit", "succeed", "fail", "backoff"])) if count < 20 else "fail"
        if fate != "wait":
            watch.update(stage.wait(1).submit(number), stage.now)
        if fate == "succeed":
            watch.update(stage.succeed(number), stage.now)
        if fate in {"fail", "backoff"}:
            to = TargetState.HELD if fate == "fail" else TargetState.BACKOFF
            watch.update(stage.fail(number, to), stage.now)
    lines = seen(watch, stage, width, height)
    assert len(lines) <= max(1, height - 1)
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("ended", [0, 9_999, 10_000])
def test_the_bar_is_full_only_at_the_end(ended: int) -> None:
    stage = Stage.of(10_000)
    moves = [Moved(server_id(number), TargetState.CANCELLED) for number in range(ended)]
    watch = Highlights(stage.progress, stage.now)
    watch.update(stage.happen(*moves), stage.now)
    bar = seen(watch, stage, 80, 24)[1]
    assert (" 100 % " in bar) == (ended == 10_000)
    assert ("-]" not in bar) == (ended == 10_000)
