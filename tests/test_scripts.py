"""The checks of scripts/lint bite on small samples, and the page of the tree is up to date."""

import functools
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FIRST_WORDS = ROOT / "scripts" / "first_words.py"


@functools.cache
def check() -> ModuleType:
    """Return the script that checks first words, imported."""
    spec = spec_from_file_location("first_words", FIRST_WORDS)
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.mark.parametrize(
    "sample",
    [
        '"""What a module knows."""',
        'class A:\n    """Whoever asks."""\n    def f(self):\n        """Whether it is open."""',
        'def f():\n    """The number of servers."""',
        'def f():\n    """Returns the number of servers."""',
        'async def f():\n    """Nothing, once it is done."""',
    ],
)
def test_a_docstring_that_begins_wrongly_is_named(
    tmp_path: Path, sample: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sample.py").write_text(sample, encoding="utf-8")
    assert check().main([str(tmp_path)]) == 1
    assert f"{tmp_path}/sample.py:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "sample",
    [
        '"""Token bucket."""',
        'def f():\n    """Return the number of servers."""',
        'def f():\n    """Pass the request on."""',
        'class A:\n    """The law of states."""\n    @property\n    def f(self):\n        """The state."""',
        "def f():\n    return 1",
    ],
)
def test_a_docstring_that_begins_well_is_left_alone(tmp_path: Path, sample: str) -> None:
    (tmp_path / "sample.py").write_text(sample, encoding="utf-8")
    assert check().main([str(tmp_path)]) == 0


def test_the_package_begins_its_docstrings_well() -> None:
    command = [sys.executable, str(FIRST_WORDS), str(ROOT / "fleetos")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_page_of_the_tree_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "tree_page.py"), str(ROOT / "docs" / "tree.md"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "run: python3 scripts/tree_page.py docs/tree.md"
