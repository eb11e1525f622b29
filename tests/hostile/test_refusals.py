"""Whatever a cloud refuses: the command ends with a code that says so, never with that of a defect of ours."""

from collections.abc import Mapping
from pathlib import Path
from random import Random

import httpx
import pytest

from fleetos.app.survey import compare, survey
from fleetos.cloud.client import CloudClient
from fleetos.errors import CloudError, FleetosError
from fleetos.model.codes import CODES
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.preflight.preflight import Preflight
from fleetos.planning.settings import CloudFacts
from tests.support.clouds.hostile import check_error
from tests.support.clouds.scripted import Answer, Script, ScriptedCloud, answer, server_body, with_cloud
from tests.support.hostile_values import json_bytes
from tests.support.seeded_examples import SEED

OUR_OWN = frozenset({65, 69, 77})
FACTS = CloudFacts(loopback=True)
IMAGES = [{"id": "i1", "name": "Debian", "status": "active"}, {"id": "image-1", "name": "Old", "status": "active"}]
KEY = "83cdb52d-9ebf-4469-9cfa-e7b5b80da846"
PLAN = f"""\
version: 1
name: try
change: {{image: Debian, keyname: key, metadata: {{__system__encrypted: "1", __system__cmkid: {KEY}}}}}
servers: [{{select: {{name: "name-*", enterprise_project: prod}}}}]
"""
RIGHT: Mapping[str, object] = {
    "/cloudservers/detail": {"count": 1, "servers": [server_body("s1")]},
    "/enterprise-projects": {"enterprise_projects": [{"id": "0", "name": "prod"}]},
    "/cloudimages": {"images": IMAGES},
    "/os-keypairs/key": {"keypair": {"name": "key"}},
    "/kms/describe-key": {"key_info": {"key_state": "2"}},
    "/cloudvolumes/detail": {"volumes": [{"id": "disk-1", "size": 40, "status": "in-use"}]},
    "/cloudservers/flavors": {"flavors": [{"id": "s3.medium.2"}]},
    "/os-quota-sets/": {"quota_set": {}},
    "/cloudservers/limits": {"absolute": {}},
}
# Without these nothing can be planned; whatever else is refused is said, and not checked.
NEEDED = frozenset({"/cloudservers/detail", "/enterprise-projects", "/cloudimages", "/os-keypairs/key"})
# A 429 is waited out, however often it comes.
REFUSALS_MOST = 12


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Plan]:
    """A plan with a key pair of our own, and with one of somebody else."""
    folder: Path = tmp_path_factory.mktemp("plans")
    texts = (PLAN, PLAN.replace("keyname: key", "keyname: key, userid: 0123456789abcdef0123456789abcdef"))
    found: list[Plan] = []
    for number, text in enumerate(texts):
        path = folder / f"plan-{number}.yaml"
        path.write_text(text)
        found.append(load_plan(path))
    return found[0], found[1]


def refusing(part: str, refusal: Answer) -> Script:
    """A cloud that refuses one kind of read, many times over."""
    left = [REFUSALS_MOST]

    def script(request: httpx.Request) -> Answer:
        path = request.url.path
        if part in path and left[0] > 0:
            left[0] -= 1
            return refusal
        return answer(200, next(body for known, body in RIGHT.items() if known in path))

    return script


def surveyed(plan: Plan, script: Script, *, drifting: bool = False) -> Preflight | CloudError | None:
    """What preflight finds, or the error of the cloud. Any other error fails."""
    found: list[Preflight | FleetosError] = []

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        try:
            found.append(await survey(plan, client, FACTS))
            if drifting:
                await compare(plan, client, None, "")
        except FleetosError as error:
            found.append(error)

    with_cloud(script, then=then)
    last = found[-1]
    if isinstance(last, Preflight):
        return last
    assert last.exit_code in OUR_OWN, f"{last.exit_code}: {last}"
    if not isinstance(last, CloudError):
        return None
    check_error(last)
    return last


def bodies(code: str, message: str = "no") -> list[object]:
    """An error in each form of the cloud's bodies."""
    return [
        {"error": {"code": code, "message": message}},
        {"error_code": code, "error_msg": message, "request_id": "r"},
        {"code": code, "message": message},
        {"itemNotFound": {"message": message, "code": 404}},
        {"error": {"code": code, "message": f'{{"forbidden": {{"message": "{message}", "code": 403}}}}'}},
        b"<html>502</html>",
        b"",
        b"\xff\xfe",
        [code],
    ]


def test_nothing_is_refused_where_nothing_is(plans: tuple[Plan, Plan]) -> None:
    found = surveyed(plans[0], refusing("nowhere", answer(500)))
    assert isinstance(found, Preflight)
    assert [one.check for one in found.findings] == []


@pytest.mark.parametrize("part", RIGHT)
def test_no_refusal_of_a_read_is_a_defect_of_ours(plans: tuple[Plan, Plan], part: str) -> None:
    random = Random(f"{part} {SEED}")
    codes = [code.code for code in CODES.values()]
    statuses = [400, 401, 403, 404, 409, 413, 429, 499, 500, 501, 502, 503, 504, 599, 302]
    for status in (*statuses, *random.sample(range(400, 600), 10)):
        body = random.choice(bodies(random.choice([*codes, "New.0001", "x" * 300])))
        found = surveyed(plans[random.randrange(2)], refusing(part, answer(status, body)), drifting=status % 7 == 0)
        assert found is not None or part in NEEDED, status


@pytest.mark.parametrize("code", [code.code for code in CODES.values()])
def test_no_known_code_is_a_defect_of_ours(plans: tuple[Plan, Plan], code: str) -> None:
    for status in sorted(CODES[code.lower()].statuses):
        refusal = answer(status, {"error": {"code": code, "message": "no"}})
        found = surveyed(plans[0], refusing("/cloudservers/detail", refusal))
        assert isinstance(found, Preflight | CloudError)


UNSURE = [(403, "Pdp.0001", 77), (404, "APIGW.0101", 69), (400, "Ecs.0301", 69), (501, "x", 69), (500, "x", 69)]


@pytest.mark.parametrize(("status", "code", "left_with"), UNSURE)
def test_a_key_pair_that_cannot_be_looked_up(plans: tuple[Plan, Plan], status: int, code: str, left_with: int) -> None:
    script = refusing("/os-keypairs/key", answer(status, json_bytes({"error": {"code": code, "message": "no"}})))
    ours = surveyed(plans[0], script)
    assert isinstance(ours, CloudError)
    assert ours.exit_code == left_with
    assert "userid" in (ours.hint or "")
    script = refusing("/os-keypairs/key", answer(status, json_bytes({"error": {"code": code, "message": "no"}})))
    theirs = surveyed(plans[1], script)
    assert isinstance(theirs, Preflight)
    (finding,) = theirs.findings
    assert finding.level == "warning"
    assert "could not be looked up" in finding.text


@pytest.mark.parametrize("body", [{"error": {"code": "Ecs.0314", "message": "no"}}, bodies("")[3]])
def test_a_key_pair_that_is_not_there(plans: tuple[Plan, Plan], body: object) -> None:
    assert surveyed(plans[0], refusing("/os-keypairs/key", answer(404, body))) is None
    theirs = surveyed(plans[1], refusing("/os-keypairs/key", answer(404, body)))
    assert isinstance(theirs, Preflight)
    assert "not among our own" in theirs.findings[0].text


def test_every_error_of_the_cloud_has_a_code_of_its_own() -> None:
    kinds: list[type[CloudError]] = [CloudError]
    for kind in kinds:
        assert kind.exit_code in OUR_OWN
        kinds += kind.__subclasses__()
