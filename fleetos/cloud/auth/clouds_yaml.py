"""Credentials from an entry of clouds.yaml. Pure; errors never show a value."""

import shlex
from collections.abc import Mapping
from typing import Literal, cast

from fleetos.cloud.auth.cloud_entry import CloudChoice, Entry, EntryReader, resolve_entry
from fleetos.cloud.auth.credentials import (
    AccessKey,
    Credentials,
    GivenToken,
    Password,
    Proof,
    header_fault,
    is_project_id,
    printable,
)
from fleetos.cloud.auth.known_clouds import PROFILES, is_region, vendor_profile
from fleetos.cloud.auth.password_sources import Keyring, PasswordCommand, PasswordSource
from fleetos.errors import InputError
from fleetos.text import did_you_mean

LoginMethod = Literal["password", "token", "aksk"]

# Values of `auth_type` and OS_AUTH_TYPE: those of openstacksdk, and `aksk`, which it does not know.
LOGIN_METHODS: Mapping[str, LoginMethod] = {
    "password": "password",
    "v3password": "password",
    "token": "token",
    "v3token": "token",
    "aksk": "aksk",
}
LOGIN_METHOD_NAMES = "password, token or aksk"
_SERVICES = ("ecs", "ims", "evs", "kms", "eps")
# Keys of unsupported login methods, or of a project other than the named one.
UNSUPPORTED_KEYS = (
    "application_credential_id", "application_credential_name", "application_credential_secret", "passcode", "trust_id",
    "system_scope", "agency_name", "agency_domain_name", "agency_domain_id", "delegated_project", "assume_role",
    "target_agency_name", "target_project_id", "target_project_name", "target_domain_id", "target_domain_name",
)  # fmt: skip
# Unsupported keys beside `auth` that would decide whose servers are meant, and what to write instead.
_WRITE: Mapping[str, str] = {
    "region": "region_name",
    "project": "project_name, or project_id",
    "tenant": "project_name, or project_id",
    "auth_plugin": "auth_type",
    "compute_region_name": "region_name",
    "compute_interface": "interface",
    "cert": "the password, a token or an access key: there are no client certificates",
}
# Keys beside `auth` that other tools use for the endpoint of a service, and ours.
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
# Our own keys stand beside `auth`: openstacksdk fails on unknown keys in `auth`, and ignores them beside it.
_BESIDE_AUTH = ("password_command", "password_keyring")
_INTERFACES = ("public", "internal", "admin")
_A_REGION = "a region such as eu-de, of letters, digits and hyphens"


class _Keys:
    """Keys of an entry in the places where openstacksdk looks for them: in `auth`, and beside it."""

    def __init__(self, reader: EntryReader, entry: Entry) -> None:
        self._reader = reader
        self.entry = entry
        self.auth = cast("Entry", entry["auth"])

    def beside(self, *names: str) -> str | None:
        """Return the value of the first name that is present, beside `auth` before in it; an empty value is None."""
        for name in names:
            for mapping, under in ((self.entry, ""), (self.auth, "auth.")):
                if name in mapping:
                    return self._text(mapping, name, under)
        return None

    def inside(self, *names: str) -> str | None:
        """Return the value of the first name that is present, in `auth`, or beside it if that value is empty."""
        for mapping, under in ((self.auth, "auth."), (self.entry, "")):
            name = next((candidate for candidate in names if candidate in mapping), None)
            if name is not None and mapping[name] not in (None, ""):
                return self._reader.text(mapping, name, under)
        return None

    def _text(self, part: Entry, name: str, under: str) -> str | None:
        if part[name] is None:
            # openstacksdk would use the string "None".
            self._reader.add_problem(f"{under}{name}", "a value", "give it one, or leave the key out")
        return self._reader.text(part, name, under)


def from_entry(
    entry: Entry, choice: CloudChoice, file: str, public: Entry | None = None
) -> tuple[Credentials, PasswordSource | None]:
    """Return the credentials of an entry of clouds.yaml with its secrets merged in, and the source of its password.

    The source is None if the password is in the entry. `public` has the profiles of a clouds-public.yaml. Raise
    InputError with all problems of the entry.
    """
    reader = EntryReader(file, f"clouds.{choice.cloud}")
    profile = _read_profile(reader, entry, public or {})
    merged, region = resolve_entry(reader, entry, profile or {}, choice)
    keys = _Keys(reader, merged)
    _refuse_unsupported(reader, keys)
    method = _choose_method(reader, keys)
    auth_url = _auth_url(reader, keys, region, needed=method != "aksk" and profile is not None)
    project_id, project_name = keys.beside("project_id", "tenant_id"), keys.beside("project_name", "tenant_name")
    password_source = _read_password_source(reader, keys) if method == "password" else None
    proof: Proof
    if method == "password":
        proof = _password(reader, keys, password_source)
        if project_name is None and project_id is None:
            reader.add_problem("auth.project_name", "a value, in the cloud's entry")
    elif method == "token":
        token = keys.beside("token", "auth_token")
        if token is None:
            reader.add_problem("auth.token", "a value, in clouds.yaml or secure.yaml")
        elif (fault := header_fault(token)) is not None:
            reader.add_problem("auth.token", fault)
        proof = GivenToken(token or "")
    else:
        proof = _access_key(reader, keys)
        if project_id is not None and not is_project_id(project_id):
            reader.add_problem("auth.project_id", "an id, of letters, digits and hyphens")
        if region is not None and not is_region(region):
            reader.add_problem("region_name", _A_REGION)
    # The domain of a project only distinguishes projects of the same name.
    domain_id, domain_name = _domain(keys, "project", shared=project_id is None)
    endpoints = {service: reader.text(merged, f"{service}_endpoint_override") for service in _SERVICES}
    credentials = Credentials(
        auth_url=auth_url,
        proof=proof,
        cloud=choice.cloud,
        project_name=project_name,
        project_id=project_id,
        project_domain_name=domain_name,
        project_domain_id=domain_id,
        region=region,
        interface=_interface(reader, keys),
        authorities=reader.text(merged, "cacert"),
        verify=reader.boolean(merged, "verify", default=True) and not _is_insecure(reader, merged),
        insecure_http=reader.boolean(merged, "insecure_http", default=False),
        endpoints={service: address for service, address in endpoints.items() if address is not None},
    )
    if reader.problems:
        raise InputError(tuple(dict.fromkeys(reader.problems)))
    return credentials, password_source


def _read_profile(reader: EntryReader, entry: Entry, public: Entry) -> Entry | None:
    """Return the settings of the entry's profile, empty without a profile, None for an unknown one."""
    name = reader.text(entry, "profile") if "profile" in entry else reader.text(entry, "cloud")
    if name is None:
        return {}
    if name in public:
        return reader.part(public, name)
    profile = PROFILES.get(name) or vendor_profile(name)
    if profile is None:
        hint = "or leave it out and give auth.auth_url; pip install 'fleetos[openstack]' brings more profiles"
        reader.add_problem("profile", " or ".join(PROFILES), hint)
    return profile


def _refuse_unsupported(reader: EntryReader, keys: _Keys) -> None:
    """Add a problem for every unsupported key that would decide whose servers are meant."""
    for part, under in ((keys.auth, "auth."), (keys.entry, "")):
        for key in UNSUPPORTED_KEYS:
            if part.get(key):
                reader.add_problem(
                    f"{under}{key}", LOGIN_METHOD_NAMES, f"a login by {key} is not supported by this version"
                )
    for key in keys.auth:
        if key not in _IN_AUTH and key not in UNSUPPORTED_KEYS and key not in _BESIDE_AUTH:
            reader.add_problem(f"auth.{printable(key)}", "not a key of auth", did_you_mean(key, _IN_AUTH))
    for key, instead in _WRITE.items():
        if keys.entry.get(key):
            reader.add_problem(key, "not a key that fleetos heeds", f"write {instead}")
    for key, instead in _OVERRIDES.items():
        if keys.entry.get(key) and not keys.entry.get(instead):
            reader.add_problem(
                key, "not a key that fleetos heeds", f"write {instead}, beside it if other tools need it"
            )


def _choose_method(reader: EntryReader, keys: _Keys) -> LoginMethod:
    """Choose the login method: the named one, else the first with any key: password, access key, token."""
    entry, auth = keys.entry, keys.auth
    auth_type = reader.text(entry, "auth_type")
    if auth_type is not None:
        if auth_type not in LOGIN_METHODS:
            reader.add_problem("auth_type", LOGIN_METHOD_NAMES, "auth_type names a way that this version does not know")
        return LOGIN_METHODS.get(auth_type, "password")
    if "auth_type" in entry:
        # openstacksdk would not authenticate at all.
        reader.add_problem("auth_type", LOGIN_METHOD_NAMES, "or leave it out")
    if any(mapping.get(key) for mapping in (auth, entry) for key in ("username", "user_name", "user_id", "password")):
        return "password"
    if any(entry.get(key) for key in _BESIDE_AUTH):
        return "password"
    if any(mapping.get(key) for mapping in (entry, auth) for key in ("ak", "sk", "access_key", "secret_key")):
        return "aksk"
    return (
        "token" if any(mapping.get(key) for mapping in (auth, entry) for key in ("token", "auth_token")) else "password"
    )


def _password(reader: EntryReader, keys: _Keys, password_source: PasswordSource | None) -> Password:
    username, user_id = keys.inside("username", "user_name"), keys.inside("user_id")
    password = keys.inside("password")
    if username is None and user_id is None:
        reader.add_problem("auth.username", "a value, in the cloud's entry")
    if password is None and password_source is None:
        hint = "or a password_command in the entry. OS_PASSWORD does not count for an entry"
        reader.add_problem("auth.password", "a value, in clouds.yaml or secure.yaml", hint)
    domain_id, domain_name = _domain(keys, "user")
    return Password(username or "", password or "", domain_name, domain_id, user_id)


def _domain(keys: _Keys, owner: str, *, shared: bool = True) -> tuple[str | None, str | None]:
    """Return id and name of the domain of user or project: its own, else the common one, else the default."""
    domain: list[str | None] = []
    for kind in ("id", "name"):
        value = keys.beside(f"{owner}_domain_{kind}")
        if value is None and shared:
            value = keys.beside(f"domain_{kind}")
            # The plugins with a version in their name have no default domain.
            if value is None and not str(keys.entry.get("auth_type", "")).startswith("v3"):
                value = keys.inside(f"default_domain_{kind}")
        domain.append(value)
    return domain[0], domain[1]


def _access_key(reader: EntryReader, keys: _Keys) -> AccessKey:
    """Return the access key, beside `auth` as the vendor's tools write it, or in it."""

    def first(*names: str) -> str | None:
        values = (
            reader.text(mapping, name, under, header_fault)
            for mapping, under in ((keys.entry, ""), (keys.auth, "auth."))
            for name in names
        )
        return next((value for value in values if value is not None), None)

    access, secret = first("ak", "access_key"), first("sk", "secret_key")
    for key, value in (("ak", access), ("sk", secret)):
        if value is None:
            reader.add_problem(key, "a value, in clouds.yaml or secure.yaml")
    return AccessKey(access or "", secret or "", first("security_token"))


def _read_password_source(reader: EntryReader, keys: _Keys) -> PasswordSource | None:
    entry, auth = keys.entry, keys.auth
    for key in _BESIDE_AUTH:
        if key in auth:
            reader.add_problem(
                f"auth.{key}", "not a key of auth", "write it beside auth: other tools fail by keys in auth"
            )
    command, keyring = _command(reader, entry.get("password_command")), _keyring(reader, entry)
    given_keys = [name for name in _BESIDE_AUTH if entry.get(name)]
    given_keys += [f"{under}password" for part, under in ((auth, "auth."), (entry, "")) if part.get("password")]
    if len(given_keys) > 1 and given_keys[0] in _BESIDE_AUTH:
        reader.add_problem(given_keys[0], f"one password, not {' and '.join(given_keys)}")
    return command or keyring


def _command(reader: EntryReader, value: object) -> PasswordCommand | None:
    if value is None or value == "":
        return None
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError:
        words = None
    if (
        not isinstance(words, list)
        or not words
        or not all(isinstance(word, str) for word in cast("list[object]", words))
    ):
        reader.add_problem(
            "password_command", "a program and its arguments: a list of texts, or a text with closed quotes"
        )
        return None
    return PasswordCommand(tuple(cast("list[str]", words)))


def _keyring(reader: EntryReader, entry: Entry) -> Keyring | None:
    fields = reader.part(entry, "password_keyring")
    if not fields:
        return None
    service, user = (
        reader.text(fields, "service", "password_keyring."),
        reader.text(fields, "user", "password_keyring."),
    )
    for key, value in (("service", service), ("user", user)):
        if value is None:
            reader.add_problem(f"password_keyring.{key}", "a value")
    return Keyring(service or "", user or "")


def _interface(reader: EntryReader, keys: _Keys) -> str:
    # openstacksdk prefers the older name.
    interface = reader.text(keys.entry, "endpoint_type") or reader.text(keys.entry, "interface") or "public"
    if interface.removesuffix("URL") not in _INTERFACES:
        reader.add_problem("interface", " or ".join(_INTERFACES))
    return interface.removesuffix("URL")


def _is_insecure(reader: EntryReader, entry: Entry) -> bool:
    """Return whether `insecure` is true: a boolean, or the string true, as openstacksdk reads it."""
    value = entry.get("insecure")
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return reader.boolean(entry, "insecure", default=False)


def _auth_url(reader: EntryReader, keys: _Keys, region: str | None, *, needed: bool) -> str | None:
    """Return the address of IAM, with the region filled in."""
    auth_url = keys.inside("auth_url")
    if auth_url is None:
        if needed:
            reader.add_problem("auth.auth_url", "the address of IAM", "or profile: otc")
        return None
    if set("{}") & set(auth_url.replace("{region_name}", "")):
        reader.add_problem("auth.auth_url", "an address with no braces but {region_name}")
    if "{" in auth_url and not keys.auth.get("auth_url"):
        reader.add_problem("auth_url", "not a key that openstacksdk fills in", "write it in auth")
    if "{region_name}" in auth_url:
        if region is None:
            reader.add_problem("region_name", "a region, since the address of IAM depends on it")
        elif not is_region(region):
            # Other letters could send the password to another host.
            reader.add_problem("region_name", _A_REGION)
        else:
            auth_url = auth_url.replace("{region_name}", region)
    return auth_url
