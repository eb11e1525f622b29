"""Single answers and addresses of a hostile cloud, each of which once did harm."""

import gzip
import json
import tracemalloc
from typing import Any

import pytest

from fleetos.cloud.api.action_log import TRACES_LISTED
from fleetos.cloud.auth.grant import Endpoint, read_grant, regions_of
from fleetos.cloud.client import CloudClient
from fleetos.cloud.http.addresses import parse_origin, proxies_from
from fleetos.cloud.http.error_body import retry_after_s
from fleetos.cloud.http.json_fields import InvalidJson, number, parse_time
from fleetos.cloud.rate.throttle import RequestClass, Throttle, Throttled
from fleetos.cloud.session import ANSWER_BYTES
from fleetos.errors import CloudUnreachable, ReadRefused, UsageError
from fleetos.limits import CLOSURE_STATED_MAX_S, REGIONS_LISTED
from fleetos.model.plan import ApiLimits
from tests.support.chance import FixedChance
from tests.support.clocks import VirtualClock, now_s, run
from tests.support.clouds.hostile import SINCE, HostileCloud, Raw, good_grant, with_client
from tests.support.clouds.scripted import server_body
from tests.support.hostile_values import json_bytes

# Some kilobytes, which become 100 MiB.
BOMB = gzip.compress(gzip.compress(bytes(100 * 2**20), 1), 1)


@pytest.mark.parametrize("text", ["--5", "-", "+5", "5-", "1" * 19, "\u0663", "0x5"])
def test_a_text_that_only_looks_like_a_number_is_unreadable(text: str) -> None:
    with pytest.raises(InvalidJson):
        number({"count": text}, "count")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_beyond_the_first_or_last_is_none(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    "address",
    ["https://xn--/", "https://xn--a/", "https://xn--99999", "https://h:99999", "https://h:0", "https://" + "h." * 127],
)
def test_an_address_with_an_impossible_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="the endpoint is not an address"):
        parse_origin(address, "the endpoint")
    with pytest.raises(UsageError, match="HTTPS_PROXY is not an address"):
        proxies_from({"HTTPS_PROXY": address})


@pytest.mark.parametrize("project", ["../../v9", "a/b", "p?x", "#", "p" * 65, "\u00fc"])
def test_a_project_that_would_change_the_path_of_requests_is_none(project: str) -> None:
    tree = json.loads(good_grant().body)
    tree["token"]["project"]["id"] = project
    with pytest.raises(InvalidJson, match="project"):
        read_grant({"x-subject-token": "t"}, json_bytes(tree))


def test_a_catalog_of_a_thousand_regions_is_named_in_a_bounded_message() -> None:
    regions = [f"region-{place:04}" * 20 for place in range(1000)]
    told = regions_of([Endpoint("ecs", "public", region, "https://x.invalid") for region in regions])
    assert told.startswith(regions[0])
    assert told.endswith(f" and {1000 - REGIONS_LISTED} more")
    assert regions_of([Endpoint("ecs", "public", "*", "https://x.invalid")]) == "none"


def test_a_flood_of_traces_is_told_in_a_bounded_number() -> None:
    actions: Any = {"instanceActions": [{"action": f"rebuild-{place}"} for place in range(3000)]}
    volume = {"created_at": "2026-01-02T03:04:05", "attachments": [{"server_id": "s1"}]}
    volumes: Any = {"volumes": [{**volume, "id": f"v{place}"} for place in range(3000)]}

    async def then(client: CloudClient) -> None:
        traces = await client.traces("s1", SINCE)
        assert traces is not None
        assert len(traces.words) == 2 * (TRACES_LISTED + 1)
        assert traces.words[0] == "action rebuild-0 at an unknown time"
        assert traces.words[TRACES_LISTED] == traces.words[-1] == f"{3000 - TRACES_LISTED} more"

    with_client(HostileCloud([Raw(200, {}, json_bytes(one)) for one in (actions, volumes)]), then)


def test_tags_keep_the_letters_that_nobody_sees_and_none_that_a_terminal_obeys() -> None:
    tree = {"server": server_body("s1", tags=["a=\x1b[31m", "\u202ek=v"])}

    async def then(client: CloudClient) -> None:
        server = await client.server("s1")
        assert server is not None
        assert server.tags == {"a": "\ufffd[31m", "\u202ek": "v"}

    with_client(HostileCloud([Raw(200, {}, json_bytes(tree))]), then)


def test_a_named_limit_makes_nobody_wait_for_ever() -> None:
    async def main() -> None:
        pace = Throttle(ApiLimits(), now_s, FixedChance(0.0))
        pace.pause(Throttled(RequestClass.READ, now_s(), limit=(1, 999_999 * 86_400.0)))
        for _ in range(3):
            begun_s = now_s()
            async with pace.reading():
                assert now_s() - begun_s <= 2 * CLOSURE_STATED_MAX_S

    run(main)


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,gzip,gzip", "deflate", "br", "x-gzip", "\x7f"])
def test_what_is_packed_twice_or_otherwise_is_not_unpacked(coding: str) -> None:
    async def then(client: CloudClient) -> None:
        with pytest.raises(CloudUnreachable, match="packed in a way that was not asked for"):
            await client.server("s1")

    tracemalloc.start()
    try:
        with_client(HostileCloud([Raw(200, {"content-encoding": coding}, BOMB)] * 4), then)
        assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    finally:
        tracemalloc.stop()


def test_a_bomb_that_is_packed_once_ends_at_the_bound() -> None:
    bomb = gzip.compress(bytes(4 * ANSWER_BYTES), 9)

    async def then(client: CloudClient) -> None:
        with pytest.raises(CloudUnreachable, match="the answer is longer than"):
            await client.server("s1")

    tracemalloc.start()
    try:
        with_client(HostileCloud([Raw(200, {"content-encoding": "gzip"}, bomb)] * 4), then)
        # What was unpacked before the bound was met, and one part more of a thousand times its size.
        assert tracemalloc.get_traced_memory()[1] < 3 * ANSWER_BYTES
    finally:
        tracemalloc.stop()


def test_a_list_that_never_ends_is_left_at_the_last_page() -> None:
    def page(number: int) -> bytes:
        return json_bytes({"servers": [{"id": f"s{number}-{place}"} for place in range(1000)]})

    cloud = HostileCloud([Raw(200, {}, page(1))] * 600)

    async def then(client: CloudClient) -> None:
        # The same page again and again: the cloud does not heed the number of the page.
        assert len((await client.list_servers()).servers) == 1000
        assert cloud.requests == 3

    with_client(cloud, then)


@pytest.mark.parametrize(
    "text", ["\u0665", "5" * 5000, "Fri, 02 Jan 2026 03:05:05 +9999", "Fri, 99999999999 Jan 2026 03:05:05 GMT", ","]
)
def test_a_strange_retry_after_is_bounded_or_none(text: str) -> None:
    async def main() -> None:
        told_s = retry_after_s({"retry-after": text}, VirtualClock())
        assert told_s is None or 0 <= told_s <= CLOSURE_STATED_MAX_S

    run(main)


def test_another_servers_answer_is_refused_in_a_bounded_message() -> None:
    async def then(client: CloudClient) -> None:
        with pytest.raises(ReadRefused, match="another server") as caught:
            await client.server("s1")
        assert len(caught.value.message) < 400

    with_client(HostileCloud([Raw(200, {}, json_bytes({"server": server_body("x" * 255)}))]), then)
