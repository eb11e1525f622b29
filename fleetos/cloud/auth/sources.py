"""Where credentials are found: in an entry of clouds.yaml where openstacksdk looks for it, else in variables, else in
the file of the vendor's SDK. What one of them says is never completed by another, but for what is no secret."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fleetos.cloud.auth.cloud_entry import CloudChoice, Entry, overlaid
from fleetos.cloud.auth.clouds_yaml import from_entry
from fleetos.cloud.auth.config_files import (
    ConfigFiles,
    FoundFile,
    SearchFolders,
    entries_of,
    is_file,
    mapping,
    read_credentials_file,
)
from fleetos.cloud.auth.credentials import Credentials, Password, shown
from fleetos.cloud.auth.environment import from_sdk_file, from_variables, is_meant
from fleetos.cloud.auth.password_sources import PasswordCommand, password_from
from fleetos.errors import InputError, NoCredentials, Problem
from fleetos.text import did_you_mean

_SDK_FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
# Names of entries that one message lists.
_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Sources:
    """An entry with its secrets laid over it, profiles that it may name, and the files that all of it is from."""

    entry: Entry
    public: Entry
    files: tuple[FoundFile, ...]


async def load(cloud: str | None, region: str | None, env: Mapping[str, str], places: SearchFolders) -> Credentials:
    """Return the credentials of an entry of clouds.yaml, by default $OS_CLOUD, and without one those of the variables.

    `region` overrides the entry's. OS_CACERT counts where the entry names no certificates. A password that is kept
    elsewhere is asked for. Raises InputError that says what was looked for and where; NoCredentials, which is one,
    where nobody has given any.
    """
    asked = CloudChoice(cloud or env.get("OS_CLOUD") or None, region, env.get("OS_REGION_NAME") or None)
    if asked.cloud is None:
        return _without_entry(env, asked, places)
    sources = _find_entry(asked.cloud, ConfigFiles(env, places))
    file = sources.files[0]
    found, elsewhere = from_entry(sources.entry, asked, str(file.path), sources.public)
    where = f"clouds.{asked.cloud} in {' and '.join(str(one.path) for one in sources.files)}"
    if elsewhere is not None and isinstance(found.proof, Password):
        key = "password_command" if isinstance(elsewhere, PasswordCommand) else "password_keyring"
        _check_trusted(sources.files, f"clouds.{asked.cloud}.{key}")
        password = await password_from(elsewhere, str(file.path), f"clouds.{asked.cloud}.{key}")
        found = replace(found, proof=replace(found.proof, password=password))
        where += f", password by {key}"
    notice = f"using {where}, of the working directory" if file.foreign else None
    found = replace(found, found_in=where, notice=notice)
    if found.authorities is None and env.get("OS_CACERT"):
        return replace(found, authorities=env["OS_CACERT"])
    if found.authorities is not None and found.authorities.startswith("~/"):
        return replace(found, authorities=str(places.home / found.authorities[2:]))
    return found


def _check_trusted(files: tuple[FoundFile, ...], key: str) -> None:
    """Refuse to run a program, or to open a keyring, because of a file that somebody else may have written."""
    for one in files:
        if (why := one.untrusted) is not None:
            hint = f"chmod go-w {one.path}" if "write" in why else f"trust it by OS_CLIENT_CONFIG_FILE={one.path}"
            if "another user" in why:
                hint = "copy the entry to a file of your own"
            raise _wrong(str(one.path), key, why, hint)


def _without_entry(env: Mapping[str, str], asked: CloudChoice, places: SearchFolders) -> Credentials:
    if not is_meant(env):
        given = env.get(_SDK_FILE)
        file = places.cwd / given if given else places.home / ".huaweicloud" / "credentials"
        if given and not is_file(file):
            raise _wrong(str(file), "", "not a file that can be read", f"{_SDK_FILE} names it")
        if is_file(file) and (values := _basic_of(file)):
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
        parser.read_string(read_credentials_file(file).decode())
    except (configparser.Error, UnicodeDecodeError):
        raise _wrong(str(file), "", "not a file of sections with keys and values") from None
    return dict(parser["basic"]) if parser.has_section("basic") else {}


def _find_entry(cloud: str, files: ConfigFiles) -> _Sources:
    file = files.first("clouds")
    if file is None:
        looked = f"looked for {files.looked_for('clouds')}"
        raise _wrong("clouds.yaml", f"clouds.{cloud}", "not found: there is no clouds.yaml", looked)
    clouds = entries_of(file.path, "clouds")
    if cloud not in clouds:
        raise _wrong(str(file.path), f"clouds.{cloud}", "not found", _candidates(cloud, clouds))
    entry = mapping(clouds[cloud], str(file.path), f"clouds.{cloud}")
    used = [file]
    if (secrets := files.beside(file, "secure", cloud)) is not None:
        used.append(secrets[0])
        entry = overlaid(entry, secrets[1])
    profile = entry["profile"] if "profile" in entry else entry.get("cloud")
    if not isinstance(profile, str) or (public := files.beside(file, "clouds-public", profile)) is None:
        return _Sources(entry, {}, tuple(used))
    return _Sources(entry, {profile: public[1]}, (*used, public[0]))


def _candidates(cloud: str, clouds: Mapping[object, object]) -> str:
    if any(str(name) == cloud for name in clouds):
        return f"YAML reads {shown(cloud)} as something else than a text: write the entry's name in quotes"
    names = sorted(name for name in clouds if isinstance(name, str))
    if near := did_you_mean(cloud, names, spelled=repr):
        return near
    more = [f"{len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return f"entries: {', '.join([shown(name) for name in names[:_LISTED]] + more) or 'none'}"


def _wrong(file: str, key: str, expected: str, hint: str | None = None) -> InputError:
    return InputError((Problem(file, None, None, key, expected, hint),))
