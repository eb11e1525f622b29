"""Worlds with steering: waves, groups, budgets and windows, drawn apart from the rest.

Worlds without steering are what they would be if there were none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from fleetos.model.steering.match import ANY_SERVER, Match
from fleetos.model.steering.rollout import (
    BetweenWaves,
    GroupRule,
    OfLast,
    OnExceeded,
    SteeringPlan,
    WaveEntry,
)
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Fit, Nights, WindowRule, Windows
from tests.simulation.fault_scripts import faults
from tests.simulation.spec import Act, Spec
from tests.simulation.spec_steering import BORN, CALENDAR, SteeringSpec

_ZONE = "Europe/Berlin"
_AZS = ("eu-de-01", "eu-de-02")
# Both nights in which the clocks of that zone are set, from the evening before on.
_SPRING, _AUTUMN = datetime(2026, 3, 28, 19, tzinfo=UTC), datetime(2026, 10, 24, 18, tzinfo=UTC)
_DAILY = tuple(range(7))
_HALF, _THIRD, _ALL = Share(50.0, percent=True), Share(34.0, percent=True), Share(100.0, percent=True)
# The operator aborts what is not over after so many hours: no window may open any more, or a group may stay full.
_GIVE_UP_H, _GIVE_UP_WINDOWS_H = 24, 72
# Faults by which a request may come to a server that somebody else has stopped.
_UNFENCED = frozenset({"late", "double", "lag"})


@dataclass(frozen=True, slots=True)
class _Times:
    """Windows, and when the play that has them begins."""

    windows: Windows
    born: datetime = BORN
    denied: tuple[tuple[datetime, datetime], ...] = ()
    unreadable: tuple[tuple[float, float], ...] = ()


def with_steering(spec: Spec, servers: int, share: float) -> Spec:
    """Return the spec with steering in it if its seed is one for that, else as it is."""
    chance = Random(f"steering {spec.seed}")
    if chance.random() >= share:
        return spec
    parts = [name for name in ("waves", "groups", "budgets", "windows") if chance.random() < 0.5]
    parts = parts or [chance.choice(("waves", "groups", "budgets", "windows"))]
    plan, times = SteeringPlan(), None
    if "waves" in parts:
        plan = replace(plan, **_waves(chance, servers))
    if "groups" in parts:
        plan = replace(plan, groups=_groups(chance))
    if "budgets" in parts:
        plan = replace(plan, **_budgets(chance))
    if "windows" in parts:
        times = chance.choice(_WINDOWS)(chance)
        plan = replace(plan, windows=times.windows)
    times = times or _Times(Windows())
    hours = _GIVE_UP_WINDOWS_H if "windows" in parts else _GIVE_UP_H
    steering = SteeringSpec(plan, times.born, spec.calm_at_s + hours * 3600.0, times.denied, times.unreadable)
    spec = _spread(spec)
    if "groups" in parts:
        spec = _stopped_by_others(chance, spec, servers)
    if "budgets" in parts or "waves" in parts:
        spec = _failing(chance, spec)
    return replace(spec, steering=steering)


def _spread(spec: Spec) -> Spec:
    """Return the world with its servers in two zones."""
    groups = tuple(group.model_copy(update={"az": _AZS}) for group in spec.scenario.servers)
    return replace(spec, scenario=spec.scenario.model_copy(update={"servers": groups}))


def _stopped_by_others(chance: Random, spec: Spec, servers: int) -> Spec:
    """Let somebody stop a server of a group, where no request may come late or twice to it."""
    unfenced = spec.scenario.lax or any(rule.do in _UNFENCED for rule in spec.faults)
    if unfenced or chance.random() < 0.4:
        return spec
    act = Act(chance.uniform(1.0, 600.0), "stop", chance.randrange(servers))
    return replace(spec, acts=(*spec.acts, act))


def _failing(chance: Random, spec: Spec) -> Spec:
    """Let changes fail, more often than elsewhere, and mostly without the brake that every run has."""
    if chance.random() < 0.4:
        return spec
    pictures = chance.choice((("old-disk",), ("error",), ("error", "new-disk")))
    rules = faults({"do": "fail", "on": "changeos", "rate": chance.choice((0.3, 0.6)), "picture": pictures})
    first = spec.failure.first if chance.random() < 0.3 else None
    attempts = min(spec.failure.attempts, chance.choice((1, 2)))
    failure = replace(spec.failure, first=first, attempts=attempts)
    return replace(spec, faults=(*rules, *spec.faults), failure=failure)


def _waves(chance: Random, servers: int) -> Mapping[str, object]:
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
    between = BetweenWaves(bake_s=chance.choice((0.0, 0.0, 120.0, 900.0, 3600.0)))
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
        failed, of = chance.choice(((0, 1), (0, 2), (1, 2), (1, 3), (2, 4)))
        plan["of_last"] = OfLast(failed, of)
    if chance.random() < 0.4:
        plan["on_exceeded"] = chance.choice((OnExceeded.PAUSE, OnExceeded.END))
    return plan


def _fit(chance: Random) -> Fit:
    return chance.choice((Fit(quantile=None), Fit(quantile=None, seconds=300.0), Fit()))


def _windows(chance: Random, allow: tuple[WindowRule, ...] | None, deny: tuple[WindowRule, ...] = ()) -> Windows:
    windows = Windows(allow, deny, _fit(chance))
    return windows if chance.random() < 0.6 else replace(windows, retries="wait")


def _nights(chance: Random, evening: datetime) -> _Times:
    """Nights around one in which the clocks are set. Some begin or end in the hour that comes twice, or never."""
    begin_min, end_min = chance.choice(
        ((22 * 60, 5 * 60), (22 * 60, 5 * 60), (60, 4 * 60), (150, 6 * 60), (0, 150), (135, 165), (23 * 60, 3 * 60))
    )
    rule = WindowRule(Nights(_DAILY, begin_min, end_min), _ZONE)
    deny = ()
    if chance.random() < 0.3:
        deny = (WindowRule(Nights(_DAILY, 2 * 60, 3 * 60), _ZONE, name="backup"),)
    # The night may begin soon, be under way, or be about to end.
    born = evening + timedelta(minutes=chance.randrange(9 * 60), seconds=chance.randrange(60))
    return _Times(_windows(chance, (rule,), deny), born)


def _spring(chance: Random) -> _Times:
    return _nights(chance, _SPRING)


def _autumn(chance: Random) -> _Times:
    return _nights(chance, _AUTUMN)


def _cron(chance: Random) -> _Times:
    """Short times at a beat: they close over whatever is under way. Those of a whole year take long to work out."""
    cron, for_s = chance.choice(
        (
            ("0 * 1-5 1 *", 1800.0),
            ("*/20 * 1-5 1 *", 420.0),
            ("15 */2 1-5 1 *", 2400.0),
            ("30 1,3,5 * 1 1-5", 3600.0),
        )
    )
    born = BORN + timedelta(minutes=chance.randrange(120))
    return _Times(_windows(chance, (WindowRule(CronTimes(cron, for_s), _ZONE),)), born)


def _turns(chance: Random) -> _Times:
    """The times of two zones follow each other: where the one ends, the other begins."""
    minutes = chance.choice((20, 30))
    rules = tuple(
        WindowRule(CronTimes(f"{first} * 1-5 1 *", 60.0 * minutes), _ZONE, match=Match(az=(az,)))
        for first, az in ((0, _AZS[0]), (minutes, _AZS[1]))
    )
    return _Times(_windows(chance, rules), BORN + timedelta(minutes=chance.randrange(60)))


def _local(moment: datetime) -> str:
    """Return a moment as a plan writes it, with its offset."""
    return f"{moment:%Y-%m-%dT%H:%M}+00:00"


def _dates(chance: Random) -> _Times:
    """One time that the plan names, with a blackout in it."""
    begin = BORN + timedelta(minutes=chance.choice((-30, 20)))
    allow = (WindowRule(DateTimes(_local(begin), _local(begin + timedelta(hours=12))), None),)
    return _Times(_windows(chance, allow if chance.random() < 0.6 else None, (_blackout(chance),)))


def _blackout(chance: Random) -> WindowRule:
    begin = BORN + timedelta(minutes=chance.randrange(1, 25))
    return WindowRule(
        DateTimes(_local(begin), _local(begin + timedelta(minutes=chance.choice((10, 60, 180))))), None, name="freeze"
    )


def _calendar(chance: Random) -> _Times:
    """A calendar file of what is denied, which cannot be read for a while."""
    begin = (BORN + timedelta(minutes=chance.randrange(60))).replace(second=0)
    events = ((begin, begin + timedelta(minutes=30)), (begin + timedelta(hours=2), begin + timedelta(hours=3)))
    from_s = chance.uniform(60.0, 1800.0)
    unreadable = ((from_s, from_s + chance.choice((90.0, 600.0, 3600.0))),) if chance.random() < 0.7 else ()
    deny = (WindowRule(CalendarFile(CALENDAR), _ZONE),)
    return _Times(_windows(chance, None, deny), BORN, events[: chance.randrange(3)], unreadable)


_WINDOWS: tuple[Callable[[Random], _Times], ...] = (_spring, _autumn, _cron, _turns, _dates, _calendar)
