"""The lock says what is installed, to the hash, and not from where; and it fits what pyproject.toml asks for."""

import functools
import importlib.util
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@functools.cache
def read(name: str) -> dict[str, Any]:
    """A TOML file of the project."""
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def lock_script() -> ModuleType:
    """scripts/lock.py as a module."""
    spec = importlib.util.spec_from_file_location("lock_script", ROOT / "scripts" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(*, without: str | None = None) -> list[Requirement]:
    """Every requirement of pyproject.toml, those of the extras too but for one, and not the project itself."""
    project = read("pyproject.toml")["project"]
    extras = {name: extra for name, extra in project["optional-dependencies"].items() if name != without}
    texts = [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    requirements = [Requirement(text) for text in texts]
    return [one for one in requirements if one.name != project["name"]]


def locked() -> dict[str, dict[str, Any]]:
    """Every package of the lock by its name, but for the project itself."""
    packages: list[dict[str, Any]] = read("uv.lock")["package"]
    return {package["name"]: package for package in packages if package["source"] != {"editable": "."}}


def test_every_package_has_a_version_and_hashes_and_no_host() -> None:
    assert "://" not in (ROOT / "uv.lock").read_text(encoding="utf-8")
    packages = locked()
    assert len(packages) > len(asked())
    for name, package in packages.items():
        assert package["version"], name
        assert package["source"] == {"registry": lock_script().FOLDER}, name
        files: list[dict[str, Any]] = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, name
        for file in files:
            assert SHA256.fullmatch(file["hash"]), name
            assert re.fullmatch(r"[\w.+!-]+\.(whl|tar\.gz|zip)", file["path"]), name


@pytest.mark.parametrize("requirement", asked(), ids=str)
def test_what_is_locked_is_what_is_asked_for(requirement: Requirement) -> None:
    package = locked()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(package["version"])
    for extra in requirement.extras:
        assert extra in package["optional-dependencies"]


def test_the_lock_was_written_for_this_pyproject() -> None:
    (own,) = [package for package in read("uv.lock")["package"] if package["source"] == {"editable": "."}]
    noted = {(one["name"], one.get("specifier", "")) for one in own["metadata"]["requires-dist"]}
    wanted = {(canonicalize_name(one.name), normal(str(one.specifier))) for one in asked()}
    assert {(name, normal(specifier)) for name, specifier in noted} == wanted


def normal(specifier: str) -> str:
    """The specifier with its parts in one order."""
    return ",".join(sorted(specifier.replace(" ", "").split(",")))


def test_hosts_are_taken_out_of_a_lock() -> None:
    host = "https://registry.example"
    lock = (
        f'source = {{ registry = "{host}/simple" }}\nsdist = {{ url = "{host}/a/b/x-1.tar.gz", hash = "sha256:0" }}\n'
    )
    wanted = 'source = { registry = "wheels" }\nsdist = { path = "x-1.tar.gz", hash = "sha256:0" }\n'
    assert lock_script().without_hosts(lock) == wanted
    assert lock_script().without_hosts(wanted) == wanted


def test_an_address_of_another_kind_is_not_let_through() -> None:
    with pytest.raises(ValueError, match="an address is left"):
        lock_script().without_hosts('source = { git = "https://git.example/x?rev=1" }')


def test_what_is_installed_is_what_is_asked_for() -> None:
    # Nothing but the benchmarks needs what fleetos is measured beside, so it need not be there.
    installed = asked(without="bench")
    wrong = [f"{one} but {version(one.name)}" for one in installed if not one.specifier.contains(version(one.name))]
    assert not wrong
