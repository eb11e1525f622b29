"""Plans as files in a folder, and what loading makes of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from fleetos.errors import InputError, Problem
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.load import load_plan

HEAD = """\
version: 1
name: try
change: {image: Debian, keyname: key}
"""


@dataclass(frozen=True)
class PlanFolder:
    """A folder for plans."""

    folder: Path

    def write(self, name: str, content: str | bytes) -> Path:
        """A file with the content, in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def plan(self, text: str | bytes, files: Mapping[str, str | bytes] | None = None) -> Plan:
        """The plan of that text."""
        for name, content in (files or {}).items():
            self.write(name, content)
        return load_plan(self.write("plan.yaml", text if isinstance(text, bytes) else dedent(text)))

    def problems(self, text: str | bytes, files: Mapping[str, str | bytes] | None = None) -> tuple[Problem, ...]:
        """What is wrong with the plan of that text."""
        with pytest.raises(InputError) as caught:
            self.plan(text, files)
        return caught.value.problems

    def problem(self, text: str | bytes, files: Mapping[str, str | bytes] | None = None) -> Problem:
        """The only thing that is wrong with the plan of that text."""
        problems = self.problems(text, files)
        assert len(problems) == 1, "\n".join(str(one) for one in problems)
        return problems[0]


def places(problems: Iterable[Problem]) -> list[tuple[int | None, int | None, str]]:
    """Where the problems are."""
    return [(one.line, one.column, one.key) for one in problems]
