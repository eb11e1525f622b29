"""One simulated process: it can die at any point, be stopped and go on later, and its machine's clocks lie.

A process is whatever runs in a context of its own. Stopped, none of its callbacks run; they are kept, in their order,
until it goes on. It dies by an error that nobody catches, and from that moment on nothing that it does has any effect.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleetos.clock import Moment
from fleetos.sim.virtual_time import VirtualLoop, now_s
from tests.simulation.spec import Clocks, Freeze, PointKind
from tests.simulation.spec_steering import BORN


class Died(BaseException):
    """The process is no more. Nothing may catch it."""


@dataclass(slots=True)
class ProcessFaults:
    """What befalls the processes of one play, and what has befallen them. Everything is counted over the play."""

    deaths: frozenset[int]
    freezes: list[Freeze]
    points: int = 0
    clock_reads: int = 0
    died: Counter[PointKind] = field(default_factory=Counter[PointKind])
    froze: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    calm: bool = False


class Process:
    """One process of fleetos on a machine of its own."""

    def __init__(
        self,
        number: int,
        process_faults: ProcessFaults,
        clocks: Clocks,
        apart_s: float,
        log_line: Callable[[str], None],
        born: datetime = BORN,
    ) -> None:
        self.number = number
        self.process_faults = process_faults
        self.clocks = clocks
        self.log_line = log_line
        self.dead = False
        self.frozen: Freeze | None = None
        self.parked: list[_Step] = []
        self.stopped = asyncio.Event()
        self._born = born
        self._apart_s = apart_s
        self._pace = 1 + clocks.drift
        self._time = asyncio.get_running_loop().time
        self._suspended_s = 0.0
        self._frozen_at_s = 0.0

    # --- clocks ---

    def now(self) -> datetime:
        """Return what this machine takes for the time of day."""
        return self._wall(self._time())

    def _wall(self, true_s: float) -> datetime:
        told_s = true_s * self._pace + self._apart_s
        for jump in self.clocks.jumps:
            if jump.at_s <= true_s:
                told_s += jump.by_s
        return self._born + timedelta(seconds=told_s)

    def moment(self) -> Moment:
        """Return this instant on the machine's three clocks."""
        if self.process_faults.freezes:
            self.process_faults.clock_reads += 1
            self._freeze_if_due("clock", self.process_faults.clock_reads)
        true_s = self._time()
        elapsed_s = 1000.0 * self.number + true_s * self._pace
        return Moment(self._wall(true_s), elapsed_s, elapsed_s - self._suspended_s)

    # --- death and cold ---

    def point(self, kind: PointKind) -> None:
        """Count a point at which a process can die or be stopped. Raises Died if that is to happen here."""
        if self.dead:
            raise Died
        process_faults = self.process_faults
        process_faults.points += 1
        process_faults.kinds[kind] += 1
        if process_faults.points in process_faults.deaths:
            self.dead = True
            process_faults.died[kind] += 1
            self.log_line(f"dies at point {process_faults.points}, {kind}")
            raise Died
        if kind != "before request":
            self._freeze_if_due(kind, process_faults.kinds[kind])

    def _freeze_if_due(self, kind: str, nth: int) -> None:
        if not self.process_faults.freezes or self.process_faults.calm or self.frozen is not None or self.dead:
            return
        for freeze in self.process_faults.freezes:
            if freeze.kind == kind and freeze.nth <= nth:
                self.process_faults.freezes.remove(freeze)
                self._freeze(freeze)
                return

    def _freeze(self, freeze: Freeze) -> None:
        """From the end of the callback that runs now, nothing of this process runs for a while."""
        self.log_line(f"{'is suspended' if freeze.suspend else 'is stopped'} for {freeze.for_s:g} s ({freeze.kind})")
        self.process_faults.froze += 1
        self.frozen = freeze
        self._frozen_at_s = now_s()
        self.stopped.set()
        asyncio.get_running_loop().call_later(freeze.for_s, self._thaw, context=Context())

    def _thaw(self) -> None:
        freeze, self.frozen = self.frozen, None
        if freeze is not None and freeze.suspend:
            self._suspended_s += now_s() - self._frozen_at_s
        self.log_line("goes on")
        steps, self.parked = self.parked, []
        for step in steps:
            asyncio.get_running_loop().call_soon(step, context=step.context)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class _Step:
    """A callback of a process: it waits while the process is stopped."""

    __slots__ = ("args", "callback", "context", "handle", "process")

    def __init__(
        self, process: Process, callback: Callable[..., object], args: tuple[object, ...], context: Context
    ) -> None:
        self.process = process
        self.callback = callback
        self.args = args
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        if self.process.frozen is not None:
            self.process.parked.append(self)
        elif self.handle is None or not self.handle.cancelled():
            self.callback(*self.args)


_ROUND_S = 1e-6


def make_loop(freezes: Sequence[Freeze]) -> VirtualLoop:
    """Return the loop for a play: where nobody is ever stopped, its callbacks need not be held back."""
    return MachinesLoop(_ROUND_S) if freezes else VirtualLoop(_ROUND_S)


class MachinesLoop(VirtualLoop):
    """The loop on which all processes of a play run, each in its context, and can be stopped."""

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        """Schedule a callback, as a step of its process if it belongs to one."""
        step = _step(callback, args, context)
        if step is None:
            return super().call_soon(callback, *args, context=context)
        step.handle = super().call_soon(step, context=step.context)
        return step.handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a callback at a time, as a step of its process if it belongs to one."""
        step = _step(callback, args, context)
        if step is None:
            return super().call_at(when, callback, *args, context=context)
        handle = super().call_at(when, step, context=step.context)
        step.handle = handle
        return handle


def _step(callback: Callable[..., object], args: tuple[object, ...], context: Context | None) -> _Step | None:
    if isinstance(callback, _Step):
        return None
    process = PROCESS.get() if context is None else context.get(PROCESS)
    if process is None:
        return None
    return _Step(process, callback, args, copy_context() if context is None else context)
