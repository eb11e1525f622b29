"""Write docs/tree.md: every folder and file of the package with the first line of its docstring.

    python3 scripts/tree_page.py docs/tree.md [--check]

With --check it changes nothing and exits with 1 if the page is not as it would write it.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fleetos"
HEAD = """\
# The tree

Every folder and file of the package, with the first line of its docstring. What each room must not know, and how a turn
of the engine works, is in [architecture](architecture.md).

<!-- generated: python3 scripts/tree_page.py docs/tree.md -->
"""


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with --check return 1 if it is outdated."""
    page = Path(next(argument for argument in arguments if argument != "--check"))
    text = f"{HEAD}\n" + "\n".join(sections(PACKAGE))
    if "--check" in arguments:
        return int(page.read_text(encoding="utf-8") != text)
    page.write_text(text, encoding="utf-8")
    return 0


def sections(folder: Path) -> Iterator[str]:
    """Yield a section for the folder and one for each folder in it."""
    files = sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")
    yield f"## `{folder.relative_to(ROOT)}/`\n"
    if about := first_line(folder / "__init__.py"):
        yield f"{about}\n"
    if files:
        yield "| File | |\n|---|---|"
        yield from (f"| `{file.name}` | {first_line(file)} |" for file in files)
        yield ""
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from sections(inner)


def first_line(file: Path) -> str:
    """Return the first line of the file's docstring, empty if it has none."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return docstring.splitlines()[0].replace("|", "\\|") if docstring else ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
