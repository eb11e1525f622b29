"""Where credentials are found: in an entry of clouds.yaml where openstacksdk looks for it, else in variables, else in
the file of the vendor's SDK. What one of them says is never completed by another, but for what is no secret."""

import configparser
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from fleetos.cloud.elsewhere import Command, password_from
from fleetos.cloud.identity import Credentials
from fleetos.cloud.profile import Asked, Entry, from_entry
from fleetos.cloud.proofs import Password
from fleetos.cloud.variables import from_sdk_file, from_variables, is_meant
from fleetos.errors import InputError, NoCredentials, Problem
from fleetos.limits import CREDENTIALS_FILE_BYTES, TEXT_MAX_LETTERS

_SUFFIXES = (".yaml", ".yml", ".json")
_SDK_FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
# Names of entries that one message lists.
_LISTED = 20
# Keys of all mappings of a file with merge keys (`<<`) followed: aliases of aliases multiply them.
_KEYS_MAX = 1_000_000
# What the parser raises for texts that it takes for something else and cannot make that of: `!!bool x`, `"\UFFFFFFFF"`.
_UNREADABLE = (YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)


class _Constructor(SafeConstructor):
    """Makes values of YAML, and gives up on a file whose merge keys would fill the memory."""

    keys_seen = 0

    def flatten_mapping(self, node: Any) -> None:
        untyped: Any = super()
        untyped.flatten_mapping(node)
        self.keys_seen += len(node.value)
        if self.keys_seen > _KEYS_MAX:
            raise ConstructorError(None, None, "too many keys", node.start_mark)


class _Loader(Protocol):
    """What is used of ruamel's YAML, with types."""

    Constructor: type

    def load(self, stream: bytes) -> object: ...


class _Mark(Protocol):
    """Where ruamel found what it cannot read; lines and columns count from 0."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Places:
    """The folders that are searched: the working directory, the user's home, and the machine's settings."""

    cwd: Path
    home: Path
    site: Path = Path("/etc/openstack")

    def folders(self, env: Mapping[str, str]) -> tuple[Path, ...]:
        """Return the folders in the order in which openstacksdk looks; the first file that is there is taken."""
        settings = Path(env["XDG_CONFIG_HOME"]) if env.get("XDG_CONFIG_HOME") else self.home / ".config"
        return (self.cwd, settings / "openstack", self.site)


async def load(cloud: str | None, region: str | None, env: Mapping[str, str], places: Places) -> Credentials:
    """Return the credentials of an entry of clouds.yaml, by default $OS_CLOUD, and without one those of the variables.

    `region` overrides the entry's. OS_CACERT counts where the entry names no certificates. A password that is kept
    elsewhere is asked for. Raises InputError that says what was looked for and where; NoCredentials, which is one,
    where nobody has given any.
    """
    asked = Asked(cloud or env.get("OS_CLOUD") or None, region)
    if asked.cloud is None:
        return _without_entry(env, asked, places)
    file, entry, secret_file = _find_entry(asked.cloud, env, places)
    found, elsewhere = from_entry(entry, asked, str(file))
    beside = "" if secret_file is None else f" and {secret_file}"
    if elsewhere is not None and isinstance(found.proof, Password):
        key = "password_command" if isinstance(elsewhere, Command) else "password_keyring"
        password = await password_from(elsewhere, str(file), f"clouds.{asked.cloud}.{key}")
        found = replace(found, proof=replace(found.proof, password=password))
        beside += f", password by {key}"
    found = replace(found, found_in=f"clouds.{asked.cloud} in {file}{beside}")
    if found.authorities is None and env.get("OS_CACERT"):
        return replace(found, authorities=env["OS_CACERT"])
    if found.authorities is not None and found.authorities.startswith("~/"):
        return replace(found, authorities=str(places.home / found.authorities[2:]))
    return found


def _without_entry(env: Mapping[str, str], asked: Asked, places: Places) -> Credentials:
    if not is_meant(env):
        given = env.get(_SDK_FILE)
        file = places.cwd / given if given else places.home / ".huaweicloud" / "credentials"
        if given and not _is_file(file):
            raise _wrong(str(file), "", "not a file that can be read", f"{_SDK_FILE} names it")
        if _is_file(file) and (values := _basic_of(file)):
            return replace(from_sdk_file(values, env, asked, str(file)), found_in=str(file))
        try:
            return from_variables(env, asked)
        except InputError as error:
            raise NoCredentials(error.problems) from None
    return from_variables(env, asked)


def _basic_of(file: Path) -> Mapping[str, str]:
    """The section `basic` of the file of the vendor's SDK, empty without one."""
    # A percent sign in a secret key is one.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_content(file).decode())
    except (configparser.Error, UnicodeDecodeError):
        raise _wrong(str(file), "", "not a file of sections with keys and values") from None
    return dict(parser["basic"]) if parser.has_section("basic") else {}


def _find_entry(cloud: str, env: Mapping[str, str], places: Places) -> tuple[Path, Entry, Path | None]:
    file, clouds = _find_clouds(cloud, env, places)
    if cloud not in clouds:
        near = get_close_matches(cloud, clouds, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"entries: {_names(clouds)}"
        raise _wrong(str(file), f"clouds.{cloud}", "an entry of that name", hint)
    entry = _mapping(clouds[cloud], str(file), f"clouds.{cloud}")
    secret_file = _first("secure", "OS_CLIENT_SECURE_FILE", env, places)
    if secret_file is not None:
        secrets = _clouds_of(secret_file).get(cloud)
        if secrets is not None:
            return file, _merged(entry, _mapping(secrets, str(secret_file), f"clouds.{cloud}")), secret_file
    return file, entry, None


def _names(clouds: Entry) -> str:
    names = sorted(clouds)
    more = [f"{len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join([name[:TEXT_MAX_LETTERS] for name in names[:_LISTED]] + more) or "none"


def _find_clouds(cloud: str, env: Mapping[str, str], places: Places) -> tuple[Path, Entry]:
    file = _first("clouds", "OS_CLIENT_CONFIG_FILE", env, places)
    if file is None:
        looked = ", ".join(str(folder / "clouds.yaml") for folder in places.folders(env))
        raise _wrong("clouds.yaml", f"clouds.{cloud}", "a file with this entry", f"looked for {looked}")
    return file, _clouds_of(file)


def _first(stem: str, variable: str, env: Mapping[str, str], places: Places) -> Path | None:
    """The file that a variable names, which must be there, or the first of that name in the folders."""
    if given := env.get(variable):
        file = places.cwd / given
        if not _is_file(file):
            raise _wrong(str(file), "", "not a file that can be read", f"{variable} names it")
        return file
    files = (folder / f"{stem}{suffix}" for folder in places.folders(env) for suffix in _SUFFIXES)
    return next((file for file in files if _is_file(file)), None)


def _is_file(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError):
        return False


def _clouds_of(file: Path) -> Entry:
    """The entries of a file. No error shows a line of it: the lines hold passwords."""
    name, content = str(file), _content(file)
    try:
        loader = cast("_Loader", YAML(typ="safe", pure=True))
        loader.Constructor = _Constructor
        read = loader.load(content)
    except MarkedYAMLError as error:
        mark = cast("_Mark | None", getattr(error, "problem_mark", None))
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    except _UNREADABLE:
        line, column = 1, 1
    else:
        return _mapping(_mapping({} if read is None else read, name, "").get("clouds") or {}, name, "clouds")
    raise InputError((Problem(name, line, column, "", "not YAML that can be read"),))


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(CREDENTIALS_FILE_BYTES + 1)
    except OSError as error:
        raise _wrong(str(file), "", "not a file that can be read", error.strerror) from None
    if len(content) > CREDENTIALS_FILE_BYTES:
        raise _wrong(str(file), "", f"not a file of at most {CREDENTIALS_FILE_BYTES} bytes")
    return content


def _mapping(value: object, file: str, key: str) -> Entry:
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) for name in cast("Mapping[object, object]", value)
    ):
        raise _wrong(file, key, "a mapping of names" if key else "not a mapping of names")
    return cast("Entry", value)


def _merged(entry: Entry, secrets: Entry) -> Entry:
    """The entry with the secrets laid over it; of the mappings in it only `auth` is read key by key."""
    ours, theirs = entry.get("auth"), secrets.get("auth")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return {**entry, **secrets, "auth": {**cast("Entry", ours), **cast("Entry", theirs)}}
    return {**entry, **secrets}


def _wrong(file: str, key: str, expected: str, hint: str | None = None) -> InputError:
    return InputError((Problem(file, None, None, key, expected, hint),))
