"""What reads and writes do with the answers they meet, behind the whole client, in virtual time."""

from itertools import pairwise

import anyio
import httpx
import pytest

from fleetos.cloud.client import CloudClient
from fleetos.cloud.rate.throttle import CLOSURE_S
from fleetos.cloud.session import READ_TRIES
from fleetos.errors import (
    AnswerLost,
    AuthenticationFailed,
    CloudError,
    CloudUnreachable,
    NotSent,
    PermissionDenied,
    ReadRefused,
)
from fleetos.limits import WRITE_DEPARTS_WITHIN_S
from fleetos.model.inventory import Delivered, Reply, Unanswered, Undelivered
from fleetos.model.plan import ApiLimits
from fleetos.model.run import Order, Secrets
from tests.support.clocks import VirtualClock, now_s, run
from tests.support.clouds.scripted import (
    CREDENTIALS,
    Answer,
    ScriptedCloud,
    answer,
    error,
    opened,
    server_body,
    with_cloud,
)

FOUND = answer(200, {"server": server_body("s1")})
JOB = answer(200, {"job_id": "ff80808288d41e1b018990260955686a"}, x_request_id="req-9")


async def stop(client: CloudClient, why: str | None = None) -> Reply:
    permit = client.permit()
    assert permit is not None
    return await client.stop(["s1"], hard=False, permit=permit, last_check=lambda: why)


@pytest.mark.parametrize(
    "passing",
    [
        error(500, "Common.0001"),
        error(400, "Ecs.0301"),
        error(400, "Ecs.1001"),
        error(501, "Ecs.0603"),
        answer(502, b"<html>bad gateway</html>"),
        answer(504, b""),
        answer(408, b""),
        error(202, "Common.0024"),
        NotSent("refused"),
        AnswerLost("reset"),
        httpx.ReadError("something new"),
    ],
)
def test_a_read_repeats_what_passes(passing: Answer) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.server("s1") is not None
        assert len(cloud.calls) == 3
        assert 1.0 <= now_s() <= 3.0

    with_cloud(passing, passing, FOUND, then=then)


@pytest.mark.parametrize(
    ("answers", "kind", "code", "status"),
    [
        (error(500, "Common.0001"), CloudUnreachable, "Common.0001", 500),
        (answer(502, b"<html>bad</html>"), CloudUnreachable, None, 502),
        (NotSent("refused"), CloudUnreachable, None, None),
        (AnswerLost("reset"), CloudUnreachable, None, None),
        (error(400, "Ecs.0301"), ReadRefused, "Ecs.0301", 400),
        (error(202, "Common.0024"), ReadRefused, "Common.0024", 202),
    ],
)
def test_a_read_gives_up_in_the_end(
    answers: Answer, kind: type[CloudError], code: str | None, status: int | None
) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(kind, match="server s1") as caught:
            await client.server("s1")
        assert (caught.value.code, caught.value.status) == (code, status)
        assert len(cloud.calls) == READ_TRIES
        assert client.requests == {"token": 1, "server": READ_TRIES}

    with_cloud(answers, then=then)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (error(403, "Pdp.0001"), PermissionDenied),
        (error(403, "Whatever.1"), PermissionDenied),
        (error(400, "Ecs.0023"), PermissionDenied),
        (error(400, "Common.0018"), PermissionDenied),
        (error(400, "Ecs.0005"), ReadRefused),
        (error(404, "APIGW.0101"), ReadRefused),
        (answer(404, b"<html>not here</html>"), ReadRefused),
        (answer(302, b"", location="https://elsewhere.invalid"), ReadRefused),
        (answer(200, b"garbage"), ReadRefused),
        (answer(200, b""), ReadRefused),
        (answer(200, {"server": "text"}), ReadRefused),
        (answer(204, b""), ReadRefused),
    ],
)
def test_a_read_does_not_repeat_a_verdict(refusal: Answer, kind: type[CloudError]) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(kind, match="server s1"):
            await client.server("s1")
        assert len(cloud.calls) == 1

    with_cloud(refusal, then=then)


def test_an_error_says_all_that_the_support_desk_asks_for() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(ReadRefused) as caught:
            await client.server("s1")
        assert caught.value.message == (
            "server s1: HTTP 400, Ecs.0005 (a parameter is not valid, or the flavor does not match the image): "
            "no [request req-1]"
        )
        assert caught.value.request_id == "req-1"

    with_cloud(error(400, "Ecs.0005"), then=then)


def test_a_429_is_waited_out_and_never_a_failure() -> None:
    slow = error(429, "APIGW.0308", "limit:200,time:5 minute")

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.server("s1") is not None
        assert len(cloud.calls) == 8
        times = [one.at_s for one in cloud.calls]
        assert all(later - earlier >= 300 for earlier, later in pairwise(times))

    with_cloud(*[slow] * 7, FOUND, then=then)


@pytest.mark.parametrize("limited", [answer(429, b"slow down please"), error(503, "Common.1503"), error(429, "X.1")])
def test_every_form_of_a_429_closes_the_scope(limited: Answer) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        reply = await stop(client)
        assert isinstance(reply, Delivered)
        assert reply.job_id is None
        assert client.permit() is None
        assert client.permit_in_s() >= 60
        assert await client.server("s1") is not None
        assert cloud.calls[1].at_s >= 60

    with_cloud(limited, FOUND, then=then)


def test_a_401_on_a_read_renews_the_token_and_repeats_once() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.server("s1") is not None
        assert [one.token for one in cloud.calls] == ["t1", "t2"]
        assert now_s() == 0.0

    with_cloud(error(401, "APIGW.0307"), FOUND, then=then)


def test_a_second_401_is_the_end_of_the_scope() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(AuthenticationFailed, match="does not accept the token"):
            await client.server("s1")
        count = len(cloud.seen)
        assert count == 4
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                await client.job("j1")
        reply = await stop(client)
        assert isinstance(reply, Undelivered)
        assert len(cloud.seen) == count

    with_cloud(error(401, "APIGW.0301"), then=then)


def test_401s_that_come_and_go_are_repeated_within_a_bound() -> None:
    refused = error(401, "APIGW.0301")
    turn = 0

    def flaky(request: httpx.Request) -> Answer:
        nonlocal turn
        turn += 1
        if "jobs" in request.url.path:
            return error(400, "Common.0011")
        return refused

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        # Another read keeps proving that the tokens work.
        failures: list[CloudError] = []

        async def refused_read() -> None:
            try:
                await client.server("s1")
            except AuthenticationFailed as failure:
                failures.append(failure)

        async with anyio.create_task_group() as group:
            group.start_soon(refused_read)
            for _ in range(40):
                assert await client.job("j1") is None
                await anyio.sleep(0.25)
                if failures:
                    break
        assert failures
        assert turn < 100

    with_cloud(flaky, then=then)


def test_a_401_on_a_write_is_reported_and_not_repeated() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await client.server("s1")
        reply = await stop(client)
        assert isinstance(reply, Delivered)
        assert (reply.status, reply.code) == (401, "APIGW.0307")
        assert len(cloud.calls) == 2
        assert isinstance(await stop(client), Delivered)
        assert [one.token for one in cloud.calls] == ["t1", "t1", "t2"]

    with_cloud(FOUND, error(401, "APIGW.0307"), JOB, then=then)


WRITES: list[tuple[Answer, Reply]] = [
    (JOB, Delivered(200, "ff80808288d41e1b018990260955686a", request_id="req-9")),
    (answer(202, {"job_id": "a-b_1"}), Delivered(202, "a-b_1")),
    (answer(200, {"job_id": ""}), Delivered(200)),
    (answer(200, {"job_id": None}), Delivered(200)),
    (answer(200, {}), Delivered(200)),
    (answer(200, {"job_id": 5}), Unanswered("HTTP 200 with a job id that cannot be read")),
    (answer(200, {"job_id": "a b"}), Unanswered("HTTP 200 with a job id that cannot be read")),
    (answer(200, {"job_id": "x" * 65}), Unanswered("HTTP 200 with a job id that cannot be read")),
    (answer(200, b"<html>"), Unanswered("HTTP 200 with a body that cannot be read")),
    (answer(200, b""), Unanswered("HTTP 200 with a body that cannot be read")),
    (answer(204, b""), Unanswered("HTTP 204 with a body that cannot be read")),
    (answer(200, b'{"job_id": "ff'), Unanswered("HTTP 200 with a body that cannot be read")),
    (answer(200, b"[" * 100_000), Unanswered("HTTP 200 with a body that cannot be read")),
    (error(202, "Common.0024"), Delivered(202, None, "Common.0024", "no", "req-1")),
    (error(400, "Ecs.0100"), Delivered(400, None, "Ecs.0100", "no", "req-1")),
    (error(500, "Ecs.0100"), Delivered(500, None, "Ecs.0100", "no", "req-1")),
    (error(403, "Pdp.0001"), Delivered(403, None, "Pdp.0001", "no", "req-1")),
    (answer(404, {"itemNotFound": {"message": "gone", "code": 404}}), Delivered(404, None, "itemNotFound", "gone")),
    (answer(502, b"<b>bad</b>"), Delivered(502, None, None, "bad")),
    (error(429, "APIGW.0308", retry_after="7"), Delivered(429, None, "APIGW.0308", "no", "req-1", 7.0)),
    (answer(307, b"", location="https://elsewhere.invalid"), Delivered(307)),
    (NotSent("refused"), Undelivered("refused")),
    (AnswerLost("reset"), Unanswered("reset")),
    (httpx.ConnectError("no cause, no proof"), Unanswered("no cause, no proof (ConnectError)")),
    (RuntimeError("something new"), Unanswered("something new (RuntimeError)")),
]


@pytest.mark.parametrize(("given", "reply"), WRITES, ids=lambda value: str(value)[:50])
def test_a_write_leaves_once_and_returns_what_came(given: Answer, reply: Reply) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await stop(client) == reply
        assert len(cloud.calls) == 1
        assert client.permit() is not None or client.permit_in_s() > 0

    with_cloud(given, then=then)


def test_a_write_that_the_last_look_forbids_does_not_leave() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await stop(client, "the lease is gone") == Undelivered("the lease is gone")
        assert cloud.calls == []
        assert client.requests == {"token": 1}

    with_cloud(JOB, then=then)


def test_a_permit_from_before_a_closure_does_not_leave_in_it() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        permit = client.permit()
        assert permit is not None
        await stop(client)
        reply = await client.start(["s1"], permit=permit, last_check=lambda: None)
        assert reply == Undelivered("the cloud has asked for a pause (429)")
        assert len(cloud.calls) == 1

    with_cloud(error(429, "APIGW.0308"), then=then)


def test_a_write_that_must_wait_for_a_token_too_long_does_not_leave() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(JOB, life_s=4.0)
        async with opened(cloud) as client:
            cloud.logins = [answer(429, b"later")]
            await anyio.sleep(10)
            begun_s = now_s()
            assert await stop(client) == Undelivered("no token could be had in time")
            assert now_s() - begun_s == pytest.approx(WRITE_DEPARTS_WITHIN_S)
            assert cloud.calls == []

    run(main)


def test_a_write_that_slept_on_its_way_out_does_not_leave() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(JOB, life_s=4.0)
        clock = VirtualClock()

        def suspend(request: httpx.Request) -> Answer:
            clock.suspended_s += 3600.0
            return cloud.grant()

        async with opened(cloud, clock=clock) as client:
            await anyio.sleep(10)
            cloud.logins = [suspend]
            reply = await stop(client)
            assert isinstance(reply, Undelivered)
            assert "took too long" in reply.detail
            assert cloud.calls == []
            assert isinstance(await stop(client), Delivered)

    run(main)


def test_a_write_whose_token_cannot_be_had_does_not_leave() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(JOB, life_s=4.0)
        async with opened(cloud) as client:
            cloud.logins = [AnswerLost("reset"), answer(401, {"error": {"code": 401, "message": "changed"}})]
            await anyio.sleep(10)
            assert await stop(client) == Undelivered("no token: reset")
            reply = await stop(client)
            assert isinstance(reply, Undelivered)
            assert "refuses the login" in reply.detail
            assert cloud.calls == []

    run(main)


def test_short_tokens_are_renewed_without_a_401() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(FOUND, life_s=4.0)
        async with opened(cloud) as client:
            for _ in range(100):
                assert await client.server("s1") is not None
                await anyio.sleep(0.5)
        tokens = [one.token for one in cloud.calls]
        assert len(set(tokens)) == pytest.approx(16, abs=2)

    run(main)


def test_many_reads_keep_to_the_pace() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(FOUND)
        limits = ApiLimits(rate_per_s=2.0, burst=4.0)
        async with opened(cloud, limits=limits) as client, anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(client.server, "s1")
        times = [one.at_s for one in cloud.calls]
        # One token of the first four is left to whoever writes.
        assert times[-1] == pytest.approx((20 - 3) / 2.0, abs=0.1)

    run(main)


def test_a_secret_in_a_message_of_the_cloud_is_blotted_out() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        permit = client.permit()
        assert permit is not None
        order = Order("image-2", "name", "v2")
        reply = await client.change_os(
            "s1", order, Secrets(adminpass="Geheim-123"), stop_first=False, permit=permit, last_check=lambda: None
        )
        assert isinstance(reply, Delivered)
        assert reply.message == "adminpass *** is weak"

    with_cloud(error(400, "Ecs.0011", "adminpass Geheim-123 is weak"), then=then)


def test_the_credentials_show_no_password() -> None:
    assert "secret-password" not in repr(CREDENTIALS)


def test_reads_that_waited_for_a_token_leave_no_more_once_the_scope_is_closed() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(error(429, "APIGW.0308"), FOUND, life_s=100.0)
        async with opened(cloud) as client:
            await anyio.sleep(200.0)
            async with anyio.create_task_group() as reads:
                for _ in range(3):
                    reads.start_soon(client.server, "s1")
        refused, *later = [one.at_s for one in cloud.calls]
        assert len(later) == 3
        assert all(at_s >= refused + CLOSURE_S for at_s in later)

    run(main)
