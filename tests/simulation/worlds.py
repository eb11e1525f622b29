"""Worlds from seeds: fleets, plans, and everything that can go wrong, drawn so that the promise still covers it.

Where a draw would leave what is promised (docs/reliability.md), the rule that keeps it inside says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from fleetos.model.journal.requests import RequestKind
from fleetos.model.plan import ApiLimits, FailurePolicy, Polling, PowerAfter, Rollout, Share, StopMode, Timeouts
from fleetos.sim.scenario.faults import Rule
from fleetos.sim.scenario.scenario import Scenario
from tests.simulation.expected_changes import diverse
from tests.simulation.fault_scripts import with_plot
from tests.simulation.faults import Fence, rules
from tests.simulation.rare_inputs import with_log, with_rarity
from tests.simulation.spec import IMAGE, Act, ActKind, Ask, Clocks, Commits, Distortion, Freeze, Jump, Operator, Spec
from tests.simulation.steering_worlds import with_steering

T = TypeVar("T")
OLD_IMAGE = "Standard_Debian_11_latest"
# One world in so many is small and is played once for each point at which its process can die.
SMALL_EVERY = 7
LARGE_EVERY = 100
# A real cloud's settle time by default, and the least that is accepted there.
_SETTLE_S, _SETTLE_MIN_S = 1800.0, 600.0
_PICTURES = ("rebuild", "rebuild", "idle", "no-disk", "early-disk")


# Share of the worlds in which servers get the image that they run.
_REINSTALLED = 0.08
_METERED = 0.05
# Share of the worlds in which each server gets something else.
_DIVERSE = 0.5
# Share of the worlds whose operator asks for something while the run is driven.
_ASKED = 0.35
# Share of the worlds with another brake than the usual one, which few of these fleets are large enough for.
_BRAKED = 0.4
# Share of the worlds, but for the large ones, in which the run lives in a file of SQLite: they take four times as long.
_FILED, _LARGE = 0.05, 20
# Share of the worlds whose plan has waves, groups, budgets or windows, of those that have no fault script.
_STEERED = 0.45


@dataclass(frozen=True, slots=True)
class _Size:
    servers: int
    small: bool


def world(seed: int) -> Spec:
    """Return the spec of a seed."""
    chance = Random(seed)
    size = _size(seed, chance)
    loopback = chance.random() < 0.3
    settle_s = _settle_s(chance, loopback=loopback)
    timeouts = Timeouts(
        stop_s=chance.choice((60.0, 120.0, 300.0)),
        change_s=chance.choice((600.0, 900.0, 1800.0)),
        settle_s=settle_s,
        start_s=chance.choice((60.0, 120.0, 300.0)),
    )
    polling = _polling(chance, loopback=loopback)
    settled_s = settle_s if settle_s is not None else (10.0 if loopback else _SETTLE_S)
    acts = () if chance.random() < 0.7 else _acts(chance, size.servers)
    power_after = PowerAfter.AS_BEFORE if chance.random() < 0.15 else PowerAfter.RUNNING
    stop = chance.choice((StopMode.SOFT, StopMode.SOFT_THEN_HARD, StopMode.SOFT_THEN_HARD, StopMode.HARD, StopMode.API))
    overlong = chance.random() < 0.1
    fence = Fence(
        settle_s=settled_s,
        poll_max_s=polling.max_s,
        lax=not overlong and chance.random() < 0.25,
        stopped_by_others=any(act.act == "stop" for act in acts),
        by_api=stop is StopMode.API,
        as_before=power_after is PowerAfter.AS_BEFORE,
        overlong=overlong,
    )
    spec = Spec(
        seed=seed,
        scenario=_scenario(chance, seed, size, fence, timeouts),
        rollout=Rollout(Share(float(chance.randint(1, max(1, size.servers)))), stop, power_after=power_after),
        failure=FailurePolicy(chance.randint(1, 4), chance.choice((5.0, 30.0)), chance.choice((60.0, 300.0))),
        timeouts=timeouts,
        polling=polling,
        limits=_limits(chance),
        loopback=loopback,
        secret=chance.random() < 0.1,
        faults=rules(chance, fence, few=size.small),
        acts=acts,
        deaths=() if size.small else _deaths(chance, size.servers),
        freezes=() if size.small or chance.random() < 0.7 else _freezes(chance, size.servers),
        commits=_commits(chance),
        clocks=_clocks(chance),
        distortion=Distortion() if chance.random() < 0.8 else Distortion(0.05, 0.1, 0.5),
        operator=_operator(chance),
        calm_at_s=chance.choice((1800.0, 3600.0, 10800.0)),
        enumerate=size.small,
    )
    return _drawn_apart(spec, size, settled_s)


def _drawn_apart(spec: Spec, size: _Size, settled_s: float) -> Spec:
    """Return the world with what is drawn apart from the rest, so that all others are what they would be without it."""
    told = with_plot(spec, size.servers, settled_s)
    if told is spec:
        told = with_rarity(spec, size.servers, settled_s)
    plotted = told is not spec
    return _with_more(with_log(told, size.servers, settled_s, plain=not plotted), size.servers, plotted=plotted)


def _with_more(told: Spec, servers: int, *, plotted: bool) -> Spec:
    """Return the spec with what is drawn apart from the rest, so that all else is what it would be without it.

    `plotted`: the world has a plot of its own, which steering would get into the way of.
    """
    seed = told.seed
    if Random(f"metered {seed}").random() < _METERED:
        told = _metered(told, Random(f"metered by {seed}"))
    if Random(f"diverse {seed}").random() < _DIVERSE:
        told = replace(told, diverse=True, scenario=diverse(told.scenario))
    if (brake := Random(f"first {seed}")).random() < _BRAKED:
        told = replace(told, failure=replace(told.failure, first=brake.choice((None, 1, 1, 2, 2, 3))))
    if (asks := Random(f"asks {seed}")).random() < _ASKED:
        wanted = _asks(asks, servers)
        told = replace(told, operator=replace(told.operator, asks=(*wanted, *_take_ups(asks, wanted, servers))))
        told = replace(told, taken=_taken(Random(f"taken {seed}"), told.operator.asks, servers))
    told = replace(told, filed=servers < _LARGE and Random(f"filed {seed}").random() < _FILED)
    if not plotted and told.again is None:
        told = with_steering(told, servers, _STEERED)
    return _reinstalled(told) if Random(f"reinstall {seed}").random() < _REINSTALLED and _may(told) else told


def _metered(spec: Spec, chance: Random) -> Spec:
    """Return the same world with one `image.id` for all servers: only `metering.image_id` tells what they run.

    Where it is the image that is ordered, nothing would be done without force.
    """
    always = chance.choice(("an-image-of-all", OLD_IMAGE, IMAGE))
    groups = tuple(group.model_copy(update={"image_id": always}) for group in spec.scenario.servers)
    scenario = spec.scenario.model_copy(update={"servers": groups})
    return replace(spec, scenario=scenario, rollout=replace(spec.rollout, force=spec.rollout.force or always == IMAGE))


def _may(spec: Spec) -> bool:
    """Return whether servers can get the image that they run: it is known, and nothing else is ordered."""
    return not spec.rollout.force and all(group.shows_image for group in spec.scenario.servers)


def _reinstalled(spec: Spec) -> Spec:
    """Return the same world with servers that get their own image again, and all that goes wrong with that call.

    Somebody else installs another image: with the very same one he would be taken for us.
    """
    acts = tuple(replace(act, image=IMAGE) if act.act == "change" else act for act in spec.acts)
    again = None if spec.again is None else tuple(map(_on_reinstall, spec.again))
    return replace(spec, reinstall=True, acts=acts, faults=tuple(map(_on_reinstall, spec.faults)), again=again)


def _on_reinstall(rule: Rule) -> Rule:
    if rule.on == "changeos":
        return rule.model_copy(update={"on": "reinstallos"})
    return rule


def _size(seed: int, chance: Random) -> _Size:
    if seed % SMALL_EVERY == 0:
        return _Size(chance.randint(1, 2), small=True)
    if seed % LARGE_EVERY == 1:
        return _Size(chance.randint(20, 60), small=False)
    return _Size(chance.randint(2, 7), small=False)


def _settle_s(chance: Random, *, loopback: bool) -> float | None:
    if loopback:
        return chance.choice((None, 30.0, 120.0))
    return chance.choice((None, *(_SETTLE_MIN_S,) * 6, 900.0))


def _polling(chance: Random, *, loopback: bool) -> Polling:
    """Mostly wide: each read costs a play its time, and more of the same reads show nothing new."""
    if chance.random() < 0.05:
        return Polling(2.0, 20.0) if loopback else Polling(5.0, 60.0)
    return Polling(15.0, 20.0) if loopback else Polling(30.0, chance.choice((30.0, 60.0)))


def _limits(chance: Random) -> ApiLimits:
    connections = chance.choice((2, 4, 16))
    if chance.random() < 0.8:
        return ApiLimits(connections=connections)
    return ApiLimits(chance.choice((0.67, 2.0, 10.0)), chance.choice((None, 5.0)), connections)


def _scenario(chance: Random, seed: int, size: _Size, fence: Fence, timeouts: Timeouts) -> Scenario:
    weights = {"running": 0.6, "stopped": 0.25, "failed": 0.15}
    groups: list[dict[str, object]] = [
        {"count": size.servers, "name": "web-###", "state": "running" if chance.random() < 0.5 else weights}
    ]
    if not size.small and chance.random() < 0.3:
        groups.append({"count": 1, "name": "locked", "locked": True})
    if not size.small and chance.random() < 0.2:
        groups.append({"count": 1, "name": "diskless", "system_disk": False})
    if not size.small and chance.random() < 0.3:
        groups.append({"count": 1, "name": "done-before", "image": IMAGE, "state": {"running": 0.6, "failed": 0.4}})
    if fence.overlong:
        shortest_s, longest_s = 60.0, timeouts.change_s * 1.5
    else:
        # The settle time is never less than twice the longest change.
        longest_s = min(fence.settle_s * 0.45, timeouts.change_s * (0.15 if size.small else 0.3))
        shortest_s = min(60.0, longest_s / 2)
    content: dict[str, object] = {
        "seed": seed,
        "servers": groups,
        "durations": {
            "stop": (1.0, chance.choice((10.0, 30.0, 50.0))),
            "start": (1.0, chance.choice((10.0, 30.0))),
            "change": (shortest_s, chance.uniform(shortest_s, longest_s)),
        },
        "change": {
            "picture": _pick(chance, ("rebuild",) if fence.overlong else _PICTURES),
            "image_flips": _pick(chance, ("end", "end", "end", "start", "late", "never")),
            # An image that flips later than the settle time is one that never did, as far as anybody can tell.
            "flip_lag_s": chance.uniform(5.0, fence.settle_s * 0.8),
            "job_visible_after_s": _pick(chance, (0.0,) if fence.overlong else (0.0, 0.0, 5.0)),
            "job_vanishes_after_s": _pick(chance, (86400.0,) if fence.overlong else (86400.0, 86400.0, 600.0, 5.0)),
        },
        "tokens": {"lifetime_s": _pick(chance, (86400.0, 3600.0, 120.0))},
        "list": {
            "server_id_filter": chance.random() < 0.5,
            "marker": chance.random() < 0.5,
            # With pages as short as these, small fleets are a small part of a long list.
            "page": Random(f"page {seed}").choice((1000, 1000, 1000, 5, 2)),
        },
        "lax": fence.lax,
        "temporary_servers": chance.random() < 0.2,
    }
    return Scenario.model_validate(content)


def _pick(chance: Random, options: Sequence[T]) -> T:
    return options[chance.randrange(len(options))]


def _acts(chance: Random, servers: int) -> tuple[Act, ...]:
    kinds: tuple[ActKind, ...] = ("start", "stop", "lock", "unlock", "change", "delete")
    acts: list[Act] = []
    for _ in range(chance.randint(1, 3)):
        act = chance.choice(kinds)
        image = OLD_IMAGE if act == "change" else None
        acts.append(Act(chance.uniform(1.0, 900.0), act, chance.randrange(servers), image))
    return tuple(acts)


def _deaths(chance: Random, servers: int) -> tuple[int, ...]:
    """Up to five points, half of them soon after the one before: in the middle of a resume."""
    found: list[int] = []
    for _ in range(5):
        soon = found and chance.random() < 0.5
        found.append(found[-1] + chance.randint(1, 20) if soon else chance.randint(1, 20 + 20 * servers))
    return tuple(sorted(set(found)))


def _freezes(chance: Random, servers: int) -> tuple[Freeze, ...]:
    freezes: list[Freeze] = []
    for _ in range(chance.randint(1, 2)):
        kind = chance.choice(("clock", "before commit", "after commit", "after commit", "after request"))
        often = {"clock": 400, "before commit": 12, "after commit": 12, "after request": 15}[kind]
        for_s = chance.choice((4.0, 8.0, 45.0, 120.0, 400.0))
        taken = chance.uniform(0.0, 20.0) if for_s > 31 and chance.random() < 0.7 else None
        nth = chance.randint(1, often * servers)
        freezes.append(Freeze(kind, nth, for_s, suspend=chance.random() < 0.3, taken_over_after_s=taken))
    return tuple(freezes)


def _commits(chance: Random) -> Commits:
    if chance.random() < 0.8:
        return Commits()
    return Commits(chance.choice((0.0, 0.02)), chance.choice((0.0, 0.02)), 0.1, chance.choice((1.0, 6.0, 20.0)))


def _clocks(chance: Random) -> Clocks:
    if chance.random() < 0.6:
        return Clocks()
    jumps = (
        ()
        if chance.random() < 0.5
        else tuple(
            Jump(chance.uniform(10.0, 1800.0), chance.choice((-3600.0, -60.0, -2.0, 2.0, 90.0, 3600.0)))
            for _ in range(2)
        )
    )
    return Clocks(chance.choice((0.0, 0.5, 5.0)), chance.choice((0.0, 1e-4, -1e-4)), jumps)


def _asks(chance: Random, servers: int) -> tuple[Ask, ...]:
    """Up to five requests, some in pairs that one turn reads together."""
    kinds = (
        RequestKind.PAUSE,
        RequestKind.PAUSE,
        RequestKind.RESUME,
        RequestKind.HOLD,
        RequestKind.SKIP,
        RequestKind.SET,
    )
    asks: list[Ask] = []
    for _ in range(chance.randint(1, 5)):
        at_s = asks[-1].at_s + 1.0 if asks and chance.random() < 0.4 else chance.uniform(1.0, 900.0)
        kind = chance.choice(kinds)
        about = kind in (RequestKind.HOLD, RequestKind.SKIP)
        places = tuple(chance.sample(range(servers), chance.randint(1, min(2, servers)))) if about else ()
        asks.append(Ask(at_s, kind, places, chance.randint(1, 4) if kind is RequestKind.SET else None))
    return tuple(asks)


def _take_ups(chance: Random, asks: Sequence[Ask], servers: int) -> Iterator[Ask]:
    """Yield releases of what is held, soon or late, and retries of what has failed by then."""
    for held in asks:
        if held.kind is RequestKind.HOLD and chance.random() < 0.7:
            yield replace(held, at_s=held.at_s + chance.choice((0.5, 30.0, 200.0)), kind=RequestKind.RELEASE)
    for _ in range(chance.choice((0, 0, 1, 3))):
        yield Ask(chance.uniform(60.0, 1200.0), RequestKind.RETRY, tuple(range(servers)))


def _taken(chance: Random, asks: Sequence[Ask], servers: int) -> tuple[tuple[float, int], ...]:
    """Return when another run claims a server: soon after this one gave it up by a request, or at any time."""
    if chance.random() < 0.5:
        return ()
    held = [(ask.at_s + chance.choice((0.2, 20.0, 150.0)), place) for ask in asks for place in ask.servers[:1]]
    return (*held, *((chance.uniform(1.0, 1500.0), chance.randrange(servers)) for _ in range(chance.randint(0, 3))))


def _operator(chance: Random) -> Operator:
    resume_s = chance.choice(((1.0, 20.0), (1.0, 120.0), (600.0, 7200.0)))
    abort_at_s = chance.uniform(1.0, 900.0) if chance.random() < 0.1 else None
    return Operator(resume_s, abort_at_s, chance.choice((0, 0, 0, 1, 2)))
