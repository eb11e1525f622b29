"""How long a run will take and what it will ask of the API, by what is remembered, else by the documents. Pure."""

from collections.abc import Sequence
from itertools import chain

from fleetos.limits import STOP_GROUP_SHARE
from fleetos.model.experience import Durations, Experience, image_of
from fleetos.model.preview import Band, Estimate
from fleetos.model.run import Run, Target
from fleetos.planning.settings import CloudFacts

# User guides: 1 to 4 minutes on Open Telekom Cloud, whose simulated sister keeps to that, 10 to 20 elsewhere.
_DOCUMENTED_OTC = Band(60.0, 240.0)
_DOCUMENTED_ELSEWHERE = Band(600.0, 1200.0)
# A shutdown by the guest is cut off after a minute, unless the image says otherwise (ECS API, stopping servers).
_DOCUMENTED_STOP = Band(0.0, 60.0)
# Of what is remembered, the fastest and the slowest tenth are left out.
_EDGE = 0.1
# Calls a server, by how many change at once: measured with tests.simulation.frugality at 1, 5, 20 and 100 at once
# (25, 11, 5 and 3), since whoever watches many together reads less for each.
_CALLS_AT_LEAST, _CALLS_ALONE, _CALLS_FALL = 2.2, 22.8, 0.65


def estimated(
    run: Run,
    wiped: Sequence[Target],
    experience: Experience,
    facts: CloudFacts,
    *,
    read_rate_per_s: float | None,
    write_rate_per_s: float | None,
) -> Estimate:
    """What the changes of those targets take when none fails, with the API's budget as it is now."""
    documented = _DOCUMENTED_OTC if facts.is_otc or facts.near else _DOCUMENTED_ELSEWHERE
    seen = _remembered(wiped, experience)
    change = _band(seen) or documented
    reads, writes = _calls(wiped, run.settings.concurrency)
    paced_s = max(_paced_s(reads, read_rate_per_s), _paced_s(writes, write_rate_per_s))
    stop = _band(experience.stops_s) or _DOCUMENTED_STOP
    running = any(target.ran_before for target in wiped)
    return Estimate(
        change=change,
        remembered=len(seen),
        run=_run_band(len(wiped), run.settings.concurrency, change, stop if running else Band(0.0, 0.0), paced_s),
        reads=reads,
        writes=writes,
        read_rate_per_s=read_rate_per_s,
        write_rate_per_s=write_rate_per_s,
    )


def _remembered(wiped: Sequence[Target], experience: Experience) -> Durations:
    """How long changes to these images took; to any image, where none of these was seen."""
    images = {target.order.image_id for target in wiped}
    own = [durations for key, durations in experience.changes.items() if image_of(key) in images]
    return tuple(chain.from_iterable(own or experience.changes.values()))


def _band(durations: Durations) -> Band | None:
    if not durations:
        return None
    inner = sorted(durations)
    edge = int(len(inner) * _EDGE)
    return Band(inner[edge], inner[-1 - edge])


def _run_band(changes: int, concurrency: int, change: Band, stop: Band, paced_s: float) -> Band | None:
    """Slots are filled again one by one, so at best none waits for another; at worst each round takes the longest."""
    if not changes:
        return None
    rounds = -(-changes // concurrency)
    best_s = change.low_s * max(1.0, changes / concurrency)
    return Band(stop.low_s + max(best_s, paced_s), stop.high_s + max(change.high_s * rounds, paced_s))


def _calls(wiped: Sequence[Target], concurrency: int) -> tuple[int, int]:
    """About how many reads and writes; a stop names as many servers as are stopped together."""
    changes = len(wiped)
    if not changes:
        return 0, 0
    at_once = min(concurrency, changes)
    running = sum(target.ran_before for target in wiped)
    writes = changes + -(-running // max(1, round(STOP_GROUP_SHARE * at_once)))
    calls = round(changes * (_CALLS_AT_LEAST + _CALLS_ALONE / at_once**_CALLS_FALL))
    return max(calls - writes, changes), writes


def _paced_s(requests: int, rate_per_s: float | None) -> float:
    return 0.0 if rate_per_s is None else requests / rate_per_s
