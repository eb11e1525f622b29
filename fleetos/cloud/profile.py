"""From an entry of clouds.yaml to credentials. Pure; nothing here shows a value in an error."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from fleetos.cloud.elsewhere import Command, Elsewhere, Keyring
from fleetos.cloud.hosts import PROFILES, is_region, vendor_profile
from fleetos.cloud.identity import Credentials, is_project_id
from fleetos.cloud.proofs import AccessKey, GivenToken, Password, Proof
from fleetos.cloud.values import fault_in_header, fault_of
from fleetos.errors import InputError, Problem

Entry = Mapping[str, object]
Way = Literal["password", "token", "aksk"]

# What `auth_type` and OS_AUTH_TYPE may say. The names of openstacksdk, and one of ours for what it does not know.
WAYS: Mapping[str, Way] = {
    "password": "password",
    "v3password": "password",
    "token": "token",
    "v3token": "token",
    "aksk": "aksk",
}
WAYS_IN_WORDS = "password, token or aksk"
_SERVICES = ("ecs", "ims", "evs", "kms", "eps")
# Keys of `auth` that mean a way to log in that there is not.
_OTHER_WAYS = ("application_credential_id", "application_credential_name", "passcode", "trust_id")
# A login of openstacksdk fails by a key of `auth` that it does not know, and passes by any other of the entry.
_BESIDE_AUTH = ("password_command", "password_keyring")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the plan and the command line say, before any file: the cloud's name and the region."""

    cloud: str | None
    region: str | None


class _Reader:
    """Reads texts out of one entry and gathers what is wrong with it."""

    def __init__(self, file: str, key: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._key = key

    def wrong(self, key: str, expected: str, hint: str | None = None) -> None:
        self.problems.append(Problem(self._file, None, None, f"{self._key}.{key}", expected, hint))

    def text(
        self, entry: Entry, key: str, under: str = "", fault: Callable[[str], str | None] = fault_of
    ) -> str | None:
        """The text at the key; None where there is none, or with a problem at `under` and the key."""
        value = entry.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.wrong(f"{under}{key}", "a text", "write it in quotes: YAML reads it as something else")
            return None
        if (found := fault(value)) is not None:
            self.wrong(f"{under}{key}", found)
            return None
        return value

    def truth(self, entry: Entry, key: str, *, default: bool) -> bool:
        value = entry.get(key, default)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, "true or false")
            return default
        return value

    def part(self, entry: Entry, key: str) -> Entry:
        value = entry.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.wrong(key, "a mapping")
            return {}
        return cast("Entry", value)


def from_entry(entry: Entry, asked: Asked, file: str) -> tuple[Credentials, Elsewhere | None]:
    """Return the credentials of an entry of clouds.yaml, secrets merged in, and where a password is that is not in it.

    Raises InputError with all the problems of the entry.
    """
    reader = _Reader(file, f"clouds.{asked.cloud}")
    auth = reader.part(entry, "auth")
    way = _way(reader, entry, auth)
    region = asked.region or reader.text(entry, "region_name") or _only_region(entry.get("regions"))
    profile = reader.text(entry, "profile") or reader.text(entry, "cloud")
    needed = way != "aksk"
    auth_url, region = _auth_url(reader, reader.text(auth, "auth_url", "auth."), profile, region, needed=needed)
    project_name = reader.text(auth, "project_name", "auth.") or reader.text(auth, "tenant_name", "auth.")
    project_id = reader.text(auth, "project_id", "auth.") or reader.text(auth, "tenant_id", "auth.")
    elsewhere = _elsewhere(reader, entry, auth) if way == "password" else None
    proof: Proof
    if way == "password":
        proof = _password(reader, auth, elsewhere)
        if project_name is None and project_id is None:
            reader.wrong("auth.project_name", "a value, in the cloud's entry")
    elif way == "token":
        token = reader.text(auth, "token", "auth.", fault_in_header)
        if token is None:
            reader.wrong("auth.token", "a value, in clouds.yaml or secure.yaml")
        proof = GivenToken(token or "")
    else:
        proof = _access_key(reader, entry, auth)
        if project_id is not None and not is_project_id(project_id):
            reader.wrong("auth.project_id", "an id, of letters, digits and hyphens")
        if region is not None and not is_region(region):
            reader.wrong("region_name", _A_REGION)
    endpoints = {service: reader.text(entry, f"{service}_endpoint_override") for service in _SERVICES}
    found = Credentials(
        auth_url=auth_url,
        proof=proof,
        cloud=asked.cloud,
        project_name=project_name,
        project_id=project_id,
        project_domain_name=reader.text(auth, "project_domain_name", "auth."),
        project_domain_id=reader.text(auth, "project_domain_id", "auth."),
        region=region,
        interface=(reader.text(entry, "interface") or "public").removesuffix("URL"),
        authorities=reader.text(entry, "cacert"),
        verify=reader.truth(entry, "verify", default=True),
        insecure_http=reader.truth(entry, "insecure_http", default=False),
        endpoints={service: address for service, address in endpoints.items() if address is not None},
    )
    if reader.problems:
        raise InputError(tuple(reader.problems))
    return found, elsewhere


def _way(reader: _Reader, entry: Entry, auth: Entry) -> Way:
    """The way to log in: the one that is named, else the first of which there is something, the most lasting first."""
    for key in _OTHER_WAYS:
        if auth.get(key):
            reader.wrong(f"auth.{key}", WAYS_IN_WORDS, f"a login by {key} is not supported by this version")
    kind = reader.text(entry, "auth_type")
    if kind is not None:
        if kind not in WAYS:
            reader.wrong("auth_type", WAYS_IN_WORDS, "auth_type names a way that this version does not know")
        return WAYS.get(kind, "password")
    if auth.get("username") or auth.get("password") or any(entry.get(key) for key in _BESIDE_AUTH):
        return "password"
    if any(one.get(key) for one in (entry, auth) for key in ("ak", "sk", "access_key", "secret_key")):
        return "aksk"
    return "token" if auth.get("token") else "password"


def _password(reader: _Reader, auth: Entry, elsewhere: Elsewhere | None) -> Password:
    username, password = reader.text(auth, "username", "auth."), reader.text(auth, "password", "auth.")
    domain_name, domain_id = reader.text(auth, "domain_name", "auth."), reader.text(auth, "domain_id", "auth.")
    if username is None:
        reader.wrong("auth.username", "a value, in the cloud's entry")
    if password is None and elsewhere is None:
        reader.wrong("auth.password", "a value, in clouds.yaml or secure.yaml", "or a password_command in the entry")
    return Password(
        username or "",
        password or "",
        reader.text(auth, "user_domain_name", "auth.") or domain_name,
        reader.text(auth, "user_domain_id", "auth.") or domain_id,
    )


def _access_key(reader: _Reader, entry: Entry, auth: Entry) -> AccessKey:
    """The key, beside `auth` as the vendor's tools have it, or in it."""

    def first(*names: str) -> str | None:
        found = (
            reader.text(one, name, under, fault_in_header)
            for one, under in ((entry, ""), (auth, "auth."))
            for name in names
        )
        return next((value for value in found if value is not None), None)

    access, secret = first("ak", "access_key"), first("sk", "secret_key")
    for key, value in (("ak", access), ("sk", secret)):
        if value is None:
            reader.wrong(key, "a value, in clouds.yaml or secure.yaml")
    return AccessKey(access or "", secret or "", first("security_token"))


def _elsewhere(reader: _Reader, entry: Entry, auth: Entry) -> Elsewhere | None:
    for key in _BESIDE_AUTH:
        if key in auth:
            reader.wrong(f"auth.{key}", "not a key of auth", "write it beside auth: other tools fail by keys in auth")
    command, keyring = _command(reader, entry.get("password_command")), _keyring(reader, entry)
    given = [name for name in _BESIDE_AUTH if entry.get(name)] + (["auth.password"] if auth.get("password") else [])
    if len(given) > 1:
        reader.wrong(given[0], f"one password, not {' and '.join(given)}")
    return command or keyring


def _command(reader: _Reader, value: object) -> Command | None:
    if value is None or value == "":
        return None
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError:
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in cast("list[object]", words)):
        reader.wrong("password_command", "a program and its arguments: a list of texts, or a text with closed quotes")
        return None
    return Command(tuple(cast("list[str]", words)))


def _keyring(reader: _Reader, entry: Entry) -> Keyring | None:
    given = reader.part(entry, "password_keyring")
    if not given:
        return None
    service, user = reader.text(given, "service", "password_keyring."), reader.text(given, "user", "password_keyring.")
    for key, value in (("service", service), ("user", user)):
        if value is None:
            reader.wrong(f"password_keyring.{key}", "a value")
    return Keyring(service or "", user or "")


def _auth_url(
    reader: _Reader, given: str | None, profile: str | None, region: str | None, *, needed: bool
) -> tuple[str | None, str | None]:
    """The address of IAM and the region, from what the entry says and what its profile stands for."""
    if given is not None:
        return given, region or PROFILES.get(profile or "", ("", None))[1]
    if profile is None:
        if needed:
            reader.wrong("auth.auth_url", "the address of IAM", "or profile: otc")
        return None, region
    stands_for = PROFILES.get(profile) or vendor_profile(profile)
    if stands_for is None:
        known = " or ".join(PROFILES)
        reader.wrong("profile", known, "or give auth.auth_url; pip install 'fleetos[openstack]' brings more profiles")
        return None, region
    pattern, own_region = stands_for
    region = region or own_region
    if "{region_name}" not in pattern:
        return pattern, region
    if region is None:
        reader.wrong("region_name", "a region, since the profile's address of IAM depends on it")
        return None, None
    if not is_region(region):
        # Anything else would lead the password to another host.
        reader.wrong("region_name", _A_REGION)
        return None, None
    return pattern.replace("{region_name}", region), region


_A_REGION = "a region such as eu-de, of letters, digits and hyphens"


def _only_region(listed: object) -> str | None:
    """The region of a list that has just one; entries are names, or mappings with a name."""
    if not isinstance(listed, Sequence) or isinstance(listed, str) or len(cast("Sequence[object]", listed)) != 1:
        return None
    only = cast("Sequence[object]", listed)[0]
    name = cast("Entry", only).get("name") if isinstance(only, Mapping) else only
    return name if isinstance(name, str) else None
