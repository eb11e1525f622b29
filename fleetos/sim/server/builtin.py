"""The cloud behind `cloud: sim`: a process of its own, whose world is kept and which is found again by all callers."""

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
from fleetos.limits import SIM_END_S, SIM_IDLE_EXIT_S, SIM_READY_S
from fleetos.sim.api.access import Access
from fleetos.sim.server.state_folder import StateFolder, locked

# Whoever starts the process may take SIM_READY_S, and somebody may be before us in the queue as well.
_TURN_S = 3 * SIM_READY_S
_LOOK_S = 0.05
_HEALTH_S = 2.0
_HEALTH_BYTES_MAX = 64 * 1024
_LOG_TAIL = 500
# Nothing else of the caller's environment is handed on: it may hold the credentials of a real cloud.
_KEPT = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"})


async def ensure(state_dir: Path, scenario: Path | None = None, *, idle_exit_s: float = SIM_IDLE_EXIT_S) -> Access:
    """Return the way into the simulated cloud of a state folder, which is started if it does not run.

    A scenario counts when its world is made; each scenario file has a world of its own. Callers that race get the same
    process. Raises InputError for a bad scenario, CloudUnreachable when the process does not come up.
    """
    home = home_of(state_dir, scenario)
    found = await _found(home)
    if found is not None:
        return found
    if scenario is not None:
        from fleetos.sim.scenario.load import load_scenario

        load_scenario(scenario)
    home.make()
    async with _turn(home):
        return await _started(home, scenario, idle_exit_s)


async def reset(state_dir: Path, scenario: Path | None = None) -> None:
    """End the process of a state folder and drop its world; the next `ensure` makes a new one."""
    home = home_of(state_dir, scenario)
    home.make()
    async with _turn(home):
        await _end(home)
        home.forget()


def home_of(state_dir: Path, scenario: Path | None) -> StateFolder:
    """Return the home of the built-in world, or of a scenario's."""
    if scenario is None:
        return StateFolder(state_dir / "sim")
    return StateFolder(state_dir / f"sim-{sha256(str(scenario.resolve()).encode()).hexdigest()[:12]}")


@contextlib.asynccontextmanager
async def _turn(home: StateFolder) -> AsyncGenerator[None]:
    """Be the only one who starts or ends the process. Raises CloudUnreachable after _TURN_S."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _TURN_S
    while True:
        with locked(home.turn) as file:
            if file is not None:
                yield
                return
        if loop.time() > deadline:
            raise CloudUnreachable(f"another process has been starting the simulated cloud in {home.folder} for long")
        await asyncio.sleep(_LOOK_S)


async def _started(home: StateFolder, scenario: Path | None, idle_exit_s: float) -> Access:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SIM_READY_S
    ports = _ports(home)
    child: int | None = None
    while loop.time() < deadline:
        found = await _found(home)
        if found is not None:
            return found
        if child is not None and _has_ended(child):
            child = None
            if not ports:
                break
        # Asking for the occupant holds its lock for a moment, so it is not asked for while ours is starting.
        if child is None and home.occupant() is None:
            child = _spawn(home, scenario, ports.pop(0) if ports else 0, idle_exit_s)
        await asyncio.sleep(_LOOK_S)
    said = home.log.read_text(errors="replace")[-_LOG_TAIL:].strip() if home.log.exists() else ""
    raise CloudUnreachable(f"the simulated cloud in {home.folder} does not start: {said}", "fleetos sim reset")


def _ports(home: StateFolder) -> list[int]:
    """Return the ports to try: where it was before, then any."""
    last = home.read_address()
    port = urlsplit(last[0]).port if last is not None else None
    return [port, 0] if port is not None else [0]


def _spawn(home: StateFolder, scenario: Path | None, port: int, idle_exit_s: float) -> int:
    """Start the process in a session of its own, so that it outlives its caller, and return its id."""
    arguments = [sys.executable, "-P", "-m", "fleetos.sim.server.serve", "--listen", f"127.0.0.1:{port}"]
    arguments += ["--state", str(home.folder), "--idle-exit", str(idle_exit_s)]
    if scenario is not None:
        arguments += ["--scenario", str(scenario.resolve())]
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(home.log), log_flags, 0o600),
    ]
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PYTHON")}
    return os.posix_spawn(sys.executable, arguments, kept, file_actions=actions, setsid=True)


def _has_ended(child: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(child, os.WNOHANG)[0] != 0
    return True


async def _end(home: StateFolder) -> None:
    """End the process that serves the world, politely at first. Raises CloudUnreachable if it does not end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = home.occupant()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = loop.time() + SIM_END_S
        while loop.time() < deadline:
            await asyncio.sleep(_LOOK_S)
            if home.occupant() is None:
                break
        _has_ended(pid)
    if home.occupant() is not None:
        raise CloudUnreachable(f"the process of the simulated cloud in {home.folder} does not end")


async def _found(home: StateFolder) -> Access | None:
    """Return the way in if the world of this home is being served at the address on record."""
    last = home.read_address()
    if last is None:
        return None
    url, world = last
    health = await _health(url)
    return Access(url) if health is not None and health.get("world") == world else None


async def _health(url: str) -> dict[str, object] | None:
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        return None
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_HEALTH_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"GET /admin/health HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await _all(reader)).partition(b"\r\n\r\n")
            answer: object = json.loads(body) if b" 200 " in head[:20] else None
    except (OSError, TimeoutError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return cast("dict[str, object]", answer) if isinstance(answer, dict) else None


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the other side ends, up to the limit."""
    parts: list[bytes] = []
    size = 0
    while size < _HEALTH_BYTES_MAX and (part := await reader.read(_HEALTH_BYTES_MAX)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
