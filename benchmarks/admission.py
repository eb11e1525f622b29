"""Passes of admission over a large fleet: a window that opens, and the passes after it, beside a plain loop."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from benchmarks.report import Section, Table, say
from fleetos.model.run import Target
from fleetos.model.states import TargetState
from fleetos.model.steering.rollout import GroupRule, Steering
from fleetos.model.steering.share import Share
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import Windows
from fleetos.rules.admission.lanes import Lanes
from fleetos.rules.admission.pass_facts import Point, Standing
from fleetos.rules.admission.why_not import why_not
from fleetos.rules.groups import Groups, Look
from fleetos.rules.windows import Window
from tests.support.builders import RUNNING, SETTINGS, START, a_run, a_target

SERVERS, QUICK_SERVERS = 100_000, 1_000
ZONES, CONCURRENCY, PASSES = 3, 20, 50
# No more of a zone than this may be out, so that one zone fills up while the others go on.
ZONE_LIMIT = 7
OPENS_AT = START + timedelta(hours=1)
WINDOWS = (Window.of([Times.of([(OPENS_AT, OPENS_AT + timedelta(hours=7))])]),)


def admission(servers: int | None, *, quick: bool) -> Section:
    """Measure the passes before, at and after the opening of a window for that many servers."""
    number = servers or (QUICK_SERVERS if quick else SERVERS)
    rows: list[list[str]] = []
    data: dict[str, dict[str, float]] = {}
    for labels in ("zones", "zones and pairs"):
        say(f"admission: {number:,} servers in {labels}")
        milliseconds = _measure(number, paired="pairs" in labels)
        data[labels] = milliseconds
        rows.append([labels, *(f"{value:,.2f}" for value in milliseconds.values())])
    head = ("groups", *next(iter(data.values())))
    table = Table(f"Admission, {number:,} servers that wait, milliseconds a pass", head, rows, (_NOTE,))
    return Section("admission", [table], {"servers": number, "milliseconds": data})


_NOTE = (
    f"Closed: nobody may start. Opening: the first {CONCURRENCY} do. After: one ends and another starts, mean of "
    f"{PASSES} passes. Plain loop: every target is asked, as the index does not."
)


def _measure(number: int, *, paired: bool) -> dict[str, float]:
    targets = {target.server_id: target for target in (_target(index, paired=paired) for index in range(number))}
    rules = [GroupRule("az", Share(ZONE_LIMIT)), *([GroupRule("label:pair", Share(1))] if paired else [])]
    groups = Groups.of(rules, targets.values())
    for target in targets.values():
        groups.update(target, Look(RUNNING, OPENS_AT))
    lanes = Lanes()
    closed = _standing(groups, 0, opened=False)
    build_ms = _timed(lambda: [lanes.add_target(target, closed) for target in targets.values()])
    closed_ms = _timed(lambda: lanes.admit(targets.__getitem__, closed))
    started: list[Target] = []
    opening_ms = _timed(lambda: started.extend(lanes.admit(targets.__getitem__, _standing(groups, 0, opened=True))))
    after_ms = 0.0
    for _ in range(PASSES):
        groups.update(replace(started.pop(0), state=TargetState.DONE), Look(RUNNING, OPENS_AT))
        taken = len(started)
        after_ms += _timed(
            lambda taken=taken: started.extend(lanes.admit(targets.__getitem__, _standing(groups, taken, opened=True)))
        )
    loop_ms = _timed(lambda: [why_not(target, closed, Point.ADMIT) for target in targets.values()])
    return {
        "build": build_ms,
        "closed": closed_ms,
        "opening": opening_ms,
        "after": after_ms / PASSES,
        "plain loop": loop_ms,
    }


def _target(index: int, *, paired: bool) -> Target:
    labels = {"pair": f"p{index // 2}"} if paired else {}
    return a_target(index, az=f"az-{index % ZONES}", labels=labels, server_id=f"server-{index:06}")


def _standing(groups: Groups, taken: int, *, opened: bool) -> Standing:
    return Standing(
        a_run(settings=replace(SETTINGS, concurrency=CONCURRENCY)),
        OPENS_AT if opened else START,
        Steering(windows=Windows()),
        windows=WINDOWS,
        groups=groups,
        places=CONCURRENCY - taken,
        free=CONCURRENCY - taken,
    )


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000
