"""Access keys and tokens against the simulated cloud, over real sockets: it checks each signature by its own code."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetos.clock import SystemClock
from fleetos.cloud.auth.credentials import AccessKey, Credentials, GivenToken, Password, Proof
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.errors import AuthenticationFailed, UsageError
from fleetos.model.inventory import Delivered
from fleetos.model.plan import ApiLimits
from fleetos.model.run import Order, Secrets
from fleetos.sim.api.access import (
    ACCESS_KEY,
    DOMAIN,
    PASSWORD,
    PROJECT,
    REGION,
    SECRET_KEY,
    SECURITY_TOKEN,
    TEMPORARY_ACCESS_KEY,
    TEMPORARY_SECRET_KEY,
    USER,
)
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.api.signatures import SignatureChecker
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.server.serve import ListenAddress, serve
from fleetos.sim.wire.messages import SimRequest
from tests.contract.gateway import PROJECT as PEERS_PROJECT
from tests.contract.gateway import SERVER, change, gateway
from tests.contract.loopback_tls import AUTHORITY, HERE, serving, trusted
from tests.contract.peers import Exchange, always, peer
from tests.support.chance import SeededChance
from tests.support.clocks import ShiftedClock
from tests.support.secrets import ADMINPASS

KEY = AccessKey(ACCESS_KEY, SECRET_KEY)
TEMPORARY = AccessKey(TEMPORARY_ACCESS_KEY, TEMPORARY_SECRET_KEY, SECURITY_TOKEN)
ODD_IMAGE = "Débian 12 + ~extras/*&=,%41"


@dataclass(frozen=True, slots=True)
class ServedCloud:
    """A served cloud."""

    cloud: SimulatedCloud
    url: str

    @asynccontextmanager
    async def client(self, proof: Proof, ahead_s: float = 0.0, **changes: Any) -> AsyncGenerator[CloudClient]:
        """Yield a client, logged in, whose clock is so far ahead."""
        given = Credentials(f"{self.url}/v3", proof, project_name=PROJECT, region=REGION)
        clock, limits = ShiftedClock(ahead_s), ApiLimits()
        access = replace(given, **changes)
        async with open_cloud(access, clock=clock, chance=SeededChance(1), limits=limits, env={}) as client:
            yield client

    @property
    def requests(self) -> int:
        """How many requests the cloud has seen."""
        return sum(self.cloud.world.ledger.requests.values())


@asynccontextmanager
async def served_cloud(**scenario: object) -> AsyncGenerator[ServedCloud]:
    described = {"servers": [{"count": 2}], "durations": {"stop": (0, 0), "job_init": (0, 0)}, **scenario}
    now = SystemClock().now
    cloud = SimulatedCloud(Scenario.model_validate(described), now().timestamp(), lambda: now().timestamp())
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving_ = asyncio.create_task(serve(cloud, ListenAddress(), listening.set_result))
    try:
        yield ServedCloud(cloud, await listening)
    finally:
        serving_.cancel()
        await asyncio.gather(serving_, return_exceptions=True)


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["for-ever", "for-a-time"])
async def test_every_kind_of_request_is_signed_rightly(key: AccessKey) -> None:
    images = [{"name": "Standard_Debian_11_latest"}, {"name": ODD_IMAGE}]
    async with served_cloud(images=images, key_pairs=["KeyPair 1+é"]) as staged, staged.client(key) as client:
        own = next(iter(staged.cloud.world.servers))
        assert len((await client.list_servers()).servers) == 2
        (image,) = await client.images.named(ODD_IMAGE)
        assert await client.project.has_key_pair("KeyPair 1+é")
        permit = client.permit()
        assert permit is not None
        stopped = await client.stop([own], hard=True, permit=permit, last_check=lambda: None)
        assert isinstance(stopped, Delivered)
        assert stopped.job_id is not None
        assert await client.job(stopped.job_id) is not None
        permit = client.permit()
        assert permit is not None
        secrets = Secrets(ADMINPASS, "#cloud-config é".encode())
        order = Order(image.id, image.name, "v2")
        replied = await client.change_os(own, order, secrets, stop_first=True, permit=permit, last_check=lambda: None)
        assert isinstance(replied, Delivered)
        assert replied.job_id is not None
        assert await client.traces(own, SystemClock().now() - timedelta(minutes=1))
    ledger = staged.cloud.world.ledger
    assert {write.came for write in ledger.writes} == {"accepted"}
    assert ledger.requests["token"] == 0


async def test_the_project_is_asked_of_iam_unless_it_is_given() -> None:
    async with served_cloud() as staged:
        own = staged.cloud.world.project_id
        async with staged.client(KEY) as client:
            assert client.place.project_id == own
        assert staged.cloud.world.ledger.requests == {"projects": 1, "list": 1}
        async with staged.client(KEY, project_id=own, project_name=None) as client:
            assert client.place.project_id == own
        assert staged.cloud.world.ledger.requests == {"projects": 1, "list": 2}
        with pytest.raises(UsageError, match="IAM knows no projects named elsewhere"):
            async with staged.client(KEY, project_name="elsewhere"):
                pass


async def test_the_user_of_a_key_is_asked_of_iam() -> None:
    refuse = {"on": "credential", "do": "refuse", "nth": [2], "code": "Pdp.0001"}
    async with served_cloud(faults=[refuse, {"on": "credential", "do": "garble", "nth": [3]}]) as staged:
        user, requests = staged.cloud.world.user_id, staged.cloud.world.ledger.requests
        async with staged.client(KEY) as client:
            assert client.place.user_id is None
            assert requests["credential"] == 0
            assert await client.user_id() == user
            # Who may not ask, and who cannot read the answer, goes on without it.
            assert await client.user_id() is None
            assert await client.user_id() is None
            assert len((await client.list_servers()).servers) == 2
        async with staged.client(KEY, auth_url=staged.url) as client:
            assert await client.user_id() == user
        async with staged.client(TEMPORARY) as client:
            assert await client.user_id() is None
        asked = requests["credential"]
        async with staged.client(Password(USER, PASSWORD, DOMAIN)) as client:
            assert await client.user_id() == user
        assert requests["credential"] == asked


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (AccessKey(ACCESS_KEY, "wrong-secret-key-4711"), "verify aksk signature fail"),
        (AccessKey("NOACCESSKEY", SECRET_KEY), "ak not exist"),
        (AccessKey(ACCESS_KEY, SECRET_KEY, "wrong-token-4711"), "security token"),
        (AccessKey(TEMPORARY_ACCESS_KEY, TEMPORARY_SECRET_KEY), "security token"),
        (AccessKey(TEMPORARY_ACCESS_KEY, TEMPORARY_SECRET_KEY, "wrong-token-4711"), "security token"),
        (GivenToken("sim.1.99999999999999.wrong-token-4711"), "APIGW.0301"),
        (Password(USER, "wrong-password-4711", DOMAIN), "IAM refuses"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["project-known", "project-asked"])
async def test_what_is_not_accepted_is_shown_once(proof: Proof, said: str, known: bool) -> None:
    async with served_cloud() as staged:
        project_id = staged.cloud.world.project_id if known else None
        with pytest.raises(AuthenticationFailed, match=said) as caught:
            async with staged.client(proof, project_id=project_id):
                pass
        assert caught.value.status == 401
        assert "4711" not in repr(caught.value) + caught.value.message + (caught.value.hint or "")
        assert staged.requests == 1


@pytest.mark.parametrize("ahead_s", [-20 * 60.0, 20 * 60.0])
async def test_a_clock_that_is_wrong_is_named(ahead_s: float) -> None:
    async with served_cloud() as staged:
        with pytest.raises(AuthenticationFailed, match="15 minutes off") as caught:
            async with staged.client(KEY, ahead_s):
                pass
        way = "ahead of" if ahead_s > 0 else "behind"
        assert f"20 minutes {way} the cloud's" in (caught.value.hint or "")
        async with staged.client(KEY, ahead_s * 0.7):
            pass


@pytest.mark.parametrize("refused", ["detail", "stop"])
@pytest.mark.parametrize("kind", ["key", "token"])
async def test_a_refusal_on_the_way_is_the_last_thing_that_is_heard(kind: str, refused: str) -> None:
    rule = {"on": refused, "do": "refuse", "code": "APIGW.0301"}
    async with served_cloud(faults=[rule]) as staged:
        proof = await given_token(staged) if kind == "token" else KEY
        async with staged.client(proof) as client:
            own, other = staged.cloud.world.servers
            permit = client.permit()
            assert permit is not None
            if refused == "stop":
                replied = await client.stop([own], hard=True, permit=permit, last_check=lambda: None)
                assert isinstance(replied, Delivered)
                assert replied.status == 401
            else:
                with pytest.raises(AuthenticationFailed, match="the cloud does not accept the"):
                    await client.server(own)
            before = staged.requests
            for _ in range(3):
                with pytest.raises(AuthenticationFailed, match="does not accept"):
                    await client.server(other)
            assert staged.requests == before


async def given_token(staged: ServedCloud) -> GivenToken:
    """A token that somebody else has asked for."""
    user = {"name": USER, "password": PASSWORD, "domain": {"name": DOMAIN}}
    identity = {"methods": ["password"], "password": {"user": user}}
    async with httpx.AsyncClient() as http:
        body = {"auth": {"identity": identity, "scope": {"project": {"name": PROJECT}}}}
        answer = await http.post(f"{staged.url}/v3/auth/tokens", json=body)
    return GivenToken(answer.headers["x-subject-token"])


async def test_a_token_at_hand_is_enough() -> None:
    async with served_cloud(tokens={"length": 6000}) as staged:
        token = await given_token(staged)
        async with staged.client(token) as client:
            assert client.place.project_id == staged.cloud.world.project_id
            assert client.place.user_id == staged.cloud.world.user_id
            assert len((await client.list_servers()).servers) == 2
        with pytest.raises(UsageError, match=f"is for project {PROJECT}, not for other"):
            async with staged.client(token, project_name="other"):
                pass
        with pytest.raises(UsageError, match="not for other-id"):
            async with staged.client(token, project_id="other-id"):
                pass


async def test_a_signed_request_goes_only_where_it_is_trusted(tmp_path: Path) -> None:
    seen: list[bytes] = []
    tls, authorities = serving(tmp_path, HERE), str(trusted(tmp_path, AUTHORITY))
    async with gateway(always(body=b'{"servers": []}', into=seen), tls=tls) as cloud:
        async with cloud.client(proof=TEMPORARY, project_id=PEERS_PROJECT, authorities=authorities) as client:
            await change(client)
        assert cloud.logins == []
    head, _, body = seen[1].partition(b"\r\n\r\n")
    assert head.startswith(f"POST /v2/{PEERS_PROJECT}/cloudservers/{SERVER}/changeos HTTP/1.1".encode())
    assert f"SDK-HMAC-SHA256 Access={TEMPORARY_ACCESS_KEY}, SignedHeaders=".encode() in head
    assert b"content-type;host;x-project-id;x-sdk-date;x-security-token" in head
    assert ADMINPASS.encode() in body
    assert TEMPORARY_SECRET_KEY.encode() not in seen[0] + seen[1]


async def test_a_signature_survives_a_proxy() -> None:
    verdicts: list[object] = []
    office = SignatureChecker(PEERS_PROJECT)

    async def between(exchange: Exchange) -> None:
        """A proxy that asks the gateway's code what it makes of each request, and answers in its place."""
        while True:
            head, _, body = (await exchange.read_request()).partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            method, address, _ = first.split(" ")
            headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
            target = address.removeprefix(f"http://{headers['host']}")
            asked = SimRequest(method, target, {}, headers, body, target)
            verdicts.append(office.check_request(asked, SystemClock().now().timestamp()))
            await exchange.answer(body=b'{"servers": []}')

    async with peer(between) as proxy:
        elsewhere = {"ecs": "http://ecs.cloud.invalid", "ims": "http://ims.cloud.invalid:8080"}
        access = Credentials(None, KEY, project_id=PEERS_PROJECT, endpoints=elsewhere, insecure_http=True)
        env, limits = {"HTTPS_PROXY": proxy.url("")}, ApiLimits()
        opening = open_cloud(access, clock=SystemClock(), chance=SeededChance(1), limits=limits, env=env)
        async with opening as client:
            await client.images.named(ODD_IMAGE)
            await change(client)
    assert len(verdicts) >= 3
    assert set(verdicts) == {None}
