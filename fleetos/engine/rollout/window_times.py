"""Windows of a run: worked out of the rules that it was frozen with, and of the calendar files that may change."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from fleetos.model.run import Target
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import CalendarFile, WindowRule, Windows
from fleetos.planning.calendars import expand
from fleetos.planning.local_time import UnreadableCalendar
from fleetos.rules.windows import OPEN, RuleTimes, Window, make_window, match_rules


class WindowTimes:
    """Windows of the targets of one run, for as far ahead as their rules are known."""

    def __init__(self, windows: Windows | None, targets: Iterable[Target], now: datetime) -> None:
        self._rules = windows
        self._texts: dict[str, str | None] = {}
        self._renew_at: datetime | None = None
        self.windows: Sequence[Window] = (OPEN,)
        """Windows, one for each set of rules that matches any target."""
        self.window_of: Mapping[str, int] = {}
        """Index of its window, by server id."""
        if windows is not None:
            self._sets, self.window_of = match_rules(windows, targets)
            self._work_out(windows, now)

    @property
    def files(self) -> tuple[str, ...]:
        """Calendar files that are read again and again: a rule that denies times by one is closed until it is read."""
        rules = () if self._rules is None else self._rules.deny
        return tuple(dict.fromkeys(rule.when.path for rule in rules if isinstance(rule.when, CalendarFile)))

    def take_calendar(self, path: str, text: str | None, now: datetime) -> bool:
        """Take over the content of a calendar file, None if it cannot be read. Return whether it is another now."""
        if self._rules is None or (path in self._texts and self._texts[path] == text):
            return False
        self._texts[path] = text
        self._work_out(self._rules, now)
        return True

    def renew(self, now: datetime) -> None:
        """Work the windows out anew where half of the time for which they are known is over."""
        if self._rules is not None and self._renew_at is not None and now >= self._renew_at:
            self._work_out(self._rules, now)

    def next_change_at(self, now: datetime) -> datetime | None:
        """Return the next time at which a window opens or closes, or a denied time ends, as far as it is known."""
        changes: list[datetime] = []
        for window in self.windows:
            end = window.opened.end_at(now)
            begin = None if end is not None else next((at for at in window.opened.begins if at > now), None)
            changes += [at for at in (end, begin, window.denied.end_at(now)) if at is not None]
        return min(changes, default=None)

    def _work_out(self, rules: Windows, now: datetime) -> None:
        allow = [self._times_of(rule, now, deny=False) for rule in rules.allow or ()]
        deny = [self._times_of(rule, now, deny=True) for rule in rules.deny]
        self.windows = tuple(make_window(matched, allow, deny) for matched in self._sets) or (OPEN,)
        known_until = [times.known_until for times in (*allow, *deny) if isinstance(times, Times)]
        self._renew_at = now + (min(known_until) - now) / 2 if known_until else None

    def _times_of(self, rule: WindowRule, now: datetime, *, deny: bool) -> RuleTimes:
        path = rule.when.path if isinstance(rule.when, CalendarFile) else None
        try:
            return expand(rule, now, deny=deny, text=None if path is None else self._texts.get(path))
        except UnreadableCalendar:
            return path or f"{rule.name or rule.when.kind} in {rule.zone}"
