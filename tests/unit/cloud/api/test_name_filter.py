"""A fleet that is a small part of a large project, on a cloud that lists by no ids. In virtual time."""

import json
from collections.abc import Callable, Mapping
from functools import cache

import httpx
import pytest

from fleetos.cloud.api.name_filter import NameFilters, choose_filters
from fleetos.cloud.client import CloudClient
from fleetos.limits import LIST_PAGE
from tests.support.clouds.scripted import Answer, Script, ScriptedCloud, answer, error, server_body, with_cloud


def a_large_project(fleet: Mapping[str, str], others: int, *, heeds: Callable[[str, str], bool]) -> Script:
    """A list of other servers, and then those of the fleet, names by ids, that shows by `name` what `heeds` says."""
    all_names = {f"o{number:05}": f"other-{number:05}" for number in range(others)} | {**fleet}

    @cache
    def page(asked: str, number: int) -> bytes:
        listed = [one for one, name in all_names.items() if heeds(asked, name)]
        first = (number - 1) * LIST_PAGE
        shown = [server_body(one, name=all_names[one]) for one in listed[first : first + LIST_PAGE]]
        return json.dumps({"count": len(listed), "servers": shown}).encode()

    def script(request: httpx.Request) -> Answer:
        params = request.url.params
        if not request.url.path.endswith("/detail"):
            own = request.url.path.rpartition("/")[2]
            return answer(200, {"server": server_body(own, name=all_names[own])})
        return answer(200, page(params.get("name", ""), int(params["offset"])))

    return script


def part_of(asked: str, name: str) -> bool:
    return asked in name


def asked_for(cloud: ScriptedCloud) -> list[str]:
    """What each call for the list asked for: a text of names, `ids`, or nothing but a page."""
    return [one.params.get("name", "ids" if "server_id" in one.params else one.params["offset"]) for one in cloud.calls]


def named(*names: str) -> Mapping[str, str]:
    return {f"id-{name}": name for name in names}


WEB = named(*(f"web-{number:03}" for number in range(1, 41)))
FLEETS = {
    "one beginning": (WEB, ["web-0"]),
    "one end": (named(*(f"{role}.prod.example" for role in ("mail", "login", "wiki", "shop"))), [".prod.example"]),
    "three stems": (
        named(*(f"{role}-{number}" for role in ("db", "mail", "web") for number in range(7))),
        ["db-", "mail-", "web-"],
    ),
}


@pytest.mark.parametrize(("fleet", "texts"), FLEETS.values(), ids=FLEETS)
def test_a_small_part_of_a_long_list_is_asked_for_by_what_its_names_share(
    fleet: Mapping[str, str], texts: list[str]
) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert (await client.list_servers()).servers.keys() >= fleet.keys()
        cloud.seen.clear()
        for _ in range(2):
            assert (await client.sweep([*fleet])).keys() == fleet.keys()
        # Once the cloud is asked whether it lists by ids.
        assert asked_for(cloud) == ["ids", *(2 * texts)]
        assert client.sweep_calls(len(fleet)) == min(len(fleet), len(texts))

    with_cloud(a_large_project(fleet, 4990, heeds=part_of), then=then)


def test_names_are_learned_from_a_walk_where_nobody_surveyed_the_project() -> None:
    fleet = WEB

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        first = [*fleet][:20]
        assert (await client.sweep(first)).keys() == set(first)
        assert client.sweep_calls(20) == 1
        cloud.seen.clear()
        # The rest of the fleet was on the same page, and shares a shorter text.
        assert (await client.sweep([*fleet])).keys() == fleet.keys()
        assert asked_for(cloud) == ["web-0"]

    with_cloud(a_large_project(fleet, 4990, heeds=part_of), then=then)


def test_a_list_by_a_text_of_many_names_is_not_asked_for() -> None:
    fleet = named(*(f"other-{number:05}" for number in range(0, 5000, 250)))

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await client.list_servers()
        assert (await client.sweep([*fleet])).keys() == fleet.keys()
        assert asked_for(cloud) == [*"123456", "ids", *"123456"]

    with_cloud(a_large_project(fleet, 4990, heeds=part_of), then=then)


IGNORED: dict[str, Callable[[str, str], bool]] = {
    "shows all": lambda _asked, _name: True,
    "shows none": lambda asked, _name: not asked,
    "shows some": lambda asked, name: asked in name and not (asked and name.endswith("7")),
}


@pytest.mark.slow
@pytest.mark.parametrize("heeds", IGNORED.values(), ids=IGNORED)
def test_a_cloud_that_does_not_heed_names_costs_some_calls_and_no_server(heeds: Callable[[str, str], bool]) -> None:
    fleet = WEB

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for _ in range(6):
            assert (await client.sweep([*fleet])).keys() == fleet.keys()
        cloud.seen.clear()
        assert (await client.sweep([*fleet])).keys() == fleet.keys()
        assert len(cloud.calls) == 6
        assert client.sweep_calls(len(fleet)) == 6

    with_cloud(a_large_project(fleet, 5500, heeds=heeds), then=then)


def test_a_cloud_that_refuses_names_is_not_asked_by_them_again() -> None:
    fleet = WEB
    listed = a_large_project(fleet, 1500, heeds=part_of)

    def script(request: httpx.Request) -> Answer:
        return error(400, "Ecs.0005") if "name" in request.url.params else listed(request)

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for _ in range(5):
            assert (await client.sweep([*fleet])).keys() == fleet.keys()
        whole = ["1", "2"]
        assert asked_for(cloud) == ["ids", *whole, *(3 * ["web-0", *whole]), *whole]

    with_cloud(script, then=then)


def test_a_server_that_got_another_name_is_found_by_it() -> None:
    fleet = {f"id-{number}": f"web-{number:03}" for number in range(1, 41)}

    def script(request: httpx.Request) -> Answer:
        return a_large_project(fleet, 2500, heeds=part_of)(request)

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        await client.sweep([*fleet])
        fleet["id-7"] = "db-007"
        cloud.seen.clear()
        for _ in range(2):
            assert (await client.sweep([*fleet])).keys() == fleet.keys()
        # Missed, looked for in the whole list, and asked for by its new name.
        assert asked_for(cloud) == ["web-0", "1", "2", "3", "db-", "web-"]

    with_cloud(script, then=then)


def test_what_a_list_took_is_no_news_of_texts_that_another_sweep_has_chosen_meanwhile() -> None:
    narrowing = NameFilters()
    narrowing.add_names({"a": "web-1", "b": "web-2", "c": "mail-1"})
    assert narrowing.group_servers({"a", "b"}, 9) == {"web-": {"a", "b"}}
    assert narrowing.group_servers({"a", "b", "c"}, 9) == {"mail-": {"c"}, "web-": {"a", "b"}}
    narrowing.record_pages("w", 5, whole=True)
    narrowing.record_pages("w", 5, whole=False)
    assert narrowing.calls == 2
    narrowing.record_pages("web-", 3, whole=True)
    narrowing.record_pages("web-", 2, whole=False)
    assert narrowing.calls == 4


def test_texts_are_chosen_for_all_that_was_ever_wanted() -> None:
    narrowing = NameFilters()
    narrowing.add_names({"a": "web-1", "b": "mail-1", "c": "shop-x"})
    assert narrowing.group_servers({"a"}, 9).keys() == {"web-1"}
    assert narrowing.group_servers({"b"}, 9) == {"-1": {"b"}}
    assert narrowing.group_servers({"a"}, 9) == {"-1": {"a"}}


@pytest.mark.parametrize(("unlike", "texts"), [(16, 16), (17, 0)])
def test_a_fleet_of_too_many_unlike_names_is_asked_for_by_none(unlike: int, texts: int) -> None:
    fleet = [f"{letter}-{number}-{letter}" for number, letter in enumerate("abcdefghijklmnopq"[:unlike])]
    assert len(choose_filters(fleet, fleet)) == texts
