"""The one way out: requests over HTTP, and the proof whether one that failed ever left this machine.

The library reports a refused connection, a reset after the whole request was read, and an orderly close all by the
same exception class, so its classes are not consulted. *Not sent* is proven by the aiohttp error at the end of the
chain of causes (no connection was made), or by our own last look, which stands directly before the bytes. Everything
else, classes that nobody has seen yet included, is *answer lost*.
"""

import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache

import aiohttp
import anyio
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport

from fleetos.cloud.http.addresses import Proxies, is_loopback
from fleetos.cloud.http.error_body import plain
from fleetos.cloud.http.response import HttpResponse
from fleetos.errors import AnswerLost, NotSent
from fleetos.limits import CONNECT_TIMEOUT_S, HEADER_BYTES

# Answers None when a request may leave now, else why it must not.
LastCheck = Callable[[], str | None]
# Causes of causes that are looked at; the library's own chains are three long.
_CAUSES = 10
# The same servers and jobs are asked for again and again, and taking an address apart is no small part of a request.
_address = lru_cache(maxsize=4096)(httpx.URL)
_HEADERS = {"User-Agent": "fleetos", "Accept": "application/json", "Accept-Encoding": "gzip"}
# Closing is bookkeeping on this machine; a peer that hangs must not hold up whoever was cancelled.
_CLOSE_S = 2.0
# How a body may be packed; once alone, so that no part of it grows beyond a thousand times its size.
_CODINGS = frozenset({"", "identity", "gzip"})
_DISTRUST_HINT = (
    "nothing was sent. Check the address, and the clock of this machine; "
    "an authority of your own is named by OS_CACERT, or by cacert in the cloud's entry"
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `operation` is what it is counted as; headers and content may hold `secrets`, all of them named.

    `auth` is put on last: it may be a signature over all the rest.
    """

    operation: str
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    answer_bytes: int
    content: bytes | None = field(default=None, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    effect: bool = False
    last_check: LastCheck | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


_leaving: ContextVar[HttpRequest | None] = ContextVar("leaving", default=None)


class Transport:
    """Sends requests, counts those that leave, and says of a failed one whether it left.

    `simulated` is whether all answers so far, and at least one, came from a simulated cloud; `on_simulated` is told
    when that changes. Only an answer from this machine that says so counts: a real cloud may be behind an address of
    this machine, as by a tunnel, and whoever stands before a distant one, as a proxy, can add a header.
    """

    def __init__(
        self,
        reads: httpx.AsyncBaseTransport,
        effects: httpx.AsyncBaseTransport,
        left: Counter[str],
        proxies: Proxies | None = None,
    ) -> None:
        self._reads = reads
        self._effects = effects
        self._secrets = proxies.secrets if proxies is not None else ()
        self._answered = False
        self.simulated = False
        self.on_simulated: Callable[[bool], None] | None = None
        self.left = left

    async def send(self, outgoing: HttpRequest) -> HttpResponse:
        """Return the answer, whatever its status. Never repeats. Raises NotSent or AnswerLost, without secrets."""
        way = self._effects if outgoing.effect else self._reads
        secrets = (*outgoing.secrets, *self._secrets)
        token = _leaving.set(outgoing)
        try:
            with anyio.fail_after(outgoing.timeout_s):
                answer = await _exchange(way, outgoing, secrets)
        except Exception as error:  # noqa: BLE001 - the point of this module: whatever it is, it becomes one of ours
            failure = _failure(error, outgoing, secrets)
        else:
            self._note_simulated(answer, outgoing)
            return answer
        finally:
            _leaving.reset(token)
        # Raised here and not above: the library's errors hold the request's headers, and with them the token.
        raise failure

    def _note_simulated(self, answer: HttpResponse, outgoing: HttpRequest) -> None:
        word = answer.simulated and is_loopback(httpx.URL(outgoing.url).host)
        before, self.simulated = self.simulated, word and (self.simulated or not self._answered)
        self._answered = True
        if self.simulated != before and self.on_simulated is not None:
            self.on_simulated(self.simulated)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._reads.aclose()
        await self._effects.aclose()


class InProcess(httpx.AsyncBaseTransport):
    """A transport without sockets, with the same last look and count as the one over sockets."""

    def __init__(self, inner: httpx.AsyncBaseTransport, left: Counter[str]) -> None:
        self._inner = inner
        self._left = left

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the inner transport's answer. Raises NotSent when the last look forbids the request."""
        _leave(self._left)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Closes the inner transport."""
        await self._inner.aclose()


class _Ways(httpx.AsyncBaseTransport):
    """Sends each request directly or through the proxy, as its host demands."""

    def __init__(self, session: aiohttp.ClientSession, context: ssl.SSLContext, proxies: Proxies) -> None:
        self._session = session
        self._proxies = proxies
        self._direct = AiohttpTransport(verify=context, client=session)
        proxy = None if proxies.address is None else httpx.Proxy(proxies.address, headers=proxies.headers())
        self._proxied = AiohttpTransport(verify=context, client=session, proxy=proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer. Raises what the library raises."""
        way = self._direct if self._proxies.for_host(request.url.host) is None else self._proxied
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        """Closes the session."""
        await self._session.close()


@asynccontextmanager
async def open_transport(
    *,
    proxies: Proxies,
    context: ssl.SSLContext | None = None,
    resolver: AbstractResolver | None = None,
    inner: httpx.AsyncBaseTransport | None = None,
) -> AsyncGenerator[Transport]:
    """Yield a transport over sockets, or over `inner` when that is given, and close it.

    `context` None: the system's and certifi's authorities.
    """
    left: Counter[str] = Counter()
    if inner is not None:
        ways: list[httpx.AsyncBaseTransport] = [InProcess(inner, left)]
    else:
        context = context or tls_context()
        # An effect gets a connection of its own: one from the pool may have been closed by the other side a moment
        # ago, and then nobody could say whether the request was read.
        ways = [_Ways(_session(left, context, resolver, fresh=fresh), context, proxies) for fresh in (False, True)]
    transport = Transport(ways[0], ways[-1], left, proxies)
    try:
        yield transport
    finally:
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await transport.aclose()


def tls_context(authorities: str | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """Return how servers are checked: against the file `authorities` alone, else the system's and certifi's.

    Raises OSError (ssl.SSLError is one) when the file cannot be used.
    """
    if authorities is not None:
        context = ssl.create_default_context(cafile=authorities)
    else:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _session(
    left: Counter[str], context: ssl.SSLContext, resolver: AbstractResolver | None, *, fresh: bool
) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()

    async def headers_about_to_leave(*_: object) -> None:
        _leave(left)

    trace.on_request_headers_sent.append(headers_about_to_leave)
    if fresh:
        connector = aiohttp.TCPConnector(limit=0, ssl=context, resolver=resolver, force_close=True)
    else:
        connector = aiohttp.TCPConnector(limit=0, ssl=context, resolver=resolver)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
        trust_env=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )


def _leave(left: Counter[str]) -> None:
    """The last look: aiohttp calls it with the connection at hand and not one byte written."""
    outgoing = _leaving.get()
    if outgoing is None:
        return
    if outgoing.last_check is not None and (why := outgoing.last_check()) is not None:
        raise NotSent(why)
    left[outgoing.operation] += 1


async def _exchange(way: httpx.AsyncBaseTransport, outgoing: HttpRequest, secrets: tuple[str, ...]) -> HttpResponse:
    """One request and its answer. There is no client of the library in between: nothing here could follow a redirect,
    keep a cookie, or send a request for a second time."""
    closing = {"Connection": "close"} if outgoing.effect else {}
    headers = {**_HEADERS, **outgoing.headers, **closing}
    # Nobody waits for a place in the pool, so its time-out bounds what `connect` does not: the look-up of the name.
    limits = {"timeout": {"connect": CONNECT_TIMEOUT_S, "pool": CONNECT_TIMEOUT_S}}
    url = _address(outgoing.url)
    request = httpx.Request(outgoing.method, url, headers=headers, content=outgoing.content, extensions=limits)
    authenticated = request if outgoing.auth is None else next(outgoing.auth.sync_auth_flow(request))
    response = await way.handle_async_request(authenticated)
    try:
        answered = dict(response.headers.items())
        _check_coding(answered.get("content-encoding", ""))
        body = await _whole(response, outgoing.answer_bytes)
        await response.aclose()
    except BaseException:
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await response.aclose()
        raise
    return HttpResponse(response.status_code, answered, body, secrets)


async def _whole(response: httpx.Response, most_bytes: int) -> bytes:
    """Return the body. Raises AnswerLost as soon as it is longer than that."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most_bytes:
            raise AnswerLost(f"the answer is longer than {most_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def _check_coding(coding: str) -> None:
    """Nothing, unless the body is packed otherwise than was asked for. Packed twice, a few bytes would fill memory."""
    if coding.strip().lower() not in _CODINGS:
        raise AnswerLost("the answer is packed in a way that was not asked for")


def _failure(error: Exception, outgoing: HttpRequest, secrets: tuple[str, ...]) -> NotSent | AnswerLost:
    if type(error) is TimeoutError:
        return AnswerLost(f"no answer within {outgoing.timeout_s:g} s")
    chain = list(_causes(error))
    told = next((one for one in chain if isinstance(one, NotSent | AnswerLost)), None)
    if told is not None:
        return type(told)(told.message)
    if isinstance(chain[-1], ssl.SSLCertVerificationError) and _proves_not_sent(chain):
        # In the words of OpenSSL, which show the name that was asked for, and nothing else of the request.
        fault = plain(str(getattr(chain[-1], "verify_message", "")).rstrip(".")) or "it cannot be verified"
        return NotSent(f"the certificate of {httpx.URL(outgoing.url).host} is refused: {fault}", _DISTRUST_HINT)
    text = _words(chain, secrets)
    if any(isinstance(one, aiohttp.ClientHttpProxyError) for one in chain):
        text = f"the proxy refuses the way to {httpx.URL(outgoing.url).host}: {text}"
    return NotSent(text) if _proves_not_sent(chain) else AnswerLost(text)


def _proves_not_sent(chain: "list[BaseException]") -> bool:
    return any(isinstance(one, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) for one in chain)


def _words(chain: "list[BaseException]", secrets: tuple[str, ...]) -> str:
    """What went wrong at the root: in the system's words, or in the library's with the error's class.

    The library quotes what it cannot read, and that may be the request, sent back.
    """
    root = chain[-1]
    if isinstance(root, OSError) and root.strerror and type(root).__module__ == "builtins":
        return plain(root.strerror) or type(root).__name__
    words = plain(str(root), secrets) or plain(str(chain[0]), secrets)
    # The library's own error says at which point it was; below it lie errors that only say how it was broken off.
    kind = type(next((one for one in chain if isinstance(one, aiohttp.ClientError)), root)).__name__
    return f"{words} ({kind})" if words else kind


def _causes(error: BaseException) -> "list[BaseException]":
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and len(chain) < _CAUSES:
        chain.append(cause)
    return chain
