"""Find credentials: clouds.yaml, environment, vendor file.

The first source with credentials is used: an entry of clouds.yaml, in the files that openstacksdk reads; the variables;
the file of the vendor's SDK. Secrets of one source are never combined with those of another.
"""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fleetos.cloud.auth.cloud_entry import CloudChoice, Entry, merge_entries
from fleetos.cloud.auth.clouds_yaml import from_entry
from fleetos.cloud.auth.config_files import (
    ConfigFiles,
    FoundFile,
    SearchFolders,
    is_file,
    read_credentials_file,
    read_entries,
    require_mapping,
)
from fleetos.cloud.auth.credentials import Credentials, Password, printable
from fleetos.cloud.auth.environment import from_sdk_file, from_variables, has_credentials
from fleetos.cloud.auth.password_sources import PasswordCommand, read_password
from fleetos.errors import InputError, NoCredentials, Problem
from fleetos.text import did_you_mean, join_some

_SDK_FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
# Most names of entries in one message.
_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Sources:
    """Entry with its secrets merged in, the public profile that it names, and the files of both."""

    entry: Entry
    public: Entry
    files: tuple[FoundFile, ...]


async def load(cloud: str | None, region: str | None, env: Mapping[str, str], folders: SearchFolders) -> Credentials:
    """Return the credentials of the entry `cloud` of clouds.yaml, by default $OS_CLOUD; without one, of other sources.

    `region` overrides the entry's. OS_CACERT applies if the entry names no certificates. A password in a command or
    keyring is read. Raise InputError that says where credentials were looked for; NoCredentials, a subclass, if there
    are none at all.
    """
    choice = CloudChoice(cloud or env.get("OS_CLOUD") or None, region, env.get("OS_REGION_NAME") or None)
    if choice.cloud is None:
        return _without_entry(env, choice, folders)
    sources = _find_entry(choice.cloud, ConfigFiles(env, folders))
    file = sources.files[0]
    credentials, password_source = from_entry(sources.entry, choice, str(file.path), sources.public)
    where = f"clouds.{choice.cloud} in {' and '.join(str(used.path) for used in sources.files)}"
    if password_source is not None and isinstance(credentials.proof, Password):
        key = "password_command" if isinstance(password_source, PasswordCommand) else "password_keyring"
        _check_trusted(sources.files, f"clouds.{choice.cloud}.{key}")
        password = await read_password(password_source, str(file.path), f"clouds.{choice.cloud}.{key}")
        credentials = replace(credentials, proof=replace(credentials.proof, password=password))
        where += f", password by {key}"
    notice = f"using {where}, of the working directory" if file.foreign else None
    credentials = replace(credentials, found_in=where, notice=notice)
    if credentials.authorities is None and env.get("OS_CACERT"):
        return replace(credentials, authorities=env["OS_CACERT"])
    if credentials.authorities is not None and credentials.authorities.startswith("~/"):
        return replace(credentials, authorities=str(folders.home / credentials.authorities[2:]))
    return credentials


def _check_trusted(files: tuple[FoundFile, ...], key: str) -> None:
    """Raise InputError if another user may have written a file that makes fleetos run a program or open a keyring."""
    for file in files:
        if (reason := file.distrust_reason) is not None:
            hint = f"chmod go-w {file.path}" if "write" in reason else f"trust it by OS_CLIENT_CONFIG_FILE={file.path}"
            if "another user" in reason:
                hint = "copy the entry to a file of your own"
            raise _input_error(str(file.path), key, reason, hint)


def _without_entry(env: Mapping[str, str], choice: CloudChoice, folders: SearchFolders) -> Credentials:
    if not has_credentials(env):
        named = env.get(_SDK_FILE)
        file = folders.cwd / named if named else folders.home / ".huaweicloud" / "credentials"
        if named and not is_file(file):
            raise _input_error(str(file), "", "not a file that can be read", f"{_SDK_FILE} names it")
        if is_file(file) and (values := _read_basic_section(file)):
            return replace(from_sdk_file(values, env, choice, str(file)), found_in=str(file))
        try:
            return from_variables(env, choice)
        except InputError as error:
            raise NoCredentials(error.problems) from None
    return from_variables(env, choice)


def _read_basic_section(file: Path) -> Mapping[str, str]:
    """Return the section `basic` of the vendor SDK's file, empty without one."""
    # Without interpolation: a percent sign in a secret key is literal.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_credentials_file(file).decode())
    except (configparser.Error, UnicodeDecodeError):
        raise _input_error(str(file), "", "not a file of sections with keys and values") from None
    return dict(parser["basic"]) if parser.has_section("basic") else {}


def _find_entry(cloud: str, files: ConfigFiles) -> _Sources:
    file = files.first("clouds")
    if file is None:
        looked = f"looked for {files.describe_search('clouds')}"
        raise _input_error("clouds.yaml", f"clouds.{cloud}", "not found: there is no clouds.yaml", looked)
    clouds = read_entries(file.path, "clouds")
    if cloud not in clouds:
        raise _input_error(str(file.path), f"clouds.{cloud}", "not found", _candidates(cloud, clouds))
    entry = require_mapping(clouds[cloud], str(file.path), f"clouds.{cloud}")
    used = [file]
    if (secrets := files.beside(file, "secure", cloud)) is not None:
        used.append(secrets[0])
        entry = merge_entries(entry, secrets[1])
    profile = entry["profile"] if "profile" in entry else entry.get("cloud")
    if not isinstance(profile, str) or (public := files.beside(file, "clouds-public", profile)) is None:
        return _Sources(entry, {}, tuple(used))
    return _Sources(entry, {profile: public[1]}, (*used, public[0]))


def _candidates(cloud: str, clouds: Mapping[object, object]) -> str:
    if any(str(name) == cloud for name in clouds):
        return f"YAML reads {printable(cloud)} as something else than a text: write the entry's name in quotes"
    names = sorted(name for name in clouds if isinstance(name, str))
    if suggestion := did_you_mean(cloud, names, spelled=repr):
        return suggestion
    return f"entries: {join_some([printable(name) for name in names], _LISTED) or 'none'}"


def _input_error(file: str, key: str, expected: str, hint: str | None = None) -> InputError:
    return InputError((Problem(file, None, None, key, expected, hint),))
