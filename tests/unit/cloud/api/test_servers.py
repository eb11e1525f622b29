"""The server list and the sweep. In virtual time."""

import httpx
import pytest

from fleetos.cloud.api.servers import LIST_IDS
from fleetos.cloud.client import CloudClient
from fleetos.errors import AuthenticationFailed, CloudUnreachable, PermissionDenied, ReadRefused
from fleetos.limits import LIST_PAGE
from tests.support.clouds.scripted import (
    Answer,
    Script,
    ScriptedCloud,
    answer,
    error,
    server_body,
    with_cloud,
)


def pages(total: int, *, extra: int = 0, count: bool = True, most: int = LIST_PAGE, **more: object) -> Script:
    """A list of `total` servers, with `extra` temporary ones on its first page, as the cloud shows it."""
    ids = [f"s{number:05}" for number in range(total)]

    def script(request: httpx.Request) -> Answer:
        if not request.url.path.endswith("/detail"):
            return answer(200, {"server": server_body(request.url.path.rpartition("/")[2])})
        size = min(int(request.url.params["limit"]), most)
        page = int(request.url.params["offset"])
        shown: list[object] = [server_body(own, **more) for own in ids[(page - 1) * size : page * size]]
        if page == 1:
            shown += [{"id": f"temp{number}", "name": "temp", "status": "BUILD"} for number in range(extra)]
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
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        inventory = await client.list_servers()
        assert len(inventory.servers) == total + extra
        assert [one.params for one in cloud.calls] == [
            {"limit": "1000", "offset": str(page)} for page in range(1, asked + 1)
        ]

    with_cloud(pages(total, extra=extra, count=count, most=most), then=then)


def test_a_cloud_that_ignores_the_page_number_ends_the_walk() -> None:
    page = answer(200, {"count": 5000, "servers": [server_body(f"s{number}") for number in range(1000)]})

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert len((await client.list_servers()).servers) == 1000
        assert len(cloud.calls) == 2

    with_cloud(page, then=then)


UNREADABLE: list[object] = [
    {"servers": {}},
    {"count": "many", "servers": []},
    [],
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_a_list_that_cannot_be_read_is_refused(body: object) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(ReadRefused, match="page 1 of the server list"):
            await client.list_servers()

    with_cloud(answer(200, body), then=then)


def test_a_sweep_lists_only_as_far_as_it_must() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        wanted = [f"s{number:05}" for number in range(10)]
        assert set(await client.sweep(wanted)) == set(wanted)
        # The cloud is asked once whether it lists by ids.
        assert [("server_id" in one.params, one.params["offset"]) for one in cloud.calls] == [(True, "1"), (False, "1")]
        wanted.append("s02999")
        assert set(await client.sweep([*wanted, "nobody"])) == set(wanted)
        assert len(cloud.calls) == 2 + 4

    with_cloud(pages(3000), then=then)


def test_a_sweep_does_not_read_servers_that_nobody_asked_for() -> None:
    strange = {"id": "strange", "status": {"not": "a text"}}
    own = [server_body(f"s{number}") for number in range(4)]

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert len(await client.sweep(["s0", "s1", "s2", "s3"])) == 4

    with_cloud(answer(200, {"count": 5, "servers": [strange, *own]}), then=then)


async def large(client: CloudClient, cloud: ScriptedCloud) -> None:
    """Let the client learn that the list has eight pages and cannot be asked by ids."""
    assert await client.sweep(["nobody", "no-one"]) == {}
    assert len(cloud.calls) == 1 + 8
    cloud.seen.clear()


def test_a_few_servers_are_read_one_by_one() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert set(await client.sweep(["a"])) == {"a"}
        assert await client.sweep([]) == {}
        assert [one.path.rpartition("/")[2] for one in cloud.calls] == ["a"]
        cloud.seen.clear()
        await large(client, cloud)
        # With a list of eight pages, seven single reads are fewer.
        assert set(await client.sweep(["a", "b", "c", "a"])) == {"a", "b", "c"}
        assert sorted(one.path.rpartition("/")[2] for one in cloud.calls) == ["a", "b", "c"]
        assert len(await client.sweep([f"s{number:05}" for number in range(7)])) == 7
        assert len(cloud.calls) == 3 + 7

    with_cloud(pages(7500), then=then)


def single(answers: dict[str, Answer]) -> Script:
    listed = pages(7500)

    def script(request: httpx.Request) -> Answer:
        return answers.get(request.url.path.rpartition("/")[2]) or listed(request)

    return script


def test_one_refused_read_leaves_its_server_out() -> None:
    found = answer(200, {"server": server_body("a")})
    answers: dict[str, Answer] = {"a": found, "b": error(400, "Ecs.0000"), "c": error(404, "Ecs.0114")}

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await large(client, cloud)
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

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await large(client, cloud)
        with pytest.raises(kind):
            await client.sweep(["a", "b"])

    with_cloud(single({"a": found, "b": given}), then=then)


# --- by ids --------------------------------------------------------------------------------------------------


def by_ids(total: int) -> Script:
    """A list of so many servers that heeds `server_id`, as Huawei Cloud documents it."""
    walked = pages(total)

    def script(request: httpx.Request) -> Answer:
        asked = request.url.params.get("server_id")
        if asked is None:
            return walked(request)
        known = {f"s{number:05}" for number in range(total)}
        unknown = {"fault": {"code": 404, "message": "not found"}}
        shown = [server_body(one) if one in known else {"id": one, **unknown} for one in asked.split(",")]
        return answer(200, {"count": len(shown), "servers": shown})

    return script


def named(number: int) -> list[str]:
    return [f"s{one:05}" for one in range(number)]


def test_a_list_by_ids_shows_those_that_are_there() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert set(await client.sweep([*named(5), "nobody"])) == set(named(5))
        assert [one.params["server_id"].split(",") for one in cloud.calls] == [["nobody", *named(5)]]

    with_cloud(by_ids(30_000), then=then)


def test_more_ids_than_one_query_takes_are_asked_in_parts() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await client.list_servers()
        cloud.seen.clear()
        wanted = named(2 * LIST_IDS + 1)
        assert set(await client.sweep(wanted)) == set(wanted)
        assert [len(one.params["server_id"].split(",")) for one in cloud.calls] == [LIST_IDS, LIST_IDS, 1]
        assert client.sweep_calls(len(wanted)) == 3

    with_cloud(by_ids(6_000), then=then)


def test_pages_are_walked_where_they_are_fewer_than_the_parts() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await client.list_servers()
        cloud.seen.clear()
        assert len(await client.sweep(named(450))) == 450
        assert ["server_id" in one.params for one in cloud.calls] == [False]
        assert client.sweep_calls(450) == 1

    with_cloud(by_ids(450), then=then)


def test_a_cloud_that_ignores_the_ids_is_not_asked_by_them_again() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for _ in range(2):
            assert set(await client.sweep(named(5))) == set(named(5))
        assert ["server_id" in one.params for one in cloud.calls] == [True, False, False]

    with_cloud(pages(2000), then=then)


def test_a_cloud_that_refuses_the_ids_is_not_asked_by_them_again() -> None:
    listed = pages(2000)

    def script(request: httpx.Request) -> Answer:
        return error(400, "Ecs.0005") if "server_id" in request.url.params else listed(request)

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for _ in range(2):
            assert set(await client.sweep(named(5))) == set(named(5))
        assert ["server_id" in one.params for one in cloud.calls] == [True, False, False]

    with_cloud(script, then=then)


def test_one_refused_query_of_a_cloud_that_heeds_ids_is_no_reason_to_walk_for_ever() -> None:
    listed, refusals = by_ids(2000), [False, True, False]

    def script(request: httpx.Request) -> Answer:
        named_ids = "server_id" in request.url.params
        return error(400, "Ecs.0005") if named_ids and refusals.pop(0) else listed(request)

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for _ in range(3):
            assert set(await client.sweep(named(5))) == set(named(5))
        assert ["server_id" in one.params for one in cloud.calls] == [True, True, False, True]

    with_cloud(script, then=then)


def test_what_a_sweep_costs_is_known_before_it() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        # Nothing is known of the list: one request is hoped for.
        assert [client.sweep_calls(number) for number in (0, 1, 2, 250)] == [0, 1, 1, 1]
        await large(client, cloud)
        assert [client.sweep_calls(number) for number in (0, 1, 7, 8, 250)] == [0, 1, 7, 8, 8]

    with_cloud(pages(7500), then=then)


def test_a_walk_that_ends_early_does_not_make_the_list_shorter() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await large(client, cloud)
        assert len(await client.sweep(named(20))) == 20
        assert len(cloud.calls) == 1
        assert client.sweep_calls(250) == 8

    # None of them can be asked for by a name.
    with_cloud(pages(7500, name=""), then=then)
