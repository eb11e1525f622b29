"""The token of a scope, in virtual time: one request at a time, early renewal, one refusal and no more."""

import math
from collections.abc import Callable

import anyio
import pytest

from fleetos.cloud.auth.credentials import AccessKey
from fleetos.cloud.auth.grant import Grant
from fleetos.cloud.auth.request_auth import SignatureAuth, TokenAuth
from fleetos.cloud.auth.token_cache import CachedToken, TokenCache
from fleetos.errors import AnswerLost, AuthenticationFailed, CloudError
from tests.support.clocks import VirtualClock, now_s, run

REFUSED = AuthenticationFailed("a service said 401")


class Iam:
    """Gives out tokens t1, t2, ... that live for `life_s`; `answers` come first: an error is raised."""

    def __init__(self, life_s: float | None = 86400.0, *answers: CloudError | None, takes_s: float = 0.0) -> None:
        self.life_s = life_s
        self.answers = list(answers)
        self.takes_s = takes_s
        self.asked: list[float] = []

    async def ask(self) -> Grant:
        self.asked.append(now_s())
        await anyio.sleep(self.takes_s)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return Grant(TokenAuth(f"t{len(self.asked)}"), self.life_s, "project", "user")


def shown(held: CachedToken) -> str:
    (token,) = held.auth.secrets
    return token


def auth(iam: Iam, skew: Callable[[], float] = lambda: 0.0) -> TokenCache:
    return TokenCache(iam.ask, lambda: now_s() + skew())


def test_all_who_need_a_token_share_one_request() -> None:
    async def main() -> None:
        iam = Iam(takes_s=2.0)
        office = auth(iam)
        got: list[CachedToken] = []

        async def need() -> None:
            got.append(await office.current())

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(need)
        assert {shown(one) for one in got} == {"t1"}
        assert iam.asked == [0.0]

    run(main)


@pytest.mark.parametrize(
    ("life_s", "renewed_s"),
    [(86400.0, 85800.0), (3600.0, 3000.0), (2400.0, 1800.0), (900.0, 675.0), (4.0, 3.0), (None, 85800.0)],
)
def test_a_token_is_renewed_before_its_end(life_s: float | None, renewed_s: float) -> None:
    async def main() -> None:
        iam = Iam(life_s)
        office = auth(iam)
        await office.current()
        await anyio.sleep(renewed_s - 0.01)
        assert shown(await office.current()) == "t1"
        await anyio.sleep(0.02)
        assert shown(await office.current()) == "t2"

    run(main)


def test_its_age_counts_from_before_the_request() -> None:
    async def main() -> None:
        iam = Iam(4.0, takes_s=2.9)
        office = auth(iam)
        await office.current()
        await anyio.sleep(0.2)
        assert shown(await office.current()) == "t2"

    run(main)


def test_tokens_of_four_seconds_carry_a_long_run() -> None:
    async def main() -> None:
        iam = Iam(4.0, takes_s=0.05)
        office = auth(iam)
        for _ in range(1000):
            token = await office.current()
            assert now_s() < token.ends_at_s
            office.mark_accepted(token)
            await anyio.sleep(0.1)
        assert len(iam.asked) < 45

    run(main)


def test_a_refused_login_is_the_end_after_one_request() -> None:
    async def main() -> None:
        iam = Iam(86400.0, AuthenticationFailed("wrong password", "hint", code="IAM.0011", status=401, request_id="r"))
        office = auth(iam)
        for _ in range(5):
            with pytest.raises(AuthenticationFailed, match="wrong password") as caught:
                await office.current()
            assert (caught.value.hint, caught.value.code, caught.value.status, caught.value.request_id) == (
                "hint",
                "IAM.0011",
                401,
                "r",
            )
        assert len(iam.asked) == 1
        assert office.given_up

    run(main)


def test_those_who_wait_for_a_refused_login_do_not_ask_again() -> None:
    async def main() -> None:
        iam = Iam(86400.0, AuthenticationFailed("no"), takes_s=1.0)
        office = auth(iam)
        failures: list[str] = []

        async def need() -> None:
            try:
                await office.current()
            except AuthenticationFailed as error:
                failures.append(error.message)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(need)
        assert failures == ["no"] * 10
        assert len(iam.asked) == 1

    run(main)


def test_a_refused_renewal_is_the_end_although_the_old_token_lives() -> None:
    async def main() -> None:
        iam = Iam(4.0, None, AuthenticationFailed("password changed"))
        office = auth(iam)
        await office.current()
        await anyio.sleep(3.5)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                await office.current()
        assert len(iam.asked) == 2

    run(main)


def test_a_renewal_that_finds_no_answer_leaves_the_old_token_in_use() -> None:
    async def main() -> None:
        iam = Iam(1000.0, None, AnswerLost("reset"), AnswerLost("reset"))
        office = auth(iam)
        await office.current()
        await anyio.sleep(760)
        assert shown(await office.current()) == "t1"
        assert shown(await office.current()) == "t1"
        assert len(iam.asked) == 2
        await anyio.sleep(6)
        assert shown(await office.current()) == "t1"
        await anyio.sleep(6)
        assert shown(await office.current()) == "t4"

    run(main)


def test_a_renewal_that_finds_no_answer_after_the_end_is_raised() -> None:
    async def main() -> None:
        iam = Iam(4.0, None, AnswerLost("reset"))
        office = auth(iam)
        await office.current()
        await anyio.sleep(5)
        with pytest.raises(AnswerLost):
            await office.current()
        assert shown(await office.current()) == "t3"

    run(main)


def test_a_token_that_worked_and_is_refused_is_renewed_once() -> None:
    async def main() -> None:
        iam = Iam()
        office = auth(iam)
        first = await office.current()
        office.mark_accepted(first)
        # Several requests meet the same 401.
        for _ in range(3):
            office.mark_refused(first, REFUSED)
        second = await office.current()
        assert shown(second) == "t2"
        office.mark_accepted(second)
        office.mark_refused(second, REFUSED)
        assert shown(await office.current()) == "t3"
        assert not office.given_up

    run(main)


@pytest.mark.parametrize("worked", [True, False])
def test_a_replacement_that_never_worked_is_the_end(worked: bool) -> None:
    async def main() -> None:
        iam = Iam()
        office = auth(iam)
        first = await office.current()
        if worked:
            office.mark_accepted(first)
        office.mark_refused(first, REFUSED)
        office.mark_refused(await office.current(), REFUSED)
        assert office.given_up
        for _ in range(3):
            with pytest.raises(AuthenticationFailed, match="a service said 401"):
                await office.current()
        assert len(iam.asked) == 2

    run(main)


def test_a_late_refusal_of_the_old_token_does_not_touch_the_new_one() -> None:
    async def main() -> None:
        iam = Iam()
        office = auth(iam)
        first = await office.current()
        office.mark_refused(first, REFUSED)
        second = await office.current()
        office.mark_refused(first, REFUSED)
        assert await office.current() is second

    run(main)


def test_a_cancelled_request_is_made_by_the_next() -> None:
    async def main() -> None:
        iam = Iam(takes_s=10.0)
        office = auth(iam)
        with anyio.move_on_after(1):
            await office.current()
        assert shown(await office.current()) == "t2"

    run(main)


def test_a_token_ages_while_the_machine_sleeps() -> None:
    async def main() -> None:
        slept = 0.0
        iam = Iam(3600.0)
        office = auth(iam, lambda: slept)
        await office.current()
        slept = 7200.0
        assert shown(await office.current()) == "t2"

    run(main)


def test_nothing_shows_the_token() -> None:
    badge = TokenAuth("secret")
    assert "secret" not in repr(badge)
    assert "secret" not in repr(CachedToken(badge, 0.0, 0.0, replaces_refused=False))
    assert "secret" not in repr(Grant(badge, 1.0, "p", "u"))


def test_a_badge_that_cannot_be_renewed_serves_to_its_end_and_is_not_asked_for_again() -> None:
    async def main() -> None:
        asked: list[float] = []

        async def once() -> Grant:
            asked.append(now_s())
            return Grant(TokenAuth("t1", renewable=False), 3600.0, "project", "user")

        office = TokenCache(once, now_s)
        await office.current()
        await anyio.sleep(3599.0)
        assert shown(await office.current()) == "t1"
        await anyio.sleep(2.0)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed, match="the token that was given to fleetos has ended") as caught:
                await office.current()
            assert "give a new one" in (caught.value.hint or "")
        assert office.given_up
        assert asked == [0.0]

    run(main)


@pytest.mark.parametrize("worked", [True, False])
def test_the_first_refusal_of_a_badge_that_cannot_be_renewed_is_the_end(worked: bool) -> None:
    async def main() -> None:
        key = SignatureAuth(AccessKey("AK", "secret"), "project", VirtualClock().now)

        async def once() -> Grant:
            return Grant(key, math.inf, "project", None)

        office = TokenCache(once, now_s)
        held = await office.current()
        if worked:
            office.mark_accepted(held)
        for _ in range(4):
            await anyio.sleep(80_000.0)
            assert await office.current() is held
        office.mark_refused(held, REFUSED)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed, match="a service said 401"):
                await office.current()

    run(main)
