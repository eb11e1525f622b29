"""Whatever the cloud sends: a value that is bounded and printable, or an error of ours, and nothing else."""

import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.cloud.client import CloudClient
from fleetos.errors import CloudError, UsageError
from fleetos.model.inventory import Reply
from fleetos.model.run import Order, Secrets
from tests.support.clouds.hostile import (
    SINCE,
    HostileCloud,
    Raw,
    check_error,
    check_value,
    good_grant,
    judge,
    judge_all,
    raws,
    with_client,
)
from tests.support.clouds.scripted import server_body
from tests.support.hostile_values import NASTY_TEXTS, json_bytes, randoms, replaced, trees
from tests.support.seeded_examples import SEED, examples

SERVER: Any = server_body("s1", fault={"message": "no", "code": 500})
JOB: Any = {
    "status": "FAIL",
    "job_id": "j1",
    "error_code": "Ecs.0001",
    "fail_reason": "why",
    "entities": {
        "sub_jobs": [
            {
                "status": "SUCCESS",
                "job_id": "j2",
                "error_code": None,
                "fail_reason": None,
                "entities": {"server_id": "s1", "errorcode_message": "x"},
            }
        ]
    },
}
IMAGE: Any = {
    "id": "i1",
    "name": "Debian",
    "status": "active",
    "min_disk": 40,
    "__os_type": "Linux",
    "__support_fc_inject": "true",
    "virtual_env_type": "FusionCompute",
}
LIST: Any = {"count": 2, "servers": [SERVER, server_body("s2")]}
ACTIONS: Any = {
    "instanceActions": [{"action": "rebuild", "start_time": "2026-01-02T03:04:05.000000", "request_id": "r"}]
}
VOLUMES: Any = {
    "volumes": [{"id": "v1", "created_at": "2026-01-02T03:04:05.000000", "attachments": [{"server_id": "s1"}]}]
}
# A permit that is not there after so many waits never comes.
PERMIT_TRIES = 20
ORDER = Order("i1", "Debian", "v2", keyname="key")


RIGHT: Any = {
    "server": {"server": SERVER},
    "list": LIST,
    "job": JOB,
    "images": {"images": [IMAGE]},
    "actions": ACTIONS,
    "volumes": VOLUMES,
    "write": {"job_id": "j1"},
}


async def ask(client: CloudClient, cloud: HostileCloud, what: str) -> None:
    """Asks for it until the cloud has no answer left."""
    reads: dict[str, tuple[Callable[[], Awaitable[object]], ...]] = {
        "server": (lambda: client.server("s1"),),
        "list": (client.list_servers, lambda: client.sweep([f"s{number}" for number in range(9)])),
        "job": (lambda: client.job("j1"),),
        "images": (lambda: client.images.by_id("i1"), lambda: client.images.named("Debian")),
        "actions": (lambda: client.traces("s1", SINCE), lambda: client.project.has_key_pair("key")),
        "volumes": (lambda: client.traces("s1", SINCE),),
        "write": (lambda: write(client, change=True), lambda: write(client, change=False)),
    }
    await judge_all(cloud, *reads[what])


async def write(client: CloudClient, *, change: bool) -> Reply:
    """One write, when the pace allows it."""
    permit = client.permit()
    for _ in range(PERMIT_TRIES):
        if permit is not None:
            break
        # Endless only where a write is under way, and here each ends before the next begins.
        await anyio.sleep(client.permit_in_s())
        permit = client.permit()
    assert permit is not None
    if change:
        secrets = Secrets("Secret-1234", b"#cloud-config")
        return await client.change_os("s1", ORDER, secrets, stop_first=False, permit=permit, last_check=lambda: None)
    return await client.stop(["s1"], hard=False, permit=permit, last_check=lambda: None)


@pytest.mark.parametrize("what", RIGHT)
@examples(6)
@given(randoms)
def test_whatever_comes_back(what: str, random: Random) -> None:
    cloud = HostileCloud(raws(random, RIGHT[what], 12))

    async def then(client: CloudClient) -> None:
        await ask(client, cloud, what)

    with_client(cloud, then)


@pytest.mark.parametrize("what", RIGHT)
def test_every_part_of_an_answer_may_be_anything(what: str) -> None:
    cloud = HostileCloud([Raw(200, {}, json_bytes(tree)) for tree in replaced(Random(SEED), RIGHT[what], 25)])

    async def then(client: CloudClient) -> None:
        await ask(client, cloud, what)

    with_client(cloud, then)


@pytest.mark.parametrize("what", ["server", "list", "job", "images"])
@examples(6)
@given(st.data())
def test_any_json(what: str, data: st.DataObject) -> None:
    cloud = HostileCloud([Raw(200, {}, json_bytes(data.draw(trees))) for _ in range(3)])

    async def then(client: CloudClient) -> None:
        await ask(client, cloud, what)

    with_client(cloud, then)


@examples(8)
@given(st.lists(st.builds(Raw, st.integers(100, 999), st.just({}), st.binary(max_size=60)), max_size=8))
def test_any_status_with_any_bytes(answers: list[Raw]) -> None:
    cloud = HostileCloud(answers)

    async def then(client: CloudClient) -> None:
        await judge_all(cloud, lambda: client.server("s1"), lambda: client.job("j1"), client.list_servers)

    with_client(cloud, then)


@pytest.mark.parametrize("change", [True, False])
@examples(4)
@given(randoms)
def test_a_write_leaves_once_whatever_comes_back(change: bool, random: Random) -> None:
    cloud = HostileCloud(raws(random, RIGHT["write"], 3))

    async def then(client: CloudClient) -> None:
        check_value(await write(client, change=change))

    with_client(cloud, then)
    assert cloud.requests == 2, "a login and one write"


@examples(40)
@given(randoms)
def test_a_login(random: Random) -> None:
    grant = good_grant()
    token = {"x-subject-token": grant.headers["x-subject-token"]}
    grants = [Raw(one.status, {**one.headers, **token}, one.body) for one in raws(random, json.loads(grant.body), 3)]
    log_in(HostileCloud(grants=grants))


def test_every_part_of_a_grant_may_be_anything() -> None:
    grant = good_grant()
    for tree in replaced(Random(SEED), json.loads(grant.body), 8):
        log_in(HostileCloud(grants=[Raw(201, grant.headers, json_bytes(tree))]))
    for text in NASTY_TEXTS:
        log_in(HostileCloud(grants=[Raw(201, {"x-subject-token": text}, grant.body)]))


def log_in(cloud: HostileCloud) -> None:
    """Logs in and reads a server; an error must be ours."""

    async def then(client: CloudClient) -> None:
        check_value(client.place)
        await judge(client.server("s1"))

    try:
        with_client(cloud, then)
    except (CloudError, UsageError) as error:
        # A catalog may name addresses that are not acceptable, or none that would do.
        check_error(error)


def test_a_right_answer_is_read() -> None:
    """Shows that what is spoiled above is right before that."""

    async def then(client: CloudClient) -> None:
        server, job = await client.server("s1"), await client.job("j1")
        assert server is not None
        assert job is not None
        assert (server.id, job.id, job.sub_jobs[0].server_id) == ("s1", "j1", "s1")
        assert len((await client.list_servers()).servers) == 2
        assert len(await client.images.named("Debian")) == 1
        traces = await client.traces("s1", SINCE)
        assert traces is not None
        assert len(traces.words) == 2

    names = ("server", "job", "list", "images", "actions", "volumes")
    with_client(HostileCloud([Raw(200, {}, json_bytes(RIGHT[name])) for name in names]), then)
