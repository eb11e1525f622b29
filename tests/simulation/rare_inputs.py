"""What few worlds have: clouds, plans and operators that are not the usual ones, each with what makes it matter.

One world in some has one of them, drawn apart from the rest, so that all others are what they would be without.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from fleetos.model.plan import PowerAfter, Rollout, Share, StopMode
from fleetos.sim.scenario.faults import Rule
from fleetos.sim.scenario.scenario import ActionLog
from tests.simulation.fault_scripts import all_stopped, faults
from tests.simulation.spec import IMAGE, Act, Spec

# Share of the worlds that have one: each kind is one in a hundred. They take long.
_RARE = 0.08
_OLD_IMAGE = "Standard_Debian_11_latest"
# Shares of the worlds with a play of the log of actions, and, from there on, with a log that tells less or later.
_LOG_PLAYED, _LOG_WITHOUT_EVENTS, _LOG_BEHIND = 0.05, 0.15, 0.3
# A settle is never less than twice the longest change; late by no more than this, too, both are over after a settle.
_LATE_SHARE = 0.4
Rarity = Callable[[Random, Spec, int, float], Spec]


def with_rarity(spec: Spec, servers: int, settle_s: float) -> Spec:
    """Return the spec with a rare input in it if its seed is one for that, else as it is."""
    chance = Random(f"rarity {spec.seed}")
    if chance.random() >= _RARE:
        return spec
    return chance.choice(_RARITIES)(chance, spec, servers, settle_s)


def _cloud(spec: Spec, **parts: object) -> Spec:
    return replace(spec, scenario=spec.scenario.model_copy(update=parts))


def _fails_blindly(chance: Random) -> tuple[Rule, ...]:
    """Return what would be taken for something else where the image says nothing."""
    often: Mapping[str, object] = chance.choice(({"nth": [1]}, {"nth": [1, 2]}, {"rate": 0.4}))
    return faults(
        {"do": "fail", "on": "changeos", "picture": chance.choice(("new-disk", "error", "old-disk")), **often},
        {"do": chance.choice(("no-effect", "cut-after")), "on": "changeos", "rate": 0.4},
    )


def _forced(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """Servers are changed that run the image already."""
    groups = tuple(group.model_copy(update={"image": IMAGE}) for group in spec.scenario.servers)
    spec = replace(_cloud(spec, servers=groups), rollout=replace(spec.rollout, force=True))
    return replace(spec, faults=_fails_blindly(chance)) if chance.random() < 0.5 else spec


def _imageless(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """The cloud does not say which image a server runs. Nobody else changes one: he would be taken for us."""
    groups = tuple(group.model_copy(update={"shows_image": False}) for group in spec.scenario.servers)
    spec = replace(_cloud(spec, servers=groups), acts=tuple(act for act in spec.acts if act.act != "change"))
    return replace(spec, faults=_fails_blindly(chance)) if chance.random() < 0.5 else spec


def _logless(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """The cloud does not show what was done to a server: a change that left nothing behind cannot be told from none.

    Where it has no fence either, a change is over when the settle is: late, and then hidden, it could not be told.
    """
    if chance.random() < 0.7:
        lost = {"do": chance.choice(("cut-before", "cut-after", "hang-after")), "on": "changeos", "rate": 0.6}
        fails = {"do": chance.choice(("fail", "no-effect")), "on": "changeos", "rate": 0.4}
        spec = replace(spec, faults=faults(lost, fails))
    if spec.scenario.lax:
        spec = replace(spec, faults=tuple(_earlier(rule, settle_s * _LATE_SHARE) for rule in spec.faults))
    return _cloud(spec, logs=False)


def _earlier(rule: Rule, most_s: float) -> Rule:
    if rule.do != "late" or "changeos" not in rule.on:
        return rule
    return rule.model_copy(update={"seconds": (min(rule.seconds[0], most_s), min(rule.seconds[1], most_s))})


def _forgetful(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """The cloud does not know a job now and then, though it goes on; and its server looks idle meanwhile."""
    unknown = {"do": "refuse", "on": "job", "code": "Common.0011", "status": chance.choice((400, 404))}
    often = {"rate": chance.choice((0.2, 0.5, 0.7))}
    manner = spec.scenario.change.model_copy(update={"picture": chance.choice(("idle", "no-disk", "rebuild"))})
    longest_s = max(settle_s * 0.45, 1.0)
    durations = spec.scenario.durations.model_copy(update={"change": (longest_s / 2, longest_s)})
    spec = _cloud(spec, change=manner, durations=durations)
    return replace(spec, faults=(*faults({**unknown, **often}), *spec.faults))


def _overlong(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """Changes take longer than a settle, and look like nothing: their jobs alone tell, or there is the fence."""
    change = spec.scenario.change.model_copy(
        update={"picture": "idle", "job_visible_after_s": 0.0, "job_vanishes_after_s": 86400.0}
    )
    longest_s = max(settle_s, spec.timeouts.change_s) * chance.choice((1.2, 1.8))
    durations = spec.scenario.durations.model_copy(update={"change": (min(settle_s, longest_s / 2), longest_s)})
    rules = tuple(rule for rule in spec.faults if rule.do not in ("show", "job-life", "double"))
    if chance.random() < 0.6:
        unknown = {"do": "refuse", "on": "job", "code": "Common.0011", "rate": chance.choice((0.2, 0.4))}
        rules = faults(unknown) if chance.random() < 0.5 else (*faults(unknown), *rules)
    return replace(_cloud(spec, change=change, durations=durations, lax=False), faults=rules, acts=())


def _fails_elsewhere(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """A send is lost, and somebody else changes its server meanwhile and fails at it."""
    lost = {"do": chance.choice(("cut-before", "hang-before", "cut-before", "close-before")), "on": "changeos"}
    nth = chance.choice(([1], [1, 2], [2]))
    acts = [
        Act(chance.uniform(5.0, settle_s + 300.0), "change", server, chance.choice((_OLD_IMAGE, IMAGE)), fails=True)
        for server in range(servers)
    ]
    return replace(spec, faults=faults({**lost, "nth": nth}), acts=tuple(acts), calm_at_s=max(spec.calm_at_s, 3600.0))


def _lost_for_good(settle_s: float) -> tuple[Rule, ...]:
    """Return the faults by which the first send comes when all has long been over, and two more never come."""
    late_s = (settle_s * 5.0 + 600.0, settle_s * 12.0 + 6000.0)
    return faults(
        {"do": "late", "on": "changeos", "nth": [1], "seconds": late_s},
        {"do": "cut-before", "on": "changeos", "nth": [2, 3]},
    )


def _fenced(spec: Spec, servers: int) -> Spec:
    """Return the spec with servers that are stopped, and are to be stopped again: nothing but we takes the fence."""
    rollout = Rollout(Share(float(servers)), StopMode.SOFT_THEN_HARD, power_after=PowerAfter.AS_BEFORE)
    return replace(all_stopped(spec), rollout=rollout, acts=(), freezes=())


def _released(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """The operator lets an unknown outcome rest, and has its server tried once more."""
    operator = replace(spec.operator, retries=chance.choice((1, 2)), release=True)
    if chance.random() < 0.4:
        return replace(spec, operator=operator)
    return replace(_fenced(spec, servers), operator=operator, faults=_lost_for_good(settle_s))


def _again(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """The plan is run a second time, after the first run has ended and nothing of it is held any more."""
    operator = replace(spec.operator, release=True)
    if chance.random() < 0.4:
        return replace(spec, operator=operator, again=spec.faults)
    lost = faults({"do": chance.choice(("cut-after", "hang-after", "cut-before")), "on": "changeos", "rate": 0.7})
    return replace(_fenced(spec, servers), operator=operator, faults=_lost_for_good(settle_s), again=lost)


def _doubled(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """The gateway delivers a send that was answered once more, to a server that is to be stopped again."""
    double = {"do": "double", "on": "changeos", "rate": 0.7, "seconds": (settle_s * 0.2, settle_s * 0.9)}
    return replace(_fenced(spec, servers), faults=faults(double))


def with_log(spec: Spec, servers: int, settle_s: float, *, plain: bool) -> Spec:
    """Return the spec with a log of actions that does not tell how they ended, or is behind; or, if it is a plain one,
    with a play of it.

    Where there is no fence a log that is behind hides a change that came late: nobody could tell it.
    """
    chance = Random(f"log {spec.seed}")
    kind = chance.random()
    if kind < _LOG_PLAYED:
        return _witnessed(chance, spec, servers, settle_s) if plain else spec
    if kind < _LOG_WITHOUT_EVENTS:
        return _cloud(spec, action_log=ActionLog(events=False))
    if kind < _LOG_BEHIND and not spec.scenario.lax:
        return _cloud(spec, action_log=ActionLog(lag_s=chance.choice((5.0, 60.0, settle_s * 0.4))))
    return spec


def _witnessed(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """Answers are lost of changes that fail, do nothing or go on for long, all of it unseen: the log alone tells.

    Or the requests never come, and somebody else fails at the same servers: that is no witness of ours.
    """
    often: Mapping[str, object] = chance.choice(({"nth": [1]}, {"nth": [1, 2]}, {"rate": 0.6}))
    longest_s = settle_s * chance.choice((0.1, 0.4, 1.5))
    manner = {"picture": "idle", "image_flips": "end"}
    cloud: dict[str, object] = {
        "change": spec.scenario.change.model_copy(update=manner),
        "durations": spec.scenario.durations.model_copy(update={"change": (longest_s / 2, longest_s)}),
        "lax": False,
        "action_log": ActionLog(lag_s=chance.choice((0.0, 0.0, 5.0, settle_s * 0.2))),
    }
    spec = replace(_cloud(spec, **cloud), acts=(), calm_at_s=max(spec.calm_at_s, 10_800.0))
    if chance.random() < 0.3:
        at_s = [chance.uniform(60.0, settle_s) for _ in range(servers)]
        acts = tuple(Act(at, "change", server, _OLD_IMAGE, in_vain=True) for server, at in enumerate(at_s))
        return replace(spec, faults=faults({"do": "cut-before", "on": "changeos", **often}), acts=acts)
    ends: tuple[Mapping[str, object], ...] = (
        {"do": "fail", "on": "changeos", "picture": chance.choice(("old-disk", "error", "no-disk"))},
        {"do": "no-effect", "on": "changeos"},
        {"do": "stuck", "on": "changeos", "effect_happens": False},
    )
    lost = {"do": chance.choice(("cut-after", "hang-after")), "on": "changeos", **often}
    return replace(spec, faults=faults(lost, {**chance.choice((ends[0], *ends)), **often}))


_RARITIES: tuple[Rarity, ...] = (
    _forced, _imageless, _logless, _forgetful, _overlong, _fails_elsewhere, _released, _again, _doubled,
)  # fmt: skip
