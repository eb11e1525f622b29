"""The description of the simulated cloud is true: schemathesis makes requests from it, and holds the answers to it."""

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from typer.testing import CliRunner

from fleetos.cli.main import app
from fleetos.sim.api.access import ACCESS_KEY
from fleetos.sim.api.openapi import openapi
from fleetos.sim.api.routes import PATHS
from fleetos.sim.scenario.scenario import DEFAULT_KEY
from tests.fidelity.vendor import Vendor, ecs, evs, ims, login

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore")
SEED = 23
# Requests of each kind: some for every run of the tests, more for the check of a commit.
EXAMPLES = [2, pytest.param(5, marks=pytest.mark.proof)]
# Its types are of its own inside.
checks: Any = importlib.import_module("schemathesis.specs.openapi.checks")
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
SCHEMA: Any = schemathesis.openapi.from_dict(openapi())
OPERATIONS: Mapping[str, Any] = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}
# Each has a server of its own, so that none finds it busy with what another has begun.
CHANGES = [label for label in OPERATIONS if label.endswith(("/changeos", "/reinstallos"))]


def test_each_path_is_described() -> None:
    described = {(method.upper(), path) for path, item in openapi()["paths"].items() for method in item}
    assert described == {(path.method, path.template) for path in PATHS}
    SCHEMA.validate()


def test_the_command_prints_it() -> None:
    done = CliRunner().invoke(app, ["sim", "--openapi"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == openapi()


@dataclass(frozen=True)
class Resources:
    """What there is in the cloud to ask about, and the token to ask with."""

    url: str
    token: str
    project: str
    servers: list[str]
    image: str
    action: str
    ids: Mapping[str, str]
    session: requests.Session

    def headers(self, operation: Any) -> dict[str, str]:
        """The headers that the operation asks for."""
        shown = {"X-Auth-Token": self.token} if operation.definition.raw["security"] else {}
        return {**shown, "X-Subject-Token": self.token} if operation.label == "GET /v3/auth/tokens" else shown

    def within(self, operation: Any) -> dict[str, str]:
        """Parameters of the operation's path that lead to something."""
        kind = next(word for word in reversed(operation.path.split("/")) if "{" not in word)
        own = self.servers[CHANGES.index(operation.label)] if operation.label in CHANGES else self.servers[-1]
        known = {"project": self.project, "id": self.ids.get(kind, own), "request": self.action}
        return {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}

    def fill_in(self, body: Any) -> None:
        """Puts what there is into a body that is otherwise as it was made up."""
        for kind in ("os-stop", "os-start", "reboot"):
            if kind in body:
                body[kind]["servers"] = [{"id": self.servers[-1]}]
        if "os-change" in body:
            body["os-change"] = {"imageid": self.image, "keyname": "KeyPair-350b", "mode": "withStopServer"}
        if "os-reinstall" in body:
            body["os-reinstall"] = {"mode": "withStopServer"}
        if "key_id" in body:
            body["key_id"] = DEFAULT_KEY
        if "auth" in body:
            body["auth"] = {"identity": {"methods": ["token"], "token": {"id": self.token}}}


@pytest.fixture(scope="module")
def things(vendor: Vendor, env: Mapping[str, str], sim: Mapping[str, str]) -> Iterator[Resources]:
    granted = login(vendor, env)
    found = vendor.ecs.list_servers_details(ecs.ListServersDetailsRequest(name="fuzz-")).servers
    servers = [one.id for one in found]
    image = vendor.ims.list_images(ims.ListImagesRequest(name="Standard_Debian_12_latest")).images[0].id
    option = ecs.BatchStartServersOption(servers=[ecs.ServerId(id=servers[-1])])
    request = ecs.BatchStartServersRequest(body=ecs.BatchStartServersRequestBody(os_start=option))
    volume = vendor.evs.list_volumes(evs.ListVolumesRequest(server_id=servers[-1])).volumes[0].id
    ids = {
        "jobs": vendor.ecs.batch_start_servers(request).job_id,
        "os-keypairs": "KeyPair-350b",
        "credentials": ACCESS_KEY,
        "cloudvolumes": volume,
        "": "v2.1",
    }
    url = sim["OS_AUTH_URL"].removesuffix("/v3")
    with requests.Session() as session:
        path = f"/v2.1/{granted.token.project.id}/servers/{servers[-1]}/os-instance-actions"
        listed = session.get(url + path, headers={"X-Auth-Token": granted.x_subject_token}, timeout=10).json()
        action = listed["instanceActions"][0]["request_id"]
        yield Resources(url, granted.x_subject_token, granted.token.project.id, servers, image, action, ids, session)


def prove(strategy: Any, things: Resources, examples: int, *, fill_in: bool = False) -> set[int]:
    """The statuses of the answers to so many requests, each of which conforms to the description."""
    statuses: set[int] = set()

    @seed(SEED)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        case: Any = data.draw(strategy)
        if fill_in and case.method == "POST":
            things.fill_in(case.body)
        answer = case.call(base_url=things.url, session=things.session)
        case.validate_response(answer, checks=CHECKS)
        # A server that an earlier request keeps busy is a 501; nothing else is the cloud's own fault.
        assert answer.status_code < 500 or (answer.status_code == 501 and case.method == "POST")
        statuses.add(answer.status_code)

    run()
    return statuses


@pytest.mark.parametrize("label", OPERATIONS)
@pytest.mark.parametrize("examples", EXAMPLES)
def test_requests_as_described(label: str, examples: int, things: Resources) -> None:
    operation = OPERATIONS[label]
    somewhere = {"project": things.project} if "{project}" in operation.path else {}
    make = partial(operation.as_strategy, GenerationMode.POSITIVE, headers=things.headers(operation))
    prove(make(path_parameters=somewhere), things, examples)
    statuses = prove(make(path_parameters=things.within(operation)), things, examples, fill_in=True)
    assert min(statuses) < 300, "nothing that was asked for was there"


@pytest.mark.parametrize("label", [label for label, one in OPERATIONS.items() if one.body or list(one.query)])
@pytest.mark.parametrize("examples", EXAMPLES)
def test_requests_that_are_wrong(label: str, examples: int, things: Resources) -> None:
    operation = OPERATIONS[label]
    make = partial(operation.as_strategy, GenerationMode.NEGATIVE, headers=things.headers(operation))
    prove(make(path_parameters=things.within(operation)), things, examples)
