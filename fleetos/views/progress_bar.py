"""Progress bar of a command that counts its steps, on a terminal that can move its cursor; nothing elsewhere."""

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from fleetos.text import counted
from fleetos.views.terminal.live import wants_live

_CELLS = 30


class ProgressBar:
    """Bar on one line, which `close` wipes away. `step` names one step."""

    def __init__(self, console: Console, total: int, step: str) -> None:
        self._console = console
        self._shown = wants_live(console)
        self._total = total
        self._step = step
        self._done = 0
        self._draw()

    def advance(self) -> None:
        """Count one more step."""
        self._done += 1
        self._draw()

    def close(self) -> None:
        """Leave an empty line."""
        if self._shown:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))

    def _draw(self) -> None:
        if not self._shown:
            return
        full = _CELLS * self._done // max(1, self._total)
        bar = Text("[").append("#" * full, style="green").append("-" * (_CELLS - full), style="dim")
        self.close()
        self._console.print(bar.append(f"] {self._done:,} of {counted(self._total, self._step)}"), end="")
