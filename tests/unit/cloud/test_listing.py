"""The server list and the sweep. In virtual time."""

import httpx
import pytest

from fleetos.cloud.ecs import EcsCloud
from fleetos.errors import AuthenticationFailed, CloudUnreachable, PermissionDenied, ReadRefused
from fleetos.limits import LIST_PAGE
from tests.unit.cloud.scripted import (
    Answer,
    Script,
    ScriptedCloud,
    answer,
    error,
    server_body,
    with_cloud,
)
from tests.unit.cloud.virtual import START


def pages(total: int, *, extra: int = 0, count: bool = True, most: int = LIST_PAGE) -> Script:
    """A list of `total` servers, with `extra` temporary ones on its first page, as the cloud shows it."""
    ids = [f"s{number:05}" for number in range(total)]

    def script(request: httpx.Request) -> Answer:
        if not request.url.path.endswith("/detail"):
            return answer(200, {"server": server_body(request.url.path.rpartition("/")[2])})
        size = min(int(request.url.params["limit"]), most)
        page = int(request.url.params["offset"])
        shown: list[object] = [server_body(own) for own in ids[(page - 1) * size : page * size]]
        if page == 1:
            shown += [{"id": f"temp{number}", "status": "BUILD"} for number in range(extra)]
        return answer(200, {"servers": shown, **({"count": total} if count else {})})

    return script


@pytest.mark.parametrize(
    ("total", "extra", "count", "most", "asked"),
    [
        (0, 0, True, 1000, 1),
        (5, 0, True, 1000, 1),
        (999, 0, True, 1000, 1),
        (1000, 0, True, 1000, 2),
        (2500, 0, True, 1000, 3),
        (2500, 0, False, 1000, 3),
        (1003, 5, True, 1000, 2),
        (450, 0, True, 200, 3),
    ],
)
def test_the_list_is_walked_to_its_end(total: int, extra: int, count: bool, most: int, asked: int) -> None:
    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        inventory = await client.list_servers()
        assert len(inventory.servers) == total + extra
        assert inventory.requested_at == START
        assert [one.params for one in cloud.calls] == [
            {"limit": "1000", "offset": str(page)} for page in range(1, asked + 1)
        ]

    with_cloud(pages(total, extra=extra, count=count, most=most), then=then)


def test_a_cloud_that_ignores_the_page_number_ends_the_walk() -> None:
    page = answer(200, {"count": 5000, "servers": [server_body(f"s{number}") for number in range(1000)]})

    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        assert len((await client.list_servers()).servers) == 1000
        assert len(cloud.calls) == 2

    with_cloud(page, then=then)


UNREADABLE: list[object] = [
    {"servers": {}},
    {"servers": [5]},
    {"servers": [{}]},
    {"servers": [{"id": 5}]},
    {"count": "many", "servers": []},
    {"servers": [server_body("s1", status=5)]},
    [],
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_a_list_that_cannot_be_read_is_refused(body: object) -> None:
    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        with pytest.raises(ReadRefused, match="page 1 of the server list"):
            await client.list_servers()

    with_cloud(answer(200, body), then=then)


def test_a_sweep_lists_only_as_far_as_it_must() -> None:
    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        wanted = [f"s{number:05}" for number in range(10)]
        assert set(await client.sweep(wanted)) == set(wanted)
        assert [one.params["offset"] for one in cloud.calls] == ["1"]
        wanted.append("s02999")
        assert set(await client.sweep([*wanted, "nobody"])) == set(wanted)
        assert len(cloud.calls) == 1 + 4

    with_cloud(pages(3000), then=then)


def test_a_sweep_does_not_read_servers_that_nobody_asked_for() -> None:
    strange = {"id": "strange", "status": {"not": "a text"}}
    own = [server_body(f"s{number}") for number in range(4)]

    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        assert len(await client.sweep(["s0", "s1", "s2", "s3"])) == 4

    with_cloud(answer(200, {"count": 5, "servers": [strange, *own]}), then=then)


def test_a_few_servers_are_read_one_by_one() -> None:
    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        assert set(await client.sweep(["a", "b", "c", "a"])) == {"a", "b", "c"}
        assert sorted(one.path.rpartition("/")[2] for one in cloud.calls) == ["a", "b", "c"]
        assert await client.sweep([]) == {}
        assert len(cloud.calls) == 3
        # With a list of eight pages, seven single reads are fewer.
        await client.list_servers()
        before = len(cloud.calls)
        assert len(await client.sweep([f"s{number:05}" for number in range(7)])) == 7
        assert len(cloud.calls) == before + 7

    with_cloud(pages(7500), then=then)


def single(answers: dict[str, Answer]) -> Script:
    return lambda request: answers[request.url.path.rpartition("/")[2]]


def test_one_refused_read_leaves_its_server_out() -> None:
    found = answer(200, {"server": server_body("a")})
    answers: dict[str, Answer] = {"a": found, "b": error(400, "Ecs.0000"), "c": error(404, "Ecs.0114")}

    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        assert set(await client.sweep(["a", "b", "c"])) == {"a"}
        with pytest.raises(ReadRefused, match="server b"):
            await client.sweep(["b", "c"])
        assert await client.sweep(["c"]) == {}

    with_cloud(single(answers), then=then)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (error(403, "Pdp.0001"), PermissionDenied),
        (error(401, "APIGW.0301"), AuthenticationFailed),
        (error(500, "Ecs.0615"), CloudUnreachable),
    ],
)
def test_what_stops_the_run_is_never_left_out(given: Answer, kind: type[Exception]) -> None:
    found = answer(200, {"server": server_body("a")})

    async def then(client: EcsCloud, cloud: ScriptedCloud) -> None:
        with pytest.raises(kind):
            await client.sweep(["a", "b"])

    with_cloud(single({"a": found, "b": given}), then=then)
