"""The table of calls: every call of the client is in it, with the path that it really takes, and the policy follows."""

import ast
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast, get_args

import httpx
import pytest

import fleetos.cloud
from fleetos.cloud.client import CloudClient
from fleetos.cloud.operations import CALLS, DRY_READS, EFFECTS, Call, Operation, Use, policy, policy_notes
from fleetos.model.permit import Permit
from fleetos.model.run import Order, Secrets
from tests.support.clocks import VIRTUAL_START, run
from tests.support.clouds.scripted import ScriptedCloud, Seen, answer, opened, server_body

HOUSE = Path(__file__).parents[3]
# The classes and functions that take the name of an operation.
_TAKE_ONE = {"ReadRequest", "WriteRequest", "HttpRequest", "_read", "_power"}
JOB = "ff80808288d41e1b018990260955686a"
# What a path of the table has for what it is about.
_PLACE = re.compile(r"\\\{(\w+)\\\}")


def named() -> Iterator[tuple[str, str]]:
    """Each operation that the client's source names, and the file that does."""
    for file in sorted(Path(next(iter(fleetos.cloud.__path__))).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called not in _TAKE_ONE:
                continue
            given = next((one.value for one in node.keywords if one.arg == "operation"), node.args and node.args[0])
            if isinstance(given, ast.Constant) and isinstance(given.value, str):
                yield given.value, file.name


def test_every_call_that_the_client_names_has_its_line_in_the_table() -> None:
    found = dict(named())
    # changeos and reinstallos are chosen between by a condition, which is typed by the table itself.
    assert found.keys() | {"changeos", "reinstallos"} == CALLS.keys()
    assert CALLS.keys() == set(get_args(Operation))


def test_every_read_is_tried_and_no_effect_is() -> None:
    effects: set[Operation] = {one for one, call in CALLS.items() if call.use in EFFECTS}
    # What is asked before all others, or only for what a plan names.
    other = {one for one, call in CALLS.items() if call.use in (Use.LOGIN, Use.NAMED)}
    # One entry of a log is there to be read only where the log has one.
    assert set(DRY_READS) == CALLS.keys() - effects - other - {"action"}
    assert all(CALLS[one].method == "GET" for one in DRY_READS)
    assert all(CALLS[one].action is not None for one in effects)
    assert all(call.action or call.note or call.use is Use.LOGIN for call in CALLS.values())


REBUILD = {"action": "rebuild", "user_id": "user-1", "request_id": "r", "start_time": f"{VIRTUAL_START:%FT%T}"}


def body_for(request: httpx.Request) -> httpx.Response:
    path = request.url.path
    if path.endswith("/describe-key"):
        return answer(200, {"key_info": {"key_state": "2"}})
    if request.method == "POST":
        return answer(200, {"job_id": JOB})
    if path.endswith("/os-instance-actions"):
        return answer(200, {"instanceActions": [REBUILD]})
    if path.endswith("/s1"):
        return answer(200, {"server": server_body("s1")})
    if "/jobs/" in path:
        return answer(200, {"job_id": JOB, "status": "RUNNING"})
    return answer(
        200, {"servers": [server_body("s1")], "count": 1, "images": [], "keypair": {}, "keypairs": [], "volumes": []}
    )


def everything(client: CloudClient) -> list[Callable[[], Awaitable[object]]]:
    """Every method of the client that sends something."""

    def permit() -> Permit:
        given = client.permit()
        assert given is not None
        return given

    def change(api: Literal["v1", "v2"], *, reinstall: bool) -> Callable[[], Awaitable[object]]:
        order = Order("i", "image", api, reinstall=reinstall)
        return lambda: client.change_os(
            "s1", order, Secrets(), stop_first=False, permit=permit(), last_check=lambda: None
        )

    return [
        client.list_servers,
        lambda: client.sweep(["s1"]),
        lambda: client.server("s1"),
        lambda: client.job(JOB),
        lambda: client.traces("s1", VIRTUAL_START),
        lambda: client.images.by_id("i"),
        lambda: client.images.named("i"),
        client.images.all,
        lambda: client.project.disks(0),
        client.project.flavors,
        client.project.disk_quota,
        client.project.server_quota,
        lambda: client.project.key_state("k"),
        client.project.enterprise_projects,
        lambda: client.project.has_key_pair("k"),
        client.project.key_pairs,
        lambda: client.stop(["s1"], hard=False, permit=permit(), last_check=lambda: None),
        lambda: client.start(["s1"], permit=permit(), last_check=lambda: None),
        *(change(api, reinstall=reinstall) for api in ("v1", "v2") for reinstall in (False, True)),
    ]


def test_the_client_takes_the_paths_of_the_table() -> None:
    cloud = ScriptedCloud(body_for)
    used = {"token"}

    async def main() -> None:
        async with opened(cloud) as client:
            for ask in everything(client):
                before, already = dict(client.requests), len(cloud.seen)
                await ask()
                asked = {one for one, count in client.requests.items() if count != before.get(one, 0)}
                lines = [call for one, call in CALLS.items() if one in asked]
                for seen in cloud.seen[already:]:
                    assert any(is_of(call, seen) for call in lines), (asked, seen.method, seen.host, seen.path)
                used.update(asked)

    run(main)
    # Projects and the user are asked for by an access key alone, and the versions by nobody but the doctor.
    assert used == CALLS.keys() - {"versions", "projects", "credential"}


def is_of(call: Call, seen: Seen) -> bool:
    pattern = _PLACE.sub("[^/]+", re.escape(call.path))
    host = seen.host.partition(".")[0]
    return (call.method, call.service) == (seen.method, host) and re.fullmatch(pattern, seen.path) is not None


def page(name: str) -> str:
    return (HOUSE / "docs" / name).read_text(encoding="utf-8")


def test_the_guide_to_a_first_rollout_has_the_policy_of_the_table() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", page("first-rollout.md"), re.DOTALL)
    assert json.loads(block) == policy(reinstall=False)
    assert block == json.dumps(policy(reinstall=False), indent=1) + "\n"


def test_the_page_of_credentials_names_every_action() -> None:
    told = set(re.findall(r"`(\w+:\w+:\w+)`", page("reference/credentials.md")))
    assert told == {call.action for call in CALLS.values() if call.action is not None}


@pytest.mark.parametrize("reinstall", [False, True])
def test_a_policy_has_what_the_plan_needs_and_no_more(reinstall: bool) -> None:
    (statement,) = cast("list[dict[str, Any]]", policy(reinstall=reinstall)["Statement"])
    actions = cast("list[str]", statement["Action"])
    assert len(set(actions)) == len(actions)
    assert ("ecs:cloudServers:rebuild" in actions) is reinstall
    assert {"ecs:cloudServers:changeOS", "ecs:cloudServers:stop", "ecs:cloudServers:start"} <= set(actions)
    assert not [one for one in actions if one.startswith("iam:") or "*" in one]
    assert any("listProjects" in note for note in policy_notes(reinstall=reinstall))
    assert any("rebuild" in note for note in policy_notes(reinstall=reinstall)) is not reinstall
