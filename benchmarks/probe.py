"""One rollout in virtual time in a process of its own, so that its memory can be told: `python -m benchmarks.probe N`.

Prints JSON.
"""

import json
import resource
import sys
from pathlib import Path

from benchmarks.headline import world
from benchmarks.virtual import Manner, roll_out
from fleetos.sim.scenario.scenario import SIM_SERVERS_MAX, Scenario

# Of ten servers one is changed at a time, in every size.
SHARE = 10


def large_world(servers: int) -> Scenario:
    """The cloud of the headline with any number of servers.

    A scenario file holds as many as the simulated cloud serves within milliseconds. In virtual time nobody waits for
    it, so several groups of that size are put together past the check of their sum.
    """
    if servers <= SIM_SERVERS_MAX:
        return world(servers)
    base = world(SIM_SERVERS_MAX)
    sizes = [SIM_SERVERS_MAX] * (servers // SIM_SERVERS_MAX) + [servers % SIM_SERVERS_MAX]
    groups = [
        base.servers[0].model_copy(update={"count": size, "name": f"web-{place}-#####"})
        for place, size in enumerate(sizes)
        if size
    ]
    return base.model_copy(update={"servers": tuple(groups)})


def resident_bytes() -> int:
    """Return the memory that this process has now, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


def main(servers: int) -> dict[str, float]:
    """Return what the rollout took, in all."""
    before_bytes = resident_bytes()
    outlay = roll_out(large_world(servers), Manner(max(1, servers // SHARE)))
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "done": outlay.ends["done"],
        "calls": outlay.calls,
        "records": outlay.records,
        "client_cpu_s": outlay.client_cpu_s,
        "freeze_cpu_s": outlay.freeze_cpu_s,
        "memory_bytes": peak_bytes - before_bytes,
        "virtual_s": outlay.virtual_s,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]))) + "\n")
