"""The real `fleetos sim`, and fleetos' own client beside the clients of others."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fleetos.clock import SystemClock
from fleetos.cloud.auth.credentials import Credentials, Password, Proof
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud, open_session
from fleetos.cloud.session import Session
from fleetos.model.permit import Permit
from fleetos.model.plan import ApiLimits
from tests.support.chance import SeededChance
from tests.support.commands import command, environment

_EXPORT = re.compile(r"^export (\w+)=(.*)", re.MULTILINE)


@contextmanager
def served(folder: Path, scenario: Path) -> Generator[Mapping[str, str]]:
    """The environment that `fleetos sim` prints for its cloud, which ends with the context."""
    sim = subprocess.Popen(
        command("sim", "--scenario", str(scenario)),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert sim.stdout is not None
    assert sim.stderr is not None
    try:
        # It says that it listens when all of the environment is out.
        said = sim.stderr.readline().decode()
        assert "listens on" in said, said
        printed = os.read(sim.stdout.fileno(), 65536).decode()
        yield {name: "".join(shlex.split(value)) for name, value in _EXPORT.findall(printed)}
    finally:
        sim.send_signal(signal.SIGTERM)
        try:
            sim.wait(timeout=10)
        except subprocess.TimeoutExpired:
            sim.kill()
            sim.wait()
        sim.stdout.close()
        sim.stderr.close()


@asynccontextmanager
async def fleetos_client(env: Mapping[str, str], proof: Proof | None = None) -> AsyncGenerator[CloudClient]:
    """fleetos' own client of the cloud in that environment, logged in: by the password there, or by another proof."""
    shown = _credentials(env, proof)
    opening = open_cloud(shown, clock=SystemClock(), chance=SeededChance(1), limits=ApiLimits(), env={})
    async with opening as client:
        yield client


@asynccontextmanager
async def before_login(env: Mapping[str, str]) -> AsyncGenerator[Session]:
    """fleetos' own way to that cloud before it has shown anything."""
    opening = open_session(_credentials(env), clock=SystemClock(), chance=SeededChance(1), limits=ApiLimits(), env={})
    async with opening as session:
        yield session


def _credentials(env: Mapping[str, str], proof: Proof | None = None) -> Credentials:
    return Credentials(
        auth_url=env["OS_AUTH_URL"],
        proof=proof or Password(env["OS_USERNAME"], env["OS_PASSWORD"], env["OS_USER_DOMAIN_NAME"]),
        project_name=env["OS_PROJECT_NAME"],
        region=env["OS_REGION_NAME"],
    )


def permit(client: CloudClient) -> Permit:
    """Leave to write."""
    given = client.permit()
    assert given is not None
    return given
