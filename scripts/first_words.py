"""Check how docstrings of the package begin: with a noun phrase, or a verb in the imperative.

    python3 scripts/first_words.py fleetos

A sentence that begins with "What" or "Whether" has no actor and must be read twice.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# No docstring begins with these.
NEVER = frozenset(
    ("By", "From", "How", "Nothing", "What", "When", "Where", "Whether", "Which", "Who", "Whom", "Whose", "Why")
)
# No function begins with these: a function does something.
NO_VERBS = frozenset((
    "A", "About", "After", "All", "An", "At", "Called", "Each", "Every", "For", "In", "It", "Its", "No", "One",
    "Seconds",
    "Some", "That", "The", "This", "Those", "To", "Told", "Until",
))  # fmt: skip
# Verbs in the imperative that end as a third person would.
_IMPERATIVES = frozenset({"Access", "Bypass", "Discuss", "Dismiss", "Express", "Focus", "Pass", "Press", "Process"})

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def main(arguments: Sequence[str]) -> int:
    """Print each docstring that begins wrongly, and return 1 if there is one."""
    wrong = [line for folder in arguments for path in sorted(Path(folder).rglob("*.py")) for line in wrong_in(path)]
    for line in wrong:
        sys.stdout.write(f"{line}\n")
    return int(bool(wrong))


def wrong_in(path: Path) -> Iterator[str]:
    """Yield a line for each docstring of the file that begins wrongly."""
    for line, first_line in wrong_in_text(path.read_text(encoding="utf-8")):
        yield f"{path}:{line}: begins with no noun and no verb in the imperative: {first_line}"


def wrong_in_text(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and first line of each docstring that begins wrongly."""
    for node in ast.walk(ast.parse(text)):
        docstring = ast.get_docstring(node) if isinstance(node, _Documented) else None
        if docstring and _begins_wrongly(node, docstring.split()[0].strip(",.:;`\"'")):
            yield getattr(node, "lineno", 1), docstring.splitlines()[0]


def _begins_wrongly(node: ast.AST, word: str) -> bool:
    if word in NEVER:
        return True
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_property(node):
        return False
    is_third_person = word[:1].isupper() and word.endswith("s") and word not in _IMPERATIVES
    return word in NO_VERBS or is_third_person


def _is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
