"""Wrong calls, wrong plans and help: what needs no cloud, in this process, through the command's own entrance."""

import json
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fleetos.cli.main import main
from fleetos.store.database import sqlite_files
from fleetos.store.database.migration import REVISION

Called = Callable[..., tuple[int, str, str]]
ERROR = {"message", "hint", "code", "status", "request_id", "exit_code", "problems"}
PROBLEM = {"file", "line", "column", "key", "expected", "hint"}

TYPOS = """version: 1
name: web-tier
change:
  imgae: Standard_Debian_12_latest
  keyname: KeyPair-350b
servers:
  - name: web-01
rollout:
  concurency: 20
  stop: sofft
failure:
  atempts: 3
"""


PLAN = """version: 1
name: web-tier
change:
  image: Standard_Debian_12_latest
  keyname: KeyPair-350b
servers:
  - name: web-01
"""


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Called:
    """Calls fleetos: code, standard output, standard error."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FLEETOS_DB", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fleetos", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


@pytest.mark.parametrize(
    "arguments",
    [
        ("explode",),
        ("apply",),
        ("apply", "plan.yaml", "--bogus"),
        ("apply", "plan.yaml", "--expect-wipes", "-1"),
        ("apply", "plan.yaml", "-o", "xml"),
        ("status", "one", "two"),
        ("retry",),
        ("db", "explode"),
        ("status", "no-such-run"),
        ("events", "no-such-run"),
        ("resume", "no-such-run"),
        ("retry", "no-such-run"),
        ("abort", "no-such-run"),
        ("sim", "--listen", "0.0.0.0:0"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_64_and_prints_no_data(invoke: Called, arguments: tuple[str, ...]) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out) == (64, "")
    assert "error" in err.lower()


def test_a_cloud_that_differs_from_the_plan_is_no_override(invoke: Called, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("version: 1\nname: x\ncloud: prod\nchange: {image: a}\nservers: [{name: b}]\n", encoding="utf-8")
    code, out, err = invoke("apply", str(plan), "--yes", "--cloud", "test")
    assert (code, out) == (64, "")
    assert "--cloud test differs from the plan's cloud: prod" in err
    assert "hint:" in err


def test_every_typo_is_told_at_once_with_its_place_and_what_was_meant(invoke: Called, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(TYPOS, encoding="utf-8")
    code, out, err = invoke("validate", str(plan))
    assert (code, out) == (65, "")
    told = re.findall(rf"^error: {re.escape(str(plan))}:(\d+):(\d+): ([\w.]+): .*\nhint: (.*)$", err, re.MULTILINE)
    meant = {(int(line), int(column), key): hint for line, column, key, hint in told}
    assert {place: hint for place, hint in meant.items() if "did you mean" in hint} == {
        (4, 3, "change.imgae"): "did you mean `image`?",
        (9, 3, "rollout.concurency"): "did you mean `concurrency`?",
        (12, 3, "failure.atempts"): "did you mean `attempts`?",
    }
    assert re.search(r":10:3: rollout.stop: .*soft-then-hard", err)
    errors = err.count("error: ")
    assert f"{errors} errors in {plan}" in err
    code, applied_out, applied = invoke("apply", str(plan), "--yes")
    assert (code, applied_out) == (65, "")
    assert applied.count("error: ") == errors


def test_a_plan_that_is_not_there_is_named_once(invoke: Called, tmp_path: Path) -> None:
    plan = tmp_path / "nowhere.yaml"
    assert invoke("apply", str(plan))[2].count(str(plan)) == 1


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_validate_lists_each_error_for_programs(invoke: Called, tmp_path: Path, output: str) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(TYPOS, encoding="utf-8")
    code, out, err = invoke("validate", str(plan), "-o", output)
    assert (code, err) == (65, "")
    errors = json.loads(out)["errors"] if output == "json" else [json.loads(line) for line in out.splitlines()]
    assert all(set(error) == PROBLEM for error in errors)
    assert {(error["line"], error["column"], error["key"]) for error in errors} >= {
        (4, 3, "change.imgae"),
        (9, 3, "rollout.concurency"),
    }


def test_a_good_plan_is_valid_without_any_cloud(invoke: Called) -> None:
    plan = Path(__file__).parents[2] / "plans" / "demo.yaml"
    code, out, err = invoke("validate", str(plan))
    assert (code, err) == (0, "")
    assert "is valid" in out
    code, out, err = invoke("validate", str(plan), "-o", "json")
    assert (code, json.loads(out), err) == (0, {"v": 1, "errors": [], "warnings": []}, "")


def test_errors_are_documents_where_json_is_asked_for(invoke: Called, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(TYPOS, encoding="utf-8")
    for arguments, expected in (
        (("status", "no-such-run", "-o", "json"), 64),
        (("apply", str(plan), "-o", "json"), 65),
        (("apply", str(tmp_path / "none.yaml"), "-o", "json"), 65),
        (("apply", str(plan), "--output=json", "--bogus"), 64),
        (("apply", "-ojson"), 64),
        (("explode", "--output", "json"), 64),
    ):
        code, out, _ = invoke(*arguments)
        document = json.loads(out)
        assert (code, set(document), set(document["error"])) == (expected, {"v", "error"}, ERROR)
        assert document["error"]["exit_code"] == expected
        assert all(set(problem) == PROBLEM for problem in document["error"]["problems"])
    code, out, _ = invoke("runs", "--bogus", "-o", "jsonl")
    (line,) = out.splitlines()
    assert (code, "--bogus" in json.loads(line)["error"]["message"]) == (64, True)


def test_the_schema_is_json_and_nothing_else(invoke: Called) -> None:
    code, out, err = invoke("schema")
    assert (code, err) == (0, "")
    schema = json.loads(out)
    assert {"version", "name", "change", "servers", "rollout", "failure"} <= set(schema["properties"])


def test_no_command_at_all_shows_the_commands(invoke: Called) -> None:
    code, out, err = invoke()
    assert code == 64
    assert "apply" in out + err


def test_the_version_is_printed(invoke: Called) -> None:
    assert invoke("--version") == (0, "fleetos 0.1.0\n", "")


def test_without_a_database_there_is_nothing_yet_and_none_is_made(invoke: Called, tmp_path: Path) -> None:
    path = tmp_path / "fleetos" / "fleetos.db"
    for command in (("resume",), ("runs",), ("status",), ("events", "-f"), ("db", "check"), ("db", "upgrade")):
        code, out, err = invoke(*command)
        assert (code, out) == (0, ""), command
        assert f"no runs yet in {path} (the default place); start one with: fleetos apply PLAN" in " ".join(err.split())
    for command in (("status", "02vh"), ("events", "02vh"), ("retry", "02vh"), ("abort", "02vh"), ("resume", "02vh")):
        assert invoke(*command)[0] == 64, command
    documents: dict[str, dict[str, object]] = {
        "runs": {"runs": []},
        "status": {"run": None, "counts": {"total": 0}, "targets": []},
        "events": {"events": []},
    }
    for command, document in documents.items():
        code, out, _ = invoke(command, "-o", "json")
        assert (code, json.loads(out)) == (0, {"v": 1, **document})
    assert invoke("runs", "-o", "jsonl")[:2] == (0, "")
    assert list(tmp_path.iterdir()) == []


READERS = (
    ("runs",),
    ("status",),
    ("events", "02vh"),
    ("resume",),
    ("retry", "02vh"),
    ("abort", "02vh"),
    ("db", "check"),
    ("db", "upgrade"),
    ("db", "backup", "copy.db"),
)


@pytest.mark.parametrize("variable", [False, True])
def test_a_path_that_leads_nowhere_is_wrong_usage_and_nothing_is_made(
    invoke: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    path = tmp_path / "mistyped" / "fleet.db"
    monkeypatch.chdir(tmp_path)
    if variable:
        monkeypatch.setenv("FLEETOS_DB", str(path))
    for command in READERS:
        code, out, err = invoke(*command, *(() if variable else ("--db", str(path))))
        assert (code, out) == (64, ""), command
        told = " ".join(err.split())
        assert f"there is no database at {path} ({'$FLEETOS_DB' if variable else '--db'})" in told
        assert "hint: check the path" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"name: web-tier\n" * 300, "not a database"),
        (b"SQLite format 3\0" + b"\0" * 5000, "damaged"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_it_is(invoke: Called, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(content)
    for command in (("runs",), ("status",), ("db", "check"), ("resume",)):
        code, out, err = invoke(*command, "--db", str(path))
        assert (code, out) == (65, ""), command
        assert words in err
        assert str(path) in err
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["notes.db"]


def test_a_database_without_a_run_is_checked_copied_and_upgraded(invoke: Called, tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    sqlite_files.make_private(path)
    assert invoke("runs", "--db", str(path))[:2] == (0, "")
    made = f"made the tables of revision {REVISION}: the database had none\n"
    assert invoke("db", "upgrade", "--db", str(path))[:2] == (0, made)
    assert invoke("db", "upgrade", "--db", str(path))[:2] == (
        0,
        f"nothing to do: the database has revision {REVISION}\n",
    )
    assert invoke("db", "check", "--db", str(path))[:2] == (0, f"{path} is sound\n")
    code, out, err = invoke("status", "--db", str(path))
    assert (code, out) == (0, "")
    assert f"no runs yet in {path} (--db)" in " ".join(err.split())
    copy = tmp_path / "copy.db"
    assert invoke("db", "backup", str(copy), "--db", str(path))[0] == 0
    assert copy.stat().st_size > 0
    code, _, err = invoke("db", "backup", str(copy), "--db", str(path))
    assert (code, str(copy) in err) == (64, True)
    assert invoke("db", "check", "--db", str(copy))[0] == 0


def test_tables_that_do_not_fit_together_and_those_of_others_are_bad_input(invoke: Called, tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    sqlite_files.make_private(path)
    assert invoke("db", "upgrade", "--db", str(path))[0] == 0
    edits = (
        ("INSERT INTO clouds (scope, body) VALUES ('sim', '[')", "sim"),
        ("UPDATE fleetos_revision SET version_num = '9999'", "9999"),
        ("DROP TABLE fleetos_revision", "belongs to another program"),
    )
    for edit, words in edits:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(edit)
        code, out, err = invoke("db", "check", "--db", str(path))
        assert code == 65, edit
        assert words in " ".join((out + err).split())


def test_a_copy_never_takes_the_name_of_a_log(invoke: Called, tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    sqlite_files.make_private(path)
    invoke("db", "upgrade", "--db", str(path))
    for name in ("fleet.db-journal", "fleet.db-wal", "fleet.db-shm", "other.db-wal", ".fleet.db.lock"):
        code, _, err = invoke("db", "backup", str(tmp_path / name), "--db", str(path))
        assert (code, name in err) == (64, True), name
    assert invoke("db", "check", "--db", str(path))[0] == 0


def test_a_frozen_plan_replaces_nothing_but_one(
    invoke: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "link").symlink_to(plan)
    sqlite_files.make_private(tmp_path / "fleet.db")
    monkeypatch.setenv("FLEETOS_DB", str(tmp_path / "fleet.db"))
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()}
    for name in ("plan.yaml", "fleet.db", "folder", "empty", "nowhere", "link"):
        code, out, err = invoke("plan", str(plan), "--out", str(tmp_path / name))
        assert (code, out) == (64, ""), name
        assert f"{tmp_path / name} is there already and is not a frozen plan" in " ".join(err.split())
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()} == before
    assert (tmp_path / "link").is_symlink()


OLD_OPTIONS = (
    ("validate", "--cloud"),
    ("validate", "--db"),
    ("schema", "--db"),
    ("schema", "--cloud"),
    ("db upgrade", "--cloud"),
    ("db check", "--cloud"),
    ("db backup", "--cloud"),
)


@pytest.mark.parametrize(("command", "option"), OLD_OPTIONS)
def test_an_option_without_an_effect_is_not_taken(invoke: Called, command: str, option: str) -> None:
    code, _, err = invoke(*command.split(), option, "x")
    assert (code, option in err) == (64, True)


def test_no_type_stands_beside_a_flag(invoke: Called) -> None:
    for command in ("", "apply", "abort", "events", "doctor", "plan", "sim", "sim reset", "db", "db check"):
        code, out, _ = invoke(*command.split(), "--help")
        assert (code, "<bool>" in out) == (0, False), command
    assert "PATH|URL" in invoke("runs", "--help")[1]
