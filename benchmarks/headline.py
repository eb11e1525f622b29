"""The headline: one large rollout in virtual time, and what it costs the cloud's API and the servers' users.

1,000 servers, 100 at a time, changes of 3 to 20 minutes after stops of 10 to 40 seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from benchmarks.arithmetic import median, most_within, quantile
from benchmarks.evidence import changes, slot_use, slots_filled, stopped_before_change_s
from benchmarks.report import Section, Table, number, percent, say
from benchmarks.virtual import FLEET, Manner, Outlay, per_server, roll_out
from fleetos.sim.scenario.scenario import Scenario

SERVERS, CONCURRENCY = 1_000, 100
QUICK_SERVERS, QUICK_CONCURRENCY = 24, 8
STOP_S, CHANGE_S, LATENCY_S = (10.0, 40.0), (180.0, 1200.0), (0.05, 0.25)
ALLOWED_PER_S = 20
# Of each server of the fleet, so many are somebody else's, where the project is crowded.
OTHERS_EACH = 9
SEED = 7


@dataclass(frozen=True, slots=True)
class Case:
    """One world and one client in it."""

    name: str
    throttled: bool = False
    near: bool = False
    crowded: bool = False


CASES = (
    Case("free cloud"),
    Case("20 requests/s", throttled=True),
    Case("20 requests/s, no pace of its own", throttled=True, near=True),
    Case("a tenth of the project, no list by ids", crowded=True),
)
# The client that sets itself no pace is what shows how refusals are dealt with, and takes long: not for a quick look.
QUICK_CASES = CASES[:2]


def world(servers: int, *, throttled: bool = False, crowded: bool = False, seed: int = SEED) -> Scenario:
    """The cloud of the headline, by default one that allows any number of requests and has no other servers."""
    faults: list[dict[str, object]] = [{"on": "any", "do": "latency", "seconds": LATENCY_S}]
    if throttled:
        limit = {"requests": ALLOWED_PER_S, "per_s": 1, "stated": False, "plain": True}
        faults.append({"on": "any", "do": "throttle", **limit})
    return Scenario.model_validate(
        {
            "seed": seed,
            "servers": [
                *([{"count": servers * OTHERS_EACH, "name": "other-#####"}] if crowded else []),
                {"count": servers, "name": f"{FLEET}#####", "state": "running"},
            ],
            "durations": {"stop": STOP_S, "change": CHANGE_S},
            "list": {"server_id_filter": not crowded},
            "faults": faults,
        }
    )


def headline(servers: int | None, runs: int, *, quick: bool) -> Section:
    """The section, with one column for each case: the medians of so many worlds."""
    concurrency = QUICK_CONCURRENCY if quick else CONCURRENCY
    size = servers or (QUICK_SERVERS if quick else SERVERS)
    columns: dict[str, Mapping[str, float]] = {}
    worlds: dict[str, Sequence[Mapping[str, float]]] = {}
    for case in QUICK_CASES if quick else CASES:
        worlds[case.name] = [_played(case, size, concurrency, SEED + run) for run in range(runs)]
        columns[case.name] = _medians(worlds[case.name])
    title = f"Headline, in virtual time: {size:,} servers, {concurrency} at a time"
    seeds = "Seed" if runs == 1 else f"Medians of {runs} worlds, of the seeds from"
    table = Table(title, ("", *columns), rows(columns), (f"{seeds} {SEED}.", *NOTES))
    return Section("headline", [table], {"servers": size, "concurrency": concurrency, "cases": columns, "runs": worlds})


def _played(case: Case, size: int, concurrency: int, seed: int) -> Mapping[str, float]:
    say(f"headline: {size} servers, {case.name}, seed {seed}")
    began_s = perf_counter()
    scenario = world(size, throttled=case.throttled, crowded=case.crowded, seed=seed)
    outlay = roll_out(scenario, Manner(concurrency, near=case.near))
    return {**numbers(outlay, scenario, size, concurrency), "real s": perf_counter() - began_s}


def _medians(worlds: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    names = dict.fromkeys(name for one in worlds for name in one)
    return {name: median([one.get(name, 0.0) for one in worlds]) for name in names}


_SPANS = (
    f"Changes of {CHANGE_S[0] / 60:g} to {CHANGE_S[1] / 60:g} minutes, stops of {STOP_S[0]:g} to {STOP_S[1]:g} s, "
    f"answers after {LATENCY_S[0]:g} to {LATENCY_S[1]:g} s, polling and rate as a plan has them that says nothing."
)
SLOT_USE = (
    "Slot use: the time in which the changes that the cloud accepted fit on the slots at best (in their order, each "
    "begun as soon as a slot is free), as a part of the time from the first admission to the last end."
)
NOTES = (
    _SPANS,
    SLOT_USE,
    "Slots filled: the slots in which a change ran, on average between the first admission and the last.",
    f"20 requests/s: beyond {ALLOWED_PER_S} in a second the cloud answers 429, and names neither limit nor time.",
    f"A tenth of the project: {OTHERS_EACH} times as many servers of others stand before the fleet's in every list.",
)


def numbers(outlay: Outlay, scenario: Scenario, servers: int, concurrency: int) -> dict[str, float]:
    """What is reported of one rollout, by its name in the table."""
    done = changes(outlay.ledger)
    waits_s = stopped_before_change_s(outlay.ledger, scenario)
    calls = {f"calls/server: {operation}": each for operation, each in per_server(outlay.asked, servers)}
    return {
        "servers done": outlay.ends["done"],
        "calls/server": outlay.calls / servers,
        **calls,
        "slot use": slot_use(done, concurrency),
        "slots filled": slots_filled(done, concurrency),
        "most changes at once": outlay.ledger.max_changes_in_flight,
        "stopped before change, median s": median(waits_s),
        "stopped before change, p95 s": quantile(waits_s, 0.95),
        "refused (429)": outlay.refused.total(),
        "most requests in a second": most_within(outlay.requests_s, 1.0),
        "virtual hours": outlay.virtual_s / 3600,
        "client CPU ms/server": 1000 * outlay.client_cpu_s / servers,
    }


# How the numbers of the table are written; all others get one digit.
_WHOLE = {"servers done", "most changes at once", "refused (429)", "most requests in a second"}
_SHARES = {"slot use", "slots filled"}


def rows(columns: Mapping[str, Mapping[str, float]]) -> Sequence[Sequence[str]]:
    """The rows of a table with these columns; a number that a column lacks is 0."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    names.sort(key=_place)
    return [[name, *(_written(name, column.get(name, 0.0)) for column in columns.values())] for name in names]


def _place(name: str) -> int:
    """The calls of each operation stay below their sum, whichever column has them first."""
    return 0 if name == "servers done" else 1 if name == "calls/server" else 2 if name.startswith("calls/") else 3


def _written(name: str, value: float) -> str:
    if name in _SHARES:
        return percent(value)
    return number(value, 0 if name in _WHOLE else 2 if name.startswith("calls/") else 1)
