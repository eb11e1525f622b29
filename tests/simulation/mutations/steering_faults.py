"""Faults in what steers a run: windows, budgets, waves, groups and waits."""

from tests.simulation.mutations.patches import Mutation, Patch
from tests.simulation.mutations.shared_patches import PLANNING, RULES, one

_WHY_NOT = f"{RULES}/admission/why_not.py"
# Few worlds show these.
_SEEDS = 500

_WINDOWS = (
    Mutation(
        "end-included",
        "I17",
        "the minute in which a window ends is still in it",
        one(
            f"{RULES}/windows.py",
            "ALWAYS if allowed is None else Times.union(allowed)",
            "ALWAYS if allowed is None else Times.of(\n"
            "            (begin, end + type(end - begin)(minutes=1)) for begin, end in Times.union(allowed).intervals\n"
            "        )",
        ),
    ),
    Mutation(
        "zone-subtraction",
        "I17",
        "a night lasts as many hours as its clock says, whatever the clock does in it",
        one(
            f"{PLANNING}/calendars.py",
            "            end = find_instants(midnight + over_midnight + timedelta(minutes=rule.end_min), zone)\n",
            "            night = over_midnight + timedelta(minutes=rule.end_min - rule.begin_min)\n"
            "            end = LocalTime(begin.earlier + night, begin.later + night)\n",
        ),
    ),
    Mutation(
        "window-at-admission-only",
        "I17",
        "the window is asked for before the admission alone",
        (
            Patch(_WHY_NOT, "    ((_A, _E, _S), _closed),\n", "    ((_A,), _closed),\n"),
            Patch(
                _WHY_NOT,
                "rules = (_off_clock, _unreadable, _blackout, _closed)",
                "rules = (_off_clock, _unreadable, _blackout)",
            ),
        ),
    ),
    Mutation(
        "blackout-at-admission-only",
        "I17",
        "what is denied is asked for before the admission alone",
        (
            Patch(_WHY_NOT, "    ((_A, _E, _S), _blackout),\n", "    ((_A,), _blackout),\n"),
            Patch(
                _WHY_NOT,
                "rules = (_off_clock, _unreadable, _blackout, _closed)",
                "rules = (_off_clock, _unreadable, _closed)",
            ),
            Patch(f"{RULES}/windows.py", "Window(opened.minus(closed), closed", "Window(opened, closed"),
        ),
    ),
    Mutation(
        "retry-in-a-blackout",
        "I17",
        "a server that a change left broken gets its next attempt in what is denied too",
        one(
            _WHY_NOT,
            "    return None if end is None else Waiting(WaitReason.BLACKOUT",
            "    return None if end is None or may_finish(target, standing) else Waiting(WaitReason.BLACKOUT",
        ),
    ),
    Mutation(
        "unreadable-is-open",
        "I17",
        "a calendar file that cannot be read denies nothing",
        one(_WHY_NOT, "    file = standing.find_window(target).unreadable\n", "    file: str | None = None\n"),
        seeds=2 * _SEEDS,
    ),
    Mutation(
        "any-window-for-all",
        "I17",
        "a rule that matches some servers allows its time to all",
        one(
            f"{RULES}/windows.py",
            "None if allow is None else tuple(i for i, rule in enumerate(allow) if rule.match.covers(target)),",
            "None if allow is None else tuple(range(len(allow))),",
        ),
    ),
)

_BUDGETS = (
    Mutation(
        "max-failed-too-soon",
        "I18",
        "the run stops when as many failed as may",
        one(
            f"{RULES}/budgets.py",
            'yield Budget("max_failed", failures.failed, limits.max_failed, run.wipes)',
            'yield Budget("max_failed", failures.failed, limits.max_failed - 1, run.wipes)',
        ),
    ),
    Mutation(
        "max-failed-too-late",
        "I18",
        "the run stops one failure too late",
        one(
            f"{RULES}/budgets.py",
            'yield Budget("max_failed", failures.failed, limits.max_failed, run.wipes)',
            'yield Budget("max_failed", failures.failed, limits.max_failed + 1, run.wipes)',
        ),
    ),
    Mutation(
        "waves-have-no-failures",
        "I18",
        "no failure counts towards the budget of its wave",
        one(
            f"{RULES}/budgets.py",
            "        self._failed_in[ended.wave] += by * ended.failed\n        self.failed += by * ended.failed\n",
            "        self.failed += by * ended.failed\n",
        ),
    ),
    Mutation(
        "last-of-all",
        "I18",
        "the budget of those that ended last counts all that ended",
        one(
            f"{RULES}/budgets.py",
            "islice(reversed(self._ended.values()), number)",
            "islice(reversed(self._ended.values()), 9 * number)",
        ),
    ),
    Mutation(
        "first-of-those-that-ended",
        "I18",
        "the budget of those that ended last counts those that ended first",
        one(
            f"{RULES}/budgets.py",
            "islice(reversed(self._ended.values()), number)",
            "islice(self._ended.values(), number)",
        ),
    ),
    Mutation(
        "failures-of-the-first-wave",
        "I18",
        "the budget of each wave counts the failures of the first",
        one(f"{RULES}/budgets.py", "failures.failed_in(wave.number)", "failures.failed_in(1)"),
    ),
    Mutation(
        "pauses-where-it-is-to-end",
        "I18",
        "a budget that is to end the run pauses it",
        one(f"{RULES}/budgets.py", "RunState.FINISHING if ends else RunState.PAUSED", "RunState.PAUSED"),
    ),
)

_WAVES = (
    Mutation(
        "opens-when-all-are-admitted",
        "I19",
        "a wave opens as soon as nobody of the wave before is left in the queue",
        one(
            f"{RULES}/waves.py",
            "        if left > 0 or finished_at is None:\n",
            "        finished_at = finished_at or now - timedelta(days=8)\n        if left < 0:\n",
        ),
    ),
    Mutation(
        "no-bake",
        "I19",
        "a wave opens as soon as the wave before has ended, and nobody watches",
        one(f"{RULES}/waves.py", "        if now < baked_at:\n", "        if now < finished_at:\n"),
    ),
    Mutation(
        "owner-approves",
        "I19",
        "the owner of a run approves its waves, though the plan wants somebody other",
        one(f"{RULES}/waves.py", "        return by != owner\n", "        return bool(by or owner)\n"),
        seeds=_SEEDS,
    ),
    Mutation(
        "stale-approval",
        "I19",
        "an approval never expires",
        one(f"{RULES}/waves.py", ".items() if at >= oldest}", ".items() if at or oldest}"),
        seeds=_SEEDS,
    ),
    Mutation(
        "one-approval-is-enough",
        "I19",
        "one approval opens a wave that needs two",
        one(f"{RULES}/waves.py", "    if len(given) >= rule.of:\n", "    if given:\n"),
        seeds=_SEEDS,
    ),
)

_GROUPS = (
    Mutation(
        "limit-rounds-up",
        "I20",
        "a percentage of a group is rounded up",
        one(
            f"{RULES}/groups.py",
            "groups = (Group(key, size, limits[key[0]].of(size, at_least=1)) for key, size in sizes.items())",
            "groups = (\n"
            "            Group(key, size, limits[key[0]].of(size + 99 // round(limits[key[0]].number), at_least=1))\n"
            "            for key, size in sizes.items()\n"
            "        )",
        ),
    ),
    Mutation(
        "looks-do-not-expire",
        "I20",
        "a server that served once counts as one that serves for ever",
        one(
            f"{RULES}/groups.py",
            "return bool(self.oldest) and now - self.oldest[0][0] > LOOK_EXPIRES",
            "return bool(self.oldest) and self.oldest[0][0] == _NEVER_SEEN",
        ),
    ),
    Mutation(
        "admitted-serves",
        "I20",
        "a server that was admitted counts as one that serves until a look shows it down",
        one(f"{RULES}/groups.py", "admitted = target.state in IN_FLIGHT\n", "admitted = False\n"),
    ),
)

_WAITS = (
    Mutation(
        "parked-key-not-woken",
        "I21",
        "who waits for the group of a label is never asked again",
        one(
            f"{RULES}/admission/lanes.py",
            "if (place := self._head(lane)) is not None]",
            "if (place := self._head(lane)) is not None and lane.parked is None]",
        ),
        seeds=_SEEDS,
    ),
)

STEERING = (*_WINDOWS, *_BUDGETS, *_WAVES, *_GROUPS, *_WAITS)
