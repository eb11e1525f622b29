"""A cloud of two peers on loopback, IAM and everything else, and the whole client that logs in to it."""

import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from fleetos.clock import SystemClock
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.model.inventory import Reply
from fleetos.model.plan import ApiLimits
from fleetos.model.run import Order, Secrets
from tests.contract.peers import Peer, Script, always, peer
from tests.support.chance import SeededChance
from tests.support.secrets import ADMINPASS, LOGIN_PASSWORD, USER_DATA

TOKEN = "MIIHcanary" + "".join(f"{number:x}/+" for number in range(2000, 2400))
PROJECT = "0123456789abcdef0123456789abcdef"
SECRETS = {"adminpass": ADMINPASS, "password": LOGIN_PASSWORD, "user data": USER_DATA, "token": TOKEN}
SERVER = "616fb98f-46ca-475e-917e-000000000001"


def granting(into: list[bytes] | None = None) -> Script:
    """Return the script of an IAM that grants every login."""
    body = {"token": {"project": {"id": PROJECT}, "user": {"id": "user-1"}}}
    return always(status=201, body=json.dumps(body).encode(), headers=f"X-Subject-Token: {TOKEN}\r\n", into=into)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Both peers, with the requests that they have read."""

    iam: Peer
    ecs: Peer
    scheme: str = "http"
    logins: list[bytes] = field(default_factory=list[bytes])

    @asynccontextmanager
    async def client(self, env: Mapping[str, str] | None = None, **changes: Any) -> AsyncGenerator[CloudClient]:
        """Yield the client, logged in with these changes to its credentials."""
        elsewhere = self.ecs.url("", self.scheme)
        credentials = Credentials(
            auth_url=self.iam.url("/v3", self.scheme),
            proof=Password("al", LOGIN_PASSWORD),
            project_name="p",
            endpoints={"ecs": elsewhere, "ims": elsewhere},
        )
        clock, chance = SystemClock(), SeededChance(1)
        access, limits = replace(credentials, **changes), ApiLimits()
        async with open_cloud(access, clock=clock, chance=chance, limits=limits, env=env or {}) as client:
            yield client


@asynccontextmanager
async def gateway(
    ecs: Script, iam: Script | None = None, *, tls: ssl.SSLContext | None = None, ecs_tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Gateway]:
    """Yield a cloud whose services follow the script; without one for IAM every login is granted."""
    logins: list[bytes] = []
    async with peer(iam or granting(logins), tls=tls) as first, peer(ecs, tls=ecs_tls or tls) as second:
        yield Gateway(first, second, "https" if tls is not None else "http", logins)


async def change(client: CloudClient) -> Reply:
    """The reply to a change of the OS with all the secrets that there can be."""
    permit = client.permit()
    assert permit is not None
    secrets = Secrets(ADMINPASS, USER_DATA.encode())
    order = Order("image-1", "image", "v2")
    return await client.change_os(SERVER, order, secrets, stop_first=False, permit=permit, last_check=lambda: None)


async def stop(client: CloudClient) -> Reply:
    """The reply to a stop."""
    permit = client.permit()
    assert permit is not None
    return await client.stop([SERVER], hard=True, permit=permit, last_check=lambda: None)
