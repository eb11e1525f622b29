"""The real command, each time in a process of its own, which a signal meets at an exactly chosen point of its way."""

import ctypes
import multiprocessing
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial, wraps
from multiprocessing.context import ForkServerContext
from pathlib import Path
from signal import SIGCONT, SIGKILL, Signals
from typing import Any

import aiohttp
import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import PoolProxiedConnection

from fleetos.__main__ import main as command
from fleetos.app import context as app_context
from fleetos.cloud.http import transport
from fleetos.cloud.http.transport import HttpRequest, HttpResponse, Transport
from fleetos.limits import LEASE_BEAT_S, LEASE_TERM_S
from fleetos.store import journal, leases, process, runs
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.process import is_stopped
from tests.support.commands import Done, until
from tests.support.fork_server import ForkedProcess

COMMAND_TIMEOUT_S = 90.0
# Who waits for others at the chosen place does not wait for ever, should one of them have ended before.
MEETING_TIMEOUT_S = 30.0


class Place(StrEnum):
    """Where on its way a process is. A commit is known by a kind of record in it, a request by its operation."""

    BEFORE_COMMIT = "before the commit of"
    AFTER_COMMIT = "after the commit of"
    BEFORE_SEND = "with a connection and not a byte sent of"
    AFTER_SEND = "after the last byte of"
    ANSWERED = "with the answer in hand to"


@dataclass(frozen=True, slots=True)
class Point:
    """An instant on the way of a process: the nth time, counted from 1, that it comes there."""

    at: Place
    what: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.at} {self.what}, time {self.nth}"


class Meeting(StrEnum):
    """Where processes wait for each other, so that all of them go on at the same instant."""

    START = "before anything"
    LEASE_SEEN = "when the lease was seen to be free"
    FROZEN = "when the run is about to be created"


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """What is special about a process.

    `elsewhere`: it takes itself for one of another machine. `lease_s`: the term of leases, if not the real one.
    `file_bytes_max`: no file of it can grow beyond that, which it learns as it would of a full disk. `bound`: the modes
    of files bind it, whoever runs the tests. `party`: so many meet, all in one folder.
    """

    point: Point | None = None
    signal: Signals = SIGKILL
    elsewhere: bool = False
    lease_s: float | None = None
    bound: bool = False
    file_bytes_max: int | None = None
    meeting: Meeting | None = None
    party: int = 0


PLAIN = ProcessOptions()


@dataclass
class Command:
    """A command under way, or ended. What it says goes into files of its folder."""

    process: ForkedProcess
    arguments: tuple[str, ...]
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.process.pid

    def end(self, timeout_s: float = COMMAND_TIMEOUT_S) -> Done:
        """What it left behind, once it has ended. Kills it when it takes longer."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        return Done(self.arguments, self.process.returncode, self.out.read_text(), self.err.read_text())

    def kill(self) -> None:
        """Ends it at once, if it is still there, held by a signal or not."""
        self.process.kill()
        self.process.wait()

    def until_stopped(self) -> None:
        """Nothing, once a signal holds the process. Fails if it ends instead."""
        until(lambda: is_stopped(self.pid) or self.process.poll() is not None)
        assert self.process.poll() is None, self.err.read_text()

    def go_on(self) -> None:
        """Lets a process that is held go on."""
        os.kill(self.pid, SIGCONT)


_numbers = iter(range(10**6))


def context() -> ForkServerContext:
    """The context in which processes begin with all of this imported."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload([__name__])
    return made


def start(folder: Path, env: Mapping[str, str], *arguments: str, way: ProcessOptions = PLAIN) -> Command:
    """The command, started in that folder with that environment."""
    number = next(_numbers)
    out, err = folder / f"{number}.out", folder / f"{number}.err"
    with out.open("w") as said, err.open("w") as complained:
        process = ForkedProcess(
            (pickle.dumps(way).hex(), *arguments),
            folder,
            env,
            program=__name__,
            stdout=said.fileno(),
            stderr=complained.fileno(),
        )
    return Command(process, arguments, out, err)


# --- within the process --------------------------------------------------------------------------------------

# Never undone: it is the process that ends.
_PATCH = pytest.MonkeyPatch()


def main() -> None:
    """Become the command: nothing of the tests is left but what the way asks for."""
    _, packed, *arguments = sys.argv
    way: ProcessOptions = pickle.loads(bytes.fromhex(packed))
    sys.argv[1:] = arguments
    if way.elsewhere:
        other = Path("machine-id")
        other.write_text("another\n")
        _PATCH.setattr(process, "MACHINE_ID_FILES", (other.resolve(),))
    if way.lease_s is not None:
        _shorten_leases(way.lease_s)
    if way.bound:
        _drop_powers()
    if way.file_bytes_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (way.file_bytes_max, resource.RLIM_INFINITY))
    if way.point is not None:
        _strike_at(way.point, way.signal)
    if way.meeting is not None:
        _meet_at(way.meeting, Path.cwd(), way.party)
    command()


def _shorten_leases(term_s: float) -> None:
    """Lets leases be void after that term, and their holders renew them as often within it as within the real one."""
    _PATCH.setattr(app_context, "LeaseRequester", partial(LeaseRequester, term_s=term_s))
    _PATCH.setattr(journal, "LEASE_TERM_S", term_s)
    _PATCH.setattr(journal.SqlJournal.__init__, "__defaults__", (term_s * LEASE_BEAT_S / LEASE_TERM_S,))


def _drop_powers() -> None:
    """Gives up what lets root pass over the modes of files (capabilities(7): CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    system = ctypes.CDLL(None, use_errno=True)
    # Version 3 of the interface: two words each of what is effective, permitted and inheritable (capget(2)).
    header, words = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert system.capget(header, words) == 0, os.strerror(ctypes.get_errno())
    for place in range(3):
        words[place] &= ~0b110
    assert system.capset(header, words) == 0, os.strerror(ctypes.get_errno())


def _strike_at(point: Point, number: Signals) -> None:
    left = [point.nth]

    def arrive(at: Place, what: str) -> None:
        if (at, what) != (point.at, point.what):
            return
        left[0] -= 1
        if left[0] == 0:
            os.write(2, f"{number.name} {point}\n".encode())
            os.kill(os.getpid(), number)

    _watch_commits(arrive, point.what)
    _watch_requests(arrive)


def _watch_commits(arrive: Callable[[Place, str], None], kind: str) -> None:
    """Tells of each commit that makes records of that kind durable, whatever the database and whoever wrote them."""
    due: set[int] = set()

    def executing(
        connection: Connection, _cursor: object, statement: str, parameters: object, _context: object, many: object
    ) -> None:
        if statement.startswith("INSERT INTO records") and repr(kind) in repr(parameters):
            due.add(id(connection.connection.dbapi_connection))

    commit = DefaultDialect.do_commit

    @wraps(commit)
    def committing(dialect: DefaultDialect, connection: PoolProxiedConnection) -> None:
        key = id(connection.dbapi_connection)
        if key in due:
            arrive(Place.BEFORE_COMMIT, kind)
        commit(dialect, connection)
        if key in due:
            due.discard(key)
            arrive(Place.AFTER_COMMIT, kind)

    event.listen(Engine, "before_cursor_execute", executing)
    _PATCH.setattr(DefaultDialect, "do_commit", committing)


def _watch_requests(arrive: Callable[[Place, str], None]) -> None:
    """Tells of each request that leaves, when its last byte has been handed to the system, and when it is answered."""
    leave, write, send = transport._check_and_count, aiohttp.ClientRequest.write_bytes, Transport.send

    def leaving(left: Any) -> None:
        leave(left)
        if (outgoing := transport._current_request.get()) is not None:
            arrive(Place.BEFORE_SEND, outgoing.operation)

    async def writing(*arguments: Any) -> None:
        await write(*arguments)
        if (outgoing := transport._current_request.get()) is not None:
            arrive(Place.AFTER_SEND, outgoing.operation)

    async def sending(self: Transport, outgoing: HttpRequest) -> HttpResponse:
        answer = await send(self, outgoing)
        arrive(Place.ANSWERED, outgoing.operation)
        return answer

    _PATCH.setattr(transport, "_check_and_count", leaving)
    _PATCH.setattr(aiohttp.ClientRequest, "write_bytes", writing)
    _PATCH.setattr(Transport, "send", sending)


def _meet_at(meeting: Meeting, folder: Path, party: int) -> None:
    def meet() -> None:
        (folder / f"{os.getpid()}.met").touch()
        until(lambda: len(list(folder.glob("*.met"))) >= party, MEETING_TIMEOUT_S, look_every_s=0.0005)

    if meeting is Meeting.START:
        meet()
    elif meeting is Meeting.LEASE_SEEN:
        wait_until_takeable = leases.wait_until_takeable

        async def taking(*arguments: Any) -> leases.LeaseRow:
            seen = await wait_until_takeable(*arguments)
            meet()
            return seen

        _PATCH.setattr(leases, "wait_until_takeable", taking)
    else:
        create_run = runs.create_run

        async def creating(*arguments: Any) -> leases.Lease:
            meet()
            return await create_run(*arguments)

        _PATCH.setattr(runs, "create_run", creating)
