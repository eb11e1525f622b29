"""Worlds with steering: waves, groups, budgets and windows, drawn apart from the rest.

Worlds without steering are what they would be if there were none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from fleetos.model.journal.requests import RequestKind
from fleetos.model.steering.match import ANY_SERVER
from fleetos.model.steering.rollout import (
    Approval,
    BetweenWaves,
    GroupRule,
    OfLast,
    OnExceeded,
    SteeringPlan,
    WaveEntry,
)
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import Windows
from fleetos.sim.scenario.faults import Rule, ThrottleFault
from tests.simulation.fault_scripts import faults
from tests.simulation.spec import OWNER, Act, Ask, Clocks, Commits, Distortion, Spec
from tests.simulation.spec_steering import SteeringSpec
from tests.simulation.steering_windows import AZS, WindowTimes, draw_windows

_HALF, _THIRD, _ALL = Share(50.0, percent=True), Share(34.0, percent=True), Share(100.0, percent=True)
# The operator aborts what is not over so many hours after all faults ended: a group may stay full.
_GIVE_UP_H = 12.0
# While a wave is watched, looks at the servers of groups grow old.
_BAKES, _LONG_BAKES = (0.0, 0.0, 120.0, 900.0, 3600.0), (0.0, 120.0, 1800.0, 3600.0)
# Share of the steered worlds in which somebody stops a server while a wave is watched, and nothing else goes wrong.
_WATCHED = 0.12
# Share of them in which servers fail and succeed by turns, so that what failed long ago no longer counts.
_BY_TURNS = 0.08
# Share of those with waves in which operators approve and promote, for so long.
_APPROVED, _APPROVE_UNTIL_S = 0.5, 7200.0
_VALID_S = (120.0, 900.0, 86400.0)
_OPERATORS = (OWNER, "berta", "carl")
# A page of a list may take so long in a world with groups: looks expire in five minutes.
_READ_EVERY_S = 20.0
# Faults by which a request may come to a server that somebody else has stopped.
_UNFENCED = frozenset({"late", "double", "lag"})


def with_steering(spec: Spec, servers: int, share: float) -> Spec:
    """Return the spec with steering in it if its seed is one for that, else as it is."""
    chance = Random(f"steering {spec.seed}")
    if chance.random() >= share:
        return spec
    story = chance.random()
    if story < _WATCHED:
        return _stopped_while_watched(chance, spec, servers)
    if story < _WATCHED + _BY_TURNS and not spec.enumerate:
        return _failing_by_turns(spec)
    parts = [name for name in ("waves", "groups", "budgets", "windows") if chance.random() < 0.5]
    parts = parts or [chance.choice(("waves", "groups", "budgets", "windows"))]
    plan, times = SteeringPlan(), None
    if "waves" in parts:
        plan = replace(plan, **_waves(chance, servers, _LONG_BAKES if "groups" in parts else _BAKES))
    if "groups" in parts:
        plan = replace(plan, groups=_groups(chance))
    if "budgets" in parts:
        plan = replace(plan, **_budgets(chance))
    if "windows" in parts:
        times = draw_windows(chance)
        plan = replace(plan, windows=times.windows)
    if ("windows" in parts or "budgets" in parts) and chance.random() < 0.5:
        # One after the other they meet more edges, and leave somebody to be spared.
        spec = replace(spec, rollout=replace(spec.rollout, concurrency=Share(1.0)))
    times = times or WindowTimes(Windows(), give_up_h=_GIVE_UP_H)
    give_up_s = spec.calm_at_s + times.give_up_h * 3600.0
    steering = SteeringSpec(plan, times.born, give_up_s, times.denied, times.unreadable)
    spec = _spread(spec)
    if "groups" in parts:
        spec = replace(spec, faults=tuple(rule for rule in spec.faults if not _allows_few_reads(rule)))
        spec = _stopped_by_others(chance, spec, servers, long="waves" in parts or "windows" in parts)
    spec = _failing(chance, spec, again="windows" in parts)
    return _approved(Random(f"approvals {spec.seed}"), replace(spec, steering=steering))


def _approved(chance: Random, spec: Spec) -> Spec:
    """Let some of the waves need approvals, and let operators approve and promote them at times, rightly or not."""
    steering = spec.steering
    if steering is None or not steering.plan.waves or chance.random() >= _APPROVED:
        return spec
    (entry,) = steering.plan.waves
    rule = Approval(
        chance.choice(("anyone", "other", "other", _OPERATORS[1:])), chance.choice((1, 1, 2)), chance.choice(_VALID_S)
    )
    if chance.random() < 0.75:
        entry = replace(entry, between=replace(entry.between, approval=rule))
    at_s, asks = chance.uniform(30.0, 600.0), list[Ask]()
    while at_s < _APPROVE_UNTIL_S:
        kind = RequestKind.PROMOTE if chance.random() < 0.25 else RequestKind.APPROVE
        asks.append(Ask(at_s, kind, by=chance.choice(_OPERATORS)))
        at_s += chance.choice((2.0, 60.0, 300.0, 900.0))
    # What nobody approves waits for ever.
    give_up_s = min(steering.give_up_s, max(spec.calm_at_s, _APPROVE_UNTIL_S) + 3600.0)
    return replace(
        spec,
        steering=replace(steering, plan=replace(steering.plan, waves=(entry,)), give_up_s=give_up_s),
        operator=replace(spec.operator, asks=(*spec.operator.asks, *asks)),
    )


def _allows_few_reads(rule: Rule) -> bool:
    """Return whether looks may expire before a list of all servers is read, so that who waits for a group waits on."""
    return isinstance(rule, ThrottleFault) and rule.on in ("read", "any") and rule.per_s > _READ_EVERY_S * rule.requests


def _stopped_while_watched(chance: Random, spec: Spec, servers: int) -> Spec:
    """Let somebody stop a server while the first wave is watched: at its end nobody has looked for long.

    Nothing else goes wrong, since whoever takes a run over looks at once.
    """
    rule = GroupRule(chance.choice(("all", "all", "az")), Share(1.0))
    entry = WaveEntry(None, ANY_SERVER, (Share(1.0), _ALL), BetweenWaves(bake_s=3600.0))
    stop = Act(chance.uniform(1200.0, 2400.0), "stop", chance.choice((0, 0, chance.randrange(servers))))
    return replace(_calm(spec, SteeringPlan(waves=(entry,), groups=(rule,))), acts=(stop,))


def _failing_by_turns(spec: Spec) -> Spec:
    """Let changes fail and succeed, one after the other, where one of the last two that ended may fail."""
    spec = _calm(spec, SteeringPlan(of_last=OfLast(1, 2)))
    first, *others = spec.scenario.servers
    groups = (first.model_copy(update={"count": max(8, first.count)}), *others)
    return replace(
        spec,
        scenario=spec.scenario.model_copy(update={"servers": groups}),
        faults=faults({"do": "fail", "on": "changeos", "rate": 0.4, "picture": ("error",)}),
        failure=replace(spec.failure, first=None, attempts=1),
        rollout=replace(spec.rollout, concurrency=Share(1.0)),
    )


def _calm(spec: Spec, plan: SteeringPlan) -> Spec:
    """Return the world with this plan over servers that all run, in which nothing goes wrong."""
    groups = tuple(group.model_copy(update={"state": "running"}) for group in spec.scenario.servers)
    return replace(
        _spread(replace(spec, scenario=spec.scenario.model_copy(update={"lax": False, "servers": groups}))),
        faults=(),
        acts=(),
        deaths=(),
        freezes=(),
        commits=Commits(),
        clocks=Clocks(),
        distortion=Distortion(),
        operator=replace(spec.operator, asks=(), abort_at_s=None),
        steering=SteeringSpec(plan, give_up_s=_GIVE_UP_H * 3600.0),
    )


def _spread(spec: Spec) -> Spec:
    """Return the world with its servers in two zones."""
    groups = tuple(group.model_copy(update={"az": AZS}) for group in spec.scenario.servers)
    return replace(spec, scenario=spec.scenario.model_copy(update={"servers": groups}))


def _stopped_by_others(chance: Random, spec: Spec, servers: int, *, long: bool) -> Spec:
    """Let somebody stop servers of a group, where no request may come late or twice to them.

    `long`: servers may wait for hours, and looks at the others of their groups age meanwhile.
    """
    unfenced = spec.scenario.lax or any(rule.do in _UNFENCED for rule in spec.faults)
    if unfenced or chance.random() < 0.3:
        return spec
    until_s = chance.choice((600.0, 3600.0)) if long else 600.0
    stops = (Act(chance.uniform(1.0, until_s), "stop", chance.randrange(servers)) for _ in range(chance.randint(1, 3)))
    return replace(spec, acts=(*spec.acts, *stops))


def _failing(chance: Random, spec: Spec, *, again: bool) -> Spec:
    """Let changes fail, more often than elsewhere, and mostly without the brake that every run has.

    `again`: their servers get another attempt, and wait for it.
    """
    if chance.random() < (0.2 if again else 0.4):
        return spec
    pictures = chance.choice((("old-disk",), ("error",), ("error", "new-disk")))
    rules = faults({"do": "fail", "on": "changeos", "rate": chance.choice((0.3, 0.6)), "picture": pictures})
    first = chance.choice((None, None, None, spec.failure.first, 1, 2))
    attempts = max(2, spec.failure.attempts) if again else min(spec.failure.attempts, chance.choice((1, 2)))
    backoff_s = chance.choice((30.0, 90.0)) if again else spec.failure.backoff_s
    failure = replace(spec.failure, first=first, attempts=attempts, backoff_s=backoff_s)
    return replace(spec, faults=(*rules, *spec.faults), failure=failure)


def _waves(chance: Random, servers: int, bakes_s: Sequence[float]) -> Mapping[str, object]:
    """Return waves of which the last takes all that is left."""
    sizes = chance.choice(
        (
            (Share(1.0), _ALL),
            (Share(1.0), Share(1.0), _ALL),
            (Share(1.0), _HALF, _ALL),
            (Share(25.0, percent=True), _ALL),
            (Share(max(1.0, servers // 3)), Share(1.0), _ALL),
        )
    )
    between = BetweenWaves(bake_s=chance.choice(bakes_s))
    plan: dict[str, object] = {"waves": (WaveEntry(None, ANY_SERVER, sizes, between),)}
    if chance.random() < 0.5:
        plan["max_failed_per_wave"] = chance.choice((Share(0.0), Share(1.0), Share(2.0), _HALF))
    if chance.random() < 0.5:
        plan["order"] = (chance.choice(("spread", "az", "down-first", "name")),)
    return plan


def _groups(chance: Random) -> tuple[GroupRule, ...]:
    rules = (
        GroupRule("all", chance.choice((Share(1.0), Share(2.0), _HALF, _THIRD))),
        GroupRule("az", chance.choice((Share(1.0), _HALF, _THIRD))),
        GroupRule("label:pair", Share(1.0)),
    )
    return tuple(rule for rule in rules if chance.random() < 0.6) or (rules[2],)


def _budgets(chance: Random) -> Mapping[str, object]:
    plan: dict[str, object] = {}
    if chance.random() < 0.6:
        plan["max_failed"] = chance.choice((Share(0.0), Share(1.0), Share(2.0), _THIRD))
    if not plan or chance.random() < 0.5:
        failed, of = chance.choice(((0, 1), (0, 2), (1, 2), (1, 2), (1, 3), (2, 4)))
        plan["of_last"] = OfLast(failed, of)
    if chance.random() < 0.4:
        plan["on_exceeded"] = chance.choice((OnExceeded.PAUSE, OnExceeded.END))
    return plan
