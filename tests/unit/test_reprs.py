"""No object shows a secret: looked at in all of them, at the moment in which a change is on the wire."""

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx
import pytest

from fleetos.cloud.auth.credentials import AccessKey, GivenToken, Password
from fleetos.cloud.auth.request_auth import SignatureAuth
from fleetos.cloud.auth.signature import Signable
from fleetos.cloud.client import CloudClient
from fleetos.cloud.connect import open_cloud
from fleetos.cloud.http.addresses import proxies_from
from fleetos.model.plan import ApiLimits
from fleetos.model.run import Order
from fleetos.planning.plan_file.load import read_tree
from fleetos.planning.plan_file.validation import validate_plan
from fleetos.planning.preflight.preflight import preflight
from fleetos.planning.secrets import PlanSecrets
from fleetos.planning.settings import CloudFacts
from fleetos.store.database.location import locate
from tests.support.builders import DEBIAN, a_server, an_inventory
from tests.support.chance import FixedChance
from tests.support.clocks import VirtualClock, run
from tests.support.clouds.scripted import CREDENTIALS, ScriptedCloud, answer
from tests.support.secrets import ADMINPASS, LOGIN_PASSWORD, leaks
from tests.unit.planning.plan_folder import HEAD, PlanFolder

USER_DATA = "#cloud-config {Vd4/+Yp<9_mR}"
TOKEN = "MIIHcanary-0815-4711"
DATABASE, PROXY = "Db9-uvWx-13", "Pr7-xyZa-24"
SECURITY_TOKEN = "St3-canary-9182"
KEY = AccessKey("AK-CANARY", "Sk6-canary-3746", SECURITY_TOKEN)
GIVEN = GivenToken("Gt2-canary-5564")
SECRETS = {
    "adminpass": ADMINPASS,
    "user data": USER_DATA,
    "password": LOGIN_PASSWORD,
    "token": TOKEN,
    "database": DATABASE,
    "proxy": PROXY,
    "misplaced": "Mi5-placed-77",
    "secret key": KEY.secret,
    "security token": SECURITY_TOKEN,
    "given token": GIVEN.text,
}
# Those that hold secrets; without them nothing would be shown to be silent.
HOLDERS = {
    *("Secrets", "PlanSecrets", "Node", "UserDataEntry", "Location", "Proxies"),
    *(
        "Credentials",
        "Password",
        "Grant",
        "CachedToken",
        "TokenAuth",
        "SignatureAuth",
        "AccessKey",
        "GivenToken",
        "Signable",
        "Session",
        "HttpRequest",
        "WriteRequest",
    ),
}


@pytest.fixture(autouse=True)
def what_other_tests_left_is_not_looked_at() -> None:
    """Keep what is there already out of `gc.get_objects`: the worlds of other tests take long to be shown."""
    gc.collect()
    gc.freeze()


def objects() -> Iterator[tuple[str, str]]:
    """Every object of ours that the test has made or that a module holds: the name of its class, and its repr."""
    modules = [module for name, module in sys.modules.items() if name.startswith("fleetos.")]
    held = [one for module in modules for one in vars(module).values()]
    for one in cast("list[object]", [*gc.get_objects(), *held]):
        kind = type(one)
        if str(kind.__module__).startswith("fleetos."):
            yield kind.__name__, repr(one)


class Watched(ScriptedCloud):
    """A cloud that looks around in its client whenever it is asked something."""

    def __init__(self) -> None:
        super().__init__(answer(400, {"error": {"code": "Ecs.0005", "message": f"no {ADMINPASS}"}}))
        self.shown: dict[str, set[str]] = {}

    def grant(self) -> httpx.Response:
        """Return a login that is granted, with a token that can be told from everything else."""
        granted = super().grant()
        granted.headers["x-subject-token"] = TOKEN
        return granted

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, after a look around."""
        for name, text in objects():
            self.shown.setdefault(name, set()).add(text)
        return await super().handle_async_request(request)


def test_no_object_shows_a_secret_while_a_change_is_sent(tmp_path: Path) -> None:
    plans = PlanFolder(tmp_path)
    text = HEAD.replace("keyname: key", f"adminpass: {{file: pw}}, user_data: {{text: '{USER_DATA}'}}")
    plan = plans.plan(text + "servers: [{name: web-01}]\n", {"pw": ADMINPASS})
    order: Order = preflight(plan, an_inventory([a_server(1)]), (DEBIAN,), None, CloudFacts()).servers[0].order
    wrong = plans.write("wrong.yaml", text.replace("file: pw", "Mi5-placed-77: Mi5-placed-77"))
    tree = read_tree(plans.folder / "plan.yaml")
    source = PlanSecrets({})
    secrets = source.resolve(order)
    assert (secrets.adminpass, secrets.user_data) == (ADMINPASS, USER_DATA.encode())
    # Held until the look, as they may be when something fails.
    kept: list[object] = [
        plan,
        tree,
        validate_plan(tree, "plan.yaml"),
        validate_plan(read_tree(wrong), "wrong.yaml"),
        source,
        secrets,
    ]
    kept += [locate(f"postgresql://fleet:{DATABASE}@db.invalid/runs"), read_tree(wrong)]
    env = {"HTTPS_PROXY": f"http://al:{PROXY}@proxy.invalid:3128"}
    kept.append(proxies_from(env))
    key = replace(KEY)
    kept += [key, replace(GIVEN), replace(CREDENTIALS, proof=key), SignatureAuth(key, "p", VirtualClock().now)]
    kept.append(Signable("GET", "/", {"x-security-token": SECURITY_TOKEN}))
    credentials = replace(CREDENTIALS, proof=Password("al", LOGIN_PASSWORD))
    cloud = Watched()

    async def main() -> str:
        clock, chance = VirtualClock(), FixedChance()
        async with open_cloud(
            credentials, clock=clock, chance=chance, limits=ApiLimits(), env=env, inner=cloud
        ) as client:
            return await change(client)

    async def change(client: CloudClient) -> str:
        permit = client.permit()
        assert permit is not None
        return repr(
            await client.change_os("s1", order, secrets, stop_first=False, permit=permit, last_check=lambda: None)
        )

    replied = run(main)
    assert len(kept) == 14
    assert not HOLDERS - cloud.shown.keys()
    told = [replied, *(text for texts in cloud.shown.values() for text in texts)]
    assert not leaks(told, SECRETS)
