"""The simulated gateway beside the signer of the vendor's SDK: it takes what that signs, and nothing else."""

import importlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fleetos.sim.api.access import (
    ACCESS_KEY,
    SECRET_KEY,
    SECURITY_TOKEN,
    TEMPORARY_ACCESS_KEY,
    TEMPORARY_SECRET_KEY,
)
from fleetos.sim.wire.messages import SimRequest, SimResponse
from tests.unit.sim.harness import BORN, SimHarness

HOST = "ecs.sim.test"
QUERY = [("limit", "50"), ("name", "web 0/é~*+=&,"), ("offset", "1"), ("flag", "")]


def signed(
    sim: SimHarness,
    method: str = "GET",
    path: str = "/v1/{p}/cloudservers/detail",
    *,
    secret: str = SECRET_KEY,
    access: str = ACCESS_KEY,
    at: float | None = None,
    body: bytes = b"",
    **headers: str,
) -> SimRequest:
    """A request as the vendor's SDK signs and spells it."""
    signer: Any = importlib.import_module("huaweicloudsdkcore.signer.signer").Signer
    asked: Any = importlib.import_module("huaweicloudsdkcore.sdk_request").SdkRequest
    key: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials").BasicCredentials(access, secret)
    date = datetime.fromtimestamp(sim.now if at is None else at, UTC).strftime("%Y%m%dT%H%M%SZ")
    shown = {"X-Sdk-Date": date, "X-Project-Id": sim.cloud.world.project_id}
    shown |= {name.replace("_", "-"): text for name, text in headers.items()}
    where = path.format(p=sim.cloud.world.project_id)
    query = [] if method == "POST" else list(QUERY)
    made = signer(key).sign(asked(method, "https", HOST, where, "", query, shown, body))
    sent = {str(name).lower(): str(text) for name, text in made.header_params.items()}
    return SimRequest(method, where, dict(query), sent, body, made.uri)


def told(sim: SimHarness, request: SimRequest) -> tuple[int, str]:
    """Status and message of the answer."""
    ending = sim.cloud.handle(request).ending
    assert isinstance(ending, SimResponse)
    content = json.loads(ending.body)
    if ending.status == 401:
        assert content["error_code"] == "APIGW.0301"
    return ending.status, str(content.get("error_msg", ""))


def test_what_the_vendors_sdk_signs_is_taken() -> None:
    sim = SimHarness()
    assert told(sim, signed(sim)) == (200, "")
    body = json.dumps({"os-stop": {"servers": [{"id": sim.id()}]}}).encode()
    stop = signed(sim, "POST", "/v1/{p}/cloudservers/action", body=body, Content_Type="application/json")
    assert told(sim, stop) == (200, "")
    temporary = signed(sim, access=TEMPORARY_ACCESS_KEY, secret=TEMPORARY_SECRET_KEY, X_Security_Token=SECURITY_TOKEN)
    assert told(sim, temporary) == (200, "")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/{p}/cloudservers/detail?offset=1&name=web%200/%c3%a9~*%2B%3D%26%2C&limit=50&flag=",
        "/v1/{p}/cloud%73ervers/detail?offset=1&name=web%200/%c3%a9~*%2B%3D%26,&limit=50&flag",
    ],
)
def test_another_spelling_of_the_same_is_the_same(target: str) -> None:
    sim = SimHarness()
    request = signed(sim)
    spelled = SimRequest(
        request.method,
        request.path,
        request.query,
        request.headers,
        b"",
        target.format(p=sim.cloud.world.project_id),
    )
    assert told(sim, spelled) == (200, "")


def test_nothing_can_be_touched_on_the_way() -> None:
    sim = SimHarness()
    right = signed(sim, "POST", "/v1/{p}/cloudservers/action", body=b'{"os-stop": {}}', Content_Type="a/json")
    sent = dict(right.headers)

    def touched(**changes: Any) -> SimRequest:
        parts = {name: getattr(right, name) for name in ("method", "path", "query", "headers", "body", "target")}
        return SimRequest(**{**parts, **changes})

    for other in (
        touched(method="GET", path=right.path.replace("action", "detail")),
        touched(target=right.target.replace("action", "actioN")),
        touched(target=right.target + "?dry_run=true"),
        touched(body=b'{"os-start": {}}'),
        touched(headers={**sent, "host": "elsewhere.test"}),
    ):
        sim = SimHarness()
        assert told(sim, other) == (401, "Incorrect IAM authentication information: verify aksk signature fail")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at": BORN - 16 * 60}, "15 minutes off"),
        ({"at": BORN + 16 * 60}, "15 minutes off"),
        ({"secret": SECRET_KEY + "x"}, "verify aksk signature fail"),
        ({"access": "NOBODY"}, "Get secretKey failed,ak:NOBODY,err:ak not exist"),
        ({"X_Security_Token": SECURITY_TOKEN}, "security token"),
        ({"access": TEMPORARY_ACCESS_KEY, "secret": TEMPORARY_SECRET_KEY}, "security token"),
        ({"X_Project_Id": "another"}, "the project is not"),
    ],
)
def test_what_is_refused(change: dict[str, Any], said: str) -> None:
    sim = SimHarness()
    status, message = told(sim, signed(sim, **change))
    assert status == 401
    assert said in message


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "Incorrect IAM"),
        ("", "cannot be read"),
        ("Bearer x", "cannot be read"),
        (f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders=host;x-sdk-date, Signature=short", "cannot be read"),
        (
            f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders=x-sdk-date, Signature={'0' * 64}",
            "the signed headers are not those",
        ),
        (
            f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders=host;x-nothing;x-sdk-date, Signature={'0' * 64}",
            "the signed headers are not those",
        ),
    ],
)
def test_headers_that_are_no_signature(header: str | None, said: str) -> None:
    sim = SimHarness()
    request = signed(sim)
    headers = {name: text for name, text in request.headers.items() if name != "authorization"}
    if header is not None:
        headers["authorization"] = header
    status, message = told(sim, SimRequest("GET", request.path, {}, headers, b"", request.target))
    assert status == 401
    assert said in message


def test_six_refusals_in_a_row_lock_the_key_for_five_minutes() -> None:
    sim = SimHarness()
    for _ in range(5):
        assert told(sim, signed(sim, secret="no"))[0] == 401
    assert told(sim, signed(sim)) == (200, "")
    for _ in range(6):
        assert "verify" in told(sim, signed(sim, secret="no"))[1]
    assert "reach the limit" in told(sim, signed(sim))[1]
    sim.wait(299)
    assert "reach the limit" in told(sim, signed(sim))[1]
    sim.wait(2)
    assert told(sim, signed(sim)) == (200, "")


def test_a_refused_signature_has_no_effect() -> None:
    sim = SimHarness()
    body = json.dumps({"os-stop": {"servers": [{"id": sim.id()}]}}).encode()
    stop = signed(sim, "POST", "/v1/{p}/cloudservers/action", secret="no", body=body)
    assert told(sim, stop)[0] == 401
    (write,) = sim.cloud.world.ledger.writes
    assert (write.came, write.code) == ("refused", "APIGW.0301")


def test_projects_and_tokens_are_shown_to_who_may_ask() -> None:
    sim = SimHarness()
    request = signed(sim, path="/v3/projects")
    ending = sim.cloud.handle(SimRequest("GET", request.path, {}, request.headers, b"", request.target)).ending
    assert isinstance(ending, SimResponse)
    assert [one["id"] for one in json.loads(ending.body)["projects"]] == [sim.cloud.world.project_id]
    assert sim.call("GET", "/v3/projects", name="eu-de")[1]["projects"] == []
    subject = {"x-auth-token": sim.token, "x-subject-token": sim.token, "host": HOST}
    shown = sim.cloud.handle(SimRequest("GET", "/v3/auth/tokens", {}, subject, b"")).ending
    assert isinstance(shown, SimResponse)
    assert json.loads(shown.body)["token"]["project"]["id"] == sim.cloud.world.project_id
    assert dict(shown.headers)["X-Subject-Token"] == sim.token
    wrong = {**subject, "x-subject-token": "sim.1.2.3"}
    refused = sim.cloud.handle(SimRequest("GET", "/v3/auth/tokens", {}, wrong, b"")).ending
    assert isinstance(refused, SimResponse)
    assert refused.status == 404
