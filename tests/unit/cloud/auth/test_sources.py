"""Where credentials are found, and what is said when they are not."""

import traceback
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from fleetos.cloud.auth.config_files import CREDENTIALS_FILE_BYTES, SearchFolders
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.auth.sources import load as load_async
from fleetos.errors import InputError

FULL = """
clouds:
  prod:
    profile: otc
    region_name: eu-de
    auth:
      username: al
      password: geheim
      project_name: eu-de_project
      user_domain_name: OTC001
"""
VARIABLES = {
    "OS_AUTH_URL": "https://iam.invalid/v3",
    "OS_USERNAME": "al",
    "OS_PASSWORD": "geheim",
    "OS_USER_DOMAIN_NAME": "OTC001",
    "OS_PROJECT_NAME": "p",
    "OS_REGION_NAME": "eu-de",
}


def load(cloud: str | None, region: str | None, env: Mapping[str, str], places: SearchFolders) -> Credentials:
    """The credentials, without a loop of the caller's."""
    return anyio.run(load_async, cloud, region, env, places)


def user(found: Credentials) -> str:
    assert isinstance(found.proof, Password)
    return found.proof.username


def password(found: Credentials) -> str:
    assert isinstance(found.proof, Password)
    return found.proof.password


@pytest.fixture
def places(tmp_path: Path) -> SearchFolders:
    found = SearchFolders(tmp_path / "cwd", tmp_path / "home", tmp_path / "site")
    for folder in found.folders({}):
        folder.mkdir(parents=True)
    return found


def write(folder: Path, text: str, name: str = "clouds.yaml") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def entry(
    auth: str = "username: u, password: p, project_name: n, auth_url: https://iam.invalid/v3", more: str = ""
) -> str:
    return f"clouds:\n  prod:\n    auth: {{{auth}}}\n" + "".join(f"    {line}\n" for line in more.splitlines())


def problems(places: SearchFolders, cloud: str | None = "prod", **env: str) -> str:
    """The text of the refusal, which shows no secret, also not where it was raised from."""
    with pytest.raises(InputError) as caught:
        load(cloud, None, env, places)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
    return "\n".join(f"{one.file}:{one.line}: {one.key}: {one.expected} ({one.hint})" for one in caught.value.problems)


def test_the_vendors_profile_gives_the_address(places: SearchFolders) -> None:
    write(places.cwd, FULL)
    assert load("prod", None, {}, places) == Credentials(
        auth_url="https://iam.eu-de.otc.t-systems.com/v3",
        proof=Password("al", "geheim", "OTC001"),
        cloud="prod",
        project_name="eu-de_project",
        region="eu-de",
    )
    assert "geheim" not in repr(load("prod", None, {}, places))


def test_the_region_of_the_plan_wins(places: SearchFolders) -> None:
    write(places.cwd, FULL)
    found = load("prod", "eu-nl", {}, places)
    assert (found.region, found.auth_url) == ("eu-nl", "https://iam.eu-nl.otc.t-systems.com/v3")


def test_the_swiss_profile_has_a_region_of_its_own(places: SearchFolders) -> None:
    write(places.cwd, FULL.replace("profile: otc", "profile: otc-swiss").replace("    region_name: eu-de\n", ""))
    found = load("prod", None, {}, places)
    assert (found.region, found.auth_url) == ("eu-ch2", "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_folders_of_openstacksdk_are_searched_in_order(places: SearchFolders, place: int) -> None:
    for number, folder in enumerate(places.folders({})[place:], start=place):
        write(folder, FULL.replace("username: al", f"username: user{number}"))
    assert user(load("prod", None, {}, places)) == f"user{place}"


def test_the_settings_folder_follows_its_variable(places: SearchFolders, tmp_path: Path) -> None:
    write(tmp_path / "xdg" / "openstack", FULL)
    assert user(load("prod", None, {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}, places)) == "al"


@pytest.mark.parametrize("name", ["clouds.yaml", "clouds.yml", "clouds.json"])
def test_three_endings_are_known(places: SearchFolders, name: str) -> None:
    write(places.cwd, FULL, name)
    assert user(load("prod", None, {}, places)) == "al"


def test_one_file_can_be_named(places: SearchFolders, tmp_path: Path) -> None:
    write(places.cwd, "clouds: {}")
    write(tmp_path / "x", FULL, "mine")
    named = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "x" / "mine")}
    assert user(load("prod", None, named, places)) == "al"
    assert "OS_CLIENT_CONFIG_FILE names it" in problems(places, OS_CLIENT_CONFIG_FILE=str(tmp_path / "no"))


def test_secrets_are_merged_in(places: SearchFolders, tmp_path: Path) -> None:
    write(places.cwd, FULL.replace("      password: geheim\n", ""))
    assert "secure.yaml" in problems(places)
    write(places.cwd, "clouds: {prod: {auth: {password: geheim}, region_name: eu-nl}}", "secure.yaml")
    found = load("prod", None, {}, places)
    assert (password(found), user(found), found.region) == ("geheim", "al", "eu-nl")
    assert found.found_in == f"clouds.prod in {places.cwd / 'clouds.yaml'} and {places.cwd / 'secure.yaml'}"
    write(tmp_path, "clouds: {prod: {auth: {password: named}}}", "s")
    both = {"OS_CLIENT_SECURE_FILE": str(tmp_path / "s"), "OS_CLIENT_CONFIG_FILE": "clouds.yaml"}
    assert password(load("prod", None, both, places)) == "named"
    write(places.cwd, "clouds: {other: {}}", "secure.yaml")
    assert "auth.password" in problems(places)


def test_the_variable_chooses_where_the_plan_does_not(places: SearchFolders) -> None:
    write(places.cwd, FULL)
    assert load(None, None, {**VARIABLES, "OS_CLOUD": "prod"}, places).cloud == "prod"
    assert load("prod", None, {"OS_CLOUD": "other"}, places).cloud == "prod"


def test_what_an_entry_can_say(places: SearchFolders) -> None:
    more = (
        "region_name: eu-de\ninterface: publicURL\ncacert: ~/ca.pem\nverify: false\ninsecure_http: true\n"
        "ecs_endpoint_override: https://ecs.invalid\nims_endpoint_override: https://ims.invalid\nauth_type: v3password"
    )
    auth = (
        "username: u, password: p, project_id: i, auth_url: https://iam.invalid/v3, user_domain_id: d, domain_name: n"
    )
    write(places.cwd, entry(auth, more))
    assert load("prod", None, {}, places) == Credentials(
        auth_url="https://iam.invalid/v3",
        proof=Password("u", "p", "n", "d"),
        cloud="prod",
        project_id="i",
        region="eu-de",
        authorities=str(places.home / "ca.pem"),
        verify=False,
        insecure_http=True,
        endpoints={"ecs": "https://ecs.invalid", "ims": "https://ims.invalid"},
    )


@pytest.mark.parametrize(
    ("more", "region"),
    [
        ("", None),
        ("regions: [eu-de]", "eu-de"),
        ("regions: [{name: eu-de, values: {}}]", "eu-de"),
        ("region_name: eu-de\nregions: [eu-de, eu-nl]", "eu-de"),
        ("region-name: eu-nl", "eu-nl"),
        ("region_name: [eu-nl]", "eu-nl"),
    ],
)
def test_the_region_of_an_entry(places: SearchFolders, more: str, region: str | None) -> None:
    write(places.cwd, entry(more=more))
    assert load("prod", None, {}, places).region == region


def test_certificates_of_the_environment_count_where_the_entry_names_none(places: SearchFolders) -> None:
    write(places.cwd, entry())
    assert load("prod", None, {"OS_CACERT": "/ca"}, places).authorities == "/ca"
    write(places.cwd, entry(more="cacert: /own"))
    assert load("prod", None, {"OS_CACERT": "/ca"}, places).authorities == "/own"


@pytest.mark.parametrize(
    ("auth", "more", "expected"),
    [
        ("username: u, password: p, project_name: n", "", "clouds.prod.auth.auth_url: the address of IAM"),
        ("username: u, password: p, project_name: n", "profile: nowhere", "profile: otc or otc-swiss"),
        ("username: u, password: p, project_name: n", "profile: otc", "region_name: a region"),
        ("auth_url: https://x, password: p, project_name: n", "", "auth.username: a value"),
        ("auth_url: https://x, username: u, password: p", "", "auth.project_name: a value"),
        ("auth_url: https://x, username: u, password: 4711, project_name: n", "", "write it in quotes"),
        ("auth_url: https://x, username: [u], password: p, project_name: n", "", "auth.username: a text"),
        ("auth_url: https://x, token: 4711", "", "auth.token: a text"),
        ("auth_url: https://x", "auth_type: v3token", "auth.token: a value"),
        ("token: geheim", "", "auth.auth_url: the address of IAM"),
        ("auth_url: https://x, application_credential_id: i", "", "application_credential_id"),
        (
            "username: u, password: p, project_name: n, auth_url: https://x",
            "auth_type: oidc",
            "auth_type: password, token or aksk",
        ),
        (
            "username: u, password: p, project_name: n, auth_url: https://x",
            "auth_type: agency",
            "this version does not know",
        ),
        ("username: u, password: p, project_name: n, auth_url: https://x", "verify: maybe", "verify: true or false"),
        ("username: u, password: p, project_name: n, auth_url: https://x", "insecure_http: 1", "insecure_http: true"),
    ],
)
def test_an_entry_that_will_not_do(places: SearchFolders, auth: str, more: str, expected: str) -> None:
    write(places.cwd, entry(auth, more))
    told = problems(places)
    assert expected in told
    assert str(places.cwd / "clouds.yaml") in told


def test_all_problems_are_told_at_once(places: SearchFolders) -> None:
    write(places.cwd, "clouds: {prod: {auth_type: oidc}}")
    told = problems(places)
    assert all(key in told for key in ("auth_type", "auth_url", "username", "password", "project_name"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clouds: {prod: {auth: geheim}}", "clouds.prod.auth: a mapping"),
        ("clouds: {prod: geheim}", "clouds.prod: a mapping"),
        ("clouds: geheim", "clouds: a mapping"),
        ("geheim", "a mapping"),
        ("[geheim]", "a mapping"),
        ("clouds: {1: {}}", "entries: none"),
        ("clouds: {prod: {1: geheim}}", "a mapping of names"),
        ("clouds:\n  prod: {geheim: [", "clouds.yaml:2:"),
        ("clouds: {prod: *geheim}", "YAML that can be read"),
        ("a: 1\na: geheim", "YAML that can be read"),
        ("!!python/object/apply:os.system [geheim]", "YAML that can be read"),
        ("\x00geheim", "YAML that can be read"),
        ("clouds: " + "[" * 20_000, "YAML that can be read"),
        ("#" * (CREDENTIALS_FILE_BYTES + 1), "at most"),
        ("", "clouds.prod: not found"),
        ("clouds:", "clouds.prod: not found"),
    ],
)
def test_a_file_that_will_not_do(places: SearchFolders, text: str, expected: str) -> None:
    write(places.cwd, text)
    assert expected in problems(places)


def test_bytes_that_are_no_text(places: SearchFolders) -> None:
    (places.cwd / "clouds.yaml").write_bytes(b"clouds: \xff\xfe geheim")
    assert "YAML that can be read" in problems(places)


def test_a_file_that_may_not_be_read(places: SearchFolders, tmp_path: Path) -> None:
    # A link that leads to itself can be read by nobody, not even by root.
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "names it" in problems(places, OS_CLIENT_CONFIG_FILE=str(tmp_path / "loop"))


def test_an_entry_that_is_not_there(places: SearchFolders) -> None:
    assert "looked for" in problems(places)
    assert str(places.site / "clouds.yaml") in problems(places)
    write(places.cwd, FULL)
    assert "did you mean 'prod'?" in problems(places, "prd")
    assert "entries: prod" in problems(places, "zzz")


def test_an_alias_cycle_ends(places: SearchFolders) -> None:
    write(places.cwd, entry(more="loop: &a {b: *a}"))
    write(places.cwd, "clouds: {prod: {loop: &a {b: *a}}}", "secure.yaml")
    assert user(load("prod", None, {}, places)) == "u"


def test_variables_alone_are_enough(places: SearchFolders) -> None:
    assert load(None, None, VARIABLES, places) == Credentials(
        auth_url="https://iam.invalid/v3",
        proof=Password("al", "geheim", "OTC001"),
        project_name="p",
        region="eu-de",
    )


def test_older_names_of_variables(places: SearchFolders) -> None:
    env = {
        "OS_AUTH_URL": "https://iam.invalid/v3",
        "OS_USERNAME": "al",
        "OS_PASSWORD": "geheim",
        "OS_DOMAIN_NAME": "d",
        "OS_TENANT_NAME": "t",
        "OS_TENANT_ID": "i",
        "OS_CACERT": "/ca",
        "OS_PROJECT_DOMAIN_NAME": "pd",
        "OS_AUTH_TYPE": "password",
    }
    found = load(None, "eu-nl", env, places)
    assert (found.proof, found.project_name, found.project_id) == (Password("al", "geheim", "d"), "t", "i")
    assert (found.authorities, found.region, found.project_domain_name) == ("/ca", "eu-nl", "pd")


def test_missing_variables_are_all_named(places: SearchFolders) -> None:
    told = problems(places, None)
    assert all(f"{name}: a value" in told for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"))
    assert "OS_PROJECT_NAME or OS_PROJECT_ID" in told
    assert "OS_CLOUD" in told
    assert "OS_AUTH_TYPE: password, token or aksk" in problems(places, None, **VARIABLES, OS_AUTH_TYPE="oidc")
