"""Credentials: password, token, or access key; allowed values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetos.limits import HEADER_BYTES, TEXT_MAX_LETTERS

# A project id is part of every path: 32 hexadecimal digits in all examples, UUIDs on other clouds.
_PROJECT_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")
# The longest value is a path; names and passwords have some dozen letters.
_VALUE_CHARS = 4096
# Control characters and lone surrogates: Python decodes bytes in the environment that are not UTF-8 as the latter.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Password:
    """User of IAM, by id or by name and domain, and the password. IAM issues a new token for it at any time."""

    username: str
    password: str = field(repr=False)
    domain_name: str | None = None
    domain_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class GivenToken:
    """Token of a project that the user supplied. It cannot be renewed."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Access key (AK) and its secret key (SK), which signs; temporary keys have a security token."""

    access: str
    secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


Proof = Password | GivenToken | AccessKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials and settings of a login to one project of a cloud."""

    auth_url: str | None
    """The address of IAM; None: it is derived from the region."""
    proof: Proof
    cloud: str | None = None
    """The entry of clouds.yaml; None: the credentials are from elsewhere."""
    project_name: str | None = None
    project_id: str | None = None
    project_domain_name: str | None = None
    project_domain_id: str | None = None
    region: str | None = None
    interface: str = "public"
    """The interface of the endpoints in the catalog: public, internal or admin."""
    authorities: str | None = None
    """The file of certificates to trust; None: the system's."""
    verify: bool = True
    """Check the certificates of servers."""
    insecure_http: bool = False
    """Allow plain http to other machines."""
    endpoints: Mapping[str, str] = field(default_factory=dict[str, str])
    """Endpoints that override the catalog, by service (ecs, ims, evs, kms, eps)."""
    found_in: str = field(default="", compare=False)
    """The place where the credentials were found, in words."""
    notice: str | None = field(default=None, compare=False)
    """A message to the user about that place."""


def is_project_id(text: str) -> bool:
    """Return whether a text can be the id of a project."""
    return _PROJECT_ID.fullmatch(text) is not None


def text_fault(value: str) -> str | None:
    """Return what the value should be if a request, a path or a message cannot contain it; None if they can."""
    if len(value) > _VALUE_CHARS:
        return f"at most {_VALUE_CHARS} letters"
    return "a text in UTF-8 without control characters" if _UNUSABLE.search(value) else None


def printable(name: object) -> str:
    """Return a name from a file in a form that is safe in messages: bounded, without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(name)[:TEXT_MAX_LETTERS])


def header_fault(value: str) -> str | None:
    """Return what a token or key should be if a header cannot contain it; None if it can."""
    if len(value) > HEADER_BYTES:
        return f"at most {HEADER_BYTES} letters"
    return None if value.isascii() and value.isprintable() and " " not in value else "letters, digits and signs alone"
