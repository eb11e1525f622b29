"""Check request signatures: sign each request again from its raw bytes, and compare.

Written from the description of SDK-HMAC-SHA256 (API Request Signing Guide), independently of the client's signer.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from hmac import new as hmac
from urllib.parse import parse_qsl

from fleetos.sim.api.access import ACCESS_KEY, SECRET_KEY, SECURITY_TOKEN, TEMPORARY_ACCESS_KEY, TEMPORARY_SECRET_KEY
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.wire.messages import SimRequest

_SCHEME = re.compile(r"SDK-HMAC-SHA256 Access=([^\s,]+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})")
_DATE = "%Y%m%dT%H%M%SZ"
_SKEW_S = 15 * 60
# More than five refusals in a row lock a key for five minutes (API Request Signing Guide, FAQs).
_REFUSALS_MAX, _LOCKED_S = 5, 300.0
_MESSAGE_PREFIX = "Incorrect IAM authentication information: "
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class SignatureChecker:
    """Checker of signatures. It locks a key after too many refusals in a row, and forgets them with the process."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self._keys: Mapping[str, tuple[str, str | None]] = {
            ACCESS_KEY: (SECRET_KEY, None),
            TEMPORARY_ACCESS_KEY: (TEMPORARY_SECRET_KEY, SECURITY_TOKEN),
        }
        self._refusal_counts: dict[str, int] = {}
        self._locked_until: dict[str, float] = {}

    def check_request(self, request: SimRequest, now: float) -> ApiError | None:
        """Return the gateway's refusal of a signed request, or None if the signature is valid."""
        header = _SCHEME.fullmatch(request.headers.get("authorization", ""))
        if header is None:
            return _refuse("the header Authorization cannot be read")
        access, signed_headers, signature = header.groups()
        key = self._keys.get(access)
        if key is None:
            return _refuse(f"Get secretKey failed,ak:{access},err:ak not exist")
        if now < self._locked_until.get(access, 0.0):
            return _refuse("AK access failed to reach the limit,forbidden")
        mistake = self._find_mistake(request, signed_headers.split(";"), signature, key, now)
        self._refusal_counts[access] = self._refusal_counts.get(access, 0) + 1 if mistake is not None else 0
        if self._refusal_counts[access] > _REFUSALS_MAX:
            self._locked_until[access], self._refusal_counts[access] = now + _LOCKED_S, 0
        return _refuse(mistake) if mistake is not None else None

    def _find_mistake(
        self, request: SimRequest, signed_headers: list[str], signature: str, key: tuple[str, str | None], now: float
    ) -> str | None:
        secret, token = key
        headers = request.headers
        required = {"host", "x-sdk-date", *(name for name in headers if name.startswith("x-sdk-"))}
        if not required <= set(signed_headers) <= headers.keys():
            return "the signed headers are not those of the request"
        try:
            signed_at = datetime.strptime(headers["x-sdk-date"], _DATE).replace(tzinfo=UTC).timestamp()
        except ValueError:
            return "the header X-Sdk-Date cannot be read"
        if abs(signed_at - now) > _SKEW_S:
            return "the time of X-Sdk-Date is more than 15 minutes off"
        if not compare_digest(headers.get("x-security-token", ""), token or ""):
            return "the security token is not that of the access key"
        if headers.get("x-project-id", self._project_id) != self._project_id:
            return "the project is not one of the access key's"
        if not compare_digest(_signature(request, signed_headers, secret), signature):
            return "verify aksk signature fail"
        return None


def _signature(request: SimRequest, signed_headers: list[str], secret: str) -> str:
    path, _, query = request.target.partition("?")
    lines = [request.method, _canonical_path(path), _canonical_query(query)]
    lines += [name + ":" + request.headers[name].strip() for name in sorted(signed_headers)]
    lines += ["", ";".join(sorted(signed_headers)), sha256(request.body).hexdigest()]
    request_digest = sha256("\n".join(lines).encode()).hexdigest()
    string_to_sign = "\n".join(["SDK-HMAC-SHA256", request.headers["x-sdk-date"], request_digest])
    return hmac(secret.encode(), string_to_sign.encode(), sha256).hexdigest()


def _canonical_path(path: str) -> str:
    """Return the canonical path: each segment percent-encoded, with a slash at the end."""
    segments = [_percent_encode(_percent_decode(segment)) for segment in path.split("/")]
    return "/".join(segments).rstrip("/") + "/"


def _canonical_query(query: str) -> str:
    """Return the canonical query, sorted. A plus is no space here: the client signs it as a plus."""
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, encoding="latin-1")
    encoded_pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    return "&".join(_percent_encode(name) + "=" + _percent_encode(value) for name, value in sorted(encoded_pairs))


def _percent_decode(text: str) -> bytes:
    """Decode the percent-encoding of a text."""
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes.fromhex(code[1].decode()), text.encode())


def _percent_encode(content: bytes) -> str:
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in content)


def _refuse(reason: str) -> ApiError:
    return refusal("APIGW.0301", message=_MESSAGE_PREFIX + reason)
