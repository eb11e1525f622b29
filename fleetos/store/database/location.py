"""Where a database is: a file of SQLite or a PostgreSQL server. Never shows a password."""

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from fleetos.errors import UsageError

_HAS_SCHEME = re.compile(r"^[a-z][a-z0-9+]*://", re.IGNORECASE)
# Meant as a URL, and mistyped: as a path it would become a folder with the password in its name.
_MISTYPED = re.compile(r"://|^\W*(?:postgres|sqlite)[a-z0-9+]*:", re.IGNORECASE)
# As SQLite writes the options of a file; as a path it would make a folder `file:`.
_SQLITE_URI = re.compile(r"file:", re.IGNORECASE)
_SPELLING = (
    "write it as postgresql://USER:PASSWORD@HOST:PORT/NAME, with '@', ':' and '/' in the password as %40, %3A, %2F"
)
_SQLITE = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


@dataclass(frozen=True, slots=True)
class Location:
    """A database's place. `path` is the file of SQLite, None for PostgreSQL; `shown` is fit for any message."""

    url: URL = field(repr=False)
    path: Path | None
    shown: str

    def scrubbed(self, text: str) -> str:
        """The text of a driver without this database's password, should the driver have quoted it."""
        for secret in sorted(_secrets(self.url), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def locate(text: str | Path) -> Location:
    """The place that a path or an SQLAlchemy URL names.

    Raises UsageError for a URL of another kind of database, or one that cannot be read.
    """
    if isinstance(text, str) and _SQLITE_URI.match(text):
        raise UsageError(f"{text} is a URI of SQLite; fleetos sets its options itself", "give the path alone")
    if isinstance(text, Path) or not (_HAS_SCHEME.match(text) or _MISTYPED.search(text)):
        return _file(Path(text))
    url = _url(text)
    if url.drivername in _SQLITE:
        if not url.database or url.database == ":memory:":
            raise UsageError("a run needs a database that outlives it", "give a path instead of a memory database")
        if url.query or _SQLITE_URI.match(url.database):
            raise UsageError("options in the URL of an SQLite database have no effect here", "give the path alone")
        return _file(Path(url.database))
    if url.drivername not in _POSTGRES:
        raise UsageError(
            f"databases of kind {url.drivername!r} are not supported", "give a path, or a postgresql:// URL"
        )
    if importlib.util.find_spec("psycopg") is None:
        raise UsageError("PostgreSQL needs a library that is not installed", "pip install 'fleetos[postgres]'")
    bare = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    return Location(url.set(drivername="postgresql+psycopg"), None, bare.render_as_string())


def _url(text: str) -> URL:
    try:
        url = make_url(text) if _HAS_SCHEME.match(text) else None
    except (ArgumentError, ValueError):
        url = None
    # An unquoted '@' in the password makes the rest of it a part of the host. The cause would quote the URL.
    if url is None or "@" in (url.host or ""):
        raise UsageError("the database URL cannot be read", _SPELLING)
    return url


def _file(path: Path) -> Location:
    # Resolved, since SQLite keeps its other files beside the file itself, not beside a link to it.
    try:
        path = path.expanduser().resolve()
    except RuntimeError:
        raise UsageError(f"there is no home folder for the ~ in {path}", "set HOME, or write the whole path") from None
    except (ValueError, OSError):
        # A character that no path can hold, links that lead in a circle.
        raise UsageError("the path of the database cannot be one", "give another with --db") from None
    return Location(URL.create("sqlite+aiosqlite", database=str(path)), path, str(path))


def _secrets(url: URL) -> set[str]:
    found = {url.password} if isinstance(url.password, str) else set[str]()
    for key, value in url.query.items():
        if "password" in key.lower():
            found.update((value,) if isinstance(value, str) else value)
    return {secret for secret in found if secret}
