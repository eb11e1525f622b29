"""Each object of the engine changes by its own methods only: no module sets what belongs to another's object."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleetos

ENGINE = Path(fleetos.__file__).parent / "engine"
# Methods of containers that change them.
CHANGING = frozenset(
    {
        *("add", "append", "clear", "difference_update", "discard", "extend", "insert", "pop", "popitem", "popleft"),
        *("remove", "setdefault", "sort", "update"),
    }
)


def foreign_changes(text: str) -> Iterator[str]:
    """Yield each place where something is set in, or put into, an attribute of another object than `self`."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                changed = [part for target in targets for part in _parts(target)]
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.For(target=target):
                changed = list(_parts(target))
            case ast.Call(func=ast.Attribute(value=ast.Attribute() as container, attr=method)) if method in CHANGING:
                changed = [container]
            case _:
                continue
        yield from (f"{one.lineno}: {ast.unparse(one)}" for one in changed if _is_foreign(one))


def _parts(target: ast.expr) -> Iterator[ast.expr]:
    """Yield what an assignment sets: the parts of a tuple, and the container of an item."""
    match target:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _parts(part)
        case ast.Subscript(value=container):
            yield from _parts(container)
        case ast.Starred(value=part):
            yield from _parts(part)
        case _:
            yield target


def _is_foreign(changed: ast.expr) -> bool:
    if not isinstance(changed, ast.Attribute):
        return False
    return not (isinstance(changed.value, ast.Name) and changed.value.id == "self")


def test_the_engine_sets_nothing_in_an_object_of_another_module() -> None:
    files = sorted(ENGINE.rglob("*.py"))
    assert len(files) > 10
    wrong = [f"{path.name}:{one}" for path in files for one in foreign_changes(path.read_text(encoding="utf-8"))]
    assert wrong == []


@pytest.mark.parametrize(
    "sample",
    [
        "books.poll_s = 1",
        "books.watch.by_sweep = True",
        "self._books.now = now",
        "books.unswept += fresh",
        "wanted, books.unswept = books.unswept, []",
        "books.riders[server_id] = None",
        "del books.riders[server_id]",
        "books.reading.update(fresh)",
        "self._books.sweeping.discard(server_id)",
        "for books.now in moments: pass",
    ],
)
def test_a_foreign_change_is_seen(sample: str) -> None:
    assert len(list(foreign_changes(sample))) == 1


@pytest.mark.parametrize(
    "sample",
    [
        "self._reads.add(key)",
        "self._joined.setdefault(key, {}).update(more)",
        "self.now = now",
        "self._count[key] += 1",
        "found.append(one)",
        "due = books.take_due(1.0)",
        "queue.pop(now)",
    ],
)
def test_a_change_by_its_owner_is_left_alone(sample: str) -> None:
    assert not list(foreign_changes(sample))
