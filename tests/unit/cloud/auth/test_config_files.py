"""Which files are put together, and what a clouds.yaml of somebody else's folder gets of the user: nothing."""

import os
import traceback
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from fleetos.cloud.auth.config_files import SearchFolders
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.auth.sources import load
from fleetos.errors import InputError

ENTRY = "clouds: {prod: {auth: {auth_url: https://iam.%s.invalid/v3, username: u, project_name: web%s}%s}}"
OPEN = ENTRY % ("here", "", "")
CLOSED = ENTRY % ("here", ", password: geheim-own", "")
SECRET = "clouds: {prod: {auth: {password: geheim}}}"


@pytest.fixture
def places(tmp_path: Path) -> SearchFolders:
    found = SearchFolders(tmp_path / "cwd", tmp_path / "home", tmp_path / "site")
    for folder in found.folders({}):
        folder.mkdir(parents=True)
    return found


@pytest.fixture
def own(places: SearchFolders) -> Path:
    """The user's own folder of settings."""
    return places.home / ".config" / "openstack"


def found(places: SearchFolders, env: Mapping[str, str] | None = None) -> Credentials:
    return anyio.run(load, "prod", None, env or {}, places)


def refused(places: SearchFolders, env: Mapping[str, str] | None = None) -> str:
    """The text of the refusal, which shows no secret."""
    with pytest.raises(InputError) as caught:
        found(places, env)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def password(places: SearchFolders, env: Mapping[str, str] | None = None) -> str:
    proof = found(places, env).proof
    assert isinstance(proof, Password)
    return proof.password


def test_secrets_of_the_user_do_not_meet_a_file_of_the_working_directory(places: SearchFolders, own: Path) -> None:
    (places.cwd / "clouds.yaml").write_text(OPEN)
    for folder in (own, places.site):
        (folder / "secure.yaml").write_text(SECRET)
        told = refused(places)
        assert str(folder / "secure.yaml") in told
        assert f"OS_CLIENT_CONFIG_FILE={places.cwd / 'clouds.yaml'}" in told
        (folder / "secure.yaml").unlink()
    (own / "secure.yaml").write_text("clouds: {other: {auth: {password: geheim}}}")
    assert "auth.password" in refused(places)


def test_variables_give_no_password_to_an_entry(places: SearchFolders) -> None:
    (places.cwd / "clouds.yaml").write_text(OPEN)
    assert "OS_PASSWORD does not count" in refused(places, {"OS_PASSWORD": "geheim", "OS_USERNAME": "al"})


def test_a_file_of_the_working_directory_is_not_laid_over_the_users_own(places: SearchFolders, own: Path) -> None:
    (own / "clouds.yaml").write_text(CLOSED)
    (places.cwd / "secure.yaml").write_text("clouds: {prod: {auth: {auth_url: https://iam.evil.invalid/v3}}}")
    assert str(places.cwd / "secure.yaml") in refused(places)
    assert "OS_CLIENT_SECURE_FILE=" in refused(places)
    # Also where the user has named the file.
    assert str(places.cwd / "secure.yaml") in refused(places, {"OS_CLIENT_CONFIG_FILE": str(own / "clouds.yaml")})
    (places.cwd / "secure.yaml").write_text("clouds: {other: {}}")
    assert found(places).auth_url == "https://iam.here.invalid/v3"


def test_one_folder_is_one_owner(places: SearchFolders, own: Path) -> None:
    (own / "clouds.yaml").write_text(OPEN)
    (own / "secure.yaml").write_text(SECRET)
    assert password(places) == "geheim"
    assert found(places).notice is None
    (places.cwd / "clouds.yaml").write_text(OPEN)
    (places.cwd / "secure.yaml").write_text("clouds: {prod: {auth: {password: near}}}")
    assert password(places) == "near"
    assert found(places).notice == (
        f"using clouds.prod in {places.cwd / 'clouds.yaml'} and {places.cwd / 'secure.yaml'}, of the working directory"
    )


def test_a_variable_trusts_a_file(places: SearchFolders, own: Path) -> None:
    (places.cwd / "clouds.yaml").write_text(OPEN)
    (own / "secure.yaml").write_text(SECRET)
    named = {"OS_CLIENT_CONFIG_FILE": "clouds.yaml"}
    assert password(places, named) == "geheim"
    assert found(places, named).notice is None


def test_a_variable_that_names_the_secrets_trusts_no_foreign_file_with_them(places: SearchFolders, own: Path) -> None:
    (places.cwd / "clouds.yaml").write_text(OPEN)
    (own / "secrets").write_text(SECRET)
    named = {"OS_CLIENT_SECURE_FILE": str(own / "secrets")}
    assert f"OS_CLIENT_CONFIG_FILE={places.cwd / 'clouds.yaml'}" in refused(places, named)
    assert password(places, {**named, "OS_CLIENT_CONFIG_FILE": "clouds.yaml"}) == "geheim"
    # Nor with secrets that are named from the working directory; an entry of the user's own may have them.
    (places.cwd / "kept").mkdir()
    (places.cwd / "kept" / "secrets").write_text(SECRET)
    assert "OS_CLIENT_CONFIG_FILE=" in refused(places, {"OS_CLIENT_SECURE_FILE": "kept/secrets"})
    (places.cwd / "clouds.yaml").rename(own / "clouds.yaml")
    assert password(places, {"OS_CLIENT_SECURE_FILE": "kept/secrets"}) == "geheim"


def test_the_working_directory_may_be_the_folder_of_settings(places: SearchFolders, own: Path) -> None:
    (own / "clouds.yaml").write_text(ENTRY % ("here", "", ", password_command: [echo, geheim]"))
    (own / "clouds.yaml").chmod(0o600)
    there = SearchFolders(own, places.home, places.site)
    assert password(there) == "geheim"
    assert found(there).notice is None


def test_links_lead_out_of_a_foreign_folder(places: SearchFolders, own: Path, tmp_path: Path) -> None:
    (own / "secure.yaml").write_text(SECRET)
    (places.cwd / "clouds.yaml").write_text(OPEN)
    (places.cwd / "secure.yaml").symlink_to(own / "secure.yaml")
    assert str(places.cwd / "secure.yaml") in refused(places)
    # The user's own file is what it is by whatever name, and links among the user's own folders are the user's.
    (places.cwd / "secure.yaml").unlink()
    (places.cwd / "clouds.yaml").unlink()
    (own / "clouds.yaml").write_text(OPEN)
    (places.cwd / "clouds.yaml").symlink_to(own / "clouds.yaml")
    assert password(places) == "geheim"
    (places.cwd / "clouds.yaml").unlink()
    (own / "clouds.yaml").rename(tmp_path / "dotfile.yaml")
    (own / "clouds.yaml").symlink_to(tmp_path / "dotfile.yaml")
    assert password(places) == "geheim"


@pytest.mark.parametrize("key", ["password_command: [touch, %s]", "password_keyring: {service: otc, user: me}"])
def test_a_file_of_the_working_directory_runs_nothing(places: SearchFolders, key: str) -> None:
    ran = places.cwd / "ran"
    more = f", {key % ran if '%s' in key else key}"
    (places.cwd / "clouds.yaml").write_text(ENTRY % ("here", "", more))
    told = refused(places)
    assert f"{key.partition(':')[0]}: not a key that is heeded in a file of the working directory" in told
    assert "OS_CLIENT_CONFIG_FILE=" in told
    # Nor does one beside it.
    (places.cwd / "clouds.yaml").write_text(OPEN)
    (places.cwd / "secure.yaml").write_text("clouds: {prod: {" + more[2:] + "}}")
    assert "working directory" in refused(places)
    assert not ran.exists()


@pytest.mark.parametrize(("mode", "said"), [(0o644, None), (0o600, None), (0o664, "go-w"), (0o646, "go-w")])
@pytest.mark.parametrize("named", [True, False])
def test_a_program_is_run_for_a_file_that_only_its_owner_writes(
    places: SearchFolders, own: Path, mode: int, said: str | None, named: bool
) -> None:
    file = own / "clouds.yaml"
    file.write_text(ENTRY % ("here", "", ", password_command: [echo, geheim]"))
    file.chmod(mode)
    env = {"OS_CLIENT_CONFIG_FILE": str(file)} if named else {}
    if said is None:
        assert password(places, env) == "geheim"
    else:
        assert f"chmod {said} {file}" in refused(places, env)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_no_program_is_run_for_a_file_of_somebody_else(places: SearchFolders, own: Path) -> None:
    file = own / "clouds.yaml"
    file.write_text(ENTRY % ("here", "", ", password_command: [echo, geheim]"))
    os.chown(file, 12345, -1)
    assert "another user's file" in refused(places)


PROFILE = "public-clouds: {ours: {auth: {auth_url: https://iam.%s.invalid/v3, user_domain_name: d}, region_name: r1}}"


def test_profiles_of_a_file_are_read(places: SearchFolders, own: Path) -> None:
    (own / "clouds.yaml").write_text("clouds: {prod: {profile: ours, auth: {username: u, password: p, project_id: i}}}")
    (places.site / "clouds-public.yaml").write_text(PROFILE % "site")
    read = found(places)
    assert (read.auth_url, read.region) == ("https://iam.site.invalid/v3", "r1")
    assert read.proof == Password("u", "p", "d")
    assert str(places.site / "clouds-public.yaml") in read.found_in
    (own / "clouds-public.yaml").write_text(PROFILE % "own")
    assert found(places).auth_url == "https://iam.own.invalid/v3"
    # One of the working directory would lead the user's password elsewhere.
    (places.cwd / "clouds-public.yaml").write_text(PROFILE % "evil")
    assert str(places.cwd / "clouds-public.yaml") in refused(places)
    (places.cwd / "clouds.yaml").write_text((own / "clouds.yaml").read_text())
    assert found(places).auth_url == "https://iam.evil.invalid/v3"


def test_the_settings_folder_of_a_variable_comes_before_the_usual_one(
    places: SearchFolders, own: Path, tmp_path: Path
) -> None:
    (own / "clouds.yaml").write_text(CLOSED)
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert found(places, env).auth_url == "https://iam.here.invalid/v3"
    (tmp_path / "xdg" / "openstack").mkdir(parents=True)
    (tmp_path / "xdg" / "openstack" / "clouds.yaml").write_text(CLOSED.replace("here", "there"))
    assert found(places, env).auth_url == "https://iam.there.invalid/v3"
