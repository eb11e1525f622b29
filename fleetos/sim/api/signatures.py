"""Access keys of the simulated cloud: it signs each signed request again, from the bytes that came, and compares.

Written from the description of SDK-HMAC-SHA256 (API Request Signing Guide), beside the client's signer and without it.
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
_REFUSALS, _LOCKED_S = 5, 300.0
_ABOUT = "Incorrect IAM authentication information: "
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class SignatureChecker:
    """Judges signatures. Its memory is of refusals in a row, and it is lost with the process."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self._keys: Mapping[str, tuple[str, str | None]] = {
            ACCESS_KEY: (SECRET_KEY, None),
            TEMPORARY_ACCESS_KEY: (TEMPORARY_SECRET_KEY, SECURITY_TOKEN),
        }
        self._refused: dict[str, int] = {}
        self._locked_until: dict[str, float] = {}

    def judge(self, request: SimRequest, now: float) -> ApiError | None:
        """Return None for a request that is rightly signed, else the gateway's refusal."""
        scheme = _SCHEME.fullmatch(request.headers.get("authorization", ""))
        if scheme is None:
            return _refused("the header Authorization cannot be read")
        access, signed, signature = scheme.groups()
        known = self._keys.get(access)
        if known is None:
            return _refused(f"Get secretKey failed,ak:{access},err:ak not exist")
        if now < self._locked_until.get(access, 0.0):
            return _refused("AK access failed to reach the limit,forbidden")
        wrong = self._wrong(request, signed.split(";"), signature, known, now)
        self._refused[access] = self._refused.get(access, 0) + 1 if wrong is not None else 0
        if self._refused[access] > _REFUSALS:
            self._locked_until[access], self._refused[access] = now + _LOCKED_S, 0
        return _refused(wrong) if wrong is not None else None

    def _wrong(
        self, request: SimRequest, signed: list[str], signature: str, key: tuple[str, str | None], now: float
    ) -> str | None:
        secret, token = key
        given = request.headers
        unsigned = {"host", "x-sdk-date", *(name for name in given if name.startswith("x-sdk-"))} - set(signed)
        if unsigned or not set(signed) <= given.keys():
            return "the signed headers are not those of the request"
        try:
            at = datetime.strptime(given["x-sdk-date"], _DATE).replace(tzinfo=UTC).timestamp()
        except ValueError:
            return "the header X-Sdk-Date cannot be read"
        if abs(at - now) > _SKEW_S:
            return "the time of X-Sdk-Date is more than 15 minutes off"
        if not compare_digest(given.get("x-security-token", ""), token or ""):
            return "the security token is not that of the access key"
        if given.get("x-project-id", self._project_id) != self._project_id:
            return "the project is not one of the access key's"
        return None if compare_digest(_signature(request, signed, secret), signature) else "verify aksk signature fail"


def _signature(request: SimRequest, signed: list[str], secret: str) -> str:
    path, _, query = request.target.partition("?")
    lines = [request.method, _path(path), _query(query)]
    lines += [name + ":" + request.headers[name].strip() for name in sorted(signed)]
    lines += ["", ";".join(sorted(signed)), sha256(request.body).hexdigest()]
    whole = sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["SDK-HMAC-SHA256", request.headers["x-sdk-date"], whole])
    return hmac(secret.encode(), text.encode(), sha256).hexdigest()


def _path(path: str) -> str:
    """Each part of the path with all but plain letters in hexadecimal, and a slash behind."""
    steps = [_spelled(_meant(step)) for step in path.split("/")]
    return "/".join(steps).rstrip("/") + "/"


def _query(query: str) -> str:
    """The parameters, sorted. A plus is a plus: a gateway that takes it for a space would not agree with the client."""
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, encoding="latin-1")
    spelled = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    return "&".join(_spelled(name) + "=" + _spelled(value) for name, value in sorted(spelled))


def _meant(text: str) -> bytes:
    """The bytes that a text with percent signs stands for."""
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes.fromhex(code[1].decode()), text.encode())


def _spelled(content: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in content)


def _refused(why: str) -> ApiError:
    return refusal("APIGW.0301", message=_ABOUT + why)
