"""Which servers a plan means, held against what the project has."""

import json

import pytest

from fleetos.model.plan import Plan
from fleetos.names import shown
from fleetos.planning.preflight.server_selection import select
from tests.support.builders import a_server, a_snapshot, an_inventory, server_id
from tests.unit.planning.plan_folder import HEAD, PlanFolder

PROJECT = an_inventory(
    [
        a_server(1),
        a_server(2),
        a_server(3, a_snapshot("SHUTOFF"), name="twin"),
        a_server(4, name="twin"),
        a_server(5, name="db-gold"),
    ]
)


def test_ids_and_names_in_the_plans_order(plans: PlanFolder) -> None:
    plan = plans.plan(HEAD + f"servers:\n  - name: web-02\n  - id: {server_id(4)}\n  - name: web-01\n")
    found = select(plan, PROJECT)
    assert [server.id for server, _ in found.servers] == [server_id(2), server_id(4), server_id(1)]
    assert found.problems == ()


def test_everything_that_does_not_resolve_is_listed_at_its_place(plans: PlanFolder) -> None:
    text = HEAD + (
        f"servers:\n  - name: web-03\n  - id: {server_id(99)}\n  - name: twin\n  - name: {server_id(1)}\n"
        "  - file: s.csv\n  - name: web-01\n"
    )
    found = select(plans.plan(text, {"s.csv": "name\nWEB-02\n"}), PROJECT)
    near, unknown_id, twin, id_as_name, row = found.problems
    assert (near.line, near.hint) == (5, "did you mean web-01 or web-02?")
    assert (unknown_id.line, unknown_id.key) == (6, "servers[1].id")
    assert server_id(99) in unknown_id.expected
    assert twin.text == "2 servers are called twin"
    assert twin.hint == f"use an id: {server_id(3)} (SHUTOFF, eu-de-01), {server_id(4)} (ACTIVE, eu-de-01)"
    assert id_as_name.hint == "this is an id: write `id:`"
    assert (row.file, row.line) == (str(plans.folder / "s.csv"), 2)
    assert (row.text, row.hint) == ("no server of the project is called WEB-02", "did you mean web-02?")


def test_many_candidates_are_counted(plans: PlanFolder) -> None:
    crowd = an_inventory(a_server(number, name="same") for number in range(1, 31))
    (problem,) = select(plans.plan(HEAD + "servers: [{name: same}]\n"), crowd).problems
    assert problem.hint is not None
    assert problem.hint.count("616fb98f") == 10
    assert problem.hint.endswith(" and 20 more")


def test_a_server_listed_by_id_and_by_name_is_one(plans: PlanFolder) -> None:
    text = (
        HEAD + f"servers:\n  - {{name: web-01, labels: {{a: x}}}}\n  - {{id: {server_id(1)}, change: {{image: y}}}}\n"
    )
    ((server, ref),) = select(plans.plan(text), PROJECT).servers
    assert (server.id, ref.labels, ref.change.image) == (server_id(1), {"a": "x"}, "y")


def test_a_server_listed_by_id_and_by_name_must_not_contradict_itself(plans: PlanFolder) -> None:
    text = HEAD + (
        f"servers:\n  - {{name: web-01, change: {{image: x}}}}\n  - {{id: {server_id(1)}, change: {{image: y}}}}\n"
    )
    (problem,) = select(plans.plan(text), PROJECT).problems
    assert problem.line == 6
    assert "plan.yaml:5:" in problem.expected


def test_exclusions_by_id_and_case_sensitive_glob(plans: PlanFolder) -> None:
    text = HEAD + (
        "servers: [{name: web-01}, {name: web-02}, {name: db-gold}]\n"
        f'exclude: [{{name: "*-gold"}}, {{name: "WEB-*"}}, {{id: {server_id(2)}}}, {{id: {server_id(3)}}}]\n'
    )
    found = select(plans.plan(text), PROJECT)
    assert [server.name for server, _ in found.servers] == ["web-01"]
    idle = [(one.exclusion.name or one.exclusion.id, one.hint) for one in found.idle_exclusions]
    assert idle == [("WEB-*", "but for capitals or look-alike letters it matches web-01"), (server_id(3), None)]


def test_a_glob_matches_whole_names(plans: PlanFolder) -> None:
    text = (
        HEAD
        + 'servers: [{name: web-01}, {name: web-02}]\nexclude: [{name: "web-0[0]"}, {name: "eb-0?"}, {name: "*2"}]\n'
    )
    assert [server.name for server, _ in select(plans.plan(text), PROJECT).servers] == ["web-01"]


def test_a_plan_that_excludes_all_its_servers_is_refused(plans: PlanFolder) -> None:
    text = HEAD + 'servers: [{name: web-01}]\nexclude: [{name: "web*"}]\n'
    (problem,) = select(plans.plan(text), PROJECT).problems
    assert (problem.line, problem.key) == (5, "exclude")
    assert problem.text == "every server of the plan is excluded (1 of 1)"


def excluding(plans: PlanFolder, *names: str) -> Plan:
    listed = ", ".join(json.dumps({"name": name}) for name in names)
    return plans.plan(HEAD + f'servers: [{{select: {{name: "*"}}}}]\nexclude: [{listed}]\n')


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("db-gold\u200b", "db-gold"),
        ("db\u2011gold", "db-gold"),
        ("db\u2013gold", "db-gold"),
        ("DB-gold", "db-gold"),
        ("db-gold ", "db-gold"),
        ("\uff44b-gold", "db-gold"),
        ("db-g\u043eld", "db-gold"),
        ("db_gold", "db-gold"),
        ("db-gould", "db-gold"),
        ("web-1", "web-01"),
    ],
)
def test_an_exact_exclusion_that_no_server_has_is_refused(plans: PlanFolder, written: str, meant: str) -> None:
    (problem,) = select(excluding(plans, written), PROJECT).problems
    assert (problem.line, problem.key) == (5, "exclude[0].name")
    assert problem.text == f"no server of the project is called {shown(written)}, so it excludes no server"
    assert problem.hint == f"did you mean {meant}?"


def test_an_exclusion_by_an_unknown_id_or_by_an_id_as_name_is_refused(plans: PlanFolder) -> None:
    text = f'servers: [{{select: {{name: "*"}}}}]\nexclude: [{{id: {server_id(9)}}}, {{name: {server_id(1)}}}]\n'
    unknown, as_name = select(plans.plan(HEAD + text), PROJECT).problems
    assert unknown.text == f"no server of the project has the id {server_id(9)}, so it excludes no server"
    assert unknown.hint == "if that server is gone, remove the entry"
    assert as_name.hint == "this is an id: write `id:`"


def test_names_are_the_same_however_an_accent_is_spelled(plans: PlanFolder) -> None:
    project = an_inventory([a_server(1), a_server(2, name="m\u00fcnchen"), a_server(3, name="k\u00f6ln-1")])
    plan = excluding(plans, "mu\u0308nchen", "ko\u0308ln-*")
    found = select(plan, project)
    assert [server.name for server, _ in found.servers] == ["web-01"]
    assert (found.problems, found.idle_exclusions) == ((), ())
    assert plan.digest == excluding(plans, "m\u00fcnchen", "k\u00f6ln-*").digest


def test_a_look_alike_of_an_excluded_server_is_told(plans: PlanFolder) -> None:
    hidden = [a_server(6, name="db-gold\u200b"), a_server(7, name="db\u00adgold"), a_server(8, name="Db-Gold")]
    project = an_inventory([*PROJECT.servers.values(), *hidden])
    found = select(excluding(plans, "db-gold"), project)
    assert found.problems == ()
    assert [(one.server.id, one.excluded) for one in found.look_alikes] == [
        (server_id(8), "db-gold"),
        (server_id(6), "db-gold"),
    ]
    assert {server_id(6), server_id(7), server_id(8)} < {server.id for server, _ in found.servers}


def test_a_name_with_brackets_spares_itself(plans: PlanFolder) -> None:
    project = an_inventory([a_server(1), a_server(2, name="web[1]"), a_server(3, name="web1")])
    found = select(excluding(plans, "web[1]"), project)
    assert [server.name for server, _ in found.servers] == ["web-01"]


@pytest.mark.parametrize("name", ["web-1", " web-1 ", "m\u00fcnchen", ""])
def test_a_row_with_an_id_and_the_name_of_its_server_means_that_server(plans: PlanFolder, name: str) -> None:
    plan = plans.plan(HEAD + "servers: [{file: s.csv}]\n", {"s.csv": f"ID,Name\n{server_id(1)},{name}\n"})
    found = select(plan, an_inventory([a_server(1, name=name or "web-1")]))
    assert [server.id for server, _ in found.servers] == [server_id(1)]
    assert not found.problems


def test_a_row_whose_id_is_that_of_another_name_is_refused(plans: PlanFolder) -> None:
    # As where a spreadsheet has sorted one column and not the other, or one letter differs.
    text = f"ID,Name\n{server_id(1)},db-2\n{server_id(2)},web-1\n{server_id(3)},Web-3\n{server_id(4)},web-4\n"
    plan = plans.plan(HEAD + "servers: [{file: s.csv}]\n", {"s.csv": text})
    servers = an_inventory(a_server(at, name=name) for at, name in enumerate(("web-1", "db-2", "web-3", "web-4"), 1))
    told = [(one.line, one.expected) for one in select(plan, servers).problems]
    assert [line for line, _ in told] == [2, 3, 4]
    assert f"{server_id(2)} is called db-2" in told[1][1]


def test_of_two_rows_with_one_id_each_name_counts(plans: PlanFolder) -> None:
    text = f"id,name\n{server_id(1)},web-1\n{server_id(1)},web-2\n"
    plan = plans.plan(HEAD + "servers: [{file: s.csv}]\n", {"s.csv": text})
    assert [one.line for one in select(plan, an_inventory([a_server(1, name="web-1")])).problems] == [3]
