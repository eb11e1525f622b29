"""The signature of a request by an access key, SDK-HMAC-SHA256 (API Request Signing Guide, "Algorithm"). Pure.

The signature is over what a request means, not over how it is spelled: paths and queries are decoded and encoded anew.
So it stays right where a library on the way writes `%2A` as `*`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "SDK-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Signable:
    """What is signed of a request. `target` is its path and query as they are sent; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def stamp(at: datetime) -> str:
    """Return a time in UTC as the header X-Sdk-Date has it."""
    return at.strftime("%Y%m%dT%H%M%SZ")


def canonical_request(request: Signable) -> str:
    """Return the one spelling of a request over which both sides sign: its headers are all signed."""
    path, _, query = request.target.partition("?")
    names = sorted(request.headers)
    return "\n".join(
        (
            request.method.upper(),
            _canonical_path(path),
            _canonical_query(query),
            *(f"{name}:{request.headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def authorization(access: str, secret: str, request: Signable) -> str:
    """Return the header Authorization. Raises KeyError for a request without the header x-sdk-date."""
    hashed = hashlib.sha256(canonical_request(request).encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{request.headers['x-sdk-date'].strip()}\n{hashed}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    names = ";".join(sorted(request.headers))
    return f"{ALGORITHM} Access={access}, SignedHeaders={names}, Signature={signature}"


def _canonical_path(path: str) -> str:
    """Segments encoded anew, with a slash at the end that is signed and not sent."""
    encoded = quote(unquote_to_bytes(path), safe="/")
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _canonical_query(query: str) -> str:
    """Parameters sorted by name, then value, as they are before they are encoded."""
    split = (part.partition("=") for part in query.split("&") if part)
    pairs = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in split)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
