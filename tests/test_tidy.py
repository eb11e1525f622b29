"""The house is tidy: rules that no linter knows, each shown to bite on a small sample before it judges the code."""

import functools
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests import tidy

ROOT = Path(__file__).parents[1]

# Every comment that switches a checker off, counted by file. Raise a number only with a reason that the next reader
# will accept; lower it when one goes.
SUPPRESSIONS = {
    "fleetos/cli/output.py": (1, "the last resort: a defect is shown and leaves with its own exit code"),
    "fleetos/cloud/http/classification.py": (1, "JSON that was just found to be a dict is one of unknown values"),
    "fleetos/cloud/auth/password_sources.py": (
        1,
        "a back end of the keyring raises whatever it likes, which may quote a secret",
    ),
    "fleetos/cloud/http/transport.py": (1, "whatever the transport raises becomes one of our two errors"),
    "fleetos/notify/apprise_services.py": (1, "each service raises whatever it likes, which may quote a URL"),
    "fleetos/notify/notifier.py": (3, "no defect in notifications, nor in a service of apprise, may stop a rollout"),
    "fleetos/threads.py": (1, "whatever a function in a thread raises is raised where it is awaited"),
    "fleetos/store/database/migration.py": (1, "the table's name in the statement is a constant"),
    "fleetos/store/database/tables.py": (2, "SQLAlchemy names the arguments of a column type"),
    "tests/support/receivers.py": (1, "aiosmtpd names the method that it calls"),
    "tests/support/postgres.py": (1, "the import reads the environment, which the test sets first"),
    "tests/simulation/session.py": (1, "a simulated process ends by whatever it ends by, and that is the finding"),
    "tests/unit/engine/test_engine_windows.py": (1, "a fact of the harness that nobody tells of is looked for"),
}


@functools.cache
def files() -> Sequence[str]:
    """What a commit would hold, were everything committed: tracked files, and new ones that are not ignored."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a checkout, so nothing says which files are the project's")
    # The checkout may belong to another user, as in a container.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def modules() -> Iterator[tuple[str, str]]:
    """Every Python file of the project, with its text."""
    return ((name, (ROOT / name).read_text(encoding="utf-8")) for name in files() if name.endswith(".py"))


@functools.cache
def wrong_by_rule() -> Mapping[str, list[str]]:
    """One line for each thing that is wrong, by the rule that says so. Each module is parsed once for all rules."""
    wrong: dict[str, list[str]] = {"long code": [], "banned names": [], "undocumented": []}
    for name, text in modules():
        wrong["long code"] += [f"{name}: {one}" for one in tidy.long_code(name, text)]
        wrong["banned names"] += [f"{name}: {one}" for one in tidy.banned_names(name, text)]
        if name.startswith("fleetos/"):
            wrong["undocumented"] += [f"{name}: {one}" for one in tidy.undocumented(text)]
    return wrong


def told(found: Iterator[tuple[str, str]]) -> str:
    """One line for each thing that is wrong."""
    return "\n".join(f"{name}: {wrong}" for name, wrong in found)


@pytest.mark.slow
def test_modules_and_functions_are_about_one_thing() -> None:
    wrong = wrong_by_rule()["long code"]
    assert not wrong, "\n".join(wrong)


def test_long_code_is_seen() -> None:
    function = "def f():\n" + "    x = 1\n" * tidy.FUNCTION_LINES
    assert list(tidy.long_code("fleetos/engine/sample.py", function)) == ["1: f has 61 lines, more than 60"]
    assert not list(tidy.long_code("fleetos/engine/sample.py", function.replace("    x = 1\n", "", 1)))
    assert len(list(tidy.long_code("fleetos/engine/sample.py", "x = 1\n" * (tidy.MODULE_LINES + 1)))) == 1
    assert not list(tidy.long_code("fleetos/engine/sample.py", "x = 1\n" * tidy.MODULE_LINES))
    assert not list(tidy.long_code("tests/test_sample.py", "x = 1\n" * tidy.TEST_MODULE_LINES))
    assert len(list(tidy.long_code("tests/test_sample.py", "x = 1\n" * (tidy.TEST_MODULE_LINES + 1)))) == 1


def test_time_chance_and_output_come_from_their_homes() -> None:
    wrong = wrong_by_rule()["banned names"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("sample", "instead"),
    [
        ("from datetime import datetime, UTC\nx = datetime.now(UTC)", "Clock"),
        ("import datetime as d\nx = d.datetime.now()", "Clock"),
        ("from datetime import datetime as moment\nread = moment.utcnow", "Clock"),
        ("import datetime\nx = datetime.date.today()", "Clock"),
        ("import time\nx = time.time()", "Clock"),
        ("from time import monotonic", "Clock"),
        ("import time as t\nt.sleep(1)", "anyio.sleep"),
        ("import random\nx = random.random()", "Chance"),
        ("from random import choice", "Chance"),
        ("from uuid import uuid4\nx = uuid4()", "ids"),
        ("import uuid\nx = uuid.uuid1()", "ids"),
        ("import os\nx = os.urandom(8)", "ids"),
        ("import secrets", "ids"),
        ("import asyncio\nasyncio.sleep(1)", "anyio"),
        ("from asyncio import create_task", "anyio"),
        ("print('here')", "view"),
        ("import sys\nsys.stderr.write('x')", "view"),
        ("x = input()", "view"),
        ("from unittest.mock import Mock", "simulated cloud"),
    ],
)
def test_a_banned_name_is_seen_and_its_replacement_named(sample: str, instead: str) -> None:
    found = list(tidy.banned_names("fleetos/engine/sample.py", sample))
    assert found
    assert all(instead in line for line in found)


def test_what_only_looks_like_a_banned_name_is_left_alone() -> None:
    sample = (
        "from datetime import time, datetime\nfrom uuid import UUID\n"
        "class A:\n    def go(self, clock, console):\n        console.print(clock.now(), time(1), UUID(int=1))\n"
    )
    assert not list(tidy.banned_names("fleetos/engine/sample.py", sample))


def test_every_home_of_a_banned_name_is_there() -> None:
    homes = {home for ban in tidy.BANS for home in ban.homes}
    assert not [home for home in sorted(homes) if not (ROOT / home).exists()]


def test_public_functions_say_what_they_return() -> None:
    wrong = wrong_by_rule()["undocumented"]
    assert not wrong, "\n".join(wrong)


def test_a_missing_docstring_is_seen() -> None:
    body = "    x = 1\n" * tidy.UNDOCUMENTED_LINES
    long = f'"""What it is about."""\n\n\nasync def f():\n{body}'
    assert list(tidy.undocumented(long)) == ["4: f is public and long, and does not say what it returns"]
    assert list(tidy.undocumented("x = 1\n")) == ["1: the module does not say what it is about"]
    method = '"""What it is about."""\n\n\nclass A:\n    def f(self):\n' + "        x = 1\n" * tidy.UNDOCUMENTED_LINES
    assert len(list(tidy.undocumented(method))) == 1
    assert not list(tidy.undocumented(long.replace("def f", "def _f")))
    assert not list(tidy.undocumented(""))


def test_names_say_their_subject() -> None:
    wrong = told((name, one) for name, text in modules() for one in tidy.vague_names(name, text))
    assert not wrong, wrong


def test_a_vague_name_is_seen() -> None:
    assert len(list(tidy.vague_names("fleetos/engine/utils.py", ""))) == 1
    assert len(list(tidy.vague_names("fleetos/common/plan.py", ""))) == 1
    assert len(list(tidy.vague_names("fleetos/engine/sample.py", "class RunManager: ..."))) == 1
    assert not list(tidy.vague_names("fleetos/engine/commons.py", "class Run: ..."))


def test_nothing_is_put_off() -> None:
    wrong = told((name, one) for name, text in texts() for one in tidy.pending(text))
    assert not wrong, wrong


def test_work_put_off_is_seen() -> None:
    assert len(list(tidy.pending("x = 1  # " + "TO" + "DO later\n# FIX" + "ME"))) == 2
    assert not list(tidy.pending("the todo list of a fixture"))


def test_checkers_are_switched_off_only_where_counted() -> None:
    counts = {name: count for name, text in modules() if (count := tidy.suppressions(text))}
    more = {name: count for name, count in counts.items() if count > SUPPRESSIONS.get(name, (0, ""))[0]}
    assert not more, f"more suppressions than SUPPRESSIONS allows: {more}"
    stale = sorted(set(SUPPRESSIONS) - set(counts))
    assert not stale, f"no suppression is left in {stale}: take them off the list"


def test_a_suppression_is_seen() -> None:
    sample = "x = 1  # no" + "qa: E501\ny = f()  # type" + ": ignore\nz = 1  # pyright" + ": ignore[x]\n"
    assert tidy.suppressions(sample) == 3
    assert tidy.suppressions(f'text = """{sample}"""\n') == 0


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the project, with its text."""
    for name in files():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            yield name, content.decode()


def test_nothing_points_at_a_registry_or_at_one_machine() -> None:
    wrong = told((name, one) for name, text in texts() for one in tidy.local_traces(text))
    assert not wrong, wrong


def test_a_trace_of_a_machine_is_seen() -> None:
    assert len(list(tidy.local_traces("https://files.python" + "hosted.org/packages/x.whl"))) == 1
    assert len(list(tidy.local_traces('index = "https://py' + 'pi.org/simple"'))) == 1
    assert len(list(tidy.local_traces("see /" + "work/notes/design.md"))) == 1
    assert len(list(tidy.local_traces('open("/' + 'home/somebody/x")'))) == 1
    assert not list(tidy.local_traces("fleetos/work/x ~/home/x https://example.com/home/x /usr/bin/env $HOME/x"))


def test_nothing_is_tracked_that_a_tool_makes() -> None:
    wrong = told((name, one) for name in files() for one in tidy.unwanted(name, (ROOT / name).stat().st_size))
    assert not wrong, wrong


def test_an_unwanted_file_is_seen() -> None:
    for path in ("fleetos.db", "run.log", ".env", "a/__pycache__/b.py", "dist/fleetos.tar.gz", "k.pem"):
        assert len(list(tidy.unwanted(path, 10))) == 1, path
    assert len(list(tidy.unwanted("big.json", tidy.FILE_BYTES + 1))) == 1
    assert not list(tidy.unwanted("fleetos/store/database/database.py", 10))
