"""`cloud: sim`: start or find the shared process.

The process outlives its caller. Its state folder keeps the world, and the address by which later callers find it.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from fleetos.errors import CloudUnreachable
from fleetos.limits import SIM_READY_S
from fleetos.sim.api.access import Access
from fleetos.sim.server.state_folder import StateFolder, try_lock

# The process behind `cloud: sim` ends after this long without a request; its world stays.
SIM_IDLE_EXIT_S = 600.0
# Time between the request to end a process and its kill.
SIM_END_S = 5.0
# A start takes up to SIM_READY_S, and other callers may be before us in the queue.
_START_LOCK_S = 3 * SIM_READY_S
_POLL_S = 0.05
_HEALTH_S = 2.0
_HEALTH_BYTES_MAX = 64 * 1024
_LOG_TAIL_CHARACTERS = 500
# Besides these and PYTHON*, the process gets no variable of its caller: they may hold credentials of a real cloud.
_ENVIRONMENT_KEPT = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"})


async def ensure(state_dir: Path, scenario: Path | None = None, *, idle_exit_s: float = SIM_IDLE_EXIT_S) -> Access:
    """Start the simulated cloud of a state folder unless it runs, and return its address and credentials.

    Each scenario file has a world of its own, and takes effect only when that world is created. Callers that race get
    the same process. Raises InputError for a bad scenario, CloudUnreachable if the process does not start.
    """
    folder = folder_for(state_dir, scenario)
    access = await _find_running(folder)
    if access is not None:
        return access
    if scenario is not None:
        from fleetos.sim.scenario.load import load_scenario

        load_scenario(scenario)
    folder.create()
    async with _hold_start_lock(folder):
        return await _start_and_wait(folder, scenario, idle_exit_s)


async def reset(state_dir: Path, scenario: Path | None = None) -> None:
    """End the process of a state folder and delete its world; the next `ensure` creates a new one."""
    folder = folder_for(state_dir, scenario)
    folder.create()
    async with _hold_start_lock(folder):
        await _end_process(folder)
        folder.delete_world()


def folder_for(state_dir: Path, scenario: Path | None) -> StateFolder:
    """Return the folder of the built-in world, or of a scenario's world."""
    if scenario is None:
        return StateFolder(state_dir / "sim")
    return StateFolder(state_dir / f"sim-{sha256(str(scenario.resolve()).encode()).hexdigest()[:12]}")


@contextlib.asynccontextmanager
async def _hold_start_lock(folder: StateFolder) -> AsyncGenerator[None]:
    """Hold the lock under which a caller starts or ends the process. Raises CloudUnreachable after _START_LOCK_S."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_LOCK_S
    while True:
        with try_lock(folder.start_lock) as file:
            if file is not None:
                yield
                return
        if loop.time() > deadline:
            raise CloudUnreachable(f"another process has been starting the simulated cloud in {folder.path} for long")
        await asyncio.sleep(_POLL_S)


async def _start_and_wait(folder: StateFolder, scenario: Path | None, idle_exit_s: float) -> Access:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SIM_READY_S
    ports = _ports_to_try(folder)
    child: int | None = None
    while loop.time() < deadline:
        access = await _find_running(folder)
        if access is not None:
            return access
        if child is not None and _has_ended(child):
            child = None
            if not ports:
                break
        # The question itself holds the lock for a moment, which could refuse our process while it starts.
        if child is None and folder.server_pid() is None:
            child = _spawn_process(folder, scenario, ports.pop(0) if ports else 0, idle_exit_s)
        await asyncio.sleep(_POLL_S)
    log_tail = folder.log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:].strip() if folder.log.exists() else ""
    raise CloudUnreachable(f"the simulated cloud in {folder.path} does not start: {log_tail}", "fleetos sim reset")


def _ports_to_try(folder: StateFolder) -> list[int]:
    """Return the ports to try: the last one, then any free one (0)."""
    address = folder.read_address()
    port = urlsplit(address[0]).port if address is not None else None
    return [port, 0] if port is not None else [0]


def _spawn_process(folder: StateFolder, scenario: Path | None, port: int, idle_exit_s: float) -> int:
    """Start the process in a session of its own, so that it outlives its caller, and return its id."""
    arguments = [sys.executable, "-P", "-m", "fleetos.sim.server.serve", "--listen", f"127.0.0.1:{port}"]
    arguments += ["--state", str(folder.path), "--idle-exit", str(idle_exit_s)]
    if scenario is not None:
        arguments += ["--scenario", str(scenario.resolve())]
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(folder.log), log_flags, 0o600),
    ]
    environment = {
        name: value for name, value in os.environ.items() if name in _ENVIRONMENT_KEPT or name.startswith("PYTHON")
    }
    return os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True)


def _has_ended(child: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(child, os.WNOHANG)[0] != 0
    return True


async def _end_process(folder: StateFolder) -> None:
    """End the process that serves the world, with SIGTERM, then SIGKILL. Raises CloudUnreachable if it survives."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = folder.server_pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = loop.time() + SIM_END_S
        while loop.time() < deadline:
            await asyncio.sleep(_POLL_S)
            if folder.server_pid() is None:
                break
        _has_ended(pid)
    if folder.server_pid() is not None:
        raise CloudUnreachable(f"the process of the simulated cloud in {folder.path} does not end")


async def _find_running(folder: StateFolder) -> Access | None:
    """Return the address and credentials if the recorded address serves the world of this folder, else None."""
    address = folder.read_address()
    if address is None:
        return None
    url, world = address
    health = await _get_health(url)
    return Access(url) if health is not None and health.get("world") == world else None


async def _get_health(url: str) -> dict[str, object] | None:
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        return None
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_HEALTH_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"GET /admin/health HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await _read_to_end(reader)).partition(b"\r\n\r\n")
            health: object = json.loads(body) if b" 200 " in head[:20] else None
    except (OSError, TimeoutError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return cast("dict[str, object]", health) if isinstance(health, dict) else None


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    """Read until the peer closes, or until _HEALTH_BYTES_MAX is reached."""
    parts: list[bytes] = []
    size = 0
    while size < _HEALTH_BYTES_MAX and (part := await reader.read(_HEALTH_BYTES_MAX)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
