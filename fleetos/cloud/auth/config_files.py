"""Which files of openstacksdk are read, and which of them may be put together.

A folder with a plan in it may be somebody else's: a clone of a repository. Of the working directory a file is read, as
openstacksdk does it, but it is *foreign*, unless a variable names it: nothing from elsewhere is laid over it, and it is
laid over nothing else.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fleetos.cloud.auth.cloud_entry import Entry, is_mapping
from fleetos.errors import InputError, Problem
from fleetos.files import FileTooLarge, UnreadableFile, decode_text, read_bounded
from fleetos.limits import CREDENTIALS_FILE_BYTES
from fleetos.yaml_file import Bounds, UnreadableYaml, parse_pyyaml

_SUFFIXES = (".yaml", ".yml", ".json")
_VARIABLES = {"clouds": "OS_CLIENT_CONFIG_FILE", "secure": "OS_CLIENT_SECURE_FILE"}
# An entry is six levels deep. Values are not counted: nothing here follows an alias, however many there are.
_BOUNDS = Bounds("file", depth=100, aliases=100_000)
# The key that holds the entries.
_SECTIONS = {"clouds": "clouds", "secure": "clouds", "clouds-public": "public-clouds"}


@dataclass(frozen=True, slots=True)
class SearchFolders:
    """The folders that are searched: the working directory, the user's home, and the machine's settings."""

    cwd: Path
    home: Path
    site: Path = Path("/etc/openstack")

    def folders(self, env: Mapping[str, str]) -> tuple[Path, ...]:
        """Return the folders in the order in which openstacksdk looks; the first file that is there is taken."""
        settings = (Path(env["XDG_CONFIG_HOME"]),) if env.get("XDG_CONFIG_HOME") else ()
        homes = tuple(one / "openstack" for one in (*settings, self.home / ".config"))
        return (self.cwd, *homes, self.site)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file. `named`: a variable names it. `foreign`: it is of a working directory that is no folder of settings."""

    path: Path
    named: bool = False
    foreign: bool = False

    @property
    def folder(self) -> Path:
        """Return the folder in which the file really is."""
        return _real(self.path).parent

    def goes_with(self, other: "FoundFile") -> bool:
        """Return whether the two may be put together: both are in one folder, or one is named and neither is foreign.

        A link in a foreign folder leads out of it. A variable that names the user's secrets trusts no other file with
        them.
        """
        beside = self.path.parent == other.path.parent or self.named or other.named
        return self.folder == other.folder or (beside and not (self.foreign or other.foreign))

    @property
    def untrusted(self) -> str | None:
        """Return why no program is run because of this file, None if it may be."""
        if self.foreign:
            return "not a key that is heeded in a file of the working directory"
        about = self.path.stat()
        if about.st_uid not in (0, os.geteuid()):
            return "not a key that is heeded in another user's file"
        if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return "not a key that is heeded in a file that others can write"
        return None


class ConfigFiles:
    """The files in the folders, and those that variables name."""

    def __init__(self, env: Mapping[str, str], places: SearchFolders) -> None:
        self._env = env
        self._cwd = places.cwd
        self._folders = places.folders(env)
        self._own = {_real(folder) for folder in self._folders[1:]}

    def first(self, stem: str) -> FoundFile | None:
        """Return the file that a variable names, which must be there, or the first in the folders."""
        return next(self._all(stem), None)

    def beside(self, clouds: FoundFile, stem: str, entry: str) -> tuple[FoundFile, Entry] | None:
        """Return the file to be put together with a clouds.yaml and what it says of an entry, None without either.

        Raises InputError where openstacksdk would take the entry of a file that is not to be put together with it.
        """
        for file in self._all(stem):
            entries = entries_of(file.path, _SECTIONS[stem])
            found = entries.get(entry)
            both_own = stem != "secure" and not (clouds.foreign or file.foreign)
            if clouds.goes_with(file) or both_own:
                return None if found is None else (file, mapping(found, str(file.path), f"{_SECTIONS[stem]}.{entry}"))
            if found is not None:
                raise _apart(clouds, file, f"{_SECTIONS[stem]}.{entry}")
        return None

    def looked_for(self, stem: str) -> str:
        """Return the paths that were tried, in words."""
        return ", ".join(str(folder / f"{stem}.yaml") for folder in self._folders)

    def _all(self, stem: str) -> Iterator[FoundFile]:
        if given := self._env.get(_VARIABLES.get(stem, "")):
            file = self._cwd / given
            if not is_file(file):
                expected = "not a file that can be read"
                raise InputError((Problem(str(file), None, None, "", expected, f"{_VARIABLES[stem]} names it"),))
            yield FoundFile(file, named=True)
            return
        for number, folder in enumerate(self._folders):
            foreign = number == 0 and _real(folder) not in self._own
            for path in (folder / f"{stem}{suffix}" for suffix in _SUFFIXES):
                if is_file(path):
                    yield FoundFile(path, foreign=foreign)


def _apart(clouds: FoundFile, other: FoundFile, key: str) -> InputError:
    expected = f"not used for the entry in {clouds.path}: the files are in different folders"
    name = "OS_CLIENT_SECURE_FILE" if other.path.stem == "secure" and other.foreign else "OS_CLIENT_CONFIG_FILE"
    named = other if name == "OS_CLIENT_SECURE_FILE" else clouds
    hint = f"keep both in one folder; or if you trust {named.path}, name it: {name}={named.path}"
    if other.foreign and other.path.stem != "secure":
        hint = "keep both in one folder, or rename the profile"
    return InputError((Problem(str(other.path), None, None, key, expected, hint),))


def _real(path: Path) -> Path:
    """The path with all links followed; what leads nowhere is left as it is."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def is_file(file: Path) -> bool:
    """Return whether there is a regular file."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError):
        return False


def entries_of(file: Path, section: str) -> Mapping[object, object]:
    """Return the entries of a file. Raises InputError."""
    read = _read_yaml(file)
    whole = mapping({} if read is None else read, str(file), "")
    entries: object = whole.get(section) or {}
    if not isinstance(entries, Mapping):
        raise InputError((Problem(str(file), None, None, section, "a mapping of names"),))
    return cast("Mapping[object, object]", entries)


def _read_yaml(file: Path) -> object:
    """Return what the file holds, None for an empty one. Raise InputError, which quotes no line and names no key."""
    content = read_credentials_file(file)
    try:
        return parse_pyyaml(decode_text(content), str(file), _BOUNDS)
    except (UnreadableFile, UnreadableYaml) as bad:
        expected, hint, line, column = str(bad), bad.hint, bad.line, bad.column
        if isinstance(bad, UnreadableYaml) and bad.is_syntax:
            # What the parser says may name a letter of a secret.
            expected = ""
    expected = f"not YAML that can be read: {expected}".removesuffix(": ")
    raise InputError((Problem(str(file), line, column, "", expected, hint),))


def read_credentials_file(file: Path) -> bytes:
    """Return the bytes of a file of credentials. Raise InputError for one that cannot be read or is too long."""
    try:
        return read_bounded(file, CREDENTIALS_FILE_BYTES)
    except FileTooLarge:
        problem = Problem(str(file), None, None, "", f"not a file of at most {CREDENTIALS_FILE_BYTES} bytes")
    except UnreadableFile as bad:
        problem = bad.problem(file)
    raise InputError((problem,))


def mapping(value: object, file: str, key: str) -> Entry:
    """Return a value that is a mapping with texts as its keys. Raises InputError for any other."""
    if not is_mapping(value):
        expected = "a mapping of names" if key else "not a mapping of names"
        raise InputError((Problem(file, None, None, key, expected),))
    return cast("Entry", value)
