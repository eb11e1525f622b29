"""Every key that decides whose servers are meant is heeded, or refused by name."""

from pathlib import Path

import anyio
import pytest

from fleetos.cloud.auth.config_files import SearchFolders
from fleetos.cloud.auth.credentials import Credentials
from fleetos.cloud.auth.sources import load
from fleetos.errors import InputError, NoCredentials

AUTH = "auth: {auth_url: https://iam.a.invalid/v3, username: u, password: geheim, project_name: p%s}"
NO_ENV: dict[str, str] = {}
VARIABLES = {"OS_AUTH_URL": "https://iam.a.invalid", "OS_PROJECT_ID": "p", "OS_REGION_NAME": "eu-de"}


@pytest.fixture
def places(tmp_path: Path) -> SearchFolders:
    return SearchFolders(tmp_path, tmp_path / "home", tmp_path / "site")


def found(places: SearchFolders, entry: str, region: str | None = None, **env: str) -> Credentials:
    (places.cwd / "clouds.yaml").write_text(f"clouds:\n  prod: {{{entry}}}\n")
    return anyio.run(load, "prod", region, env, places)


def refused(places: SearchFolders, entry: str, region: str | None = None, **env: str) -> str:
    with pytest.raises(InputError) as caught:
        found(places, entry, region, **env)
    told = str(caught.value)
    assert str(places.cwd / "clouds.yaml") in told
    assert "geheim" not in told
    return told


@pytest.mark.parametrize(
    "key",
    [
        *("application_credential_id", "application_credential_secret", "passcode", "trust_id", "trust-id"),
        *("system_scope", "agency_name", "agency_domain_name", "delegated_project", "target_project_id"),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_another_way_to_log_in_is_refused_by_its_key(places: SearchFolders, key: str, beside: bool) -> None:
    entry = f"{key}: x, {AUTH % ''}" if beside else AUTH % f", {key}: x"
    assert f"{'' if beside else 'auth.'}{key.replace('-', '_')}: expected password" in refused(places, entry)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (AUTH % ", projectname: q", "auth.projectname: not a key of auth\n  hint: did you mean project_name?"),
        (AUTH % ", project_id: null", "auth.project_id: expected a value"),
        (
            AUTH % ", project-name: q",
            "project-name: not a key that is spelled in one way: project_name and project-name",
        ),
        (f"project-name: q, {AUTH % ''}", "project-name: not a key that is spelled in one way"),
        (
            f"project: q, {AUTH % ''}",
            "project: not a key that fleetos heeds\n  hint: write project_name, or project_id",
        ),
        (f"region: eu-de, {AUTH % ''}", "hint: write region_name"),
        (f"cert: /c.pem, {AUTH % ''}", "there are no client certificates"),
        (f"compute_endpoint_override: https://x, {AUTH % ''}", "hint: write ecs_endpoint_override"),
        (f"assume_role: {{agency: x}}, {AUTH % ''}", "a login by assume_role is not supported"),
        (f"auth_type: null, {AUTH % ''}", "auth_type: expected password, token or aksk"),
        (f"verify: null, {AUTH % ''}", "verify: expected true or false"),
        (f"verify: 'no', {AUTH % ''}", "verify: expected true or false"),
        (f"interface: inside, {AUTH % ''}", "interface: expected public or internal or admin"),
        (f"profile: nowhere, {AUTH % ''}", "profile: expected otc or otc-swiss"),
        (f"profile: 'https://x.invalid', {AUTH % ''}", "profile: expected otc or otc-swiss"),
        (f"regions: [], {AUTH % ''}", "regions: expected a list of regions"),
        (f"regions: eu-de, {AUTH % ''}", "regions: expected a list of regions"),
        (f"regions: [a, b], {AUTH % ''}", "region_name: expected a region: one of a, b"),
        (f"regions: [a, a], region_name: a, {AUTH % ''}", "regions[1]: not a region that is listed once"),
        (f"regions: [{{name: a, value: {{}}}}], {AUTH % ''}", "regions[0].value: not a key of a region"),
        (f"regions: [{{name: a, values: 5}}], {AUTH % ''}", "regions[0].values: expected a mapping"),
        (f"regions: [{{name: a, values: {{profile: otc}}}}], {AUTH % ''}", "regions.profile: not a key"),
        (f"regions: [{{name: a, values: {{region_name: b}}}}], {AUTH % ''}", "regions.region_name: not a key"),
        (f"regions: [a, b], region_name: b, {AUTH % ''}", "region_name: not the first of `regions`: a, b"),
        (f"region_name: 'a,b', {AUTH % ''}", "region_name: not one region: it has 2"),
    ],
)
def test_what_is_not_heeded_is_named(places: SearchFolders, entry: str, said: str) -> None:
    assert said in refused(places, entry)


def test_a_region_that_is_not_listed_has_a_candidate(places: SearchFolders) -> None:
    entry = f"regions: [eu-de, eu-nl], {AUTH % ''}"
    assert "regions: not a list that has eu_de\n  hint: did you mean 'eu-de'?" in refused(places, entry, "eu_de")
    assert found(places, entry, "eu-nl").region == "eu-nl"


def test_the_variable_for_the_region_counts_or_is_told_of(places: SearchFolders) -> None:
    assert found(places, AUTH % "", OS_REGION_NAME="eu-nl").region == "eu-nl"
    assert found(places, f"regions: [eu-de, eu-nl], {AUTH % ''}", OS_REGION_NAME="eu-nl").region == "eu-nl"
    assert found(places, f"region_name: 'eu-de,eu-nl', {AUTH % ''}", OS_REGION_NAME="eu-nl").region == "eu-nl"
    one = f"region_name: eu-de, {AUTH % ''}"
    assert found(places, one, OS_REGION_NAME="eu-de").region == "eu-de"
    # The plan names one: nothing is left open.
    assert found(places, one, "eu-nl", OS_REGION_NAME="eu-de").region == "eu-nl"
    for entry in (one, f"region_name: eu-de, regions: [eu-de], {AUTH % ''}"):
        assert "not one region: it says eu-de, OS_REGION_NAME says eu-nl" in refused(
            places, entry, OS_REGION_NAME="eu-nl"
        )
    assert "not a list that has eu-nl" in refused(places, f"regions: [eu-de], {AUTH % ''}", OS_REGION_NAME="eu-nl")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"OS_PASSCODE": "123456"}, "OS_PASSCODE"),
        ({"OS_USERNAME": "u", "OS_PASSWORD": "geheim", "OS_PASSCODE": "123456"}, "OS_PASSCODE"),
        ({"OS_TRUST_ID": "t", "OS_USERNAME": "u", "OS_PASSWORD": "geheim"}, "OS_TRUST_ID"),
        ({"OS_AGENCY_NAME": "a", "OS_ACCESS_KEY": "AK", "OS_SECRET_KEY": "geheim"}, "OS_AGENCY_NAME"),
        ({"OS_APPLICATION_CREDENTIAL_ID": "a"}, "OS_APPLICATION_CREDENTIAL_ID"),
    ],
)
def test_variables_for_another_way_to_log_in_are_refused(places: SearchFolders, env: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        anyio.run(load, None, None, VARIABLES | env, places)
    assert not isinstance(caught.value, NoCredentials)
    assert f"a login by {said} is not supported" in str(caught.value)
    assert "123456" not in str(caught.value)


def test_a_token_may_have_been_had_by_a_passcode(places: SearchFolders) -> None:
    env = VARIABLES | {"OS_TOKEN": "token", "OS_PASSCODE": "123456"}
    assert anyio.run(load, None, None, env, places).project_id == "p"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "clouds:\n  prod: {a: 1}\n  prod: {a: geheim}",
            ":3:3: not YAML that can be read: the key prod stands there twice",
        ),
        (
            "clouds:\n  prod:\n    auth: {password: x, password: geheim}",
            ":3:25: not YAML that can be read: the key password",
        ),
        (
            "clouds:\n  prod:\n    auth:\n      password: !vault geheim",
            ":4:17: not YAML that can be read: fleetos does not",
        ),
        ("clouds:\n  prod: {auth: !secret {password: geheim}}", "know the tag !secret"),
        ("clouds:\n  prod: {auth: {password: 1e5, x: !Ref geheim}}", "know the tag !Ref"),
    ],
)
def test_what_yaml_must_not_hold_is_named_with_its_line(places: SearchFolders, text: str, said: str) -> None:
    (places.cwd / "clouds.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        anyio.run(load, "prod", None, NO_ENV, places)
    assert f"{places.cwd / 'clouds.yaml'}:" in str(caught.value)
    assert said in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_scalars_are_those_of_pyyaml_whatever_the_file_says(places: SearchFolders) -> None:
    text = (
        "%YAML 1.2\n---\nclouds: {19720: {}, prod: {verify: off, region_name: y, "
        + AUTH % ", user_domain_name: 1e5"
        + "}}"
    )
    (places.cwd / "clouds.yaml").write_text(text)
    read = anyio.run(load, "prod", None, NO_ENV, places)
    assert (read.verify, read.region) == (False, "y")
    (places.cwd / "clouds.yaml").write_text("clouds: {19720: {}}")
    with pytest.raises(InputError, match="write the entry's name in quotes"):
        anyio.run(load, "19720", None, NO_ENV, places)
