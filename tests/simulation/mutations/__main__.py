"""`python -m tests.simulation.mutations`: puts deliberate faults into copies of the source, and searches for each."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.mutations.catalogue import MUTATIONS
from tests.simulation.mutations.mutation_runner import ROOT, MutationResult, control, search
from tests.simulation.mutations.patches import Mutation, StalePatchError, mutated, source_below
from tests.simulation.mutations.result_tables import as_markdown, as_text, beside_as_markdown, listed, listed_beside
from tests.simulation.mutations.rule_faults import RULE_FAULTS
from tests.simulation.mutations.unit_tested_faults import UNIT_TESTED_FAULTS, clean, play_beside

FOUND, NOT_FOUND, USAGE, INTERRUPTED = 0, 1, 2, 130
_JOBS_MAX = 64
_EPILOG = """\
Each fault is put into a private copy of the packages; there seed after seed is played, from 1, until the checker of
the fault's own invariant reports it. The unchanged source is played over the same seeds and must be clean.

--further searches for more of them, one for each rule of the protocol; that takes long. --beside
plays the tests that must find the faults which no world can show; the list says why none can.

exit codes: 0 every fault was found by its own checker within its bound, and the control is clean; 1 not so;
2 not understood, or a patch no longer fits the source; 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    asked = _parser().parse_args(arguments)
    every = (
        [one.mutation for one in UNIT_TESTED_FAULTS] if asked.beside else RULE_FAULTS if asked.further else MUTATIONS
    )
    chosen = [one for one in every if not asked.only or one.name in asked.only]
    if asked.list:
        told_beside = beside_as_markdown if asked.output == "markdown" else listed_beside
        print("\n".join(told_beside(UNIT_TESTED_FAULTS) if asked.beside else listed(chosen)))
        return FOUND
    try:
        for mutation in chosen:
            mutated(mutation, source_below(ROOT))
        if asked.beside:
            return _tests(chosen)
        searches = _hunts(chosen, asked.jobs)
    except StalePatchError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    told = as_markdown if asked.output == "markdown" else as_text
    print("\n".join(told(searches)), flush=True)
    return FOUND if all(one.good for one in searches) else NOT_FOUND


def _tests(chosen: Sequence[Mutation]) -> int:
    """Play the tests of these faults one after the other, then those of the source as it is. Return the exit code."""
    some = [one for one in UNIT_TESTED_FAULTS if one.mutation in chosen]
    good = True
    for one in map(play_beside, some):
        good = good and one.found
        print(f"{one.unit_tested.mutation.name:26} {'found' if one.found else 'NOT FOUND':9} {one.told}", flush=True)
    as_it_is = clean(some)
    print(f"{'none (control)':26} {'clean' if as_it_is else 'NOT CLEAN'}", flush=True)
    return FOUND if good and as_it_is else NOT_FOUND


def _hunts(chosen: Sequence[Mutation], jobs: int) -> list[MutationResult]:
    """Return the control and the searches for all that was chosen. The control plays the seeds that these needed."""

    def searched(mutation: Mutation) -> MutationResult:
        done = search(mutation)
        how = f"seed {done.seed}" if done.seed is not None else f"NOT FOUND {done.trouble}"
        print(f"{mutation.name}: {how} ({done.spent_s:.0f} s)", file=sys.stderr, flush=True)
        return done

    with ThreadPoolExecutor(jobs) as pool:
        searches = list(pool.map(searched, chosen))
    invariants = sorted({name for one in chosen for name in one.invariant.split(",")}, key=lambda name: int(name[1:]))
    most = max((one.seed for one in searches if one.seed is not None), default=1)
    return [control(invariants, most, jobs), *searches]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.mutations",
        description="Shows that the judges of simulated plays find deliberate faults.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only", type=_names, default=(), metavar="NAMES", help="only these, as no-settle,job-is-proof"
    )
    parser.add_argument("--jobs", type=_jobs, default=2, metavar="N", help="processes beside each other (2)")
    sets = parser.add_mutually_exclusive_group()
    sets.add_argument("--further", action="store_true", help="search for the further faults instead")
    sets.add_argument("--beside", action="store_true", help="play the tests beside the code instead")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    parser.add_argument("-o", "--output", choices=("text", "markdown"), default="text", help="text")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names, known = (
        tuple(text.split(",")),
        {one.name for one in (*MUTATIONS, *RULE_FAULTS, *(one.mutation for one in UNIT_TESTED_FAULTS))},
    )
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: --list names them")
    return names


def _jobs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _JOBS_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {_JOBS_MAX}")
    return number


if __name__ == "__main__":
    sys.exit(main())
