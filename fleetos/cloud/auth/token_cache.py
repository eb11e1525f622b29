"""Token of a project: log in once, renew early, never retry a refused login."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from fleetos.cloud.auth.grant import Grant
from fleetos.cloud.auth.request_auth import RequestAuth
from fleetos.errors import AuthenticationFailed, CloudError

# A token is renewed this long before its end, or after three quarters of a short life.
TOKEN_MARGIN_S = 600.0
TOKEN_MARGIN_PART = 0.25
# The wait after a failed renewal while the old token is still valid.
TOKEN_RETRY_S = 5.0
# Assumed life of a token without a readable one: the documented validity. A 401 shows if it was shorter.
_LIFE_S = 24 * 3600.0


@dataclass(slots=True)
class CachedToken:
    """Token or access key in use, with its times on the elapsed clock of the cache."""

    auth: RequestAuth = field(repr=False)
    renew_at_s: float
    """When the cache renews it."""
    ends_at_s: float
    """When it expires."""
    replaces_refused: bool
    """It was issued because a service refused the one before."""
    accepted: bool = False
    """A service has accepted it."""
    refused: bool = False
    """A service has refused it."""


class TokenCache:
    """Token cache for one project: log in on first use, renew before expiry, never retry a refused login.

    `ask` logs in by one request, and raises AuthenticationFailed if IAM refuses. That is final: every later call fails
    with the same error and sends nothing, since repeated failures lock the account or the key. Other errors of `ask`
    pass through. The end of a token or key that cannot be renewed is final too. `elapsed` returns seconds, suspended
    time included.
    """

    def __init__(self, ask: Callable[[], Awaitable[Grant]], elapsed: Callable[[], float]) -> None:
        self._ask = ask
        self._elapsed = elapsed
        self._one_at_a_time = anyio.Lock(fast_acquire=True)
        self._held: CachedToken | None = None
        self._refusal: AuthenticationFailed | None = None
        self.grant: Grant | None = None

    @property
    def given_up(self) -> bool:
        """True if the credentials were refused or have ended: every call fails without a request."""
        return self._refusal is not None

    @property
    def usable(self) -> CachedToken | None:
        """Token that is usable now, None if a login must come first, or the credentials were refused."""
        token = self._held
        serves = token is not None and not token.refused and self._elapsed() < token.renew_at_s
        return token if serves and self._refusal is None else None

    async def current(self) -> CachedToken:
        """Return a usable token; log in or renew first if needed. Raise AuthenticationFailed, and what `ask` raises."""
        self._raise_if_refused()
        if (token := self.usable) is not None:
            return token
        async with self._one_at_a_time:
            self._raise_if_refused()
            return self.usable or await self._renew(self._held)

    def mark_accepted(self, token: CachedToken) -> None:
        """Record that a service accepted the token."""
        token.accepted = True

    def mark_refused(self, token: CachedToken, failure: AuthenticationFailed) -> None:
        """Record that a service answered 401: the next use renews the token.

        If the token cannot be renewed, or replaces a refused one and never worked either, the credentials are given up:
        every later call raises `failure`.
        """
        if not token.auth.renewable or (token.replaces_refused and not token.accepted):
            self._refusal = failure
        token.refused = True

    def _raise_if_refused(self) -> None:
        if self._refusal is not None:
            raise _copy(self._refusal)

    async def _renew(self, old: CachedToken | None) -> CachedToken:
        if old is not None and not old.auth.renewable:
            self._refusal = AuthenticationFailed(f"{old.auth.called} has ended", old.auth.hint)
            raise _copy(self._refusal)
        requested_s = self._elapsed()
        try:
            grant = await self._ask()
        except AuthenticationFailed as error:
            self._refusal = _copy(error)
            raise
        except CloudError:
            if old is None or old.refused or self._elapsed() >= old.ends_at_s:
                raise
            old.renew_at_s = min(self._elapsed() + TOKEN_RETRY_S, old.ends_at_s)
            return old
        # Counted from before the request: after a slow response the token is already older.
        token = CachedToken(
            grant.auth, requested_s + _use_s(grant), requested_s + _life_s(grant), old is not None and old.refused
        )
        self._held, self.grant = token, grant
        return token


def _life_s(grant: Grant) -> float:
    return grant.life_s if grant.life_s is not None and grant.life_s > 0 else _LIFE_S


def _use_s(grant: Grant) -> float:
    """Return the seconds for which a grant is used: to its end only if it cannot be renewed."""
    life_s = _life_s(grant)
    return life_s - min(TOKEN_MARGIN_S, life_s * TOKEN_MARGIN_PART) if grant.auth.renewable else life_s


def _copy(error: AuthenticationFailed) -> AuthenticationFailed:
    """Return a copy: raising the same exception object again and again would grow its traceback."""
    return AuthenticationFailed(
        error.message, error.hint, code=error.code, status=error.status, request_id=error.request_id
    )
