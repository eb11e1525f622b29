"""Location of a database: a file of SQLite or a PostgreSQL server. It never shows a password."""

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fleetos.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

_HAS_SCHEME = re.compile(r"^[a-z][a-z0-9+]*://", re.IGNORECASE)
# A mistyped URL: taken for a path it would create a folder with the password in its name.
_MISTYPED = re.compile(r"://|^\W*(?:postgres|sqlite)[a-z0-9+]*:", re.IGNORECASE)
# A file with options, as SQLite writes it: taken for a path it would create a folder `file:`.
_SQLITE_URI = re.compile(r"file:", re.IGNORECASE)
_URL_FORMAT = (
    "write it as postgresql://USER:PASSWORD@HOST:PORT/NAME, with '@', ':' and '/' in the password as %40, %3A, %2F"
)
# An unquoted '@' in the password makes the rest of it a part of the host; brackets are those of an address cut off.
_NO_HOST = re.compile(r"[@\[\]\s]")
_SQLITE = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


@dataclass(frozen=True, slots=True)
class Location:
    """Location of a database: `url` of PostgreSQL, or `path` of SQLite; `shown` is fit for any message."""

    url: "URL | None" = field(repr=False)
    path: Path | None
    shown: str

    def redact(self, text: str) -> str:
        """Remove this database's password from a text of the driver, which may quote it."""
        secrets = set[str]() if self.url is None else _secrets(self.url)
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def locate(text: str | Path) -> Location:
    """Parse a path or an SQLAlchemy URL.

    Raise UsageError for a URL of another kind of database, or one that cannot be read.
    """
    if isinstance(text, str) and _SQLITE_URI.match(text):
        raise UsageError(f"{text} is a URI of SQLite; fleetos sets its options itself", "give the path alone")
    if isinstance(text, Path) or not (_HAS_SCHEME.match(text) or _MISTYPED.search(text)):
        return _file_location(Path(text))
    url = _parse_url(text)
    if url.drivername in _SQLITE:
        if not url.database or url.database == ":memory:":
            raise UsageError("a run needs a database that outlives it", "give a path instead of a memory database")
        if url.query or _SQLITE_URI.match(url.database):
            raise UsageError("options in the URL of an SQLite database have no effect here", "give the path alone")
        return _file_location(Path(url.database))
    if url.drivername not in _POSTGRES:
        raise UsageError(
            f"databases of kind {url.drivername!r} are not supported", "give a path, or a postgresql:// URL"
        )
    if importlib.util.find_spec("psycopg") is None:
        raise UsageError("PostgreSQL needs a library that is not installed", "pip install 'fleetos[postgres]'")
    bare = type(url).create("postgresql", url.username, None, url.host, url.port, url.database)
    return Location(url.set(drivername="postgresql+psycopg"), None, bare.render_as_string())


def _parse_url(text: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text) if _HAS_SCHEME.match(text) else None
    except (ArgumentError, ValueError):
        url = None
    if url is None or _NO_HOST.search(url.host or ""):
        raise UsageError("the database URL cannot be read", _URL_FORMAT)
    return url


def _file_location(path: Path) -> Location:
    # Resolved, since SQLite keeps its other files beside the file itself, not beside a link to it.
    try:
        path = path.expanduser().resolve()
    except RuntimeError:
        raise UsageError(f"there is no home folder for the ~ in {path}", "set HOME, or write the whole path") from None
    except (ValueError, OSError):
        # A character that no path can hold, or links in a circle.
        raise UsageError("the path of the database cannot be one", "give another with --db") from None
    return Location(None, path, str(path))


def _secrets(url: "URL") -> set[str]:
    secrets = {url.password} if isinstance(url.password, str) else set[str]()
    for key, value in url.query.items():
        if "password" in key.lower():
            secrets.update((value,) if isinstance(value, str) else value)
    return {secret for secret in secrets if secret}
