"""One play, told line by line as it happens, and its verdict."""

import faulthandler
import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.simulation.proof import Caught, Die, Judge, Result
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import Spec
from tests.simulation.workers import PLAY_MAX_S


def replay(spec: Spec, judge: Judge, say: Callable[[str], None]) -> bool:
    """Return whether the play breaks nothing. `say` hears the trace, and then the verdict."""
    with Caught() as caught:
        with _told_if_it_hangs():
            trace = run_scenario(spec, say)
        for line in told(trace):
            say(line)
        caught.violations = judge(trace)
    for violation in caught.violations:
        say(f"{violation.invariant} is broken: {violation.evidence}")
    say("NOT clean" if caught.violations else "clean")
    return not caught.violations


@contextmanager
def _told_if_it_hangs() -> Generator[None]:
    """Where time stands still, the last line of the trace says when, and this, on standard error, says where."""
    faulthandler.dump_traceback_later(PLAY_MAX_S, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def replay_as_json(spec: Spec, judge: Judge, say: Callable[[str], None]) -> bool:
    """Return whether the play breaks nothing. `say` hears the verdict as JSON."""
    result = Result(spec.seed)
    with Caught() as caught:
        trace = run_scenario(spec)
        result.add(trace)
        caught.violations = judge(trace)
    facts = {
        "clean": not caught.violations,
        "seed": spec.seed,
        "deaths": dict(result.deaths),
        "freezes": result.freezes,
        "requests": result.requests,
        "virtual_s": round(result.virtual_s, 3),
        "situations": dict(sorted(result.situations.items())),
        "violations": [{"invariant": one.invariant, "evidence": one.evidence} for one in caught.violations],
    }
    say(json.dumps(facts, indent=1))
    return not caught.violations


def dying(spec: Spec, die: Die | None) -> Spec:
    """Return the spec with its deaths at these points, None for those that it names."""
    return spec if die is None else replace(spec, deaths=die)


def told(trace: RunTrace) -> Iterator[str]:
    """Yield how the play came out."""
    yield ""
    for session in trace.sessions:
        trouble = f": {session.trouble}" if session.trouble else ""
        times = f"{session.began_s:.0f} s to {session.ended_s:.0f} s"
        yield f"process {session.process}, epoch {session.epoch}, {times}: {session.ended}{trouble}"
    for target in trace.targets.values():
        yield f"server {target.server_id[:8]} {target.name}: {target.state}"
    yield f"run: {trace.run.state} at {trace.ended_s:.0f} s"
    died = ", ".join(f"{count} {kind}" for kind, count in sorted(trace.deaths.items())) or "none"
    yield f"{trace.points} points to die at, deaths: {died}; {trace.requests} requests, {len(trace.records)} records"
    late = sorted(point for point in trace.spec.deaths if point > trace.points)
    if late:
        yield f"nobody could die at {', '.join(map(str, late))}: there are no such points"
    yield ""
