"""Redact secrets from returned text.

Gateways and proxies quote requests in their error pages: headers and bodies, escaped for HTML, JSON or a URL, in
base64, and cut off anywhere. So it is not enough to look for the whole secret.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from html import escape
from itertools import groupby
from urllib.parse import quote

BLOT = "***"
# Redacting shorter secrets would remove every other word, and no cloud accepts them as a password.
_SECRET_CHARS = 4
# A match needs half of a short secret, and this many letters of a long one: fewer match by chance, and are useless.
_STRETCH_CHARS = 16
# A quoted request may be cut off in the middle of a token. This many letters of the token's beginning or end match
# anywhere, and of its inside as a whole word: fewer match by chance, and are useless.
_END_CHARS = 6
# Of an encoding of at most this length, every stretch is looked for; of a longer one, those that begin at this step.
_SHORT_CHARS = 64
_STEP_CHARS = 8
# Number of secrets whose stretches are cached: a run has a token, a password or two, and user data.
_AT_HAND = 32

# Words of the letters of tokens and passwords. A longer word contains a stretch, which is found anyway.
_WORD = re.compile(rf"(?<![\w+/=%~\\-])[\w+/=%~\\.-]{{{_END_CHARS},{_STRETCH_CHARS + _STEP_CHARS}}}(?![\w+/=%~\\-])")
_PERCENT = re.compile("%[0-9A-F]{2}")


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text with each stretch of a secret, in any encoding, replaced by three stars."""
    hidden = bytearray(len(text))
    for secret in secrets:
        if len(secret) < _SECRET_CHARS:
            continue
        for length, stretches in _search_patterns(secret):
            position = 0
            while position <= len(text) - length:
                match = stretches.get(text[position : position + length])
                if match is None:
                    position += 1
                    continue
                first, end = _extend_match(text, position, length, *match)
                hidden[first:end] = b"\1" * (end - first)
                # The next possible match that reaches beyond `end`.
                position = max(position, end - length) + 1
        for first, end in _find_token_parts(text, secret):
            hidden[first:end] = b"\1" * (end - first)
    parts = groupby(zip(text, hidden, strict=True), key=lambda letter: letter[1])
    return "".join(BLOT if blot else "".join(letter for letter, _ in part) for blot, part in parts)


def _find_token_parts(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Yield the begin and end of each word in the text that is a part of a token."""
    if not _is_token(secret):
        return
    forms = _encodings(secret)
    for match in _WORD.finditer(text):
        # Dots mark an omission, or are letters of the token.
        words = [word for word in {match[0], match[0].strip(".")} if len(word) >= _END_CHARS]
        if any(word in form for form in forms for word in words):
            yield match.span()


def _is_token(secret: str) -> bool:
    """Return whether a secret is one word. User data has many: ordinary words, none of them a secret by itself."""
    return not any(letter.isspace() for letter in secret)


def _extend_match(text: str, position: int, length: int, form: str, offset: int) -> tuple[int, int]:
    """Extend a match in both directions as far as text and encoding agree; return its begin and end in the text."""
    first, end, encoding_begin, encoding_end = position, position + length, offset, offset + length
    while first > 0 and encoding_begin > 0 and text[first - 1] == form[encoding_begin - 1]:
        first, encoding_begin = first - 1, encoding_begin - 1
    while end < len(text) and encoding_end < len(form) and text[end] == form[encoding_end]:
        end, encoding_end = end + 1, encoding_end + 1
    return first, end


def holds_secret(text: str, secrets: Iterable[str]) -> bool:
    """Return whether the text contains a whole secret, unencoded."""
    return any(secret in text for secret in secrets if len(secret) >= _SECRET_CHARS)


@lru_cache(maxsize=_AT_HAND)
def _search_patterns(secret: str) -> tuple[tuple[int, Mapping[str, tuple[str, int]]], ...]:
    """Return the stretches to look for, by length, each with its encoding of the secret and its offset in that."""
    patterns: dict[int, dict[str, tuple[str, int]]] = {}
    for form in _encodings(secret):
        length = min(_STRETCH_CHARS, max(_SECRET_CHARS, (len(secret) + 1) // 2), len(form))
        last = len(form) - length
        starts = {*range(0, last + 1, 1 if len(form) <= _SHORT_CHARS else _STEP_CHARS), last}
        patterns.setdefault(length, {}).update((form[offset : offset + length], (form, offset)) for offset in starts)
        if length > _END_CHARS and _is_token(secret):
            ends = (0, len(form) - _END_CHARS)
            patterns.setdefault(_END_CHARS, {}).update(
                (form[offset : offset + _END_CHARS], (form, offset)) for offset in ends
            )
    return tuple(patterns.items())


@lru_cache(maxsize=_AT_HAND)
def _encodings(secret: str) -> tuple[str, ...]:
    """Return the distinct encodings of a secret."""
    return tuple(dict.fromkeys(form for form in _encode(secret) if form))


def _encode(secret: str) -> Iterator[str]:
    """Yield the encodings of a secret: plain and as JSON, each also escaped in the usual ways and in base64."""
    for form in dict.fromkeys((secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])):
        yield form
        yield form.replace("/", "\\/")
        yield repr(form)[1:-1]
        yield escape(form)
        for safe in ("", "/"):
            quoted = quote(form, safe=safe, errors="replace")
            yield quoted
            yield quoted.replace("%20", "+")
            yield _PERCENT.sub(lambda code: code[0].lower(), quoted)
        yield from _encode_base64(form.encode(errors="replace"))


def _encode_base64(content: bytes) -> Iterator[str]:
    """Yield the base64 of a part of a longer text, for each offset modulo 3, without letters that mix in neighbours."""
    for before in range(3):
        encoded = b64encode(bytes(before) + content).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[before] : len(encoded) - bool((before + len(content)) % 3)]
        yield whole
        yield whole.translate(_FOR_ADDRESSES)


_FOR_ADDRESSES = str.maketrans("+/", "-_")
