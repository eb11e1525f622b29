"""Send one request, and prove whether a failed one left this machine. No other module sends requests.

httpx reports a refused connection, a reset after the whole request was read, and an orderly close all by the same
exception class, so its classes are not consulted. *Not sent* is proven by the aiohttp error at the end of the chain of
causes (no connection was made), or by our own last check, directly before the first byte. Everything else, unknown
classes included, is *answer lost*.
"""

import logging
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache

import aiohttp
import anyio
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport

from fleetos.cloud.http.addresses import Proxies, is_loopback
from fleetos.cloud.http.error_body import request_id_of, sanitize
from fleetos.cloud.http.response import HttpResponse
from fleetos.errors import AnswerLost, NotSent
from fleetos.limits import CONNECT_TIMEOUT_S, HEADER_BYTES
from fleetos.logs import fields
from fleetos.model.permit import LastCheck

_log = logging.getLogger(__name__)
# Longest chain of causes that is followed; those of the libraries have three.
_CAUSES = 10
# The same servers and jobs are read again and again, and parsing the URL is a notable part of a request's cost.
_parse_url = lru_cache(maxsize=4096)(httpx.URL)
_HEADERS = {"User-Agent": "fleetos", "Accept": "application/json", "Accept-Encoding": "gzip"}
# Closing a connection only frees resources here; a peer that hangs must not delay a cancelled task.
_CLOSE_S = 2.0
# Accepted content encodings. Only one layer: a body then grows to at most a thousand times its size.
_CODINGS = frozenset({"", "identity", "gzip"})
_DISTRUST_HINT = (
    "nothing was sent. Check the address, and the clock of this machine; "
    "an authority of your own is named by OS_CACERT, or by cacert in the cloud's entry"
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request."""

    operation: str
    """The kind of request, as it is counted."""
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    answer_bytes: int
    """The longest body of the response that is accepted."""
    content: bytes | None = field(default=None, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    """Authentication, applied last: a signature covers the finished request."""
    effect: bool = False
    """The request changes something, so it gets a new connection."""
    last_check: LastCheck | None = None
    """Called directly before the first byte leaves."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """All secrets in headers and content."""
    priority: str | None = None
    """The priority among the requests of the project, for the log; None: it waits for no turn."""


_current_request: ContextVar[HttpRequest | None] = ContextVar("leaving", default=None)


class Transport:
    """Sender of requests that counts those that leave, and proves of a failed one whether it left.

    `simulated`: every response so far, and at least one, came from a simulated cloud. `on_simulated` is called when
    that changes. Only a response from this machine with the right header counts: a tunnel can put a real cloud behind
    an address of this machine, and a proxy in front of a distant cloud can add a header.
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
        self.sent_counts = left

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send once and return the response, whatever its status. Raise NotSent or AnswerLost, without secrets."""
        transport = self._effects if request.effect else self._reads
        secrets = (*request.secrets, *self._secrets)
        began_s = anyio.current_time()
        outcome: HttpResponse | NotSent | AnswerLost | None = None
        token = _current_request.set(request)
        try:
            with anyio.fail_after(request.timeout_s):
                httpx_response = await transport.handle_async_request(_httpx_request(request))
                response = await _read_response(httpx_response, request.answer_bytes, secrets)
        except Exception as error:  # noqa: BLE001 - the point of this module: whatever it is, it becomes one of ours
            failure = outcome = _convert_error(error, request, secrets)
        else:
            outcome = response
            self._note_simulated(response, request)
            return response
        finally:
            _current_request.reset(token)
            _log_request(request, outcome, anyio.current_time() - began_s, secrets)
        # Raised here and not above: the library's errors hold the request's headers, and with them the token.
        raise failure

    def _note_simulated(self, response: HttpResponse, request: HttpRequest) -> None:
        says_simulated = response.simulated and is_loopback(httpx.URL(request.url).host)
        before, self.simulated = self.simulated, says_simulated and (self.simulated or not self._answered)
        self._answered = True
        if self.simulated != before and self.on_simulated is not None:
            self.on_simulated(self.simulated)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._reads.aclose()
        await self._effects.aclose()


class InProcess(httpx.AsyncBaseTransport):
    """httpx transport without sockets, with the same last check and count as the one with sockets."""

    def __init__(self, inner: httpx.AsyncBaseTransport, left: Counter[str]) -> None:
        self._inner = inner
        self._left = left

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the inner transport. Raise NotSent if the last check forbids the request."""
        _check_and_count(self._left)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class _ProxyRouter(httpx.AsyncBaseTransport):
    """httpx transport that sends each request directly or through the proxy, depending on its host."""

    def __init__(self, session: aiohttp.ClientSession, context: ssl.SSLContext, proxies: Proxies) -> None:
        self._session = session
        self._proxies = proxies
        self._direct = AiohttpTransport(verify=context, client=session)
        proxy = None if proxies.address is None else httpx.Proxy(proxies.address, headers=proxies.headers())
        self._proxied = AiohttpTransport(verify=context, client=session, proxy=proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response. Raise what httpx raises."""
        transport = self._direct if self._proxies.for_host(request.url.host) is None else self._proxied
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the session of aiohttp."""
        await self._session.close()


@asynccontextmanager
async def open_transport(
    *,
    proxies: Proxies,
    context: ssl.SSLContext | None = None,
    resolver: AbstractResolver | None = None,
    inner: httpx.AsyncBaseTransport | None = None,
) -> AsyncGenerator[Transport]:
    """Yield a transport over sockets, or over `inner` if given, and close it.

    `context` None: trust the certificate authorities of the system and of certifi.
    """
    left: Counter[str] = Counter()
    if inner is not None:
        ways: list[httpx.AsyncBaseTransport] = [InProcess(inner, left)]
    else:
        context = context or tls_context()
        # A request with an effect gets a new connection. The peer may have closed a pooled one a moment ago, and then
        # nothing shows whether it read the request.
        ways = [
            _ProxyRouter(_session(left, context, resolver, fresh=fresh), context, proxies) for fresh in (False, True)
        ]
    transport = Transport(ways[0], ways[-1], left, proxies)
    try:
        yield transport
    finally:
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await transport.aclose()


def tls_context(authorities: str | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """Return a TLS context that trusts only the file `authorities`, or without one the system's and certifi's.

    Raise OSError (ssl.SSLError is one) if the file cannot be used.
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
        _check_and_count(left)

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


def _check_and_count(left: Counter[str]) -> None:
    """Make the last check and count the request; aiohttp calls this once connected, before the first byte."""
    request = _current_request.get()
    if request is None:
        return
    if request.last_check is not None and (reason := request.last_check()) is not None:
        raise NotSent(reason)
    left[request.operation] += 1


def _httpx_request(request: HttpRequest) -> httpx.Request:
    """Return the finished request.

    It is given to a transport of httpx and not to a client, so nothing can follow a redirect, keep a cookie, or send it
    a second time.
    """
    closing = {"Connection": "close"} if request.effect else {}
    headers = {**_HEADERS, **request.headers, **closing}
    # The pool is unlimited, so its time-out bounds only what `connect` does not: the name lookup.
    limits = {"timeout": {"connect": CONNECT_TIMEOUT_S, "pool": CONNECT_TIMEOUT_S}}
    url = _parse_url(request.url)
    httpx_request = httpx.Request(request.method, url, headers=headers, content=request.content, extensions=limits)
    return httpx_request if request.auth is None else next(request.auth.sync_auth_flow(httpx_request))


async def _read_response(response: httpx.Response, most_bytes: int, secrets: tuple[str, ...]) -> HttpResponse:
    """Return the response with its body, and close it."""
    try:
        headers = dict(response.headers.items())
        _check_coding(headers.get("content-encoding", ""))
        body = await _read_body(response, most_bytes)
        await response.aclose()
    except BaseException:
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await response.aclose()
        raise
    return HttpResponse(response.status_code, headers, body, secrets)


def _log_request(
    request: HttpRequest, outcome: HttpResponse | NotSent | AnswerLost | None, seconds: float, secrets: tuple[str, ...]
) -> None:
    """Log a request and its outcome; None: its task was cancelled, and the request may have left."""
    if not _log.isEnabledFor(logging.INFO):
        return
    # Whatever goes wrong here, the caller must get the outcome.
    with suppress(Exception):
        level, message, response, failure = logging.INFO, "request answered", None, None
        if isinstance(outcome, HttpResponse):
            response = outcome
        elif outcome is None:
            message = "request cancelled"
        else:
            level, message = logging.WARNING, "request failed"
            kind = "not sent" if isinstance(outcome, NotSent) else "answer lost"
            failure = f"{kind}: {sanitize(outcome.message, secrets)}"
        url = _parse_url(request.url)
        values = fields(
            operation=request.operation,
            method=request.method,
            host=sanitize(url.host, secrets),
            # Without the query: it tells little beside the operation, and may hold names.
            path=sanitize(url.path, secrets),
            status=response and response.status,
            request_id=response and request_id_of(response.headers, secrets),
            seconds=round(seconds, 3),
            priority=request.priority,
            write=request.effect,
            failure=failure,
        )
        _log.log(level, message, extra=values)


async def _read_body(response: httpx.Response, most_bytes: int) -> bytes:
    """Return the body. Raise AnswerLost as soon as it is longer than `most_bytes`."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most_bytes:
            raise AnswerLost(f"the answer is longer than {most_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def _check_coding(coding: str) -> None:
    """Raise AnswerLost for an unexpected content encoding: packed twice, a few bytes would fill the memory."""
    if coding.strip().lower() not in _CODINGS:
        raise AnswerLost("the answer is packed in a way that was not asked for")


def _convert_error(error: Exception, request: HttpRequest, secrets: tuple[str, ...]) -> NotSent | AnswerLost:
    if type(error) is TimeoutError:
        return AnswerLost(f"no answer within {request.timeout_s:g} s")
    chain = list(_causes(error))
    own_error = next((cause for cause in chain if isinstance(cause, NotSent | AnswerLost)), None)
    if own_error is not None:
        return type(own_error)(own_error.message)
    if isinstance(chain[-1], ssl.SSLCertVerificationError) and _proves_not_sent(chain):
        # OpenSSL's message quotes only the host name of the request.
        fault = sanitize(str(getattr(chain[-1], "verify_message", "")).rstrip(".")) or "it cannot be verified"
        return NotSent(f"the certificate of {httpx.URL(request.url).host} is refused: {fault}", _DISTRUST_HINT)
    description = _describe_failure(chain, secrets)
    if any(isinstance(cause, aiohttp.ClientHttpProxyError) for cause in chain):
        description = f"the proxy refuses the way to {httpx.URL(request.url).host}: {description}"
    return NotSent(description) if _proves_not_sent(chain) else AnswerLost(description)


def _proves_not_sent(chain: "list[BaseException]") -> bool:
    return any(isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) for cause in chain)


def _describe_failure(chain: "list[BaseException]", secrets: tuple[str, ...]) -> str:
    """Describe the root cause: the system's message, or the library's with the class of the error.

    The library quotes data that it cannot parse, and that may be the request, echoed by the peer: redact it.
    """
    root = chain[-1]
    if isinstance(root, OSError) and root.strerror and type(root).__module__ == "builtins":
        return sanitize(root.strerror) or type(root).__name__
    message = sanitize(str(root), secrets) or sanitize(str(chain[0]), secrets)
    # The class of aiohttp's error says at which point the request failed; its causes only say how.
    error_class = type(next((cause for cause in chain if isinstance(cause, aiohttp.ClientError)), root)).__name__
    return f"{message} ({error_class})" if message else error_class


def _causes(error: BaseException) -> "list[BaseException]":
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and len(chain) < _CAUSES:
        chain.append(cause)
    return chain
