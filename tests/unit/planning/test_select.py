"""Which servers a plan means, held against what the project has."""

from fleetos.planning.select import select
from tests.unit.planning.desk import HEAD, Desk, a_server, inventory, picture, server_id

PROJECT = inventory(
    [
        a_server(1),
        a_server(2),
        a_server(3, picture("SHUTOFF"), name="twin"),
        a_server(4, name="twin"),
        a_server(5, name="db-gold"),
    ]
)


def test_ids_and_names_in_the_plans_order(desk: Desk) -> None:
    plan = desk.plan(HEAD + f"servers:\n  - name: web-02\n  - id: {server_id(4)}\n  - name: web-01\n")
    found = select(plan, PROJECT)
    assert [server.id for server, _ in found.servers] == [server_id(2), server_id(4), server_id(1)]
    assert found.problems == ()


def test_everything_that_does_not_resolve_is_listed_at_its_place(desk: Desk) -> None:
    text = HEAD + (
        f"servers:\n  - name: web-03\n  - id: {server_id(99)}\n  - name: twin\n  - name: {server_id(1)}\n"
        "  - file: s.csv\n  - name: web-01\n"
    )
    found = select(desk.plan(text, {"s.csv": "name\nWEB-02\n"}), PROJECT)
    near, unknown_id, twin, id_as_name, row = found.problems
    assert (near.line, near.hint) == (5, "did you mean web-02?")
    assert (unknown_id.line, unknown_id.key) == (6, "servers[1].id")
    assert server_id(99) in unknown_id.expected
    assert twin.expected == "a name that exactly one server has; 2 are called twin"
    assert twin.hint == f"use an id: {server_id(3)} (SHUTOFF, eu-de-01), {server_id(4)} (ACTIVE, eu-de-01)"
    assert id_as_name.hint == "this is an id: write `id:`"
    assert (row.file, row.line) == (str(desk.folder / "s.csv"), 2)
    assert "WEB-02" in row.expected


def test_many_candidates_are_counted(desk: Desk) -> None:
    crowd = inventory(a_server(number, name="same") for number in range(1, 31))
    (problem,) = select(desk.plan(HEAD + "servers: [{name: same}]\n"), crowd).problems
    assert problem.hint is not None
    assert problem.hint.count("616fb98f") == 10
    assert problem.hint.endswith(" and 20 more")


def test_a_server_listed_by_id_and_by_name_is_one(desk: Desk) -> None:
    text = (
        HEAD + f"servers:\n  - {{name: web-01, labels: {{a: x}}}}\n  - {{id: {server_id(1)}, change: {{image: y}}}}\n"
    )
    ((server, ref),) = select(desk.plan(text), PROJECT).servers
    assert (server.id, ref.labels, ref.change.image) == (server_id(1), {"a": "x"}, "y")


def test_a_server_listed_by_id_and_by_name_must_not_contradict_itself(desk: Desk) -> None:
    text = HEAD + (
        f"servers:\n  - {{name: web-01, change: {{image: x}}}}\n  - {{id: {server_id(1)}, change: {{image: y}}}}\n"
    )
    (problem,) = select(desk.plan(text), PROJECT).problems
    assert problem.line == 6
    assert "plan.yaml:5:" in problem.expected


def test_exclusions_by_id_and_case_sensitive_glob(desk: Desk) -> None:
    text = HEAD + (
        "servers: [{name: web-01}, {name: web-02}, {name: db-gold}]\n"
        f'exclude: [{{name: "*-gold"}}, {{name: "WEB-*"}}, {{id: {server_id(2)}}}, {{id: {server_id(9)}}}]\n'
    )
    found = select(desk.plan(text), PROJECT)
    assert [server.name for server, _ in found.servers] == ["web-01"]
    assert [one.name or one.id for one in found.idle_exclusions] == ["WEB-*", server_id(9)]


def test_a_glob_matches_whole_names(desk: Desk) -> None:
    text = (
        HEAD + 'servers: [{name: web-01}, {name: web-02}]\nexclude: [{name: "web-0"}, {name: "eb-0?"}, {name: "*2"}]\n'
    )
    assert [server.name for server, _ in select(desk.plan(text), PROJECT).servers] == ["web-01"]


def test_a_plan_that_excludes_all_its_servers_is_refused(desk: Desk) -> None:
    text = HEAD + 'servers: [{name: web-01}]\nexclude: [{name: "web*"}]\n'
    (problem,) = select(desk.plan(text), PROJECT).problems
    assert (problem.line, problem.key) == (5, "exclude")
