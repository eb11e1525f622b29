"""Process of a simulated cloud: `python -m fleetos.sim.server.serve` listens on loopback until it is told to end."""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from fleetos.clock import SystemClock
from fleetos.errors import FleetosError, UsageError
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.builtin_world import builtin_scenario
from fleetos.sim.scenario.load import load_scenario
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.server.asgi import CuttingProtocol, make_app
from fleetos.sim.server.state_folder import StateFolder
from fleetos.sim.world.journal import FORMAT, Header, create, load

# How often an idle process looks whether it has been idle long enough.
_LOOK_S = 0.2
# Requests on the wire have this long to be answered after a SIGTERM; those that hang on purpose never are.
_GRACE_S = 1
# Tokens of real clouds are several KB, and a scenario can make them 30 KB.
_HEAD_BYTES_MAX = 128 * 1024


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen. Port 0 takes any free one."""

    host: str = "127.0.0.1"
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Listen":
        """Return the address in a text like 127.0.0.1:8080. Raises UsageError; only loopback is served."""
        host, colon, port = text.rpartition(":")
        host = host.strip("[]")
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise UsageError(f"{text!r} is not an address", "write it as 127.0.0.1:8080")
        if not loopback:
            raise UsageError(f"{host} is not a loopback address", "the simulated cloud has no secrets and no locks")
        return cls("127.0.0.1" if host == "localhost" else host, int(port))


async def serve(
    cloud: SimulatedCloud,
    listen: Listen,
    announce: Callable[[str], None],
    *,
    stop: asyncio.Event | None = None,
    idle_exit_s: float | None = None,
    identity: dict[str, object] | None = None,
) -> None:
    """Serve a cloud until `stop` is set, or it has been idle; `announce` gets the base URL once it listens.

    Idle is a process without a request for `idle_exit_s`, and without a change in flight. Raises UsageError when the
    address cannot be had.
    """
    sock = _bind(listen)
    loop = asyncio.get_running_loop()
    seen_at = loop.time()

    def seen() -> None:
        nonlocal seen_at
        seen_at = loop.time()

    config = uvicorn.Config(
        make_app(cloud, identity or {}, seen),
        http=CuttingProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        # The time of day is the cloud's, which need not be that of this machine.
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=75,
        backlog=2048,
        h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
    )
    server = _Server(config, lambda: announce(_url(listen.host, sock)))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not serving.done():
            await asyncio.wait({serving}, timeout=_LOOK_S)
            server.should_exit = server.should_exit or (stop is not None and stop.is_set())
            if idle_exit_s is not None and loop.time() - seen_at >= idle_exit_s:
                cloud.settle()
                server.should_exit = server.should_exit or cloud.world.ledger.changes_in_flight == 0
        await serving
    finally:
        server.should_exit = True
        sock.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to `run`: uvicorn would raise them again after a graceful end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._listening()


def _url(host: str, sock: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{sock.getsockname()[1]}"


def _bind(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((listen.host, listen.port))
    except OSError as error:
        sock.close()
        raise UsageError(f"cannot listen on {listen.host}:{listen.port}: {error.strerror}") from error
    return sock


def wall_s() -> float:
    """Return the seconds since 1970."""
    return SystemClock().now().timestamp()


def run(
    listen: Listen,
    scenario: Scenario,
    *,
    state: Path | None = None,
    idle_exit_s: float | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve a simulated cloud until SIGTERM or SIGINT; with `state` its world is kept in that folder."""

    async def until_told(cloud: SimulatedCloud, tell: Callable[[str], None], identity: dict[str, object]) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(cloud, listen, tell, stop=stop, idle_exit_s=idle_exit_s, identity=identity)

    if state is None:
        asyncio.run(until_told(SimulatedCloud(scenario, wall_s(), wall_s), announce, {"pid": os.getpid()}))
        return
    home = StateFolder(state)
    with home.occupied():
        cloud, world = open_world(home.journal, scenario, wall_s)
        identity: dict[str, object] = {"pid": os.getpid(), "world": world}

        def told(url: str) -> None:
            home.write_address(url, world)
            announce(url)

        asyncio.run(until_told(cloud, told, identity))


def _print_address(url: str) -> None:
    sys.stdout.write(json.dumps({"v": 1, "base_url": url}) + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code of `python -m fleetos.sim.server.serve`."""
    parser = argparse.ArgumentParser(prog="fleetos.sim.server.serve")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--scenario", type=Path)
    parser.add_argument("--servers", type=int)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--idle-exit", type=float, metavar="SECONDS")
    given = parser.parse_args(arguments)
    try:
        scenario = chosen_scenario(given.scenario, given.servers)
        run(
            Listen.parse(given.listen),
            scenario,
            state=given.state,
            idle_exit_s=given.idle_exit,
            announce=_print_address,
        )
    except FleetosError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def chosen_scenario(path: Path | None, servers: int | None) -> Scenario:
    """Return the scenario in a file, or the built-in one, with another number of servers if one is given."""
    scenario = load_scenario(path) if path is not None else builtin_scenario()
    return scenario if servers is None else scenario.with_servers(servers)


if __name__ == "__main__":
    sys.exit(main())


def open_world(path: Path, scenario: Scenario, now: Callable[[], float]) -> tuple[SimulatedCloud, str]:
    """Return the cloud whose world a journal keeps, and the world's name; without one a new world of the scenario."""
    if path.exists():
        journal, entries = load(path)
    else:
        born_at = now()
        world = RandomDraws(scenario.seed).hex("world", str(born_at))
        header = Header(format=FORMAT, world=world, born_at=born_at, scenario=scenario)
        journal, entries = create(path, header), iter(())
    cloud = SimulatedCloud(journal.header.scenario, journal.header.born_at, now, journal)
    for entry in entries:
        cloud.replay(entry)
    return cloud, journal.header.world
