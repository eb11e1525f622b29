"""The token of one scope: asked for once by whoever needs it first, renewed early, given up on the first refusal."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from fleetos.cloud.identity import Grant
from fleetos.errors import AuthenticationFailed, CloudError
from fleetos.limits import TOKEN_MARGIN_PART, TOKEN_MARGIN_S, TOKEN_RETRY_S

# A token without a readable life is taken for a day's, the documented validity; a 401 tells if it was less.
_LIFE_S = 24 * 3600.0


@dataclass(slots=True)
class Token:
    """A token and its times on the clock of the caller. `worked`: a service has taken it.

    `replaces_refused`: it was asked for because a service did not take the one before.
    """

    text: str = field(repr=False)
    renew_at_s: float
    ends_at_s: float
    replaces_refused: bool
    worked: bool = False
    refused: bool = False


class Auth:
    """The token of one scope.

    `ask` makes one request for a token and raises AuthenticationFailed when IAM refuses, which is final: every later
    call fails with the same error and nothing is sent, since repeated failures lock the account. Other errors of
    `ask` pass through. `elapsed` gives seconds, suspended time included.
    """

    def __init__(self, ask: Callable[[], Awaitable[Grant]], elapsed: Callable[[], float]) -> None:
        self._ask = ask
        self._elapsed = elapsed
        self._one_at_a_time = anyio.Lock(fast_acquire=True)
        self._token: Token | None = None
        self._refusal: AuthenticationFailed | None = None
        self.grant: Grant | None = None

    @property
    def ended(self) -> bool:
        """Whether the credentials are given up: every call fails without a request."""
        return self._refusal is not None

    async def token(self) -> Token:
        """Return a token that serves now. Raises AuthenticationFailed, and what `ask` raises."""
        self._check()
        token = self._token
        if token is not None and not token.refused and self._elapsed() < token.renew_at_s:
            return token
        async with self._one_at_a_time:
            self._check()
            token = self._token
            if token is not None and not token.refused and self._elapsed() < token.renew_at_s:
                return token
            return await self._renew(token)

    def worked(self, token: Token) -> None:
        """Told that a service has taken the token."""
        token.worked = True

    def rejected(self, token: Token, failure: AuthenticationFailed) -> None:
        """Told that a service answered 401: the token is renewed before its next use.

        A replacement that never worked either is the end: the credentials give tokens that nobody takes, and
        `failure` is what every later call raises.
        """
        if token.replaces_refused and not token.worked:
            self._refusal = failure
        token.refused = True

    def _check(self) -> None:
        if self._refusal is not None:
            raise _again(self._refusal)

    async def _renew(self, old: Token | None) -> Token:
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
        life_s = grant.life_s if grant.life_s is not None and grant.life_s > 0 else _LIFE_S
        margin_s = min(TOKEN_MARGIN_S, life_s * TOKEN_MARGIN_PART)
        # Counted from before the request: a slow answer must not make the token seem younger than it is.
        token = Token(grant.token, asked_s + life_s - margin_s, asked_s + life_s, old is not None and old.refused)
        self._token, self.grant = token, grant
        return token


def _again(error: AuthenticationFailed) -> AuthenticationFailed:
    """A fresh copy: raising one exception object again and again would grow its traceback."""
    return AuthenticationFailed(
        error.message, error.hint, code=error.code, status=error.status, request_id=error.request_id
    )
