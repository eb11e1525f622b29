"""A login that is long in coming: what waits for it leaves at the pace all the same."""

from itertools import pairwise

import anyio
import httpx
import pytest

from fleetos.cloud.client import CloudClient
from fleetos.model.plan import ApiLimits
from tests.support.clocks import now_s, run
from tests.support.clouds.scripted import ScriptedCloud, answer, error, opened, server_body

LOGIN_S = 20.0
LIFE_S = 86400.0
FOUND = answer(200, {"server": server_body("s1")})
READS = 6


class SlowOffice(ScriptedCloud):
    """Every login but the first takes a while."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the next answer."""
        if self.seen and request.url.path.endswith("/auth/tokens"):
            await anyio.sleep(LOGIN_S)
        return await super().handle_async_request(request)


async def ask(client: CloudClient, count: int) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(client.server, "s1")


@pytest.mark.parametrize("refused", [False, True])
def test_who_waited_for_a_login_leaves_at_the_pace_of_the_plan(*, refused: bool) -> None:
    """Its token has ended by the clock, or a service says so while others wait for their turn."""

    async def main() -> None:
        cloud = SlowOffice(*([error(401, "APIGW.0301")] if refused else []), FOUND, life_s=LIFE_S)
        async with opened(cloud, limits=ApiLimits(rate_per_s=1.0)) as client:
            if not refused:
                await anyio.sleep(LIFE_S)
            begun_s = now_s()
            await ask(client, READS)
            left = [one.at_s for one in cloud.calls if one.at_s >= begun_s + LOGIN_S]
            assert len(left) == READS
            assert all(later - earlier >= 0.99 for earlier, later in pairwise(left))

    run(main)


def test_tokens_that_end_before_a_turn_comes_keep_no_read_from_leaving() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(FOUND, life_s=30.0)
        async with opened(cloud, limits=ApiLimits(rate_per_s=0.02)) as client:
            # A login is counted as the read that needed it, which then waits for a turn of its own.
            with anyio.fail_after(2 * READS / 0.02):
                await ask(client, READS)
        assert len(cloud.calls) == READS

    run(main)
