"""What a value of credentials may be, whoever gives it."""

import re

from fleetos.limits import HEADER_BYTES, TEXT_MAX_LETTERS

# The longest value is a path; names and passwords have some dozen letters.
_VALUE_CHARS = 4096
# What the environment holds as bytes that are no UTF-8 arrives as halves of surrogate pairs.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def fault_of(value: str) -> str | None:
    """Return what a value should be, if it is none that a request, a path or a message can hold; None if it is fine."""
    if len(value) > _VALUE_CHARS:
        return f"at most {_VALUE_CHARS} letters"
    return "a text in UTF-8 without control characters" if _UNUSABLE.search(value) else None


def shown(name: object) -> str:
    """Return a name out of a file as a message may show it: bounded, and with no letter that a terminal obeys."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(name)[:TEXT_MAX_LETTERS])


def fault_in_header(value: str) -> str | None:
    """Return what a token or a key should be, if it is none that a header can hold; None if it is fine."""
    if len(value) > HEADER_BYTES:
        return f"at most {HEADER_BYTES} letters"
    return None if value.isascii() and value.isprintable() and " " not in value else "letters, digits and signs alone"
