"""Draw text with terminal colours, read from standard input, as an SVG picture on standard output.

docs/apply.svg is a screen of a real run, taken from tmux (the first line of the screen was left out):

  tmux new-session -d -s demo -x 80 -y 24 '.venv/bin/fleetos apply plans/demo.yaml --yes'; sleep 15
  tmux capture-pane -e -p -t demo | tail -n +2 > screen
  .venv/bin/python scripts/picture.py 'fleetos apply plans/demo.yaml' < screen > docs/apply.svg
"""

import io
import re
import sys

from rich.console import Console
from rich.text import Text

WIDTH = 80


def picture(screen: str, title: str) -> str:
    """Return the SVG of a screen. It loads no font from anywhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(screen.rstrip()), no_wrap=True, crop=True)
    svg = console.export_svg(title=title, unique_id="fleetos")
    bare = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in bare.splitlines()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read(), sys.argv[1]))
