"""Processes that prove seeds side by side. One that dies or hangs is a finding; another takes its place.

They are spawned, so that each has a hash seed of its own: what depends on the order of a set shows as another course.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from math import inf
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeAlias, cast

from tests.simulation.proof import DETERMINISM, Die, Orders, Result, course, die_at, prove
from tests.simulation.run_trace import Violation

# Processor time: no play takes a tenth of this. Time that stands still takes for ever.
PLAY_MAX_S = 60.0
# Where other work has the processors, so many times that may pass by the clock; then the play waits for something.
_PATIENCE = 20.0
# So many plays are a task: few enough that nobody waits long for the last one.
_POINTS_AT_ONCE = 20
_LOOK_EVERY_S = 1.0
_START_MAX_S = 120.0
CRASHED, HANGS = "crashed", "hangs"
# What says something of a process, not of a play.
NOT_SHRUNK = frozenset({DETERMINISM, CRASHED, HANGS})
_Pipe: TypeAlias = "Connection[Any, Any]"
_SPAWN = multiprocessing.get_context("spawn")


class NoWorkers(RuntimeError):
    """A worker ended before it had begun."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """The worker has begun."""


@dataclass(frozen=True, slots=True)
class _Begins:
    """The worker begins a play."""

    die: Die | None


@dataclass(frozen=True, slots=True)
class _Again:
    """The course of a seed's first play, to be compared with the one that another worker saw."""

    seed: int
    seen: str
    by: int


@dataclass(frozen=True, slots=True)
class _Deaths:
    """Points of a small world at which its process is to die, each in a play of its own."""

    seed: int
    points: range


@dataclass(frozen=True, slots=True)
class _Course:
    """What came of playing again."""

    course: str | None


_Task: TypeAlias = int | _Deaths | _Again


@dataclass(slots=True)
class _Worker:
    """One process as its employer sees it.

    `since_s` and `since_cpu_s`: when it was last heard of, by the monotonic clock and by the time that it had computed.
    """

    number: int
    process: BaseProcess
    pipe: _Pipe
    since_s: float
    since_cpu_s: float = 0.0
    ready: bool = False
    doing: _Task | None = None
    die: Die | None = None

    def heard(self) -> None:
        """Enter that it was heard of now."""
        self.since_s, self.since_cpu_s = time.monotonic(), self.cpu_s()

    def cpu_s(self) -> float:
        """Return how long it has computed, 0 once it is gone (proc(5), fields utime and stime)."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return 0.0
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def proved(seeds: Iterator[int], orders: Orders, jobs: int, until_s: float = inf) -> Generator[Result]:
    """Yield what came of each seed, in the order in which they are done. Closed early, it ends its workers at once.

    The next seed is taken when somebody is there to prove it; what is not done at `until_s`, by the monotonic clock,
    is left. Raises NoWorkers.
    """
    crew = _WorkerPool(seeds, orders, jobs, until_s)
    try:
        yield from crew.results()
    finally:
        crew.leave()


def last_word(work: Callable[..., Iterator[object]], arguments: tuple[object, ...], limit_s: float) -> object | None:
    """Return the last thing that `work` yields in a process of its own, once that has begun, within that time.

    None if there was nothing.
    """
    ours, theirs = _pipe()
    process = _start(_tell, (theirs, work, arguments))
    theirs.close()
    last = None
    try:
        if ours.poll(_START_MAX_S):
            ours.recv()
        until_s = time.monotonic() + limit_s
        while ours.poll(max(0.0, until_s - time.monotonic())):
            last = cast("object", ours.recv())
    except (EOFError, OSError):
        pass
    finally:
        _end(process)
        ours.close()
    return last


def _tell(pipe: _Pipe, work: Callable[..., Iterator[object]], arguments: tuple[object, ...]) -> None:
    pipe.send(_Ready())
    for one in work(*arguments):
        pipe.send(one)


def _pipe() -> tuple[_Pipe, _Pipe]:
    # Some system has another class for it, which can do the same.
    return cast("tuple[_Pipe, _Pipe]", _SPAWN.Pipe())


def _start(target: Callable[..., None], arguments: tuple[object, ...]) -> BaseProcess:
    """Return a process that does not hear Ctrl-C: that is for whoever started it."""
    process = _SPAWN.Process(target=target, args=arguments, daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _end(process: BaseProcess) -> None:
    process.kill()
    process.join()


def _work(pipe: _Pipe, orders: Orders) -> None:
    """Prove whatever comes, until nothing comes any more."""

    def begins(die: Die | None) -> None:
        pipe.send(_Begins(die))

    # Nobody sends it (see `_start`), and then the runner of each loop need not handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What was imported stays; of a play little is left over. To look for it seldom takes a fourteenth less time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with contextlib.suppress(EOFError, BrokenPipeError):
        pipe.send(_Ready())
        while True:
            task: _Task = pipe.recv()
            match task:
                case int():
                    pipe.send(prove(task, orders, begins))
                case _Deaths(seed, points):
                    pipe.send(die_at(seed, points, orders, begins))
                case _Again(seed):
                    pipe.send(_Course(course(seed, orders)))


@dataclass(slots=True)
class _WorkerPool:
    seeds: Iterator[int]
    orders: Orders
    jobs: int
    until_s: float
    workers: list[_Worker] = field(default_factory=list[_Worker])
    deaths: deque[_Deaths] = field(default_factory=deque[_Deaths])
    again: deque[_Again] = field(default_factory=deque[_Again])
    hired: int = 0
    exhausted: bool = False

    def results(self) -> Iterator[Result]:
        """Yield results until the seeds are over and everybody is done."""
        for _ in range(self.jobs):
            self._hire()
        while time.monotonic() < self.until_s:
            for worker in list(self.workers):
                if worker.ready and worker.doing is None:
                    self._give(worker)
            left = not self.exhausted or self.deaths or self.again
            if not left and all(worker.doing is None for worker in self.workers):
                return
            pipes = {worker.pipe: worker for worker in self.workers if worker.doing is not None or not worker.ready}
            for pipe in wait(list(pipes), timeout=_LOOK_EVERY_S):
                yield from self._hear(pipes[cast("_Pipe", pipe)])
            for worker in list(self.workers):
                yield from self._watch(worker)

    def leave(self) -> None:
        """End every worker."""
        for worker in list(self.workers):
            self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        _end(worker.process)

    def _hire(self) -> None:
        ours, theirs = _pipe()
        process = _start(_work, (theirs, self.orders))
        theirs.close()
        self.hired += 1
        self.workers.append(_Worker(self.hired, process, ours, time.monotonic()))

    def _give(self, worker: _Worker) -> None:
        """Give the worker something to do, if there is anything."""
        task = self._next(worker)
        if task is not None:
            worker.doing, worker.die = task, None
            worker.heard()
            # One that has died meanwhile says so when it is listened to.
            with contextlib.suppress(OSError):
                worker.pipe.send(task)
        elif self.again and len(self.workers) == 1:
            # Nobody else is there to compare with.
            self._dismiss(worker)
            self._hire()

    def _next(self, worker: _Worker) -> _Task | None:
        """Return what others have begun, and then the next seed. What is played again is for another worker."""
        again = next((one for one in self.again if one.by != worker.number), None)
        if again is not None:
            self.again.remove(again)
            return again
        if self.deaths:
            return self.deaths.popleft()
        seed = None if self.exhausted else next(self.seeds, None)
        self.exhausted = seed is None
        return seed

    def _hear(self, worker: _Worker) -> Iterator[Result]:
        try:
            message: object = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._replace(worker, CRASHED, "the process that played it ended")
            return
        worker.heard()
        match message:
            case _Ready():
                worker.ready = True
            case _Begins(die):
                worker.die = die
            case Result():
                worker.doing = None
                if message.course is not None:
                    self.again.append(_Again(message.seed, message.course, worker.number))
                for first in range(0, len(message.points), _POINTS_AT_ONCE):
                    self.deaths.append(_Deaths(message.seed, message.points[first : first + _POINTS_AT_ONCE]))
                yield message
            case _Course(course) if isinstance(worker.doing, _Again):
                task, worker.doing = worker.doing, None
                yield _compared(task, course)
            case _:
                raise TypeError(f"a worker said {message!r}")

    def _watch(self, worker: _Worker) -> Iterator[Result]:
        idle_s = time.monotonic() - worker.since_s
        hangs = worker.cpu_s() - worker.since_cpu_s > PLAY_MAX_S or idle_s > PLAY_MAX_S * _PATIENCE
        if worker.doing is not None and hangs:
            yield from self._replace(worker, HANGS, f"one play takes more than {PLAY_MAX_S:g} s")
        elif not worker.ready and idle_s > _START_MAX_S:
            raise NoWorkers(f"a worker did not begin within {_START_MAX_S:g} s")

    def _replace(self, worker: _Worker, invariant: str, evidence: str) -> Iterator[Result]:
        """Yield what a lost worker leaves behind, and hire another. What else it had done of its task is lost."""
        self._dismiss(worker)
        code = worker.process.exitcode
        if not worker.ready:
            raise NoWorkers(f"a worker ended with exit code {code} before it had begun")
        task = worker.doing
        if task is not None:
            seed = task if isinstance(task, int) else task.seed
            result = Result(seed, worlds=int(isinstance(task, int)))
            result.blame([Violation(invariant, f"{evidence} (exit code {code})")], worker.die)
            yield result
            if isinstance(task, _Deaths) and worker.die is not None:
                self.deaths.appendleft(_Deaths(seed, task.points[task.points.index(worker.die[0]) + 1 :]))
        self._hire()


def _compared(task: _Again, course: str | None) -> Result:
    """Return the result of playing again: no world and no play more, but perhaps a finding."""
    result = Result(task.seed, worlds=0, compared=1)
    if course != task.seen:
        evidence = f"played again, it takes another course: {task.seen} and {course}"
        result.blame([Violation(DETERMINISM, evidence)], None)
    return result
