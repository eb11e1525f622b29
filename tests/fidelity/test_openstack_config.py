"""What decides whose servers are meant is read of an entry as openstacksdk reads it, or refused in words."""

import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
import yaml

from fleetos.cloud.auth.cloud_entry import CloudChoice, merge_entries
from fleetos.cloud.auth.clouds_yaml import from_entry
from fleetos.cloud.auth.config_files import SearchFolders
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.auth.sources import load
from fleetos.errors import InputError

pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for InfluxDB"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.OpenStackDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.ConfigurationWarning"),
]
# It comes without types.
loader: Any = importlib.import_module("openstack.config.loader")
merge: Any = importlib.import_module("openstack.config._util").merge_clouds
# What it fails by; most of it is its own reading of keys that it did not expect.
FAILURES: tuple[type[Exception], ...] = (
    importlib.import_module("openstack.exceptions").SDKException,
    importlib.import_module("keystoneauth1.exceptions").ClientException,
    TypeError, AttributeError, ValueError, LookupError,
)  # fmt: skip

ENTRIES = 3000
FILES = {"config": "clouds", "secure": "secure", "vendor": "clouds-public"}
SEED = int(os.environ.get("FLEETOS_TEST_SEED", "0") or "0")
REGIONS = ("eu-de", "eu-nl", "r-3")
AUTH_URLS = ("https://iam.a.invalid/v3", "https://iam.{region_name}.b.invalid/v3", "https://iam.c.invalid")


@dataclass(frozen=True, slots=True)
class Meant:
    """Whose servers an entry means: which cloud, project and user, as IAM is asked."""

    auth_url: str
    user: tuple[str, ...]
    project: tuple[str, ...]
    region: str
    interface: str
    verify: bool
    authorities: str | None


def named(by_id: str | None, name: str | None, domain_id: str | None, domain_name: str | None) -> tuple[str, ...]:
    """What IAM is asked for: an id alone, or a name in a domain."""
    if by_id:
        return ("id", by_id)
    domain = ("id", domain_id) if domain_id else ("name", domain_name or "")
    return ("name", name or "", *domain)


def ours(found: Credentials) -> Meant:
    proof = found.proof
    user = ("another way to log in",)
    if isinstance(proof, Password):
        user = named(proof.user_id, proof.username, proof.domain_id, proof.domain_name)
    return Meant(
        auth_url=found.auth_url or "",
        user=user,
        project=named(found.project_id, found.project_name, found.project_domain_id, found.project_domain_name),
        region=found.region or "",
        interface=found.interface,
        verify=found.verify,
        authorities=found.authorities if found.verify else None,
    )


def theirs(region: Any) -> Meant:
    """What openstacksdk would ask for: the fields of its plugin as IAM gets them."""
    plugin: Any = region.get_auth()
    verify = region.get_requests_verify_args()[0]

    def told(name: str) -> str | None:
        # The plugins with a version in their name have the same fields without the underscore, those of the user in
        # their method.
        method = plugin.auth_methods[0] if hasattr(plugin, "auth_methods") else plugin
        value = getattr(plugin, name, None) or getattr(method, name, None) or getattr(plugin, f"_{name}", None)
        return None if value is None else str(value)

    return Meant(
        auth_url=str(plugin.auth_url),
        user=named(told("user_id"), told("username"), told("user_domain_id"), told("user_domain_name")),
        project=named(told("project_id"), told("project_name"), told("project_domain_id"), told("project_domain_name")),
        region=region.config["region_name"],
        interface=str(region.config["interface"]).removesuffix("URL"),
        verify=bool(verify),
        authorities=verify if isinstance(verify, str) else None,
    )


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolders:
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    found = SearchFolders(tmp_path / "cwd", tmp_path / "home", tmp_path / "site")
    for folder in found.folders({}):
        folder.mkdir(parents=True)
    return found


def verdict(read_here: Callable[[], Credentials], read_there: Callable[[], Any]) -> tuple[str, Any, Any]:
    """How two readings compare: same, refused (ours, in words), theirs fails, or different; and both."""
    try:
        here: Meant | str = ours(read_here())
    except InputError as error:
        here = str(error)
    try:
        there: Meant | str = theirs(read_there())
    except FAILURES as error:
        there = f"{type(error).__name__}: {error}"
    if isinstance(here, str):
        return ("refused" if ": " in here else "different"), here, there
    if isinstance(there, str):
        return "theirs fails", here, there
    return ("same" if here == there else "different"), here, there


def compared(places: SearchFolders, region: str | None, env: Mapping[str, str] | None = None) -> tuple[str, Any, Any]:
    """How the readings of the entry `prod` in the folder's files compare, or those of the variables."""
    cloud = None if env else "prod"

    def there() -> Any:
        files = {f"{kind}_files": [str(places.cwd / f"{stem}.yaml")] for kind, stem in FILES.items()}
        return loader.OpenStackConfig(**files).get_one(cloud, region_name=region)

    return verdict(lambda: anyio.run(load, cloud, region, env or {}, places), there)


def spelled(chance: Random, key: str) -> str:
    return key.replace("_", "-") if chance.random() < 0.07 else key


VALUES: Mapping[str, tuple[object, ...]] = {
    "auth_url": AUTH_URLS,
    "username": ("al", "bo"),
    "user_name": ("cy",),
    "user_id": ("u1",),
    "password": ("pw", "pw2"),
    "user_domain_name": ("UD", "UE"),
    "user_domain_id": ("ud",),
    "project_name": ("web", "test", "y"),
    "project_id": ("p1", "p2", "p3", 17),
    "tenant_name": ("old",),
    "tenant_id": ("t1",),
    "project_domain_name": ("PD",),
    "project_domain_id": ("pd",),
    "domain_name": ("D",),
    "domain_id": ("d",),
    "default_domain_name": ("DD",),
    "default_domain_id": ("dd",),
}
OTHERS: Mapping[str, tuple[object, ...]] = {
    "trust_id": ("tr",),
    "system_scope": ("all",),
    "passcode": ("123",),
    "token": ("tok",),
    "application_credential_id": ("ac",),
    "project": ("p3",),
}
BESIDE: Mapping[str, tuple[object, ...]] = {
    "interface": ("public", "internal", "adminURL", "inside"),
    "endpoint_type": ("internalURL", "admin"),
    "verify": (True, False, "no", None),
    "insecure": (True, False, "true", "False", 1),
    "cacert": ("/ca.pem",),
    "auth_type": ("password", "v3password", "v2password", None, ""),
    "profile": ("otc", "citycloud", "binero", "auro", "fuga", "nowhere", "local", "listed"),
    "cloud": ("otc", "local"),
    "compute_region_name": ("eu-nl",),
    "region_name": (*REGIONS, "eu-de,eu-nl", ["eu-nl", "eu-de"], ["eu-de"], 7),
    "volume_api_version": (3,),
}
PUBLIC = {
    "public-clouds": {
        "local": {"auth": {"auth_url": AUTH_URLS[1], "project_domain_name": "LD"}, "region_name": "r-3"},
        "listed": {
            "auth": {"auth_url": AUTH_URLS[0]},
            "regions": ["eu-nl", {"name": "eu-de", "values": {"auth": {"project_name": "of-region"}}}],
            "interface": "internal",
        },
    }
}


def some(chance: Random, values: Mapping[str, tuple[object, ...]], share: float) -> dict[str, object]:
    return {spelled(chance, key): chance.choice(told) for key, told in values.items() if chance.random() < share}


def regions(chance: Random) -> object:
    """A list of regions, some with settings of their own."""
    found: list[object] = []
    for name in chance.sample(REGIONS, chance.choice((0, *[1] * 7, 2, 3))):
        values: dict[str, object] = some(chance, VALUES, 0.02) | some(chance, BESIDE, 0.005)
        if chance.random() < 0.6:
            values["auth"] = some(chance, VALUES, 0.06)
        found.append(chance.choice([name, {"name": name}, {"name": name, "values": values}]))
    return found


def entry(chance: Random) -> dict[str, object]:
    """An entry that is mostly right."""
    auth = some(chance, VALUES, 0.03) | some(chance, OTHERS, 0.01)
    for key, share in (("auth_url", 0.97), ("username", 0.98), ("password", 0.99), ("project_name", 0.96)):
        if chance.random() < share:
            auth[spelled(chance, key)] = chance.choice(VALUES[key])
    if chance.random() < 0.6:
        auth[spelled(chance, "user_domain_name")] = "UD"
    found = some(chance, BESIDE, 0.025) | some(chance, VALUES, 0.015) | some(chance, OTHERS, 0.005)
    place = chance.random()
    if place < 0.55:
        found["region_name"] = chance.choice(REGIONS)
    if place > 0.5:
        found["regions"] = regions(chance)
    if chance.random() < 0.97:
        found["auth"] = auth
    keys = list(found)
    chance.shuffle(keys)
    return {key: found[key] for key in keys}


class Parsed(loader.OpenStackConfig):
    """openstacksdk's reading without files."""

    def _load_vendor_file(self) -> Any:
        return "clouds-public.yaml", deepcopy(PUBLIC)


@dataclass(frozen=True, slots=True)
class Written:
    """What files say of one cloud, and the region that is asked for."""

    region: str | None
    clouds: Mapping[str, object]
    secure: Mapping[str, object]

    @classmethod
    def by(cls, number: int) -> "Written":
        chance = Random(SEED * 1_000_000 + number)
        secure = some(chance, BESIDE, 0.01) | {"auth": some(chance, VALUES, 0.04)}
        region = chance.choice(REGIONS) if chance.random() < 0.3 else None
        return cls(region, entry(chance), secure if chance.random() < 0.3 else {})

    def compared(self) -> tuple[str, Any, Any]:
        """How the readings compare once the files are parsed."""

        def there() -> Any:
            config = Parsed(load_yaml_config=False, load_envvars=False)
            config.cloud_config = {"clouds": merge(deepcopy({"prod": self.clouds}), deepcopy({"prod": self.secure}))}
            return config.get_one("prod", region_name=self.region)

        whole = merge_entries(self.clouds, self.secure)
        asked = CloudChoice("prod", self.region)
        return verdict(lambda: from_entry(whole, asked, "clouds.yaml", PUBLIC["public-clouds"])[0], there)


@pytest.mark.parametrize("entries", [ENTRIES // 5, pytest.param(ENTRIES, marks=pytest.mark.proof)])
def test_generated_entries_are_read_as_openstacksdk_reads_them(places: SearchFolders, entries: int) -> None:
    counts: Counter[str] = Counter()
    for number in range(entries):
        one = Written.by(number)
        said, here, there = one.compared()
        counts[said] += 1
        assert said != "different", f"seed {SEED}, entry {number}: {one}\nours: {here}\ntheirs: {there}"
    # A test that compares nothing would pass as well.
    assert counts["same"] > entries // 3, counts


def test_files_are_parsed_and_merged_as_openstacksdk_does_it(places: SearchFolders) -> None:
    (places.cwd / "clouds-public.yaml").write_text(json.dumps(PUBLIC))
    for number in range(ENTRIES, ENTRIES + 60):
        one = Written.by(number)
        for stem, told in (("clouds", one.clouds), ("secure", one.secure)):
            text = yaml.safe_dump({"clouds": {"prod": told, 19720: {}}}, sort_keys=False)
            (places.cwd / f"{stem}.yaml").write_text(text)
        said, here, there = compared(places, one.region)
        assert (said, here, there) == one.compared() or said == "refused", (
            f"seed {SEED}, entry {number}: {here} {there}"
        )


def forms() -> Iterator[tuple[str, str]]:
    """Entries as people write them, in the file of which each takes what it needs."""
    who = "username: operator, password: secret, user_domain_name: OTC-1"
    url, project = "auth_url: https://iam.a.invalid/v3", "project_id: p1"
    yield "verify in the words of YAML 1.1", f"verify: off, auth: {{{url}, {who}, {project}}}"
    yield "a key with hyphens", f"region-name: eu-de, auth: {{auth-url: https://iam.a.invalid, {who}, project-id: p1}}"
    yield "a project beside auth", f"project_id: p1, auth: {{{url}, {who}, project_id: p2}}"
    yield "a tenant beside auth", f"tenant_name: old, auth: {{{url}, {who}}}"
    yield "a tenant against a project", f"auth: {{{url}, {who}, tenant_name: old, project_name: new}}"
    yield "a tenant's id against a project's", f"auth: {{{url}, {who}, project_id: p1, tenant_id: t1}}"
    yield "a tenant beside auth against a project in it", f"tenant_name: old, auth: {{{url}, {who}, project_name: new}}"
    yield "a project beside auth against a tenant in it", f"project_name: new, auth: {{{url}, {who}, tenant_name: old}}"
    yield "an id of one project, the name of another", f"auth: {{{url}, {who}, project_id: p1, project_name: other}}"
    yield (
        "an address beside auth against one in it",
        f"auth_url: https://iam.b.invalid/v3, auth: {{{url}, {who}, {project}}}",
    )
    yield "a user beside auth", f"username: operator, password: secret, auth: {{{url}, {project}}}"
    yield "an older name of the user", f"auth: {{{url}, user_name: operator, password: secret, {project}}}"
    yield "a user by id", f"auth: {{{url}, user_id: u1, password: secret, {project}}}"
    yield "a domain for both", f"auth: {{{url}, username: a, password: b, project_name: c, domain_id: d}}"
    yield "a default domain", f"auth: {{{url}, username: a, password: b, project_name: c, default_domain_id: d}}"
    yield (
        "an address of the region",
        f"regions: [{{name: eu-de, values: {{auth: {{{url}}}}}}}], auth: {{{who}, {project}}}",
    )
    yield (
        "a project of the region",
        f"regions: [{{name: eu-de, values: {{project_name: test}}}}], auth: {{{url}, {who}, project_name: live}}",
    )
    yield (
        "an interface by its older name",
        f"endpoint_type: internalURL, interface: public, auth: {{{url}, {who}, {project}}}",
    )
    yield "a name that YAML 1.2 knows", f"region_name: n, auth: {{{url}, {who}, project_name: 1e5}}"
    yield "certificates", f"cacert: /x.pem, insecure: false, auth: {{{url}, {who}, {project}}}"
    yield "a profile", f"profile: otc, region_name: eu-nl, auth: {{{who}, {project}}}"
    yield "a profile with more than an address", "profile: auro, auth: {username: a, password: b, project_name: c}"
    yield "a profile by its older name", f"cloud: otc, region_name: eu-de, auth: {{{who}, {project}}}"


@pytest.mark.parametrize(("about", "text"), list(forms()), ids=[about for about, _ in forms()])
def test_a_form_that_people_write_is_read(places: SearchFolders, about: str, text: str) -> None:
    (places.cwd / "clouds.yaml").write_text(f"clouds:\n  19720: {{}}\n  prod: {{{text}}}\n")
    said, here, there = compared(places, None)
    assert said == "same", f"{about}: {here} {there}"


def test_the_region_that_is_asked_for_brings_its_settings(places: SearchFolders) -> None:
    auth = "auth: {auth_url: https://iam.a.invalid, username: a, password: b, project_name: live, user_domain_name: d}"
    values = "values: {auth: {project-domain-name: other, project_name: test}, interface: internal}"
    listed = f"regions: [eu-nl, {{name: eu-de, {values}}}]"
    (places.cwd / "clouds.yaml").write_text(f"clouds: {{prod: {{{auth}, {listed}}}}}")
    for region, project in (("eu-nl", "live"), ("eu-de", "test")):
        said, here, _ = compared(places, region)
        assert said == "same"
        assert here.project[:2] == ("name", project)
    for refused in (None, "eu-ch2"):
        assert compared(places, refused)[0] == "refused"


def test_variables_are_read_as_openstacksdk_reads_them(places: SearchFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()
    for number in range(300):
        chance = Random(SEED * 1_000_000 + number)
        keys = {"auth_url": "https://iam.a.invalid", "username": "al", "password": "pw", "region_name": "eu-de"}
        keys |= {key: str(value) for key, value in some(chance, VALUES, 0.15).items() if "-" not in key}
        keys |= {
            key: str(chance.choice(BESIDE[key])) for key in ("interface", "endpoint_type") if chance.random() < 0.2
        }
        keys["auth_url"] = "https://iam.a.invalid"
        env = {f"OS_{key.upper()}": value for key, value in keys.items() if key not in ("token", "user_name")}
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            said, here, there = compared(places, env["OS_REGION_NAME"], env)
        counts[said] += 1
        assert said != "different", f"seed {SEED}, variables {number}: {env}\nours: {here}\ntheirs: {there}"
    assert counts["same"] > 50, counts
