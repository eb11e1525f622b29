"""Plans on a desk: files in a folder, the servers and images of a cloud, and what loading makes of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from fleetos.errors import InputError, Problem
from fleetos.model.inventory import Image, Inventory, Server, ServerSnapshot
from fleetos.model.plan import Plan
from fleetos.model.run import Scope
from fleetos.planning.plan_file.load import load_plan

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCOPE = Scope("otc-prod", "eu-de", "0a1b2c", "https://ecs.example")
OLD, NEW = "image-old", "image-new"
DEBIAN = Image(NEW, "Debian", "active", os_type="Linux", virtual_env_type="FusionCompute")

HEAD = """\
version: 1
name: try
change: {image: Debian, keyname: key}
"""


def server_id(number: int) -> str:
    return f"616fb98f-46ca-475e-917e-{number:012x}"


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


def picture(
    status: str = "ACTIVE", *, image: str | None = OLD, disk: str | None = "disk-old", task: str | None = None
) -> ServerSnapshot:
    vm_state = {"ACTIVE": "active", "SHUTOFF": "stopped"}.get(status, "error")
    return ServerSnapshot(status, vm_state, task, 1 if status == "ACTIVE" else 4, disk, image)


def a_server(
    number: int, seen: ServerSnapshot | None = None, *, name: str | None = None, os_type: str = "Linux"
) -> Server:
    return Server(server_id(number), name or f"web-{number:02d}", seen or picture(), az="eu-de-01", os_type=os_type)


def inventory(servers: Iterable[Server]) -> Inventory:
    return Inventory({server.id: server for server in servers})


def places(problems: Iterable[Problem]) -> list[tuple[int | None, int | None, str]]:
    """Where the problems are."""
    return [(one.line, one.column, one.key) for one in problems]
