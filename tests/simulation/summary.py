"""What many worlds add up to, as text and as JSON, and whether it is clean."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulation.proof import Found, Result
from tests.simulation.situations import REQUIRED, missing
from tests.simulation.spec import POINT_KINDS, PointKind

COMMAND = "python -m tests.simulation"
FOUND_PER_INVARIANT = 5


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left of a play that broke an invariant: in how many parts of how many, in words, and in which file.

    `path` None: the play did not break it again.
    """

    found: Found
    path: str | None
    lines: tuple[str, ...] = ()
    parts: int = 0
    parts_before: int = 0


@dataclass(slots=True)
class Totals:
    """The sum of all results. `seeds` are the ranges, in words; `ended` is why it ended before its time, if it did."""

    worlds: int = 0
    plays: int = 0
    compared: int = 0
    deaths: Counter[PointKind] = field(default_factory=Counter[PointKind])
    freezes: int = 0
    requests: int = 0
    virtual_s: float = 0.0
    situations: Counter[str] = field(default_factory=Counter[str])
    broken: Counter[str] = field(default_factory=Counter[str])
    found: dict[str, list[Found]] = field(default_factory=dict[str, list[Found]])
    wall_s: float = 0.0
    seeds: list[str] = field(default_factory=list[str])
    shrunk: list[Shrunk] = field(default_factory=list[Shrunk])
    ended: str = ""

    def add(self, result: Result) -> None:
        """Add one result."""
        self.worlds += result.worlds
        self.plays += result.plays
        self.compared += result.compared
        self.deaths += result.deaths
        self.freezes += result.freezes
        self.requests += result.requests
        self.virtual_s += result.virtual_s
        self.situations.update(result.situations)
        self.broken += result.broken
        for found in result.found:
            kept = self.found.setdefault(found.invariant, [])
            if len(kept) < FOUND_PER_INVARIANT:
                kept.append(found)

    @property
    def missing(self) -> list[str]:
        """Return the situations that so many worlds should have reached more often; none for a few worlds."""
        return missing(self.situations, self.worlds)

    @property
    def clean(self) -> bool:
        """Return whether nothing was broken and nothing is missing."""
        return not self.broken and not self.missing


def command(found: Found) -> str:
    """Return the command that plays this one play again."""
    die = "" if found.die is None else f" --die {','.join(map(str, found.die)) or 'none'}"
    return f"{COMMAND} --seed {found.seed}{die}"


def as_json(totals: Totals) -> dict[str, object]:
    """Return the summary for programs."""
    return {
        "clean": totals.clean,
        "ended": totals.ended or None,
        "seeds": totals.seeds,
        "worlds": totals.worlds,
        "plays": totals.plays,
        "compared": totals.compared,
        "crash_points": {"total": totals.deaths.total(), **{kind: totals.deaths[kind] for kind in POINT_KINDS}},
        "freezes": totals.freezes,
        "requests": totals.requests,
        "virtual_hours": round(totals.virtual_s / 3600, 3),
        "wall_s": round(totals.wall_s, 1),
        "situations": dict(sorted(totals.situations.items())),
        "missing": totals.missing,
        "violations": {
            invariant: {"plays": plays, "first": [_found_json(one) for one in totals.found.get(invariant, [])]}
            for invariant, plays in sorted(totals.broken.items())
        },
        "shrunk": [_shrunk_json(one) for one in totals.shrunk],
    }


def _found_json(found: Found) -> dict[str, object]:
    return {"seed": found.seed, "die": found.die, "evidence": found.evidence, "command": command(found)}


def _shrunk_json(shrunk: Shrunk) -> dict[str, object]:
    found = {"invariant": shrunk.found.invariant, "seed": shrunk.found.seed, "die": shrunk.found.die}
    return {**found, "spec": shrunk.path, "parts": shrunk.parts, "parts_before": shrunk.parts_before}


def as_lines(totals: Totals) -> Iterator[str]:
    """Yield the summary for people, line by line."""
    yield from _numbers(totals)
    yield from _situations(totals)
    yield from _violations(totals)
    for shrunk in totals.shrunk:
        yield ""
        yield from _shrunk(shrunk)
    yield ""
    yield _verdict(totals)


def _numbers(totals: Totals) -> Iterator[str]:
    wall_s, points = max(totals.wall_s, 0.001), totals.deaths.total()
    kinds = ", ".join(f"{kind} {totals.deaths[kind]:,}" for kind in POINT_KINDS)
    rows = (
        ("worlds", f"{totals.worlds:,}", f"seeds {' and '.join(totals.seeds)}" if totals.seeds else ""),
        ("plays", f"{totals.plays:,}", f"{totals.compared:,} compared with a second one" if totals.compared else ""),
        ("crash points", f"{points:,}", kinds),
        ("freezes", f"{totals.freezes:,}", ""),
        ("requests", f"{totals.requests:,}", ""),
        ("virtual time", f"{totals.virtual_s / 3600:,.0f} h", ""),
        ("wall time", f"{wall_s:,.0f} s", f"{totals.worlds / wall_s:.1f} worlds, {points / wall_s:.0f} crash points/s"),
    )
    for name, number, more in rows:
        yield f"{name:<14}{number:>12}   {more}".rstrip()


def _situations(totals: Totals) -> Iterator[str]:
    """Yield those that must be reached, and then the others."""
    wanted, others = list(REQUIRED), sorted(set(totals.situations) - set(REQUIRED))
    lacking = set(totals.missing)
    width = max((len(name) for name in (*wanted, *others)), default=0)
    for title, names in (("situations", wanted), ("other situations", others)):
        if names:
            yield ""
            yield title
        for name in names:
            mark = "   MISSING: too few for so many worlds" if name in lacking else ""
            yield f"  {name:<{width}}{totals.situations[name]:>12,}{mark}"


def _violations(totals: Totals) -> Iterator[str]:
    for invariant, plays in sorted(totals.broken.items()):
        yield ""
        yield f"{invariant} is broken in {plays:,} {'play' if plays == 1 else 'plays'}"
        for found in totals.found.get(invariant, []):
            yield f"  {command(found)}"
            yield from (f"      {line}" for line in found.evidence.splitlines())


def _shrunk(shrunk: Shrunk) -> Iterator[str]:
    found = shrunk.found
    if shrunk.path is None:
        yield f"{found.invariant}, seed {found.seed}: played again, it did not break"
        return
    yield f"{found.invariant}, seed {found.seed}: {shrunk.parts} parts of {shrunk.parts_before} still break it"
    yield f"  {COMMAND} --spec {shrunk.path}"
    yield from (f"      {line}" for line in shrunk.lines)


def _verdict(totals: Totals) -> str:
    ended = f"{totals.ended}: " if totals.ended else ""
    if totals.clean:
        return f"{ended}clean"
    wrong = [f"{', '.join(sorted(totals.broken))} broken"] if totals.broken else []
    if totals.missing:
        wrong.append(f"{len(totals.missing)} situations missing")
    return f"{ended}NOT clean: {', '.join(wrong)}"
