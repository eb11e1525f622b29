"""Post a message to a webhook, signed as Standard Webhooks 1.0 says ("webhook-signature", version v1)."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpx

from fleetos.cloud.http.addresses import is_loopback
from fleetos.notify.destination import Destination

# One try, from the connection to the status line.
TRY_S = 10.0
# Answers that ask for a later try, of those that else say that the request itself is wrong.
_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Delivery:
    """Outcome of one try."""

    failure: str | None = None
    """Why the message was not taken; None: it was. It quotes nothing of the URL, nor of the answer."""
    final: bool = False
    """Another try would fail in the same way."""


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def post(destination: Destination, message_id: str, timestamp: int, body: bytes) -> Delivery:
    """Send the message once. A redirect is not followed: it would take the message to another host."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "fleetos",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if destination.key is not None:
        headers["webhook-signature"] = sign(destination.key, message_id, timestamp, body)
    # A proxy of the environment cannot reach a receiver on this machine.
    proxies = not is_loopback(urlsplit(destination.url).hostname or "")
    try:
        with anyio.fail_after(TRY_S):
            async with (
                httpx.AsyncClient(follow_redirects=False, trust_env=proxies, timeout=TRY_S) as client,
                # The body of the answer is not read: it may be endless, and says nothing that is used.
                client.stream("POST", destination.url, content=body, headers=headers) as response,
            ):
                return _judge(response.status_code)
    except (TimeoutError, httpx.TimeoutException):
        return Delivery(f"no answer within {TRY_S:g} s")
    except httpx.ConnectError:
        return Delivery("no connection")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Delivery(type(error).__name__)


def _judge(status: int) -> Delivery:
    if 200 <= status < 300:
        return Delivery()
    if 300 <= status < 400:
        return Delivery(f"HTTP {status}: a redirect is not followed", final=True)
    return Delivery(f"HTTP {status}", final=400 <= status < 500 and status not in _LATER)
