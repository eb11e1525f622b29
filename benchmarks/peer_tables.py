"""What was measured of each client, and the tables that lay it side by side, as ratios to fleetos."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arithmetic import median
from benchmarks.clients.ways import FLEETOS, Way
from benchmarks.headline import SLOT_USE
from benchmarks.report import Table, number, percent


@dataclass(frozen=True, slots=True)
class Rollout:
    """What one undisturbed rollout took. `trouble`: why it does not count as the whole job, empty if it does."""

    calls: float
    slot_use: float
    cpu_ms: float
    rss_mib: float
    pss_mib: float
    wall_s: float
    busy: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What became of the fleet after a kill in the middle and a second start."""

    changed_twice: int
    lost: int
    left_changing: int
    exit_code: int | None
    again_s: float
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """All runs of one client; none if it cannot be started here."""

    way: Way
    rollouts: Sequence[Rollout]
    aftermaths: Mapping[str, Sequence[Aftermath]]


_COSTS: Sequence[tuple[str, Callable[[Rollout], float], int]] = (
    ("calls/server", lambda one: one.calls, 1),
    ("client CPU ms/server", lambda one: one.cpu_ms, 1),
    ("peak RSS MiB", lambda one: one.rss_mib, 0),
    ("peak PSS MiB", lambda one: one.pss_mib, 0),
    ("wall s", lambda one: one.wall_s, 1),
)


def cost_table(records: Sequence[Record], about: str) -> Table:
    """What an undisturbed rollout costs with each client: medians, and how many times that of fleetos."""
    ours = next((record for record in records if record.way is FLEETOS), None)
    rows: list[list[str]] = []
    notes: list[str] = []
    for record in records:
        whole = [one for one in record.rollouts if not one.trouble]
        notes += _troubles(record)
        cells = [_cost(whole, ours, take, digits) for _, take, digits in _COSTS]
        use = percent(median(one.slot_use for one in whole)) if whole else "-"
        busy = any(one.busy for one in whole)
        rows.append([f"{record.way.name}{' *' if busy else ''}", cells[0], use, *cells[1:]])
        if busy:
            notes.append(
                f"* {record.way.name} took most of this machine's CPU time. At this scale the machine sets its pace, "
                "not its polling: in real time its calls are more and its use of the slots is better."
            )
    head = ["", "calls/server", "slot use", *(name for name, _, _ in _COSTS[1:])]
    return Table(f"Side by side: {about}", head, rows, [*notes, SLOT_USE, *_COST_NOTES])


_COST_NOTES = (
    "In parentheses: how many times that of fleetos.",
    "RSS counts a page once for each process of the client that has it, PSS once in all.",
    "The time that a client itself takes is not scaled, and so weighs as much more as the scale says.",
)


def _cost(whole: Sequence[Rollout], ours: Record | None, take: Callable[[Rollout], float], digits: int) -> str:
    if not whole:
        return "-"
    value = median(map(take, whole))
    base = median(take(one) for one in ours.rollouts if not one.trouble) if ours is not None else math.nan
    return f"{number(value, digits)} ({number(value / base, 2)}x)"


def _troubles(record: Record) -> list[str]:
    name = record.way.name
    if record.way.missing is not None:
        return [f"{name} was not measured: {record.way.missing}."]
    troubles = [one.trouble for one in record.rollouts if one.trouble]
    return [f"{name} failed in {len(troubles)} of {len(record.rollouts)} runs: {troubles[0]}."] if troubles else []


_HARM: Sequence[Callable[[Aftermath], int]] = (
    lambda one: one.changed_twice,
    lambda one: one.lost,
    lambda one: one.left_changing,
)


def kill_table(records: Sequence[Record], about: str) -> Table:
    """What each client leaves behind when it is killed half-way and started once more: the sums of all runs."""
    rows: list[list[str]] = []
    notes: list[str] = []
    for record in records:
        for weather, aftermaths in record.aftermaths.items():
            whole = [one for one in aftermaths if not one.trouble]
            notes += [f"{record.way.name}, {weather}: {one.trouble}." for one in aftermaths if one.trouble]
            codes = sorted({str(one.exit_code) for one in whole})
            harm = [str(sum(take(one) for one in whole)) if whole else "-" for take in _HARM]
            again = number(median(one.again_s for one in whole))
            rows.append([record.way.name, weather, *harm, ", ".join(codes) or "-", again])
    head = ("", "world", "changed twice", "lost", "left changing", "exit code", "second start, s")
    title = f"Killed with -9 when half of the changes were accepted, then started again: {about}"
    return Table(title, head, rows, [*notes, *_KILL_NOTES])


_KILL_NOTES = (
    (
        "Changed twice: servers whose new disk, made by a successful change, was wiped by another one. Lost: servers "
        "that have no successful change, or do not run, when the second start has ended and nothing is under "
        "way any more. Left changing: servers whose change was still under way, and followed by nobody, when it ended. "
        "All three are sums over all runs."
    ),
    (
        "In the world that is not kind, 2 % of the answers to stops, changes and reads are lost, 5 % of the changes "
        "fail and leave the old disk, and a changed server shows its old image for 30 s more (scaled as everything)."
    ),
)
