"""Plan files: what the grammar says is loaded, and whatever else is written is refused with its place."""

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fleetos.errors import InputError
from fleetos.limits import TEXT_MAX_LETTERS
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.plan_file.validation import INPUT_PROBLEMS_LISTED
from tests.hostile.plan_grammar import plan_tree, shuffled, write_files
from tests.support.hostile_values import NASTY_TEXTS, mangled, randoms, spoiled, trees
from tests.support.seeded_examples import examples

HEAD = "version: 1\nname: x\nchange: {image: a}\n"
SERVERS = "servers: [{name: a}]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans")
    write_files(path)
    return path


def loaded(folder: Path, content: str | bytes) -> Plan | InputError:
    """The plan, or why it is none: problems with places, in bounded messages."""
    file = folder / "plan.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    try:
        return load_plan(file)
    except InputError as error:
        found = error
    assert 1 <= len(found.problems) <= INPUT_PROBLEMS_LISTED + 1
    for problem in found.problems:
        assert problem.expected
        assert (problem.line or 1) >= 1
        assert (problem.column or 1) >= 1
        assert len(str(problem)) < 4_000
    return found


def flow(tree: Any) -> str:
    """The tree as YAML in brackets; it knows no escapes of pairs of surrogates, as JSON does."""
    return json.dumps(tree, ensure_ascii=False)


def block(random: Random, tree: Any) -> str:
    """The tree as YAML in blocks, as people write it."""
    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.allow_unicode = random.random() < 0.5
    out = io.StringIO()
    writer.dump(tree, out)
    return out.getvalue()


def said(plan: Plan) -> list[object]:
    """What a plan says, without the places where it says it."""
    servers = [(one.id, one.name, one.select, one.change, one.labels) for one in plan.servers]
    exclude = [(one.id, one.name) for one in plan.exclude]
    return [plan.name, plan.cloud, plan.change, servers, exclude, plan.rollout, plan.failure, plan.timeouts, plan.api]


@examples(12)
@given(randoms)
def test_a_plan_of_the_grammar_is_the_same_however_it_is_written(folder: Path, random: Random) -> None:
    tree = plan_tree(random)
    plan = loaded(folder, flow(tree))
    assert isinstance(plan, Plan), plan
    again = [loaded(folder, text) for text in (block(random, tree), flow(shuffled(random, tree)), flow(tree))]
    for other in again:
        assert isinstance(other, Plan), other
        assert other.digest == plan.digest
        assert said(other) == said(plan)
    assert len(plan.digest) == 64
    assert all(len(server.name or "") <= TEXT_MAX_LETTERS for server in plan.servers)


@examples(12)
@given(randoms)
def test_two_plans_that_say_different_things_differ_in_their_digest(folder: Path, random: Random) -> None:
    tree = plan_tree(random)
    before = loaded(folder, flow(tree))
    tree["servers"].append({"name": "one-more"})
    after = loaded(folder, flow(tree))
    assert isinstance(before, Plan)
    assert isinstance(after, Plan)
    assert before.digest != after.digest


@examples(40)
@given(randoms)
def test_a_spoiled_plan_is_a_plan_or_its_problems(folder: Path, random: Random) -> None:
    data = flow(spoiled(random, plan_tree(random))).encode("utf-8", "surrogatepass")
    loaded(folder, mangled(random, data, depths=(20, 200)))


@examples(12)
@given(st.dictionaries(st.sampled_from(["version", "name", "change", "servers", "rollout", "api", "x"]), trees))
def test_any_tree(folder: Path, tree: dict[str, Any]) -> None:
    loaded(folder, flow(tree))


@pytest.mark.parametrize(
    "key", ["name", "cloud", "region", "image", "server", "label", "select", "tag", "exclude", "user_data", "key"]
)
def test_no_control_character_enters_a_plan(folder: Path, key: str) -> None:
    for text in (*NASTY_TEXTS, *(chr(code) for code in range(0x20)), *(chr(code) for code in range(0x7F, 0xA0))):
        tree: dict[str, Any] = {"version": 1, "name": "x", "change": {"image": "a"}, "servers": [{"name": "a"}]}
        match key:
            case "image":
                tree["change"]["image"] = text
            case "server":
                tree["servers"][0]["name"] = text
            case "label":
                tree["servers"][0]["labels"] = {"a": text, text: "a"}
            case "select":
                tree["servers"] = [{"select": {"name": text, "az": [text], "image": text}}]
            case "tag":
                tree["servers"] = [{"select": {"tags": {"a": text, text: "a"}}}]
            case "exclude":
                tree["exclude"] = [{"name": text}]
            case "user_data":
                tree["change"]["user_data"] = {"file": text}
            case "key":
                tree[text] = 1
            case _:
                tree[key] = text
        # Written as escapes: as it is, U+0085 is the end of a line.
        plan = loaded(folder, json.dumps(tree))
        if any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in text):
            assert isinstance(plan, InputError), ascii(text)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (HEAD.replace("name: x", "name: no") + SERVERS, True),
        (HEAD.replace("name: x", "name: 2026-01-01") + SERVERS, True),
        (HEAD.replace("name: x", "name: 2026") + SERVERS, False),
        (HEAD.replace("name: x", "name: 0o17") + SERVERS, False),
        (HEAD.replace("name: x", "name: ~") + SERVERS, False),
        (HEAD.replace("version: 1", "version: 0x1") + SERVERS, True),
        (HEAD.replace("version: 1", "version: 1.0") + SERVERS, False),
        (HEAD.replace("version: 1", "version: true") + SERVERS, False),
        (HEAD.replace("version: 1", f"version: {'9' * 5000}") + SERVERS, False),
        (HEAD.replace("version: 1", "version: 1e999") + SERVERS, False),
        *(
            (HEAD + SERVERS + f"rollout: {{force: {word}}}\n", False)
            for word in ("NO", "yes", "on", "0", "1", "'true'")
        ),
        *(
            (HEAD + SERVERS + f"rollout: {{concurrency: {word}}}\n", True)
            for word in ("010", "0xA", "0o12", "10", "10%")
        ),
        *(
            (HEAD + SERVERS + f"rollout: {{concurrency: {word}}}\n", False)
            for word in ("1_0", "10.0", "1e1", ".inf", ".nan")
        ),
        *((HEAD + SERVERS + f"failure: {{attempts: {word}}}\n", False) for word in ("2.0", "1e0", "'2'", "-0", "+11")),
        *(
            (HEAD + SERVERS + f"failure: {{backoff: {word}}}\n", False)
            for word in ("1:30", "90", "1e3s", "P1D", "\u0663s")
        ),
        (HEAD + SERVERS + SERVERS, False),
        (HEAD + SERVERS + "x: &a {b: *a}\n", False),
        (HEAD + SERVERS + "<<: {cloud: a}\n", False),
        (HEAD + SERVERS + "cloud: !!python/object/apply:os.system [id]\n", False),
        (HEAD + SERVERS + "cloud: !!str a\n", False),
        (HEAD + SERVERS + "cloud: !<tag:yaml.org,2002:str> a\n", False),
        (HEAD + SERVERS + "cloud: !" + "a" * 100_000 + "\n", False),
        (HEAD + SERVERS + "&" + "a" * 5_000 + " cloud: b\n", False),
        (HEAD + SERVERS + "k" * 2_000 + ": 1\n", False),
        (HEAD + SERVERS + f"? {'k' * 200_000}\n: 1\n", False),
        (HEAD + SERVERS + "cloud: '" + "\u00e9" * 100_000 + "'\n", False),
        (HEAD + "servers:\n- name: |\n    a\n    b\n", False),
        (HEAD + "servers:\n- name: >-\n    a\n    b\n", True),
        ("---\n" + HEAD + SERVERS + "...\n", True),
        (HEAD + SERVERS + "---\n" + HEAD + SERVERS, False),
        ("%YAML 1.1\n---\n" + HEAD + SERVERS, False),
        ("%YAML 999999999999999999999.1\n---\n" + HEAD + SERVERS, False),
    ],
)
def test_peculiarities_of_yaml(folder: Path, text: str, valid: bool) -> None:
    plan = loaded(folder, text)
    assert isinstance(plan, Plan) is valid, plan


@pytest.mark.parametrize(
    "encoding",
    ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "latin-1", "cp1252", "utf-8-sig", "utf-8"],
)
def test_encodings(folder: Path, encoding: str) -> None:
    text = HEAD.replace("image: a", "image: \u00fc") + SERVERS
    plan = loaded(folder, text.encode(encoding))
    assert isinstance(plan, Plan) is encoding.startswith("utf-8")


@pytest.mark.parametrize("data", [b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xef\xbf\xbf", b"\x85"])
def test_bytes_that_are_no_utf_8_or_no_text(folder: Path, data: bytes) -> None:
    assert isinstance(loaded(folder, (HEAD + SERVERS).encode() + b"cloud: a" + data + b"\n"), InputError)


@pytest.mark.parametrize("name", [b"pl\xffan.yaml", b"\xff/plan.yaml"])
def test_a_path_that_is_no_utf_8_is_refused(folder: Path, name: bytes) -> None:
    path = folder / name.decode("utf-8", "surrogateescape")
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + SERVERS, encoding="utf-8")
    with pytest.raises(InputError, match="the path is not UTF-8"):
        load_plan(path)


def test_too_many_problems_are_counted(folder: Path) -> None:
    keys = "".join(f"k{number}: 1\n" for number in range(INPUT_PROBLEMS_LISTED + 8))
    error = loaded(folder, HEAD + SERVERS + keys)
    assert isinstance(error, InputError)
    assert error.problems[-1].expected == "8 more problems are not listed"
    assert len(error.problems) == INPUT_PROBLEMS_LISTED + 1
