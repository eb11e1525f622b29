"""Whole runs with each way to log in, by the real command; the simulated cloud checks what it is shown."""

import json
import shlex
import urllib.request
from typing import Any

import pytest

from fleetos.sim.api.access import (
    ACCESS_KEY,
    DOMAIN,
    PASSWORD,
    PROJECT,
    SECRET_KEY,
    SECURITY_TOKEN,
    TEMPORARY_ACCESS_KEY,
    TEMPORARY_SECRET_KEY,
    USER,
)
from tests.cli.runner import SharedCloudRunner
from tests.support.proxy import running_proxy

TEMPORARY: dict[str, Any] = {
    "OS_ACCESS_KEY": TEMPORARY_ACCESS_KEY,
    "OS_SECRET_KEY": TEMPORARY_SECRET_KEY,
    "OS_SECURITY_TOKEN": SECURITY_TOKEN,
}
KEY: dict[str, Any] = {"OS_AUTH_TYPE": "aksk", "OS_ACCESS_KEY": ACCESS_KEY, "OS_SECRET_KEY": SECRET_KEY}


def token(runner: SharedCloudRunner) -> str:
    """A token that somebody else has asked for."""
    user = {"name": USER, "password": PASSWORD, "domain": {"name": DOMAIN}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = json.dumps({"auth": {"identity": identity, "scope": {"project": {"name": PROJECT}}}}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{runner.url}/v3/auth/tokens", body)) as answer:
        return str(answer.headers["X-Subject-Token"])


def test_a_key_drives_a_run_until_it_is_refused_and_a_token_carries_on(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    logins = runner.ledger().requests.get("token", 0)
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes", **KEY)
    began.until("target.changing")
    runner.faults({"on": "read", "do": "refuse", "code": "APIGW.0301"})
    done = began.end()
    assert done.returncode == 77
    assert [event["type"] for event in began.events[-2:]] == ["run.paused", "run.driver-ended"]
    assert "does not accept the signature of the access key" in done.stderr
    assert runner.ledger().requests.get("token", 0) == logins
    assert all(secret not in done.stderr + done.stdout for secret in (SECRET_KEY, "Signature="))
    # The key is not locked: fewer refusals than that were heard.
    runner.post("/admin/heal", {})
    assert runner.fleetos("apply", runner.write_plan(["nobody"], "other.yaml"), "--yes", **KEY).returncode == 65
    carried = runner.fleetos("resume", OS_AUTH_TYPE="token", OS_TOKEN=token(runner), OS_PASSWORD="", OS_USERNAME="")
    assert carried.returncode == 0, carried.stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)
    assert runner.ledger().requests.get("token", 0) == logins + 2


def test_the_user_of_a_key_is_named_with_the_key_pair_or_missed(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    text = runner.write_plan(names)
    runner.env |= KEY
    asked = runner.ledger().requests.get("credential", 0)
    for temporary, owner in (({}, []), (TEMPORARY, ["key-pair-owner"])):
        told = runner.fleetos("plan", text, "-o", "json", **temporary)
        found = json.loads(told.stdout)["findings"]
        assert [one["code"] for one in found if one["code"] == "key-pair-owner"] == owner
        assert all("say `userid:`" in one["hint"] for one in found if one["code"] == "key-pair-owner")
    assert runner.ledger().requests["credential"] == asked + 2
    assert runner.fleetos("apply", text, "--yes").returncode == 0
    (write,) = [one for one in runner.writes(names) if one.operation == "changeos"]
    pairs = urllib.request.Request(f"{runner.url}/v3/auth/tokens", headers={"X-Subject-Token": token(runner)})
    pairs.add_header("X-Auth-Token", token(runner))
    with urllib.request.urlopen(pairs) as answer:
        assert write.userid == json.load(answer)["token"]["user"]["id"]


@pytest.mark.parametrize(
    ("printed", "code", "said"),
    [
        (PASSWORD, 0, "1 done"),
        ("wrong-word-4711", 77, "IAM refuses the login"),
        ("", 65, "clouds.own.password_command: expected a password, and there is none"),
    ],
)
def test_a_program_prints_the_password(runner: SharedCloudRunner, printed: str, code: int, said: str) -> None:
    names = runner.take(1)
    auth = {"auth_url": f"{runner.url}/v3", "username": USER, "user_domain_name": DOMAIN, "project_name": PROJECT}
    entry = {"auth": auth, "region_name": "eu-de", "password_command": ["printf", "%s\\n", printed]}
    (runner.folder / "clouds.yaml").write_text(json.dumps({"clouds": {"own": entry}}))
    (runner.folder / "clouds.yaml").chmod(0o600)
    runner.env = {name: value for name, value in runner.env.items() if not name.startswith("OS_")}
    runner.env["OS_CLIENT_CONFIG_FILE"] = str(runner.folder / "clouds.yaml")
    done = runner.fleetos("apply", runner.write_plan(names), "--yes", "--cloud", "own")
    assert done.returncode == code, done.stderr
    assert said in done.stderr + done.stdout
    assert "4711" not in done.stderr + done.stdout


def test_a_clouds_yaml_of_somebody_else_gets_nothing_of_the_user(runner: SharedCloudRunner) -> None:
    own = runner.folder / "config" / "openstack"
    own.mkdir(parents=True)
    (own / "secure.yaml").write_text(json.dumps({"clouds": {"own": {"auth": {"password": PASSWORD}}}}))
    auth = {"auth_url": f"{runner.url}/v3", "username": USER, "user_domain_name": DOMAIN, "project_name": PROJECT}
    entry: dict[str, Any] = {"auth": auth, "region_name": "eu-de"}
    foreign, ran = runner.folder / "clouds.yaml", runner.folder / "ran"
    runner.env = {name: value for name, value in runner.env.items() if not name.startswith("OS_")}
    text, logins = runner.write_plan(["web-001"]), runner.ledger().requests.get("token", 0)
    for more in ({}, {"password_command": ["touch", str(ran)]}):
        foreign.write_text(json.dumps({"clouds": {"own": entry | more}}))
        if more:
            (own / "secure.yaml").unlink()
        refused = runner.fleetos("plan", text, "--cloud", "own", OS_PASSWORD=PASSWORD)
        assert refused.returncode == 65, refused.stderr
        assert f"OS_CLIENT_CONFIG_FILE={foreign}" in refused.stderr
    assert not ran.exists()
    assert runner.ledger().requests.get("token", 0) == logins
    # What a folder has of its own it may use, and the user is told; the settings of the region count.
    listed = [{"name": "eu-de", "values": {"auth": {"project-name": PROJECT}}}]
    nobody = {**auth, "password": PASSWORD, "project-name": "nobody-s"}
    del nobody["project_name"]
    whole = {"auth": nobody, "regions": listed}
    foreign.write_text(json.dumps({"clouds": {"own": whole}}))
    planned = runner.fleetos("plan", text, "--cloud", "own")
    assert planned.returncode == 0, planned.stderr
    assert f"using clouds.own in {foreign}, of the working directory" in planned.stderr


def test_a_key_with_an_address_of_an_unknown_cloud_sends_nothing(runner: SharedCloudRunner) -> None:
    elsewhere = {"OS_AUTH_URL": "https://iam-proxy.own.invalid/v3", "OS_PROJECT_ID": "p1", "OS_REGION_NAME": "eu-de"}
    runner.env = {name: value for name, value in runner.env.items() if not name.startswith("OS_")}
    runner.env |= {**KEY, **elsewhere}
    refused = runner.fleetos("plan", runner.write_plan(["web-001"]))
    assert refused.returncode == 65, refused.stderr
    assert "ecs_endpoint_override" in refused.stderr


def test_a_real_cloud_behind_this_machine_is_none_that_is_simulated(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    text = runner.write_plan(names)
    with running_proxy(runner.url, "tap-password") as tunnel:
        runner.env |= tunnel.environment()
        assert runner.fleetos("plan", text).returncode == 0
        tunnel.simulated = False
        done = runner.fleetos("apply", text, "--yes")
        assert done.returncode == 65
        assert "timeouts.settle" in done.stderr
        text = runner.write_plan(names, "auto.yaml", pace="polling: {min: 1s, max: 2s}")
        planned = runner.fleetos("plan", text)
        assert "30m" in planned.stdout + planned.stderr
    assert runner.writes(names) == []


@pytest.mark.slow
def test_what_the_simulated_cloud_prints_is_enough_to_sign(runner: SharedCloudRunner) -> None:
    sim = runner.start("sim", "--servers", "3")
    try:
        assert sim.stdout is not None
        lines = [sim.stdout.readline().strip() for _ in range(8)]
        printed = [word for line in lines for word in shlex.split(line.removeprefix("# "))]
        split = [word.partition("=") for word in printed if word.startswith("OS_")]
        env = {name: value for name, _, value in split}
        assert env.keys() >= KEY.keys() | {"OS_AUTH_URL", "OS_PROJECT_NAME", "OS_REGION_NAME"}
        signed = {name: value for name, value in env.items() if name not in ("OS_USERNAME", "OS_PASSWORD")}
        assert [line.split()[0] for line in lines] == ["export"] * 6 + ["#"] * 2
        bare = {name: value for name, value in runner.env.items() if not name.startswith("OS_")}
        runner.env = {**bare, **signed}
        refused = runner.fleetos("apply", runner.write_plan(["nobody-here"]), "--yes")
        assert refused.returncode == 65
        assert "nobody-here" in refused.stderr
    finally:
        sim.kill()
        sim.communicate()
