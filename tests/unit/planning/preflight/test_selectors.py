"""Which servers a selector means: whole plans, held against what a cloud says of its servers."""

import json
from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.errors import Problem
from fleetos.limits import CANDIDATES_LISTED, PLAN_MAX_SERVERS
from fleetos.model.inventory import Inventory, Server
from fleetos.model.plan import Plan, Selector, SourcePosition
from fleetos.planning.plan_file.build import SELECTORS_MAX
from fleetos.planning.preflight.selectors import explain_no_match, match_servers, projects_by_name, with_project_names
from fleetos.planning.preflight.server_selection import newly_selected, select
from tests.support.builders import NEW_IMAGE, a_server, a_snapshot, an_inventory, server_id
from tests.support.seeded_examples import examples
from tests.unit.planning.plan_folder import HEAD, PlanFolder

WEB_1 = replace(
    a_server(1, name="web-01"),
    tags={"role": "web", "gold": ""},
    flavor="s3.medium.2",
    addresses=("10.0.0.7", "80.158.0.7"),
    image_name="Debian 11",
    enterprise_project="0",
)
WEB_2 = replace(
    a_server(2, a_snapshot("SHUTOFF"), name="web-02"),
    tags={"role": "web"},
    flavor="m1.large.8",
    addresses=("10.0.1.7", "fd00::7"),
    az="eu-de-02",
    enterprise_project=server_id(77),
)
DB = replace(
    a_server(3, a_snapshot("ERROR", image=NEW_IMAGE), name="db-01"), tags={"role": "db"}, addresses=("no address",)
)
BARE = a_server(4, a_snapshot(image=None), name="Web-03")
BUILT = a_server(5, replace(a_snapshot(), status="BUILD", vm_state="building"), name="temp-616fb98f")
ODD = a_server(6, replace(a_snapshot(), status="NEW_WORD"), name="web-odd")
PROJECT = an_inventory([BUILT, BARE, DB, WEB_2, WEB_1, ODD])
NOWHERE = SourcePosition("plan.yaml", 1, 1, "servers[0].select")


def text_of(*selectors: object, more: str = "") -> str:
    """A plan with these selectors."""
    return HEAD + "servers: " + json.dumps([{"select": one} for one in selectors]) + "\n" + more


def meant(plans: PlanFolder, selector: object) -> list[str]:
    """The names of the servers that the selector means, in the order of their change."""
    found = select(plans.plan(text_of(selector)), PROJECT)
    assert found.problems == ()
    return [server.name for server, _ in found.servers]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ({"name": "*"}, ["Web-03", "db-01", "web-01", "web-02"]),
        ({"name": "web-*"}, ["web-01", "web-02"]),
        ({"name": ["web-0[!2]", "d?-01"]}, ["db-01", "web-01"]),
        ({"tags": {"role": "web"}}, ["web-01", "web-02"]),
        ({"tags": {"role": ["web", "db"]}}, ["db-01", "web-01", "web-02"]),
        ({"tags": {"role": "*"}}, ["db-01", "web-01", "web-02"]),
        ({"tags": {"gold": ""}}, ["web-01"]),
        ({"tags": {"gold": "*"}}, ["web-01"]),
        ({"tags": {"role": "web", "gold": "*"}}, ["web-01"]),
        ({"az": "eu-de-02"}, ["web-02"]),
        ({"image": "image-old"}, ["web-01", "web-02"]),
        ({"image": ["Debian 11", NEW_IMAGE]}, ["db-01", "web-01"]),
        ({"flavor": ["m1.large.8", "unknown"]}, ["web-02"]),
        ({"status": "SHUTOFF"}, ["web-02"]),
        ({"status": ["ERROR", "ACTIVE"], "tags": {"role": "*"}}, ["db-01", "web-01"]),
        ({"enterprise_project": "0"}, ["web-01"]),
        ({"enterprise_project": server_id(77).upper()}, ["web-02"]),
        ({"ip": "10.0.0.7"}, ["web-01"]),
        ({"ip": "80.158.0.0/16"}, ["web-01"]),
        ({"ip": ["10.0.0.0/23"]}, ["web-01", "web-02"]),
        ({"ip": "fd00::/8"}, ["web-02"]),
        ({"name": "web-*", "az": "eu-de-01", "flavor": "s3.medium.2", "ip": "0.0.0.0/0"}, ["web-01"]),
    ],
)
def test_a_selector_means_those_that_fit_every_key_by_any_value(
    plans: PlanFolder, selector: dict[str, Any], names: list[str]
) -> None:
    assert meant(plans, selector) == names


def unmatched(plan: Plan, project: Inventory) -> list[Problem]:
    """The problems of the selectors that match no server."""
    return [one.problem for one in select(plan, project).unmatched]


def test_an_enterprise_project_may_be_named(plans: PlanFolder) -> None:
    names = {"0": "default", server_id(77): "ops"}
    named = with_project_names(PROJECT, names)
    text = text_of({"enterprise_project": ["ops", "0"]})
    assert projects_by_name(plans.plan(text)).keys() == {"ops"}
    assert projects_by_name(plans.plan(text_of({"enterprise_project": [server_id(77), "0"]}))) == {}
    assert {server.name for server, _ in select(plans.plan(text), named).servers} == {"web-01", "web-02"}
    (problem,) = unmatched(plans.plan(text_of({"enterprise_project": "opps"})), named)
    assert problem.expected == "no server has enterprise project opps"
    assert (problem.hint or "").startswith("did you mean ops? enterprise projects seen: ")


def test_selectors_and_entries_are_merged_and_exclusions_hold_for_all(plans: PlanFolder) -> None:
    text = HEAD + (
        "servers:\n"
        "  - {name: web-02, labels: {pair: a}}\n"
        "  - {select: {name: web-*}, labels: {tier: web}, change: {image: other}}\n"
        '  - {select: {name: "*"}}\n'
        'exclude: [{name: "Web*"}]\n'
    )
    found = select(plans.plan(text), PROJECT)
    assert found.problems == ()
    assert [(server.name, ref.change.image, ref.labels) for server, ref in found.servers] == [
        ("web-02", "other", {"pair": "a", "tier": "web"}),
        ("web-01", "other", {"tier": "web"}),
        ("db-01", None, {}),
    ]
    assert list(found.selected.values()) == [2, 4]
    assert [place.key for place in found.selected] == ["servers[1].select", "servers[2].select"]


def test_a_contradiction_between_selectors_is_told_once(plans: PlanFolder) -> None:
    crowd = an_inventory(a_server(number) for number in range(1, 40))
    text = HEAD + (
        "servers:\n"
        "  - {select: {name: web-*}, change: {keyname: a}}\n"
        '  - {select: {name: "*"}, change: {keyname: b}}\n'
        "  - {name: web-07, labels: {x: y}, change: {keyname: c}}\n"
    )
    second, third = select(plans.plan(text), crowd).problems
    assert (second.line, second.key) == (6, "servers[1].change.keyname")
    assert "plan.yaml:5:" in second.expected
    assert third.line == 7


def test_a_temporary_server_is_never_selected_but_may_be_named(plans: PlanFolder) -> None:
    assert "temp-616fb98f" not in meant(plans, {"name": "*"})
    (problem,) = unmatched(plans.plan(text_of({"name": "temp-*"})), PROJECT)
    assert problem.expected == "no server has a name like temp-*"
    ((named, _),) = select(plans.plan(HEAD + "servers: [{name: temp-616fb98f}]\n"), PROJECT).servers
    assert named == BUILT


@pytest.mark.parametrize(
    ("selector", "key", "expected", "hint"),
    [
        (
            {"tags": {"role": "wbe"}, "name": "*"},
            "tags.role",
            "no server has tag role=wbe",
            "did you mean role=web? tags seen: role=web, role=db",
        ),
        (
            {"tags": {"rule": "*"}},
            "tags.rule",
            "no server has tag rule",
            "did you mean role? keys of tags seen: role, gold",
        ),
        (
            {"tags": {"gold": "x"}},
            "tags.gold",
            "no server has tag gold=x",
            "did you mean gold? tags seen: gold",
        ),
        (
            {"name": "WEB-*"},
            "name",
            "no server has a name like WEB-*",
            "upper and lower case count: Web-03 is there",
        ),
        (
            {"name": ["x*", "y*"]},
            "name",
            "no server has a name like x* or y*",
            "names seen: Web-03, db-01, web-02, web-01",
        ),
        ({"az": "eu-de-3"}, "az", "no server has availability zone eu-de-3", "did you mean eu-de-01? "),
        ({"flavor": "big"}, "flavor", "no server has flavor big", "flavors seen: m1.large.8, s3.medium.2"),
        ({"status": "PAUSED"}, "status", "no server has status PAUSED", "statuses seen: "),
        ({"ip": "10.9.0.0/16"}, "ip", "no server has an address in 10.9.0.0/16", "addresses seen: "),
        (
            {"name": "web-*", "tags": {"role": "db"}, "az": "eu-de-01"},
            None,
            "no server matches every key (`name` matches 2, `tags.role` matches 1, `az` matches 3)",
            "without `name` it would be 1",
        ),
        (
            {"name": "web-*", "tags": {"role": "db"}, "az": "eu-de-02", "status": "ERROR"},
            None,
            "no server matches every key (`name` matches 2, `tags.role` matches 1, `az` matches 1, `status` matches 1)",
            None,
        ),
    ],
)
def test_a_selector_that_means_nothing_says_what_comes_near(
    plans: PlanFolder, selector: dict[str, Any], key: str | None, expected: str, hint: str | None
) -> None:
    (problem,) = unmatched(plans.plan(text_of(selector)), PROJECT)
    assert problem.key == ".".join(["servers[0].select", *([key] if key else [])])
    assert problem.line == 4
    assert problem.expected == expected
    assert (problem.hint or "").startswith(hint or "")
    assert (problem.hint is None) is (hint is None)


def test_a_project_without_servers(plans: PlanFolder) -> None:
    (problem,) = unmatched(plans.plan(text_of({"name": "*"})), an_inventory([BUILT]))
    assert problem.expected == "the project has no server that can be selected"


def test_near_misses_of_a_large_project_are_bounded() -> None:
    crowd = [replace(a_server(number), tags={f"key-{number}": "x"}) for number in range(1, 2000)]
    problem = explain_no_match(Selector(tags=(("role", ("web",)),)), NOWHERE, crowd)
    assert problem.hint is not None
    assert problem.hint.count("key-") == CANDIDATES_LISTED
    assert problem.hint.endswith(" and 1,989 more")


@pytest.mark.parametrize(
    ("selector", "key", "expected", "hint"),
    [
        ({}, "select", "at least one key", 'all servers are {name: "*"}'),
        ({"tags": {"role=web": ""}}, "select.tags.role=web", "the key of a tag", "write `key: value`"),
        ({"tags": {"role": "web-*"}}, "select.tags.role", 'the exact value of a tag, or "*" for any', "only `name` "),
        ({"az": ["a", "eu-*"]}, "select.az[1]", "the exact text, as the cloud shows it", "only `name` takes patterns"),
        ({"ip": "10.0.0.7/24"}, "select.ip", "an address or a range", "the range around it is 10.0.0.0/24"),
        ({"ip": "10.0.0.300"}, "select.ip", "an address or a range", None),
        ({"ip": "fe80::1%eth0"}, "select.ip", "an address or a range", None),
        ({"status": "BUILD"}, "select.status", "one of `ACTIVE`, ", None),
        ({"enterprise_project": "ops-*"}, "select.enterprise_project", "the exact text", "only `name` takes patterns"),
        ({"enterprise_project": 0}, "select.enterprise_project", "a text", "put it in quotes"),
        ({"tags": {"backup": True}}, "select.tags.backup", "a text", "put it in quotes"),
        ({"nmae": "x"}, "select.nmae", "the key is not known", "did you mean `name`?"),
        ({"image": []}, "select.image", "at least one entry", None),
        ({"az": None}, "select.az", "the key has no value", "leave the key out, or give it one"),
        ("web-*", "select", "a mapping of keys", None),
    ],
)
def test_a_bad_selector_is_refused_at_its_place(
    plans: PlanFolder, selector: object, key: str, expected: str, hint: str | None
) -> None:
    problem = plans.problem(text_of(selector))
    assert problem.key == f"servers[0].{key}"
    assert problem.expected.startswith(expected)
    assert (problem.hint or "").startswith(hint or "")
    assert (problem.hint is None) is (hint is None)


def test_an_entry_names_its_servers_in_one_way_and_exclusions_do_not_select(plans: PlanFolder) -> None:
    both, excluded = plans.problems(HEAD + "servers: [{select: {az: a}, name: a}]\nexclude: [{select: {az: a}}]\n")
    assert (both.key, both.expected) == (
        "servers[0].select",
        "the entry has more than one of `id`, `name`, `file` and `select`",
    )
    assert (excluded.key, excluded.expected) == ("exclude[0]", "the entry has none of `id` and `name`")


def test_too_many_selectors_are_refused(plans: PlanFolder) -> None:
    many = [{"az": f"a-{number}"} for number in range(SELECTORS_MAX + 5)]
    assert plans.plan(text_of(*many[:SELECTORS_MAX]))
    problem = plans.problem(text_of(*many))
    assert problem.expected == f"at most {SELECTORS_MAX} entries with `select`"
    assert problem.key == f"servers[{SELECTORS_MAX}].select"


def test_the_digest_covers_what_a_selector_says(plans: PlanFolder) -> None:
    first = plans.plan(text_of({"name": ["a*", "b*"], "ip": "10.0.0.0/24", "tags": {"a": ["1", "2"], "b": "3"}})).digest
    same = text_of({"tags": {"b": ["3"], "a": ["2", "1"]}, "ip": ["10.0.0.0/24"], "name": ["b*", "a*", "b*"]})
    assert plans.plan(same).digest == first
    assert plans.plan(same.replace("10.0.0.0/24", "10.0.0.0/25")).digest != first
    assert plans.plan(same.replace('"3"', '"4"')).digest != first
    assert plans.plan(same.replace('"name"', '"flavor"').replace("a*", "a").replace("b*", "b")).digest != first


def test_what_a_selector_means_by_now(plans: PlanFolder) -> None:
    plan = plans.plan(text_of({"name": "web-*"}, {"tags": {"role": "db"}}))
    images = {"Debian": NEW_IMAGE}
    assert newly_selected(plan, PROJECT, set(), images) == (WEB_1, WEB_2)
    assert newly_selected(plan, PROJECT, {WEB_1.id}, images) == (WEB_2,)
    assert newly_selected(plan, PROJECT, {WEB_1.id, WEB_2.id}, images) == ()
    assert newly_selected(plan, an_inventory([]), set(), images) == ()
    named = plans.plan(HEAD + "servers: [{name: web-01}, {name: gone}]\n")
    assert (plan.selects, named.selects) == (True, False)
    assert newly_selected(named, PROJECT, set(), images) == ()


NAMES = st.text(alphabet="ab-*?[]!\n.", max_size=8)
TAGS = st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "x", "y"]), max_size=2)
ADDRESSES = st.ip_addresses(network=None).map(str) | st.sampled_from(["10.0.0.1", "10.0.255.255", "", "x", "1.2.3"])
SERVERS = st.lists(st.tuples(NAMES, TAGS, ADDRESSES), max_size=6).map(
    lambda drawn: [
        replace(a_server(number, name=name), name=name, tags=tags, addresses=(address,))
        for number, (name, tags, address) in enumerate(drawn)
    ]
)


@examples(12)
@given(SERVERS, NAMES)
def test_a_glob_means_what_fnmatch_says(servers: list[Server], glob: str) -> None:
    fitting = {server.id for server in servers if fnmatchcase(server.name, glob)}
    assert {server.id for server in match_servers(Selector(name=(glob,)), servers)} == fitting


@examples(12)
@given(
    SERVERS, st.dictionaries(st.sampled_from("ab"), st.sets(st.sampled_from(["", "x", "*"]), min_size=1), min_size=1)
)
def test_tags_mean_what_every_key_of_them_allows(servers: list[Server], tags: dict[str, set[str]]) -> None:
    selector = Selector(tags=tuple((key, tuple(values)) for key, values in tags.items()))

    def fits(server: Server) -> bool:
        return all(key in server.tags and ("*" in values or server.tags[key] in values) for key, values in tags.items())

    assert {server.id for server in match_servers(selector, servers)} == {one.id for one in servers if fits(one)}


@examples(12)
@given(SERVERS, st.sampled_from(["10.0.0.0/8", "10.0.0.0/16", "10.0.0.1", "::/0", "0.0.0.0/0", "fd00::/8"]))
def test_a_range_holds_its_addresses_and_no_others(servers: list[Server], text: str) -> None:
    network = ip_network(text)

    def within(address: str) -> bool:
        try:
            number = int(ip_address(address))
        except ValueError:
            return False
        same = ip_address(address).version == network.version
        return same and int(network[0]) <= number <= int(network[-1])

    found = {server.id for server in match_servers(Selector(ip=(network,)), servers)}
    assert found == {server.id for server in servers if within(server.addresses[0])}


@examples(8)
@given(SERVERS, NAMES, TAGS)
def test_whoever_is_not_selected_is_a_near_miss_and_nothing_else(
    servers: list[Server], glob: str, tags: dict[str, str]
) -> None:
    selector = Selector(name=(glob,), tags=tuple((key, (value,)) for key, value in tags.items()))
    if not match_servers(selector, servers):
        problem = explain_no_match(selector, NOWHERE, servers)
        assert problem.expected.startswith(("no server ", "the project has no server "))


@pytest.mark.slow
def test_a_selector_of_more_servers_than_a_plan_may_have_is_refused(plans: PlanFolder) -> None:
    seen = a_snapshot()
    crowd = an_inventory(a_server(number, seen) for number in range(PLAN_MAX_SERVERS + 1))
    (problem,) = select(plans.plan(text_of({"name": "*"})), crowd).problems
    assert problem.expected == "the plan matches 100,001 servers; a plan has at most 100,000"
    assert problem.key == "servers"
