"""Estimate duration and API calls of a run, from remembered changes or else from the documents. Pure."""

from collections.abc import Sequence
from itertools import chain

from fleetos.limits import STOP_GROUP_SHARE
from fleetos.model.experience import Durations, Experience, image_id_of
from fleetos.model.preview import Band, Estimate
from fleetos.model.run import Run, Target
from fleetos.planning.settings import CloudFacts

# User guides: 1 to 4 minutes on Open Telekom Cloud, which the simulated cloud copies, and 10 to 20 elsewhere.
_DOCUMENTED_OTC = Band(60.0, 240.0)
_DOCUMENTED_ELSEWHERE = Band(600.0, 1200.0)
# A shutdown by the guest is cut off after a minute, unless the image says otherwise (ECS API, stopping servers).
DOCUMENTED_STOP = Band(0.0, 60.0)
# The fastest and the slowest tenth of the remembered durations are left out.
_OUTLIER_SHARE = 0.1
# Calls per server by concurrency, measured with tests.simulation.frugality: 25, 11, 5 and 3 at a concurrency of 1, 5,
# 20 and 100. A read of many servers at once costs less for each.
_CALLS_AT_LEAST, _CALLS_ALONE, _CALLS_FALL = 2.2, 22.8, 0.65


def estimate_run(
    run: Run,
    targets: Sequence[Target],
    experience: Experience,
    facts: CloudFacts,
    *,
    read_rate_per_s: float | None,
    write_rate_per_s: float | None,
) -> Estimate:
    """Estimate what it takes to change the targets if no change fails, at the current API rates."""
    documented = documented_change(facts)
    remembered = remembered_durations(targets, experience)
    change = _band(remembered) or documented
    reads, writes = _estimate_calls(targets, run.settings.concurrency)
    paced_s = max(_paced_s(reads, read_rate_per_s), _paced_s(writes, write_rate_per_s))
    stop = _band(experience.stops_s) or DOCUMENTED_STOP
    running = any(target.ran_before for target in targets)
    return Estimate(
        change=change,
        remembered=len(remembered),
        run=_run_band(len(targets), run.settings.concurrency, change, stop if running else Band(0.0, 0.0), paced_s),
        reads=reads,
        writes=writes,
        read_rate_per_s=read_rate_per_s,
        write_rate_per_s=write_rate_per_s,
    )


def documented_change(facts: CloudFacts) -> Band:
    """Return how long a change takes by the documents of the cloud."""
    return _DOCUMENTED_OTC if facts.is_otc or facts.is_simulated else _DOCUMENTED_ELSEWHERE


def remembered_durations(targets: Sequence[Target], experience: Experience) -> Durations:
    """Return how long changes to these images took; if none was seen, how long changes to any image took."""
    images = {target.order.image_id for target in targets}
    of_these_images = [durations for key, durations in experience.changes.items() if image_id_of(key) in images]
    return tuple(chain.from_iterable(of_these_images or experience.changes.values()))


def _band(durations: Durations) -> Band | None:
    if not durations:
        return None
    ordered = sorted(durations)
    outliers = int(len(ordered) * _OUTLIER_SHARE)
    return Band(ordered[outliers], ordered[-1 - outliers])


def _run_band(changes: int, concurrency: int, change: Band, stop: Band, paced_s: float) -> Band | None:
    """Estimate the shortest and the longest duration of the run.

    Slots are filled again one by one: at best no change waits for another, at worst each round takes the longest.
    """
    if not changes:
        return None
    rounds = -(-changes // concurrency)
    best_s = change.low_s * max(1.0, changes / concurrency)
    return Band(stop.low_s + max(best_s, paced_s), stop.high_s + max(change.high_s * rounds, paced_s))


def _estimate_calls(targets: Sequence[Target], concurrency: int) -> tuple[int, int]:
    """Estimate the number of reads and of writes. One stop call names all servers that are stopped together."""
    changes = len(targets)
    if not changes:
        return 0, 0
    at_once = min(concurrency, changes)
    running = sum(target.ran_before for target in targets)
    writes = changes + -(-running // max(1, round(STOP_GROUP_SHARE * at_once)))
    calls = round(changes * (_CALLS_AT_LEAST + _CALLS_ALONE / at_once**_CALLS_FALL))
    return max(calls - writes, changes), writes


def _paced_s(requests: int, rate_per_s: float | None) -> float:
    return 0.0 if rate_per_s is None else requests / rate_per_s
