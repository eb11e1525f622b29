"""Rollout of a run in lines for people: its start, wave, window, budgets, and the groups at their limits."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from fleetos.model.steering.rollout import Steering, Wave
from fleetos.model.steering.times import is_ever
from fleetos.rules.admission.pass_facts import RolloutFacts, Standing
from fleetos.rules.budgets import budgets
from fleetos.rules.waves import find_pause_between_waves
from fleetos.rules.windows import Window, sum_up
from fleetos.text import counted
from fleetos.views.text.format import printable, short_duration

RolloutSource = Callable[[], RolloutFacts]
"""Facts of a run as they are now."""


def rollout_lines(facts: RolloutFacts) -> list[str]:
    """Return a line for each part of the rollout that the run has, printable; none for a run that nothing steers."""
    limits = (_budget_line(facts), _group_line(facts.standing))
    return [*schedule_lines(facts), *(printable(line) for line in limits if line)]


def schedule_lines(facts: RolloutFacts) -> list[str]:
    """Return a line for the start, the wave, the pause after it and the window, as far as the run has them."""
    run = facts.standing
    lines = (_start_line(run), _wave_line(facts), _between_waves_line(facts), _window_line(run))
    return [printable(line) for line in lines if line]


def plan_zone(steering: Steering) -> tzinfo | None:
    """Return the zone of the plan's windows; None without one, or where this machine does not know it."""
    windows = steering.windows
    try:
        return None if windows is None or windows.zone is None else ZoneInfo(windows.zone)
    except (OSError, ValueError, KeyError):
        return None


def until_words(moment: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return a time, in the zone of the plan too, and how far it is: `2026-12-01 21:00Z (Tue 22:00 CET, in 4h)`."""
    ahead_s = (moment - now).total_seconds()
    local = "" if zone is None else f"{moment.astimezone(zone):%a %H:%M %Z}"
    words = ", ".join(part for part in (local, f"in {short_duration(ahead_s)}" if ahead_s > 0 else "") if part)
    return f"{moment:%Y-%m-%d %H:%MZ}" + (f" ({words})" if words else "")


def _start_line(standing: Standing) -> str:
    begin = standing.steering.not_before
    if begin is None or begin <= standing.now:
        return ""
    return f"starts at {until_words(begin, standing.now, plan_zone(standing.steering))}"


def _wave_line(facts: RolloutFacts) -> str:
    standing, waves = facts.standing, facts.standing.steering.waves
    return f"wave {wave_words(waves[max(0, standing.opened - 1)], facts)}" if waves else ""


def _between_waves_line(facts: RolloutFacts) -> str:
    """Return the bake or the approval that the run waits for, and who may end that."""
    waiting = find_pause_between_waves(facts.standing.run, facts.ended, facts.standing.now)
    return "" if waiting is None else waiting.words


def wave_words(wave: Wave, facts: RolloutFacts) -> str:
    """Return how a wave stands: `2 of 5 (canary): 3 of 5 ended, 1 failed`."""
    standing = facts.standing
    name = f" ({wave.name})" if wave.name else ""
    words = f"{wave.number:,} of {len(standing.steering.waves):,}{name}: "
    if wave.number > standing.opened:
        return f"{words}{counted(wave.members, 'server')}, not begun"
    failed = facts.failures.failed_in(wave.number)
    words += f"{facts.ended.get(wave.number, 0):,} of {wave.members:,} ended"
    return f"{words}, {failed:,} failed" if failed else words


def _window_line(standing: Standing) -> str:
    if standing.steering.windows is None:
        return ""
    return f"window {open_words(standing.windows, standing.now, plan_zone(standing.steering))}"


def open_words(windows: Sequence[Window], now: datetime, zone: tzinfo | None) -> str:
    """Return whether any of the windows is open, and until when."""
    state = sum_up(windows, now)
    if state.until is not None:
        return "open" if is_ever(state.until) else f"open until {until_words(state.until, now, zone)}"
    unreadable = next((window.unreadable for window in windows if window.unreadable), None)
    if unreadable is not None:
        return f"closed: the calendar {unreadable} cannot be read"
    if state.next is None:
        return "closed, and no opening is known"
    return f"closed until {until_words(state.next, now, zone)}"


def _budget_line(facts: RolloutFacts) -> str:
    """Return how much of each budget of the plan is used: not of the brake that every run has, nor of past waves."""
    run, present = facts.standing.run, ("max_failed", "of_last", f"wave {facts.standing.opened}")
    used = [budget for budget in budgets(run, facts.failures) if budget.scope in present]
    words = ", ".join(f"{budget.scope} {budget.failed:,}/{budget.allowed:,}" for budget in used)
    return f"failure budgets: {words}" if words else ""


def _group_line(standing: Standing) -> str:
    """Return the group that is fullest beyond or at its limit, and how many others there are."""
    full = [group for group in standing.groups if len(group.out) >= group.limit]
    if not full:
        return ""
    words = max(full, key=lambda group: len(group.out) - group.limit).words
    return f"{words}; {counted(len(full) - 1, 'more group')} at the limit" if len(full) > 1 else words


def iterate_lines(source: RolloutSource | None) -> Iterator[str]:
    """Yield the lines of a run that is driven; none without a source."""
    if source is not None:
        yield from rollout_lines(source())
