"""From an entry of clouds.yaml, or the OS_* variables, to credentials. Pure; nothing here shows a value in an error."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from fleetos.cloud.identity import Credentials
from fleetos.errors import InputError, Problem

Entry = Mapping[str, object]

# What `profile` stands for: the address of IAM (the vendor profiles of openstacksdk).
_PROFILES: Mapping[str, tuple[str, str | None]] = {
    "otc": ("https://iam.{region_name}.otc.t-systems.com/v3", None),
    "otc-swiss": ("https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3", "eu-ch2"),
}
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
# The longest value is a path; names and passwords have some dozen letters.
_VALUE_CHARS = 4096
# What the environment holds as bytes that are no UTF-8 arrives as halves of surrogate pairs.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PASSWORD_TYPES = frozenset({"password", "v3password"})
_SERVICES = ("ecs", "ims", "evs")
# Keys of `auth` that mean another way to log in than by a password.
_OTHER_WAYS = ("token", "application_credential_id", "application_credential_name", "passcode", "trust_id")


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

    def text(self, entry: Entry, key: str, under: str = "") -> str | None:
        value = entry.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.wrong(f"{under}{key}", "a text", "write it in quotes: YAML reads it as something else")
            return None
        if (fault := _fault(value)) is not None:
            self.wrong(f"{under}{key}", fault)
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


def from_entry(entry: Entry, asked: Asked, file: str) -> Credentials:
    """Return the credentials of an entry of clouds.yaml, secrets merged in. Raises InputError with all its problems."""
    reader = _Reader(file, f"clouds.{asked.cloud}")
    auth = reader.part(entry, "auth")
    _only_passwords(reader, entry, auth)
    region = asked.region or reader.text(entry, "region_name") or _only_region(entry.get("regions"))
    profile = reader.text(entry, "profile") or reader.text(entry, "cloud")
    auth_url, region = _auth_url(reader, reader.text(auth, "auth_url", "auth."), profile, region)
    username = reader.text(auth, "username", "auth.")
    password = reader.text(auth, "password", "auth.")
    project_name = reader.text(auth, "project_name", "auth.") or reader.text(auth, "tenant_name", "auth.")
    project_id = reader.text(auth, "project_id", "auth.") or reader.text(auth, "tenant_id", "auth.")
    domain_name, domain_id = reader.text(auth, "domain_name", "auth."), reader.text(auth, "domain_id", "auth.")
    for key, value in (("username", username), ("password", password), ("project_name", project_name or project_id)):
        if value is None:
            where = "clouds.yaml or secure.yaml" if key == "password" else "the cloud's entry"
            reader.wrong(f"auth.{key}", f"a value, in {where}")
    authorities = reader.text(entry, "cacert")
    endpoints = {service: reader.text(entry, f"{service}_endpoint_override") for service in _SERVICES}
    found = Credentials(
        auth_url=auth_url or "",
        username=username or "",
        password=password or "",
        cloud=asked.cloud,
        user_domain_name=reader.text(auth, "user_domain_name", "auth.") or domain_name,
        user_domain_id=reader.text(auth, "user_domain_id", "auth.") or domain_id,
        project_name=project_name,
        project_id=project_id,
        project_domain_name=reader.text(auth, "project_domain_name", "auth."),
        project_domain_id=reader.text(auth, "project_domain_id", "auth."),
        region=region,
        interface=(reader.text(entry, "interface") or "public").removesuffix("URL"),
        authorities=authorities,
        verify=reader.truth(entry, "verify", default=True),
        insecure_http=reader.truth(entry, "insecure_http", default=False),
        endpoints={service: address for service, address in endpoints.items() if address is not None},
    )
    if reader.problems:
        raise InputError(tuple(reader.problems))
    return found


def from_variables(env: Mapping[str, str], asked: Asked) -> Credentials:
    """Return the credentials in the OS_* variables. Raises InputError that names those that are missing or unusable."""
    problems: list[Problem] = []

    def first(*names: str) -> str | None:
        found = next((name for name in names if env.get(name)), None)
        if found is None:
            return None
        if (fault := _fault(env[found])) is not None:
            problems.append(Problem("the environment", None, None, found, fault))
        return env[found]

    project_name, project_id = first("OS_PROJECT_NAME", "OS_TENANT_NAME"), first("OS_PROJECT_ID", "OS_TENANT_ID")
    needed = {
        "OS_AUTH_URL": first("OS_AUTH_URL"),
        "OS_USERNAME": first("OS_USERNAME"),
        "OS_PASSWORD": first("OS_PASSWORD"),
        "OS_PROJECT_NAME or OS_PROJECT_ID": project_name or project_id,
    }
    problems += [
        Problem("the environment", None, None, name, "a value", "or name an entry of clouds.yaml: --cloud, or OS_CLOUD")
        for name, value in needed.items()
        if value is None
    ]
    kind = env.get("OS_AUTH_TYPE")
    if kind and kind not in _PASSWORD_TYPES:
        problems.append(Problem("the environment", None, None, "OS_AUTH_TYPE", "password", "the only one supported"))
    found = Credentials(
        auth_url=needed["OS_AUTH_URL"] or "",
        username=needed["OS_USERNAME"] or "",
        password=needed["OS_PASSWORD"] or "",
        user_domain_name=first("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME"),
        user_domain_id=first("OS_USER_DOMAIN_ID", "OS_DOMAIN_ID"),
        project_name=project_name,
        project_id=project_id,
        project_domain_name=first("OS_PROJECT_DOMAIN_NAME"),
        project_domain_id=first("OS_PROJECT_DOMAIN_ID"),
        region=asked.region or first("OS_REGION_NAME"),
        interface=(first("OS_INTERFACE", "OS_ENDPOINT_TYPE") or "public").removesuffix("URL"),
        authorities=first("OS_CACERT"),
    )
    if problems:
        raise InputError(tuple(problems))
    return found


def _fault(value: str) -> str | None:
    """What a value should be, if it is none that a request, a path or a message can hold; None if it is fine."""
    if len(value) > _VALUE_CHARS:
        return f"at most {_VALUE_CHARS} letters"
    return "a text in UTF-8 without control characters" if _UNUSABLE.search(value) else None


def _only_passwords(reader: _Reader, entry: Entry, auth: Entry) -> None:
    kind = reader.text(entry, "auth_type")
    if kind is not None and kind not in _PASSWORD_TYPES:
        reader.wrong("auth_type", "password", f"{kind!r} is not supported by this version")
    for key in _OTHER_WAYS:
        if auth.get(key):
            reader.wrong(f"auth.{key}", "username and password", f"a login by {key} is not supported by this version")


def _auth_url(
    reader: _Reader, given: str | None, profile: str | None, region: str | None
) -> tuple[str | None, str | None]:
    """The address of IAM and the region, from what the entry says and what its profile stands for."""
    if given is not None:
        return given, region or _PROFILES.get(profile or "", ("", None))[1]
    if profile is None:
        reader.wrong("auth.auth_url", "the address of IAM", "or profile: otc")
        return None, region
    if profile not in _PROFILES:
        reader.wrong("profile", " or ".join(_PROFILES), "or give auth.auth_url, then the profile is not needed")
        return None, region
    pattern, own_region = _PROFILES[profile]
    region = region or own_region
    if region is None:
        reader.wrong("region_name", "a region, since the profile's address of IAM depends on it")
        return None, None
    if not _REGION.fullmatch(region):
        # Anything else would lead the password to another host.
        reader.wrong("region_name", "a region such as eu-de, of letters, digits and hyphens")
        return None, None
    return pattern.format(region_name=region), region


def _only_region(listed: object) -> str | None:
    """The region of a list that has just one; entries are names, or mappings with a name."""
    if not isinstance(listed, Sequence) or isinstance(listed, str) or len(cast("Sequence[object]", listed)) != 1:
        return None
    only = cast("Sequence[object]", listed)[0]
    name = cast("Entry", only).get("name") if isinstance(only, Mapping) else only
    return name if isinstance(name, str) else None
