"""Logging in: who asks, where the services are, and what is not acceptable. In virtual time."""

import json
import re
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from fleetos.cloud.auth.credentials import AccessKey, GivenToken, Password
from fleetos.cloud.auth.grant import read_grant
from fleetos.errors import AuthenticationFailed, CloudUnreachable, InputError, PermissionDenied, UsageError
from tests.support.clocks import now_s, run
from tests.support.clouds.scripted import (
    CREDENTIALS,
    PROJECT,
    Answer,
    ScriptedCloud,
    answer,
    error,
    opened,
    server_body,
)

JOB = answer(200, {"job_id": "ff80"})


def opening(cloud: ScriptedCloud, env: dict[str, str] | None = None, **changes: Any) -> None:
    async def main() -> None:
        async with opened(cloud, replace(CREDENTIALS, **changes), env=env) as client:
            await client.server("s1")

    run(main)


def test_the_login_says_who_where_and_asks_for_the_catalog() -> None:
    cloud = ScriptedCloud(answer(200, {"server": server_body("s1")}))
    opening(cloud, project_domain_name="pd")
    login = cloud.seen[0]
    assert (login.host, login.path, login.params) == ("iam.eu-de.cloud.invalid", "/v3/auth/tokens", {})
    assert login.body == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "al", "password": "secret-password", "domain": {"name": "domain"}}},
            },
            "scope": {"project": {"name": "eu-de_project", "domain": {"name": "pd"}}},
        }
    }


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ({"id": "u1", "name": "ops-rollout"}, "ops-rollout"),
        ({"id": "u1"}, None),
        ({"id": "u1", "name": "x" * 5000}, None),
        ({"id": "u1", "name": "a\x1b[31m"}, None),
        ({"id": "u1", "name": 7}, None),
    ],
)
def test_a_token_tells_who_is_logged_in_and_a_strange_name_keeps_nobody_out(
    user: dict[str, object], shown: str | None
) -> None:
    project = {"id": PROJECT, "name": "eu-de_prod", "domain": {"name": "OTC0001"}}
    body = json.dumps({"token": {"user": user, "project": project}}).encode()
    grant = read_grant({"x-subject-token": "t1"}, body)
    assert (grant.user_name, grant.user_id) == (shown, "u1")
    assert (grant.project_name, grant.domain_name) == ("eu-de_prod", "OTC0001")


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://iam.invalid/v3", "/v3/auth/tokens"),
        ("https://iam.invalid/v3/", "/v3/auth/tokens"),
        ("https://iam.invalid", "/v3/auth/tokens"),
        ("https://iam.invalid/", "/v3/auth/tokens"),
        ("https://iam.invalid/identity/v3", "/identity/v3/auth/tokens"),
    ],
)
def test_the_address_of_iam_may_lack_its_version(address: str, path: str) -> None:
    cloud = ScriptedCloud(JOB)
    cloud.logins = [answer(401, b"")]
    with pytest.raises(AuthenticationFailed):
        opening(cloud, auth_url=address)
    assert cloud.seen[0].path == path


def test_a_project_id_wins_over_its_name() -> None:
    cloud = ScriptedCloud(answer(200, {"server": server_body("s1")}))
    proof = Password("al", "secret-password", "domain", "d")
    opening(cloud, project_id="p", project_domain_name="pd", proof=proof)
    body: Any = cloud.seen[0].body
    assert body["auth"]["scope"] == {"project": {"id": "p"}}
    assert body["auth"]["identity"]["password"]["user"]["domain"] == {"id": "d"}


@pytest.mark.parametrize(
    ("changes", "env", "host"),
    [
        ({}, {}, "ecs.eu-de.cloud.invalid"),
        ({"region": "eu-nl"}, {}, "ecs.eu-nl.cloud.invalid"),
        ({"endpoints": {"ecs": "https://own.invalid:8443/v1/ignored"}}, {}, "own.invalid"),
        ({"endpoints": {"ecs": "https://own.invalid"}}, {"FLEETOS_ECS_ENDPOINT": "https://e.invalid"}, "e.invalid"),
        ({}, {"FLEETOS_ECS_ENDPOINT": "http://127.0.0.1:9"}, "127.0.0.1"),
    ],
)
def test_where_the_servers_are(changes: dict[str, Any], env: dict[str, str], host: str) -> None:
    cloud = ScriptedCloud(answer(200, {"server": server_body("s1")}))
    opening(cloud, env, **changes)
    assert cloud.calls[0].host == host


@pytest.mark.parametrize(
    ("changes", "env", "expected"),
    [
        ({"region": None}, {}, "several regions: eu-de, eu-nl"),
        ({"region": "eu-fr"}, {}, "no ecs endpoint in region eu-fr"),
        ({"interface": "internal"}, {}, "plain http"),
        ({"interface": "admin"}, {}, "no ecs endpoint"),
        ({"endpoints": {"ims": "http://own.invalid"}}, {}, "the ims endpoint is plain http"),
        ({"endpoints": {"evs": "nonsense"}}, {}, "the evs endpoint is not"),
        ({"auth_url": "http://iam.invalid/v3"}, {}, "auth_url is plain http"),
        ({}, {"FLEETOS_IMS_ENDPOINT": "ftp://x"}, "the ims endpoint is not"),
        ({}, {"HTTPS_PROXY": "socks5://proxy:1"}, "HTTPS_PROXY is not an http"),
    ],
)
def test_addresses_that_are_not_acceptable(changes: dict[str, Any], env: dict[str, str], expected: str) -> None:
    cloud = ScriptedCloud(JOB)
    with pytest.raises(UsageError, match=expected):
        opening(cloud, env, **changes)
    assert cloud.calls == []


def test_plain_http_to_another_machine_must_be_meant() -> None:
    cloud = ScriptedCloud(answer(200, {"server": server_body("s1")}))
    opening(cloud, interface="internal", insecure_http=True, endpoints={"ims": "http://ims.invalid"})
    assert cloud.calls[0].host == "internal.invalid"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_login_is_tried_once(status: int) -> None:
    cloud = ScriptedCloud(JOB)
    cloud.logins = [answer(status, {"error": {"code": status, "message": "The password is wrong."}})] * 2
    with pytest.raises(AuthenticationFailed, match=f"IAM refuses the login: HTTP {status}") as caught:
        opening(cloud)
    assert len(cloud.seen) == 1
    assert "secret-password" not in repr(caught.value) + str(caught.value) + (caught.value.hint or "")


@pytest.mark.parametrize(
    "given",
    [
        answer(503, b"<html>maintenance</html>"),
        answer(201, b"no json", x_subject_token="t"),
        answer(201, {"token": {"project": {"id": "p"}}}),
        answer(201, {"token": {"user": {"id": "u"}}}, x_subject_token="t"),
        answer(201, {"token": {"project": {"id": "p"}, "catalog": 5}}, x_subject_token="t"),
        answer(302, b"", location="https://elsewhere.invalid"),
        httpx.ReadError("reset"),
    ],
)
def test_a_login_without_a_usable_answer_is_tried_a_few_times(given: Answer) -> None:
    cloud = ScriptedCloud(JOB)
    cloud.logins = [given] * 9
    with pytest.raises(CloudUnreachable, match="the login"):
        opening(cloud)
    assert len(cloud.seen) == 4


def test_a_throttled_login_waits() -> None:
    cloud = ScriptedCloud(answer(200, {"server": server_body("s1")}))
    cloud.logins = [answer(429, b"slow down")]

    async def main() -> None:
        async with opened(cloud) as client:
            assert now_s() >= 60
            assert client.place.project_id == PROJECT

    run(main)


def marked(one: httpx.Response) -> httpx.Response:
    """The answer as a simulated cloud gives it."""
    return httpx.Response(one.status_code, headers={**one.headers, "X-Simulated-Cloud": "fleetos"}, content=one.content)


HERE, THERE = "http://127.0.0.1:5000", "https://ecs.eu-de.cloud.invalid"


@pytest.mark.parametrize(
    ("login", "read", "iam", "ecs", "rates"),
    [
        (False, False, HERE, HERE, (5.0, 5.0)),
        (False, True, HERE, HERE, (5.0, 5.0)),
        (True, False, HERE, HERE, (None, 5.0)),
        (True, True, HERE, HERE, (None, None)),
        (True, True, "http://[::1]:5000", "http://localhost:5000", (None, None)),
        # What stands before a distant cloud can add a header.
        (True, True, THERE, THERE, (5.0, 5.0)),
        (True, True, HERE, THERE, (None, 5.0)),
        (True, True, THERE, HERE, (5.0, 5.0)),
        (True, True, "https://localhost.cloud.invalid", HERE, (5.0, 5.0)),
        (True, True, "https://127.0.0.1.cloud.invalid", HERE, (5.0, 5.0)),
    ],
)
def test_a_cloud_is_simulated_by_its_word_together_with_an_address_of_this_machine(
    login: bool, read: bool, iam: str, ecs: str, rates: tuple[float | None, float | None]
) -> None:
    one = answer(200, {"server": server_body("s1")})
    cloud = ScriptedCloud(marked(one) if read else one)
    cloud.logins = [lambda _: marked(cloud.grant()) if login else cloud.grant()]

    async def main() -> None:
        given = replace(CREDENTIALS, auth_url=f"{iam}/v3", endpoints={"ecs": ecs})
        async with opened(cloud, given) as client:
            before = client.read_rate_per_s()
            await client.server("s1")
            assert (before, client.read_rate_per_s()) == rates
            assert client.simulated is (rates == (None, None))

    run(main)


@pytest.mark.parametrize(("simulated", "least_s"), [(True, 0.5), (False, 60.0)])
def test_the_first_answer_may_be_a_429(simulated: bool, least_s: float) -> None:
    cloud = ScriptedCloud(answer(200, {"server": server_body("s1")}))
    slow = answer(429, b"slow down")
    cloud.logins = [marked(slow) if simulated else slow]

    async def main() -> None:
        async with opened(cloud, replace(CREDENTIALS, auth_url="http://127.0.0.1:5000/v3")):
            assert least_s <= now_s() < 4 * max(least_s, 1.0)

    run(main)


KEY = AccessKey("AK", "secret-key", "security-token")
LISTED = answer(200, {"servers": []})


def test_an_access_key_needs_neither_a_login_nor_a_catalog() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(LISTED, answer(200, {"server": server_body("s1")}))
        given = replace(CREDENTIALS, proof=KEY, auth_url=None, project_id=PROJECT)
        async with opened(cloud, given) as client:
            await client.server("s1")
            place = client.place
        # Four letters tell keys apart, and do not give the key away.
        assert (place.user, place.access_key, place.project) == (None, f"…{KEY.access[-4:]}", "eu-de_project")
        assert (place.project_id, place.user_id, str(place.evs)) == (
            PROJECT,
            None,
            "https://evs.eu-de.otc.t-systems.com",
        )
        assert [(one.host, one.token) for one in cloud.seen] == [("ecs.eu-de.otc.t-systems.com", None)] * 2
        assert cloud.seen[0].params == {"limit": "1", "offset": "1"}

    run(main)


@pytest.mark.parametrize(
    ("changes", "env", "hosts"),
    [
        ({"endpoints": {"ecs": "https://own.invalid:8443"}}, {}, ("own.invalid", "ims.eu-de.cloud.invalid")),
        ({}, {"FLEETOS_IMS_ENDPOINT": "https://i.invalid"}, ("ecs.eu-de.cloud.invalid", "i.invalid")),
        (
            {"auth_url": None, "region": "xx-1", "endpoints": {"ecs": "https://e.invalid", "ims": "https://i.invalid"}},
            {},
            ("e.invalid", "i.invalid"),
        ),
    ],
)
def test_overrides_hold_for_access_keys_too(
    changes: dict[str, Any], env: dict[str, str], hosts: tuple[str, str]
) -> None:
    async def main() -> None:
        given = replace(CREDENTIALS, proof=KEY, project_id=PROJECT)
        async with opened(ScriptedCloud(LISTED), replace(given, **changes), env=env) as client:
            assert (client.place.ecs.host, client.place.ims.host) == hosts

    run(main)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"auth_url": None, "region": "xx-1"}, "nothing says where ecs is in region xx-1"),
        ({"auth_url": "https://iam-proxy.own.invalid/v3", "region": "la-south-6001"}, "ecs_endpoint_override"),
        ({"auth_url": "https://iam.own.invalid/v3"}, "ecs_endpoint_override"),
        ({"auth_url": "https://iam.eu-ch2.sc.otc.t-systems.com/v3"}, "ecs_endpoint_override"),
        ({"auth_url": None, "endpoints": {"ecs": "https://ecs.own.invalid"}}, "ims_endpoint_override"),
        ({"auth_url": None, "endpoints": {"ims": "https://otc.t-systems.com"}}, "ecs_endpoint_override"),
        ({"auth_url": "https://elsewhere.invalid", "region": "xx-1"}, "an access key brings no catalog"),
        ({"auth_url": None, "region": "xx-1", "project_id": None}, "nothing says where IAM is"),
        ({"project_id": None, "project_name": None, "region": None}, "nothing says which project"),
        ({"auth_url": "http://iam.eu-de.cloud.invalid"}, "auth_url is plain http"),
    ],
)
def test_access_keys_that_lead_nowhere(changes: dict[str, Any], expected: str) -> None:
    cloud = ScriptedCloud(LISTED)
    with pytest.raises((UsageError, InputError)) as caught:
        opening(cloud, None, **{"proof": KEY, "project_id": PROJECT, **changes})
    assert re.search(expected, str(caught.value) + str(caught.value.hint))
    assert cloud.seen == []


def test_a_key_asks_for_its_project_in_no_domain_but_that_of_its_services() -> None:
    cloud = ScriptedCloud(LISTED)
    own = {"ecs": "https://ecs.own.invalid", "ims": "https://ims.own.invalid"}
    with pytest.raises(UsageError, match="nothing says where IAM is"):
        opening(cloud, None, proof=KEY, auth_url=None, endpoints=own)
    assert cloud.seen == []


NO_ID: dict[str, object] = {}


@pytest.mark.parametrize(
    ("projects", "error", "said"),
    [
        ((), UsageError, "IAM knows no projects named eu-de_project"),
        ([{"id": "p1"}, {"id": "p2"}], UsageError, "IAM knows 2 projects named eu-de_project: p1, p2"),
        ([{"id": "../x"}], CloudUnreachable, "the id of a project is none"),
        ([NO_ID], CloudUnreachable, "id is missing"),
        ("p", CloudUnreachable, "projects is no list"),
    ],
)
def test_the_project_of_an_access_key_must_be_one(projects: object, error: type[Exception], said: str) -> None:
    cloud = ScriptedCloud(answer(200, {"projects": projects}))
    with pytest.raises(error, match=said):
        opening(cloud, proof=KEY)
    assert {(one.host, one.path) for one in cloud.seen} == {("iam.eu-de.cloud.invalid", "/v3/projects")}
    assert cloud.seen[0].params == {"name": "eu-de_project"}


@pytest.mark.parametrize("body", [error(403, "Policy.0001"), answer(403, b"<html>no</html>"), answer(403)])
def test_a_key_that_may_not_list_projects_is_no_wrong_key(body: httpx.Response) -> None:
    with pytest.raises(PermissionDenied, match="does not let this access key list projects: HTTP 403") as caught:
        opening(ScriptedCloud(body), proof=KEY)
    assert caught.value.hint == "give project_id (OS_PROJECT_ID), or allow iam:projects:listProjects"
    with pytest.raises(AuthenticationFailed) as refused:
        opening(ScriptedCloud(answer(401)), proof=KEY)
    assert "check the access key" in (refused.value.hint or "")


@pytest.mark.parametrize("kind", ["id", "name"])
def test_a_token_for_a_project_of_that_name_in_another_domain_is_refused(kind: str) -> None:
    domain = {"id": "d-1", "name": "DOM1"}
    body = {"token": {"project": {"id": PROJECT, "name": "eu-de_project", "domain": domain}}}
    cloud = ScriptedCloud(JOB)
    cloud.logins = [answer(200, body)]
    with pytest.raises(UsageError, match=r"eu-de_project of domain (d-1|DOM1), not for eu-de_project of domain other"):
        opening(cloud, None, proof=GivenToken("given"), **{f"project_domain_{kind}": "other"})


def test_a_token_at_hand_is_shown_to_iam_and_ends_with_its_time() -> None:
    async def main() -> None:
        cloud = ScriptedCloud(answer(200, {"server": server_body("s1")}), life_s=900.0)
        async with opened(cloud, replace(CREDENTIALS, proof=GivenToken("given"))) as client:
            login = cloud.seen[0]
            assert (login.method, login.path, login.token, login.body) == ("GET", "/v3/auth/tokens", "given", None)
            await client.server("s1")
            assert cloud.calls[0].token == "given"
            await anyio.sleep(890)
            await client.server("s1")
            await anyio.sleep(20)
            for _ in range(3):
                with pytest.raises(AuthenticationFailed, match="has ended"):
                    await client.server("s1")
            assert len(cloud.seen) == 3

    run(main)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_that_iam_does_not_know_is_shown_once(status: int) -> None:
    cloud = ScriptedCloud(JOB)
    cloud.logins = [answer(status, {"error": {"code": status, "message": "no given-token-4711"}})] * 2
    with pytest.raises(AuthenticationFailed, match=f"HTTP {status}") as caught:
        opening(cloud, proof=GivenToken("given-token-4711"))
    assert "give a new one" in (caught.value.hint or "")
    assert "4711" not in caught.value.message
    assert len(cloud.seen) == 1


def test_a_token_for_no_project_is_refused() -> None:
    cloud = ScriptedCloud(JOB)
    cloud.logins = [answer(200, {"token": {"expires_at": "2100-01-01T00:00:00Z"}})]
    with pytest.raises(UsageError, match="is for no project"):
        opening(cloud, proof=GivenToken("given"))
