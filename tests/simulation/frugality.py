"""What a rollout costs the cloud and how well it uses its slots, by the cloud's own ledger, in virtual time.

`python -m tests.simulation.frugality 1000 100` tells it of a thousand servers, a hundred at once.
"""

import sys
from dataclasses import dataclass

from fleetos.model.plan import ApiLimits, Polling, Rollout, Share, Timeouts
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.ledger import LedgerEntry
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import Operator, Spec
from tests.support.ledger import CHANGES

# How servers look during a change: as what they are, or stopped and idle.
PICTURES = ("rebuild", "idle")


@dataclass(frozen=True, slots=True)
class Figures:
    """All calls a server; the share of the slots' time in which a change ran; for how long a server lay stopped."""

    calls: float
    slots_used: float
    stopped_s: float


def rollout(picture: str, servers: int, concurrency: int) -> RunTrace:
    """Return the trace of a rollout without faults."""
    scenario = {
        "seed": 5,
        "servers": [{"count": servers, "name": "web-#####"}],
        "durations": {"stop": (10, 40), "start": (10, 30), "change": (180, 1200)},
        "change": {"picture": picture},
    }
    spec = Spec(
        seed=5,
        scenario=Scenario.model_validate(scenario),
        rollout=Rollout(Share(float(concurrency))),
        timeouts=Timeouts(),
        polling=Polling(5.0, 60.0),
        limits=ApiLimits(connections=16),
        loopback=True,
        operator=Operator((1, 2)),
        calm_at_s=1.0,
    )
    return run_scenario(spec)


def figures(trace: RunTrace) -> Figures:
    """Return what the ledger says of the time from the first change that began to the last."""
    changes = [one for one in trace.ledger.writes if one.operation in CHANGES and one.came == "accepted"]
    spans = [(_told(one.at), _told(one.ended_at)) for one in changes]
    first, last = min(began for began, _ in spans), max(began for began, _ in spans)
    used_s = sum(min(ended, last) - began for began, ended in spans)
    waits = sorted(_told(one.at) - _stopped_at(trace, one) for one in changes)
    return Figures(
        calls=sum(trace.ledger.requests.values()) / len(trace.targets),
        slots_used=used_s / (trace.run.settings.concurrency * (last - first)),
        stopped_s=waits[len(waits) // 2],
    )


def _told(at: float | None) -> float:
    assert at is not None
    return at


def _stopped_at(trace: RunTrace, change: LedgerEntry) -> float:
    stops = [one for one in trace.ledger.writes if one.operation == "stop" and change.servers[0] in one.servers]
    durations = trace.world.scenario.durations
    last = stops[-1]
    return _told(last.at) + trace.world.draws.between(durations.stop, "stop", last.seq, change.servers[0])


def main() -> None:
    """Tell the figures of both kinds of cloud."""
    servers, concurrency = (int(word) for word in sys.argv[1:3])
    for picture in PICTURES:
        found = figures(rollout(picture, servers, concurrency))
        told = f"{found.calls:.2f} calls a server, {found.slots_used:.1%} of the slots used"
        sys.stdout.write(f"{picture}: {told}, stopped for {found.stopped_s:.1f} s (median)\n")


if __name__ == "__main__":
    main()
