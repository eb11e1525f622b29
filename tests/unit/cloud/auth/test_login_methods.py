"""Which way to log in is taken, from which place, and where a cloud is that brings no catalog."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

from fleetos.cloud.auth import password_sources
from fleetos.cloud.auth.config_files import SearchFolders
from fleetos.cloud.auth.credentials import AccessKey, Credentials, GivenToken, Password, Proof
from fleetos.cloud.auth.known_clouds import derive_origin, iam_of
from fleetos.cloud.auth.sources import load
from fleetos.errors import InputError

USER = {"OS_AUTH_URL": "https://iam.invalid/v3", "OS_USERNAME": "al", "OS_PASSWORD": "geheim-1", "OS_PROJECT_ID": "p"}
KEY = {"OS_ACCESS_KEY": "AK", "OS_SECRET_KEY": "geheim-2", "OS_REGION_NAME": "eu-de"}
TOKEN = {"OS_AUTH_URL": "https://iam.invalid/v3", "OS_TOKEN": "geheim-3"}
SDK = {"HUAWEICLOUD_SDK_AK": "AK4", "HUAWEICLOUD_SDK_SK": "geheim-4", "HUAWEICLOUD_SDK_PROJECT_ID": "p4"}
BY_PASSWORD, BY_KEY = Password("al", "geheim-1"), AccessKey("AK", "geheim-2")
BY_TOKEN, BY_SDK = GivenToken("geheim-3"), AccessKey("AK4", "geheim-4")
FILE = "[global]\ndomain_id = d\n[basic]\nak = AK5\nsk = geheim-5%s\nproject_id = p5\niam_endpoint = https://iam.own.invalid"


@pytest.fixture
def places(tmp_path: Path) -> SearchFolders:
    found = SearchFolders(tmp_path / "cwd", tmp_path / "home", tmp_path / "site")
    for folder in (*found.folders({}), found.home / ".huaweicloud"):
        folder.mkdir(parents=True)
    return found


def found(
    places: SearchFolders, env: Mapping[str, str], entry: str | None = None, region: str | None = None
) -> Credentials:
    """The credentials in the variables, or in an entry of clouds.yaml given as its lines."""
    if entry is not None:
        lines = "".join(f"    {line}\n" for line in entry.splitlines())
        file = places.home / ".config" / "openstack" / "clouds.yaml"
        file.write_text(f"clouds:\n  prod:\n{lines}")
        # Programs are run for no file that others can write.
        file.chmod(0o600)
    return anyio.run(load, None if entry is None else "prod", region, env, places)


def problems(places: SearchFolders, env: Mapping[str, str], entry: str | None = None, region: str | None = None) -> str:
    """The text of the refusal, which shows no secret, also not where it was raised from."""
    with pytest.raises(InputError) as caught:
        found(places, env, entry, region)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
    return "\n".join(f"{one.key}: {one.expected} ({one.hint})" for one in caught.value.problems)


@pytest.mark.parametrize(
    ("env", "proof"),
    [
        (USER, BY_PASSWORD),
        (KEY, BY_KEY),
        (TOKEN, BY_TOKEN),
        (SDK, BY_SDK),
        (USER | KEY | TOKEN | SDK, BY_PASSWORD),
        (KEY | TOKEN | SDK, BY_KEY),
        (TOKEN | SDK, BY_TOKEN),
        (TOKEN | {"OS_ACCESS_KEY": "half"}, BY_TOKEN),
        (USER | KEY | {"OS_AUTH_TYPE": "aksk"}, BY_KEY),
        (USER | TOKEN | {"OS_AUTH_TYPE": "v3token"}, BY_TOKEN),
        (USER | KEY | {"OS_AUTH_TYPE": "v3password"}, BY_PASSWORD),
        (KEY | {"OS_SECURITY_TOKEN": "geheim-6"}, AccessKey("AK", "geheim-2", "geheim-6")),
        (SDK | {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "geheim-6"}, AccessKey("AK4", "geheim-4", "geheim-6")),
    ],
)
def test_the_most_lasting_way_counts_unless_one_is_named(
    places: SearchFolders, env: dict[str, str], proof: Proof
) -> None:
    (places.home / ".huaweicloud" / "credentials").write_text(FILE)
    assert found(places, env).proof == proof


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"OS_ACCESS_KEY": "AK"}, "OS_SECRET_KEY: a value"),
        ({"OS_SECRET_KEY": "geheim-2"}, "OS_ACCESS_KEY: a value"),
        ({"OS_TOKEN": "geheim-3"}, "OS_AUTH_URL: a value"),
        (TOKEN | {"OS_TOKEN": "geheim 3"}, "OS_TOKEN: letters"),
        (KEY | {"OS_SECRET_KEY": "geheim\n2"}, "OS_SECRET_KEY: letters"),
        (KEY | {"OS_PROJECT_ID": "../x"}, "OS_PROJECT_ID: an id"),
        (KEY | {"OS_REGION_NAME": "x.evil.invalid/"}, "OS_REGION_NAME: a region"),
        ({"OS_USERNAME": "al"} | SDK, "OS_PASSWORD: a value"),
        ({"HUAWEICLOUD_SDK_AK": "AK"}, "HUAWEICLOUD_SDK_SK: a value"),
        (SDK | {"HUAWEICLOUD_SDK_PROJECT_ID": "a/b"}, "HUAWEICLOUD_SDK_PROJECT_ID: an id"),
        (USER | {"OS_AUTH_TYPE": "v3oidcpassword"}, "OS_AUTH_TYPE: password, token or aksk"),
        ({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "nowhere"}, "not a file that can be read"),
        ({}, "OS_USERNAME: a value"),
    ],
)
def test_variables_that_will_not_do(places: SearchFolders, env: dict[str, str], said: str) -> None:
    assert said in problems(places, env)


def test_the_file_of_the_vendors_sdk_comes_last(places: SearchFolders) -> None:
    file = places.home / ".huaweicloud" / "credentials"
    file.write_text(FILE)
    got = found(places, {"OS_REGION_NAME": "eu-nl", "OS_PROJECT_ID": "other"})
    assert (got.proof, got.project_id) == (AccessKey("AK5", "geheim-5%s"), "p5")
    assert (got.auth_url, got.region) == ("https://iam.own.invalid", "eu-nl")
    assert found(places, {}, region="eu-de").region == "eu-de"
    (places.cwd / "mine").write_text("[basic]\nak = AK7\nsk = geheim-7\n")
    assert found(places, {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "mine"}).proof == AccessKey("AK7", "geheim-7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[basic]\nak = geheim", "sk: a value"),
        ("geheim", "sections"),
        ("[basic]\nak geheim", "sections"),
        ("[basic]\nak = a\nak = geheim", "sections"),
        ("[basic]\nak = a\nsk = geheim\nproject_id = ../x", "an id"),
        ("[global]\ndomain_id = geheim", "OS_USERNAME"),
        ("x" * 2**21, "at most"),
    ],
)
def test_a_file_of_the_vendors_sdk_that_will_not_do(places: SearchFolders, text: str, said: str) -> None:
    (places.home / ".huaweicloud" / "credentials").write_text(text)
    assert said in problems(places, {})


@pytest.mark.parametrize(
    ("entry", "proof"),
    [
        ("ak: AK\nsk: geheim-2", BY_KEY),
        ("access_key: AK\nsecret_key: geheim-2", BY_KEY),
        ("auth: {ak: AK, sk: geheim-2}", BY_KEY),
        ("auth: {access_key: AK, secret_key: geheim-2}\nauth_type: aksk", BY_KEY),
        ("ak: AK\nsk: geheim-2\nsecurity_token: geheim-6", AccessKey("AK", "geheim-2", "geheim-6")),
        ("profile: otc\nauth: {token: geheim-3}", BY_TOKEN),
        ("profile: otc\nauth: {token: geheim-3}\nauth_type: v3token", BY_TOKEN),
        ("profile: otc\nak: AK\nsk: x\nauth: {username: al, password: geheim-1, project_id: p}", BY_PASSWORD),
        ("auth_type: aksk\nak: AK\nsk: geheim-2\nauth: {username: al, password: geheim-1}", BY_KEY),
    ],
)
def test_the_ways_of_an_entry(places: SearchFolders, entry: str, proof: Proof) -> None:
    # The environment completes nothing.
    assert found(places, USER | KEY | SDK, f"{entry}\nregion_name: eu-de").proof == proof


def test_a_secret_key_may_stand_in_the_other_file(places: SearchFolders) -> None:
    (places.home / ".config" / "openstack" / "secure.yaml").write_text("clouds: {prod: {sk: geheim-2}}")
    assert found(places, {}, "ak: AK\nregion_name: eu-de").proof == BY_KEY


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("ak: AK", "sk: a value"),
        ("sk: geheim", "ak: a value"),
        ("ak: AK\nsk: 4711", "write it in quotes"),
        ("ak: AK\nsk: geheim\nauth: {project_id: a/b}", "auth.project_id: an id"),
        ("ak: AK\nsk: geheim\nregion_name: x/y", "region_name: a region"),
        ("auth: {username: u, project_id: p}\nprofile: otc\npassword_command: 5", "password_command: a program"),
        ("auth: {username: u, project_id: p}\nprofile: otc\npassword_command: [a, 5]", "password_command: a program"),
        ('auth: {username: u, project_id: p}\nprofile: otc\npassword_command: "a \'b"', "password_command: a program"),
        ("auth: {username: u, project_id: p, password_command: x}\nprofile: otc", "write it beside auth"),
        ("auth: {username: u, project_id: p, password: geheim}\npassword_command: x", "one password, not"),
        (
            "auth: {username: u, project_id: p}\npassword_command: x\npassword_keyring: {service: s, user: u}",
            "one pass",
        ),
        ("auth: {username: u, project_id: p}\nprofile: otc\npassword_keyring: {service: s}", "password_keyring.user"),
        ("auth: {username: u, project_id: p}\nprofile: otc\npassword_keyring: geheim", "password_keyring: a mapping"),
    ],
)
def test_an_entry_that_will_not_do(places: SearchFolders, entry: str, said: str) -> None:
    assert said in problems(places, {}, f"{entry}\n" + ("" if "region_name" in entry else "region_name: eu-de"))


def by(source: str) -> str:
    """An entry whose password comes from there."""
    return f"auth: {{username: u, project_id: p}}\nprofile: otc\nregion_name: eu-de\n{source}"


@pytest.mark.parametrize(
    ("command", "password"),
    [
        ("[printf, 'geheim 1\\n']", "geheim 1"),
        ("[printf, 'geheim']", "geheim"),
        ("\"printf 'ge heim'\"", "ge heim"),
        ("[printf, 'geheim\\r\\n']", "geheim"),
        ("[printf, '%s', '$HOME;`id`']", "$HOME;`id`"),
        ("[sh, -c, 'echo gehört; echo geheim >&2']", "gehört"),
    ],
)
def test_a_program_prints_the_password(places: SearchFolders, command: str, password: str) -> None:
    assert found(places, {}, by(f"password_command: {command}")).proof == Password("u", password)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("[sh, -c, 'echo geheim; exit 3']", "it ended with exit code 3"),
        ("['true']", "there is none"),
        ("[echo]", "there is none"),
        ("['yes', geheim]", "at most 4096 bytes"),
        ("[printf, 'geheim\\ngeheim']", "without control characters"),
        ("[printf, '\\377']", "in UTF-8"),
        ("[geheim-no-such-program, geheim]", "a program that can be started (No such file"),
        ("[sleep, '60']", "a password within 0.2 s"),
    ],
)
def test_a_program_that_does_not(
    places: SearchFolders, command: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in command:
        monkeypatch.setattr(password_sources, "PASSWORD_COMMAND_S", 0.2)
    told = problems(places, {}, by(f"password_command: {command}"))
    assert said in told
    assert told.startswith("clouds.prod.password_command")


def test_a_program_runs_only_when_the_entry_is_right_and_only_once(places: SearchFolders) -> None:
    told = places.cwd / "told"
    command = f"password_command: [sh, -c, 'echo x >> {told}; echo geheim']"
    problems(places, {}, by(command) + "\nverify: maybe")
    assert not told.exists()
    found(places, {}, by(command))
    assert told.read_text() == "x\n"


class Kept(ModuleType):
    """A keyring with one entry."""

    def get_password(self, service: str, user: str) -> str | None:
        if service == "broken":
            raise OSError("geheim")
        return "geheim" if (service, user) == ("s", "u") else None


def test_the_keyring_of_the_system_has_the_password(places: SearchFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", Kept("keyring"))
    assert found(places, {}, by("password_keyring: {service: s, user: u}")).proof == Password("u", "geheim")
    assert "keyring set s other" in problems(places, {}, by("password_keyring: {service: s, user: other}"))
    assert "can be read (OSError)" in problems(places, {}, by("password_keyring: {service: broken, user: u}"))
    nothing: Any = None
    monkeypatch.setitem(sys.modules, "keyring", nothing)
    assert "fleetos[keyring]" in problems(places, {}, by("password_keyring: {service: s, user: u}"))


def test_the_real_keyring_is_called_as_it_wants(places: SearchFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    assert "keyring set s u" in problems(places, {}, by("password_keyring: {service: s, user: u}"))


def test_openstacksdk_knows_more_clouds(places: SearchFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = "auth: {username: u, password: geheim, project_id: p}\nprofile: "
    assert found(places, {}, f"{entry}citycloud\nregion_name: Fra1").auth_url == "https://Fra1.citycloud.com:5000/v3/"
    one = found(places, {}, f"{entry}binero")
    assert (one.auth_url, one.region) == ("https://auth.binero.cloud:5000/v3", "europe-se-1")
    assert "region_name: a region" in problems(places, {}, f"{entry}citycloud\nregion_name: evil.invalid/")
    for name in ("nowhere", "https://evil.invalid", "../otc", "vexxhost", "betacloud"):
        assert "profile: otc or otc-swiss" in problems(places, {}, f"{entry}{name}")
    nothing: Any = None
    monkeypatch.delattr("openstack.config.vendors")
    monkeypatch.setitem(sys.modules, "openstack.config.vendors", nothing)
    assert "fleetos[openstack]" in problems(places, {}, f"{entry}citycloud")
    assert found(places, {}, f"{entry}otc\nregion_name: eu-de").auth_url == "https://iam.eu-de.otc.t-systems.com/v3"


@pytest.mark.parametrize(
    ("region", "auth_url", "ecs"),
    [
        ("eu-de", None, "https://ecs.eu-de.otc.t-systems.com"),
        ("eu-ch2", None, "https://ecs.eu-ch2.sc.otc.t-systems.com"),
        ("eu-west-0", None, "https://ecs.eu-west-0.prod-cloud-ocb.orange-business.com"),
        ("ap-southeast-1", None, "https://ecs.ap-southeast-1.myhuaweicloud.com"),
        ("my-kualalumpur-1", None, "https://ecs.my-kualalumpur-1.myhuaweicloud.com"),
        ("eu-west-101", None, "https://ecs.eu-west-101.myhuaweicloud.eu"),
        ("eu-west-101", "https://iam.myhuaweicloud.eu/v3", "https://ecs.eu-west-101.myhuaweicloud.eu"),
        ("eu-west-101", "https://iam.myhuaweicloud.com/v3", "https://ecs.eu-west-101.myhuaweicloud.com"),
        ("eu-de", "https://iam.otc.t-systems.com/v3", "https://ecs.eu-de.otc.t-systems.com"),
        ("eu-nl", "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3", None),
        ("eu-ch2", "https://iam.eu-de.otc.t-systems.com/v3", None),
        ("eu-de", "https://iam.myhuaweicloud.com/v3", None),
        ("eu-de", "https://iam.own.invalid/v3", None),
        ("la-south-6001", "https://proxy.own.invalid/v3", None),
        ("eu-de", "https://iam.eu-deotc.t-systems.com/v3", None),
        ("eu-de", "https://iam.otc.t-systems.com.own.invalid/v3", None),
        ("eu-de", "https://iam.eu-nl.own.otc.t-systems.com/v3", None),
        ("eu-west-101", "https://iam.eu-west-101.myhuaweicloud.eu/v3", "https://ecs.eu-west-101.myhuaweicloud.eu"),
        ("xx-1", "https://iam.xx-1.own.invalid", "https://ecs.xx-1.own.invalid"),
        ("eu-ch2", "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3", "https://ecs.eu-ch2.sc.otc.t-systems.com"),
        ("eu-nl", "https://iam.eu-de.otc.t-systems.com/v3", "https://ecs.eu-nl.otc.t-systems.com"),
        ("cn-north-4", "https://iam.myhuaweicloud.com/v3", "https://ecs.cn-north-4.myhuaweicloud.com"),
        ("eu-de", "http://127.0.0.1:8080/v3", "http://127.0.0.1:8080"),
        (None, "http://localhost:8080", "http://localhost:8080"),
        ("xx-1", "https://iam.elsewhere.invalid", None),
        ("xx-1", None, None),
        (None, None, None),
        (None, "https://iam.eu-de.otc.t-systems.com/v3", None),
    ],
)
def test_where_the_servers_are_without_a_catalog(region: str | None, auth_url: str | None, ecs: str | None) -> None:
    origin = derive_origin("ecs", region, auth_url)
    assert (None if origin is None else str(origin)) == ecs


def test_where_iam_is() -> None:
    assert iam_of("eu-de") == "https://iam.eu-de.otc.t-systems.com/v3"
    assert iam_of("eu-ch2") == "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3"
    assert iam_of("ap-southeast-3") == "https://iam.ap-southeast-3.myhuaweicloud.com/v3"
    assert iam_of("eu-west-101") == "https://iam.eu-west-101.myhuaweicloud.eu/v3"
    assert iam_of("xx-1") is None
    assert iam_of("") is None
