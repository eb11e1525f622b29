"""`python -m tests.simulation`: proves many worlds, or plays one of them again and tells what happens in it."""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

from tests.simulation.checkers import CHECKERS, check
from tests.simulation.progress import Meter
from tests.simulation.proof import Die, Judge, Orders
from tests.simulation.replay import dying, replay, replay_as_json
from tests.simulation.seeds import Seeds, fresh_base
from tests.simulation.shrink_jobs import shrunk
from tests.simulation.situations import WORLDS_AT_LEAST, WORLDS_FOR_THE_COMMON
from tests.simulation.spec import Spec
from tests.simulation.spec_file import from_json
from tests.simulation.summary import Totals, as_json, as_lines
from tests.simulation.workers import NoWorkers, proved
from tests.simulation.worlds import SMALL_EVERY, world

CLEAN, NOT_CLEAN, USAGE, INTERRUPTED = 0, 1, 2, 130
_JOBS_MAX = 256
_EXAMPLES = f"""\
examples:
  python -m tests.simulation --seeds 10000 --jobs 2      10,000 fresh worlds
  python -m tests.simulation --seeds 500 --from 1        the same 500 worlds each time
  python -m tests.simulation --seeds 1 --from 40         one world; a small one with a death at every point
  python -m tests.simulation --budget 180 --jobs 2       three minutes: fixed worlds first, then fresh ones
  python -m tests.simulation --seed 1234                 one play of that world, told as it happens
  python -m tests.simulation --seed 1234 --die 17,40     the same, but the process dies at these two points
  python -m tests.simulation --spec smaller.json         what shrinking has left

A world whose seed is a multiple of {SMALL_EVERY} is small: it is played without a death, and once for each point at
which its process can die; where all points would take too long, for every so manieth. Standard output has the summary,
or the trace; standard error has how far it is.

exit codes: 0 clean; 1 an invariant is broken, or {WORLDS_AT_LEAST} worlds and more did not reach every situation that
they should, or {WORLDS_FOR_THE_COMMON} and more every common one; 2 not understood; 130 interrupted, after the summary
so far
"""


def main(arguments: Sequence[str] | None = None, judge: Judge = check, world: Callable[[int], Spec] = world) -> int:
    """Return the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    _consistent(parser, asked)
    orders = Orders(judge, world, frozenset(asked.only), enumerate=not asked.no_enumerate)
    try:
        if asked.seed is not None or asked.spec is not None:
            return _replay(parser, asked, orders)
        return _prove(asked, orders)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left; nobody is to hear of that when Python closes it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_CLEAN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Plays whole runs in virtual time, with everything going wrong, and judges them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seeds", type=_positive, metavar="N", help="prove so many worlds, fresh ones without --from")
    what.add_argument("--budget", type=_seconds, metavar="SECONDS", help="prove as many worlds as the time allows")
    what.add_argument("--seed", type=_positive, metavar="SEED", help="play one world once and tell what happens")
    what.add_argument("--spec", type=Path, metavar="FILE", help="the same for a spec in a file")
    parser.add_argument("--from", type=_positive, metavar="SEED", dest="first", help="the first of --seeds")
    parser.add_argument("--die", type=_points, metavar="POINTS", help="points at which to die, as 17,40, or none")
    processors = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=_jobs, default=processors, metavar="N", help="processes (all processors)")
    parser.add_argument("--only", type=_names, default=(), metavar="NAMES", help="judge only these, as I2,I5")
    parser.add_argument("--stop-at-first", action="store_true", help="end with the first world that is not clean")
    parser.add_argument("--no-enumerate", action="store_true", help="play small worlds once, too")
    parser.add_argument("--shrink", type=_seconds, default=20.0, metavar="SECONDS", help="for each of three (20)")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="text")
    return parser


def _consistent(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> None:
    """Leave with what is wrong, if options do not go together."""
    if asked.first is not None and asked.seeds is None:
        parser.error("--from goes with --seeds")
    if asked.die is not None and asked.seed is None and asked.spec is None:
        parser.error("--die goes with --seed or --spec")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _jobs(text: str) -> int:
    number = _positive(text)
    if number > _JOBS_MAX:
        raise argparse.ArgumentTypeError(f"{text} is more than {_JOBS_MAX}")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds


def _points(text: str) -> Die:
    return () if text == "none" else tuple(sorted({_positive(part) for part in text.split(",")}))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in CHECKERS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(CHECKERS)}")
    return names


def _replay(parser: argparse.ArgumentParser, asked: argparse.Namespace, orders: Orders) -> int:
    if asked.seed is not None:
        spec = orders.world(asked.seed)
    else:
        try:
            spec = from_json(asked.spec.read_bytes())
        except (OSError, ValueError) as error:
            parser.error(f"{asked.spec}: {error}")
    told = replay_as_json if asked.output == "json" else replay
    listener = Listener()
    clean = told(dying(spec, asked.die), orders.judged, listener)
    sys.stdout.flush()
    if listener.left:
        raise BrokenPipeError
    return CLEAN if clean else NOT_CLEAN


class Listener:
    """Prints what is said, for as long as anybody reads it: a play must not end by that, and so hears nothing of it."""

    def __init__(self) -> None:
        self.left = False

    def __call__(self, line: str) -> None:
        if not self.left:
            try:
                print(line)
            except BrokenPipeError:
                self.left = True


def _prove(asked: argparse.Namespace, orders: Orders) -> int:
    first = asked.first or fresh_base()
    budget_s = inf if asked.budget is None else asked.budget
    seeds = Seeds(first, asked.seeds, budget_s, fixed=asked.budget is not None)
    totals = Totals()
    try:
        if asked.first is None:
            print(f"fresh seeds begin at {first}", file=sys.stderr, flush=True)
        with Meter() as meter, contextlib.closing(proved(iter(seeds), orders, asked.jobs, seeds.left_at_s)) as results:
            for result in results:
                totals.add(result)
                meter.tell(totals, seeds.spent_s / budget_s if budget_s < inf else totals.worlds / asked.seeds)
                if asked.stop_at_first and totals.broken:
                    totals.ended = "stopped at the first"
                    break
    except KeyboardInterrupt:
        totals.ended = "interrupted"
    except NoWorkers as error:
        print(f"error: {error}", file=sys.stderr)
        return NOT_CLEAN
    totals.wall_s, totals.seeds = time.monotonic() - seeds.began_s, seeds.told()
    if totals.ended != "interrupted" and asked.shrink:
        try:
            totals.shrunk = shrunk(totals.found, orders, asked.shrink)
        except KeyboardInterrupt:
            totals.ended = "interrupted"
    print(json.dumps(as_json(totals), indent=1) if asked.output == "json" else "\n".join(as_lines(totals)), flush=True)
    if totals.ended == "interrupted":
        return INTERRUPTED
    return CLEAN if totals.clean else NOT_CLEAN


if __name__ == "__main__":
    sys.exit(main())
