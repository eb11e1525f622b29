"""A simulated cloud by itself: a clock to turn by hand, and a client without sockets."""

import json
from pathlib import Path
from typing import Any, cast

from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, USER
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.wire.messages import SimRequest, SimResponse, WireOutcome
from fleetos.sim.world.journal import FORMAT, Header, WorldJournal, create_journal
from tests.support.ledger import Ledger, read_ledger

BORN = 1_800_000_000.0
LOGIN: dict[str, object] = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": USER, "password": PASSWORD, "domain": {"name": DOMAIN}}},
        },
        "scope": {"project": {"name": PROJECT}},
    }
}
# Things take exactly this long, so that tests know when to look.
FIXED = {
    "stop": [10, 10],
    "start": [10, 10],
    "reboot": [10, 10],
    "change": [100, 100],
    "job_init": [1, 1],
}


class SimHarness:
    """A cloud made of a scenario's parts, at a time of its own."""

    def __init__(self, **scenario: object) -> None:
        self.start(None, scenario)

    def start(self, journal: WorldJournal | None, scenario: dict[str, object]) -> None:
        content: dict[str, object] = {"durations": FIXED, **scenario}
        self.now = BORN
        self.cloud = SimulatedCloud(Scenario.model_validate(content), BORN, lambda: self.now, journal)
        self.token = ""
        self.token = self.login()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.cloud.advance()

    def send(self, method: str, path: str, body: object = None, **query: str) -> WireOutcome:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"x-auth-token": self.token, "host": "sim.test"}
        project = self.cloud.world.project_id
        return self.cloud.handle(SimRequest(method, path.format(p=project), query, headers, content))

    def call(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, dict[str, Any]]:
        ending = self.send(method, path, body, **query).ending
        assert isinstance(ending, SimResponse), ending
        return ending.status, cast("dict[str, Any]", json.loads(ending.body))

    def login(self) -> str:
        ending = self.send("POST", "/v3/auth/tokens", LOGIN).ending
        assert isinstance(ending, SimResponse)
        return dict(ending.headers).get("X-Subject-Token", "")

    def id(self, name: str = "web-001") -> str:
        return next(s.id for s in self.cloud.world.servers.values() if s.spec.name == name)

    def image(self, name: str = "Standard_Debian_12_latest") -> str:
        image = self.cloud.world.find_image(name)
        assert image is not None
        return image.id

    def server(self, name: str = "web-001") -> dict[str, Any]:
        status, content = self.call("GET", f"/v1/{{p}}/cloudservers/{self.id(name)}")
        assert status == 200
        return content["server"]

    def disk(self, name: str = "web-001") -> str | None:
        volumes = self.server(name)["os-extended-volumes:volumes_attached"]
        return next((volume["id"] for volume in volumes if volume["bootIndex"] == "0"), None)

    def look(self, name: str = "web-001") -> tuple[str, str, str | None]:
        server = self.server(name)
        return server["status"], server["OS-EXT-STS:vm_state"], server["OS-EXT-STS:task_state"]

    def send_change(self, name: str = "web-001", **fields: object) -> WireOutcome:
        asked = {"imageid": self.image(), **fields}
        return self.send("POST", f"/v2/{{p}}/cloudservers/{self.id(name)}/changeos", {"os-change": asked})

    def change(self, name: str = "web-001", **fields: object) -> tuple[int, dict[str, Any]]:
        ending = self.send_change(name, **fields).ending
        assert isinstance(ending, SimResponse), ending
        return ending.status, cast("dict[str, Any]", json.loads(ending.body))

    def refused(self, name: str = "web-001", **fields: object) -> tuple[int, str]:
        status, content = self.change(name, **fields)
        return status, content["error"]["code"]

    def power(self, verb: str, *names: str, **fields: object) -> tuple[int, dict[str, Any]]:
        servers = [{"id": self.id(name)} for name in names or ("web-001",)]
        return self.call("POST", "/v1/{p}/cloudservers/action", {verb: {"servers": servers, **fields}})

    def job(self, job_id: str) -> tuple[int, dict[str, Any]]:
        return self.call("GET", f"/v1/{{p}}/jobs/{job_id}")

    def ledger(self) -> Ledger:
        world = self.cloud.world
        return read_ledger(world.ledger.as_dict(world.now))


def stopped(**scenario: object) -> SimHarness:
    """Return a cloud with one stopped server, web-001."""
    return SimHarness(servers=[{"count": 1, "state": "stopped"}], **scenario)


class JournaledSimHarness(SimHarness):
    """A cloud whose world is kept in a file."""

    def __init__(self, path: Path, **scenario: object) -> None:
        content = Scenario.model_validate({"durations": FIXED, **scenario})
        self.start(create_journal(path, Header(format=FORMAT, world="w", born_at=BORN, scenario=content)), scenario)
