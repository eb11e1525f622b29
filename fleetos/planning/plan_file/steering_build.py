"""Build the steering of a plan from its sections, and check their keys against each other."""

from collections.abc import Callable
from pathlib import Path

from fleetos.errors import Problem
from fleetos.files import FileTooLarge, UnreadableFile, read_bounded
from fleetos.model.plan import SourcePosition
from fleetos.model.steering.match import ANY_SERVER
from fleetos.model.steering.rollout import BetweenWaves, GroupRule, OfLast, OnExceeded, SteeringPlan, WaveEntry
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Nights, WindowRule, Windows
from fleetos.planning.calendar_file import CALENDAR_MAX_BYTES, check_calendar
from fleetos.planning.calendars import check_cron, find_interval, is_local
from fleetos.planning.local_time import UnreadableCalendar, find_zone
from fleetos.planning.plan_file.schema import FailureSection, PlanShape, RolloutSection
from fleetos.planning.plan_file.schema_rollout import ThenSection, WaveSection, WindowSection, WindowsSection
from fleetos.yaml_file import KeyPath

# The keys of each kind of rule; the first names the kind.
_KINDS = (("days", "from", "to"), ("cron", "for"), ("since", "until"), ("ics",))
_KINDS_HINT = "a rule has `days`, `from` and `to`; or `cron` and `for`; or `since` and `until`; or `ics`"


class SteeringBuilder:
    """Builder of the steering of one plan. `problems` are those that the shape alone does not show."""

    def __init__(self, folder: Path, pruned: frozenset[KeyPath], place: Callable[[KeyPath], SourcePosition]) -> None:
        self.problems: list[Problem] = []
        self._folder = folder
        self._pruned = pruned
        self._place = place

    def build(self, shape: PlanShape) -> SteeringPlan:
        """Build the steering. A list with problems of its own is left out: its entries have lost their places."""
        rollout, failure = shape.rollout, shape.failure
        self._check_failure(failure)
        self._check_protection(shape)
        return SteeringPlan(
            order=tuple(rollout.order or ()),
            waves=self._waves(rollout),
            groups=tuple(GroupRule(rule.per, rule.value) for rule in rollout.max_unavailable or ()),
            max_failed=failure.max_failed,
            max_failed_per_wave=failure.max_failed_per_wave,
            of_last=None if failure.of_last is None else OfLast(failure.of_last.failed, failure.of_last.of),
            on_exceeded=None if failure.on_exceeded is None else OnExceeded(failure.on_exceeded),
            windows=None if shape.windows is None else self._windows(shape.windows),
            protect=shape.protect,
        )

    def _add(self, path: KeyPath, expected: str, hint: str | None = None) -> None:
        self.problems.append(self._place(path).problem(expected, hint))

    def _was_pruned(self, *path: str) -> bool:
        return any(pruned[: len(path)] == path for pruned in self._pruned)

    def _check_failure(self, failure: FailureSection) -> None:
        of_last = failure.of_last
        if of_last is not None and of_last.failed >= of_last.of:
            self._add(("failure", "of_last", "failed"), f"less than `of`, which is {of_last.of}", "else it never holds")

    def _check_protection(self, shape: PlanShape) -> None:
        if not shape.protect:
            return
        written = {
            ("rollout", "waves"): shape.rollout.waves is not None,
            ("failure", "max_failed"): shape.failure.max_failed is not None,
        }
        for path, there in written.items():
            if not there and not self._was_pruned(*path):
                self._add(
                    ("protect",), f"`{'.'.join(path)}` beside it", "a protected plan says how far it may go wrong"
                )

    def _waves(self, rollout: RolloutSection) -> tuple[WaveEntry, ...]:
        if rollout.waves is None or self._was_pruned("rollout", "waves"):
            return ()
        usual = _between(rollout.between_waves)
        bare = [index for index, entry in enumerate(rollout.waves) if not isinstance(entry, WaveSection)]
        entries: list[WaveEntry] = []
        for index, entry in enumerate(rollout.waves):
            if isinstance(entry, WaveSection):
                between = usual if entry.then is None else _between(entry.then)
                entries.append(
                    WaveEntry(entry.name, entry.match or ANY_SERVER, tuple(entry.sizes), between, index=index)
                )
            else:
                entries.append(WaveEntry(None, ANY_SERVER, (entry,), usual, repeats=index == bare[-1], index=index))
        return tuple(entries)

    def _windows(self, section: WindowsSection) -> Windows:
        return Windows(
            allow=None if section.allow is None else self._rules(section, "allow", section.allow),
            deny=self._rules(section, "deny", section.deny),
            fit=section.fit,
            retries=section.retries,
            zone=section.zone,
        )

    def _rules(self, section: WindowsSection, key: str, rules: list[WindowSection]) -> tuple[WindowRule, ...]:
        if self._was_pruned("windows", key):
            return ()
        built = (self._rule(section, rule, ("windows", key, index)) for index, rule in enumerate(rules))
        return tuple(rule for rule in built if rule is not None)

    def _rule(self, section: WindowsSection, rule: WindowSection, path: KeyPath) -> WindowRule | None:
        kind = self._kind(rule, path)
        if kind is None:
            return None
        when = self._when(rule, kind, path, deny=path[1] == "deny")
        if when is None:
            return None
        zone = rule.zone or section.zone
        needs_zone = not isinstance(when, DateTimes) or is_local(when)
        if zone is None and needs_zone and not self._was_pruned("windows", "zone"):
            self._add((*path, kind[0]), "a time zone for it", "say `zone` here or under `windows`")
            return None
        if isinstance(when, DateTimes) and (zone is not None or not needs_zone):
            begin, end = find_interval(when, None if zone is None else find_zone(zone), deny=True)
            if begin >= end:
                self._add((*path, "until"), "later than `since`")
        return WindowRule(when, zone, rule.name, rule.match or ANY_SERVER)

    def _kind(self, rule: WindowSection, path: KeyPath) -> tuple[str, ...] | None:
        """Return the keys of the kind of the rule; None if it is none, or several, or lacks a key."""
        written = {
            info.alias or name for name, info in WindowSection.model_fields.items() if name in rule.model_fields_set
        }
        begun = [kind for kind in _KINDS if written & set(kind)]
        if len(begun) != 1:
            self._add(path, "exactly one kind of time", _KINDS_HINT)
            return None
        missing = [key for key in begun[0] if key not in written]
        if missing:
            self._add(path, f"`{'` and `'.join(missing)}` too", _KINDS_HINT)
            return None
        return begun[0]

    def _when(
        self, rule: WindowSection, kind: tuple[str, ...], path: KeyPath, *, deny: bool
    ) -> Nights | CronTimes | DateTimes | CalendarFile | None:
        match kind[0]:
            case "days":
                if rule.from_ == rule.to:
                    self._add((*path, "to"), "another time than `from`")
                    return None
                return Nights(rule.days or (), rule.from_ or 0, rule.to or 0)
            case "cron":
                return self._cron(rule, path)
            case "since":
                return DateTimes(rule.since or "", rule.until or "")
            case _:
                return self._calendar(self._folder / (rule.ics or ""), (*path, "ics"), deny=deny)

    def _cron(self, rule: WindowSection, path: KeyPath) -> CronTimes | None:
        try:
            check_cron(rule.cron or "")
        except ValueError as error:
            expected = "a cron expression of five fields, such as 0 22 * * 2#1"
            self._add(
                (*path, "cron"), expected, f"the fields are minute, hour, day, month and weekday; {error}".lower()
            )
            return None
        return CronTimes(rule.cron or "", rule.for_ or 0.0)

    def _calendar(self, file: Path, path: KeyPath, *, deny: bool) -> CalendarFile | None:
        try:
            text = read_bounded(file, CALENDAR_MAX_BYTES).decode()
            check_calendar(text)
        except FileTooLarge:
            self._add(path, f"a calendar of at most {CALENDAR_MAX_BYTES // 2**20} MiB; {file} is larger")
        except UnreadableFile as error:
            self._add(path, f"a calendar file: {error.expected}", error.hint)
        except UnicodeDecodeError:
            self._add(path, f"a calendar file in UTF-8; {file} is not")
        except UnreadableCalendar as error:
            self.problems.append(self._place(path).fault(f"{file} {error}"))
        else:
            # What is denied may change while the run goes on; what is allowed was agreed to.
            return CalendarFile(str(file), None if deny else text)
        return None


def _between(section: ThenSection | None) -> BetweenWaves:
    return BetweenWaves() if section is None else BetweenWaves(section.bake, section.approval)
