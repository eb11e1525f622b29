"""`python -m fleetos.sim.server.serve`: serve a world on loopback until SIGTERM or SIGINT."""

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
from fleetos.sim.scenario.load import builtin_scenario, load_scenario
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.server.asgi import CuttingProtocol, make_app
from fleetos.sim.server.state_folder import StateFolder
from fleetos.sim.world.journal import FORMAT, Header, create_journal, load_journal

# How often the process checks whether it must exit.
_POLL_S = 0.2
# Requests in flight get this long after a SIGTERM; those that hang on purpose never get a response.
_SHUTDOWN_S = 1
# Tokens of real clouds have several KB, and a scenario can ask for 30 KB.
_HEAD_BYTES_MAX = 128 * 1024


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Address to listen on. Port 0 takes any free port."""

    host: str = "127.0.0.1"
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Parse an address like 127.0.0.1:8080. Raises UsageError; only loopback addresses are allowed."""
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
    listen: ListenAddress,
    announce: Callable[[str], None],
    *,
    stop: asyncio.Event | None = None,
    idle_exit_s: float | None = None,
    identity: dict[str, object] | None = None,
) -> None:
    """Serve a cloud until `stop` is set or it is idle; call `announce` with the base URL once it listens.

    Idle means no request for `idle_exit_s` and no change in flight. Raises UsageError if the address cannot be bound.
    """
    sock = _bind(listen)
    loop = asyncio.get_running_loop()
    last_request_at = loop.time()

    def on_request() -> None:
        nonlocal last_request_at
        last_request_at = loop.time()

    config = uvicorn.Config(
        make_app(cloud, identity or {}, on_request),
        http=CuttingProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        # The application sends the Date header: the clock of the cloud may differ from that of this machine.
        date_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        timeout_keep_alive=75,
        backlog=2048,
        h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
    )
    server = _Server(config, lambda: announce(_url(listen.host, sock)))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not serving.done():
            await asyncio.wait({serving}, timeout=_POLL_S)
            server.should_exit = server.should_exit or (stop is not None and stop.is_set())
            if idle_exit_s is not None and loop.time() - last_request_at >= idle_exit_s:
                cloud.advance()
                server.should_exit = server.should_exit or cloud.world.ledger.changes_in_flight == 0
        await serving
    finally:
        server.should_exit = True
        sock.close()


class _Server(uvicorn.Server):
    """uvicorn's server that calls `on_listening` once it listens."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to `run`: uvicorn would raise them again after a graceful end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then call `on_listening`."""
        await super().startup(sockets)
        if self.started:
            self._on_listening()


def _url(host: str, sock: socket.socket) -> str:
    url_host = f"[{host}]" if ":" in host else host
    return f"http://{url_host}:{sock.getsockname()[1]}"


def _bind(listen: ListenAddress) -> socket.socket:
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


def open_world(path: Path, scenario: Scenario, now: Callable[[], float]) -> tuple[SimulatedCloud, str]:
    """Load the world of a journal, or create a journal and a new world; return the cloud and the world's id."""
    if path.exists():
        journal, lines = load_journal(path)
    else:
        born_at = now()
        world = RandomDraws(scenario.seed).hex("world", str(born_at))
        header = Header(format=FORMAT, world=world, born_at=born_at, scenario=scenario)
        journal, lines = create_journal(path, header), iter(())
    cloud = SimulatedCloud(journal.header.scenario, journal.header.born_at, now, journal)
    for line in lines:
        cloud.replay(line)
    return cloud, journal.header.world


def run(
    listen: ListenAddress,
    scenario: Scenario,
    *,
    state: Path | None = None,
    idle_exit_s: float | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve a simulated cloud until SIGTERM or SIGINT, with its world in the folder `state` if given."""

    async def serve_until_signal(
        cloud: SimulatedCloud, announce_url: Callable[[str], None], identity: dict[str, object]
    ) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(cloud, listen, announce_url, stop=stop, idle_exit_s=idle_exit_s, identity=identity)

    if state is None:
        asyncio.run(serve_until_signal(SimulatedCloud(scenario, wall_s(), wall_s), announce, {"pid": os.getpid()}))
        return
    folder = StateFolder(state)
    with folder.hold():
        cloud, world = open_world(folder.journal, scenario, wall_s)
        identity: dict[str, object] = {"pid": os.getpid(), "world": world}

        def announce_and_record(url: str) -> None:
            folder.write_address(url, world)
            announce(url)

        asyncio.run(serve_until_signal(cloud, announce_and_record, identity))


def choose_scenario(path: Path | None, servers: int | None) -> Scenario:
    """Return the scenario of the file, or the built-in one, with `servers` servers in its first group if given."""
    scenario = load_scenario(path) if path is not None else builtin_scenario()
    return scenario if servers is None else scenario.with_servers(servers)


def _print_address(url: str) -> None:
    sys.stdout.write(json.dumps({"v": 1, "base_url": url}) + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m fleetos.sim.server.serve` and return its exit code."""
    parser = argparse.ArgumentParser(prog="fleetos.sim.server.serve")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--scenario", type=Path)
    parser.add_argument("--servers", type=int)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--idle-exit", type=float, metavar="SECONDS")
    options = parser.parse_args(arguments)
    try:
        scenario = choose_scenario(options.scenario, options.servers)
        run(
            ListenAddress.parse(options.listen),
            scenario,
            state=options.state,
            idle_exit_s=options.idle_exit,
            announce=_print_address,
        )
    except FleetosError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
