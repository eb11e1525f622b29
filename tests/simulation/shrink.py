"""Takes parts of a spec away for as long as the play still breaks the same invariant.

First whole kinds of misfortune go, then single ones, then servers, then odd numbers; and again from the beginning, for
as long as anything could be taken away. It can be ended at any time: what was found last is the smallest yet.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import floor
from typing import Any

from fleetos.model.plan import ApiLimits, FailurePolicy, Polling, Rollout, Share, Timeouts
from fleetos.sim.scenario.scenario import (
    ActionLog,
    ChangeManner,
    Listing,
    PhaseDurations,
    Scenario,
    ServerGroup,
    Tokens,
)
from tests.simulation.spec import Act, Clocks, Commits, Distortion, Freeze, Jump, Operator, Spec

Breaks = Callable[[Spec], bool]
# Where a smaller world has other points, its process is made to die at so many others.
_OTHER_POINTS = 60
# Every round takes something away, and few are needed.
_ROUNDS_MAX = 50


def shrink(spec: Spec, breaks: Breaks) -> Iterator[Spec]:
    """Yield ever smaller specs that still break what `spec` breaks, which has been seen already."""
    smallest = replace(spec, enumerate=False)
    for _ in range(_ROUNDS_MAX):
        before = smallest
        for step in _STEPS:
            while (smaller := _first(step, smallest, breaks)) is not None:
                smallest = smaller
                yield smallest
        if smallest is before:
            return


def size(spec: Spec) -> int:
    """Return how many parts the spec has: servers, misfortunes, and settings that are not the usual ones."""
    plain = Spec(seed=spec.seed, scenario=Scenario(seed=spec.seed))
    lists = (spec.faults, spec.acts, spec.deaths, spec.freezes, spec.scenario.faults, spec.clocks.jumps)
    single = sum(getattr(spec, name) != getattr(plain, name) for name in _SINGLE)
    cloud = sum(getattr(spec.scenario, name) != getattr(plain.scenario, name) for name in _CLOUD)
    return servers(spec) + sum(map(len, lists)) + single + cloud


def servers(spec: Spec) -> int:
    """Return how many servers the world has."""
    return sum(group.count for group in spec.scenario.servers)


_SINGLE = (
    "rollout", "failure", "timeouts", "polling", "limits", "loopback", "secret", "commits", "clocks", "distortion",
    "operator", "reinstall", "diverse", "filed",
    "again",
)  # fmt: skip
_CLOUD = ("durations", "change", "tokens", "list", "lax", "logs", "action_log", "temporary_servers")
Step = Callable[[Spec], Iterator[Spec]]


def _first(step: Step, spec: Spec, breaks: Breaks) -> Spec | None:
    return next((one for one in step(spec) if one != spec and breaks(one)), None)


def _cloud(spec: Spec, **parts: Any) -> Spec:
    return replace(spec, scenario=spec.scenario.model_copy(update=parts))


def _kinds(spec: Spec) -> Iterator[Spec]:
    """Whole kinds of misfortune."""
    yield replace(
        spec,
        faults=(), acts=(), freezes=(), commits=Commits(), clocks=Clocks(), distortion=Distortion(), secret=False,
    )  # fmt: skip
    yield replace(spec, faults=())
    yield replace(spec, acts=())
    yield replace(spec, deaths=())
    yield replace(spec, freezes=())
    yield replace(spec, commits=Commits())
    yield replace(spec, clocks=Clocks())
    yield replace(spec, distortion=Distortion())
    yield _cloud(spec, faults=())


def _usual(spec: Spec) -> Iterator[Spec]:
    """What is set otherwise than usual."""
    yield replace(spec, secret=False)
    yield replace(spec, operator=Operator())
    yield replace(spec, operator=replace(spec.operator, abort_at_s=None))
    yield replace(spec, operator=replace(spec.operator, retries=0))
    yield replace(spec, operator=replace(spec.operator, asks=()))
    yield replace(spec, operator=replace(spec.operator, asks=spec.operator.asks[:1]))
    yield replace(spec, operator=replace(spec.operator, release=False))
    yield replace(spec, again=None)
    yield replace(spec, operator=replace(spec.operator, resume_s=Operator().resume_s))
    yield replace(spec, limits=ApiLimits())
    yield replace(spec, rollout=Rollout(concurrency=spec.rollout.concurrency))
    yield replace(spec, rollout=replace(spec.rollout, concurrency=Share(1)))
    yield replace(spec, failure=FailurePolicy())
    if spec.failure.attempts > FailurePolicy().attempts:
        yield replace(spec, failure=replace(spec.failure, attempts=1))
    yield replace(spec, polling=Polling())
    yield replace(spec, timeouts=Timeouts(settle_s=spec.timeouts.settle_s))
    yield replace(spec, timeouts=Timeouts())
    yield replace(spec, loopback=False)
    yield _cloud(spec, durations=PhaseDurations())
    yield _cloud(spec, change=ChangeManner())
    yield _cloud(spec, tokens=Tokens())
    yield _cloud(spec, list=Listing())
    yield _cloud(spec, lax=False)
    yield _cloud(spec, logs=True)
    yield _cloud(spec, action_log=ActionLog())
    yield _cloud(spec, temporary_servers=False)


def _one_by_one(spec: Spec) -> Iterator[Spec]:
    """Single misfortunes, the last first: what comes before them stays as it was."""
    for index in reversed(range(len(spec.faults))):
        yield replace(spec, faults=_without(spec.faults, index))
    for index in reversed(range(len(spec.again or ()))):
        yield replace(spec, again=_without(spec.again or (), index))
    for index in reversed(range(len(spec.acts))):
        yield replace(spec, acts=_without(spec.acts, index))
    for index in reversed(range(len(spec.deaths))):
        yield replace(spec, deaths=_without(spec.deaths, index))
    for index in reversed(range(len(spec.freezes))):
        yield replace(spec, freezes=_without(spec.freezes, index))
    for index in reversed(range(len(spec.clocks.jumps))):
        yield replace(spec, clocks=replace(spec.clocks, jumps=_without(spec.clocks.jumps, index)))
    for index in reversed(range(len(spec.scenario.faults))):
        yield _cloud(spec, faults=_without(spec.scenario.faults, index))
    for name in ("lost", "unknown", "slow"):
        yield replace(spec, commits=replace(spec.commits, **{name: 0.0}))
    for name in ("apart_s", "drift"):
        yield replace(spec, clocks=replace(spec.clocks, **{name: 0.0}))
    for name in ("status", "missing", "echo"):
        yield replace(spec, distortion=replace(spec.distortion, **{name: 0.0}))


def _without(parts: tuple[Any, ...], index: int) -> tuple[Any, ...]:
    return parts[:index] + parts[index + 1 :]


def _fewer_servers(spec: Spec) -> Iterator[Spec]:
    """Fewer servers, the last first. A death in the smaller world may have to come at another point."""
    groups = spec.scenario.servers
    for index, group in reversed(list(enumerate(groups))):
        for count in dict.fromkeys((0, group.count // 2, group.count - 1)):
            if 0 <= count < group.count and servers(spec) - group.count + count > 0:
                yield from _elsewhere(_cloud(spec, servers=_resized(groups, index, count)))


def _resized(groups: tuple[ServerGroup, ...], index: int, count: int) -> tuple[ServerGroup, ...]:
    smaller = (groups[index].model_copy(update={"count": count}),) if count else ()
    return groups[:index] + smaller + groups[index + 1 :]


def _elsewhere(spec: Spec) -> Iterator[Spec]:
    """The spec, with its acts on servers that there are, and then with its last death at other points before."""
    spec = replace(spec, acts=tuple(act for act in spec.acts if act.server < servers(spec)))
    yield spec
    if not spec.deaths:
        return
    *before, last = spec.deaths
    first = before[-1] if before else 0
    for point in range(last - 1, max(first, last - 1 - _OTHER_POINTS), -1):
        yield replace(spec, deaths=(*before, point))


def _plain_states(spec: Spec) -> Iterator[Spec]:
    """Servers that are all alike: running, with a disk, not locked."""
    for index, group in enumerate(spec.scenario.servers):
        plain = ServerGroup(count=group.count, name=group.name)
        yield _cloud(spec, servers=(*spec.scenario.servers[:index], plain, *spec.scenario.servers[index + 1 :]))


def _round_numbers(spec: Spec) -> Iterator[Spec]:
    """Times that are easy to read."""
    yield replace(spec, acts=tuple(_round_act(act) for act in spec.acts))
    yield replace(spec, freezes=tuple(_round_freeze(freeze) for freeze in spec.freezes))
    jumps = tuple(Jump(float(floor(jump.at_s)), jump.by_s) for jump in spec.clocks.jumps)
    yield replace(spec, clocks=replace(spec.clocks, jumps=jumps))
    if spec.operator.abort_at_s is not None:
        yield replace(spec, operator=replace(spec.operator, abort_at_s=float(floor(spec.operator.abort_at_s))))
    durations = spec.scenario.durations
    if durations != PhaseDurations():
        for name in ("stop", "start", "change"):
            low_s = floor(getattr(durations, name)[0])
            yield _cloud(spec, durations=durations.model_copy(update={name: (float(low_s), float(low_s))}))
    lag_s = float(floor(spec.scenario.change.flip_lag_s))
    yield _cloud(spec, change=spec.scenario.change.model_copy(update={"flip_lag_s": lag_s}))


def _round_act(act: Act) -> Act:
    return replace(act, at_s=float(floor(act.at_s)))


def _round_freeze(freeze: Freeze) -> Freeze:
    after_s = freeze.taken_over_after_s
    return replace(freeze, suspend=False, taken_over_after_s=None if after_s is None else float(floor(after_s)))


_STEPS: tuple[Step, ...] = (_kinds, _one_by_one, _fewer_servers, _usual, _plain_states, _round_numbers)
