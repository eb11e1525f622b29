"""From an entry of clouds.yaml to credentials. Pure; nothing here shows a value in an error."""

import shlex
from collections.abc import Mapping
from typing import Literal, cast

from fleetos.cloud.auth.cloud_entry import CloudChoice, Entry, EntryReader, settled
from fleetos.cloud.auth.credentials import (
    AccessKey,
    Credentials,
    GivenToken,
    Password,
    Proof,
    fault_in_header,
    is_project_id,
    shown,
)
from fleetos.cloud.auth.known_clouds import PROFILES, is_region, vendor_profile
from fleetos.cloud.auth.password_sources import Elsewhere, Keyring, PasswordCommand
from fleetos.errors import InputError
from fleetos.text import did_you_mean

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
# Keys that mean another way to log in than there is, or another project than the one that is named.
OTHER_WAYS = (
    "application_credential_id", "application_credential_name", "application_credential_secret", "passcode", "trust_id",
    "system_scope", "agency_name", "agency_domain_name", "agency_domain_id", "delegated_project", "assume_role",
    "target_agency_name", "target_project_id", "target_project_name", "target_domain_id", "target_domain_name",
)  # fmt: skip
# Keys beside `auth` that would decide whose servers are meant, and what to write in their place.
_WRITE: Mapping[str, str] = {
    "region": "region_name",
    "project": "project_name, or project_id",
    "tenant": "project_name, or project_id",
    "auth_plugin": "auth_type",
    "compute_region_name": "region_name",
    "compute_interface": "interface",
    "cert": "the password, a token or an access key: there are no client certificates",
}
# The key beside `auth` that other tools use for a service, and ours.
_OVERRIDES = {"compute_endpoint_override": "ecs_endpoint_override", "image_endpoint_override": "ims_endpoint_override"}
_USER = (
    "username", "user_name", "user_id", "user_domain_id", "user_domain_name", "default_domain_id",
    "default_domain_name",
)  # fmt: skip
_PROJECT = (
    "project_id", "project_name", "tenant_id", "tenant_name", "project_domain_id", "project_domain_name",
    "domain_id", "domain_name",
)  # fmt: skip
_IN_AUTH = frozenset({
    "auth_url", *_USER, *_PROJECT, "password", "token", "auth_token", "ak", "sk", "access_key", "secret_key",
    "security_token",
})  # fmt: skip
# A login of openstacksdk fails by a key of `auth` that it does not know, and passes by any other of the entry.
_BESIDE_AUTH = ("password_command", "password_keyring")
_INTERFACES = ("public", "internal", "admin")
_A_REGION = "a region such as eu-de, of letters, digits and hyphens"


class _Keys:
    """The keys of an entry where openstacksdk looks for them: in `auth`, and beside it."""

    def __init__(self, reader: EntryReader, entry: Entry) -> None:
        self._reader = reader
        self.entry = entry
        self.auth = cast("Entry", entry["auth"])

    def beside(self, *names: str) -> str | None:
        """Return what the first of the names says that is there. Beside `auth` goes before in it, empty is none."""
        for name in names:
            for part, under in ((self.entry, ""), (self.auth, "auth.")):
                if name in part:
                    return self._text(part, name, under)
        return None

    def inside(self, *names: str) -> str | None:
        """Return what the first of the names says that has a value. In `auth` goes before beside it."""
        for part, under in ((self.auth, "auth."), (self.entry, "")):
            name = next((one for one in names if one in part), None)
            if name is not None and part[name] not in (None, ""):
                return self._reader.text(part, name, under)
        return None

    def _text(self, part: Entry, name: str, under: str) -> str | None:
        if part[name] is None:
            # openstacksdk makes the text "None" of it.
            self._reader.wrong(f"{under}{name}", "a value", "give it one, or leave the key out")
        return self._reader.text(part, name, under)


def from_entry(
    entry: Entry, asked: CloudChoice, file: str, public: Entry | None = None
) -> tuple[Credentials, Elsewhere | None]:
    """Return the credentials of an entry of clouds.yaml, secrets merged in, and where a password is that is not in it.

    `public` holds the profiles of a clouds-public.yaml. Raises InputError with all the problems of the entry.
    """
    reader = EntryReader(file, f"clouds.{asked.cloud}")
    profile = _profile(reader, entry, public or {})
    whole, region = settled(reader, entry, profile or {}, asked)
    keys = _Keys(reader, whole)
    _refuse_others(reader, keys)
    way = _way(reader, keys)
    auth_url = _auth_url(reader, keys, region, needed=way != "aksk" and profile is not None)
    project_id, project_name = keys.beside("project_id", "tenant_id"), keys.beside("project_name", "tenant_name")
    elsewhere = _elsewhere(reader, keys) if way == "password" else None
    proof: Proof
    if way == "password":
        proof = _password(reader, keys, elsewhere)
        if project_name is None and project_id is None:
            reader.wrong("auth.project_name", "a value, in the cloud's entry")
    elif way == "token":
        token = keys.beside("token", "auth_token")
        if token is None:
            reader.wrong("auth.token", "a value, in clouds.yaml or secure.yaml")
        elif (fault := fault_in_header(token)) is not None:
            reader.wrong("auth.token", fault)
        proof = GivenToken(token or "")
    else:
        proof = _access_key(reader, keys)
        if project_id is not None and not is_project_id(project_id):
            reader.wrong("auth.project_id", "an id, of letters, digits and hyphens")
        if region is not None and not is_region(region):
            reader.wrong("region_name", _A_REGION)
    # The domain of a project tells projects of one name apart, no more.
    domain_id, domain_name = _domain(keys, "project", shared=project_id is None)
    endpoints = {service: reader.text(whole, f"{service}_endpoint_override") for service in _SERVICES}
    found = Credentials(
        auth_url=auth_url,
        proof=proof,
        cloud=asked.cloud,
        project_name=project_name,
        project_id=project_id,
        project_domain_name=domain_name,
        project_domain_id=domain_id,
        region=region,
        interface=_interface(reader, keys),
        authorities=reader.text(whole, "cacert"),
        verify=reader.truth(whole, "verify", default=True) and not _insecure(reader, whole),
        insecure_http=reader.truth(whole, "insecure_http", default=False),
        endpoints={service: address for service, address in endpoints.items() if address is not None},
    )
    if reader.problems:
        raise InputError(tuple(dict.fromkeys(reader.problems)))
    return found, elsewhere


def _profile(reader: EntryReader, entry: Entry, public: Entry) -> Entry | None:
    """What the profile of an entry stands for: nothing without one, None for one that nobody knows."""
    name = reader.text(entry, "profile") if "profile" in entry else reader.text(entry, "cloud")
    if name is None:
        return {}
    if name in public:
        return reader.part(public, name)
    stands_for = PROFILES.get(name) or vendor_profile(name)
    if stands_for is None:
        hint = "or leave it out and give auth.auth_url; pip install 'fleetos[openstack]' brings more profiles"
        reader.wrong("profile", " or ".join(PROFILES), hint)
    return stands_for


def _refuse_others(reader: EntryReader, keys: _Keys) -> None:
    """Note every key that would decide whose servers are meant, and that is not heeded."""
    for part, under in ((keys.auth, "auth."), (keys.entry, "")):
        for key in OTHER_WAYS:
            if part.get(key):
                reader.wrong(f"{under}{key}", WAYS_IN_WORDS, f"a login by {key} is not supported by this version")
    for key in keys.auth:
        if key not in _IN_AUTH and key not in OTHER_WAYS and key not in _BESIDE_AUTH:
            reader.wrong(f"auth.{shown(key)}", "not a key of auth", did_you_mean(key, _IN_AUTH))
    for key, instead in _WRITE.items():
        if keys.entry.get(key):
            reader.wrong(key, "not a key that fleetos heeds", f"write {instead}")
    for key, instead in _OVERRIDES.items():
        if keys.entry.get(key) and not keys.entry.get(instead):
            reader.wrong(key, "not a key that fleetos heeds", f"write {instead}, beside it if other tools need it")


def _way(reader: EntryReader, keys: _Keys) -> Way:
    """The way to log in: the one that is named, else the first of which there is something, the most lasting first."""
    entry, auth = keys.entry, keys.auth
    kind = reader.text(entry, "auth_type")
    if kind is not None:
        if kind not in WAYS:
            reader.wrong("auth_type", WAYS_IN_WORDS, "auth_type names a way that this version does not know")
        return WAYS.get(kind, "password")
    if "auth_type" in entry:
        # openstacksdk would show nothing at all then.
        reader.wrong("auth_type", WAYS_IN_WORDS, "or leave it out")
    if any(one.get(key) for one in (auth, entry) for key in ("username", "user_name", "user_id", "password")):
        return "password"
    if any(entry.get(key) for key in _BESIDE_AUTH):
        return "password"
    if any(one.get(key) for one in (entry, auth) for key in ("ak", "sk", "access_key", "secret_key")):
        return "aksk"
    return "token" if any(one.get(key) for one in (auth, entry) for key in ("token", "auth_token")) else "password"


def _password(reader: EntryReader, keys: _Keys, elsewhere: Elsewhere | None) -> Password:
    username, user_id = keys.inside("username", "user_name"), keys.inside("user_id")
    password = keys.inside("password")
    if username is None and user_id is None:
        reader.wrong("auth.username", "a value, in the cloud's entry")
    if password is None and elsewhere is None:
        hint = "or a password_command in the entry. OS_PASSWORD does not count for an entry"
        reader.wrong("auth.password", "a value, in clouds.yaml or secure.yaml", hint)
    domain_id, domain_name = _domain(keys, "user")
    return Password(username or "", password or "", domain_name, domain_id, user_id)


def _domain(keys: _Keys, whose: str, *, shared: bool = True) -> tuple[str | None, str | None]:
    """Id and name of the domain of user or project: its own, else that of both, else the default."""
    found: list[str | None] = []
    for kind in ("id", "name"):
        own = keys.beside(f"{whose}_domain_{kind}")
        if own is None and shared:
            own = keys.beside(f"domain_{kind}")
            # The plugins with a version in their name do not know a default.
            if own is None and not str(keys.entry.get("auth_type", "")).startswith("v3"):
                own = keys.inside(f"default_domain_{kind}")
        found.append(own)
    return found[0], found[1]


def _access_key(reader: EntryReader, keys: _Keys) -> AccessKey:
    """The key, beside `auth` as the vendor's tools have it, or in it."""

    def first(*names: str) -> str | None:
        found = (
            reader.text(one, name, under, fault_in_header)
            for one, under in ((keys.entry, ""), (keys.auth, "auth."))
            for name in names
        )
        return next((value for value in found if value is not None), None)

    access, secret = first("ak", "access_key"), first("sk", "secret_key")
    for key, value in (("ak", access), ("sk", secret)):
        if value is None:
            reader.wrong(key, "a value, in clouds.yaml or secure.yaml")
    return AccessKey(access or "", secret or "", first("security_token"))


def _elsewhere(reader: EntryReader, keys: _Keys) -> Elsewhere | None:
    entry, auth = keys.entry, keys.auth
    for key in _BESIDE_AUTH:
        if key in auth:
            reader.wrong(f"auth.{key}", "not a key of auth", "write it beside auth: other tools fail by keys in auth")
    command, keyring = _command(reader, entry.get("password_command")), _keyring(reader, entry)
    given = [name for name in _BESIDE_AUTH if entry.get(name)]
    given += [f"{under}password" for part, under in ((auth, "auth."), (entry, "")) if part.get("password")]
    if len(given) > 1 and given[0] in _BESIDE_AUTH:
        reader.wrong(given[0], f"one password, not {' and '.join(given)}")
    return command or keyring


def _command(reader: EntryReader, value: object) -> PasswordCommand | None:
    if value is None or value == "":
        return None
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError:
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in cast("list[object]", words)):
        reader.wrong("password_command", "a program and its arguments: a list of texts, or a text with closed quotes")
        return None
    return PasswordCommand(tuple(cast("list[str]", words)))


def _keyring(reader: EntryReader, entry: Entry) -> Keyring | None:
    given = reader.part(entry, "password_keyring")
    if not given:
        return None
    service, user = reader.text(given, "service", "password_keyring."), reader.text(given, "user", "password_keyring.")
    for key, value in (("service", service), ("user", user)):
        if value is None:
            reader.wrong(f"password_keyring.{key}", "a value")
    return Keyring(service or "", user or "")


def _interface(reader: EntryReader, keys: _Keys) -> str:
    # openstacksdk lets the older name win.
    told = reader.text(keys.entry, "endpoint_type") or reader.text(keys.entry, "interface") or "public"
    if told.removesuffix("URL") not in _INTERFACES:
        reader.wrong("interface", " or ".join(_INTERFACES))
    return told.removesuffix("URL")


def _insecure(reader: EntryReader, entry: Entry) -> bool:
    """Whether `insecure` says so: a truth value, or the text true, as openstacksdk reads it."""
    value = entry.get("insecure")
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return reader.truth(entry, "insecure", default=False)


def _auth_url(reader: EntryReader, keys: _Keys, region: str | None, *, needed: bool) -> str | None:
    """The address of IAM, with the region in it where it depends on that."""
    pattern = keys.inside("auth_url")
    if pattern is None:
        if needed:
            reader.wrong("auth.auth_url", "the address of IAM", "or profile: otc")
        return None
    if set("{}") & set(pattern.replace("{region_name}", "")):
        reader.wrong("auth.auth_url", "an address with no braces but {region_name}")
    if "{" in pattern and not keys.auth.get("auth_url"):
        reader.wrong("auth_url", "not a key that openstacksdk fills in", "write it in auth")
    if "{region_name}" in pattern:
        if region is None:
            reader.wrong("region_name", "a region, since the address of IAM depends on it")
        elif not is_region(region):
            # Anything else would lead the password to another host.
            reader.wrong("region_name", _A_REGION)
        else:
            pattern = pattern.replace("{region_name}", region)
    return pattern
