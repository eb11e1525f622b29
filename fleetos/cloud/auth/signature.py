"""SDK-HMAC-SHA256 request signature (API Request Signing Guide, "Algorithm"). Pure.

Paths and queries are decoded and encoded again before they are signed, so that the signature still holds if an HTTP
library writes `%2A` as `*`.
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
    """Signed parts of a request. `target` is its path and query as sent; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def format_date(time: datetime) -> str:
    """Format a time in UTC for the header X-Sdk-Date."""
    return time.strftime("%Y%m%dT%H%M%SZ")


def canonical_request(request: Signable) -> str:
    """Return the canonical form of a request, which client and cloud sign alike. All its headers are signed."""
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
    """Return the header Authorization. Raise KeyError for a request without the header x-sdk-date."""
    hashed = hashlib.sha256(canonical_request(request).encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{request.headers['x-sdk-date'].strip()}\n{hashed}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    names = ";".join(sorted(request.headers))
    return f"{ALGORITHM} Access={access}, SignedHeaders={names}, Signature={signature}"


def _canonical_path(path: str) -> str:
    """Encode the path again, and end it with a slash, which is signed but not sent."""
    encoded = quote(unquote_to_bytes(path), safe="/")
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _canonical_query(query: str) -> str:
    """Encode the parameters again, sorted by their decoded names, then values."""
    split = (part.partition("=") for part in query.split("&") if part)
    pairs = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in split)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
