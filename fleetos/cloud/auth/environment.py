"""From environment variables, or the credentials file of the vendor's SDK, to credentials. Pure; shows no value."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fleetos.cloud.auth.cloud_entry import CloudChoice
from fleetos.cloud.auth.clouds_yaml import OTHER_WAYS, WAYS, WAYS_IN_WORDS, Way
from fleetos.cloud.auth.credentials import (
    AccessKey,
    Credentials,
    GivenToken,
    Password,
    Proof,
    fault_in_header,
    fault_of,
    is_project_id,
)
from fleetos.cloud.auth.known_clouds import is_region
from fleetos.errors import InputError, Problem

# Ways to log in that there are not; openstacksdk reads each key of an entry from a variable as well.
_OTHER_WAYS = tuple(f"OS_{key.upper()}" for key in OTHER_WAYS)
# Any of these says that the OS_* variables are meant to log in with.
_OURS = (
    "OS_AUTH_TYPE", "OS_USERNAME", "OS_USER_ID", "OS_PASSWORD", "OS_TOKEN", "OS_ACCESS_KEY", "OS_SECRET_KEY",
    *_OTHER_WAYS,
)  # fmt: skip
_DOMAIN_NAMES, _DOMAIN_IDS = ("OS_DOMAIN_NAME", "OS_DEFAULT_DOMAIN_NAME"), ("OS_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID")
_ENTRY = "or name an entry of clouds.yaml: --cloud, or OS_CLOUD"


class _Reader:
    """Reads variables by their names and gathers what is wrong with them."""

    def __init__(self, env: Mapping[str, str], place: str) -> None:
        self.problems: list[Problem] = []
        self._env = env
        self._place = place

    def wrong(self, name: str, expected: str, hint: str | None = None) -> None:
        self.problems.append(Problem(self._place, None, None, name, expected, hint))

    def first(self, *names: str, fault: Callable[[str], str | None] = fault_of) -> str | None:
        """The value of the first that has one."""
        found = next((name for name in names if self._env.get(name)), None)
        if found is None:
            return None
        if (wrong := fault(self._env[found])) is not None:
            self.wrong(found, wrong)
        return self._env[found]

    def need(self, *names: str, fault: Callable[[str], str | None] = fault_of) -> str:
        """The value of the first that has one; to have none is a problem."""
        found = self.first(*names, fault=fault)
        if found is None:
            self.wrong(" or ".join(names), "a value", _ENTRY)
        return found or ""


def is_meant(env: Mapping[str, str]) -> bool:
    """Return whether variables of either kind are there to log in with."""
    return any(env.get(name) for name in (*_OURS, "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"))


def from_variables(env: Mapping[str, str], asked: CloudChoice) -> Credentials:
    """Return the credentials in the OS_* variables, else in those of the vendor's SDK.

    Raises InputError that names those that are missing or unusable.
    """
    reader = _Reader(env, "the environment")
    if not any(env.get(name) for name in _OURS) and is_meant(env):
        key = AccessKey(
            reader.need("HUAWEICLOUD_SDK_AK", fault=fault_in_header),
            reader.need("HUAWEICLOUD_SDK_SK", fault=fault_in_header),
            reader.first("HUAWEICLOUD_SDK_SECURITY_TOKEN", fault=fault_in_header),
        )
        found = _credentials(reader, asked, key, "HUAWEICLOUD_SDK_PROJECT_ID")
        return replace(found, found_in="the HUAWEICLOUD_SDK_* variables")
    kind = env.get("OS_AUTH_TYPE")
    way = WAYS.get(kind, "password") if kind else _way(env)
    for name in _OTHER_WAYS:
        # Whoever has a token has used the passcode up.
        if env.get(name) and not (name == "OS_PASSCODE" and way != "password"):
            hint = f"a login by {name} is not supported by this version: unset it, or ask for a token and set OS_TOKEN"
            reader.wrong(name, WAYS_IN_WORDS, hint)
    if kind and kind not in WAYS:
        reader.wrong("OS_AUTH_TYPE", WAYS_IN_WORDS, "OS_AUTH_TYPE names a way that this version does not know")
    found = _credentials(reader, asked, _proof(reader, way), "OS_PROJECT_ID", "OS_TENANT_ID")
    return replace(found, found_in="the OS_* variables")


def from_sdk_file(values: Mapping[str, str], env: Mapping[str, str], asked: CloudChoice, file: str) -> Credentials:
    """Return the credentials in the section `basic` of the file of the vendor's SDK; the region is a variable's.

    Raises InputError that names what is missing or unusable.
    """
    names = {"iam_endpoint": "OS_AUTH_URL", "project_id": "OS_PROJECT_ID"}
    reader = _Reader(values, file)
    key = AccessKey(
        reader.need("ak", fault=fault_in_header),
        reader.need("sk", fault=fault_in_header),
        reader.first("security_token", fault=fault_in_header),
    )
    if reader.problems:
        raise InputError(tuple(reader.problems))
    own = {name: values[key] for key, name in names.items() if values.get(key)}
    return _credentials(_Reader({**env, **own}, file), asked, key, "OS_PROJECT_ID")


def _way(env: Mapping[str, str]) -> Way:
    """The first way for which everything is there, the most lasting first; else the one of which there is something."""
    user = env.get("OS_USERNAME") or env.get("OS_USER_ID")
    if user and env.get("OS_PASSWORD"):
        return "password"
    if env.get("OS_ACCESS_KEY") and env.get("OS_SECRET_KEY"):
        return "aksk"
    if env.get("OS_TOKEN"):
        return "token"
    partly = env.get("OS_ACCESS_KEY") or env.get("OS_SECRET_KEY")
    return "aksk" if partly and not (user or env.get("OS_PASSWORD")) else "password"


def _proof(reader: _Reader, way: Way) -> Proof:
    if way == "token":
        return GivenToken(reader.need("OS_TOKEN", fault=fault_in_header))
    if way == "aksk":
        return AccessKey(
            reader.need("OS_ACCESS_KEY", fault=fault_in_header),
            reader.need("OS_SECRET_KEY", fault=fault_in_header),
            reader.first("OS_SECURITY_TOKEN", fault=fault_in_header),
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
    """The domain of user or project: its own, that of both, or the default."""
    # The plugins with a version in their name do not know a default.
    by_version = (reader.first("OS_AUTH_TYPE") or "").startswith("v3")
    return reader.first(own, *(name for name in shared if not (by_version and "DEFAULT" in name)))


def _credentials(reader: _Reader, asked: CloudChoice, proof: Proof, *project_ids: str) -> Credentials:
    by_key = isinstance(proof, AccessKey)
    auth_url = reader.first("OS_AUTH_URL") if by_key else reader.need("OS_AUTH_URL")
    project_name, project_id = reader.first("OS_PROJECT_NAME", "OS_TENANT_NAME"), reader.first(*project_ids)
    if isinstance(proof, Password) and project_name is None and project_id is None:
        reader.wrong("OS_PROJECT_NAME or OS_PROJECT_ID", "a value", _ENTRY)
    region = asked.region or reader.first("OS_REGION_NAME")
    if by_key and project_id is not None and not is_project_id(project_id):
        reader.wrong(project_ids[0], "an id, of letters, digits and hyphens")
    if by_key and region is not None and not is_region(region):
        reader.wrong("OS_REGION_NAME", "a region such as eu-de, of letters, digits and hyphens")
    found = Credentials(
        auth_url=auth_url,
        proof=proof,
        project_name=project_name,
        project_id=project_id,
        # The domain of a project tells projects of one name apart, no more.
        project_domain_name=_domain(reader, "OS_PROJECT_DOMAIN_NAME", *(_DOMAIN_NAMES if project_id is None else ())),
        project_domain_id=_domain(reader, "OS_PROJECT_DOMAIN_ID", *(_DOMAIN_IDS if project_id is None else ())),
        region=region,
        # openstacksdk lets the older name win.
        interface=(reader.first("OS_ENDPOINT_TYPE", "OS_INTERFACE") or "public").removesuffix("URL"),
        authorities=reader.first("OS_CACERT"),
    )
    if reader.problems:
        raise InputError(tuple(reader.problems))
    return found
