"""A gateway that quotes the request in its answer: the quotation goes no further than the client."""

import base64
import html
import json
import re
import traceback
import urllib.parse
from collections.abc import Callable, Iterator

import pytest

from fleetos.cloud import session
from fleetos.cloud.http.error_body import MESSAGE_CHARS
from fleetos.cloud.rate import throttle
from fleetos.errors import CloudError
from fleetos.model.inventory import Delivered, Unanswered
from tests.contract.gateway import SECRETS, SERVER, change, gateway, stop
from tests.contract.peers import Exchange, Script, always, peer
from tests.support.secrets import ADMINPASS, leaks

# Less than half of the shortest secret may be left of one that was cut off.
LEAST = 11


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for real."""
    monkeypatch.setattr(session, "READ_WAIT_S", 0.01)
    monkeypatch.setattr(throttle, "CLOSURE_LOOPBACK_S", 0.01)


def _ecs(request: str) -> str:
    return json.dumps({"error": {"code": "Ecs.0005", "message": f"cannot read {request}"}})


def _page(request: str) -> str:
    return f"<html><h1>refused</h1><pre>{html.escape(request)}</pre></html>"


def _body_alone(request: str) -> str:
    return json.dumps({"error_code": "APIGW.0201", "error_msg": request.partition("\r\n\r\n")[2] or request})


def _late(request: str) -> str:
    """A text that is cut off in the midst of a secret: all but its last letter is what would be kept."""
    head, _, body = request.partition("\r\n\r\n")
    begin = re.search(r'(?:"adminpass": |password": )"', body) or re.search("x-auth-token: ", head, re.IGNORECASE)
    assert begin is not None
    return "x" * (MESSAGE_CHARS - 15) + begin.string[begin.end() :]


PAGES: dict[str, Callable[[str], str]] = {
    "ecs": _ecs,
    "page": _page,
    "plain page": lambda request: f"<html><pre>{request}</pre></html>",
    "text": lambda request: request,
    "body": _body_alone,
    "late": _late,
    "base64": lambda request: f"request: {base64.b64encode(request.encode()).decode()}",
    "address": lambda request: f"see /error?request={urllib.parse.quote_plus(request)}",
    "repr": lambda request: f"request {request.encode()!r}",
    "cut": lambda request: json.dumps({"message": request[-60:]}),
}


def echo(page: Callable[[str], str], status: int) -> Script:
    """The script of a gateway that answers every request with its own words."""

    async def script(exchange: Exchange) -> None:
        while True:
            request = (await exchange.read_request()).decode()
            token = re.search(r"x-auth-token: (\S+)", request, re.IGNORECASE)
            # Headers are echoed as well as bodies.
            told = f"X-Request-Id: req-{token[1][:100] if token else 'none'}\r\n"
            await exchange.answer(status, page(request).encode(), told)

    return script


async def _status_line(exchange: Exchange) -> None:
    request = await exchange.read_request()
    await exchange.send(b"HTTP/1.1 400 " + request.replace(b"\r\n", b" ")[-3000:] + b"\r\nContent-Length: 0\r\n\r\n")


async def _lines_of_it(exchange: Exchange) -> None:
    request = await exchange.read_request()
    token = next((line for line in request.split(b"\r\n") if line.lower().startswith(b"x-auth")), b"none")
    await exchange.send(b"HTTP/1.1 200 OK\r\n" + token.replace(b":", b" ") + b"\r\n\r\n")


async def _body_as_answer(exchange: Exchange) -> None:
    await exchange.send((await exchange.read_request()).partition(b"\r\n\r\n")[2] + b"\r\n\r\n")


async def _bad_length(exchange: Exchange) -> None:
    request = await exchange.read_request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: " + request[-200:].replace(b"\r\n", b" ") + b"\r\n\r\n")


RAW: dict[str, Script] = {
    script.__name__: script for script in (_status_line, _lines_of_it, _body_as_answer, _bad_length)
}
SCRIPTS: dict[str, Script] = RAW | {
    f"{name} {status}": echo(page, status)
    for name, page in PAGES.items()
    for status in ((400, 401, 403, 502) if name == "ecs" else (400,))
}


def told_by(error: CloudError) -> Iterator[str]:
    """All that an error says, and all that would be shown of it in a crash."""
    yield from (error.message, str(error.hint), str(error.code), str(error.request_id), repr(error))
    yield "".join(traceback.format_exception(error))


@pytest.mark.parametrize("name", sorted(SCRIPTS))
async def test_no_answer_to_a_read_or_a_write_quotes_a_secret(name: str) -> None:
    said: list[str] = []
    async with gateway(SCRIPTS[name]) as cloud:
        async with cloud.client() as client:
            for write in (change, stop):
                reply = await write(client)
                assert isinstance(reply, Delivered | Unanswered)
                said.append(repr(reply))
        async with cloud.client() as client:
            with pytest.raises(CloudError) as caught:
                await client.server(SERVER)
            said += told_by(caught.value)
            with pytest.raises(CloudError) as listed:
                await client.list_servers()
            said += told_by(listed.value)
    assert not leaks(said, SECRETS, least=LEAST)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
async def test_no_refused_login_quotes_the_password(name: str) -> None:
    async with gateway(always(), SCRIPTS[name]) as cloud:
        with pytest.raises(CloudError) as caught:
            async with cloud.client():
                pass
    assert not leaks(told_by(caught.value), SECRETS, least=LEAST)


async def test_what_is_no_secret_is_still_told() -> None:
    async with gateway(echo(_ecs, 400)) as cloud, cloud.client() as client:
        reply = await change(client)
    assert isinstance(reply, Delivered)
    assert (reply.status, reply.code) == (400, "Ecs.0005")
    assert reply.message is not None
    assert reply.message.startswith("cannot read POST /v2/")
    assert "***" in reply.message


async def test_a_password_is_kept_out_of_what_the_cloud_says_later() -> None:
    job = {
        "status": "FAIL",
        "fail_reason": f"cannot set the password {ADMINPASS}.",
        "entities": {
            "sub_jobs": [
                {
                    "job_id": "j",
                    "status": "FAIL",
                    "entities": {"server_id": SERVER, "errorcode_message": f"with {ADMINPASS}"},
                }
            ]
        },
    }
    server = {"id": SERVER, "name": "web-01", "status": "ERROR", "fault": {"message": f"no {ADMINPASS} here"}}

    async def script(exchange: Exchange) -> None:
        while True:
            request = await exchange.read_request()
            if b"/jobs/" in request:
                content: object = job
            elif b"/detail" in request:
                content = {"count": 1, "servers": [server]}
            else:
                content = {"job_id": "j"} if request.startswith(b"POST") else {"server": server}
            await exchange.answer(200, json.dumps(content).encode())

    async with gateway(script) as cloud:
        async with cloud.client() as client:
            await change(client)
            first = [await client.job("j"), await client.server(SERVER), await client.list_servers()]
        async with cloud.client() as client:
            # Another process than the one that sent it.
            client.hide(ADMINPASS)
            later = [await client.job("j"), await client.server(SERVER), await client.list_servers()]
    assert first[:2] == later[:2]
    assert "cannot set the password ***." in repr(first)
    assert not leaks([repr(first), repr(later)], SECRETS, least=8)


@pytest.mark.parametrize("status", [400, 407, 502])
async def test_the_error_page_of_a_proxy_quotes_neither_its_own_password_nor_ours(status: int) -> None:
    secrets = {**SECRETS, "proxy": 'Gm5/wQ"tz-9Lx', "proxy user": 'pr-oxy:Gm5/wQ"tz-9Lx'}
    said: list[str] = []
    for scheme in ("http", "https"):
        async with peer(echo(PAGES["text"], status)) as proxy:
            env = {
                "HTTPS_PROXY": f"http://pr-oxy:Gm5%2FwQ%22tz-9Lx@127.0.0.1:{proxy.port}",
                "FLEETOS_ECS_ENDPOINT": f"{scheme}://ecs.cloud.invalid",
            }
            async with gateway(always()) as cloud, cloud.client(env, insecure_http=True) as client:
                said.append(repr(await change(client)))
                with pytest.raises(CloudError) as caught:
                    await client.server(SERVER)
                said += told_by(caught.value)
    assert not leaks(said, secrets, least=8)
