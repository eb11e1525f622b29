"""The folders show the architecture: how many files, which names, and one meaning for each class."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fleetos"
FILES_MAX = 15
# Names that end like a participle and are nouns of the field.
NOUNS = frozenset({"polling"})


def folders() -> list[Path]:
    """Return every package of the program."""
    return sorted(file.parent for file in PACKAGE.rglob("__init__.py"))


def test_no_folder_is_crowded() -> None:
    files = {str(folder.relative_to(ROOT)): len(set(folder.glob("*.py"))) - 1 for folder in folders()}
    assert not {folder: number for folder, number in files.items() if number > FILES_MAX}


def test_every_folder_says_what_is_in_it() -> None:
    silent = [folder for folder in folders() if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))]
    assert not silent


def test_no_file_is_named_by_a_participle_unless_it_is_a_state() -> None:
    names = {file for file in PACKAGE.rglob("*.py") if file.stem.endswith(("ing", "ed")) and file.stem not in NOUNS}
    assert not sorted(str(file) for file in names if file.parent != PACKAGE / "rules" / "states")


def test_a_class_name_has_one_meaning() -> None:
    defined: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].append(str(file.relative_to(ROOT)))
    assert not {name: places for name, places in defined.items() if len(places) > 1}
