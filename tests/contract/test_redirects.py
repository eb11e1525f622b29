"""A redirect is an answer like any other: it is not followed, and takes neither token nor body anywhere."""

import json
import re
from collections import Counter

import pytest

from fleetos.cloud import session
from fleetos.cloud.session import READ_TRIES
from fleetos.errors import CloudError, CloudUnreachable, ReadRefused
from fleetos.model.codes import AnswerClass, answer_class
from fleetos.model.inventory import Delivered
from tests.contract.gateway import PROJECT, SERVER, change, gateway, stop
from tests.contract.peers import Exchange, Script, always, peer

WHITHER = ["another name", "https", "the same server", "a name and a password"]
CASES = [(status, "another port") for status in (300, 301, 302, 303, 305, 307, 308)] + [(307, to) for to in WHITHER]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for real."""
    monkeypatch.setattr(session, "READ_WAIT_S", 0.01)


def redirecting(status: int, to: str, port: int, into: list[bytes], body: object = None) -> Script:
    """The script of a gateway that sends everybody elsewhere, or to another path of its own."""
    location = {
        "another port": f"http://127.0.0.1:{port}/elsewhere",
        "another name": f"http://localhost:{port}/elsewhere",
        "https": f"https://127.0.0.1:{port}/elsewhere",
        "the same server": "/elsewhere",
        "a name and a password": f"http://al:x@127.0.0.1:{port}/elsewhere",
    }[to]
    headers = f"Location: {location}\r\nRefresh: 0; url={location}\r\nSet-Cookie: next={location}\r\n"

    async def script(exchange: Exchange) -> None:
        while True:
            into.append(await exchange.read_request())
            await exchange.answer(status, json.dumps(body or {}).encode(), headers)

    return script


def asked(requests: list[bytes]) -> Counter[str]:
    """How often each path was asked for."""
    return Counter(re.split(rb"[ ?]", request)[1].decode() for request in requests)


@pytest.mark.parametrize(("status", "to"), CASES)
async def test_reads_and_writes_go_nowhere_else(status: int, to: str) -> None:
    seen: list[bytes] = []
    async with peer(always()) as elsewhere, gateway(redirecting(status, to, elsewhere.port, seen)) as cloud:
        async with cloud.client() as client:
            for write in (change, stop):
                reply = await write(client)
                assert isinstance(reply, Delivered)
                assert reply.status == status
                # The gateway may have passed it on all the same: nobody knows.
                assert answer_class(reply)[0] is AnswerClass.AMBIGUOUS
            with pytest.raises(ReadRefused, match=f"HTTP {status}") as caught:
                await client.server(SERVER)
            assert caught.value.hint == "the address leads elsewhere: check the endpoint"
        assert elsewhere.connections == 0
    assert asked(seen) == {
        f"/v2/{PROJECT}/cloudservers/{SERVER}/changeos": 1,
        f"/v1/{PROJECT}/cloudservers/action": 1,
        f"/v1/{PROJECT}/cloudservers/{SERVER}": 1,
    }


@pytest.mark.parametrize(("status", "to"), CASES)
async def test_a_login_goes_nowhere_else(status: int, to: str) -> None:
    seen: list[bytes] = []
    async with peer(always()) as elsewhere, gateway(always(), redirecting(status, to, elsewhere.port, seen)) as cloud:
        with pytest.raises(CloudUnreachable, match=f"HTTP {status}") as caught:
            async with cloud.client():
                pass
        assert elsewhere.connections == 0
    assert asked(seen) == {"/v3/auth/tokens": READ_TRIES}
    assert caught.value.hint is not None
    assert "check auth_url" in caught.value.hint


@pytest.mark.parametrize("code", ["Ecs.0005", "Ecs.0100", "Common.0024", "APIGW.0301", "Ecs.0114"])
async def test_no_code_makes_a_redirect_prove_anything(code: str) -> None:
    seen: list[bytes] = []
    body = {"error": {"code": code, "message": "no"}}
    async with gateway(redirecting(302, "the same server", 1, seen, body)) as cloud, cloud.client() as client:
        reply = await change(client)
    assert answer_class(reply)[0] is AnswerClass.AMBIGUOUS


async def test_a_job_id_in_a_redirect_is_no_acceptance() -> None:
    seen: list[bytes] = []
    async with (
        gateway(redirecting(307, "the same server", 1, seen, {"job_id": "ff80"})) as cloud,
        cloud.client() as client,
    ):
        reply = await change(client)
    assert isinstance(reply, Delivered)
    assert reply.job_id is None
    assert answer_class(reply)[0] is AnswerClass.AMBIGUOUS


async def test_a_page_of_the_list_that_is_redirected_is_no_empty_list() -> None:
    seen: list[bytes] = []
    async with (
        peer(always(body=b'{"count": 0, "servers": []}')) as elsewhere,
        gateway(redirecting(302, "another port", elsewhere.port, seen)) as cloud,
        cloud.client() as client,
    ):
        with pytest.raises(CloudError, match="HTTP 302"):
            await client.list_servers()
        assert elsewhere.connections == 0
