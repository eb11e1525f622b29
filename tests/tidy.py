"""Rules that linters do not know, as pure functions from the text of a file to what is wrong in it."""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

MODULE_LINES = 500
# A module of tests lists cases, so it may be longer.
TEST_MODULE_LINES = 400
FUNCTION_LINES = 60
# A public function longer than this says in a docstring what it returns.
UNDOCUMENTED_LINES = 12
FILE_BYTES = 512 * 1024

TESTS = "tests/"


@dataclass(frozen=True, slots=True)
class Ban:
    """A dotted name, a whole module or one of its members, that only its homes may use."""

    name: str
    instead: str
    homes: tuple[str, ...] = ()
    in_tests: bool = False


_CLOCK = "an injected Clock: now() or moment()"
_CHANCE = "an injected Chance, run_id() or token() of fleetos.ids"
_OWNED = "anyio: a task group owns every task, a cancel scope every deadline"
_PRINT = "a view of fleetos.views, or fleetos.cli.output"

# uvicorn and the wire-level faults speak asyncio's own transports and protocols.
_ASYNCIO_HOMES = (
    "fleetos/sim/server/asgi.py", "fleetos/sim/server/builtin.py", "fleetos/sim/server/serve.py",
    "fleetos/sim/virtual_time.py", "benchmarks/",
)  # fmt: skip
# What measures time reads it from where it is measured, and is a program of its own.
_TIME_HOMES = ("fleetos/clock.py", "fleetos/sim/server/state_folder.py", "benchmarks/")
_PRINT_HOMES = ("fleetos/cli/", "fleetos/views/", "fleetos/sim/server/serve.py", "scripts/", "benchmarks/")

BANS = (
    Ban("datetime.datetime.now", _CLOCK, ("fleetos/clock.py",)),
    Ban("datetime.datetime.today", _CLOCK),
    Ban("datetime.datetime.utcnow", _CLOCK, in_tests=True),
    Ban("datetime.date.today", _CLOCK, in_tests=True),
    # A world's home waits in a thread for the file lock of another process.
    Ban("time", f"{_CLOCK}, and anyio.sleep to wait", _TIME_HOMES),
    Ban(
        "time.sleep",
        "anyio.sleep, or better an event",
        ("fleetos/sim/server/state_folder.py", "tests/support/commands.py", "benchmarks/"),
        in_tests=True,
    ),
    Ban("random", _CHANCE, ("fleetos/ids.py",)),
    Ban("secrets", _CHANCE, ("fleetos/ids.py",)),
    Ban("os.urandom", _CHANCE, in_tests=True),
    Ban("uuid.uuid1", _CHANCE, in_tests=True),
    Ban("uuid.uuid4", _CHANCE, in_tests=True),
    Ban("asyncio", _OWNED, _ASYNCIO_HOMES),
    Ban("builtins.print", _PRINT, _PRINT_HOMES),
    Ban("builtins.input", _PRINT),
    Ban("sys.stdout", _PRINT, _PRINT_HOMES),
    Ban("sys.stderr", _PRINT, _PRINT_HOMES),
    Ban("unittest.mock", "the simulated cloud and the memory journal, which ship", in_tests=True),
)
_BUILTINS = frozenset(ban.name.partition(".")[2] for ban in BANS if ban.name.startswith("builtins."))

# Rooms and classes that hide what they are about.
VAGUE_ROOMS = frozenset(
    {"utils", "util", "helpers", "helper", "common", "misc", "base", "shared", "manager", "handlers"}
)
VAGUE_CLASSES = ("Manager", "Handler", "Service", "Processor", "Helper", "Wrapper")
_VAGUE_CLASS = re.compile(rf"\bclass\s+\w*(?:{'|'.join(VAGUE_CLASSES)})\b")

_PENDING = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")
_SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:|pragma:\s*no\s*cover|ruff:)")

# Written in two halves, so that this file names none of them.
_REGISTRIES = tuple(
    ".".join(halves)
    for halves in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("golang", "org"),
        ("anaconda", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
)
_MACHINE_PATH = re.compile(r"(?<![\w.~}/-])/(?:home|Users|root|work|srv|mnt)/[\w.-]+")

_UNWANTED_SUFFIXES = frozenset(
    {
        ".db",
        ".db-wal",
        ".db-shm",
        ".sqlite",
        ".sqlite3",
        ".log",
        ".pyc",
        ".whl",
        ".pem",
        ".key",
        ".env",
        ".orig",
        ".rej",
    }
)
_UNWANTED_PARTS = frozenset({".venv", "__pycache__", ".pytest_cache", ".ruff_cache", "dist", "build", "node_modules"})


def long_code(path: str, text: str) -> Iterator[str]:
    """What is longer than one subject needs: the module, and each function. A migration is one list, however long."""
    lines, allowed = len(text.splitlines()), TEST_MODULE_LINES if path.startswith(TESTS) else MODULE_LINES
    if lines > allowed:
        yield f"the module has {lines} lines, more than {allowed}: it is two things"
    for function in _functions(text):
        if (length := _length(function)) > FUNCTION_LINES and not path.startswith("migrations/versions/"):
            yield f"{function.lineno}: {function.name} has {length} lines, more than {FUNCTION_LINES}"


def banned_names(path: str, text: str) -> Iterator[str]:
    """Uses of what is banned in that file, each with what to use instead."""
    bans = [
        ban
        for ban in BANS
        if (ban.in_tests or not path.startswith(TESTS)) and not path.startswith(ban.homes) and _may_be_in(ban, text)
    ]
    if not bans:
        return
    found = {
        (line, ban.name, ban.instead)
        for line, name in _dotted_names(_nodes(text))
        for ban in bans
        if name == ban.name or name.startswith(f"{ban.name}.")
    }
    for line, name, instead in sorted(found):
        yield f"{line}: {name.removeprefix('builtins.')} is not for here; use {instead}"


def _may_be_in(ban: Ban, text: str) -> bool:
    """Return whether every part of the name is in the text: an alias is imported by its parts too."""
    return all(part in text for part in ban.name.removeprefix("builtins.").split("."))


def undocumented(text: str) -> Iterator[str]:
    """Modules and long public functions that do not say what they are for."""
    tree = _tree(text)
    if tree.body and ast.get_docstring(tree) is None:
        yield "1: the module does not say what it is about"
    for function in _public_functions(tree):
        if _length(function) > UNDOCUMENTED_LINES and ast.get_docstring(function) is None:
            yield f"{function.lineno}: {function.name} is public and long, and does not say what it returns"


def vague_names(path: str, text: str) -> Iterator[str]:
    """Rooms and classes named after no subject."""
    for part in PurePosixPath(path).with_suffix("").parts:
        if part in VAGUE_ROOMS:
            yield f"a room named {part} says nothing of its subject"
    for node in _nodes(text) if _VAGUE_CLASS.search(text) else ():
        if isinstance(node, ast.ClassDef) and node.name.endswith(VAGUE_CLASSES):
            yield f"{node.lineno}: the name {node.name} says nothing of its subject"


def pending(text: str) -> Iterator[str]:
    """Notes of work that was put off."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := _PENDING.search(line):
            yield f"{number}: {match[1]}: do it, or open a ticket"


def suppressions(text: str) -> int:
    """How many comments switch a checker off. Text within strings does not count."""
    if not _SUPPRESSION.search(text):
        return 0
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(1 for token in tokens if token.type == tokenize.COMMENT and _SUPPRESSION.match(token.string))


def local_traces(text: str) -> Iterator[str]:
    """Hosts of package registries and paths of one machine, which mean nothing to the next one."""
    for number, line in enumerate(text.splitlines(), 1):
        for host in _REGISTRIES:
            if host in line:
                yield f"{number}: {host} is the host of a package registry"
        if match := _MACHINE_PATH.search(line):
            yield f"{number}: {match[0]} is a path of one machine"


def unwanted(path: str, size: int) -> Iterator[str]:
    """Reasons why a file should not be tracked."""
    name = PurePosixPath(path)
    if name.suffix in _UNWANTED_SUFFIXES or name.name in _UNWANTED_SUFFIXES:
        yield "is made by running something, or is a secret"
    if hidden := _UNWANTED_PARTS.intersection(name.parts):
        yield f"lies in {min(hidden)}, which is made anew by tools"
    if size > FILE_BYTES:
        yield f"has {size} bytes, more than {FILE_BYTES}"


_Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.lru_cache(maxsize=1)
def _tree(text: str) -> ast.Module:
    """Return the syntax tree, kept for the next rule that judges the same text."""
    return ast.parse(text)


@functools.lru_cache(maxsize=1)
def _nodes(text: str) -> Sequence[ast.AST]:
    """Return every node of the syntax tree, kept likewise."""
    return [*ast.walk(_tree(text))]


def _length(function: _Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _functions(text: str) -> Iterator[_Function]:
    return (node for node in _nodes(text) if isinstance(node, _Function))


def _public_functions(tree: ast.Module | ast.ClassDef) -> Iterator[_Function]:
    for node in tree.body:
        if isinstance(node, _Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public_functions(node)


def _dotted_names(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """Each use of an imported name or of a built-in one, with its full dotted name."""
    aliases: dict[str, str] = {name: f"builtins.{name}" for name in _BUILTINS}
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                aliases[name.asname or name.name.partition(".")[0]] = (
                    name.name if name.asname else name.name.partition(".")[0]
                )
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                aliases[name.asname or name.name] = f"{node.module}.{name.name}"
                yield node.lineno, f"{node.module}.{name.name}"
    for node in nodes:
        if isinstance(node, (ast.Name, ast.Attribute)) and (dotted := _dotted(node, aliases)):
            yield node.lineno, dotted


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value, aliases)):
        return f"{owner}.{node.attr}"
    return None
