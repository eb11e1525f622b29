"""Credentials from environment variables, or from the file of the vendor's SDK. Pure; errors never show a value."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fleetos.cloud.auth.cloud_entry import CloudChoice
from fleetos.cloud.auth.clouds_yaml import LOGIN_METHOD_NAMES, LOGIN_METHODS, UNSUPPORTED_KEYS, LoginMethod
from fleetos.cloud.auth.credentials import (
    AccessKey,
    Credentials,
    GivenToken,
    Password,
    Proof,
    header_fault,
    is_project_id,
    text_fault,
)
from fleetos.cloud.auth.known_clouds import is_region
from fleetos.errors import InputError, Problem

# Variables of unsupported login methods; openstacksdk reads each key of an entry from a variable too.
_UNSUPPORTED_VARIABLES = tuple(f"OS_{key.upper()}" for key in UNSUPPORTED_KEYS)
# If any of these is set, the OS_* variables are meant as credentials.
_CREDENTIAL_VARIABLES = (
    "OS_AUTH_TYPE", "OS_USERNAME", "OS_USER_ID", "OS_PASSWORD", "OS_TOKEN", "OS_ACCESS_KEY", "OS_SECRET_KEY",
    *_UNSUPPORTED_VARIABLES,
)  # fmt: skip
_DOMAIN_NAMES, _DOMAIN_IDS = ("OS_DOMAIN_NAME", "OS_DEFAULT_DOMAIN_NAME"), ("OS_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID")
_ENTRY = "or name an entry of clouds.yaml: --cloud, or OS_CLOUD"


class _Reader:
    """Reader of variables that collects their problems."""

    def __init__(self, env: Mapping[str, str], place: str) -> None:
        self.problems: list[Problem] = []
        self._env = env
        self._place = place

    def add_problem(self, name: str, expected: str, hint: str | None = None) -> None:
        self.problems.append(Problem(self._place, None, None, name, expected, hint))

    def first(self, *names: str, fault: Callable[[str], str | None] = text_fault) -> str | None:
        """Return the value of the first name that has one; add a problem if it is wrong."""
        name = next((name for name in names if self._env.get(name)), None)
        if name is None:
            return None
        if (problem := fault(self._env[name])) is not None:
            self.add_problem(name, problem)
        return self._env[name]

    def need(self, *names: str, fault: Callable[[str], str | None] = text_fault) -> str:
        """Return the value of the first name that has one; add a problem if none has."""
        value = self.first(*names, fault=fault)
        if value is None:
            self.add_problem(" or ".join(names), "a value", _ENTRY)
        return value or ""


def has_credentials(env: Mapping[str, str]) -> bool:
    """Return whether any variable is set that is meant as a credential."""
    return any(env.get(name) for name in (*_CREDENTIAL_VARIABLES, "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"))


def from_variables(env: Mapping[str, str], choice: CloudChoice) -> Credentials:
    """Return the credentials in the OS_* variables, else in those of the vendor's SDK.

    Raise InputError that names the missing and unusable variables.
    """
    reader = _Reader(env, "the environment")
    if not any(env.get(name) for name in _CREDENTIAL_VARIABLES) and has_credentials(env):
        key = AccessKey(
            reader.need("HUAWEICLOUD_SDK_AK", fault=header_fault),
            reader.need("HUAWEICLOUD_SDK_SK", fault=header_fault),
            reader.first("HUAWEICLOUD_SDK_SECURITY_TOKEN", fault=header_fault),
        )
        credentials = _credentials(reader, choice, key, "HUAWEICLOUD_SDK_PROJECT_ID")
        return replace(credentials, found_in="the HUAWEICLOUD_SDK_* variables")
    auth_type = env.get("OS_AUTH_TYPE")
    method = LOGIN_METHODS.get(auth_type, "password") if auth_type else _choose_method(env)
    for name in _UNSUPPORTED_VARIABLES:
        # A token was asked for with the passcode, which is used up.
        if env.get(name) and not (name == "OS_PASSCODE" and method != "password"):
            hint = f"a login by {name} is not supported by this version: unset it, or ask for a token and set OS_TOKEN"
            reader.add_problem(name, LOGIN_METHOD_NAMES, hint)
    if auth_type and auth_type not in LOGIN_METHODS:
        reader.add_problem(
            "OS_AUTH_TYPE", LOGIN_METHOD_NAMES, "OS_AUTH_TYPE names a way that this version does not know"
        )
    credentials = _credentials(reader, choice, _proof(reader, method), "OS_PROJECT_ID", "OS_TENANT_ID")
    return replace(credentials, found_in="the OS_* variables")


def from_sdk_file(values: Mapping[str, str], env: Mapping[str, str], choice: CloudChoice, file: str) -> Credentials:
    """Return the credentials in the section `basic` of the vendor SDK's file; the region is the plan's or a variable's.

    Raise InputError that names the missing and unusable keys.
    """
    names = {"iam_endpoint": "OS_AUTH_URL", "project_id": "OS_PROJECT_ID"}
    reader = _Reader(values, file)
    key = AccessKey(
        reader.need("ak", fault=header_fault),
        reader.need("sk", fault=header_fault),
        reader.first("security_token", fault=header_fault),
    )
    if reader.problems:
        raise InputError(tuple(reader.problems))
    overrides = {name: values[key] for key, name in names.items() if values.get(key)}
    return _credentials(_Reader({**env, **overrides}, file), choice, key, "OS_PROJECT_ID")


def _choose_method(env: Mapping[str, str]) -> LoginMethod:
    """Choose the login method: the first whose variables are complete, of password, access key, token.

    If none is complete, an access key that is partly there counts before a password that is not there at all.
    """
    user = env.get("OS_USERNAME") or env.get("OS_USER_ID")
    if user and env.get("OS_PASSWORD"):
        return "password"
    if env.get("OS_ACCESS_KEY") and env.get("OS_SECRET_KEY"):
        return "aksk"
    if env.get("OS_TOKEN"):
        return "token"
    partial_key = env.get("OS_ACCESS_KEY") or env.get("OS_SECRET_KEY")
    return "aksk" if partial_key and not (user or env.get("OS_PASSWORD")) else "password"


def _proof(reader: _Reader, method: LoginMethod) -> Proof:
    if method == "token":
        return GivenToken(reader.need("OS_TOKEN", fault=header_fault))
    if method == "aksk":
        return AccessKey(
            reader.need("OS_ACCESS_KEY", fault=header_fault),
            reader.need("OS_SECRET_KEY", fault=header_fault),
            reader.first("OS_SECURITY_TOKEN", fault=header_fault),
        )
    user_id = reader.first("OS_USER_ID")
    return Password(
        (reader.first("OS_USERNAME") or "") if user_id is not None else reader.need("OS_USERNAME"),
        reader.need("OS_PASSWORD"),
        _domain(reader, "OS_USER_DOMAIN_NAME", *_DOMAIN_NAMES),
        _domain(reader, "OS_USER_DOMAIN_ID", *_DOMAIN_IDS),
        user_id,
    )


def _domain(reader: _Reader, own: str, *shared: str) -> str | None:
    """Return the domain of user or project: its own, the common one, or the default."""
    # The plugins with a version in their name have no default domain.
    by_version = (reader.first("OS_AUTH_TYPE") or "").startswith("v3")
    return reader.first(own, *(name for name in shared if not (by_version and "DEFAULT" in name)))


def _credentials(reader: _Reader, choice: CloudChoice, proof: Proof, *project_ids: str) -> Credentials:
    by_key = isinstance(proof, AccessKey)
    auth_url = reader.first("OS_AUTH_URL") if by_key else reader.need("OS_AUTH_URL")
    project_name, project_id = reader.first("OS_PROJECT_NAME", "OS_TENANT_NAME"), reader.first(*project_ids)
    if isinstance(proof, Password) and project_name is None and project_id is None:
        reader.add_problem("OS_PROJECT_NAME or OS_PROJECT_ID", "a value", _ENTRY)
    region = choice.region or reader.first("OS_REGION_NAME")
    if by_key and project_id is not None and not is_project_id(project_id):
        reader.add_problem(project_ids[0], "an id, of letters, digits and hyphens")
    if by_key and region is not None and not is_region(region):
        reader.add_problem("OS_REGION_NAME", "a region such as eu-de, of letters, digits and hyphens")
    credentials = Credentials(
        auth_url=auth_url,
        proof=proof,
        project_name=project_name,
        project_id=project_id,
        # The domain of a project only distinguishes projects of the same name.
        project_domain_name=_domain(reader, "OS_PROJECT_DOMAIN_NAME", *(_DOMAIN_NAMES if project_id is None else ())),
        project_domain_id=_domain(reader, "OS_PROJECT_DOMAIN_ID", *(_DOMAIN_IDS if project_id is None else ())),
        region=region,
        # openstacksdk prefers the older name.
        interface=(reader.first("OS_ENDPOINT_TYPE", "OS_INTERFACE") or "public").removesuffix("URL"),
        authorities=reader.first("OS_CACERT"),
    )
    if reader.problems:
        raise InputError(tuple(reader.problems))
    return credentials
