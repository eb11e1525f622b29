"""By what a cloud is shown who asks: a password, a token that somebody else asked for, or an access key."""

from dataclasses import dataclass, field


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
