"""Paths and URLs of databases, and that no password is ever shown."""

from pathlib import Path

import pytest

from fleetos.errors import UsageError
from fleetos.store.database.location import locate

SECRET = "geheim-42"


@pytest.mark.parametrize("given", ["fleet.db", "sqlite:///{cwd}/fleet.db", "sqlite+aiosqlite:///{cwd}/fleet.db"])
def test_a_file_is_found_by_path_and_by_url(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    location = locate(given.format(cwd=tmp_path))
    assert location.path == tmp_path / "fleet.db"
    assert location.shown == str(tmp_path / "fleet.db")


def test_a_path_may_hold_any_letters(tmp_path: Path) -> None:
    odd = tmp_path / "a b?c#d%20:e"
    assert locate(odd).path == odd
    assert locate(str(odd)).path == odd


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_password_is_in_no_repr_and_no_text(scheme: str) -> None:
    location = locate(f"{scheme}://fleet:{SECRET}@db.example:5433/runs?sslpassword={SECRET}2&sslmode=require")
    assert location.path is None
    assert location.url is not None
    assert location.url.drivername == "postgresql+psycopg"
    assert location.url.password == SECRET
    assert location.url.query["sslmode"] == "require"
    assert location.shown == "postgresql://fleet@db.example:5433/runs"
    assert SECRET not in repr(location)
    assert location.redact(f"refused {SECRET}2 and {SECRET}") == "refused *** and ***"


@pytest.mark.parametrize(
    "given",
    [
        f"postgresql://fleet:{SECRET}@db:port/runs",
        f"mysql://fleet:{SECRET}@db/runs",
        f"postgresql+asyncpg://fleet:{SECRET}@db/runs",
        f"postgresql:/fleet:{SECRET}@db/runs",
        f"postgresql:fleet:{SECRET}@db/runs",
        f" postgresql://fleet:{SECRET}@db/runs",
        f"'postgresql://fleet:{SECRET}@db/runs'",
        f"jdbc:postgresql://fleet:{SECRET}@db/runs",
        f"Postgres:/fleet:{SECRET}@db/runs",
        f"postgresql://fleet:x@{SECRET}@db/runs",
        f"://fleet:{SECRET}@db/runs",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_other_urls_are_refused_without_quoting_them(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        locate(given)
    assert SECRET not in f"{refused.value} {refused.value.hint} {refused.value.__cause__}"
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
