"""One strange server in the list: all others are planned as without it, and it is refused alone, by name."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fleetos.cloud.client import CloudClient
from fleetos.errors import InputError
from fleetos.model.findings import Check
from fleetos.model.inventory import Inventory
from fleetos.model.plan import Plan
from fleetos.model.run import Target
from fleetos.model.states import TargetState
from fleetos.planning.freeze import freeze
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.preflight.preflight import Preflight, preflight
from fleetos.planning.settings import CloudFacts
from tests.support.builders import DEBIAN, SCOPE, START, server_id
from tests.support.clouds.hostile import HostileCloud, Raw, check_value, with_client
from tests.support.clouds.scripted import server_body
from tests.support.hostile_values import json_bytes, places_in, replaced
from tests.support.seeded_examples import SEED
from tests.unit.planning.plan_folder import HEAD

SIM = CloudFacts(loopback=True, is_sim=True)
STRANGE, *OTHERS = (server_id(number) for number in range(1, 5))
NAMES = {own: f"web-{number}" for number, own in enumerate((STRANGE, *OTHERS), 1)}
BODY: Any = server_body(STRANGE, name="web-1", fault={"message": "no", "code": 500})
SELECT = "servers: [{select: {tags: {role: web}}}]\n"
BY_ID = "servers:\n" + "".join(f"  - {{id: {own}}}\n" for own in NAMES)
BY_NAME = "servers:\n" + "".join(f"  - {{name: {name}}}\n" for name in NAMES.values())
SPARED = SELECT + "exclude: [{name: web-1}]\n"


@pytest.fixture(scope="module")
def plan_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plan]:
    """Plans by their servers, each read once."""
    folder: Path = tmp_path_factory.mktemp("plans")
    known: dict[str, Plan] = {}

    def plan(servers: str) -> Plan:
        if servers not in known:
            path = folder / f"plan-{len(known)}.yaml"
            path.write_text(HEAD + servers)
            known[servers] = load_plan(path)
        return known[servers]

    return plan


def page(strange: Any, *more: Any) -> Raw:
    others = [server_body(own, name=NAMES[own]) for own in OTHERS]
    return Raw(200, {}, json_bytes({"servers": [others[0], strange, *others[1:], *more]}))


def listed(*pages: Raw) -> list[Inventory]:
    """What the client makes of each of these lists."""
    found: list[Inventory] = []

    async def then(client: CloudClient) -> None:
        found.extend([await client.list_servers() for _ in pages])

    with_client(HostileCloud(pages), then)
    return found


def planned(plan: Plan, inventory: Inventory) -> tuple[Preflight, dict[str, Target]]:
    found = preflight(plan, inventory, (DEBIAN,), None, SIM)
    run = freeze(plan, found, scope=SCOPE, facts=SIM, run_id="r1", now=START)
    return found, {target.server_id: target for target in run.targets}


def result(target: Target) -> tuple[object, ...]:
    """What is decided of a server, whatever its place among the others."""
    return target.name, target.state, target.reason, target.order, target.baseline, target.disk, target.az


def strange_servers() -> Iterator[Any]:
    """The server with one part dropped, or with anything in its place."""
    for number in range(len(places_in(BODY))):
        spoilt = copy.deepcopy(BODY)
        node, key = places_in(spoilt)[number]
        del node[key]
        yield spoilt
    yield from replaced(Random(SEED), BODY, 12)
    yield from (None, 5, "x", [], [BODY], {})


def test_one_strange_server_never_changes_what_is_planned_for_the_others(plan_of: Callable[[str], Plan]) -> None:
    strange = list(strange_servers())
    sound, *inventories = listed(page(BODY), *map(page, strange))
    told = {servers: planned(plan_of(servers), sound)[1] for servers in (SELECT, BY_ID, BY_NAME)}
    refused = 0
    for body, inventory in zip(strange, inventories, strict=True):
        check_value(inventory)
        for servers, before in told.items():
            try:
                found, targets = planned(plan_of(servers), inventory)
            except InputError as error:
                # Nobody knows that the one that is meant is the one that cannot be read.
                (problem,) = error.problems
                assert STRANGE in problem.expected or "web-1" in problem.expected, ascii(body)
                assert servers is not SELECT
                continue
            assert {own: result(targets[own]) for own in OTHERS} == {own: result(before[own]) for own in OTHERS}
            own = targets.get(STRANGE)
            if inventory.unread and servers is SELECT:
                assert own is None
                assert [one.check for one in found.findings if one.server_id is None] == [Check.UNREADABLE]
            elif own is not None and inventory.servers[STRANGE].unread is not None:
                refused += 1
                assert own.state is TargetState.HELD, ascii(body)
                assert "could not be read" in own.detail
    assert refused > 100


def test_a_server_that_is_to_be_spared_is_never_wiped_whatever_the_list_shows_of_it(
    plan_of: Callable[[str], Plan],
) -> None:
    strange = list(strange_servers())
    for body, inventory in zip(strange, listed(*map(page, strange)), strict=True):
        shown = inventory.servers.get(STRANGE)
        other_name = shown is not None and shown.name not in ("", "web-1")
        try:
            _, targets = planned(plan_of(SPARED), inventory)
        except InputError:
            # The name that is to be spared is not in the list, so that nothing at all is planned.
            continue
        assert STRANGE not in targets or other_name, ascii(body)


@pytest.mark.parametrize("first", [True, False])
def test_one_id_for_two_servers_is_neither(plan_of: Callable[[str], Plan], first: bool) -> None:
    twin = {**BODY, "id": OTHERS[0], "name": "web-1"}
    (inventory,) = listed(page(twin) if first else page(BODY, twin))
    _, targets = planned(plan_of(SELECT), inventory)
    assert OTHERS[0] not in targets
    assert {OTHERS[1], OTHERS[2]} <= targets.keys()
    _, targets = planned(plan_of(f"servers: [{{id: {OTHERS[0]}}}, {{id: {OTHERS[1]}}}]\n"), inventory)
    assert targets[OTHERS[0]].state is TargetState.HELD
    assert targets[OTHERS[1]].state is TargetState.WAITING


def test_a_server_that_two_pages_show_under_two_names_is_neither(plan_of: Callable[[str], Plan]) -> None:
    renamed = server_body(OTHERS[0], name="web-1")
    pages = [page(BODY), Raw(200, {}, json_bytes({"count": 9, "servers": [renamed, server_body("more")]}))]
    head = json.loads(pages[0].body) | {"count": 9}
    found: list[Inventory] = []

    async def then(client: CloudClient) -> None:
        found.append(await client.list_servers())

    last = Raw(200, {}, json_bytes({"count": 9, "servers": []}))
    with_client(HostileCloud([Raw(200, {}, json_bytes(head)), pages[1], last]), then)
    assert found[0].servers[OTHERS[0]].unread is not None
    assert found[0].servers[OTHERS[1]].unread is None


SPIKES = {
    "no UTF-8": b'"description": "caf\xe9"',
    "a number without end": b'"progress": ' + b"9" * 5000,
    "a negative one": b'"progress": -' + b"9" * 5000,
    "nested too deeply": b'"progress": ' + b"[" * 50_000 + b"]" * 50_000,
    "nested objects": b'"progress": ' + b'{"a": ' * 3_000 + b"1" + b"}" * 3_000,
    "not a number": b'"progress": NaN',
    "ten megabytes": b'"description": "' + b"x" * 10 * 2**20 + b'"',
    "half a letter": b'"description": "\\ud800"',
    "brackets in a text, and nested": b'"a": "]}\\"[{", "b": ' + b"[" * 2_000 + b'"]"' + b"]" * 2_000,
}


@pytest.mark.parametrize("what", SPIKES)
def test_what_no_parser_likes_spoils_no_page(plan_of: Callable[[str], Plan], what: str) -> None:
    spoilt = page(BODY).body.replace(b'"key_name"', SPIKES[what] + b', "key_name"', 2)
    (inventory,) = listed(Raw(200, {}, spoilt))
    assert inventory.servers.keys() == NAMES.keys()
    assert inventory.unread == ()
    _, targets = planned(plan_of(SELECT), inventory)
    assert {targets[own].state for own in OTHERS} == {TargetState.WAITING}


@pytest.mark.parametrize("name", [b"web-\xe91", b"web-1\\ud800", b"x" * 300, b""])
def test_a_name_that_cannot_be_read_is_no_name(plan_of: Callable[[str], Plan], name: bytes) -> None:
    (inventory,) = listed(Raw(200, {}, page(BODY).body.replace(b'"web-1"', b'"' + name + b'"')))
    assert inventory.servers[STRANGE].unread is not None
    with pytest.raises(InputError, match="no server of the project is called web-1, so it excludes no server"):
        planned(plan_of(SPARED), inventory)
    found, targets = planned(plan_of(SELECT), inventory)
    assert targets.keys() == set(OTHERS)
    assert [one.check for one in found.findings] == [Check.UNREADABLE]
    assert STRANGE in found.findings[0].text


def test_a_server_without_a_readable_id_is_counted_and_said(plan_of: Callable[[str], Plan]) -> None:
    (inventory,) = listed(page({**BODY, "id": ["x"]}))
    found, targets = planned(plan_of(SELECT), inventory)
    assert targets.keys() == set(OTHERS)
    (finding,) = found.findings
    assert finding.text.startswith("1 server could not be read")
    assert "web-1" in finding.text
    with pytest.raises(InputError) as caught:
        planned(plan_of(BY_NAME), inventory)
    assert "web-1" in (caught.value.problems[0].hint or "")


def test_a_reinstall_refuses_the_strange_server_alone(plan_of: Callable[[str], Plan]) -> None:
    (inventory,) = listed(page({**BODY, "tags": 5}))
    again = BY_ID.replace("}\n", ", change: {reinstall: true}}\n")
    found = preflight(plan_of(again), inventory, (replace(DEBIAN, id="image-1"),), None, SIM)
    run = freeze(plan_of(again), found, scope=SCOPE, facts=SIM, run_id="r1", now=START)
    states = {target.server_id: target.state for target in run.targets}
    assert states == {STRANGE: TargetState.HELD, **dict.fromkeys(OTHERS, TargetState.WAITING)}


def test_a_sweep_takes_a_strange_server_for_one_that_is_not_there() -> None:
    strange = page({**BODY, "os-extended-volumes:volumes_attached": 5})
    seen: list[set[str]] = []

    async def then(client: CloudClient) -> None:
        seen.append(set(await client.sweep(sorted(NAMES))))

    with_client(HostileCloud([strange, strange, strange]), then)
    assert seen == [set(OTHERS)]
