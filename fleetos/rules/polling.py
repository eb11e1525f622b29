"""Plan all outstanding reads: intervals, and the calls that serve the reads that are due. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleetos.model.run import Settings
from fleetos.rules.forecast import RunningChanges
from fleetos.rules.needs import Need, ReadJobNeed, ReadServerNeed, ReadTracesNeed

# A sweep pays off when at least this many changes per call are expected to have ended since the last one.
ENDS_PER_SWEEP_CALL = 2.8
# With fewer changes at once: when the first end is this likely, a sweep follows within SWEEP_TYPICAL_SHARE of a typical
# change.
FIRST_END_LIKELY = 0.25
SWEEP_TYPICAL_SHARE = 0.03
# While the duration of changes is unknown, the next sweep follows after this share of their age.
UNKNOWN_SWEEP_AGE_SHARE = 0.1
# Share of the read budget that polling may use; the rest is for reads that cannot wait.
POLL_BUDGET_SHARE = 0.6
# Intervals are stretched by up to this share, so that the runs of one operator do not poll in step.
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Sweep:
    """Read of these servers, by whatever is cheapest."""

    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadServer:
    """Read of one server by itself."""

    server_id: str


@dataclass(frozen=True, slots=True)
class ReadJob:
    """Read of one job, for all the targets that wait for it."""

    job_id: str
    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadTraces:
    """Read of what was done to a server's disks since `ask.since`."""

    server_id: str
    ask: ReadTracesNeed


DueRead = Sweep | ReadServer | ReadJob | ReadTraces


def poll_interval_s(outstanding: int, reads_per_s: float | None, settings: Settings, fraction: float) -> float:
    """Return the seconds between two polls of one server or job, so that all together stay within the read budget."""
    wanted_s = settings.poll_min_s
    if reads_per_s is not None:
        wanted_s = max(wanted_s, outstanding / (reads_per_s * POLL_BUDGET_SHARE))
    return min(wanted_s, settings.poll_max_s) * (1.0 - JITTER * fraction)


def sweep_interval_s(changes: RunningChanges, calls: int, settings: Settings, fraction: float) -> float:
    """Return the seconds until the next sweep pays for its `calls`, within the plan's bounds.

    Long enough that some changes have ended by then for each call, and short enough that one that ended early does not
    wait for a large part of what a change takes. While nothing is known, and for changes that outlast all others, the
    sweep comes after a share of the age: a change of a second is then seen as soon, in proportion, as one of an hour.
    """
    least_s, most_s = settings.poll_min_s, settings.poll_max_s
    wanted_s = most_s
    foreseen, beyond_s = changes.covered(), changes.uncovered_ages_s()
    if foreseen.count:
        some_s = foreseen.time_until(ENDS_PER_SWEEP_CALL * calls, most_s)
        first_s = foreseen.time_until(min(FIRST_END_LIKELY, foreseen.count / 4), most_s)
        wanted_s = min(some_s, first_s + SWEEP_TYPICAL_SHARE * foreseen.median_s)
    if beyond_s:
        wanted_s = min(wanted_s, beyond_s[len(beyond_s) // 2] * UNKNOWN_SWEEP_AGE_SHARE)
    return min(max(wanted_s, least_s), most_s) * (1.0 - JITTER * fraction)


def plan_reads(due: Iterable[tuple[str, Need]]) -> list[DueRead]:
    """Return the reads that serve what is due: one a job, one a server that needs its own, one sweep for the rest."""
    jobs: dict[str, list[str]] = {}
    swept: dict[str, None] = {}
    single: dict[str, None] = {}
    traces: list[DueRead] = []
    for server_id, need in due:
        match need:
            case ReadJobNeed():
                jobs.setdefault(need.job_id, []).append(server_id)
            case ReadServerNeed(single=True):
                single[server_id] = None
            case ReadServerNeed():
                swept[server_id] = None
            case ReadTracesNeed():
                traces.append(ReadTraces(server_id, need))
            case _:
                continue
    planned: list[DueRead] = [ReadJob(job_id, tuple(server_ids)) for job_id, server_ids in jobs.items()]
    planned += [ReadServer(server_id) for server_id in single]
    rest = tuple(server_id for server_id in swept if server_id not in single)
    if rest:
        planned.append(Sweep(rest))
    return planned + traces
