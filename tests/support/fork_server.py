"""Fork processes of the real command and of simulated clouds from one that has imported everything.

To start Python, import fleetos and take all of it down again takes many times longer than most commands run. Each
command here is a process of its own with its own environment, folder, standard streams and exit code. It inherits
imports, the certificates of this machine, the parser of the command line and the codecs, and its modules are not taken
down at its end. What depends on how an interpreter starts or ends (PYTHON* variables, a closed stream) starts one
instead.
"""

import atexit
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO, cast

from fleetos.model.journal import codec as codecs

ROOT = Path(__file__).parents[2]
REQUEST_BYTES_MAX = 1 << 17
# Modules whose `main` a process runs; any other module is taken for the command in disguise.
COMMAND = "fleetos.__main__"
CLOUD = "fleetos.sim.server.serve"
# A program, its command line, its folder and environment, and whether it is in a terminal.
Order = tuple[str, list[str], str, dict[str, str], bool]
# What commands import while they run, and what they and clouds import of others.
_ROOMS = ("app", "cli", "cloud", "engine", "model", "planning", "rules", "store", "views")
_LIBRARIES = (
    *("aiohttp", "aiosqlite", "alembic.command", "alembic.config", "certifi", "ctypes.util", "greenlet"),
    *("encodings.ascii", "encodings.idna", "encodings.utf_8_sig", "httpx_aiohttp", "psycopg", "uvloop"),
    *("anyio._backends._asyncio", "anyio._core._signals", "anyio._core._sockets"),
    *("sqlalchemy.ext.asyncio", "typer._adapters", "typer._click.decorators", "typer.rich_utils"),
)
_LIBRARIES_OF_CLOUDS = (
    *("_strptime", "encodings.idna", "encodings.utf_8_sig"),
    *("uvicorn.lifespan.off", "uvicorn.protocols.websockets.auto"),
)


class ForkedProcess:
    """A command that the fork server started, used like a `subprocess.Popen[str]`.

    Its outputs are in pipes, but for one that is given. A `terminal` is its input and outputs, and controls it. The
    program is the module whose `main` it runs.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        *,
        program: str = COMMAND,
        stdout: int | None = None,
        stderr: int | None = None,
        terminal: int | None = None,
    ) -> None:
        stdout, stderr = (stdout, stderr) if terminal is None else (terminal, terminal)
        self.args: Sequence[str] = ["fleetos", *arguments]
        self._ended: int | None = None
        self.stdout, out_end = _pipe() if stdout is None else (None, os.dup(stdout))
        self.stderr, err_end = _pipe() if stderr is None else (None, os.dup(stderr))
        self._status, status_end = socket.socketpair(type=socket.SOCK_SEQPACKET)
        request = json.dumps([program, self.args, str(folder), dict(env), terminal is not None]).encode()
        socket.send_fds(_server(), [request], [out_end, err_end, status_end.fileno()])
        os.close(out_end)
        os.close(err_end)
        status_end.close()
        self.pid = int(self._status.recv(32))

    @property
    def returncode(self) -> int:
        """The exit code, or the negative number of the signal that ended it."""
        assert self._ended is not None, "the command has not ended"
        return self._ended

    def poll(self) -> int | None:
        """Return the exit code if the command has ended."""
        if self._ended is None and select.select([self._status], [], [], 0)[0]:
            self._take_status()
        return self._ended

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the command has ended."""
        if self._ended is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._take_status()
        return self.returncode

    def _take_status(self) -> None:
        code, cpu_s = self._status.recv(64).split()
        self._ended = int(code)
        _cpu_s_of_ended.append(float(cpu_s))
        self._status.close()

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        """Return the rest of both outputs, once the command has ended."""
        with ThreadPoolExecutor(2) as pool:
            out, err = pool.submit(_rest, self.stdout), pool.submit(_rest, self.stderr)
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                # Else the threads would read for as long as it runs.
                self.kill()
                raise
            return out.result(), err.result()

    def send_signal(self, sig: int) -> None:
        """Send the signal, unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """End the command at once."""
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[str] | ForkedProcess
_cpu_s_of_ended: list[float] = []


def ended_cpu_s() -> float:
    """Return the processor time of all forked commands whose end was asked for."""
    return sum(_cpu_s_of_ended)


def _pipe() -> tuple[IO[str], int]:
    reading, writing = os.pipe()
    return os.fdopen(reading, encoding="utf-8"), writing


def _rest(stream: IO[str] | None) -> str:
    if stream is None or stream.closed:
        return ""
    with stream:
        return stream.read()


@cache
def _server() -> socket.socket:
    """Start the fork server of this process, and return the socket on which it takes commands."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    # Nothing of the environment is kept by a command, but what reads it as it is imported reads this one.
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_CONFIG")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(theirs.fileno())],
        cwd=ROOT,
        env={**env, "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def leave() -> None:
        ours.close()
        process.wait()

    atexit.register(leave)
    return ours


# --- within the server ---------------------------------------------------------------------------------------


@cache
def _load(program: str) -> None:
    """Import a program, and everything that it imports while it runs."""
    if program == CLOUD:
        _import_all(_LIBRARIES_OF_CLOUDS)
    else:
        _load_command()
    importlib.import_module(program)
    gc.collect()
    gc.freeze()


@cache
def _load_command() -> None:
    for room in _ROOMS:
        package = importlib.import_module(f"fleetos.{room}")
        _import_all(module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
    _import_all(_LIBRARIES)
    _remember("fleetos.cloud.connect", "tls_context", None, verify=True)
    _remember("typer.main", "get_command", importlib.import_module("fleetos.cli.main").app)
    for codec in vars(codecs).values():
        if isinstance(codec, codecs._Codec):
            _ = codec._validator


def _remember(module: str, name: str, *arguments: object, **more: object) -> None:
    """Call a function now, so that commands find its result: to make it takes as long as many of them."""
    names = vars(importlib.import_module(module))
    names[name] = cache(names[name])
    names[name](*arguments, **more)


def _import_all(names: Iterable[str]) -> None:
    for name in names:
        importlib.import_module(name)


def _serve(requests: socket.socket) -> Callable[[], None] | None:
    """Fork a process for each request until nobody can send one. Return in each fork: what it has to become."""
    running: dict[int, tuple[int, socket.socket]] = {}
    selector = DefaultSelector()
    selector.register(requests, EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fd in running:
                selector.unregister(key.fd)
                _report_end(key.fd, *running.pop(key.fd))
                continue
            message, received, *_ = socket.recv_fds(requests, REQUEST_BYTES_MAX, 3)
            if not message:
                return None
            out, err, number = received
            order: Order = json.loads(message)
            _load(order[0])
            status = socket.socket(fileno=number)
            if (pid := os.fork()) == 0:
                selector.close()
                for one in (requests, status, *(other for _, other in running.values())):
                    os.close(one.detach())
                for fd in running:
                    os.close(fd)
                return lambda: _become(order, out, err)
            os.close(out)
            os.close(err)
            status.send(b"%d" % pid)
            running[watched := os.pidfd_open(pid)] = (pid, status)
            selector.register(watched, EVENT_READ)


def _report_end(watched: int, pid: int, status: socket.socket) -> None:
    os.close(watched)
    _, ended, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(ended)
    # Perhaps nobody asks any more.
    with status, suppress(BrokenPipeError):
        status.send(b"%d %f" % (code, usage.ru_utime + usage.ru_stime))


def _become(order: Order, out: int, err: int) -> None:
    """Run the program as this process."""
    program, command, folder, env, in_terminal = order
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    if in_terminal:
        _take_terminal(out)
    for pipe, number in ((out, 1), (err, 2)):
        os.dup2(pipe, number)
        os.close(pipe)
    sys.argv = command
    try:
        sys.exit(importlib.import_module(program).main())
    except SystemExit as left:
        if not isinstance(left.code, int | None):
            raise
        _leave(left.code or 0)


def _leave(code: int) -> None:
    """End as an interpreter does, all but for its modules: objects that are left in a cycle say what they hold open."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _take_terminal(terminal: int) -> None:
    """Let the terminal control this process, as the leader of a session: it turns Ctrl-C into a signal."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.dup2(terminal, 0)
    # An interpreter that starts in a terminal does so.
    cast("io.TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)


def _main(number: int) -> None:
    requests = socket.socket(fileno=number)
    try:
        become = _serve(requests)
    except KeyboardInterrupt:
        become = None
    if become is not None:
        become()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
