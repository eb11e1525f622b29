"""YAML as a plan may use it, and what is refused: bombs, tags, merge keys, other encodings."""

import time

import pytest

from fleetos.planning.plan_file.load import PLAN_MAX_ALIASES, PLAN_MAX_BYTES, PLAN_MAX_DEPTH, PLAN_MAX_VALUES, read_tree
from tests.unit.planning.plan_folder import HEAD, PlanFolder

SERVERS = "servers: [{name: web-01}]\n"


def test_a_duplicate_key_ends_the_list_and_names_both_places(plans: PlanFolder) -> None:
    problem = plans.problem("version: 1\nname: x\nwrong: 1\nrollout: {force: true, force: false}\n")
    assert (problem.line, problem.column, problem.key) == (4, 24, "rollout.force")
    assert problem.expected.endswith("plan.yaml:4:11")


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("change: [1, 2\nb: 3", (2, 2), "this is not valid YAML 1.2: expected ',' or ']', but got ':'"),
        ("name: @x", (1, 7), "this is not valid YAML 1.2: found character '@' that cannot start any token"),
        ("a: b: c", (1, 5), "this is not valid YAML 1.2: mapping values are not allowed here"),
        (
            "change:\n\timage: x",
            (2, 1),
            "this is not valid YAML 1.2: found character '\\t' that cannot start any token",
        ),
        ("base: &b {image: a}\nchange:\n  <<: *b\n", (3, 3), "the merge key `<<` is not supported"),
        ("name: !!str x", (1, 7), "a tag is not supported"),
        ("name: !x y", (1, 7), "a tag is not supported"),
        ("? [a, b]\n: c", (1, 3), "a key is no text"),
        ("? *a\n: c", (1, 3), "a key is an alias, not a text"),
        ("&a name: x", (1, 1), "an anchor on a key is not supported"),
        ("name: *nothing", (1, 7), "the alias names nothing that stands complete before it"),
        ("servers: &s [*s]", (1, 14), "the alias names nothing that stands complete before it"),
        ("name: x\n---\nname: y", (2, 1), "a second document begins here"),
        ("%YAML 1.1\n---\nname: x", (1, 1), "the file says that it is not YAML 1.2"),
        ("%TAG ! tag:example.com,2000:\n---\nname: x", (1, 1), "the file has a %TAG line"),
        ('name: "a\\0b"', (1, 7), "the text holds NUL, or half of a surrogate pair"),
        ('name: "\\ud800"', (1, 7), "the text holds NUL, or half of a surrogate pair"),
        ("name: a\x00b", (1, 8), "control character U+0000"),
        ("name: ok\nchange: \x1b[0m", (2, 9), "control character U+001B"),
        ("", (1, 1), "the file is empty"),
        ("# only a comment\n", (1, 1), "the file is empty"),
    ],
)
def test_what_is_refused_while_reading(plans: PlanFolder, text: str, place: tuple[int, int], expected: str) -> None:
    problem = plans.problem(text)
    assert (problem.line, problem.column, problem.expected) == (*place, expected)


def test_an_escape_beyond_unicode_is_refused(plans: PlanFolder) -> None:
    assert plans.problem('name: "\\UFFFFFFFF"').expected == "this is not valid YAML 1.2"


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"name: x\ncloud: \xff\xfe\n", (2, 8)), ("name: x".encode("utf-16"), (1, 1)), (b"\xefname: x", (1, 1))],
)
def test_another_encoding_is_refused_with_its_place(plans: PlanFolder, data: bytes, place: tuple[int, int]) -> None:
    problem = plans.problem(data)
    assert (problem.line, problem.column) == place
    assert "UTF-8" in problem.expected


def test_a_byte_order_mark_and_windows_line_ends_are_fine(plans: PlanFolder) -> None:
    plan = plans.plan(b"\xef\xbb\xbf" + (HEAD + SERVERS).replace("\n", "\r\n").encode())
    assert plan.name == "try"


def test_plain_words_mean_what_yaml_1_2_says(plans: PlanFolder) -> None:
    tree = read_tree(
        plans.write("a.yaml", "[yes, on, 22:00, 0o17, 0x1F, 012, 1.5, .5, true, null, ~, 1_000, '1', 1e3]")
    )
    assert tree.plain == ["yes", "on", "22:00", 15, 31, 12, 1.5, 0.5, True, None, None, "1_000", "1", 1000.0]


def test_a_number_too_long_to_be_one_is_a_text(plans: PlanFolder) -> None:
    assert read_tree(plans.write("a.yaml", f"[{'9' * 6000}]")).plain == ["9" * 6000]


def test_an_alias_stands_for_what_it_names(plans: PlanFolder) -> None:
    text = "servers:\n  - {name: a, change: &dmz {keyname: dmz}}\n  - {name: b, change: *dmz}\n"
    plan = plans.plan(HEAD + text)
    assert [one.change.keyname for one in plan.servers] == ["dmz", "dmz"]


def test_a_bomb_of_aliases_is_refused_at_once(plans: PlanFolder) -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 12))
    begun = time.process_time()
    problem = plans.problem(f"l0: &l0 [x, x]\n{levels}\n")
    assert time.process_time() - begun < 5
    assert problem.expected == f"the plan has more than {PLAN_MAX_VALUES} values, aliases followed"
    assert problem.hint is not None
    assert "CSV" in problem.hint


def test_too_many_aliases_are_refused(plans: PlanFolder) -> None:
    text = "a: &a x\nb: [" + ", ".join(["*a"] * (PLAN_MAX_ALIASES + 1)) + "]\n"
    assert plans.problem(text).expected == f"the plan has more than {PLAN_MAX_ALIASES} aliases"


@pytest.mark.parametrize("depth", [PLAN_MAX_DEPTH + 1, 100_000])
def test_too_many_levels_are_refused(plans: PlanFolder, depth: int) -> None:
    assert plans.problem("a: " + "[" * depth).expected == f"the plan has more than {PLAN_MAX_DEPTH} levels"


def test_an_alias_counts_with_its_levels(plans: PlanFolder) -> None:
    half = PLAN_MAX_DEPTH // 2
    text = f"a: &a {'[' * half}{']' * half}\nb: {'[' * half}*a{']' * half}\n"
    assert plans.problem(text).expected == f"the plan has more than {PLAN_MAX_DEPTH} levels"


def test_a_plan_that_is_too_large_is_pointed_at_csv(plans: PlanFolder) -> None:
    problem = plans.problem(b"#" * (PLAN_MAX_BYTES + 1))
    assert "larger than" in problem.expected
    assert problem.hint is not None
    assert "CSV" in problem.hint
