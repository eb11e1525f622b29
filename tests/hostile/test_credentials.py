"""The environment and clouds.yaml: credentials, or an error that names the place; no secret, and no host but IAM's."""

import contextlib
import ssl
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random

import anyio
import httpx
import pytest
from hypothesis import given

from fleetos.cloud.auth.config_files import SearchFolders
from fleetos.cloud.auth.credentials import AccessKey, Credentials, GivenToken, Password
from fleetos.cloud.auth.grant import token_request
from fleetos.cloud.auth.known_clouds import derive_origin
from fleetos.cloud.auth.request_auth import SignatureAuth, TokenAuth
from fleetos.cloud.auth.sources import load as load_async
from fleetos.cloud.http.addresses import parse_origin, proxies_from
from fleetos.errors import FleetosError, InputError, UsageError
from tests.support.hostile_values import NASTY_TEXTS, json_bytes, mangled, randoms, spoiled
from tests.support.seeded_examples import examples

GOOD = {
    "OS_AUTH_URL": "https://iam.invalid/v3",
    "OS_USERNAME": "al",
    "OS_PASSWORD": "geheim-1",
    "OS_USER_DOMAIN_NAME": "d",
    "OS_PROJECT_NAME": "p",
    "OS_REGION_NAME": "eu-de",
    "OS_INTERFACE": "public",
    "OS_CACERT": "/ca",
    "OS_AUTH_TYPE": "password",
}
ENTRY = {
    "clouds": {
        "prod": {
            "profile": "otc",
            "region_name": "eu-de",
            "auth": {"username": "al", "password": "geheim-1", "project_name": "p", "user_domain_name": "d"},
            "interface": "public",
            "cacert": "/ca",
            "verify": True,
            "regions": ["eu-de", {"name": "eu-nl"}],
            "ecs_endpoint_override": "https://ecs.invalid",
        },
        "other": {},
    }
}
SIGNING = {
    "OS_ACCESS_KEY": "AK",
    "OS_SECRET_KEY": "geheim-1",
    "OS_SECURITY_TOKEN": "geheim-2",
    "OS_PROJECT_ID": "p",
    "OS_REGION_NAME": "eu-de",
}
BY_KEY = {
    "ak": "AK",
    "sk": "geheim-1",
    "security_token": "geheim-2",
    "region_name": "eu-de",
    "auth": {"project_id": "p"},
}
BY_TOKEN = {"profile": "otc", "region_name": "eu-de", "auth_type": "token", "auth": {"token": "geheim-1"}}
# No program of a spoiled name is there.
BY_PROGRAM = {
    "profile": "otc",
    "region_name": "eu-de",
    "auth": {"username": "al", "project_id": "p"},
    "password_command": ["no-such-program", "geheim-1"],
}
ALLOWED_HOST = ".otc.t-systems.com"
AUTH = "auth: {username: u, password: geheim-1, project_name: n}"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> SearchFolders:
    folder = tmp_path_factory.mktemp("credentials")
    return SearchFolders(folder, folder / "home", folder / "site")


def load(cloud: str | None, region: str | None, env: Mapping[str, str], places: SearchFolders) -> Credentials:
    """The credentials, without a loop of the caller's."""
    return anyio.run(load_async, cloud, region, env, places)


def outcome(
    places: SearchFolders, cloud: str | None, env: dict[str, str], region: str | None = None
) -> Credentials | None:
    """The credentials, which can be sent and used; None for an error that is ours and shows no secret."""
    found, told = None, ""
    try:
        found = load(cloud, region, env, places)
        if found.auth_url is not None or not isinstance(found.proof, AccessKey):
            parse_origin(found.auth_url or "", "auth_url")
    except (InputError, UsageError) as error:
        told = "".join(traceback.format_exception(error))
    assert "geheim" not in told
    if found is not None:
        used(found)
    with contextlib.suppress(OSError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            "/ca" if told or found is None else found.authorities or "/ca"
        )
    return None if told else found


def used(found: Credentials) -> None:
    """Nothing, if a request can be made with the credentials."""
    proof, request = found.proof, httpx.Request("GET", "https://ecs.invalid/v1/x?y=1")
    match proof:
        case Password():
            assert token_request(found, proof).isascii()
        case GivenToken():
            request = next(TokenAuth(proof.text).sync_auth_flow(request))
        case AccessKey():
            derive_origin("ecs", found.region, "https://iam.invalid")
            badge = SignatureAuth(proof, found.project_id, lambda: datetime(2026, 1, 2, tzinfo=UTC))
            request = next(badge.sync_auth_flow(request))
    assert all(value.isascii() and value.isprintable() for value in request.headers.values())


def clouds_yaml(places: SearchFolders, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (places.cwd / "clouds.yaml").write_bytes(data)


def test_what_is_spoiled_below_is_right(places: SearchFolders) -> None:
    assert outcome(places, None, dict(GOOD)) is not None
    clouds_yaml(places, json_bytes(ENTRY))
    assert outcome(places, "prod", {}) is not None


@pytest.mark.parametrize("name", [*GOOD, "OS_PROJECT_ID", "OS_CLOUD", "XDG_CONFIG_HOME", "OS_CLIENT_CONFIG_FILE"])
def test_every_variable_may_be_anything(places: SearchFolders, name: str) -> None:
    clouds_yaml(places, json_bytes(ENTRY))
    for text in (*NASTY_TEXTS, "a" * 100_000):
        outcome(places, None, {**GOOD, name: text})
        outcome(places, "prod", {name: text})


@pytest.mark.parametrize("name", [*SIGNING, "OS_TOKEN", "OS_AUTH_TYPE", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"])
def test_every_variable_of_the_other_ways_may_be_anything(places: SearchFolders, name: str) -> None:
    vendors = {f"HUAWEICLOUD_SDK_{key.removeprefix('OS_')}": text for key, text in SIGNING.items()}
    for text in (*NASTY_TEXTS, "a" * 200_000):
        outcome(places, None, {**SIGNING, name: text})
        outcome(places, None, {"OS_AUTH_URL": "https://iam.invalid", "OS_TOKEN": "geheim-2", name: text})
        outcome(places, None, {**vendors, "HUAWEICLOUD_SDK_AK": text, "HUAWEICLOUD_SDK_SK": "geheim-1"})


@examples(12)
@given(randoms)
def test_the_file_of_the_vendors_sdk_may_be_anything(places: SearchFolders, random: Random) -> None:
    text = b"[basic]\nak = AK\nsk = geheim-1\nproject_id = p\nsecurity_token = geheim-2\niam_endpoint = https://iam.invalid\n"
    file = places.home / ".huaweicloud" / "credentials"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(mangled(random, text, depths=(20, 200)))
    outcome(places, None, {"OS_REGION_NAME": "eu-de"})
    file.unlink()


@examples(12)
@given(randoms)
def test_an_entry_with_a_key_or_a_program_may_be_anything(places: SearchFolders, random: Random) -> None:
    for more in (BY_KEY, BY_TOKEN, BY_PROGRAM):
        clouds_yaml(places, json_bytes(spoiled(random, {"clouds": {"prod": more}})))
        outcome(places, "prod", {})


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "NO_PROXY"])
def test_proxies_may_be_anything(name: str) -> None:
    for text in (*NASTY_TEXTS, "http://\udcff:x@h", "socks5://h", "h:1:2", "[::1", "*.*", "1.2.3.4/99"):
        try:
            found = proxies_from({"HTTPS_PROXY": "http://proxy:3128", name: text})
        except UsageError:
            continue
        found.headers()
        assert found.for_host("127.0.0.1") is None
        found.for_host("ecs.invalid")


@examples(16)
@given(randoms)
def test_clouds_yaml_may_be_anything(places: SearchFolders, random: Random) -> None:
    clouds_yaml(places, mangled(random, json_bytes(spoiled(random, ENTRY)), depths=(20, 200)))
    found = outcome(places, "prod", {})
    if found is not None and found.auth_url is not None and found.auth_url.startswith("https://iam."):
        host = parse_origin(found.auth_url, "x").host
        assert host.endswith(ALLOWED_HOST), "a profile stands for the cloud's own host alone"


@pytest.mark.parametrize(
    "region",
    ["evil.invalid/", "evil.invalid/#", "x@evil.invalid/", "a.evil.invalid?", "..", "\\evil.invalid/", "a b", "\n"],
)
@pytest.mark.parametrize("by_plan", [True, False])
def test_a_region_leads_the_password_to_no_other_host(places: SearchFolders, region: str, by_plan: bool) -> None:
    own = "eu-de" if by_plan else region
    entry = {"profile": "otc", "region_name": own, "auth": ENTRY["clouds"]["prod"]["auth"]}
    clouds_yaml(places, json_bytes({"clouds": {"prod": entry}}))
    assert outcome(places, "prod", {}, region if by_plan else None) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "!!bool x",
            "!!int x",
            "!!float x",
            "!!timestamp x",
            "!!binary '$'",
            "!!null x",
            "!!set [a]",
            "!!pairs {a: b}",
        ),
        *('"\\UFFFFFFFF"', '"\\ud800"', "{? [a] : b}", "{? !!set {a} : b}", "2001-99-99", "*a", "&a [*a]", "<<: 5"),
        *(
            "!!python/object/apply:os.system [id]",
            "9" * 5000,
            "0b2",
            "0o9",
            "1e999",
            ".nan",
            "1:99:99",
            "=",
            "{<<: [5]}",
        ),
    ],
)
def test_what_yaml_takes_for_something_else(places: SearchFolders, text: str) -> None:
    for entry in (
        f"clouds: {{prod: {text}}}",
        f"clouds: {{prod: {{profile: {text}, {AUTH}}}}}",
        f"clouds: {text}",
        text,
    ):
        clouds_yaml(places, entry)
        assert outcome(places, "prod", {}) is None


@pytest.mark.parametrize("levels", [6, 8, 30])
def test_merge_keys_that_multiply_are_refused_at_once(places: SearchFolders, levels: int) -> None:
    lines = [f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 9)}]}}" for level in range(1, levels)]
    bomb = "\n".join(["a0: &a0 {k: v, l: w}", *lines])
    clouds_yaml(places, f"{bomb}\nclouds: {{prod: {{profile: otc, region_name: eu-de, {AUTH}}}}}")
    begun_s = time.process_time()
    outcome(places, "prod", {})
    # Each level takes nine times as long as the one before; the sixth a tenth of a second.
    assert time.process_time() - begun_s < 10


def test_secrets_are_merged_without_following_aliases(places: SearchFolders) -> None:
    def bomb(name: str) -> str:
        levels = [f"{name}{level}: &{name}{level} {{" for level in range(1, 12)]
        inner = [", ".join(f"k{key}: *{name}{level}" for key in range(9)) for level in range(11)]
        lines = [f"{name}0: &{name}0 {{k: v}}", *(f"{one}{rest}}}" for one, rest in zip(levels, inner, strict=True))]
        return "\n".join(lines)

    clouds_yaml(places, f"{bomb('a')}\nclouds: {{prod: {{x: *a11, profile: otc, region_name: eu-de, {AUTH}}}}}")
    secure = places.cwd / "secure.yaml"
    secure.write_text(f"{bomb('b')}\nclouds: {{prod: {{x: *b11, auth: {{password: nearer}}}}}}", encoding="utf-8")
    try:
        found = outcome(places, "prod", {})
    finally:
        secure.unlink()
    assert found is not None
    assert found.proof == Password("u", "nearer")


def test_a_thousand_entries_are_named_in_a_bounded_message(places: SearchFolders) -> None:
    clouds_yaml(places, json_bytes({"clouds": {f"entry-{number:05}" + "x" * 500: {} for number in range(1000)}}))
    with pytest.raises(FleetosError) as caught:
        load("zzz", None, {}, places)
    assert len(caught.value.message) < 10_000
    assert "980 more" in caught.value.message


@pytest.mark.parametrize("count", [500, pytest.param(2000, marks=pytest.mark.proof)])
@pytest.mark.parametrize("key", ["auth", "auth-url", "regions"])
def test_names_of_keys_are_shown_bounded_and_without_control(places: SearchFolders, key: str, count: int) -> None:
    nasty = {f"k\x1b[2J{number}" + "x" * 300: "geheim" for number in range(count)}
    filled = {key: [nasty] if key == "regions" else nasty}
    clouds_yaml(places, json_bytes({"clouds": {"prod": filled}}))
    with pytest.raises(FleetosError) as caught:
        load("prod", None, {}, places)
    assert "\x1b" not in caught.value.message
    assert "geheim" not in caught.value.message
    assert len(caught.value.message) < 50_000


def test_a_bomb_of_aliases_is_no_address(places: SearchFolders) -> None:
    levels = [f"a{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 9)}]" for one in range(1, 12)]
    bomb = "\n".join(["a0: &a0 [x]", *levels])
    for key in ("auth-url", "auth_url", "regions", "region_name", "verify", "interface", "profile", "project-id"):
        clouds_yaml(places, f"{bomb}\nclouds: {{prod: {{{key}: *a11, auth: {{{key}: *a11}}}}}}")
        assert outcome(places, "prod", {}) is None
