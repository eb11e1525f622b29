"""The files that a plan names: those and no others are read, by their very names, and none is quoted."""

import json
import os
import signal
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetos.errors import InputError, Problem
from fleetos.limits import ROWS_MAX_BYTES
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.preflight.preflight import preflight
from fleetos.planning.secrets import PlanSecrets
from fleetos.planning.settings import CloudFacts
from tests.support.builders import DEBIAN, a_server, an_inventory
from tests.unit.planning.plan_folder import HEAD, PlanFolder

CANARY = "Zq7wKe9vTx"
HANGS_S = 5
ROWS, USER_DATA, ADMINPASS = "rows", "user data", "adminpass"
ROLES = [ROWS, USER_DATA, ADMINPASS]


@contextmanager
def soon() -> Generator[None]:
    """Fails, rather than waits for ever, where somebody waits for a pipe."""

    def hangs(number: int, frame: object) -> None:
        raise AssertionError("it waits for the file")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, HANGS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def plan_with(role: str, path: str | Path) -> str:
    """A plan that names the file as that."""
    named = json.dumps(str(path))
    if role == ROWS:
        return HEAD + f"servers: [{{file: {named}}}]\n"
    key, login = ("user_data", "keyname: key, ") if role == USER_DATA else ("adminpass", "")
    return HEAD.replace("keyname: key", f"{login}{key}: {{file: {named}}}") + "servers: [{name: web-01}]\n"


def used(plans: PlanFolder, role: str, path: str | Path) -> str:
    """What the file held, as the run would use it. Raises InputError."""
    with soon():
        plan = plans.plan(plan_with(role, path))
        if role == ROWS:
            return ",".join(server.name or "" for server in plan.servers)
        order = preflight(plan, an_inventory([a_server(1)]), (DEBIAN,), None, CloudFacts()).servers[0].order
        found = PlanSecrets({}).resolve(order)
    return found.adminpass if found.adminpass is not None else (found.user_data or b"").decode(errors="replace")


def problems(plans: PlanFolder, role: str, path: str | Path) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        used(plans, role, path)
    return caught.value.problems


def holding(role: str, word: str) -> str:
    """What a file of that role holds to be of use, with a word in it."""
    return f"name\n{word}\n" if role == ROWS else f"{word}-1\n"


@pytest.fixture
def odd(plans: PlanFolder) -> Iterator[dict[str, str]]:
    """Things that can be opened like a file, and are none."""
    os.mkfifo(plans.folder / "pipe")
    (plans.folder / "folder").mkdir()
    (plans.folder / "to-pipe").symlink_to("pipe")
    (plans.folder / "circle").symlink_to("circle")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        # The path of a socket is short.
        os.chdir(plans.folder)
        try:
            listening.bind("socket")
        finally:
            os.chdir(before)
    inner, outer = os.pipe()
    names = ("pipe", "folder", "to-pipe", "circle", "socket", ".", "..", "nothing", "pipe/below", "x" * 300)
    found = {name: name for name in names}
    found |= {
        path: path for path in ("/dev/zero", "/dev/null", "/dev/stdin", "/dev/tty", "/proc/self/mem", "/proc/self/fd")
    }
    yield {**found, "descriptor": f"/proc/self/fd/{inner}", "/dev/fd": f"/dev/fd/{inner}"}
    os.close(inner)
    os.close(outer)


@pytest.mark.parametrize("role", ROLES)
def test_only_regular_files_are_read_and_nobody_waits(plans: PlanFolder, odd: dict[str, str], role: str) -> None:
    for name, path in odd.items():
        (problem,) = problems(plans, role, path)
        assert "is not a regular file" in problem.expected or "cannot be read" in problem.expected, name
        assert problem.line is not None or role == ADMINPASS, name


@pytest.mark.parametrize("role", ROLES)
def test_a_file_without_end_is_read_to_the_bound(plans: PlanFolder, role: str) -> None:
    with (plans.folder / "huge").open("wb") as file:
        file.truncate(2**40)
    (problem,) = problems(plans, role, "huge")
    assert "larger" in problem.expected
    assert ROWS_MAX_BYTES < 2**26


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "name",
    [
        "~/own",
        "~root/own",
        "$HOME/own",
        "${HOME}/own",
        "%(HOME)s/own",
        "{{ HOME }}/own",
        "own*",
        "own?",
        "[o]wn",
        "own,other",
        "$(cat own)",
        "`cat own`",
        "| cat own",
        "%2e%2e/own",
        "file:own",
        "file://own",
        "https://own.invalid/own",
        " own",
        "own ",
        "-",
        "own#1",
        "own\u00a0\u202e",
    ],
)
def test_a_path_is_taken_letter_by_letter(
    plans: PlanFolder, role: str, name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    for decoy in (home / "own", plans.folder / "own", plans.folder.parent / "own"):
        decoy.write_text(holding(role, CANARY))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    told = problems(plans, role, name)
    assert CANARY not in "".join(map(str, told))
    # A file of just that name is the one that is meant.
    plans.write(name, holding(role, "Letter-by"))
    assert (
        used(plans, role, name) == holding(role, "Letter-by").removeprefix("name\n").rstrip("\n") or role == USER_DATA
    )
    assert CANARY not in used(plans, role, name)


@pytest.mark.parametrize("role", ROLES)
def test_a_path_leads_where_it_says(plans: PlanFolder, role: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "own"
    outside.write_text(holding(role, "Out-side"))
    (plans.folder / "link").symlink_to(outside)
    for path in (outside, os.path.relpath(outside, plans.folder), "link", "./link", f"/{outside}"):
        assert "Out-side" in used(plans, role, path)
    outside.chmod(0o000)
    if os.geteuid() != 0:
        (problem,) = problems(plans, role, "link")
        assert "Permission denied" in problem.expected


# Files that somebody might name by mistake, or to have them quoted.
FOREIGN: dict[str, str | bytes] = {
    "shadow": f"root:$6${CANARY}:19000:0:99999:7:::\ndaemon:*:19000::::::\n",
    "environment": f"OS_PASSWORD={CANARY}\0HOME=/x\0",
    "key": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n",
    "netrc": f"machine x login al password {CANARY}\n",
    "ini": f"[client]\npassword = {CANARY}\n",
    "json": json.dumps({"password": CANARY, "list": [CANARY], "auth": {"key": CANARY}}),
    "yaml": f"clouds:\n  x: {{auth: {{password: '{CANARY}'}}}}\n",
    "aliases": f"a: &{CANARY} 1\nb: *{CANARY}x\n",
    "tag": f"password: !{CANARY} x\n",
    "open quote": f"password: '{CANARY}\n",
    "open brackets": f"[{CANARY}, {{{CANARY}: [",
    "words": f"{CANARY} {CANARY}: {CANARY}: x\n\t{CANARY}\n",
    "binary": CANARY.encode() + b"\x00\xff\xfe" + CANARY.encode() * 2,
    "latin-1": CANARY.encode() + b"\xfc\n" + CANARY.encode(),
    "UTF-16": CANARY.encode("utf-16"),
    "one line": CANARY * 100,
    "two lines": f"{CANARY}\n{CANARY}",
    "rows without a header": f"{CANARY},x\n{CANARY},y\n",
    "rows with a wrong id": f"id,{CANARY}\n{CANARY},x\n",
    "rows of another width": f"name\n{CANARY},{CANARY}\n",
    "rows with an open quote": f'name,x\n"{CANARY},{CANARY}\n{CANARY}',
    "rows with a torn quote": f'name,x\n"{CANARY}"{CANARY},1\n',
    "rows with a wrong label": f"name,a {CANARY}\nweb-01,{CANARY}\n",
    "rows with a pattern": f"name\n{CANARY}*\n",
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", sorted(FOREIGN))
def test_no_message_quotes_a_file(plans: PlanFolder, role: str, kind: str) -> None:
    plans.write("foreign", FOREIGN[kind])
    if role == USER_DATA and kind not in ("UTF-16", "binary", "environment"):
        # Any text will do as user data; it is known by its digest, and so it is told when it has changed.
        used(plans, role, "foreign")
        plan = load_plan(plans.folder / "plan.yaml")
        order = preflight(plan, an_inventory([a_server(1)]), (DEBIAN,), None, CloudFacts()).servers[0].order
        plans.write("foreign", f"other {CANARY}")
        with pytest.raises(InputError) as changed:
            PlanSecrets({}).resolve(order)
        told = changed.value.problems
        assert CANARY not in repr(plan) + repr(order)
        assert CANARY not in "".join(map(str, plan.doubts))
    else:
        told = problems(plans, role, "foreign")
    assert CANARY not in "".join(f"{one!r}{one}" for one in told)


@pytest.mark.parametrize("kind", sorted(FOREIGN))
def test_a_foreign_file_as_a_plan_is_not_quoted(plans: PlanFolder, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        load_plan(plans.write("foreign", FOREIGN[kind]))
    # The names of keys are told, and nothing else of the file.
    told = "".join(f"{one.expected}{one.hint}" for one in caught.value.problems)
    assert CANARY not in told


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [{path}]",
        "!!python/object/new:pathlib.Path [{path}]",
        "!!python/name:os.environ x",
        "!include {path}",
        "!ENV ${{HOME}}",
        "!env HOME",
        "!!binary WnE3",
        "!vault x",
    ],
)
def test_no_tag_does_anything(plans: PlanFolder, value: str) -> None:
    made = plans.folder / "made"
    plans.write("own", CANARY)
    text = HEAD.replace("keyname: key", f"keyname: {value.format(path=made)}") + "servers: [{name: web-01}]\n"
    assert plans.problem(text).expected == "a tag is not supported"
    assert not made.exists()


def test_no_variable_is_put_in(plans: PlanFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    text = 'version: 1\nname: try\nchange: {image: "${CANARY}", keyname: "$CANARY"}\nservers: [{name: "%(CANARY)s"}]\n'
    plan = plans.plan(text)
    assert (plan.change.image, plan.change.keyname, plan.servers[0].name) == ("${CANARY}", "$CANARY", "%(CANARY)s")
