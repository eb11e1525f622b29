"""The right to ask of one scope: had once by whoever needs it first, renewed early, given up on the first refusal."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from fleetos.cloud.auth.grant import Grant
from fleetos.cloud.auth.request_auth import RequestAuth
from fleetos.errors import AuthenticationFailed, CloudError
from fleetos.limits import TOKEN_MARGIN_PART, TOKEN_MARGIN_S, TOKEN_RETRY_S

# A token without a readable life is taken for a day's, the documented validity; a 401 tells if it was less.
_LIFE_S = 24 * 3600.0


@dataclass(slots=True)
class CachedToken:
    """A badge and its times on the clock of the caller. `worked`: a service has taken it.

    `replaces_refused`: it was asked for because a service did not take the one before.
    """

    auth: RequestAuth = field(repr=False)
    renew_at_s: float
    ends_at_s: float
    replaces_refused: bool
    worked: bool = False
    refused: bool = False


class TokenCache:
    """The badge of one scope.

    `ask` makes one request for what the scope is granted and raises AuthenticationFailed when it is refused, which is
    final: every later call fails with the same error and nothing is sent, since repeated failures lock the account or
    the key. Other errors of `ask` pass through. A badge that cannot be renewed is asked for once, and the end of it is
    final too. `elapsed` gives seconds, suspended time included.
    """

    def __init__(self, ask: Callable[[], Awaitable[Grant]], elapsed: Callable[[], float]) -> None:
        self._ask = ask
        self._elapsed = elapsed
        self._one_at_a_time = anyio.Lock(fast_acquire=True)
        self._held: CachedToken | None = None
        self._refusal: AuthenticationFailed | None = None
        self.grant: Grant | None = None

    @property
    def ended(self) -> bool:
        """Whether the credentials are given up: every call fails without a request."""
        return self._refusal is not None

    @property
    def at_hand(self) -> CachedToken | None:
        """The badge that serves now, None where it has to be asked for first, or is given up."""
        held = self._held
        serves = held is not None and not held.refused and self._elapsed() < held.renew_at_s
        return held if serves and self._refusal is None else None

    async def current(self) -> CachedToken:
        """Return a badge that serves now. Raises AuthenticationFailed, and what `ask` raises."""
        self._check()
        if (held := self.at_hand) is not None:
            return held
        async with self._one_at_a_time:
            self._check()
            return self.at_hand or await self._renew(self._held)

    def worked(self, held: CachedToken) -> None:
        """Told that a service has taken the badge."""
        held.worked = True

    def rejected(self, held: CachedToken, failure: AuthenticationFailed) -> None:
        """Told that a service answered 401: the badge is renewed before its next use.

        A badge that cannot be renewed is the end, and so is a replacement that never worked either: the credentials
        give what nobody takes, and `failure` is what every later call raises.
        """
        if not held.auth.renewable or (held.replaces_refused and not held.worked):
            self._refusal = failure
        held.refused = True

    def _check(self) -> None:
        if self._refusal is not None:
            raise _again(self._refusal)

    async def _renew(self, old: CachedToken | None) -> CachedToken:
        if old is not None and not old.auth.renewable:
            self._refusal = AuthenticationFailed(f"{old.auth.called} has ended", old.auth.hint)
            raise _again(self._refusal)
        asked_s = self._elapsed()
        try:
            grant = await self._ask()
        except AuthenticationFailed as error:
            self._refusal = _again(error)
            raise
        except CloudError:
            if old is None or old.refused or self._elapsed() >= old.ends_at_s:
                raise
            old.renew_at_s = min(self._elapsed() + TOKEN_RETRY_S, old.ends_at_s)
            return old
        # Counted from before the request: a slow answer must not make a token seem younger than it is.
        held = CachedToken(
            grant.auth, asked_s + _serves_s(grant), asked_s + _life_s(grant), old is not None and old.refused
        )
        self._held, self.grant = held, grant
        return held


def _life_s(grant: Grant) -> float:
    return grant.life_s if grant.life_s is not None and grant.life_s > 0 else _LIFE_S


def _serves_s(grant: Grant) -> float:
    """How long what was granted is used: to its end only where nothing follows it."""
    life_s = _life_s(grant)
    return life_s - min(TOKEN_MARGIN_S, life_s * TOKEN_MARGIN_PART) if grant.auth.renewable else life_s


def _again(error: AuthenticationFailed) -> AuthenticationFailed:
    """A fresh copy: raising one exception object again and again would grow its traceback."""
    return AuthenticationFailed(
        error.message, error.hint, code=error.code, status=error.status, request_id=error.request_id
    )
