"""The command: `python -m benchmarks` measures, prints the tables, and writes them down as Markdown and JSON."""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.admission import admission
from benchmarks.clients.ways import WAYS
from benchmarks.headline import headline
from benchmarks.micro import micro
from benchmarks.peers import Choice, peers
from benchmarks.report import Report, Section, Table
from benchmarks.scaled import SCALE
from benchmarks.scaling import scaling
from benchmarks.start_up import start_up
from fleetos.clock import SystemClock
from fleetos.errors import FleetosError


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for. `servers` None: as many as each measurement has by itself."""

    servers: int | None
    runs: int
    scale: float
    quick: bool
    choice: Choice


MEASUREMENTS: Mapping[str, Callable[[Asked], Section]] = {
    "headline": lambda asked: headline(asked.servers, asked.runs, quick=asked.quick),
    "peers": lambda asked: peers(asked.servers, asked.runs, asked.scale, asked.choice, quick=asked.quick),
    "scaling": lambda asked: scaling(asked.servers, asked.scale, quick=asked.quick),
    "micro": lambda asked: micro(asked.runs, quick=asked.quick),
    "admission": lambda asked: admission(asked.servers, quick=asked.quick),
    "start-up": lambda asked: start_up(asked.runs, quick=asked.quick),
}
EXAMPLES = """
measurements:
  headline   a large rollout in virtual time: calls, slot use, time stopped, refusals (minutes; --quick: seconds)
  peers      fleetos beside a script with asyncio, one with the vendor's SDK, and a playbook, in real time (three
             quarters of an hour; --quick: minutes). Needs pip install -e '.[bench]'; the table says what is missing
  scaling    how calls, CPU time, memory and journal grow with the fleet, up to 100,000 servers in virtual time and
             10,000 in real time, and how long a resume takes to get going (half an hour; --servers N: up to N)
  micro      the journal beside sqlite3, the client beside aiohttp (a minute)
  admission  a window that opens for 100,000 servers that wait (seconds; --servers N: that many)
  start-up   CPU time and memory of commands that do next to nothing, beside bare Python (a minute)
  all        all of them, one after the other

examples:
  python -m benchmarks headline --quick          seconds: whether it works at all
  python -m benchmarks headline                  the numbers to tune the engine by
  python -m benchmarks peers --runs 1 --scale 20 at a third of the speed, so that start-up times weigh less
  python -m benchmarks peers --runs 1 --servers 400 --concurrency 50 --clients asyncio --no-kill
                                                 two of them, and how they cost with a larger fleet
  python -m benchmarks scaling --servers 1000    up to 1,000 servers
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures fleetos on the simulated cloud. Tables go to standard output, progress to standard error",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("measurement", nargs="?", choices=[*MEASUREMENTS, "all"], default="all", help="default: all")
    made.add_argument("--servers", type=_count, metavar="N", help="how many servers, where that can be chosen")
    made.add_argument("--runs", type=_count, metavar="N", default=3, help="runs of which medians are taken; default 3")
    made.add_argument(
        "--scale", type=float, metavar="X", default=SCALE, help=f"real time: X times as fast; default {SCALE:g}"
    )
    made.add_argument("--concurrency", type=_count, metavar="N", help="peers: how many servers at a time")
    made.add_argument(
        "--clients", metavar="NAMES", default="", help="peers: these beside fleetos, by the beginnings of their names"
    )
    made.add_argument("--no-kill", action="store_true", help="peers: leave out what a kill does")
    made.add_argument("--output", type=Path, metavar="DIR", help="write the report there, as Markdown and JSON")
    made.add_argument("--quick", action="store_true", help="small sizes and one run, to see whether it works")
    return made


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 1 when one of the measurements failed. The report has it all the same, with the reason."""
    given = parser().parse_args(arguments)
    clients = tuple(name.strip().casefold() for name in given.clients.split(",") if name.strip())
    choice = Choice(given.concurrency, clients, not given.no_kill)
    if unknown := choice.unknown():
        parser().error(f"no client is called {', '.join(unknown)}; there are {', '.join(way.name for way in WAYS)}")
    asked = Asked(given.servers, 1 if given.quick else given.runs, given.scale, given.quick, choice)
    told = sys.argv[1:] if arguments is None else arguments
    report = Report(" ".join(["python -m benchmarks", *told]), SystemClock().now())
    failed = False
    for name in MEASUREMENTS if given.measurement == "all" else [given.measurement]:
        try:
            report.sections.append(MEASUREMENTS[name](asked))
        except (FleetosError, RuntimeError, OSError, httpx.HTTPError) as error:
            failed = True
            report.sections.append(_failed(name, error))
    sys.stdout.write(report.markdown())
    if given.output is not None:
        for path in report.write(given.output):
            sys.stderr.write(f"written: {path}\n")
    return int(failed)


def _failed(name: str, error: Exception) -> Section:
    """Return what the report has in place of a measurement that failed: hours of others are not lost for its sake."""
    why = f"{type(error).__name__}: {error}"
    return Section(name, [Table(f"{name} was not measured", ("why",), [[why]])], {"failed": why})


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
