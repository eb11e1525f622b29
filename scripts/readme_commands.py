"""Prints the lines of README.md's first shell block, one command each, just as a reader would copy them.

Needs nothing but Python, so that CI can run it before anything is installed.
"""

import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
OPENING, CLOSING = "```sh", "```"


def commands(readme: str) -> list[str]:
    """The lines between the first opening of a shell block and its end. Raises ValueError if there is no such block."""
    lines = readme.splitlines()
    start = lines.index(OPENING) + 1
    return lines[start : lines.index(CLOSING, start)]


if __name__ == "__main__":
    sys.stdout.writelines(f"{command}\n" for command in commands(README.read_text(encoding="utf-8")))
