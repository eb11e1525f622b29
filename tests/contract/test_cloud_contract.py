"""The contract that every cloud keeps with the engine: submit, repeat, refuse, job, sweep. In virtual time."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from fleetos.model.inventory import Delivered, JobStatus, Reply, Server, Unanswered, Undelivered
from fleetos.model.run import Order, Secrets
from tests.contract.cloud_factories import REFUSAL, CloudUnderTest, simulated_cloud, small_cloud, until_ended
from tests.support.clocks import run

Test = Callable[[CloudUnderTest], Coroutine[Any, Any, None]]
Factory = Callable[[], AbstractAsyncContextManager[CloudUnderTest]]

EVERY_CLOUD = pytest.mark.parametrize("factory", [small_cloud, simulated_cloud], ids=["small", "simulated"])


def check(factory: Factory, test: Test) -> None:
    async def main() -> None:
        async with factory() as given:
            await test(given)

    run(main)


async def change(given: CloudUnderTest, server_id: str, why_not: str | None = None) -> Reply:
    permit = given.cloud.permit()
    assert permit is not None
    order = Order(given.image_id, "Debian 12", "v2", keyname="KeyPair-350b")
    return await given.cloud.change_os(
        server_id, order, Secrets(), stop_first=False, permit=permit, last_check=lambda: why_not
    )


async def accepted_job(given: CloudUnderTest, server_id: str) -> str:
    """Return the id of the job of an accepted change, which has ended."""
    reply = await change(given, server_id)
    assert isinstance(reply, Delivered)
    assert reply.status == 200
    assert reply.job_id is not None
    await until_ended(given.cloud, reply.job_id)
    return reply.job_id


async def shown(given: CloudUnderTest, server_id: str) -> Server:
    server = await given.cloud.server(server_id)
    assert server is not None
    return server


@EVERY_CLOUD
def test_a_change_gives_a_new_disk_with_the_ordered_image(factory: Factory) -> None:
    async def test(given: CloudUnderTest) -> None:
        before = await shown(given, given.ids[0])
        job = await given.cloud.job(await accepted_job(given, given.ids[0]))
        assert job is not None
        assert job.status is JobStatus.SUCCESS
        after = await shown(given, given.ids[0])
        assert after.snapshot.disk not in (None, before.snapshot.disk)
        assert after.snapshot.image == given.image_id
        assert after.snapshot.task is None

    check(factory, test)


@EVERY_CLOUD
def test_a_change_that_is_sent_again_is_another_change(factory: Factory) -> None:
    async def test(given: CloudUnderTest) -> None:
        first = await accepted_job(given, given.ids[0])
        disk = (await shown(given, given.ids[0])).snapshot.disk
        await stop(given)
        assert await accepted_job(given, given.ids[0]) != first
        assert (await shown(given, given.ids[0])).snapshot.disk != disk

    async def stop(given: CloudUnderTest) -> None:
        permit = given.cloud.permit()
        assert permit is not None
        reply = await given.cloud.stop(given.ids[:1], hard=True, permit=permit, last_check=lambda: None)
        assert isinstance(reply, Delivered)
        assert reply.job_id is not None
        await until_ended(given.cloud, reply.job_id)

    check(factory, test)


@EVERY_CLOUD
def test_a_refused_change_has_its_code_and_changes_nothing(factory: Factory) -> None:
    async def test(given: CloudUnderTest) -> None:
        before = await shown(given, given.ids[0])
        given.refuse()
        reply = await change(given, given.ids[0])
        assert isinstance(reply, Delivered)
        assert (reply.status, reply.code, reply.job_id) == (400, REFUSAL, None)
        assert await shown(given, given.ids[0]) == before

    check(factory, test)


@EVERY_CLOUD
def test_a_change_whose_answer_is_lost_takes_effect(factory: Factory) -> None:
    async def test(given: CloudUnderTest) -> None:
        before = await shown(given, given.ids[0])
        given.lose_answer()
        assert isinstance(await change(given, given.ids[0]), Unanswered)
        assert (await shown(given, given.ids[0])).snapshot != before.snapshot

    check(factory, test)


@EVERY_CLOUD
def test_a_write_that_must_not_leave_is_not_sent_and_is_counted_nowhere(factory: Factory) -> None:
    async def test(given: CloudUnderTest) -> None:
        before, requests = await shown(given, given.ids[0]), dict(given.cloud.requests)
        assert await change(given, given.ids[0], "the lease is gone") == Undelivered("the lease is gone")
        assert dict(given.cloud.requests) == requests
        assert await shown(given, given.ids[0]) == before

    check(factory, test)


@EVERY_CLOUD
def test_a_job_runs_until_it_has_ended_and_nobody_knows_another(factory: Factory) -> None:
    async def test(given: CloudUnderTest) -> None:
        reply = await change(given, given.ids[0])
        assert isinstance(reply, Delivered)
        assert reply.job_id is not None
        running = await given.cloud.job(reply.job_id)
        assert running is not None
        assert not running.status.final
        await until_ended(given.cloud, reply.job_id)
        assert await given.cloud.job("job-of-nobody") is None

    check(factory, test)


@EVERY_CLOUD
def test_a_sweep_shows_what_single_reads_show_and_no_server_that_is_not_there(factory: Factory) -> None:
    async def test(given: CloudUnderTest) -> None:
        nobody = "616fb98f-46ca-475e-917e-000000000000"
        swept = await given.cloud.sweep([*given.ids, nobody])
        assert set(swept) == set(given.ids)
        assert {one: server.snapshot for one, server in swept.items()} == {
            one: (await shown(given, one)).snapshot for one in given.ids
        }
        assert await given.cloud.server(nobody) is None

    check(factory, test)
