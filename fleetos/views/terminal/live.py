"""Live view: redraw one frame in place, and leave the summary behind at the end."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from fleetos.model.journal.events import Record
from fleetos.model.progress import Progress
from fleetos.views.slot_usage import SlotUsage
from fleetos.views.terminal.console import console_on
from fleetos.views.terminal.frame import Spent, frame
from fleetos.views.terminal.highlights import Highlights
from fleetos.views.terminal.plain import PlainView
from fleetos.views.terminal.summary import summary
from fleetos.views.text.format import printable, short_timestamp
from fleetos.views.text.rollout_words import RolloutSource, iterate_lines
from fleetos.views.view import View

# Eight frames a second look smooth, and cost next to nothing.
_DRAW_EVERY = timedelta(seconds=1 / 8)
# A run may have thousands of groups, which are looked through for those at their limit.
_ROLLOUT_EVERY = timedelta(seconds=1)


def wants_live(console: Console) -> bool:
    """Return whether the console is a terminal that can move its cursor."""
    return console.is_terminal and not console.is_dumb_terminal


class LiveView:
    """View that draws on `console` at most eight times a second, and only when it is called: it has no thread.

    It asks the terminal for its size before each frame, so a resize shows in the next one.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._highlights: Highlights | None = None
        self._spent = Spent(0.0)
        self._pace = SlotUsage()
        self._drawn_at: datetime | None = None
        self._widths: Sequence[int] = ()
        self._drawn_width = 0
        self._rollout: RolloutSource | None = None
        self._rollout_lines: Sequence[str] = ()
        self._rollout_at: datetime | None = None

    def started(self, progress: Progress, now: datetime, rollout: RolloutSource | None = None) -> None:
        """Take the lower end of the terminal until `ended` or `close`."""
        self._highlights = Highlights(progress, now)
        self._rollout = rollout
        # Standard output stays untouched: it is for data. Standard error appears above the frame.
        self._live = Live(
            Text(""),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )
        self._live.start()
        self._draw(now)

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        if self._highlights is None:
            return
        self._pace.add_turn(progress, records, now)
        self._highlights.update(records, now)
        self._spent = Spent((now - self._highlights.started_at).total_seconds(), requests, self._pace)
        if self._drawn_at is None or not timedelta(0) <= now - self._drawn_at < _DRAW_EVERY:
            self._draw(now)

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        elapsed_s = (now - self._highlights.started_at).total_seconds() if self._highlights else 0.0
        self.close()
        self._console.print(summary(progress, Spent(elapsed_s, requests, self._pace)), highlight=False)

    def note(self, text: str, now: datetime) -> None:
        self._console.print(Text(f"{short_timestamp(now)} {printable(text)}"), highlight=False)

    def close(self) -> None:
        """Clear the frame and give the cursor back. A second call does nothing."""
        live, self._live = self._live, None
        if live is not None:
            self._unwrap()
            live.stop()

    def _draw(self, now: datetime) -> None:
        if self._live is None or self._highlights is None:
            return
        self._unwrap()
        width, height = self._console.size
        self._update_rollout(now)
        drawn_frame = frame(self._highlights, self._spent, now, width, height, self._rollout_lines)
        self._widths = [line.cell_len for line in drawn_frame.split("\n")]
        self._drawn_width = width
        self._live.update(drawn_frame, refresh=True)
        self._drawn_at = now

    def _update_rollout(self, now: datetime) -> None:
        if self._rollout_at is None or not timedelta(0) <= now - self._rollout_at < _ROLLOUT_EVERY:
            self._rollout_lines, self._rollout_at = list(iterate_lines(self._rollout)), now

    def _unwrap(self) -> None:
        """Clear the last frame if the terminal has become narrower and wrapped it.

        The frame then fills more rows than were drawn, and Live clears only the drawn ones.
        """
        width = self._console.width
        if not self._widths or width >= self._drawn_width or width <= 0:
            return
        extra = sum(max(0, -(-cells // width) - 1) for cells in self._widths)
        rows = extra + len(self._widths) - 1
        up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
        erase = [(ControlType.ERASE_IN_LINE, 2), *(code for _ in range(rows) for code in up)]
        down = [(ControlType.CURSOR_DOWN, len(self._widths) - 1)] if len(self._widths) > 1 else []
        self._console.control(Control(ControlType.CARRIAGE_RETURN, *erase, *down))
        self._drawn_width = width


def view_on(out: TextIO) -> View:
    """Return the view for `out`: live on a terminal that can move its cursor, plain lines elsewhere."""
    console = console_on(out)
    return LiveView(console) if wants_live(console) else PlainView(out)
