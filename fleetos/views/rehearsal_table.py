"""Text of `rehearse`: the table that a change board asks for, in the zone of the plan's windows."""

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import groupby
from zoneinfo import ZoneInfo

from rich.text import Text

from fleetos.model.steering.rehearsal import CallFigures, CaseFigures, EndFigures, GroupFigures, PlayStop, Rehearsal
from fleetos.text import counted, join_some
from fleetos.views.terminal.tables import Row, grid
from fleetos.views.text.format import clip, printable, short_duration
from fleetos.views.text.run_condition import where_words

# A name in the first column leaves room for two times on a line of 80 cells.
_NAME_CELLS = 24
_SERVERS_NAMED = 5
_NONE = "not reached"


def rehearsal_text(rehearsal: Rehearsal, width: int | None) -> Text:
    """Return the rehearsal for people. Lines are cut at `width` cells; None: no limit."""
    zone = _zone(rehearsal)
    planned = rehearsal.cases[0]
    parts = [_ends(rehearsal, planned, zone, width)]
    if planned.windows:
        parts.append(_windows(planned, zone, width))
    if planned.groups:
        parts.append(_groups(planned.groups, width))
    if len(rehearsal.cases) > 1:
        parts.append(_cases(rehearsal, zone, width))
    parts.append(Text("\n").join(_sentences(rehearsal, planned, zone)))
    return Text("\n\n").join(parts)


def _zone(rehearsal: Rehearsal) -> tzinfo | None:
    """Return the zone of the plan's windows; None: that of this machine."""
    windows = rehearsal.run.steering.windows
    return ZoneInfo(windows.zone) if windows is not None and windows.zone is not None else None


def _ends(rehearsal: Rehearsal, case: CaseFigures, zone: tzinfo | None, width: int | None) -> Text:
    rows: list[Row] = [
        (
            _name(f"{wave.number} {wave.name or ''}".strip()),
            f"{wave.members:,}",
            *_times(wave.end, zone),
        )
        for wave in case.waves
    ]
    rows.append(("all", f"{rehearsal.servers:,}", *_times(case.end, zone)))
    return grid(("WAVE", "SERVERS", "ENDS (P50)", "ENDS (P95)"), rows, width)


def _windows(case: CaseFigures, zone: tzinfo | None, width: int | None) -> Text:
    rows = [
        (" to ".join(_time(at, zone) for at in window.interval), f"{window.p50:,}", f"{window.most:,}")
        for window in case.windows
    ]
    return grid(("WINDOW", "SERVERS (P50)", "MOST"), rows, width)


def _groups(groups: Sequence[GroupFigures], width: int | None) -> Text:
    """Return a row for each group; of the many values of a label one, that comes nearest to its limit."""
    rows: list[Row] = []
    for per, members in groupby(groups, key=lambda group: group.per):
        alike = list(members)
        if per.startswith("label:"):
            alike = [max(alike, key=lambda group: group.most / group.limit)]
        rows += [(_name(f"{per} {group.value}".strip()), f"{group.most:,}", f"{group.limit:,}") for group in alike]
    return grid(("GROUP", "MOST OUT AT ONCE", "LIMIT"), rows, width)


def _cases(rehearsal: Rehearsal, zone: tzinfo | None, width: int | None) -> Text:
    rows = [
        (
            _name(case.supposition.name),
            *_times(case.end, zone),
            f"{case.stops.get(PlayStop.BUDGET, 0)} of {rehearsal.seeds}",
        )
        for case in rehearsal.cases
    ]
    return grid(("WHAT IF", "ENDS (P50)", "ENDS (P95)", "STOPS"), rows, width)


def _sentences(rehearsal: Rehearsal, case: CaseFigures, zone: tzinfo | None) -> Iterator[Text]:
    supposition, seeds = case.supposition, rehearsal.seeds
    yield Text(
        f"Rehearsed {counted(seeds, 'time')} for {counted(rehearsal.servers, 'server')}; nothing was touched.", "bold"
    )
    yield Text(f"  {where_words(rehearsal.run.scope)}")
    begin = rehearsal.run.steering.not_before or rehearsal.begin
    begin = rehearsal.run.steering.not_before or rehearsal.begin
    yield Text(f"  begins {_time(begin, zone)}, times in {_zone_name(zone)}")
    source = (
        f"those of {counted(rehearsal.learned, 'earlier change')}"
        if rehearsal.learned
        else "those of the cloud's documents, since none was seen here yet"
    )
    yield Text(f"  durations are {source}")
    yield Text(
        f"  {_percent(supposition.failure_rate)} of the changes fail, approvals come after "
        f"{short_duration(supposition.approve_after_s)}"
    )
    yield Text(f"  failed servers: {case.failed_p50:,} (P50), {case.failed_p95:,} (P95)")
    yield Text(f"  API calls: {_calls(case.reads, 'read')}; {_calls(case.writes, 'write')}")
    yield from (Text(f"  {words}", "bold yellow") for words in _stops(case, seeds))
    if case.never_fit:
        names = join_some([printable(name) for name in sorted(case.never_fit)], _SERVERS_NAMED)
        yield Text(f"  never fit in a window: {names}", "bold yellow")
    if rehearsal.deadline is not None:
        verdict = ("missed", "bold red") if case.misses else ("met", "green")
        yield Text(f"  the deadline, {_time(rehearsal.deadline, zone)}, is {verdict[0]} (P95)", verdict[1])


_STOP_WORDS = {
    PlayStop.BUDGET: "a budget stops the run",
    PlayStop.STUCK: "the run waits in vain for a window or a group",
    PlayStop.HORIZON: "the run lasts for longer than is rehearsed",
    PlayStop.OTHER: "the run pauses for a person",
}


def _stops(case: CaseFigures, seeds: int) -> Iterator[str]:
    return (f"{words} in {case.stops[stop]} of {seeds}" for stop, words in _STOP_WORDS.items() if case.stops.get(stop))


def _calls(calls: CallFigures, kind: str) -> str:
    limit = "" if calls.limit_per_min is None else f" of {calls.limit_per_min:g}"
    return f"{counted(calls.p50, kind)} (P95 {calls.p95:,}), at most {calls.most_per_min:,}{limit} a minute"


def _percent(share: float) -> str:
    return f"{share * 100:.6f}".rstrip("0").rstrip(".") + "%"


def _name(text: str) -> str:
    return clip(text, _NAME_CELLS)


def _times(end: EndFigures, zone: tzinfo | None) -> tuple[str, str]:
    return _time_or_none(end.p50, zone), _time_or_none(end.p95, zone)


def _time_or_none(at: datetime | None, zone: tzinfo | None) -> str:
    return _NONE if at is None else _time(at, zone)


def _time(at: datetime, zone: tzinfo | None) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}"


def _zone_name(zone: tzinfo | None) -> str:
    return "the zone of this machine" if zone is None else str(zone)
