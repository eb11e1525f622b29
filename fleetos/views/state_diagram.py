"""Generate the state diagrams in docs/architecture.md, between two markers.

Run it as `python -m fleetos.views.state_diagram docs/architecture.md`; with `--check` it changes nothing, and exits
with 1 if the page is outdated.
"""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from fleetos.errors import UsageError
from fleetos.model.states import ENDS, MOVES, RUN_ENDS, RUN_MOVES, RunState, TargetState

BEGIN = "<!-- states: generated from fleetos/model/states.py -->"
END = "<!-- states: end -->"

_State = TypeVar("_State", bound=StrEnum)


def law() -> str:
    """Return the diagrams and tables of targets and runs, in Markdown."""
    return "\n".join(
        (
            "### Targets",
            "",
            diagram(MOVES, TargetState.WAITING, ENDS),
            "",
            table(MOVES),
            "",
            "### Runs",
            "",
            diagram(RUN_MOVES, RunState.RUNNING, RUN_ENDS),
            "",
            table(RUN_MOVES),
        )
    )


def diagram(moves: Mapping[_State, Mapping[_State, str]], first: _State, ends: frozenset[_State]) -> str:
    """Return a Mermaid state diagram of the moves. Moves from an end are drawn too: an operator may ask for them."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {before} --> {after}" for before, afters in moves.items() for after in afters]
    lines += [f"    {state} --> [*]" for state in moves if state in ends]
    return "\n".join([*lines, "```"])


def table(moves: Mapping[_State, Mapping[_State, str]]) -> str:
    """Return a Markdown table of the moves, with their conditions."""
    rows = [
        f"| `{before}` | `{after}` | {when} |" for before, afters in moves.items() for after, when in afters.items()
    ]
    return "\n".join(["| From | To | When |", "|---|---|---|", *rows])


def update_page(page: str) -> str:
    """Return the page with the law of states between its markers.

    Raise UsageError unless it has each marker once, in their order.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise UsageError(
            "the page does not have both markers once, in their order", f"it needs the lines {BEGIN} and {END}"
        )
    return f"{head}{BEGIN}\n\n{law()}\n\n{END}{tail}"


def main(arguments: Sequence[str]) -> int:
    """Return the exit code: 0 if the page is current or was written, 1 if `--check` found it outdated."""
    names = [argument for argument in arguments if argument != "--check"]
    if len(names) != 1:
        raise UsageError("one page is needed", "python -m fleetos.views.state_diagram docs/architecture.md [--check]")
    path = Path(names[0])
    page = path.read_text(encoding="utf-8")
    after = update_page(page)
    if "--check" in arguments:
        return int(after != page)
    path.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
