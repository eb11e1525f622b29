"""A deliberate fault as patches of the source, and how they are applied to a copy of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# By this seed a fault must have been found, unless its mutation says otherwise.
SEEDS = 300


class StalePatchError(Exception):
    """The source has moved on, and a patch no longer says where its fault belongs."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One place: the file below the project's root, the text that stands there exactly once, and what replaces it."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A fault and the invariant whose own checker must find it by seed `seeds` at the latest. `told` says the fault."""

    name: str
    invariant: str
    told: str
    patches: tuple[Patch, ...]
    seeds: int = SEEDS


def mutated(mutation: Mutation, source_of: Callable[[str], str]) -> dict[str, str]:
    """Return the new text of every file that the mutation changes. Raises StalePatchError."""
    texts: dict[str, str] = {}
    for patch in mutation.patches:
        text = texts[patch.path] if patch.path in texts else source_of(patch.path)
        if (times := text.count(patch.old)) != 1:
            first = patch.old.strip().splitlines()[0]
            raise StalePatchError(f"{mutation.name}: {patch.path} has {times} times, not once: {first}")
        texts[patch.path] = text.replace(patch.old, patch.new)
    return texts


def source_below(root: Path) -> Callable[[str], str]:
    """Return what reads the files of a source tree; one that is not there reads as empty."""

    def source_of(path: str) -> str:
        file = root / path
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    return source_of


def apply(mutation: Mutation, root: Path) -> None:
    """Change the files below the root. Raises StalePatchError, and has changed nothing then."""
    for path, text in mutated(mutation, source_below(root)).items():
        (root / path).write_text(text, encoding="utf-8")
