"""The law of states as Mermaid diagrams and tables, written into a page between two markers.

Run it as `python -m fleetos.views.state_diagram docs/architecture.md`; with `--check` it changes nothing and tells by
its exit code whether the page is as it would write it.
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
    """The diagrams and tables of targets and runs, in Markdown."""
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
    """A Mermaid state diagram of the moves. Moves from an end are drawn too: they are what the operator asks for."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {before} --> {after}" for before, afters in moves.items() for after in afters]
    lines += [f"    {state} --> [*]" for state in moves if state in ends]
    return "\n".join([*lines, "```"])


def table(moves: Mapping[_State, Mapping[_State, str]]) -> str:
    """A Markdown table of the moves: from, to, when."""
    rows = [
        f"| `{before}` | `{after}` | {when} |" for before, afters in moves.items() for after, when in afters.items()
    ]
    return "\n".join(["| From | To | When |", "|---|---|---|", *rows])


def renewed(page: str) -> str:
    """The page with the law of states between its markers.

    Raises UsageError if it does not have each marker once, in their order.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise UsageError(
            "the page does not have both markers once, in their order", f"it needs the lines {BEGIN} and {END}"
        )
    return f"{head}{BEGIN}\n\n{law()}\n\n{END}{tail}"


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 if the page is as it should be or was written, 1 if `--check` found it outdated."""
    names = [one for one in arguments if one != "--check"]
    if len(names) != 1:
        raise UsageError("one page is needed", "python -m fleetos.views.state_diagram docs/architecture.md [--check]")
    path = Path(names[0])
    page = path.read_text(encoding="utf-8")
    after = renewed(page)
    if "--check" in arguments:
        return int(after != page)
    path.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
