"""Steering: freeze what the plan says about waves, groups, budgets and windows, and say it in sentences. Pure.

A sentence for each receiver of notifications stands beside them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleetos.errors import Problem
from fleetos.model.plan import NotifyEntry, Occasion, Plan
from fleetos.model.run import Target
from fleetos.model.steering.rollout import BetweenWaves, Budgets, GroupRule, OnExceeded, Steering, Wave
from fleetos.model.steering.share import Share
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import WindowRule, Windows
from fleetos.planning.calendars import expand
from fleetos.planning.local_time import UnreadableCalendar
from fleetos.planning.plan_file.units import format_duration, format_share
from fleetos.planning.waves import WavePlan, kinds_without_canary, plan_waves
from fleetos.text import counted, join_some

_NAMED = 5


@dataclass(frozen=True, slots=True)
class FrozenSteering:
    """Steering of a run that begins: its members with their waves, and the rules."""

    steering: Steering
    waves: WavePlan
    problems: tuple[Problem, ...]


def freeze_steering(plan: Plan, members: Sequence[Target], now: datetime) -> FrozenSteering:
    """Freeze the steering for the members of a run, which the freeze leaves to be changed. `now` is UTC."""
    written = plan.steering
    waves = plan_waves(written, members, plan.place)
    problems = [*waves.problems, *_window_problems(plan, members, now)]
    steering = Steering(
        waves=waves.waves,
        groups=written.groups,
        budgets=Budgets(
            None if written.max_failed is None else written.max_failed.of(len(members), at_least=0),
            written.of_last,
            written.on_exceeded or OnExceeded.PAUSE,
        ),
        windows=written.windows,
    )
    return FrozenSteering(steering, waves, tuple(problems))


def _window_problems(plan: Plan, members: Sequence[Target], now: datetime) -> Iterator[Problem]:
    windows = plan.steering.windows
    if windows is None or windows.allow is None:
        return
    outside = [member.name for member in members if not any(rule.match.covers(member) for rule in windows.allow)]
    if outside:
        text = f"no rule allows {join_some(outside, _NAMED)}"
        yield plan.place("windows.allow").fault(text, "add a rule that matches them, or `exclude` them")
    needed_s = windows.fit.seconds
    if needed_s is not None:
        longest_s = _longest_s(windows.allow, now)
        if longest_s is not None and longest_s < needed_s:
            text = f"longer than every window, of which the longest has {format_duration(longest_s)}"
            yield plan.place("windows.fit").fault(text, "widen a window, or say `fit: none`")


def _longest_s(rules: Iterable[WindowRule], now: datetime) -> float | None:
    """Return the length of the longest time that the rules make together, None if one of them cannot be worked out."""
    try:
        times = [expand(rule, now, deny=False) for rule in rules]
    except UnreadableCalendar:
        return None
    return Times.union(times).longest.total_seconds()


def steering_sentences(steering: Steering, members: Sequence[Target], concurrency: int) -> Iterator[str]:
    """Yield each rule of the steering as a sentence for people who are about to agree to it."""
    yield from _wave_sentences(steering, members)
    yield from (_group_sentence(rule) for rule in steering.groups)
    yield from _budget_sentences(steering, len(members), concurrency)
    if steering.windows is not None:
        yield from _window_sentences(steering.windows)
    if steering.not_before is not None:
        yield f"starts nothing before {steering.not_before:%Y-%m-%d %H:%MZ}"


_WHEN = {
    Occasion.STARTED: "the run starts",
    Occasion.WAVE: "a wave opens or is finished",
    Occasion.APPROVAL: "a wave waits for an approval",
    Occasion.PAUSED: "the run pauses",
    Occasion.BUDGET_HALF: "half of a failure budget is used",
    Occasion.OVERDUE: "a change is overdue",
    Occasion.FINISHED: "the run has ended",
    Occasion.SERVER_FAILED: "a server failed",
}


def notify_sentences(entries: Sequence[NotifyEntry], services: Sequence[str]) -> Iterator[str]:
    """Yield who is notified and when, a sentence for each receiver. `services` are their kinds, empty if unknown."""
    for number, entry in enumerate(entries, 1):
        kind = f" ({services[number - 1]})" if services else ""
        *most, last = (_WHEN[occasion] for occasion in entry.on)
        yield f"notifies {number}{kind} when {', '.join(most)}{' or ' if most else ''}{last}"


def _wave_sentences(steering: Steering, members: Sequence[Target]) -> Iterator[str]:
    for wave in steering.waves:
        name = f" ({wave.name})" if wave.name else ""
        then = _then_words(wave) if wave.number < len(steering.waves) else _bake_words(wave.between)
        yield f"wave {wave.number}{name}: {counted(wave.members, 'server')}{then}"
    if steering.waves:
        for kind, number in kinds_without_canary(members).items():
            yield f"wave 1 has no {kind}, of which there are {number:,}"


def _bake_words(between: BetweenWaves) -> str:
    return f", then watched for {format_duration(between.bake_s)}" if between.bake_s else ""


def _then_words(wave: Wave) -> str:
    approval = wave.between.approval
    if approval is None:
        return _bake_words(wave.between)
    number = f"{approval.of} approvals" if approval.of > 1 else "an approval"
    who, valid = approval.approvers("the owner of the run"), format_duration(approval.valid_s)
    holds = f"which {'hold' if approval.of > 1 else 'holds'} for {valid} (fleetos approve RUN --wave {wave.number + 1})"
    return f"{_bake_words(wave.between)}, then {number} by {who}, {holds}"


def _group_sentence(rule: GroupRule) -> str:
    which = {"all": "all servers", "az": "the servers of an availability zone", "flavor": "the servers of a flavor"}
    where = which.get(rule.per) or f"the servers with the same {rule.per}"
    floor = ", but always 1" if rule.value.percent else ""
    return f"of {where} at most {format_share(rule.value)} are out at once{floor}"


def _budget_sentences(steering: Steering, members: int, concurrency: int) -> Iterator[str]:
    budgets = steering.budgets
    verb = "ends" if budgets.on_exceeded is OnExceeded.END else "stops"
    flight = f"; {min(concurrency, members):,} in flight may follow"
    if budgets.max_failed is not None:
        yield f"{verb} when more than {budgets.max_failed:,} of {members:,} failed{flight}"
    of_last = budgets.of_last
    if of_last is not None:
        yield f"{verb} when more than {of_last.failed:,} of the last {of_last.of:,} that ended failed{flight}"
    for wave in steering.waves:
        # A wave of no more members than may fail cannot exceed its budget.
        if wave.max_failed is not None and wave.max_failed < wave.members:
            follow = f"; {min(concurrency, wave.members):,} in flight may follow"
            yield f"{verb} when more than {wave.max_failed:,} of {wave.members:,} of wave {wave.number} failed{follow}"


def _window_sentences(windows: Windows) -> Iterator[str]:
    for rules, verb in ((windows.allow or (), "allowed"), (windows.deny, "denied")):
        for rule in rules:
            yield f"{verb}: {_rule_words(rule)}"
    fit = windows.fit
    if windows.allow is not None:
        if fit.seconds is not None:
            yield f"starts only what has {format_duration(fit.seconds)} left in its window"
        elif fit.quantile is not None:
            yield f"starts only what {format_share(Share(fit.quantile * 100, percent=True))} of changes end in time for"
    if windows.retries == "finish" and windows.allow is not None:
        yield "a server that a failed change left broken gets its next attempt outside of the windows too"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _rule_words(rule: WindowRule) -> str:
    name, zone = f"{rule.name}: " if rule.name else "", f" {rule.zone}" if rule.zone else ""
    when = rule.when
    match when.kind:
        case "nights":
            days = ", ".join(_DAYS[day] for day in when.days)
            return f"{name}{days} {_clock(when.begin_min)} to {_clock(when.end_min)}{zone}"
        case "cron":
            return f"{name}{format_duration(when.for_s)} from each `{when.cron}` on{zone}"
        case "dates":
            return f"{name}{when.since} to {when.until}{zone}"
        case "ics":
            return f"{name}the events of {when.path}{zone}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
