"""A server whose certificate is not to be trusted gets no credential: not a byte of a request reaches it."""

import ssl
from pathlib import Path

import pytest

from fleetos.clock import SystemClock
from fleetos.cloud import session
from fleetos.cloud.auth.cloud_entry import CloudChoice
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.auth.environment import from_variables
from fleetos.cloud.connect import iam_address, open_session
from fleetos.cloud.http.transport import tls_context
from fleetos.errors import CloudUnreachable
from fleetos.model.inventory import Undelivered
from fleetos.model.plan import ApiLimits
from tests.contract.gateway import SECRETS, SERVER, TOKEN, change, gateway, stop
from tests.contract.loopback_tls import AUTHORITY, ELSEWHERE, EXPIRED, HERE, SELF_SIGNED, serving, trusted
from tests.contract.peers import Exchange, always
from tests.support.chance import SeededChance
from tests.support.secrets import LOGIN_PASSWORD

# What is served, what is trusted (None: what the system trusts), and how OpenSSL begins to speak of it.
DISTRUSTED: dict[str, tuple[str, str | None, str]] = {
    "self-signed": (SELF_SIGNED, None, "self"),
    "self-signed beside a trusted authority": (SELF_SIGNED, AUTHORITY, "self"),
    "unknown authority": (HERE, SELF_SIGNED, "unable to get local issuer"),
    "authority unknown to the system": (HERE, None, "unable to get local issuer"),
    "expired": (EXPIRED, AUTHORITY, "certificate has expired"),
    "of another host": (ELSEWHERE, AUTHORITY, "IP address mismatch"),
}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for real."""
    monkeypatch.setattr(session, "READ_WAIT_S", 0.01)


def made(folder: Path, name: str) -> Path:
    """A folder of that name."""
    (folder / name).mkdir()
    return folder / name


@pytest.mark.parametrize("name", sorted(DISTRUSTED))
async def test_the_password_is_not_sent_to_an_iam_that_is_not_trusted(tmp_path: Path, name: str) -> None:
    served, trust, said = DISTRUSTED[name]
    authorities = None if trust is None else str(trusted(tmp_path, trust))
    async with gateway(always(), tls=serving(tmp_path, served)) as cloud:
        with pytest.raises(CloudUnreachable) as caught:
            async with cloud.client(authorities=authorities):
                pass
        assert cloud.logins == []
        # The peer counts a connection when its handshake is over, and only then could it read a request.
        assert cloud.iam.connections == 0
    assert caught.value.message.startswith(f"the login: the certificate of 127.0.0.1 is refused: {said}")
    assert caught.value.hint is not None
    assert "nothing was sent" in caught.value.hint
    assert "OS_CACERT" in caught.value.hint


@pytest.mark.parametrize("name", sorted(name for name, (_, trust, _) in DISTRUSTED.items() if trust == AUTHORITY))
async def test_the_token_is_not_sent_to_a_service_that_is_not_trusted(tmp_path: Path, name: str) -> None:
    served, _, said = DISTRUSTED[name]
    iam, ecs = serving(made(tmp_path, "iam"), HERE), serving(made(tmp_path, "ecs"), served)
    authorities = str(trusted(tmp_path, AUTHORITY))
    async with gateway(always(), tls=iam, ecs_tls=ecs) as cloud, cloud.client(authorities=authorities) as client:
        with pytest.raises(CloudUnreachable, match=said):
            await client.server(SERVER)
        for write in (change, stop):
            reply = await write(client)
            # Proven, so the attempt may be sent again.
            assert isinstance(reply, Undelivered)
            assert said in reply.detail
        assert cloud.ecs.connections == 0
        assert client.requests == {"token": 1}
        assert len(cloud.logins) == 1


async def test_a_certificate_that_is_trusted_lets_the_same_requests_through(tmp_path: Path) -> None:
    seen: list[bytes] = []
    tls, authorities = serving(tmp_path, HERE), str(trusted(tmp_path, AUTHORITY))
    async with gateway(always(status=400, into=seen), tls=tls) as cloud:
        async with cloud.client(authorities=authorities) as client:
            await change(client)
        assert len(cloud.logins) == 1
    assert b'"password": "Kc' in cloud.logins[0]
    assert TOKEN.encode() in seen[0]


@pytest.mark.parametrize("served", [SELF_SIGNED, EXPIRED, ELSEWHERE], ids=["self-signed", "expired", "elsewhere"])
async def test_who_says_verify_false_trusts_everybody(tmp_path: Path, served: str) -> None:
    seen: list[bytes] = []
    async with gateway(always(status=400, into=seen), tls=serving(tmp_path, served)) as cloud:
        async with cloud.client(verify=False) as client:
            await change(client)
        assert len(cloud.logins) == 1
    assert TOKEN.encode() in seen[0]


@pytest.mark.parametrize("name", ["self-signed", "trusted"])
async def test_a_knock_shows_nothing_and_tells_of_the_certificate(tmp_path: Path, name: str) -> None:
    seen: list[bytes] = []
    served = SELF_SIGNED if name == "self-signed" else HERE
    async with gateway(always(status=404, into=seen), tls=serving(tmp_path, served)) as cloud:
        access = Credentials(
            auth_url=cloud.ecs.url("/v3", "https"),
            proof=Password("al", LOGIN_PASSWORD),
            authorities=str(trusted(tmp_path, AUTHORITY)),
        )
        _, origin = iam_address(access)
        assert origin is not None
        opening = open_session(access, clock=SystemClock(), chance=SeededChance(1), limits=ApiLimits(), env={})
        async with opening as session:
            if name == "trusted":
                assert (await session.probe_endpoint(origin)).status == 404
            else:
                with pytest.raises(CloudUnreachable, match=r"certificate of 127\.0\.0\.1 is refused"):
                    await session.probe_endpoint(origin)
    assert [one.split(b"\r\n")[0] for one in seen] == ([b"GET / HTTP/1.1"] if name == "trusted" else [])
    assert not [one for one in seen if b"x-auth-token" in one.lower() or LOGIN_PASSWORD.encode() in one]


def test_nothing_but_an_entry_of_clouds_yaml_can_switch_verification_off(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"OS_AUTH_URL": "https://iam.invalid", "OS_USERNAME": "al", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "p"}
    lax = {"OS_INSECURE": "true", "OS_VERIFY": "false", "PYTHONHTTPSVERIFY": "0", "OS_CLOUD": "", "verify": "false"}
    plain = from_variables(env, CloudChoice(None, None))
    assert from_variables({**env, **lax}, CloudChoice(None, None)) == plain
    assert plain.verify
    for name, value in lax.items():
        monkeypatch.setenv(name, value)
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_plain_answer_where_tls_is_spoken_gets_no_credential() -> None:
    heard: list[bytes] = []

    async def listen(exchange: Exchange) -> None:
        heard.append(await exchange.reader.read(4096))
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with gateway(always(), listen) as cloud:
        # The address says https, the server does not.
        with pytest.raises(CloudUnreachable):
            async with cloud.client(auth_url=cloud.iam.url("/v3", "https")):
                pass
    assert heard
    assert all(LOGIN_PASSWORD[:5].encode() not in one and b"POST" not in one for one in heard)
    assert SECRETS["token"].encode() not in b"".join(heard)
