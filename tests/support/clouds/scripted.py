"""A cloud that answers by a script, behind the whole client, in virtual time."""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from fleetos.clock import Clock
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.model.plan import ApiLimits
from tests.support.chance import FixedChance
from tests.support.clocks import VirtualClock, now_s, run

PROJECT = "0123456789abcdef0123456789abcdef"
IAM = "https://iam.eu-de.cloud.invalid/v3"
ECS = "https://ecs.eu-de.cloud.invalid"
CREDENTIALS = Credentials(
    auth_url=IAM,
    proof=Password("al", "secret-password", "domain"),
    project_name="eu-de_project",
    region="eu-de",
)

Answer = httpx.Response | Exception
Script = Callable[[httpx.Request], Answer]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that reached the cloud."""

    at_s: float
    method: str
    host: str
    path: str
    params: Mapping[str, str]
    token: str | None
    body: object

    @property
    def is_login(self) -> bool:
        """Whether it asks for a token."""
        return self.path.endswith("/auth/tokens")


def answer(status: int = 200, body: object = None, **headers: str) -> httpx.Response:
    """Return an answer; underscores in header names stand for hyphens."""
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return httpx.Response(
        status, headers={name.replace("_", "-"): text for name, text in headers.items()}, content=content
    )


def error(status: int, code: str, message: str = "no", **headers: str) -> httpx.Response:
    """Return an error as ECS words it."""
    return answer(status, {"error": {"code": code, "message": message}}, x_request_id="req-1", **headers)


def catalog(*, evs: bool = True) -> list[object]:
    """Return a catalog of two regions, with paths that differ from ours."""

    def service(kind: str, url: str) -> object:
        return {
            "type": kind,
            "name": kind,
            "endpoints": [
                {"interface": "public", "region": region, "url": url.format(region=region)}
                for region in ("eu-nl", "eu-de")
            ]
            + [{"interface": "internal", "region": "eu-de", "url": "http://internal.invalid"}],
        }

    found = [service("ecs", "https://ecs.{region}.cloud.invalid/v1/$(tenant_id)s")]
    found.append(service("image", "https://ims.{region}.cloud.invalid/v2"))
    found.append(service("eps", "https://eps.cloud.invalid/v1.0"))
    found.append(service("kms", "https://kms.{region}.cloud.invalid/v1.0/x"))
    return [*found, service("evs", "https://evs.{region}.cloud.invalid/v2/x")] if evs else found


class ScriptedCloud(httpx.AsyncBaseTransport):
    """Answers logins by itself, with tokens t1, t2, ..., and everything else by a script or a list of answers."""

    def __init__(self, *answers: Answer | Script, life_s: float = 86400.0, evs: bool = True) -> None:
        self.answers = list(answers)
        self.logins: list[Answer | Script] = []
        self.seen: list[Seen] = []
        self._life_s = life_s
        self._evs = evs

    @property
    def calls(self) -> list[Seen]:
        """The requests but for the logins."""
        return [one for one in self.seen if not one.is_login]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the next answer; the last one is repeated."""
        content = await request.aread()
        seen = Seen(
            now_s(),
            request.method,
            request.url.host,
            request.url.path,
            dict(request.url.params),
            request.headers.get("x-auth-token"),
            json.loads(content) if content else None,
        )
        self.seen.append(seen)
        if seen.is_login:
            given: Answer | Script = self.logins.pop(0) if self.logins else self.grant()
        else:
            given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        found = given if isinstance(given, httpx.Response | Exception) else given(request)
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    def grant(self) -> httpx.Response:
        """Return a login that is granted."""
        number = sum(one.is_login for one in self.seen)
        clock = VirtualClock()
        issued = clock.now()
        body = {
            "token": {
                "issued_at": issued.isoformat(),
                "expires_at": (issued + timedelta(seconds=self._life_s)).isoformat(),
                "project": {"id": PROJECT, "name": "eu-de_project"},
                "user": {"id": "user-1", "name": "al"},
                "catalog": catalog(evs=self._evs),
            }
        }
        return answer(201, body, x_subject_token=f"t{number}")


@asynccontextmanager
async def opened(
    cloud: ScriptedCloud,
    credentials: Credentials = CREDENTIALS,
    *,
    limits: ApiLimits | None = None,
    env: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[CloudClient]:
    """Yield the client, logged in."""
    chance = FixedChance(0.5)
    async with open_cloud(
        credentials,
        clock=clock or VirtualClock(),
        chance=chance,
        limits=limits or ApiLimits(),
        env=env or {},
        inner=cloud,
    ) as client:
        yield client


def server_body(server_id: str, **more: object) -> dict[str, object]:
    """Return a server as the list shows it."""
    return {
        "id": server_id,
        "name": f"name-{server_id}",
        "status": "SHUTOFF",
        "OS-EXT-STS:vm_state": "stopped",
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:power_state": 4,
        "image": {"id": "image-1"},
        "metadata": {"metering.image_id": "image-1", "image_name": "Debian", "os_type": "Linux"},
        "os-extended-volumes:volumes_attached": [
            {"id": "disk-1", "bootIndex": "0", "device": "/dev/vda"},
            {"id": "data-1", "bootIndex": "-1", "device": "/dev/vdb"},
        ],
        "OS-EXT-AZ:availability_zone": "eu-de-01",
        "key_name": "KeyPair-1",
        "flavor": {"id": "s3.medium.2", "name": "s3.medium.2", "vcpus": "1", "ram": "2048", "disk": "0"},
        "addresses": {
            "vpc-1": [
                {"addr": "192.168.0.7", "version": "4", "OS-EXT-IPS:type": "fixed"},
                {"addr": "80.158.0.7", "version": "4", "OS-EXT-IPS:type": "floating"},
            ]
        },
        "enterprise_project_id": "0",
        "tags": ["role=web", "plain"],
        "locked": False,
        "fault": None,
        **more,
    }


def with_cloud(
    *answers: Answer | Script,
    then: Callable[[CloudClient, ScriptedCloud], Coroutine[Any, Any, None]],
    evs: bool = True,
) -> None:
    """Run `then` in virtual time with a client of a cloud that gives these answers."""

    async def main() -> None:
        cloud = ScriptedCloud(*answers, evs=evs)
        async with opened(cloud) as client:
            await then(client, cloud)

    run(main)
