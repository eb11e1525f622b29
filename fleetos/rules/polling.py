"""All outstanding reads at once: intervals, and the calls that serve the looks and jobs that are due. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleetos.limits import (
    ENDS_PER_SWEEP_CALL,
    FIRST_END_LIKELY,
    JITTER,
    POLL_BUDGET_SHARE,
    SWEEP_TYPICAL_SHARE,
    UNKNOWN_SWEEP_AGE_SHARE,
)
from fleetos.model.run import Settings
from fleetos.rules.forecast import RunningChanges
from fleetos.rules.needs import AskJob, AskTraces, Need, ReadServerNeed


@dataclass(frozen=True, slots=True)
class Sweep:
    """Read these servers by whatever is cheapest."""

    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadServer:
    """Read one server by a read of its own."""

    server_id: str


@dataclass(frozen=True, slots=True)
class ReadJob:
    """Read one job for all the targets that wait for it."""

    job_id: str
    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadTraces:
    """Read what was done to a server's disks since the request of `ask`."""

    server_id: str
    ask: AskTraces


Read = Sweep | ReadServer | ReadJob | ReadTraces


def interval_s(outstanding: int, reads_per_s: float | None, settings: Settings, fraction: float) -> float:
    """Seconds between two polls of one thing, so that all of them together stay within the read budget."""
    wanted_s = settings.poll_min_s
    if reads_per_s is not None:
        wanted_s = max(wanted_s, outstanding / (reads_per_s * POLL_BUDGET_SHARE))
    return min(wanted_s, settings.poll_max_s) * (1.0 - JITTER * fraction)


def sweep_interval_s(changes: RunningChanges, calls: int, settings: Settings, fraction: float) -> float:
    """Seconds until the changes are worth the next look, which takes so many calls, within the plan's bounds.

    So long that some of them have ended by then for each call, and not so long that one that ended early waits for a
    large part of what a change takes. While nothing is known, and for those that outlast all others, the look comes
    after a part of the age: a change of a second is then seen as soon, in proportion, as one of an hour.
    """
    least_s, most_s = settings.poll_min_s, settings.poll_max_s
    wanted_s = most_s
    foreseen, beyond_s = changes.foreseen(), changes.unforeseen_s()
    if foreseen.number:
        some_s = foreseen.time_until(ENDS_PER_SWEEP_CALL * calls, most_s)
        first_s = foreseen.time_until(min(FIRST_END_LIKELY, foreseen.number / 4), most_s)
        wanted_s = min(some_s, first_s + SWEEP_TYPICAL_SHARE * foreseen.typical_s)
    if beyond_s:
        wanted_s = min(wanted_s, beyond_s[len(beyond_s) // 2] * UNKNOWN_SWEEP_AGE_SHARE)
    return min(max(wanted_s, least_s), most_s) * (1.0 - JITTER * fraction)


def reads(due: Iterable[tuple[str, Need]]) -> list[Read]:
    """The reads that serve what is due: one a job, one a server that needs its own, one sweep for the rest."""
    jobs: dict[str, list[str]] = {}
    swept: dict[str, None] = {}
    single: dict[str, None] = {}
    traces: list[Read] = []
    for server_id, need in due:
        match need:
            case AskJob():
                jobs.setdefault(need.job_id, []).append(server_id)
            case ReadServerNeed(single=True):
                single[server_id] = None
            case ReadServerNeed():
                swept[server_id] = None
            case AskTraces():
                traces.append(ReadTraces(server_id, need))
            case _:
                continue
    found: list[Read] = [ReadJob(job_id, tuple(server_ids)) for job_id, server_ids in jobs.items()]
    found += [ReadServer(server_id) for server_id in single]
    rest = tuple(server_id for server_id in swept if server_id not in single)
    if rest:
        found.append(Sweep(rest))
    return found + traces
