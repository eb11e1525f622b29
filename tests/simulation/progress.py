"""How far it is: a bar on a terminal, and now and then a line where there is none."""

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tests.simulation.summary import Totals

_LINE_EVERY_S = 10.0


def words(totals: Totals) -> str:
    """Return how far it is, in words."""
    broken = [f", {name} BROKEN (seed {plays[0].seed})" for name, plays in sorted(totals.found.items()) if plays]
    return f"{totals.worlds:,} worlds, {totals.deaths.total():,} crash points{''.join(broken)}"


@dataclass(slots=True)
class Meter:
    """Tells on standard error how far it is; `share` is the part that is done, from 0 to 1."""

    began_s: float = field(default_factory=time.monotonic)
    told_s: float = field(default_factory=time.monotonic)
    bar: Progress | None = None
    task: TaskID | None = None

    def __enter__(self) -> "Meter":
        if sys.stderr.isatty():
            columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("workers begin", total=1.0)
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()

    def tell(self, totals: Totals, share: float) -> None:
        """Tell it if it is time to."""
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=min(1.0, share), description=words(totals))
        elif (now_s := time.monotonic()) - self.told_s >= _LINE_EVERY_S:
            self.told_s = now_s
            print(f"{now_s - self.began_s:.0f} s: {share:.0%}, {words(totals)}", file=sys.stderr, flush=True)
