"""Find the configuration files of openstacksdk, and decide which of them may be merged.

The working directory may be somebody else's, such as a clone of a repository. Files in it are read, as openstacksdk
does, but they are *foreign*, unless a variable names them: a foreign file is merged only with files of its own folder.
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
from fleetos.yaml_file import Bounds, UnreadableYaml, parse_pyyaml

# A file with credentials is a few kilobytes.
CREDENTIALS_FILE_BYTES = 2**20
_SUFFIXES = (".yaml", ".yml", ".json")
_VARIABLES = {"clouds": "OS_CLIENT_CONFIG_FILE", "secure": "OS_CLIENT_SECURE_FILE"}
# An entry is six levels deep. Aliases are almost unlimited, since nothing here follows them.
_BOUNDS = Bounds("file", depth=100, aliases=100_000)
# The key of the entries in each file.
_SECTIONS = {"clouds": "clouds", "secure": "clouds", "clouds-public": "public-clouds"}


@dataclass(frozen=True, slots=True)
class SearchFolders:
    """Folders to search: the working directory, the user's home, and the machine's settings."""

    cwd: Path
    home: Path
    site: Path = Path("/etc/openstack")

    def folders(self, env: Mapping[str, str]) -> tuple[Path, ...]:
        """Return the folders in the order of openstacksdk, which takes the first file that exists."""
        settings = (Path(env["XDG_CONFIG_HOME"]),) if env.get("XDG_CONFIG_HOME") else ()
        homes = tuple(folder / "openstack" for folder in (*settings, self.home / ".config"))
        return (self.cwd, *homes, self.site)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """Configuration file. `named`: a variable names it. `foreign`: it is in a working directory with no settings."""

    path: Path
    named: bool = False
    foreign: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the file, with links followed."""
        return _resolve(self.path).parent

    def may_merge_with(self, other: "FoundFile") -> bool:
        """Return whether the two files may be merged.

        They may if both are really in one folder, or if neither is foreign and they share a path or one is named. Links
        count by their target: a link in a foreign folder may lead out of it. A variable that names the user's secrets
        does not make a foreign file trusted.
        """
        beside = self.path.parent == other.path.parent or self.named or other.named
        return self.folder == other.folder or (beside and not (self.foreign or other.foreign))

    @property
    def distrust_reason(self) -> str | None:
        """Reason why this file must not start a program, None if it may."""
        if self.foreign:
            return "not a key that is heeded in a file of the working directory"
        status = self.path.stat()
        if status.st_uid not in (0, os.geteuid()):
            return "not a key that is heeded in another user's file"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return "not a key that is heeded in a file that others can write"
        return None


class ConfigFiles:
    """Configuration files in the folders, and those that variables name."""

    def __init__(self, env: Mapping[str, str], places: SearchFolders) -> None:
        self._env = env
        self._cwd = places.cwd
        self._folders = places.folders(env)
        self._own = {_resolve(folder) for folder in self._folders[1:]}

    def first(self, stem: str) -> FoundFile | None:
        """Return the file that a variable names, which must exist, else the first in the folders."""
        return next(self._all(stem), None)

    def beside(self, clouds: FoundFile, stem: str, entry: str) -> tuple[FoundFile, Entry] | None:
        """Return the file to merge with a clouds.yaml, and its content of the entry; None without either.

        Raise InputError if openstacksdk would take the entry from a file that must not be merged with it.
        """
        for file in self._all(stem):
            entries = read_entries(file.path, _SECTIONS[stem])
            value = entries.get(entry)
            both_own = stem != "secure" and not (clouds.foreign or file.foreign)
            if clouds.may_merge_with(file) or both_own:
                return (
                    None
                    if value is None
                    else (file, require_mapping(value, str(file.path), f"{_SECTIONS[stem]}.{entry}"))
                )
            if value is not None:
                raise _merge_error(clouds, file, f"{_SECTIONS[stem]}.{entry}")
        return None

    def describe_search(self, stem: str) -> str:
        """Return the paths that were tried, separated by commas."""
        return ", ".join(str(folder / f"{stem}.yaml") for folder in self._folders)

    def _all(self, stem: str) -> Iterator[FoundFile]:
        if named := self._env.get(_VARIABLES.get(stem, "")):
            file = self._cwd / named
            if not is_file(file):
                expected = "not a file that can be read"
                raise InputError((Problem(str(file), None, None, "", expected, f"{_VARIABLES[stem]} names it"),))
            yield FoundFile(file, named=True)
            return
        for number, folder in enumerate(self._folders):
            foreign = number == 0 and _resolve(folder) not in self._own
            for path in (folder / f"{stem}{suffix}" for suffix in _SUFFIXES):
                if is_file(path):
                    yield FoundFile(path, foreign=foreign)


def _merge_error(clouds: FoundFile, other: FoundFile, key: str) -> InputError:
    expected = f"not used for the entry in {clouds.path}: the files are in different folders"
    name = "OS_CLIENT_SECURE_FILE" if other.path.stem == "secure" and other.foreign else "OS_CLIENT_CONFIG_FILE"
    named = other if name == "OS_CLIENT_SECURE_FILE" else clouds
    hint = f"keep both in one folder; or if you trust {named.path}, name it: {name}={named.path}"
    if other.foreign and other.path.stem != "secure":
        hint = "keep both in one folder, or rename the profile"
    return InputError((Problem(str(other.path), None, None, key, expected, hint),))


def _resolve(path: Path) -> Path:
    """Resolve all links of a path; return it unchanged if that fails."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def is_file(file: Path) -> bool:
    """Return whether the path is a regular file."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError):
        return False


def read_entries(file: Path, section: str) -> Mapping[object, object]:
    """Return the entries of a file. Raise InputError."""
    content = _read_yaml(file)
    document = require_mapping({} if content is None else content, str(file), "")
    entries: object = document.get(section) or {}
    if not isinstance(entries, Mapping):
        raise InputError((Problem(str(file), None, None, section, "a mapping of names"),))
    return cast("Mapping[object, object]", entries)


def _read_yaml(file: Path) -> object:
    """Return the content of the file, None if it is empty. Raise InputError, which quotes no line and names no key."""
    content = read_credentials_file(file)
    try:
        return parse_pyyaml(decode_text(content), str(file), _BOUNDS)
    except (UnreadableFile, UnreadableYaml) as error:
        expected, hint, line, column = str(error), error.hint, error.line, error.column
        if isinstance(error, UnreadableYaml) and error.is_syntax:
            # The message of the parser may quote a letter of a secret.
            expected = ""
    expected = f"not YAML that can be read: {expected}".removesuffix(": ")
    raise InputError((Problem(str(file), line, column, "", expected, hint),))


def read_credentials_file(file: Path) -> bytes:
    """Return the bytes of a file of credentials. Raise InputError for one that cannot be read or is too long."""
    try:
        return read_bounded(file, CREDENTIALS_FILE_BYTES)
    except FileTooLarge:
        problem = Problem(str(file), None, None, "", f"not a file of at most {CREDENTIALS_FILE_BYTES} bytes")
    except UnreadableFile as error:
        problem = error.problem(file)
    raise InputError((problem,))


def require_mapping(value: object, file: str, key: str) -> Entry:
    """Return the value if it is a mapping with strings as keys. Raise InputError if not."""
    if not is_mapping(value):
        expected = "a mapping of names" if key else "not a mapping of names"
        raise InputError((Problem(file, None, None, key, expected),))
    return cast("Entry", value)
