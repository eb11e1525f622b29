"""Record of one play: what is left of a run and of its simulated cloud, as figures.

The judge of who was out and what was changed is the ledger of the cloud, not what the run says of itself.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from fleetos.app.rehearsal.script import HORIZON, Script
from fleetos.app.rehearsal.world import CountedCloud
from fleetos.engine.engine import Engine
from fleetos.engine.rollout.window_times import WindowTimes
from fleetos.model.journal.events import RunWaveFinished
from fleetos.model.run import Run
from fleetos.model.states import RUN_ENDS, Reason, RunState
from fleetos.model.steering.rehearsal import CallCount, GroupFigures, Play, PlayStop
from fleetos.model.steering.times import Interval
from fleetos.rules.admission.pass_facts import Point
from fleetos.rules.groups import Groups, group_keys
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.store.memory_journal import MemoryRun

_CHANGES = frozenset({"changeos", "reinstallos"})
_STOPS = {Reason.BUDGET: PlayStop.BUDGET, Reason.STUCK: PlayStop.STUCK}
Span = tuple[float, float]
Rates = tuple[float | None, float | None]


def describe_play(
    store: MemoryRun,
    engine: Engine,
    cloud: CountedCloud,
    script: Script,
    rates_per_s: Rates,
) -> Play:
    """Return how the play went; `rates_per_s` are the limits of reads and of writes."""
    run, writes = store.run, cloud.world.ledger.writes
    stop = _why_stopped(run)
    waves = {record.event.number: record.at for record in store.records if isinstance(record.event, RunWaveFinished)}
    return Play(
        ended_at=run.ended_at if stop is None else None,
        stop=stop,
        waves=waves,
        windows=_count_by_window(script, writes),
        failed=sum(target.failed_in(run.passes) for target in store.targets.values()),
        groups=_count_groups(script, writes, cloud.world.now),
        reads=_count_calls(cloud.reads, rates_per_s[0]),
        writes=_count_calls(cloud.writes, rates_per_s[1]),
        never_fit=() if stop is None else tuple(_never_fit(store, engine)),
    )


def _why_stopped(run: Run) -> PlayStop | None:
    """Return why a run did not come to its end; None if it did. A budget may pause the run, or end it."""
    if run.state is RunState.FAILED:
        return PlayStop.BUDGET
    if run.state in RUN_ENDS:
        return None
    if run.state is not RunState.PAUSED or run.reason is None:
        return PlayStop.HORIZON
    return _STOPS.get(run.reason, PlayStop.OTHER)


def _count_calls(by_minute: Counter[int], rate_per_s: float | None) -> CallCount:
    limit = None if rate_per_s is None else rate_per_s * 60
    return CallCount(by_minute.total(), max(by_minute.values(), default=0), limit)


def _count_by_window(script: Script, writes: Sequence[LedgerEntry]) -> Mapping[Interval, int]:
    """Return how many changes ended well, by the window in which they began, as far as it is rehearsed.

    Empty for a run without windows.
    """
    windows = script.run.steering.windows
    counts: Counter[Interval] = Counter()
    if windows is None:
        return counts
    times = WindowTimes(windows, script.targets, script.begin)
    for path, text in script.calendars.items():
        times.take_calendar(path, text, script.begin)
    for write in writes:
        if write.ended == "success" and write.at is not None:
            window = times.windows[times.window_of[write.servers[0]]]
            interval = window.opened.find(datetime.fromtimestamp(write.at, UTC))
            if interval is not None:
                # A plan that only denies times has windows without a begin or an end.
                counts[max(interval[0], script.begin), min(interval[1], script.begin + HORIZON)] += 1
    return counts


def _count_groups(script: Script, writes: Sequence[LedgerEntry], end_s: float) -> Sequence[GroupFigures]:
    """Return how many members of each group were out at once, by the ledger."""
    rules, spans = script.run.steering.groups, defaultdict[tuple[str, str], list[Span]](list)
    if not rules:
        return ()
    keys = {target.server_id: group_keys(rules, target) for target in script.targets}
    down = {target.server_id: script.begin.timestamp() for target in script.targets if not target.ran_before}
    for server_id, span in _outages(down, writes, end_s):
        for key in keys[server_id]:
            spans[key].append(span)
    groups = sorted(Groups.of(rules, script.targets), key=lambda group: group.key)
    return [GroupFigures(*group.key, most_at_once(spans[group.key]), group.limit) for group in groups]


def _outages(down: dict[str, float], writes: Sequence[LedgerEntry], end_s: float) -> Iterator[tuple[str, Span]]:
    """Yield from when to when servers were out, by their id; `down` are those that were out from the begin.

    A change that fails leaves its server out, until a later one ends well or it is started again.
    """
    events = sorted(_power_events(writes), key=lambda event: event[0])
    for at_s, server_id, is_out in events:
        if is_out:
            down.setdefault(server_id, at_s)
        elif server_id in down:
            yield server_id, (down.pop(server_id), at_s)
    for server_id, since_s in down.items():
        yield server_id, (since_s, end_s)


def _power_events(writes: Sequence[LedgerEntry]) -> Iterator[tuple[float, str, bool]]:
    """Yield when each server went out (true) and came back (false), by its id."""
    for write in writes:
        if write.at is None or write.came != "accepted":
            continue
        if write.operation in _CHANGES:
            yield write.at, write.servers[0], True
            if write.ended == "success" and write.ended_at is not None:
                yield write.ended_at, write.servers[0], False
        else:
            for server_id in write.acted_on:
                yield write.at, server_id, write.operation == "stop"


def most_at_once(spans: Sequence[Span]) -> int:
    """Return the largest number of spans that overlap. One that begins where another ends does not overlap it."""
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return max(accumulate(step for _, step in edges), default=0)


def _never_fit(store: MemoryRun, engine: Engine) -> Iterator[str]:
    """Yield the names of servers that were left because no window is as long as their change."""
    standing = engine.rollout().standing
    if standing.steering.windows is None:
        return
    for target in store.targets.values():
        if not target.ended:
            need_s = standing.need_s(standing.kind_of(target), Point.ADMIT)
            longest_s = standing.find_window(target).opened.longest.total_seconds()
            if 0 < longest_s < need_s:
                yield target.name
