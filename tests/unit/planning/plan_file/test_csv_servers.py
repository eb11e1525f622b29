"""Servers from CSV files."""

import time

import pytest

from fleetos.limits import PLAN_MAX_SERVERS
from fleetos.planning.plan_file.csv_servers import ROW_PROBLEMS_LISTED
from tests.support.builders import server_id
from tests.unit.planning.plan_folder import HEAD, PlanFolder

PLAN = HEAD + "servers: [{file: s.csv}]\n"


def test_a_file_of_names_and_labels(plans: PlanFolder) -> None:
    rows = 'name,pair,rack\r\nweb-01,a,"row 1, rack 2"\r\n\r\nweb-02, b ,\r\n'
    plan = plans.plan(PLAN, {"s.csv": b"\xef\xbb\xbf" + rows.encode()})
    first, second = plan.servers
    assert (first.name, first.id, first.labels) == ("web-01", None, {"pair": "a", "rack": "row 1, rack 2"})
    assert second.labels == {"pair": "b"}
    assert (first.place.line, second.place.line) == (2, 4)
    assert first.place.file == str(plans.folder / "s.csv")


def test_a_file_of_ids_lies_beside_the_plan_and_is_merged_with_it(plans: PlanFolder) -> None:
    plan_text = HEAD + f"servers:\n  - id: {server_id(2)}\n    change: {{image: x}}\n  - file: lists/s.csv\n"
    plan = plans.plan(plan_text, {"lists/s.csv": f"id,pair\n{server_id(1)},a\n{server_id(2).upper()},b\n"})
    assert [one.id for one in plan.servers] == [server_id(2), server_id(1)]
    assert (plan.servers[0].change.image, plan.servers[0].labels) == ("x", {"pair": "b"})


def test_a_row_begins_on_the_line_where_its_first_cell_stands(plans: PlanFolder) -> None:
    first, second = plans.problems(PLAN, {"s.csv": 'name,note\nok,"two\nlines"\n"web-*",x\n'})
    assert (first.line, first.expected.split(" is ")[0]) == (2, "a label's value")
    assert (second.line, second.column, second.key) == (4, 1, "name")


def test_empty_rows_are_passed_over(plans: PlanFolder) -> None:
    plan = plans.plan(PLAN, {"s.csv": "name,note\n\n  \n,\n , \nweb-01,x\n"})
    assert [(one.name, one.place.line) for one in plan.servers] == [("web-01", 6)]


@pytest.mark.parametrize(
    ("rows", "line", "expected"),
    [
        ("", 1, "the file is empty"),
        ("\n,,\n", 1, "the file is empty"),
        ("server\nweb-01\n", 1, "no column of the header is called `id` or `name`"),
        ("\nweb-01\nweb-02\n", 2, "no column of the header is called `id` or `name`"),
        ("name,Name\nx,y\n", 1, "two columns of the header are called `name`"),
        ("name,pair,pair\nweb-01,a,b\n", 1, "a label stands twice in the header"),
        ("name,two words\nweb-01,a\n", 1, "a column of the header has a name that no label can have"),
        ("name," + ",".join(f"l{i}" for i in range(40)) + "\n", 1, "the header has 40 labels, more than 32"),
        ("name\nweb-01\nweb-*\n", 3, "the cell of `name` is a pattern"),
        ("name,pair\nweb-01\n", 2, "the row has 1 of the 2 columns that the header names"),
        ("name,pair\nweb-01,a,b\n", 2, "the row has a value in a column without a name in the header"),
        ("name,,pair\nweb-01,b,a\n", 2, "the row has a value in a column without a name in the header"),
        ("name,pair\n\n,a\n", 3, "the cell of `name` is empty"),
        ("id\n\nweb-01\n", 3, "the cell of `id` is no id"),
        ('name,pair\nweb-01,"a\nb"\n', 2, "a label's value is longer than 255 letters, or holds control characters"),
        ('name\nok\n"web"x\n', 3, "this is no CSV"),
        ('name\nok\n"web\n', 3, "this is no CSV"),
        (f"name\nok\n{'x' * 200_000}\n", 3, "this is no CSV"),
        ("sep=;\nname,pair\nweb-01,a\n", 2, "no column of the header"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    plans: PlanFolder, rows: str, line: int, expected: str
) -> None:
    problem = plans.problem(PLAN, {"s.csv": rows})
    assert problem.file == str(plans.folder / "s.csv")
    assert problem.line == line
    assert problem.expected.startswith(expected)


@pytest.mark.parametrize("data", [b"name\nweb-\xff\n", "name\nx\n".encode("utf-16"), b"name\nweb\x0001\n"])
def test_a_file_that_is_no_text_is_refused_at_its_own_line(plans: PlanFolder, data: bytes) -> None:
    problem = plans.problem(PLAN, {"s.csv": data})
    assert problem.file == str(plans.folder / "s.csv")
    assert problem.line is not None


def test_a_file_that_is_not_there_is_reported_in_the_plan(plans: PlanFolder) -> None:
    problem = plans.problem(PLAN)
    assert (problem.file, problem.line, problem.key) == (str(plans.folder / "plan.yaml"), 4, "servers[0].file")
    (plans.folder / "s.csv").mkdir()
    assert "not a regular file" in plans.problem(PLAN).expected


def test_every_bad_row_is_listed_up_to_a_bound(plans: PlanFolder) -> None:
    bad = "id\n" + "nonsense\n" * (ROW_PROBLEMS_LISTED + 7)
    problems = plans.problems(PLAN, {"s.csv": bad})
    assert len(problems) == ROW_PROBLEMS_LISTED + 1
    assert problems[0].expected == "7 more problems are not listed"


def test_conflicting_labels_of_two_rows_name_both(plans: PlanFolder) -> None:
    problem = plans.problem(PLAN, {"s.csv": "name,pair\nweb-01,a\nweb-01,b\n"})
    assert problem.line == 3
    assert "s.csv:2:1" in problem.expected


def rows_of_pairs(count: int) -> list[str]:
    return ["id,pair", *(f"{server_id(number)},p{number // 2}" for number in range(count))]


@pytest.mark.parametrize("count", [PLAN_MAX_SERVERS // 4, pytest.param(PLAN_MAX_SERVERS, marks=pytest.mark.proof)])
def test_many_rows_are_read_within_seconds(plans: PlanFolder, count: int) -> None:
    rows = rows_of_pairs(count)
    begun = time.process_time()
    plan = plans.plan(PLAN, {"s.csv": "\n".join(rows)})
    # About a second for all on the slowest machine seen; the bound only catches a rule that looks at all pairs.
    assert time.process_time() - begun < 15 * count / PLAN_MAX_SERVERS
    assert len(plan.servers) == count


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_read_and_no_more(plans: PlanFolder) -> None:
    problem = plans.problem(PLAN, {"s.csv": "\n".join(rows_of_pairs(PLAN_MAX_SERVERS + 1))})
    assert (problem.line, problem.expected) == (PLAN_MAX_SERVERS + 2, "a plan has at most 100000 servers")


@pytest.mark.parametrize(
    ("text", "line", "labels"),
    [
        ("\r\nname,role\r\nweb-01,web\r\n", 3, {"role": "web"}),
        (" , \n\nName,Role\nweb-01,web\n", 4, {"Role": "web"}),
        ("NAME,role,,\r\nweb-01,web,,\r\n,,,\r\n", 2, {"role": "web"}),
        ("name,role,,\nweb-01,web\n", 2, {"role": "web"}),
        ("name,,role\nweb-01,,web\n", 2, {"role": "web"}),
        ("sep=,\r\nname,role\r\nweb-01,web\r\n", 3, {"role": "web"}),
        ('"sep=;"\nname;role\nweb-01;"web; db"\n', 3, {"role": "web; db"}),
        ("SEP=\t\nname\trole\nweb-01\tweb, db\n", 3, {"role": "web, db"}),
        ("\nsep=,\nname,role\nweb-01,web\n", 4, {"role": "web"}),
        ("\ufeffname;role\nweb-01;a, b\n", 2, {"role": "a, b"}),
        ("name\trole\nweb-01\tweb\n", 2, {"role": "web"}),
        ("role,name\nweb,web-01\n", 2, {"role": "web"}),
        ('"Name","Role"\n"web-01","web"\n', 2, {"Role": "web"}),
    ],
)
def test_what_spreadsheets_make_of_a_file_is_read(
    plans: PlanFolder, text: str, line: int, labels: dict[str, str]
) -> None:
    (server,) = plans.plan(PLAN, {"s.csv": text}).servers
    assert (server.name, server.labels, server.place.line) == ("web-01", labels, line)


def test_a_list_of_servers_that_openstack_has_exported_is_read_by_its_ids(plans: PlanFolder) -> None:
    head = '"ID","Name","Status","Networks","Power State","rack"\n'
    rows = f'"{server_id(1).upper()}","web-01","{{}}","net=10.0.0.1, 10.0.0.2","Running","r1"\n'
    before = plans.plan(PLAN, {"s.csv": head + rows.format("ACTIVE")})
    (server,) = before.servers
    assert (server.id, server.name, server.called, server.labels) == (server_id(1), None, "web-01", {"rack": "r1"})
    # What a server is now does not make another plan.
    assert plans.plan(PLAN, {"s.csv": head + rows.format("SHUTOFF")}).digest == before.digest


def test_names_of_a_file_are_the_same_however_an_accent_is_spelled(plans: PlanFolder) -> None:
    plan = plans.plan(PLAN, {"s.csv": "name,ort\nmu\u0308nchen,ko\u0308ln\n"})
    assert [(one.name, one.labels) for one in plan.servers] == [("m\u00fcnchen", {"ort": "k\u00f6ln"})]
    assert plan.digest == plans.plan(PLAN, {"s.csv": "name,ort\nm\u00fcnchen,k\u00f6ln\n"}).digest
