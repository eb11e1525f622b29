"""What one seed proves: a world is played, with one death at every point if it is small, and every play is judged.

A result is small and can be sent between processes; a trace is neither, and stays where it was played.
"""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from types import TracebackType

from tests.simulation.checkers import CHECKERS, broken, check
from tests.simulation.run_trace import RunTrace, Violation
from tests.simulation.scenario_run import run_scenario
from tests.simulation.situations import situations
from tests.simulation.spec import PointKind, Spec
from tests.simulation.worlds import SMALL_EVERY, world

Judge = Callable[[RunTrace], list[Violation]]
Die = tuple[int, ...]

# One world in so many is played again by another process, and must take the same course.
TWICE_EVERY = 50
_TWICE_FROM = 7
EVIDENCE_CHARS = 4000
# A play costs what its requests cost, and there are more points to die at the more requests there are. Worlds of some
# dozens of requests die everywhere within these; one of hundreds would take as long as all others together.
_REQUESTS_A_WORLD = 2100
# In every second play of a world that dies everywhere, whoever resumes dies as well, in every fourth who resumes then
# too, at most so many points later.
_AGAIN_WITHIN = 12
# Of a world that is played hundreds of times, the first few plays that break an invariant say it all.
FOUND_PER_SEED = 3

DETERMINISM = "determinism"


@dataclass(frozen=True, slots=True)
class Found:
    """A broken invariant and the play that broke it. `die` None: the deaths are those that the world's spec names.

    What is no invariant of the design: `error` and a type when the play itself raised it, `determinism`, and `crashed`
    or `hangs` when its process did not come to an end.
    """

    invariant: str
    evidence: str
    seed: int
    die: Die | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """How worlds are proved. `only`: the invariants that are judged, all if there are none.

    Judge and world are sent to workers, so they are functions of a module.
    """

    judge: Judge = check
    world: Callable[[int], Spec] = world
    only: frozenset[str] = frozenset()
    enumerate: bool = True

    @property
    def judged(self) -> Judge:
        """Return who judges a trace."""
        return partial(judge_by, self.only) if self.only and self.judge is check else self.judge


@dataclass(slots=True)
class Result:
    """What came of one seed, or of a part of it: `worlds` counts only the first play of each.

    `broken` counts the plays by invariant, `found` names the first of them. `points` are those at which the world's
    process is yet to die. `course` is the digest of the first play's course, where it is to be compared; `compared`
    counts comparisons.
    """

    seed: int
    worlds: int = 1
    plays: int = 0
    compared: int = 0
    deaths: Counter[PointKind] = field(default_factory=Counter[PointKind])
    freezes: int = 0
    requests: int = 0
    virtual_s: float = 0.0
    situations: Counter[str] = field(default_factory=Counter[str])
    broken: Counter[str] = field(default_factory=Counter[str])
    found: list[Found] = field(default_factory=list[Found])
    course: str | None = None
    points: range = range(0)

    def add(self, trace: RunTrace) -> None:
        """Count one play."""
        self.plays += 1
        self.deaths += trace.deaths
        self.freezes += trace.freezes
        self.requests += trace.requests
        self.virtual_s += trace.ended_s
        self.situations += situations(trace)

    def blame(self, violations: list[Violation], die: Die | None) -> None:
        """Note what one play broke; an invariant that it broke in several ways counts once."""
        told = {violation.invariant: violation for violation in reversed(violations)}
        for invariant, violation in sorted(told.items()):
            self.broken[invariant] += 1
            if self.broken[invariant] <= FOUND_PER_SEED:
                self.found.append(Found(invariant, violation.evidence[:EVIDENCE_CHARS], self.seed, die))


def judge_by(names: frozenset[str], trace: RunTrace) -> list[Violation]:
    """Return what the trace breaks of these invariants alone."""
    return [violation for name in CHECKERS if name in names for violation in broken(name, trace)]


class Caught:
    """Keeps the error that ends its block, whatever it is: what a play raises is a finding, and others go on."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def __enter__(self) -> "Caught":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if kind is None or issubclass(kind, KeyboardInterrupt | SystemExit | GeneratorExit):
            return False
        lines = "".join(traceback.format_exception(error)).strip()
        self.violations = [Violation(f"error {kind.__name__}", lines[-EVIDENCE_CHARS:])]
        return True


class Course:
    """Takes a digest of everything that a play says it does."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=16)

    def __call__(self, line: str) -> None:
        self._digest.update(line.encode() + b"\n")

    def end(self, trace: RunTrace) -> str:
        """Return the digest, with what came of it all."""
        self(f"{trace.points} {trace.requests} {trace.ended_s!r} {len(trace.records)} {len(trace.ledger.writes)}")
        return self._digest.hexdigest()


def broken_by(spec: Spec, judge: Judge) -> list[Violation]:
    """Return what a play of the spec breaks."""
    with Caught() as caught:
        caught.violations = judge(run_scenario(spec))
    return caught.violations


def course(seed: int, orders: Orders) -> str | None:
    """Return the digest of the course that the seed's first play takes, None if it raises."""
    with Caught():
        digest = Course()
        return digest.end(run_scenario(first_spec(orders.world(seed), orders), digest))
    return None


def is_played_twice(seed: int) -> bool:
    """Return whether the seed's first play is compared: one in each 50, at another place each time.

    Worlds of one kind stand at fixed places, and every kind is to have its turn.
    """
    return (seed + seed // TWICE_EVERY) % TWICE_EVERY == _TWICE_FROM


def first_spec(spec: Spec, orders: Orders) -> Spec:
    """Return the spec that is played first: without deaths, where one at every point is to follow."""
    return replace(spec, deaths=()) if spec.enumerate and orders.enumerate else spec


def prove(seed: int, orders: Orders, begins: Callable[[Die | None], None]) -> Result:
    """Return what came of a seed's first play. `begins` hears of it before it begins."""
    result = Result(seed)
    begins(None)
    with Caught() as caught:
        spec = orders.world(seed)
        first = first_spec(spec, orders)
        digest = Course() if is_played_twice(seed) else None
        trace = run_scenario(first, digest)
        result.course = digest.end(trace) if digest else None
        if first is not spec:
            result.points = points_to_die_at(seed, trace)
        result.add(trace)
        result.blame(orders.judged(trace), None)
    result.blame(caught.violations, None)
    return result


def points_to_die_at(seed: int, trace: RunTrace) -> range:
    """Return every point of a play, or every so manieth where all of them would take too long: others each seed."""
    every = -(-trace.points * trace.requests // _REQUESTS_A_WORLD) or 1
    return range(1 + seed // SMALL_EVERY % every, trace.points + 1, every)


def deaths_from(seed: int, point: int) -> Die:
    """Return the points at which to die in the play that is to show a death at this one."""
    place = seed // SMALL_EVERY + point
    if place % 2:
        return (point,)
    again = point + 1 + (seed + 7 * point) % _AGAIN_WITHIN
    return (point, again) if place % 4 else (point, again, again + 1 + (seed + 5 * point) % _AGAIN_WITHIN)


def die_at(seed: int, points: range, orders: Orders, begins: Callable[[Die | None], None]) -> Result:
    """Return what came of dying at each of these points of a world, each in a play of its own.

    In every second of them the process that resumes dies too, soon after it has begun, and in every fourth the next.
    """
    result, spec = Result(seed, worlds=0), orders.world(seed)
    for point in points:
        die = deaths_from(seed, point)
        begins(die)
        with Caught() as caught:
            trace = run_scenario(replace(spec, deaths=die))
            result.add(trace)
            result.blame(orders.judged(trace), die)
            if not trace.deaths.total():
                if trace.ended_s >= spec.calm_at_s:
                    # This point, and so every later one, comes after all faults have ended.
                    break
                # Up to its death, a play is the play without it.
                evidence = f"nobody died at point {point}, where nothing else differs from the play that has the point"
                result.blame([Violation(DETERMINISM, evidence)], die)
        result.blame(caught.violations, die)
    return result
