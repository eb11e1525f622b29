"""The direction of imports holds, and every contract of .importlinter breaks when it should."""

import ast
import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONTRACTS = ROOT / ".importlinter"
TIMEOUT_S = 120

# Distributions that work without being imported by name.
UNNAMED = {"aiosqlite": "SQLAlchemy imports it for an address that begins with sqlite+aiosqlite"}
# Distributions that another one brings in the one version that fits it.
BROUGHT = {"pydantic-core": "pydantic"}

# What to write into a module, and the contract that it must break, as import-linter words the break.
SPOILED = {
    "layers": [
        ("model/plan.py", "import fleetos.rules.decide", "fleetos.model is not allowed to import fleetos.rules"),
        (
            "rules/decide.py",
            "import fleetos.planning.plan_file.load",
            "fleetos.rules is not allowed to import fleetos.planning",
        ),
        ("limits.py", "import fleetos.ids", "fleetos.limits is not allowed to import fleetos.ids"),
        ("views/view.py", "import fleetos.cli.main", "fleetos.views is not allowed to import fleetos.cli"),
        ("stray.py", "", "The following modules are not listed as layers: - fleetos.stray"),
    ],
    "app": [
        ("app/doctor/cloud_checks.py", "import typer", "fleetos.app.doctor.cloud_checks -> typer"),
        ("app/doctor/cloud_checks.py", "import rich.text", "fleetos.app.doctor.cloud_checks -> rich"),
        ("app/doctor/cloud_checks.py", "import fleetos.cli.output", "cloud_checks -> fleetos.cli.output"),
    ],
    "app-layers": [
        (
            "app/survey.py",
            "import fleetos.app.control",
            "fleetos.app.survey is not allowed to import fleetos.app.control",
        ),
    ],
    "engine-parts": [
        ("engine/tracker.py", "import fleetos.engine.reconcile", "fleetos.engine.tracker -> fleetos.engine.reconcile")
    ],
    "cloud-parts": [
        (
            "cloud/http/transport.py",
            "import fleetos.cloud.auth.login",
            "fleetos.cloud.http is not allowed to import fleetos.cloud.auth",
        )
    ],
    "store-parts": [
        ("store/leases.py", "import fleetos.store.journal", "fleetos.store.leases -> fleetos.store.journal")
    ],
    "sim-parts": [
        (
            "sim/world/world.py",
            "import fleetos.sim.api.gateway",
            "fleetos.sim.world is not allowed to import fleetos.sim.api",
        )
    ],
    "rules-parts": [("rules/needs.py", "import fleetos.rules.decide", "fleetos.rules.needs -> fleetos.rules.decide")],
    "views-parts": [
        (
            "views/text/format.py",
            "import fleetos.views.terminal.live",
            "fleetos.views.text is not allowed to import fleetos.views.terminal",
        )
    ],
    "planning-parts": [
        (
            "planning/plan_file/units.py",
            "import fleetos.planning.preflight.orders",
            "fleetos.planning.plan_file is not allowed to import fleetos.planning.preflight",
        )
    ],
    "notify-parts": [
        ("notify/message.py", "import fleetos.notify.notifier", "fleetos.notify.message -> fleetos.notify.notifier")
    ],
    "engine": [("engine/engine.py", "import fleetos.store.journal", "fleetos.engine.engine -> fleetos.store.journal")],
    "views": [
        ("views/view.py", "import fleetos.cloud.http.transport", "fleetos.views.view -> fleetos.cloud.http.transport")
    ],
    "sim": [
        (
            "sim/world/world.py",
            "import fleetos.cloud.http.transport",
            "fleetos.sim.world.world -> fleetos.cloud.http.transport",
        )
    ],
    "pure": [
        ("rules/decide.py", "import anyio", "fleetos.rules.decide -> anyio"),
        ("model/run.py", "import time", "fleetos.model.run -> time"),
        ("app/doctor/cloud_rules.py", "import os", "fleetos.app.doctor.cloud_rules -> os"),
        ("app/doctor/database_rules.py", "import os", "fleetos.app.doctor.database_rules -> os"),
    ],
    "http": [
        ("cli/main.py", "import httpx", "fleetos.cli.main -> httpx"),
        ("sim/world/world.py", "import httpx", "fleetos.sim.world.world -> httpx"),
        ("engine/engine.py", "import aiohttp", "fleetos.engine.engine -> aiohttp"),
    ],
    "database": [
        ("cli/main.py", "from sqlalchemy import text", "fleetos.cli.main -> sqlalchemy"),
        ("engine/engine.py", "import sqlite3", "fleetos.engine.engine -> sqlite3"),
    ],
    "yaml": [("cli/main.py", "import ruamel.yaml", "fleetos.cli.main -> ruamel")],
    "terminal": [("engine/engine.py", "from rich.text import Text", "fleetos.engine.engine -> rich")],
    "commands": [("views/view.py", "import typer", "fleetos.views.view -> typer")],
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter's verdict on the package in that folder."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    env = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def flat(text: str) -> str:
    """The text with its line breaks and runs of blanks made one blank, since the report is wrapped."""
    return re.sub(r"\s+", " ", text)


def contracts() -> dict[str, str]:
    """The name of each contract, by its id."""
    config = configparser.ConfigParser()
    config.read(CONTRACTS, encoding="utf-8")
    sections = (section.removeprefix("importlinter:contract:") for section in config.sections())
    return {key: config[f"importlinter:contract:{key}"]["name"] for key in sections if key != "importlinter"}


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the package in which every contract was broken."""
    folder = tmp_path_factory.mktemp("spoiled")
    shutil.copy(CONTRACTS, folder)
    shutil.copytree(ROOT / "fleetos", folder / "fleetos", ignore=shutil.ignore_patterns("__pycache__"))
    for breaks in SPOILED.values():
        for module, line, _ in breaks:
            with (folder / "fleetos" / module).open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")
    done = lint(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    return flat(done.stdout)


def test_every_contract_is_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Contracts: {len(contracts())} kept, 0 broken." in done.stdout


def test_every_contract_has_something_that_breaks_it() -> None:
    assert set(SPOILED) == set(contracts())


@pytest.mark.parametrize("contract", SPOILED)
def test_a_contract_breaks_when_it_should(contract: str, spoiled: str) -> None:
    assert f"{contracts()[contract]} BROKEN" in spoiled
    for _, _, words in SPOILED[contract]:
        assert words in spoiled


def imported() -> Iterator[str]:
    """The top-level name of everything that the package imports."""
    for path in (ROOT / "fleetos").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def test_what_is_imported_is_what_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    optional = [text for extra in ("keyring", "openstack") for text in project["optional-dependencies"][extra]]
    extras = {canonicalize_name(Requirement(text).name) for text in optional}
    names = set(imported()) - set(sys.stdlib_module_names) - {"fleetos"}
    distributions = packages_distributions()
    used = {canonicalize_name(one) for name in names for one in distributions[name]} | set(UNNAMED)
    used = {BROUGHT.get(name, name) for name in used}
    assert not (asked - used), f"asked for in pyproject.toml and never imported: {sorted(asked - used)}"
    unasked = used - asked - extras
    assert not unasked, f"imported and not asked for in pyproject.toml: {sorted(unasked)}"
