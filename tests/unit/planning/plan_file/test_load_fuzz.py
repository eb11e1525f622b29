"""Whatever the file holds: a plan or an InputError comes out, nothing else, and no password."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetos.errors import InputError
from fleetos.planning.plan_file.load import load_plan
from tests.support.seeded_examples import EXAMPLES_FACTOR

EVERYTHING = """\
version: 1
name: everything
cloud: &cloud otc-prod
region: eu-de
change: &change
  image: Debian
  api: v2
  keyname: key
  userid: 7e25b1da389f4697a79df3a0e5bd494e
  user_data: {text: "#cloud-config\\n"}
  metadata: {__system__encrypted: "1", __system__cmkid: 83cdb52d-9ebf-4469-9cfa-e7b5b80da846, BYOL: "true"}
servers:
  - id: 616FB98F-46ca-475e-917e-000000000001
    labels: {pair: web-a}
  - name: web-02
    change: {adminpass: {env: PW}, image: *cloud}
  - file: s.csv
  - select: {name: [web-*], tags: {role: web, gold: "*"}, az: a, status: ACTIVE, ip: 10.0.0.0/24}
exclude:
  - name: "*-gold"
  - id: 616fb98f-46ca-475e-917e-000000000009
rollout: {concurrency: 12.5%, stop: hard, force: true, power_after: as-before}
failure: {attempts: 3, backoff: 1m30s, max_backoff: 1h}
timeouts: {stop: 1m, change: 2h, settle: 15m, start: 90s}
polling: {min: 200ms, max: 1.5s}
api: {rate: 200/5m, connections: 4}
"""
TOKENS = re.findall(r"\w[\w.%/-]*|[^\w\s]|\s+", EVERYTHING)
WORDS = [
    *sorted({token for token in TOKENS if token.strip()}),
    *(
        "",
        "~",
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "9" * 5000,
        "0x",
        "<<",
        "&a",
        "*a",
        "*cloud",
        "!x",
        "|",
        ">-",
        "---",
    ),
    *("\t", "\n", "\n  ", "\n- ", "? ", "%YAML 1.1\n", "'", '"', "\\", '"\\UFFFFFFFF"', '"\\ud800"', '"\\0"', "\x85"),
    *("\ufeff", "\u2028", "ß", "\U0001f600", "@", "`", "{", "}", "[", "]", "select", "windows", "waves", "s.csv", "/"),
]
QUICK = settings(
    max_examples=30 * EXAMPLES_FACTOR, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz")
    (path / "s.csv").write_text("name,pair\nweb-03,b\n")
    return path


def refusal(folder: Path, data: bytes) -> InputError | None:
    """Why the bytes are no plan, None if they are one."""
    path = folder / "plan.yaml"
    path.write_bytes(data)
    try:
        load_plan(path)
    except InputError as error:
        return error
    return None


def check(folder: Path, data: bytes) -> None:
    """Fails on anything but a plan or problems with places."""
    error = refusal(folder, data)
    if error is None:
        return
    assert error.problems
    for problem in error.problems:
        assert problem.expected
        assert (problem.line or 1) >= 1
        assert (problem.column or 1) >= 1


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """The plan that says everything, with some of its tokens dropped, doubled, moved or replaced."""
    tokens = list(TOKENS)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "replace", "insert"])):
            case "drop":
                tokens[at] = ""
            case "double":
                tokens[at] *= 2
            case "swap":
                other = draw(st.integers(0, len(tokens) - 1))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case "replace":
                tokens[at] = draw(st.sampled_from(WORDS))
            case _:
                tokens[at] += draw(st.sampled_from(WORDS))
    return "".join(tokens)


def test_the_plan_that_is_mutated_is_valid(folder: Path) -> None:
    assert refusal(folder, EVERYTHING.encode()) is None


@QUICK
@given(mutations())
def test_a_mutated_plan(folder: Path, text: str) -> None:
    check(folder, text.encode("utf-8", "surrogatepass"))


@QUICK
@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_a_heap_of_words(folder: Path, words: list[str]) -> None:
    check(folder, " ".join(words).encode("utf-8", "surrogatepass"))


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(folder: Path, data: bytes) -> None:
    check(folder, data)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("version", "name", "cloud", "change", "servers", "exclude", "rollout", "failure", "timeouts", "polling"),
        *("api", "windows", "labels", "image", "adminpass", "user_data", "metadata", "id", "file", "select"),
    ]
)


@QUICK
@given(st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=3) | st.lists(VALUES, max_size=3)))
def test_any_values_under_the_keys_of_a_plan(folder: Path, values: dict[str, Any]) -> None:
    check(folder, json.dumps(values).encode())


@QUICK
@given(st.binary(max_size=300) | st.text(alphabet='nameid,;"\r\n\x00 web-0*é', max_size=80).map(str.encode))
def test_any_csv_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "s.csv").write_bytes(data)
    check(tmp_path, b"version: 1\nname: x\nchange: {image: a}\nservers: [{file: s.csv}]\n")


@QUICK
@given(mutations(), st.sampled_from(["X9q-Secret", "{X9q-Secret}", "[X9q-Secret]", "{env: X9q-Secret}", "'X9q-Secret"]))
def test_a_password_never_comes_back(folder: Path, text: str, password: str) -> None:
    spoiled = text.replace("{env: PW}", password)
    error = refusal(folder, spoiled.encode("utf-8", "surrogatepass"))
    # A mutation may have made the password the value of something else, such as a key that only ends like this one.
    if error is not None and re.search(rf"^ *adminpass: {re.escape(password)}", spoiled, re.MULTILINE):
        assert "X9q" not in str(error)
