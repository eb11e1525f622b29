"""Marked secrets, which can be told from everything else, and the search for them in whatever spelling."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from urllib.parse import quote, quote_plus

# Every escape changes some letter of them. The cloud's rules for passwords leave nothing stranger than this.
ADMINPASS = "Zq7/wK+e%9@vT-xB"
LOGIN_PASSWORD = 'Kc"3\\uß &<q/L+8%v_y'
USER_DATA = '#cloud-config\nwrite_files: [{content: "Vd4/+ß<Yp>&%9_mR"}]\n'


def spellings(secret: str) -> dict[str, bytes]:
    """The ways in which a program or a gateway may have written a secret, by their names."""
    found = {"UTF-16": secret.encode("utf-16-le")}
    for kind, form in (("", secret), ("JSON, ", json.dumps(secret)[1:-1])):
        raw = form.encode()
        found |= {
            f"{kind}plain": raw,
            f"{kind}slashes escaped": form.replace("/", "\\/").encode(),
            f"{kind}repr": repr(form)[1:-1].encode(),
            f"{kind}repr of bytes": repr(raw)[2:-1].encode(),
            f"{kind}HTML": escape(form).encode(),
            f"{kind}address": quote(form, safe="").encode(),
            f"{kind}path": quote(form).encode(),
            f"{kind}form": quote_plus(form).encode(),
            f"{kind}hexadecimal": raw.hex().encode(),
        }
        for before in range(3):
            # The letters at both ends mix with what stands beside it.
            inner = b64encode(b"x" * before + raw)[4 if before else 0 : -4]
            found[f"{kind}base64 at {before}"] = inner
            found[f"{kind}base64 for addresses at {before}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return found


@cache
def _stretches(secret: str, least: int | None) -> Mapping[int, Mapping[bytes, str]]:
    """By their lengths the stretches of a secret that must not be found, with the spelling that each is of."""
    found: dict[int, dict[bytes, str]] = {}
    for way, spelled in spellings(secret).items():
        size = len(spelled) if least is None else min(least, len(spelled))
        found.setdefault(size, {}).update((spelled[at : at + size], way) for at in range(len(spelled) - size + 1))
    return found


def leaks(texts: Iterable[bytes | str], secrets: Mapping[str, str], *, least: int | None = None) -> list[str]:
    """Which secret is in which of the texts, and how it is spelled: `adminpass as base64 in: ...`.

    With `least`, any stretch of so many letters counts, else only the whole.
    """
    found: list[str] = []
    contents = [text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text for text in texts]
    for name, secret in secrets.items():
        for size, stretches in _stretches(secret, least).items():
            for content in contents:
                hit = _first(content, size, stretches)
                if hit is not None:
                    at, way = hit
                    found.append(f"{name} as {way} in: {content[max(0, at - 40) : at + 80]!r}")
    return found


def _first(content: bytes, size: int, stretches: Mapping[bytes, str]) -> tuple[int, str] | None:
    """Where one of the stretches begins, and its spelling."""
    if len(stretches) < 8:
        hits = [(content.find(one), way) for one, way in stretches.items() if one in content]
        return min(hits, default=None)
    windows = (content[at : at + size] for at in range(len(content) - size + 1))
    return next(((at, stretches[one]) for at, one in enumerate(windows) if one in stretches), None)
