"""By what a cloud is shown who asks: a password, a token that somebody else asked for, or an access key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetos.limits import HEADER_BYTES, TEXT_MAX_LETTERS


@dataclass(frozen=True, slots=True)
class Password:
    """A user of IAM, by id or by name and domain, and the password. IAM gives tokens for it, again and again."""

    username: str
    password: str = field(repr=False)
    domain_name: str | None = None
    domain_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A token of a project. When it ends there is no other."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key (AK) and its secret key (SK), which signs; temporary ones come with a security token."""

    access: str
    secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


Proof = Password | GivenToken | AccessKey


# It stands in the path of every request: 32 hexadecimal digits in all examples, UUIDs elsewhere.
_PROJECT_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in to one project of a cloud.

    `auth_url` is the address of IAM, None where a region must do. `cloud` is the entry of clouds.yaml, None for
    variables. `endpoints` override where services are found, by service (ecs, ims, evs, kms, eps). `authorities` is a
    file with the certificates to trust, None for the system's. `found_in` is where they come from, in words; `notice`
    is what the user is told of that.
    """

    auth_url: str | None
    proof: Proof
    cloud: str | None = None
    project_name: str | None = None
    project_id: str | None = None
    project_domain_name: str | None = None
    project_domain_id: str | None = None
    region: str | None = None
    interface: str = "public"
    authorities: str | None = None
    verify: bool = True
    insecure_http: bool = False
    endpoints: Mapping[str, str] = field(default_factory=dict[str, str])
    found_in: str = field(default="", compare=False)
    notice: str | None = field(default=None, compare=False)


def is_project_id(text: str) -> bool:
    """Return whether a text can be the id of a project."""
    return _PROJECT_ID.fullmatch(text) is not None


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
