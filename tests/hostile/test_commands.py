"""The real command with hostile files, environment and database: its exit code, and a message that can be shown."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from random import Random

import anyio
import pytest
from hypothesis import given
from typer.testing import CliRunner

from fleetos.cli.main import app
from fleetos.cli.output import handle_errors
from tests.hostile.plan_grammar import plan_tree, write_files
from tests.hostile.test_database import kept_at
from tests.support.builders import a_run
from tests.support.clocks import ManualClock
from tests.support.commands import environment
from tests.support.hostile_values import mangled, randoms, spoiled
from tests.support.seeded_examples import examples

PLAN = "version: 1\nname: x\nchange: {image: a}\nservers: [{name: a}]\n"
BOMB = "\n".join(["l0: &l0 [x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))])
BAD_PLANS = (
    *(
        b"",
        b"\0",
        b"\xff\xfe",
        b"\x80",
        b"[",
        b"- " * 40,
        b"a: " * 3,
        b"? [a]\n: b",
        b"<<: {}",
        b"!!python/object:os.x {}",
    ),
    *(
        PLAN.encode("utf-16"),
        PLAN.replace("x", "\x9b").encode(),
        (PLAN + '"\\e[31m": "\\e[2J"\n').encode(),
        BOMB.encode(),
    ),
    *((PLAN + "\u202ekey: 1\n").encode(), (PLAN + PLAN).encode(), PLAN.replace("1", "9" * 5000).encode(), b"{" * 5000),
    *(PLAN.replace("a}]", "'*\u202e'}]").encode(), PLAN.replace("{name: a}", "{file: missing\x7f.csv}").encode()),
)
# What a terminal would obey, and letters that a document must keep: an umlaut, marks of writing, separators.
NAME = "w\xfcb\x1b]0;t\x07\x1b[31m\x9b2J\u202e\r\nerror: forged\u2028\ufb00\t\x7f\U0001f600"
Called = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("commands")
    write_files(path)
    return path


@pytest.fixture(scope="module")
def called(folder: Path) -> Called:
    """Calls fleetos in this process: code, standard output, standard error. Whatever it says can be shown."""

    def call(*arguments: str, **more: str) -> tuple[int, str, str]:
        env: Mapping[str, str | None] = {
            **dict.fromkeys(("FLEETOS_DB", "FLEETOS_SIM_SCENARIO", "OS_CLOUD")),
            **environment(folder),
            **more,
        }
        done = CliRunner().invoke(app, arguments, env=env)
        assert "Traceback" not in done.stderr
        for letter in done.stdout + done.stderr:
            assert letter == "\n" or letter.isprintable(), ascii(done.stdout + done.stderr)
        return done.exit_code, done.stdout, done.stderr

    return call


@pytest.mark.parametrize("number", range(len(BAD_PLANS)))
def test_a_bad_plan_is_65_in_every_output(called: Called, folder: Path, number: int) -> None:
    plan = folder / "plan.yaml"
    plan.write_bytes(BAD_PLANS[number])
    assert called("validate", str(plan))[0] == 65
    code, out, _ = called("validate", str(plan), "-o", "json")
    assert (code, bool(json.loads(out)["errors"])) == (65, True)
    code, out, err = called("apply", str(plan), "--yes", "-o", "jsonl")
    assert (code, json.loads(out)["error"]["exit_code"]) == (65, 65)
    assert "error: " in err


@examples(8)
@given(randoms)
def test_a_spoiled_plan_is_valid_or_65(called: Called, folder: Path, random: Random) -> None:
    plan = folder / "plan.yaml"
    data = json.dumps(spoiled(random, plan_tree(random)), ensure_ascii=False).encode("utf-8", "surrogatepass")
    plan.write_bytes(mangled(random, data, depths=(20, 200)))
    code, out, _ = called("validate", str(plan), "-o", "json")
    assert code == (65 if json.loads(out)["errors"] else 0)
    assert called("validate", str(plan))[0] == code


def test_a_plan_whose_path_is_hostile(called: Called, folder: Path) -> None:
    for name in ("\x1b[31mred.yaml", "a\nb.yaml", "\udcff.yaml", "\u202e.yaml"):
        (folder / name).write_text(PLAN, encoding="utf-8")
        assert called("validate", str(folder / name))[0] == (65 if name.startswith("\udcff") else 0)
    for name in ("x" * 5000, ".", "/dev/null", "nothing-there"):
        assert called("validate", str(folder / name))[0] == 65


@pytest.mark.parametrize(
    "name", ["OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "OS_REGION_NAME", "OS_CACERT", "OS_CLOUD", "HTTPS_PROXY"]
)
def test_a_hostile_environment_has_its_exit_code(called: Called, folder: Path, name: str) -> None:
    plan = folder / "good.yaml"
    plan.write_text(PLAN, encoding="utf-8")
    env = {
        "OS_USERNAME": "u",
        "OS_PASSWORD": "geheim-1",
        "OS_PROJECT_NAME": "p",
        "OS_AUTH_URL": "http://127.0.0.1:9/v3",
    }
    # Each is refused before anything is sent anywhere.
    addresses = ("https://xn--/", "https://h:99999") if name == "HTTPS_PROXY" else ("x\x9b:\udcff", "\x7f" * 5_000)
    for text in ("//\x1b[31m", *addresses):
        code, _, err = called("apply", str(plan), "--yes", **{**env, name: text})
        assert code == (64 if name == "HTTPS_PROXY" else 65), (ascii(text), err)
        assert "geheim" not in err


@pytest.mark.parametrize(
    "address",
    ["https://xn--/", "https://h:99999", "http://evil.invalid", "ftp://h", "https://u:geheim@h", "\x1b", "//", "x"],
)
def test_a_hostile_address_is_refused(called: Called, folder: Path, address: str) -> None:
    plan = folder / "good.yaml"
    plan.write_text(PLAN, encoding="utf-8")
    env = {"OS_AUTH_URL": address, "OS_USERNAME": "u", "OS_PASSWORD": "geheim-1", "OS_PROJECT_NAME": "p"}
    code, _, err = called("apply", str(plan), "--yes", **env)
    assert code in (64, 65)
    assert "geheim" not in err


@pytest.mark.parametrize(
    "db",
    [
        "~nobody-has-this-home/x.db",
        "x" * 5000,
        "/dev/null",
        "/proc/x.db",
        "mysql://u:geheim@h/d",
        "postgresql://[",
        "postgresql://u:geheim@[::1/d",
        "postgresql://u:geheim@a b/d",
        "sqlite://",
    ],
)
def test_a_database_that_cannot_be_one_is_refused(called: Called, db: str) -> None:
    code, out, err = called("runs", "--db", db, "-o", "json")
    assert code in (64, 65), err
    assert json.loads(out)["error"]["exit_code"] == code
    assert "geheim" not in out + err


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE runs SET body = ?", '{"id": "truncat'),
        ("UPDATE runs SET body = replace(body, ?, '12:00:00')", "12:00:00Z"),
        ("UPDATE targets SET body = ?", "[" * 5000),
        ("UPDATE targets SET state = ?", "of-a-newer-version"),
        ("UPDATE records SET body = ?", '{"kind": "of-a-newer-version"}'),
        ("UPDATE records SET at = ?", "yesterday"),
        ("UPDATE leases SET holder = ?", "\x1b[31m"),
        ("UPDATE requests SET kind = ?", "of-a-newer-version"),
        ("UPDATE fleetos_revision SET version_num = ?", "9999"),
    ],
)
def test_a_hostile_row_is_a_database_that_cannot_be_used(
    called: Called, tmp_path: Path, statement: str, value: str
) -> None:
    async def make() -> None:
        await (await kept_at(tmp_path / "fleetos.db", ManualClock())).database.close()

    anyio.run(make)
    with closing(sqlite3.connect(tmp_path / "fleetos.db")) as other:
        assert other.execute(statement, (value,)).rowcount > 0
        other.commit()
    codes = {
        command: called(*command.split(), "--db", str(tmp_path / "fleetos.db"))[0]
        for command in ("runs", "status", f"events {a_run().id}", "db check")
    }
    # A command that has no use for the row does not see it; the check does.
    assert set(codes.values()) <= {0, 65}, codes
    assert codes["db check"] == 65


def renamed(body: str) -> str:
    """The JSON of a run or target that somebody gave another name."""
    return json.dumps({**json.loads(body), "name": NAME, "detail": NAME})


@pytest.fixture
def hostile_names(tmp_path: Path) -> str:
    """A database whose run and servers have the hostile name."""
    path = tmp_path / "fleetos.db"

    async def make() -> None:
        await (await kept_at(path, ManualClock())).database.close()

    anyio.run(make)
    with closing(sqlite3.connect(path)) as other:
        other.create_function("renamed", 1, renamed)
        for table in ("runs", "targets"):
            assert other.execute(f"UPDATE {table} SET body = renamed(body)").rowcount > 0
        other.execute("UPDATE records SET body = replace(body, 'server-0001', ?)", (json.dumps(NAME)[1:-1],))
        other.execute("UPDATE leases SET holder = NULL")
        other.commit()
    return str(path)


def test_a_document_keeps_every_letter_and_a_person_is_shown_escapes(called: Called, hostile_names: str) -> None:
    run_id, db = a_run().id, ("--db", hostile_names)
    document = json.loads(called("status", run_id, *db, "-o", "json")[1])
    assert (document["run"]["name"], {one["name"] for one in document["targets"]}) == (NAME, {NAME})
    lines = called("status", run_id, *db, "-o", "jsonl")[1].splitlines()
    assert [json.loads(line) for line in lines] == document["targets"]
    assert [run["name"] for run in json.loads(called("runs", *db, "-o", "json")[1])["runs"]] == [NAME]
    events = [json.loads(line) for line in called("events", run_id, *db, "-o", "jsonl")[1].splitlines()]
    assert NAME in {event.get("server_id") for event in events}
    assert json.loads(called("events", run_id, *db, "-o", "json")[1])["events"] == events
    for command in (("status", run_id), ("runs",), ("events", run_id), ("db", "check")):
        _, out, err = called(*command, *db)
        assert r"\x1b]0;t\x07\x1b[31m\x9b2J\u202e\r\nerror: forged\u2028" in out, command
        assert err.count("error:") == 0


@pytest.mark.parametrize("command", ["status", "events", "resume", "retry", "abort"])
@pytest.mark.parametrize("run", ["\udcff", "\x1b[31m", "\u202e", "x" * 5_000])
def test_a_run_that_no_database_can_hold_is_unknown(called: Called, hostile_names: str, command: str, run: str) -> None:
    code, out, err = called(command, run, "--db", hostile_names)
    assert (code, out) == (64, "")
    assert "there is no run" in err


def test_a_defect_is_shown_and_nothing_in_it_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    @handle_errors
    def defect() -> None:
        raise RuntimeError(NAME)

    with pytest.raises(SystemExit) as left:
        defect()
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (1, "")
    lines = err.splitlines()
    assert (lines[0], lines[-2]) == (
        "Traceback (most recent call last):",
        "error: fleetos itself failed: RuntimeError",
    )
    assert all(line.isprintable() for line in err.split("\n"))
